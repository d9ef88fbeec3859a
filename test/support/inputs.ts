// Inputs from seeds. The elements of one draw lie apart from each other, one in each of as many equal parts of the range, so
// that no two are a tie and small steps change no order.

import { wrap } from '../../core/dtype.ts'
import { type DType, type Shape, sizeOf } from '../../core/index.ts'
import { type HostArray, toNdArray } from './host.ts'

/** Numbers from 0 up to 1: mulberry32. */
export function generator(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Where an input's elements come from. */
export interface Domain {
  readonly shape: Shape
  readonly dtype: DType
  draw(random: () => number): HostArray
}

function shuffled(n: number, random: () => number): number[] {
  const order = Array.from({ length: n }, (_, k) => k)
  for (let k = n - 1; k > 0; k--) {
    const other = Math.floor(random() * (k + 1))
    ;[order[k], order[other]] = [order[other]!, order[k]!]
  }
  return order
}

/** f32 between `low` and `high`, spread. */
export const between = (low: number, high: number, shape: Shape): Domain => ({
  shape,
  dtype: 'f32',
  draw: (random) => {
    const n = sizeOf(shape)
    const place = (part: number): number => low + ((high - low) * (part + 0.25 + 0.5 * random())) / n
    return toNdArray(
      shuffled(n, random).map((part) => Math.fround(place(part))),
      shape,
    )
  },
})

/** The domain most functions are tried on; no element is near 0 or any other whole number. */
export const floats = (shape: Shape): Domain => {
  const inner = between(-2, 2, shape)
  const apart = (x: number): number => Math.fround(Math.floor(x) + 0.125 + 0.75 * (x - Math.floor(x)))
  return { ...inner, draw: (random) => toNdArray(inner.draw(random).data.map(apart), shape) }
}

/** Whole numbers from `low` to `high`, ties included. */
export const integers = (low: number, high: number, shape: Shape, dtype: DType = 'i32'): Domain => ({
  shape,
  dtype,
  draw: (random) =>
    toNdArray(
      Array.from({ length: sizeOf(shape) }, () => low + Math.floor(random() * (high - low + 1))),
      shape,
      dtype,
    ),
})

/** The same numbers, rounded to a 16-bit float. */
export const halves = (dtype: 'f16' | 'bf16', domain: Domain): Domain => ({
  ...domain,
  dtype,
  draw: (random) => toNdArray(domain.draw(random).data.map(wrap[dtype]), domain.shape, dtype),
})

export const bools = (shape: Shape): Domain => integers(0, 1, shape, 'bool')
export const words = (shape: Shape): Domain => integers(0, 2 ** 32 - 1, shape, 'u32')
