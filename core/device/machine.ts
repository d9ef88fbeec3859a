// What computes: memory for arrays, and programs over it. A GPU by WebGPU is one, the CPU by WebAssembly the other; the queue
// of programs does not know which.

import type { DeviceError, Text } from './errors.ts'
import type { Timer } from './timer.ts'

/** Memory of a machine: a buffer of a GPU, or a range of WebAssembly's. */
export type Memory = object

/** A part of some memory. */
export interface Slice<M extends Memory = Memory> {
  readonly buffer: M
  readonly offset: number
  readonly size: number
}

/** What a machine did and holds since it was opened. */
export interface DeviceStatistics {
  readonly submits: number
  readonly dispatches: number
  readonly pipelines: number
  /** Bytes of buffers that arrays and running programs hold, of those kept for reuse, and the most there ever were of both. */
  readonly liveBytes: number
  readonly pooledBytes: number
  readonly peakBytes: number
  /** Buffers that arrays and running programs hold. */
  readonly liveBuffers: number
  /** Intermediates of the program that needs most of them. */
  readonly plannedBytes: number
}

export interface Machine {
  /** The first error, after which nothing here counts any more. */
  readonly failure: DeviceError | null
  readonly statistics: DeviceStatistics
  /** Throws once anything has gone wrong. */
  check(): void
  /** What to report of an error: the machine's failure where that is the cause. */
  blame(error: unknown): Promise<unknown>
  /** Fails where an array of so many bytes cannot be, whatever memory there is. */
  requireFit(bytes: number, what: Text): void
  /** Memory of at least `bytes` whose contents are arbitrary. `what` it is for goes into the error if there is none. */
  allocate(bytes: number, what: Text): Promise<Memory>
  recycle(memory: Memory): void
  /** Puts an array's words where it lies. */
  write(slice: Slice, data: ArrayBufferView, what: Text): Promise<void>
  /** The first `bytes` of a slice, when everything asked for so far has run: `copied` once that is asked for. */
  read(slice: Slice, bytes: number, what: Text): Promise<{ readonly copied: Promise<ArrayBuffer> }>
  /** Waits until few enough programs are in flight. */
  throttle(): Promise<void>
  /** Waits until everything asked for has run. */
  drain(): Promise<void>
}

/** A program that is ready to run on a machine. */
export interface Executable {
  /** Its results in the parts that each have to lie in one buffer, one behind the other. */
  units(outputs: number): readonly (readonly number[])[]
  /** Memory for its results, which may be that of earlier runs. */
  outputs(sizes: readonly number[], allocate: (k: number) => Promise<Memory>): Promise<readonly Memory[]>
  run(inputs: readonly Slice[], outputs: readonly Slice[], timer: Timer | null): Promise<void>
}

/** Buffers are a multiple of this many bytes, so that sizes repeat and vectors of four words fit. */
const granule = 256

/** What an array of so many bytes takes of a buffer. */
export const roomFor = (bytes: number): number => Math.max(1, Math.ceil(bytes / granule)) * granule

/** The results of a plan in the parts that have to lie side by side. */
export function unitsOf(
  packs: readonly { readonly kind: 'input' | 'output'; readonly indices: readonly number[] }[],
  outputs: number,
): readonly (readonly number[])[] {
  const blocks = packs.filter(({ kind }) => kind === 'output').map(({ indices }) => indices)
  const packed = new Set(blocks.flat())
  const others = Array.from({ length: outputs }, (_, k) => k).filter((k) => !packed.has(k))
  return [...blocks, ...others.map((k) => [k])]
}

/** Slices as one, if they lie one behind the other. */
export function joined<M extends Memory>(slices: readonly Slice<M>[]): Slice<M> | null {
  const { buffer, offset } = slices[0]!
  let end = offset
  for (const slice of slices) {
    if (slice.buffer !== buffer || slice.offset !== end) return null
    end += slice.size
  }
  return { buffer, offset, size: end - offset }
}
