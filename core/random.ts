// Random numbers from keys, as in `jax.random`: a key is two words, the numbers are the Threefry hash of their places under
// it, and equal keys give equal numbers. The bits are those of JAX with `jax_threefry_partitionable`, its default.

import { useKey } from './check.ts'
import { evaluate } from './jit.ts'
import {
  add,
  bitcast,
  bitwiseOr,
  bitwiseXor,
  iota,
  maximum,
  mul,
  reshape,
  shiftRight,
  slice,
  stack,
  sub,
  threefry2x32,
} from './ops/index.ts'
import { type Shape, sizeOf } from './shape.ts'
import { tensor } from './tensor.ts'
import { type ArrayLike, full, type Value, zeros } from './value.ts'

/** A `u32[2]` array. */
export type Key = Value

/** The key of a seed: its low 32 bits. */
export const key = (seed: number): Key =>
  tensor(new Uint32Array([0, Number(BigInt.asUintN(32, BigInt(Math.trunc(seed))))]))

const words = (k: Key): [Value, Value] => [
  reshape(slice(k, { start: [0], end: [1] }), []),
  reshape(slice(k, { start: [1], end: [2] }), []),
]

/** Both words of the hash of the places 0, 1, …, n - 1; after it the key is used. */
function hashOfPlaces(k: Key, size: number, use = 'gives numbers'): [Value, Value] {
  useKey(k, use)
  const [k0, k1] = words(k)
  const place = iota([size], { dtype: 'u32' })
  const hash = (lane: 0 | 1): Value => threefry2x32(k0, k1, zeros([size], 'u32'), place, lane)
  return [hash(0), hash(1)]
}

/** `count` new keys, `u32[count,2]`. */
export const split = (k: Key, count = 2): Value =>
  evaluate(() => stack(hashOfPlaces(k, count, 'is split'), { axis: 1 }))

/** FNV-1a of the text's UTF-16 units. */
function hashText(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return hash >>> 0
}

/** A key made of a key and a number, an array of one u32, or a text such as the path of a parameter. */
export function foldIn(k: Key, data: ArrayLike | string): Key {
  const word = typeof data === 'string' ? hashText(data) : typeof data === 'number' ? data >>> 0 : data
  return evaluate(() => {
    const [k0, k1] = words(k)
    const count = typeof word === 'number' ? full([], word, 'u32') : word
    const hash = (lane: 0 | 1): Value => threefry2x32(k0, k1, full([], 0, 'u32'), count, lane)
    return stack([hash(0), hash(1)])
  })
}

/** Random words, u32 of the given shape. */
export const bits = (k: Key, shape: Shape = []): Value =>
  evaluate(() => {
    const [high, low] = hashOfPlaces(k, sizeOf(shape))
    return reshape(bitwiseXor(high, low), shape)
  })

export interface UniformOptions {
  readonly minval?: number
  readonly maxval?: number
}

/** f32 from `minval` up to, not including, `maxval`: 23 random bits as the fraction of a number from 1 to 2, shifted. */
export const uniform = (k: Key, shape: Shape = [], { minval = 0, maxval = 1 }: UniformOptions = {}): Value =>
  evaluate(() => {
    const fraction = bitwiseOr(shiftRight(bits(k, shape), full([], 9, 'u32')), full([], 0x3f800000, 'u32'))
    const unit = sub(bitcast(fraction, 'f32'), 1)
    const width = Math.fround(Math.fround(maxval) - Math.fround(minval))
    return maximum(add(mul(unit, width), minval), minval)
  })
