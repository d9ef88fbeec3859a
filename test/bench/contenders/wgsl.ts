// Kernels written by hand, for what there is to compare with: products of register tiles and of tiles in workgroup memory, and
// one element after the other by fours. All variants are tried, and the fastest on the adapter is the contender.

import { deviceReport } from 'cotangent'
import { create } from 'webgpu'
import { bufferUsage, chooseAdapter } from '../../../core/device/adapter.ts'
import { noise, type Work } from '../cases.ts'
import type { Contender, Ready } from './contender.ts'

export interface Kernel {
  readonly name: string
  readonly wgsl: string
  readonly workgroups: readonly [number, number, number]
}

type Product = Extract<Work, { kind: 'product' }>

const range = (n: number): number[] => Array.from({ length: n }, (_, k) => k)

const arrays = `
@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> y: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> z: array<vec4f>;`

const batchOf = ({ batch }: Product): number => batch.reduce((a, b) => a * b, 1)

/** Each invocation keeps `tall` rows of `wide` columns in registers, and takes four steps of the depth at a time. */
function registerTile(work: Product, tall: number, wide: number, [gx, gy] = [8, 8]): Kernel | null {
  const { rows, depth, columns } = work
  if (rows % tall || columns % wide || depth % 4) return null
  const fours = wide / 4
  const sums = range(tall).flatMap((m) => range(fours).map((n) => [m, n] as const))
  return {
    name: `registers ${tall}×${wide}`,
    workgroups: [Math.ceil(columns / wide / gx), Math.ceil(rows / tall / gy), batchOf(work)],
    wgsl: `${arrays}
@compute @workgroup_size(${gx}, ${gy})
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= ${columns / wide}u || id.y >= ${rows / tall}u) { return; }
  let column = id.x * ${fours}u;
  let row = id.y * ${tall}u;
  var across = (id.z * ${rows}u + row) * ${depth / 4}u;
  var along = id.z * ${(depth * columns) / 4}u + column;
  ${sums.map(([m, n]) => `var s${m}_${n} = vec4f();`).join(' ')}
  for (var k = 0u; k < ${depth / 4}u; k++) {
    ${range(tall)
      .map((m) => `let a${m} = x[across + ${m * (depth / 4)}u];`)
      .join(' ')}
    ${range(4)
      .map((part) => {
        const loads = range(fours).map((n) => `let b${part}_${n} = y[along + ${n}u];`)
        const steps = sums.map(
          ([m, n]) => `s${m}_${n} = fma(vec4f(a${m}[${part}]), b${part}_${n}, s${m}_${n});`,
        )
        return [...loads, ...steps, `along += ${columns / 4}u;`].join(' ')
      })
      .join('\n    ')}
    across += 1u;
  }
  let to = (id.z * ${rows}u + row) * ${columns / 4}u + column;
  ${sums.map(([m, n]) => `z[to + ${m * (columns / 4) + n}u] = s${m}_${n};`).join('\n  ')}
}`,
  }
}

/** A workgroup shares a tile of 64 × 64, sixteen steps of the depth at a time; an invocation has `part` × `part` of it. */
function sharedTile(work: Product, part: 4 | 8): Kernel | null {
  const { rows, depth, columns } = work
  if (rows % 64 || columns % 64 || depth % 16) return null
  const side = 64 / part
  const threads = side * side
  const fours = part / 4
  const sums = range(part).flatMap((m) => range(fours).map((n) => [m, n] as const))
  const loads = range(256 / threads).map((k) => k * threads)
  return {
    name: `workgroup memory 64×64, ${part}×${part}`,
    workgroups: [columns / 64, rows / 64, batchOf(work)],
    wgsl: `${arrays}
var<workgroup> xs: array<f32, ${64 * 16}>; // [depth, row]
var<workgroup> ys: array<vec4f, ${(16 * 64) / 4}>; // [depth, column]
@compute @workgroup_size(${side}, ${side})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) id: vec3u, @builtin(local_invocation_index) index: u32) {
  ${sums.map(([m, n]) => `var s${m}_${n} = vec4f();`).join(' ')}
  for (var k = 0u; k < ${depth / 16}u; k++) {
    ${loads
      .map(
        (offset, i) => `
    let at${i} = index + ${offset}u;
    let a${i} = x[(group.z * ${rows}u + group.y * 64u + at${i} / 4u) * ${depth / 4}u + k * 4u + at${i} % 4u];
    for (var part = 0u; part < 4u; part++) { xs[(at${i} % 4u * 4u + part) * 64u + at${i} / 4u] = a${i}[part]; }
    ys[at${i}] = y[(group.z * ${depth}u + k * 16u + at${i} / 16u) * ${columns / 4}u + group.x * 16u + at${i} % 16u];`,
      )
      .join('')}
    workgroupBarrier();
    for (var d = 0u; d < 16u; d++) {
      ${range(part)
        .map((m) => `let a${m} = vec4f(xs[d * 64u + id.y * ${part}u + ${m}u]);`)
        .join(' ')}
      ${range(fours)
        .map((n) => `let b${n} = ys[d * 16u + id.x * ${fours}u + ${n}u];`)
        .join(' ')}
      ${sums.map(([m, n]) => `s${m}_${n} = fma(a${m}, b${n}, s${m}_${n});`).join(' ')}
    }
    workgroupBarrier();
  }
  let to = (group.z * ${rows}u + group.y * 64u + id.y * ${part}u) * ${columns / 4}u + group.x * 16u + id.x * ${fours}u;
  ${sums.map(([m, n]) => `z[to + ${m * (columns / 4) + n}u] = s${m}_${n};`).join('\n  ')}
}`,
  }
}

