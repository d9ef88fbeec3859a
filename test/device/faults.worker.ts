// A worker that ends after some work, in the way that the argument says, beside a main thread that computes. With work in flight
// npm webgpu 0.6.2 may abort the process when the worker's thread is torn down.

import { Worker } from 'node:worker_threads'
import { tensor } from 'cotangent'

const how = process.argv[2]
const endings: Readonly<Record<string, string>> = {
  throws: 'throw new Error("on purpose")',
  exits: 'process.exit(1)',
  'is terminated': 'parentPort.postMessage("ready")',
}
const work = `
  const { parentPort } = require('node:worker_threads')
  import('tsx/esm/api').then(({ register }) => {
    register()
    return import(${JSON.stringify(new URL('../../index.ts', import.meta.url).href)})
  }).then(async ({ tensor }) => {
    let x = tensor(new Float32Array(65536))
    await x.add(1).data()
    for (let k = 0; k < 100; k++) x = x.add(1)
    await x.data()
    ${endings[how ?? '']}
  })
`
const before = await tensor([1]).add(1).item()
const worker = new Worker(work, { eval: true })
const ended = new Promise<boolean>((resolve) => worker.on('exit', () => resolve(true)))
worker.on('error', () => {})
worker.on('message', () => void worker.terminate())
const result = { ended: await ended, before, after: await tensor([1]).add(2).item() }
console.log(JSON.stringify(result))
