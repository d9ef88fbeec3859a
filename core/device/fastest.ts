// Which of some kernels that do the same is the fastest here, found out by running them in turns.

import './gpu.ts'
import type { Device } from './device.ts'

/** What to measure may take, in milliseconds: candidates that would begin later are passed over. */
const budget = 2000

/** Rounds at most, and how long a run takes at least, so that starting it counts for little. */
const rounds = 5
const shortest = 10

/** Another kernel than the first is chosen only if its time is less than this share of the first's. */
const clearly = 0.9

interface Candidate {
  readonly wgsl: string
  readonly workgroups: readonly [number, number, number]
}

/** The number of the fastest; each reads two arrays of so many bytes and writes one. */
export async function fastest(
  device: Device,
  candidates: readonly Candidate[],
  bytes: number,
): Promise<number> {
  const until = performance.now() + budget
  const buffers: GPUBuffer[] = []
  try {
    for (let k = 0; k < 3; k++) buffers.push(await device.allocate(bytes, 'an array to measure with'))
    const group = device.gpu.createBindGroup({
      layout: device.layout(2, 1),
      entries: buffers.map((buffer, binding) => ({ binding, resource: { buffer } })),
    })
    const time = async (pipeline: GPUComputePipeline, { workgroups }: Candidate, times: number) => {
      const encoder = device.gpu.createCommandEncoder()
      const pass = encoder.beginComputePass()
      pass.setPipeline(pipeline)
      pass.setBindGroup(0, group)
      for (let k = 0; k < times; k++) pass.dispatchWorkgroups(...workgroups)
      pass.end()
      const start = performance.now()
      device.gpu.queue.submit([encoder.finish()])
      await device.until(device.gpu.queue.onSubmittedWorkDone())
      return (performance.now() - start) / times
    }
    const runs: { readonly run: (times: number) => Promise<number>; best: number }[] = []
    for (const candidate of candidates) {
      if (runs.length > 0 && performance.now() > until) break
      const pipeline = await device.pipeline(candidate.wgsl, 'trial', 2, 1)
      const run = (times: number) => time(pipeline, candidate, times)
      await run(1) // a driver may finish compiling only now
      runs.push({ run, best: await run(1) })
    }
    const times = Math.ceil(shortest / runs[0]!.best)
    for (let round = 0; round < rounds && performance.now() < until; round++)
      for (const entry of runs) {
        const now = await entry.run(times)
        entry.best = round === 0 ? now : Math.min(entry.best, now)
      }
    const best = runs.reduce((best, entry, k) => (entry.best < runs[best]!.best ? k : best), 0)
    return runs[best]!.best < clearly * runs[0]!.best ? best : 0
  } finally {
    for (const buffer of buffers) device.recycle(buffer)
  }
}
