// A device with its buffers and pipelines. Buffers are kept for reuse by size, pipelines by the text of their module, and
// the first error is kept too: after it nothing is read as if nothing had happened, and the next work gets a new device.

import './gpu.ts'
import { bufferUsage, type Choice, chooseAdapter, mapMode, shaderStage } from './adapter.ts'
import { collect } from './collect.ts'
import { CompileError, DeviceError, DeviceLostError, OutOfMemoryError, type Text } from './errors.ts'
import { type DeviceStatistics, type Machine, roomFor, type Slice as SliceOf } from './machine.ts'
import { expectNews } from './polling.ts'
import { counting } from './progress.ts'

const storageUsage = bufferUsage.STORAGE | bufferUsage.COPY_SRC | bufferUsage.COPY_DST
const readUsage = bufferUsage.MAP_READ | bufferUsage.COPY_DST

/** Free buffers beyond this many bytes are given back to the system. */
const maxPooledBytes = 512 * 2 ** 20

/** New buffers of this size are asked for with care: the system may refuse them. */
const largeBytes = 2 ** 20

/** With more than this in use, and twice what was in use when it last ran, the collector is asked to run. */
const calmBytes = 128 * 2 ** 20
const calmBuffers = 2048

/** Programs in flight at most; more would only fill memory. */
const maxInFlight = 2

/** A part of a buffer; it begins where it can be bound. */
export type Slice = SliceOf<GPUBuffer>

/** The whole of a buffer. */
export const wholeOf = (buffer: GPUBuffer): Slice => ({ buffer, offset: 0, size: buffer.size })

const wantedLimits = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxStorageBuffersPerShaderStage',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
  'maxComputeWorkgroupStorageSize',
] as const

