// How long single kernels take, by the device's own clock. While a timer runs, each dispatch is a pass with a timestamp at both
// ends; without one, programs are recorded as ever.

import './gpu.ts'
import { bufferUsage, mapMode } from './adapter.ts'
import { Device } from './device.ts'
import { openMachine } from './open.ts'

/** What a step of a program is, for people. */
export interface TimedStep {
  readonly name: string
  /** The module, or what else tells it from others; null if the host does it. */
  readonly wgsl: string | null
  readonly workgroups: readonly [number, number, number]
  about(): {
    readonly kind: string
    readonly equations: readonly string[]
    readonly line: string | null
    readonly layer: string | null
  }
  cost(): { readonly flops: number; readonly bytes: number }
}

/** When something began, and how long it took, in milliseconds. */
interface Interval {
  readonly start: number
  readonly milliseconds: number
}

/** A step, and when it ran. */
export interface Timed extends Interval {
  readonly step: TimedStep
}

/** Dispatches between two submissions: a query set holds 4096 timestamps. */
const maxTimed = 2048

/** The timestamps of the passes of one command buffer. */
export class Stamps {
  readonly #device: Device
  readonly #queries: GPUQuerySet
  #passes = 0

  constructor(device: Device) {
    this.#device = device
    this.#queries = device.gpu.createQuerySet({ type: 'timestamp', count: 2 * maxTimed })
  }

  get full(): boolean {
    return this.#passes === maxTimed
  }

  /** One more pass. */
  pass(label: string): GPUComputePassDescriptor {
    const first = 2 * this.#passes++
    return {
      label,
      timestampWrites: {
        querySet: this.#queries,
        beginningOfPassWriteIndex: first,
        endOfPassWriteIndex: first + 1,
      },
    }
  }

  /** Ends the commands with a copy of the timestamps. What it returns reads that, once the commands are submitted. */
  copy(encoder: GPUCommandEncoder): () => Promise<Interval[]> {
    const { gpu } = this.#device
    const size = 16 * this.#passes
    const resolved = gpu.createBuffer({ size, usage: bufferUsage.QUERY_RESOLVE | bufferUsage.COPY_SRC })
    const staging = gpu.createBuffer({ size, usage: bufferUsage.MAP_READ | bufferUsage.COPY_DST })
    encoder.resolveQuerySet(this.#queries, 0, 2 * this.#passes, resolved, 0)
    encoder.copyBufferToBuffer(resolved, 0, staging, 0, size)
    return async () => {
      try {
        await this.#device.until(staging.mapAsync(mapMode.READ))
        const nanoseconds = new BigUint64Array(staging.getMappedRange())
        return Array.from({ length: this.#passes }, (_, k) => {
          const [begin, end] = [nanoseconds[2 * k]!, nanoseconds[2 * k + 1]!]
          const milliseconds = Math.max(0, Number(end - begin) / 1e6) // a clock may be set back
          return { start: Number(begin) / 1e6, milliseconds }
        })
      } finally {
        for (const resource of [resolved, staging, this.#queries]) resource.destroy()
      }
    }
  }
}

/** Times every program that is launched while it runs. */
export class Timer {
  /** What the host did, timed by the host's clock. */
  readonly host: Timed[] = []
  readonly #batches: Promise<Timed[]>[] = []

  /** Notes that the host has done a step. */
  onHost({ name, about }: Pick<TimedStep, 'name' | 'about'>, start: number): void {
    const step: TimedStep = {
      name,
      about,
      wgsl: null,
      workgroups: [0, 0, 0],
      cost: () => ({ flops: 0, bytes: 0 }),
    }
    this.host.push({ step, start, milliseconds: performance.now() - start })
  }

  /** Takes the times of steps that were submitted just now. */
  take(steps: readonly TimedStep[], times: Promise<Interval[]>): void {
    const batch = times.then((intervals) =>
      intervals.map((interval, k) => ({ ...interval, step: steps[k]! })),
    )
    batch.catch(() => {}) // reported to who asks for all
    this.#batches.push(batch)
  }

  /** The dispatches in the order in which they were submitted. */
  async dispatches(): Promise<Timed[]> {
    const all = (await Promise.all(this.#batches)).flat()
    const first = all[0]?.start ?? 0
    return all.map((timed) => ({ ...timed, start: timed.start - first }))
  }
}

let running: Timer | null = null

/** The timer of programs that are launched now. */
export const currentTimer = (): Timer | null => running

/** Runs `f` with a timer for what is launched until its promise settles; an error where the adapter has no clock. */
export async function withTimer<T>(f: (timer: Timer) => Promise<T>): Promise<T> {
  const machine = await openMachine()
  if (machine instanceof Device && !machine.gpu.features.has('timestamp-query'))
    throw new Error(
      `profile: ${machine.choice.name} has no timestamp queries; time whole calls instead, from synchronize() to synchronize()`,
    )
  if (running !== null) throw new Error('profile: another profile is being taken; await it first')
  const timer = new Timer()
  running = timer
  try {
    return await f(timer)
  } finally {
    running = null
  }
}
