// The most that an adapter does, by two kernels that do nothing else: fused multiply-adds, and copying. Rates of other kernels
// are shares of these.

import './gpu.ts'
import { bufferUsage } from './adapter.ts'
import { type Device, openDevice } from './device.ts'
import { Stamps } from './timer.ts'

/** Rates in 10⁹ a second: operations on f32, and bytes read and written. */
export interface PeakRates {
  readonly gflops: number
  readonly gbps: number
}

const workgroup = 64
const range = (length: number): number[] => Array.from({ length }, (_, k) => k)

/** So many sums of four lanes that do not wait for each other, and so many multiply-adds on each before the loop turns. */
const [chains, unrolled] = [16, 4]
const threads = 2 ** 15
const operations = threads * chains * unrolled * 4 * 2

const arithmetic = `
@group(0) @binding(0) var<storage, read> turns: array<u32>;
@group(0) @binding(1) var<storage, read_write> sums: array<vec4<f32>>;
@compute @workgroup_size(${workgroup})
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let x = vec4<f32>(0.5 + f32(id.x & 7u) * 0.01);
${range(chains)
  .map((k) => `  var sum${k} = x + ${k}.0;`)
  .join('\n')}
  for (var turn = 0u; turn < turns[0]; turn++) {
${range(chains * unrolled)
  .map((k) => `    sum${k % chains} = fma(sum${k % chains}, x, x);`)
  .join('\n')}
  }
  sums[id.x] = ${range(chains)
    .map((k) => `sum${k}`)
    .join(' + ')};
}`

/** Bytes that are copied: more than the caches of most adapters hold. A thread copies four vectors. */
const copied = 2 ** 25
const copiers = copied / 64

const copy = `
@group(0) @binding(0) var<storage, read> given: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> taken: array<vec4<f32>>;
@compute @workgroup_size(${workgroup})
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
${range(4)
  .map((k) => `  taken[id.x + ${k * copiers}u] = given[id.x + ${k * copiers}u];`)
  .join('\n')}
}`

const measured = new WeakMap<Device, Promise<PeakRates>>()

/** The adapter's peak rates, measured once, which takes a fraction of a second. */
export async function peakRates(): Promise<PeakRates> {
  const device = await openDevice()
  const known = measured.get(device) ?? measure(device)
  measured.set(device, known)
  return known
}

async function measure(device: Device): Promise<PeakRates> {
  const { gpu } = device
  const usage = bufferUsage.STORAGE | bufferUsage.COPY_DST
  const [turns, from, to] = [4, copied, copied].map((size) => gpu.createBuffer({ size, usage })) as [
    GPUBuffer,
    GPUBuffer,
    GPUBuffer,
  ]
  /** The milliseconds of a kernel. */
  const kernel = async (name: string, code: string, workgroups: number, source: GPUBuffer) => {
    const pipeline = await device.until(
      gpu.createComputePipelineAsync({
        label: name,
        layout: 'auto',
        compute: { module: gpu.createShaderModule({ code }), entryPoint: 'main' },
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
    const compute = await kernel('peak of arithmetic', arithmetic, threads / workgroup, turns)
    gpu.queue.writeBuffer(turns, 0, new Uint32Array([1]))
    await compute() // drivers translate a kernel when it first runs
    let gflops = 0
    for (let [count, milliseconds] = [4, 0]; milliseconds < longEnough; count *= 2) {
      gpu.queue.writeBuffer(turns, 0, new Uint32Array([count]))
      milliseconds = await compute()
      gflops = Math.max(gflops, (count * operations) / milliseconds / 1e6)
    }
    const move = await kernel('peak of copying', copy, copiers / workgroup, from)
    let gbps = 0
    for (let round = 0; round < 4; round++) gbps = Math.max(gbps, (2 * copied) / (await move()) / 1e6)
    return { gflops, gbps }
  } finally {
    for (const buffer of [turns, from, to]) buffer.destroy()
  }
}

/** Milliseconds of a kernel after which its start does not count. */
const longEnough = 20
