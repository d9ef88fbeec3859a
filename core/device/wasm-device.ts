// The CPU as a machine: one WebAssembly memory in which all arrays lie.

import type { Candidate } from './adapter.ts'
import { collect } from './collect.ts'
import { DeviceError, DeviceLostError, OutOfMemoryError, type Text } from './errors.ts'
import { type DeviceStatistics, type Machine, roomFor, type Slice } from './machine.ts'
import { controlWords, Threads, threadCount } from './wasm-threads.ts'
import { webAssembly } from './webassembly.ts'

/** A range of the memory. */
export interface Region {
  readonly address: number
  readonly size: number
}

const pageBytes = 65536
const maxPages = 65536
const firstPages = 64

/** With more than this in use, and twice what was in use when it last ran, the collector is asked to run. */
const calmBytes = 128 * 2 ** 20
const calmBuffers = 2048

/** Milliseconds in which programs may run without a break. */
const breath = 10

export class WasmDevice implements Machine {
  readonly memory = new webAssembly.Memory({ initial: firstPages, maximum: maxPages, shared: true })
  /** Bytes that one array may have, and all together. */
  readonly maxBytes = (maxPages - 1) * pageBytes
  failure: DeviceError | null = null
  /** What is free, in the order of addresses; neighbours are one. */
  readonly #free: { address: number; size: number }[] = [
    { address: roomFor(1), size: firstPages * pageBytes - roomFor(1) }, // address 0 is nobody's
  ]
  readonly #counts = {
    submits: 0,
    dispatches: 0,
    pipelines: 0,
    liveBytes: 0,
    liveBuffers: 0,
    pooledBytes: 0,
    peakBytes: 0,
    plannedBytes: 0,
  }
  #collectAt = { bytes: calmBytes, buffers: calmBuffers }
  #breatheAt = 0
  #scratch: Region | null = null
  #threads: Threads | null = null

  /** What else was asked to compute, and why it does not. */
  readonly asked: readonly Candidate[]

  constructor(asked: readonly Candidate[] = []) {
    this.asked = asked
  }

  /** Starts its threads. */
  static async open(asked: readonly Candidate[]): Promise<WasmDevice> {
    const device = new WasmDevice(asked)
    const control = device.take(4 * controlWords, 'what threads wait for')
    device.bytes(control.address, control.size).fill(0)
    device.#threads = await Threads.start(device.memory, control.address, await threadCount())
    return device
  }

  /** Threads that it has, or will have in a moment. */
  get threadCount(): number {
    return this.threads.most
  }

  get threads(): Threads {
    if (this.#threads === null)
      throw new Error('device: its threads are not started; this is a defect of the runtime')
    return this.#threads
  }

  /** The address of so many bytes that the kernels of one run may use, and no other. */
  scratch(bytes: number): number {
    if (this.#scratch === null || this.#scratch.size < bytes) {
      if (this.#scratch !== null) this.give(this.#scratch)
      this.#scratch = null
      this.#scratch = this.take(bytes, 'the memory of threads')
    }
    return this.#scratch.address
  }

  get statistics(): DeviceStatistics {
    return { ...this.#counts }
  }

  check(): void {
    if (this.failure !== null) throw this.failure
  }

  async blame(error: unknown): Promise<unknown> {
    return error instanceof DeviceError ? error : (this.failure ?? error)
  }

  /** Nothing that was computed here counts any more. */
  fail(reason: string, message: string): DeviceError {
    this.failure ??= new DeviceLostError({ reason, message, liveBytes: this.#counts.liveBytes })
    this.#threads?.close()
    if (opened === this) [opened, opening] = [null, null]
    return this.failure
  }

  requireFit(bytes: number, what: Text): void {
    const limit = this.maxBytes
    const { liveBytes } = this.#counts
    if (bytes > limit)
      throw new OutOfMemoryError({ wanted: String(what), wantedBytes: bytes, limit, liveBytes })
  }

  async allocate(bytes: number, what: Text): Promise<Region> {
    this.requireFit(bytes, what)
    const { liveBytes, liveBuffers } = this.#counts
    if (liveBytes + bytes > this.#collectAt.bytes || liveBuffers >= this.#collectAt.buffers) {
      await collect()
      this.#collectAt = {
        bytes: Math.max(calmBytes, 2 * this.#counts.liveBytes),
        buffers: Math.max(calmBuffers, 2 * this.#counts.liveBuffers),
      }
    }
    const region = this.take(bytes, what)
    const counts = this.#counts
    counts.liveBytes += region.size
    counts.liveBuffers += 1
    counts.peakBytes = Math.max(counts.peakBytes, counts.liveBytes)
    return region
  }

  /** Memory for the machine itself, which is in no count. */
  take(bytes: number, what: Text): Region {
    const size = roomFor(bytes)
    let found = this.#free.find((range) => range.size >= size)
    if (found === undefined) {
      this.#grow(size, what)
      found = this.#free.at(-1)!
    }
    const region = { address: found.address, size }
    found.address += size
    found.size -= size
    if (found.size === 0) this.#free.splice(this.#free.indexOf(found), 1)
    return region
  }

  #grow(size: number, what: Text): void {
    const before = this.memory.buffer.byteLength
    const last = this.#free.at(-1)
    const there = last !== undefined && last.address + last.size === before ? last.size : 0
    const wanted = Math.ceil((size - there) / pageBytes)
    const { liveBytes } = this.#counts
    if (wanted > maxPages - before / pageBytes)
      throw new OutOfMemoryError({ wanted: String(what), wantedBytes: size, limit: null, liveBytes })
    // At least half as much again, so that growing is rare.
    const generous = Math.min(
      Math.max(wanted, Math.ceil(before / pageBytes / 2)),
      maxPages - before / pageBytes,
    )
    let grown = 0
    for (const pages of [generous, wanted]) {
      try {
        this.memory.grow(pages)
        grown = pages * pageBytes
        break
      } catch (error) {
        if (pages === wanted)
          throw new OutOfMemoryError({
            wanted: String(what),
            wantedBytes: size,
            limit: null,
            liveBytes,
            cause: (error as Error).message,
          })
      }
    }
    if (there > 0) last!.size += grown
    else this.#free.push({ address: before, size: grown })
  }

  recycle(region: Region): void {
    this.#counts.liveBytes -= region.size
    this.#counts.liveBuffers -= 1
    this.give(region)
  }

  /** Takes back what was taken. */
  give({ address, size }: Region): void {
    const free = this.#free
    let low = 0
    for (let high = free.length; low < high; ) {
      const middle = (low + high) >> 1
      if (free[middle]!.address < address) low = middle + 1
      else high = middle
    }
    const [before, after] = [free[low - 1], free[low]]
    const joinsBefore = before !== undefined && before.address + before.size === address
    const joinsAfter = after !== undefined && address + size === after.address
    if (joinsBefore && joinsAfter) {
      before.size += size + after.size
      free.splice(low, 1)
    } else if (joinsBefore) before.size += size
    else if (joinsAfter) {
      after.address = address
      after.size += size
    } else free.splice(low, 0, { address, size })
  }

  /** Notes what a program is: its kernels, and the bytes of its intermediates. */
  planned(pipelines: number, bytes: number): void {
    this.#counts.pipelines += pipelines
    this.#counts.plannedBytes = Math.max(this.#counts.plannedBytes, bytes)
  }

  /** Notes a run of so many dispatches. */
  ran(dispatches: number): void {
    this.#counts.submits += 1
    this.#counts.dispatches += dispatches
  }

  bytes(address: number, size: number): Uint8Array {
    return new Uint8Array(this.memory.buffer, address, size)
  }

  async write({ buffer, offset }: Slice<Region>, data: ArrayBufferView): Promise<void> {
    const { byteLength, byteOffset, buffer: source } = data
    this.bytes(buffer.address + offset, byteLength).set(new Uint8Array(source, byteOffset, byteLength))
  }

  async read({ buffer, offset }: Slice<Region>, bytes: number): Promise<{ copied: Promise<ArrayBuffer> }> {
    this.check()
    const copy = new ArrayBuffer(bytes)
    new Uint8Array(copy).set(this.bytes(buffer.address + offset, bytes))
    return { copied: Promise.resolve(copy) }
  }

  /** A run keeps its thread busy; now and then others get their turn, such as signals and timers. */
  async throttle(): Promise<void> {
    if (performance.now() < this.#breatheAt) return
    await new Promise((resolve) => (globalThis.setImmediate ?? setTimeout)(resolve))
    this.#breatheAt = performance.now() + breath
  }

  async drain(): Promise<void> {
    this.check()
  }
}

/** Whether memory can be shared among threads here: a page of a browser has to be isolated for that. */
export const hasThreads = (): boolean => typeof SharedArrayBuffer === 'function'

let opening: Promise<WasmDevice> | null = null
let opened: WasmDevice | null = null

/** The CPU of this thread, anew after it failed. */
export const openWasm = (asked: readonly Candidate[]): Promise<WasmDevice> => {
  opening ??= WasmDevice.open(asked).then(
    (device) => {
      opened = device
      return device
    },
    (error) => {
      opening = null
      throw error
    },
  )
  return opening
}
