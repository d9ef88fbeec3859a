// Fills memory under a limit that it sets itself, and prints what came of it. The arrays are large, so that the driver's own
// small allocations still succeed when one does not.

import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { dispose, evaluate, type OutOfMemoryError, tensor, type Value, zeros } from 'cotangent'

process.env.COTANGENT_ADAPTER = 'swiftshader' // which takes its arrays from the address space of the process
const one = tensor([1])
const first = (x: Value): Promise<number> => evaluate(() => x.slice({ start: [0], end: [1] })).item()
await first(one.add(1))
const used = Number(/VmSize:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))![1]) * 1024
execFileSync('prlimit', ['--pid', String(process.pid), `--as=${used + 800 * 2 ** 20}`])

const held: Value[] = []
let error: OutOfMemoryError | null = null
while (error === null && held.length < 16) {
  const x = evaluate(() => one.add(zeros([2 ** 27])))
  await x
    .slice({ start: [0], end: [1] })
    .data()
    .catch((caught: OutOfMemoryError) => {
      error = caught.cause as OutOfMemoryError
    })
  if (error === null) held.push(x)
}
const values = [await first(held[0]!), await first(held.at(-1)!)]
dispose(held)
const later = await first(evaluate(() => one.add(zeros([2 ** 27]))))
console.log(JSON.stringify({ error: { ...error!, message: error!.message }, values: values, later: later }))
