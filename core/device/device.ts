// A device with its buffers and pipelines. Buffers are kept for reuse by size, pipelines by the text of their module, and
// the first error is kept too: after it nothing is read as if nothing had happened.

import './gpu.ts'
import { bufferUsage, type Choice, chooseAdapter, mapMode, shaderStage } from './adapter.ts'

/** What the device did and holds since it was opened. */
export interface DeviceStatistics {
  readonly submits: number
  readonly dispatches: number
  readonly pipelines: number
  /** Bytes of buffers that arrays and running programs hold, of those kept for reuse, and the most there ever were of both. */
  readonly liveBytes: number
  readonly pooledBytes: number
  readonly peakBytes: number
}

const storageUsage = bufferUsage.STORAGE | bufferUsage.COPY_SRC | bufferUsage.COPY_DST
const readUsage = bufferUsage.MAP_READ | bufferUsage.COPY_DST

/** Free buffers beyond this many bytes are given back to the system. */
const maxPooledBytes = 512 * 2 ** 20

/** New buffers of this size are asked for with care: the system may refuse them. */
const largeBytes = 2 ** 20

/** Programs in flight at most; more would only fill memory. */
const maxInFlight = 2

/** Buffers are a multiple of this many bytes, so that sizes repeat and vectors of four words fit. */
const granule = 256

const wantedLimits = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxStorageBuffersPerShaderStage',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
  'maxComputeWorkgroupStorageSize',
] as const

export class Device {
  readonly gpu: GPUDevice
  readonly choice: Choice
  /** Arrays that one kernel may read besides the one it writes. */
  readonly maxInputs: number
  failure: Error | null = null
  readonly #free = new Map<number, GPUBuffer[]>()
  readonly #pipelines = new Map<string, Promise<GPUComputePipeline>>()
  readonly #layouts = new Map<number, GPUBindGroupLayout>()
  readonly #ids = new WeakMap<GPUBuffer, number>()
  readonly #inFlight: Promise<unknown>[] = []
  readonly #counts = { submits: 0, dispatches: 0, liveBytes: 0, pooledBytes: 0, peakBytes: 0, buffers: 0 }

  private constructor(gpu: GPUDevice, choice: Choice) {
    this.gpu = gpu
    this.choice = choice
    this.maxInputs = gpu.limits.maxStorageBuffersPerShaderStage - 1
    gpu.addEventListener('uncapturederror', ({ error }) => {
      this.failure ??= new Error(`device: ${error.message}; this is a defect of the compiler`)
    })
    gpu.lost.then(({ message, reason }) => {
      this.failure ??= new Error(`device: lost (${reason}): ${message}; start again from a checkpoint`)
    })
  }

  static async open(): Promise<Device> {
    const choice = await chooseAdapter()
    const { adapter } = choice
    const requiredLimits = Object.fromEntries(wantedLimits.map((name) => [name, adapter.limits[name]]))
    const optional: GPUFeatureName[] = ['shader-f16', 'subgroups', 'timestamp-query']
    const requiredFeatures = optional.filter((feature) => adapter.features.has(feature))
    return new Device(await adapter.requestDevice({ requiredLimits, requiredFeatures }), choice)
  }

  get statistics(): DeviceStatistics {
    const { submits, dispatches, liveBytes, pooledBytes, peakBytes } = this.#counts
    return { submits, dispatches, pipelines: this.#pipelines.size, liveBytes, pooledBytes, peakBytes }
  }

  /** Rejects once anything has gone wrong on the device. */
  check(): void {
    if (this.failure !== null) throw this.failure
  }

  /** A buffer of at least `bytes` whose contents are arbitrary. `what` it is for goes into the error if there is none. */
  async allocate(bytes: number, what: string): Promise<GPUBuffer> {
    const size = Math.max(1, Math.ceil(bytes / granule)) * granule
    const { maxBufferSize, maxStorageBufferBindingSize } = this.gpu.limits
    const most = Math.min(maxBufferSize, maxStorageBufferBindingSize)
    if (size > most)
      throw new RangeError(`device: ${what} has ${bytes} bytes, but an array can have ${most} here; split it`)
    const pooled = this.#free.get(size)?.pop()
    if (pooled !== undefined) this.#counts.pooledBytes -= size
    const buffer = pooled ?? (await this.#create(size, what))
    this.#counts.liveBytes += size
    this.#counts.peakBytes = Math.max(
      this.#counts.peakBytes,
      this.#counts.liveBytes + this.#counts.pooledBytes,
    )
    return buffer
  }

  async #create(size: number, what: string): Promise<GPUBuffer> {
    if (size < largeBytes) return this.gpu.createBuffer({ size, usage: storageUsage })
    this.gpu.pushErrorScope('out-of-memory')
    const buffer = this.gpu.createBuffer({ size, usage: storageUsage })
    const error = await this.gpu.popErrorScope()
    if (error === null) return buffer
    const { liveBytes } = this.#counts
    throw new Error(
      `device: out of memory for ${what}, ${size} bytes, with ${liveBytes} in use; dispose of arrays or use smaller ones`,
    )
  }

