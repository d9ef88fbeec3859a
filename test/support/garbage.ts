// The collector, run before something is counted: arrays that nobody holds must not go while it is.

import { setTimeout } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

setFlagsFromString('--expose_gc')
const collect: () => void = runInNewContext('gc')

/** Collects what nobody holds, and lets its memory go back. */
export async function collectGarbage(): Promise<void> {
  collect()
  await setTimeout(5)
}