/** For few rows: the depth is shared out among sixteen invocations, whose sums are added up at the end. */
function splitDepth(work: Product): Kernel | null {
  const { rows, depth, columns } = work
  if (rows > 4 || columns % 64 || depth % 64) return null // more rows do not fit in the memory of a workgroup
  const part = depth / 16
  return {
    name: 'depth split by 16',
    workgroups: [columns / 64, 1, batchOf(work)],
    wgsl: `${arrays}
var<workgroup> partial: array<vec4f, ${rows * 256}>;
@compute @workgroup_size(16, 16)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(local_invocation_index) index: u32, @builtin(local_invocation_id) local: vec3u) {
  ${range(rows)
    .map((m) => `var s${m} = vec4f();`)
    .join(' ')}
  for (var k = local.y * ${part / 4}u; k < (local.y + 1u) * ${part / 4}u; k++) {
    ${range(rows)
      .map((m) => `let a${m} = x[(id.z * ${rows}u + ${m}u) * ${depth / 4}u + k];`)
      .join(' ')}
    for (var part = 0u; part < 4u; part++) {
      let b = y[(id.z * ${depth}u + 4u * k + part) * ${columns / 4}u + id.x];
      ${range(rows)
        .map((m) => `s${m} = fma(vec4f(a${m}[part]), b, s${m});`)
        .join(' ')}
    }
  }
  ${range(rows)
    .map((m) => `partial[${m * 256}u + index] = s${m};`)
    .join(' ')}
  workgroupBarrier();
  if (local.y < ${rows}u) {
    var sum = vec4f();
    for (var k = 0u; k < 16u; k++) { sum += partial[local.y * 256u + k * 16u + local.x]; }
    z[(id.z * ${rows}u + local.y) * ${columns / 4}u + id.x] = sum;
  }
}`,
  }
}

const productKernels = (work: Product): (Kernel | null)[] => [
  registerTile(work, 4, 4),
  registerTile(work, 4, 8),
  registerTile(work, 8, 8),
  ...(work.rows <= 8
    ? [1, 2].flatMap((tall) => [4, 8].map((wide) => registerTile(work, tall, wide, [64, 1])))
    : []),
  registerTile(work, 8, 4, [64, 1]),
  sharedTile(work, 4),
  sharedTile(work, 8),
  splitDepth(work),
]

/** `z = value(a)` for each four elements `a` of x; an invocation takes `run` of them. */
function elementKernels(size: number, value: string): Kernel[] {
  return [64, 256].flatMap((group) =>
    [1, 4].map((run) => ({
      name: `groups of ${group}, ${4 * run} elements each`,
      workgroups: [size / 4 / group / run, 1, 1] as const,
      wgsl: `
@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> z: array<vec4f>;
@compute @workgroup_size(${group})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) index: u32) {
  ${range(run)
    .map(
      (k) => `{ let i = group.x * ${group * run}u + ${k * group}u + index; let a = x[i]; z[i] = ${value}; }`,
    )
    .join('\n  ')}
}`,
    })),
  )
}

/** What npm `webgpu` makes, for the life of the process. */
const kept: GPU[] = []

