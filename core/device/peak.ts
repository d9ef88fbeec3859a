// The most that an adapter does, in arithmetic and in moving bytes, by kernels that do nothing else. Rates of other kernels are
// shares of these.

import './gpu.ts'
import { Device } from './device.ts'
import type { Machine } from './machine.ts'
import { openMachine } from './open.ts'
import { Stamps } from './timer.ts'
import type { WasmDevice } from './wasm-device.ts'
import { WasmProgram } from './wasm-program.ts'

/** Rates in 10⁹ a second: operations on f32, and bytes read and written. */
export interface PeakRates {
  readonly gflops: number
  readonly gbps: number
}

/** A kernel that reads one array and writes another. */
interface PeakKernel {
  readonly wgsl: string
  readonly workgroups: number
}

/** What to measure with. The first turns as often as its input says, with so many operations; the second copies. */
export interface PeakKernels {
  readonly arithmetic: PeakKernel & { readonly operations: number }
  readonly copy: PeakKernel & { readonly bytes: number }
}

/** The same for the CPU: every thread does so many operations, and copies so many bytes. */
export interface PeakPrograms {
  readonly arithmetic: { readonly bytes: Uint8Array<ArrayBuffer>; readonly operations: number }
  readonly copy: { readonly bytes: Uint8Array<ArrayBuffer>; readonly copied: number }
}

/** Milliseconds of a kernel after which its start does not count. */
const longEnough = 20

const measured = new WeakMap<Machine, PeakRates>()

/** The peak rates of what computes, measured once, which takes a fraction of a second. */
export async function peakRates(kernels: PeakKernels, programs: PeakPrograms): Promise<PeakRates> {
  const machine = await openMachine()
  const known =
    measured.get(machine) ??
    (machine instanceof Device
      ? await measure(machine, kernels)
      : await measureWasm(machine as WasmDevice, programs))
  measured.set(machine, known)
  return known
}

/** The two programs, ready to run by all threads, and what a run of each does. */
export interface WasmPeak {
  arithmetic(): Promise<void>
  readonly operations: number
  copying(): Promise<void>
  readonly bytes: number
  close(): void
}

export function wasmPeak(device: WasmDevice, { arithmetic, copy }: PeakPrograms): WasmPeak {
  const threads = device.threads.count
  const size = threads * copy.copied
  const arrays = [0, 1].map(() => device.take(size, 'an array to measure with'))
  const slices = arrays.map((buffer) => ({ buffer, offset: 0, size }))
  const starts = { input: 0, output: 2, slot: 2, pack: 2, table: 2 }
  const frame = { starts, scratch: 2, sync: 3, words: 4 }
  const nothing = { scratch: 0, dispatches: 1, slots: [], packs: [], tables: [], host: [], timed: [] }
  const [first, second] = [arithmetic, copy].map(
    ({ bytes }) => new WasmProgram(device, { bytes, frame, isShared: true, ...nothing }),
  ) as [WasmProgram, WasmProgram]
  return {
    arithmetic: () => first.run(slices, [], null),
    operations: threads * arithmetic.operations,
    copying: () => second.run(slices, [], null),
    bytes: 2 * size,
    close: () => {
      for (const array of arrays) device.give(array)
    },
  }
}

/** The best of some runs. */
async function measureWasm(device: WasmDevice, programs: PeakPrograms): Promise<PeakRates> {
  const peak = wasmPeak(device, programs)
  const best = async (run: () => Promise<void>): Promise<number> => {
    let least = Number.POSITIVE_INFINITY
    for (let round = 0; round < 5; round++) {
      const start = performance.now()
      await run()
      least = Math.min(least, performance.now() - start)
    }
    return least
  }
  try {
    return {
      gflops: peak.operations / (await best(peak.arithmetic)) / 1e6,
      gbps: peak.bytes / (await best(peak.copying)) / 1e6,
    }
  } finally {
    peak.close()
  }
}

async function measure(device: Device, { arithmetic, copy }: PeakKernels): Promise<PeakRates> {
  const { gpu } = device
  const what = 'an array to measure the adapter with'
  const [turns, from, to] = [
    await device.allocate(4, what),
    await device.allocate(copy.bytes, what),
    await device.allocate(copy.bytes, what),
  ]
  /** The milliseconds of a kernel. */
  const kernel = async (name: string, { wgsl, workgroups }: PeakKernel, source: GPUBuffer) => {
    const pipeline = await device.until(
      gpu.createComputePipelineAsync({
        label: name,
        layout: 'auto',
        compute: { module: gpu.createShaderModule({ code: wgsl }), entryPoint: 'main' },
      }),
    )
    const group = gpu.createBindGroup({
      layout: pipeline.getBindGroupLayout(0),
      entries: [source, to].map((buffer, binding) => ({ binding, resource: { buffer } })),
    })
    return async (): Promise<number> => {
      const stamps = new Stamps(device)
      const encoder = gpu.createCommandEncoder()
      const pass = encoder.beginComputePass(stamps.pass(name))
      pass.setPipeline(pipeline)
      pass.setBindGroup(0, group)
      pass.dispatchWorkgroups(workgroups)
      pass.end()
      const times = stamps.copy(encoder)
      gpu.queue.submit([encoder.finish()])
      const [timed] = await times()
      return timed!.milliseconds
    }
  }
  try {
    const compute = await kernel('peak of arithmetic', arithmetic, turns)
    gpu.queue.writeBuffer(turns, 0, new Uint32Array([1]))
    await compute() // drivers translate a kernel when it first runs
    let gflops = 0
    for (let [count, milliseconds] = [4, 0]; milliseconds < longEnough; count *= 2) {
      gpu.queue.writeBuffer(turns, 0, new Uint32Array([count]))
      milliseconds = await compute()
      gflops = Math.max(gflops, (count * arithmetic.operations) / milliseconds / 1e6)
    }
    const move = await kernel('peak of copying', copy, from)
    let gbps = 0
    for (let round = 0; round < 4; round++) gbps = Math.max(gbps, (2 * copy.bytes) / (await move()) / 1e6)
    return { gflops, gbps }
  } finally {
    for (const buffer of [turns, from, to]) device.recycle(buffer)
  }
}
