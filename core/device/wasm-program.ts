// Programs on the CPU: a module is made once, and a run is one call of it.

import { type Executable, joined, type Memory, type Slice, unitsOf } from './machine.ts'
import type { TimedStep, Timer } from './timer.ts'
import type { Region, WasmDevice } from './wasm-device.ts'
import { webAssembly } from './webassembly.ts'

/** What a compiler gives: a module whose `run(thread, threads, frame)` does everything, and how its frame is laid out. */
export interface WasmModule {
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly frame: {
    readonly starts: Readonly<Record<'input' | 'output' | 'slot' | 'pack' | 'table', number>>
    readonly scratch: number
    readonly sync: number
    readonly words: number
  }
  /** Bytes of memory for each thread. */
  readonly scratch: number
  /** Whether some of it is worth several threads. */
  readonly isShared: boolean
  readonly dispatches: number
  readonly slots: readonly number[]
  readonly packs: readonly { readonly kind: 'input' | 'output'; readonly indices: readonly number[] }[]
  readonly tables: readonly Uint32Array[]
  /** What is timed: the host is called with -1 - k when the kernel k is done. */
  readonly timed: readonly (Pick<TimedStep, 'name' | 'about' | 'cost'> & { readonly key: string })[]
  readonly host: readonly {
    readonly first: number
    readonly step: {
      readonly name: string
      readonly inputs: readonly { readonly bytes: number }[]
      about: TimedStep['about']
      run(words: readonly ArrayBuffer[]): readonly ArrayBufferView[]
    }
  }[]
}

/** Numbers by which threads know programs. */
let programs = 0

/** The memory of programs that nobody holds any more goes back, and threads forget them. */
const forgotten = new FinalizationRegistry<() => void>((forget) => forget())

type Entry = (thread: number, threads: number, frame: number) => void

/** Words by which threads wait for each other: how many came, how often all did, and whether one failed. */
const syncWords = 3

export class WasmProgram implements Executable {
  readonly #device: WasmDevice
  readonly #module: WasmModule
  readonly #run: Entry
  readonly #id = programs++
  readonly #frame: Region
  /** The kernels that are done in a timed run, and when. */
  #done: { readonly kernel: number; readonly at: number }[] = []
  #timer: Timer | null = null
  /** What went wrong on the host in the middle of a run, which is told when it ends: other threads wait for the rest. */
  #wrong: { readonly error: unknown } | null = null
  readonly #tables: readonly Region[]