export class Device implements Machine {
  readonly gpu: GPUDevice
  readonly choice: Choice
  /** Arrays that one kernel may bind. */
  readonly maxArrays: number
  /** Bytes that one array may have. */
  readonly #maxBytes: number
  /** Whether threads can exchange values by fours. */
  readonly quads: boolean
  /** Whether it computes on the CPU. */
  readonly software: boolean
  failure: DeviceError | null = null
  readonly #free = new Map<number, Set<GPUBuffer>>()
  readonly #pipelines = new Map<string, Promise<GPUComputePipeline>>()
  readonly #layouts = new Map<string, GPUBindGroupLayout>()
  readonly #sizes = new WeakMap<GPUBuffer, number>()
  readonly #inFlight: Promise<unknown>[] = []
  readonly #waiting = new Set<(error: Error) => void>()
  readonly #counts = {
    submits: 0,
    dispatches: 0,
    liveBytes: 0,
    liveBuffers: 0,
    pooledBytes: 0,
    peakBytes: 0,
    plannedBytes: 0,
  }
  #collectAt = { bytes: calmBytes, buffers: calmBuffers }

  private constructor(gpu: GPUDevice, choice: Choice) {
    this.gpu = gpu
    this.choice = choice
    const { maxStorageBuffersPerShaderStage, maxBufferSize, maxStorageBufferBindingSize } = gpu.limits
    this.maxArrays = maxStorageBuffersPerShaderStage
    this.#maxBytes = Math.min(maxBufferSize, maxStorageBufferBindingSize)
    this.quads = gpu.features.has('subgroups')
    this.software = choice.candidates.at(-1)?.fallback ?? false
    gpu.addEventListener('uncapturederror', ({ error }) => {
      const { message } = error
      const { liveBytes } = this.#counts
      if (error.constructor.name === 'GPUOutOfMemoryError')
        this.#fail(
          new OutOfMemoryError({
            wanted: 'a buffer',
            wantedBytes: 0,
            limit: null,
            liveBytes,
            cause: message,
          }),
        )
      else this.#fail(new DeviceLostError({ reason: 'invalid', message, liveBytes }))
    })
    gpu.lost.then(({ message, reason }) =>
      this.#fail(new DeviceLostError({ reason, message, liveBytes: this.#counts.liveBytes })),
    )
  }

  /** Nothing that was computed here counts any more: what waits is told, and the memory goes back. */
  #fail(failure: DeviceError): void {
    if (this.failure !== null) return
    this.failure = failure
    if (opened === this) [opened, opening] = [null, null]
    for (const reject of this.#waiting) reject(failure)
    this.#waiting.clear()
    this.#free.clear()
    setTimeout(() => this.gpu.destroy(), 0) // Dawn holds its lock while it reports an error, and destroying waits for that
  }

  /** What the promise brings, unless the device fails before; it may then never settle, or with a lesser error. */
  until<T>(promise: Promise<T>): Promise<T> {
    expectNews()
    return new Promise((resolve, reject) => {
      if (this.failure !== null) {
        promise.catch(() => {})
        reject(this.failure)
        return
      }
      this.#waiting.add(reject)
      const done = (settle: () => void) => {
        this.#waiting.delete(reject)
        settle()
      }
      promise.then(
        (value) => done(() => resolve(value)),
        async (error) => {
          await this.#news()
          done(() => reject(this.failure ?? error))
        },
      )
    })
  }

  /** Lets a loss that is under way be told. */
  #news(): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, 0))
  }

  /** What to report of an error: the device's failure where that is the cause. */
  async blame(error: unknown): Promise<unknown> {
    if (error instanceof DeviceError) return error
    await this.#news()
    return this.failure ?? error
  }

  static async open(chosen?: Choice): Promise<Device> {
    const choice = chosen ?? (await chooseAdapter())
    const { adapter } = choice
    const requiredLimits = Object.fromEntries(wantedLimits.map((name) => [name, adapter.limits[name]]))
    const optional: GPUFeatureName[] = ['shader-f16', 'subgroups', 'timestamp-query']
    const requiredFeatures = optional.filter((feature) => adapter.features.has(feature))
    return new Device(await adapter.requestDevice({ requiredLimits, requiredFeatures }), choice)
  }

  get statistics(): DeviceStatistics {
    return { ...this.#counts, pipelines: this.#pipelines.size }
  }

  /** Rejects once anything has gone wrong on the device. */
  check(): void {
    if (this.failure !== null) throw this.failure
  }

  /** Fails where an array of so many bytes cannot be, whatever memory there is. */
  requireFit(bytes: number, what: Text): void {
    const { liveBytes } = this.#counts
    const limit = this.#maxBytes
    if (bytes > limit)
      throw new OutOfMemoryError({ wanted: String(what), wantedBytes: bytes, limit, liveBytes })
  }

  /** Notes what the intermediates of a program take. */
  planned(bytes: number): void {
    this.#counts.plannedBytes = Math.max(this.#counts.plannedBytes, bytes)
  }

  /** A buffer of at least `bytes` whose contents are arbitrary. `what` it is for goes into the error if there is none. */
  async allocate(bytes: number, what: Text): Promise<GPUBuffer> {
    this.requireFit(bytes, what)
    const size = roomFor(bytes)
    const { liveBytes, liveBuffers } = this.#counts
    const { bytes: many, buffers } = this.#collectAt
    if (liveBytes + size > many || liveBuffers >= buffers) await this.#collect()
    for (const buffer of this.#free.get(size) ?? []) return this.#take(buffer, size)
    const buffer = await this.#create(size, what)
    this.#sizes.set(buffer, size)
    return this.#take(buffer, size)
  }

  /** This very buffer for an array of so many bytes, if it is free and of that size. */
  again(buffer: GPUBuffer | undefined, bytes: number): GPUBuffer | undefined {
    const size = roomFor(bytes)
    return buffer && this.#free.get(size)?.has(buffer) ? this.#take(buffer, size) : undefined
  }

  #take(buffer: GPUBuffer, size: number): GPUBuffer {
    const counts = this.#counts
    if (this.#free.get(size)?.delete(buffer)) counts.pooledBytes -= size
    counts.liveBytes += size
    counts.liveBuffers += 1
    counts.peakBytes = Math.max(counts.peakBytes, counts.liveBytes + counts.pooledBytes)
    return buffer
  }

  /** Frees arrays that nobody holds. What stays in use says when to ask again, so that this is rare. */
  async #collect(): Promise<void> {
    await collect()
    const { liveBytes, liveBuffers } = this.#counts
    this.#collectAt = {
      bytes: Math.max(calmBytes, 2 * liveBytes),
      buffers: Math.max(calmBuffers, 2 * liveBuffers),
    }
  }

  /** A new buffer. The system may refuse a large one; then all that can be freed is, and it is asked again. */
  async #create(size: number, what: Text): Promise<GPUBuffer> {
    if (size < largeBytes) return this.gpu.createBuffer({ size, usage: storageUsage })
    const make = () => this.gpu.createBuffer({ size, usage: storageUsage })
    try {
      return await this.#withMemory(size, what, make)
    } catch (error) {
      if (!(error instanceof OutOfMemoryError)) throw error
    }
    await collect()
    for (const buffers of this.#free.values()) for (const buffer of buffers) buffer.destroy()
    this.#free.clear()
    this.#counts.pooledBytes = 0
    // Dawn frees what was destroyed when work submitted after that is done.
    for (let turn = 0; turn < 2; turn++) {
      this.gpu.queue.submit([])
      await this.until(this.gpu.queue.onSubmittedWorkDone())
    }
    return this.#withMemory(size, what, make)
  }

  /** `f()`, where what it asks of the system may be refused. */
  async #withMemory<T>(bytes: number, what: Text, f: () => T): Promise<T> {
    this.gpu.pushErrorScope('out-of-memory')
    let made: T
    let refused: string | undefined
    try {
      made = f()
    } finally {
      refused = (await this.until(this.gpu.popErrorScope()))?.message
    }
    if (refused === undefined) return made
    const { liveBytes } = this.#counts
    throw new OutOfMemoryError({
      wanted: String(what),
      wantedBytes: bytes,
      limit: null,
      liveBytes,
      cause: refused,
    })
  }

  /** A buffer of a program's own, for as long as the program is held. */
  table(bytes: number): GPUBuffer {
    return this.gpu.createBuffer({ size: roomFor(bytes), usage: storageUsage })
  }

  /** Puts an array's words where it lies. */
  async write({ buffer, offset }: Slice, data: ArrayBufferView, what: Text): Promise<void> {
    const put = () => this.gpu.queue.writeBuffer(buffer, offset, data as GPUAllowSharedBufferSource)
    if (data.byteLength < largeBytes) put()
    else await this.#withMemory(data.byteLength, what, put)
  }

  /** Takes a buffer back. What was submitted before still finds its contents. */
  recycle(buffer: GPUBuffer): void {
    const size = this.#sizes.get(buffer)!
    this.#counts.liveBytes -= size
    this.#counts.liveBuffers -= 1
    if (this.failure !== null) return
    if (this.#counts.pooledBytes + size > maxPooledBytes) {
      buffer.destroy()
      return
    }
    this.#counts.pooledBytes += size
    const free = this.#free.get(size) ?? new Set()
    this.#free.set(size, free)
    free.add(buffer)
  }

  /** The layout of a kernel with `inputs` arrays to read and `outputs` to write. */
  layout(inputs: number, outputs: number): GPUBindGroupLayout {
    const key = `${inputs} ${outputs}`
    const known = this.#layouts.get(key)
    if (known !== undefined) return known
    const entries = Array.from(
      { length: inputs + outputs },
      (_, binding): GPUBindGroupLayoutEntry => ({
        binding,
        visibility: shaderStage.COMPUTE,
        buffer: { type: binding < inputs ? 'read-only-storage' : 'storage' },
      }),
    )
    const layout = this.gpu.createBindGroupLayout({ entries })
    this.#layouts.set(key, layout)
    return layout
  }

  /** The pipeline of a module; modules with the same text share it. */
  pipeline(wgsl: string, name: string, inputs: number, outputs: number): Promise<GPUComputePipeline> {
    const known = this.#pipelines.get(wgsl)
    if (known !== undefined) return known
    // What is wrong with a module is reported by its pipeline, to the program that needs it and to no other.
    this.gpu.pushErrorScope('validation')
    const module = this.gpu.createShaderModule({ label: name, code: wgsl })
    const invalid = this.until(this.gpu.popErrorScope()).then(
      (error) => error?.message,
      () => undefined,
    )
    const asked = this.gpu.createComputePipelineAsync({
      label: name,
      layout: this.gpu.createPipelineLayout({ bindGroupLayouts: [this.layout(inputs, outputs)] }),
      compute: { module, entryPoint: 'main' },
    })
    const created = this.until(asked).catch(async (error: Error) => {
      if (error instanceof DeviceError) throw error
      const { liveBytes } = this.#counts
      throw new CompileError({ kernel: name, wgsl, message: (await invalid) ?? error.message, liveBytes })
    })
    this.#pipelines.set(wgsl, created)
    counting(name, created)
    return created
  }

  /** Submits the commands of a program with so many dispatches. */
  submit(commands: GPUCommandBuffer, dispatches: number): void {
    this.gpu.queue.submit([commands])
    this.#counts.submits += 1
    this.#counts.dispatches += dispatches
    const done = this.until(this.gpu.queue.onSubmittedWorkDone())
    done.catch(() => {}) // reported to whoever reads
    this.#inFlight.push(done)
  }

  /** Waits until few enough programs are in flight. */
  async throttle(): Promise<void> {
    while (this.#inFlight.length > maxInFlight) await this.#inFlight.shift()
  }

  /** Waits until everything submitted has run. */
  async drain(): Promise<void> {
    await this.until(this.gpu.queue.onSubmittedWorkDone())
    this.#inFlight.length = 0
    this.check()
  }

  /** The first `bytes` of a slice, when everything submitted so far has run: `copied` once that is asked for. */
  async read(
    { buffer, offset }: Slice,
    bytes: number,
    what: Text,
  ): Promise<{ copied: Promise<ArrayBuffer> }> {
    const size = Math.max(4, bytes)
    const make = () => this.gpu.createBuffer({ size, usage: readUsage })
    const staging = size < largeBytes ? make() : await this.#withMemory(size, `a copy of ${what}`, make)
    const encoder = this.gpu.createCommandEncoder()
    encoder.copyBufferToBuffer(buffer, offset, staging, 0, size)
    this.gpu.queue.submit([encoder.finish()])
    return { copied: this.#contents(staging, bytes) }
  }

  async #contents(staging: GPUBuffer, bytes: number): Promise<ArrayBuffer> {
    try {
      await this.until(staging.mapAsync(mapMode.READ))
      this.check()
      return staging.getMappedRange().slice(0, bytes)
    } finally {
      staging.destroy()
    }
  }
}

let opening: Promise<Device> | null = null
let opened: Device | null = null

/** The device of this thread, opened at its first use, and anew after it was lost; on an adapter that was chosen, or on any. */
export const openDevice = (chosen?: Choice): Promise<Device> => {
  opening ??= Device.open(chosen).then((device) => {
    if (device.failure === null) opened = device
    else opening = null
    return device
  })
  return opening
}