  /** Takes a buffer back. What was submitted before still finds its contents. */
  recycle(buffer: GPUBuffer): void {
    const { size } = buffer
    this.#counts.liveBytes -= size
    if (this.#counts.pooledBytes + size > maxPooledBytes) {
      buffer.destroy()
      return
    }
    this.#counts.pooledBytes += size
    const free = this.#free.get(size) ?? []
    this.#free.set(size, free)
    free.push(buffer)
  }

  /** A number that tells buffers apart. */
  idOf(buffer: GPUBuffer): number {
    const known = this.#ids.get(buffer) ?? this.#counts.buffers++
    this.#ids.set(buffer, known)
    return known
  }

  /** The layout of a kernel with `inputs` arrays to read and one to write. */
  layout(inputs: number): GPUBindGroupLayout {
    const known = this.#layouts.get(inputs)
    if (known !== undefined) return known
    const entry = (binding: number, type: GPUBufferBindingType): GPUBindGroupLayoutEntry => ({
      binding,
      visibility: shaderStage.COMPUTE,
      buffer: { type },
    })
    const reads = Array.from({ length: inputs }, (_, k) => entry(k, 'read-only-storage'))
    const layout = this.gpu.createBindGroupLayout({ entries: [...reads, entry(inputs, 'storage')] })
    this.#layouts.set(inputs, layout)
    return layout
  }

  /** The pipeline of a module; modules with the same text share it. */
  pipeline(wgsl: string, name: string, inputs: number): Promise<GPUComputePipeline> {
    const known = this.#pipelines.get(wgsl)
    if (known !== undefined) return known
    // What is wrong with a module is reported by its pipeline, to the program that needs it and to no other.
    this.gpu.pushErrorScope('validation')
    const module = this.gpu.createShaderModule({ label: name, code: wgsl })
    this.gpu.popErrorScope().catch(() => {})
    const created = this.gpu
      .createComputePipelineAsync({
        label: name,
        layout: this.gpu.createPipelineLayout({ bindGroupLayouts: [this.layout(inputs)] }),
        compute: { module, entryPoint: 'main' },
      })
      .catch((error: Error) => {
        throw new Error(
          `device: kernel ${name} did not compile: ${error.message}; this is a defect of the compiler`,
        )
      })
    this.#pipelines.set(wgsl, created)
    return created
  }

  /** Submits the commands of a program with so many dispatches. */
  submit(commands: GPUCommandBuffer, dispatches: number): void {
    this.gpu.queue.submit([commands])
    this.#counts.submits += 1
    this.#counts.dispatches += dispatches
    this.#inFlight.push(this.gpu.queue.onSubmittedWorkDone())
  }

  /** Waits until few enough programs are in flight. */
  async throttle(): Promise<void> {
    while (this.#inFlight.length > maxInFlight) await this.#inFlight.shift()
  }

  /** Waits until everything submitted has run. */
  async drain(): Promise<void> {
    await this.gpu.queue.onSubmittedWorkDone()
    this.#inFlight.length = 0
    this.check()
  }

  /** The first `bytes` of a buffer, when everything submitted so far has run. */
  async read(buffer: GPUBuffer, bytes: number): Promise<ArrayBuffer> {
    const size = Math.max(4, bytes)
    const staging = this.gpu.createBuffer({ size, usage: readUsage })
    const encoder = this.gpu.createCommandEncoder()
    encoder.copyBufferToBuffer(buffer, 0, staging, 0, size)
    this.gpu.queue.submit([encoder.finish()])
    await staging.mapAsync(mapMode.READ)
    this.check()
    const copy = staging.getMappedRange().slice(0, bytes)
    staging.destroy()
    return copy
  }
}

let opening: Promise<Device> | null = null

/** The device of this thread, opened at its first use. */
export const openDevice = (): Promise<Device> => {
  opening ??= Device.open()
  return opening
}