  constructor(device: WasmDevice, module: WasmModule) {
    this.#device = device
    this.#module = module
    const { frame, slots, tables, dispatches, isShared } = module
    for (const bytes of slots) device.requireFit(bytes, 'an intermediate result')
    device.planned(
      dispatches,
      slots.reduce((total, bytes) => total + bytes, 0),
    )
    this.#frame = device.take(4 * (frame.words + syncWords), 'the addresses of a program')
    device.bytes(this.#frame.address, this.#frame.size).fill(0) // threads count on from there in every run
    this.#tables = tables.map((table) => {
      const region = device.take(table.byteLength, 'a table')
      device
        .bytes(region.address, table.byteLength)
        .set(new Uint8Array(table.buffer, table.byteOffset, table.byteLength))
      return region
    })
    const made = new webAssembly.Module(module.bytes)
    const self = new WeakRef(this)
    const { exports } = new webAssembly.Instance(made, {
      env: { memory: device.memory, host: (index: number) => self.deref()!.#onHost(index) },
    })
    this.#run = exports.run as Entry
    if (isShared) device.threads.announce(this.#id, made)
    const regions = [this.#frame, ...this.#tables]
    const id = this.#id
    forgotten.register(this, () => {
      for (const region of regions) device.give(region)
      if (isShared) device.threads.announce(id, null)
    })
  }

  units(outputs: number): readonly (readonly number[])[] {
    return unitsOf(this.#module.packs, outputs)
  }

  async outputs(
    sizes: readonly number[],
    allocate: (k: number) => Promise<Memory>,
  ): Promise<readonly Memory[]> {
    const made: Memory[] = []
    try {
      for (const k of sizes.keys()) made.push(await allocate(k))
    } catch (error) {
      for (const region of made) this.#device.recycle(region as Region)
      throw error
    }
    return made
  }

  async run(
    inputs: readonly Slice<Region>[],
    outputs: readonly Slice<Region>[],
    timer: Timer | null,
  ): Promise<void> {
    const { frame, slots, packs, dispatches, scratch, isShared } = this.#module
    const device = this.#device
    const taken: Region[] = []
    try {
      for (const bytes of slots) taken.push(await device.allocate(bytes, 'an intermediate result'))
      const starts = taken.map(({ address }) => address)
      const together: number[] = []
      for (const { kind, indices } of packs) {
        const parts = indices.map((k) => (kind === 'input' ? inputs : outputs)[k]!)
        const whole = joined(parts)
        if (whole !== null) {
          together.push(addressOf(whole))
          continue
        }
        const size = parts.reduce((sum, part) => sum + part.size, 0)
        taken.push(await device.allocate(size, `${parts.length} arguments side by side`))
        let to = taken.at(-1)!.address
        together.push(to)
        for (const part of parts) {
          device
            .bytes(0, device.memory.buffer.byteLength)
            .copyWithin(to, addressOf(part), addressOf(part) + part.size)
          to += part.size
        }
      }
      const threads = isShared ? device.threads.count : 1
      const own = device.scratch(threads * scratch)
      const words = new Uint32Array(device.memory.buffer, this.#frame.address, frame.words + syncWords)
      words.set(inputs.map(addressOf), frame.starts.input)
      words.set(outputs.map(addressOf), frame.starts.output)
      words.set(starts, frame.starts.slot)
      words.set(together, frame.starts.pack)
      words.set(
        this.#tables.map(({ address }) => address),
        frame.starts.table,
      )
      words[frame.scratch] = own
      const waits = this.#frame.address + 4 * frame.words
      words[frame.sync] = waits
      this.#done = []
      this.#wrong = null
      this.#timer = timer
      const began = performance.now()
      if (threads > 1) device.threads.begin(this.#id, this.#frame.address, waits)
      try {
        this.#run(0, threads, this.#frame.address)
      } catch (error) {
        if (threads > 1) device.threads.release(waits)
        throw device.fail('trap', (error as Error).message)
      }
      device.ran(dispatches)
      if (this.#wrong !== null) throw (this.#wrong as { readonly error: unknown }).error
      this.#time(timer, began)
    } finally {
      for (const region of taken) device.recycle(region)
    }
  }

  /** Tells a timer what was done when. */
  #time(timer: Timer | null, began: number): void {
    if (timer === null || this.#done.length === 0) return
    const starts = [began, ...this.#done.map(({ at }) => at)]
    timer.take(
      this.#done.map(({ kernel }): TimedStep => {
        const { key, ...step } = this.#module.timed[kernel]!
        return { ...step, wgsl: key, workgroups: [0, 0, 0] }
      }),
      Promise.resolve(this.#done.map(({ at }, k) => ({ start: starts[k]!, milliseconds: at - starts[k]! }))),
    )
  }

  #onHost(index: number): void {
    if (this.#wrong !== null) return
    try {
      this.#host(index)
    } catch (error) {
      this.#wrong = { error }
    }
  }

  /** Does what the host does in the middle of a run, with the arrays whose addresses are in the frame. */
  #host(index: number): void {
    if (index < 0) {
      this.#done.push({ kernel: -1 - index, at: performance.now() })
      return
    }
    const start = performance.now()
    const { step, first } = this.#module.host[index]!
    const device = this.#device
    const addresses = new Uint32Array(device.memory.buffer, this.#frame.address, this.#module.frame.words)
    const given = step.inputs.map(({ bytes }, k) => device.bytes(addresses[first + k]!, bytes).slice().buffer)
    for (const [k, data] of step.run(given as ArrayBuffer[]).entries()) {
      const { buffer, byteOffset, byteLength } = data
      const to = addresses[first + step.inputs.length + k]!
      device.bytes(to, byteLength).set(new Uint8Array(buffer, byteOffset, byteLength))
    }
    this.#timer?.onHost(step, start)
  }
}

const addressOf = ({ buffer, offset }: Slice<Region>): number => buffer.address + offset
