// The most that an adapter does, in arithmetic and in moving bytes, by kernels that do nothing else. Rates of other kernels are
// shares of these.

import './gpu.ts'
import { type Device, openDevice } from './device.ts'
import { Stamps } from './timer.ts'

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

/** Milliseconds of a kernel after which its start does not count. */
const longEnough = 20

const measured = new WeakMap<Device, PeakRates>()

/** The adapter's peak rates, measured once, which takes a fraction of a second. */
export async function peakRates(kernels: PeakKernels): Promise<PeakRates> {
  const device = await openDevice()
  const known = measured.get(device) ?? (await measure(device, kernels))
  measured.set(device, known)
  return known
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
