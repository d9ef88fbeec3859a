// Which machine computes: a GPU if there is one; else the CPU by WebAssembly, which is several times as fast as an adapter that
// computes on the CPU; else such an adapter. `COTANGENT_ADAPTER` narrows the search.

import { chooseHardware, wantedSource } from './adapter.ts'
import { openDevice } from './device.ts'
import type { Machine } from './machine.ts'
import { hasThreads, openWasm } from './wasm-device.ts'

let opening: Promise<Machine> | null = null

/** The machine of this thread, opened at its first use, and anew after it was lost. */
export async function openMachine(): Promise<Machine> {
  const only = wantedSource()
  if (only === 'wasm') return openWasm([])
  if (only !== null) return openDevice()
  opening ??= choose()
  const asked = opening
  const machine = await asked.catch((error) => {
    if (opening === asked) opening = null
    throw error
  })
  if (machine.failure === null) return machine
  if (opening === asked) opening = null
  return openMachine()
}

async function choose(): Promise<Machine> {
  const found = await chooseHardware()
  if ('adapter' in found) return openDevice(found)
  return hasThreads() ? openWasm(found) : openDevice()
}