/** A device on the adapter of the library; `unchecked` ones do not keep indices within their arrays. */
export async function open(unchecked: boolean): Promise<GPUDevice> {
  const { source, name } = await deviceReport()
  process.env.COTANGENT_ADAPTER = source
  const choice = await chooseAdapter()
  let { adapter } = choice
  if (unchecked) {
    const gpu = create(['enable-dawn-features=disable_robustness'])
    kept.push(gpu)
    const other = await gpu.requestAdapter({ powerPreference: 'high-performance' })
    if (other?.info.description !== adapter.info.description)
      throw new Error(`without checks there is ${other?.info.description ?? 'no adapter'}, not ${name}`)
    adapter = other
  }
  const { maxBufferSize, maxStorageBufferBindingSize } = adapter.limits
  return adapter.requestDevice({ requiredLimits: { maxBufferSize, maxStorageBufferBindingSize } })
}

const storage = bufferUsage.STORAGE | bufferUsage.COPY_SRC | bufferUsage.COPY_DST

/** Some inputs, a result of so many bytes, and kernels that compute it, of which the fastest is kept. */
export async function fastest(
  device: GPUDevice,
  inputs: readonly (Float32Array | Uint32Array)[],
  bytes: number,
  kernels: readonly (Kernel | null)[],
): Promise<Ready & { readonly milliseconds: number }> {
  const result = device.createBuffer({ size: bytes, usage: storage })
  const buffers = inputs.map((data) => {
    const buffer = device.createBuffer({ size: data.byteLength, usage: storage })
    device.queue.writeBuffer(buffer, 0, data as GPUAllowSharedBufferSource)
    return buffer
  })
  const runOf = async ({ wgsl, name, workgroups }: Kernel): Promise<() => Promise<void>> => {
    const module = device.createShaderModule({ label: name, code: wgsl })
    const pipeline = await device.createComputePipelineAsync({ layout: 'auto', compute: { module } })
    const entries = [...buffers, result].map((buffer, binding) => ({ binding, resource: { buffer } }))
    const group = device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries })
    return async () => {
      const encoder = device.createCommandEncoder()
      const pass = encoder.beginComputePass()
      pass.setPipeline(pipeline)
      pass.setBindGroup(0, group)
      pass.dispatchWorkgroups(...workgroups)
      pass.end()
      device.queue.submit([encoder.finish()])
      await device.queue.onSubmittedWorkDone()
    }
  }
  let best: {
    readonly run: () => Promise<void>
    readonly name: string
    readonly milliseconds: number
  } | null = null
  for (const kernel of kernels) {
    if (kernel === null) continue
    const run = await runOf(kernel)
    await run()
    let milliseconds = Number.POSITIVE_INFINITY
    for (let k = 0; k < 3; k++) {
      const start = performance.now()
      await run()
      milliseconds = Math.min(milliseconds, performance.now() - start)
    }
    if (best === null || milliseconds < best.milliseconds) best = { run, name: kernel.name, milliseconds }
  }
  if (best === null) throw new Error('no kernel is written for these sizes')
  const { run, name, milliseconds } = best
  return {
    first: async () => {
      await run()
      const staging = device.createBuffer({ size: bytes, usage: bufferUsage.MAP_READ | bufferUsage.COPY_DST })
      const encoder = device.createCommandEncoder()
      encoder.copyBufferToBuffer(result, 0, staging, 0, bytes)
      device.queue.submit([encoder.finish()])
      await staging.mapAsync(1)
      const elements = new Float32Array(staging.getMappedRange().slice(0))
      staging.destroy()
      return [elements]
    },
    run,
    close: () => {
      for (const buffer of [...buffers, result]) buffer.destroy()
    },
    plannedBytes: null,
    note: name,
    milliseconds,
  }
}

const floats = (name: string, ...shape: number[]): Float32Array => noise(name, shape).data as Float32Array

const contender = (name: string, unchecked: boolean): Contender => {
  let opening: Promise<GPUDevice> | null = null
  return {
    name,
    onAdapter: true,
    spent: () => null,
    async prepare(work) {
      opening ??= open(unchecked)
      const device = await opening
      if (work.kind === 'product') {
        const { batch, rows, depth, columns } = work
        const inputs = [floats('x', ...batch, rows, depth), floats('y', ...batch, depth, columns)]
        return fastest(device, inputs, 4 * batchOf(work) * rows * columns, productKernels(work))
      }
      if (work.kind !== 'chain' && work.kind !== 'copy') return null
      const value = work.kind === 'copy' ? 'a + 1.0' : 'max(a * 1.5 + 0.5, vec4f()) * a - 0.25'
      return fastest(device, [floats('x', work.size)], 4 * work.size, elementKernels(work.size, value))
    },
  }
}

export const wgsl = contender('wgsl', false)

/** Without the checks of indices that WebGPU makes. */
export const wgslUnchecked = contender('wgsl-unchecked', true)
