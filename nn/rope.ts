// Rotary position embedding (Su et al., "RoFormer", 2021, eq. 34), in the layout of Hugging Face's Llama: component i turns
// with component i + n/2. Angles are computed on the host in double precision.

import { add, flip, mul, reshape, type Tensor, tensor, type Value } from '../core/index.ts'

/** Llama 3.1's stretching of low frequencies, with the names of `rope_scaling` in config.json. */
export interface RopeScaling {
  readonly factor: number
  readonly lowFrequencyFactor: number
  readonly highFrequencyFactor: number
  readonly originalLength: number
}

/** The positions and the turns of a table. */
export interface RopeOptions {
  /** Positions 0 to `length` - 1. */
  readonly length: number
  /** Components of a head; even. */
  readonly headSize: number
  /** Component i turns by `theta^(-2i / headSize)` radians a position. */
  readonly theta: number
  readonly scaling?: RopeScaling | null
}

/** Cosines and signed sines of every position, `[length, headSize]` each. */
export interface RopeTable<T extends Value = Value> {
  readonly cos: T
  readonly sin: T
}

/** The turn per position of each pair of components, in radians. */
function frequencies({ headSize, theta, scaling }: RopeOptions): number[] {
  const plain = Array.from({ length: headSize / 2 }, (_, i) => theta ** ((-2 * i) / headSize))
  if (!scaling) return plain
  const { factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalLength } = scaling
  return plain.map((frequency) => {
    const turns = (originalLength * frequency) / (2 * Math.PI)
    const keep = Math.min(Math.max((turns - low) / (high - low), 0), 1)
    return keep * frequency + ((1 - keep) * frequency) / factor
  })
}

/** The table of a model, f32 `[length, headSize]` twice; make it once. */
export function ropeTable(options: RopeOptions): RopeTable<Tensor> {
  const { length, headSize } = options
  const turn = frequencies(options)
  const half = headSize / 2
  const table = (value: (angle: number, isFirstHalf: boolean) => number): Tensor =>
    tensor(
      Float32Array.from({ length: length * headSize }, (_, flat) => {
        const i = flat % headSize
        return value(Math.floor(flat / headSize) * turn[i % half]!, i < half)
      }),
      { shape: [length, headSize] },
    )
  return {
    cos: table((angle) => Math.cos(angle)),
    sin: table((angle, isFirstHalf) => (isFirstHalf ? -Math.sin(angle) : Math.sin(angle))),
  }
}

/** Turns each head of `x`, `[batch, time, heads, headSize]`, by its position; the table has a row for each time. */
export function rotate(x: Value, { cos, sin }: RopeTable): Value {
  const [batch, time, heads, size] = x.shape as [number, number, number, number]
  const row = (table: Value): Value => reshape(table, [time, 1, size]) // the same for every head
  const swapped = reshape(flip(reshape(x, [batch, time, heads, 2, size / 2]), { axis: 3 }), x.shape)
  return add(mul(x, row(cos)), mul(swapped, row(sin)))
}
