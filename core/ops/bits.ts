// Operations on bits, and the Threefry hash that random keys are made of.

import { type DType, isHalf } from '../dtype.ts'
import type { Scalar } from '../scalar.ts'
import * as scalar from '../scalar.ts'
import { bind, toArray } from '../trace.ts'
import type { ArrayLike, Value } from '../value.ts'
import { binary, elementwise, operands, unary } from './elementwise.ts'

const bitwise = ['i32', 'u32', 'bool'] as const
const whole = ['i32', 'u32'] as const

/** `x & y`; of bools, logical and. */
export const bitwiseAnd = binary({
  name: 'and',
  accepts: bitwise,
  jvp: null,
  reference: (x, y) => x & y,
  lower: scalar.and,
})

/** `x | y`; of bools, logical or. */
export const bitwiseOr = binary({
  name: 'or',
  accepts: bitwise,
  jvp: null,
  reference: (x, y) => x | y,
  lower: scalar.or,
})

/** `x ^ y`; of bools, whether they differ. */
export const bitwiseXor = binary({
  name: 'xor',
  accepts: bitwise,
  jvp: null,
  reference: (x, y) => x ^ y,
  lower: (x, y) => (x.dtype === 'bool' ? scalar.ne(x, y) : scalar.xor(x, y)),
})

/** `~x`; of bools, logical not. */
export const bitwiseNot = unary({
  name: 'not',
  accepts: bitwise,
  jvp: null,
  reference: (x, dtype) => (dtype === 'bool' ? 1 - x : ~x),
  lower: (x) => (x.dtype === 'bool' ? scalar.not(x) : scalar.xor(x, x.dtype === 'u32' ? 0xffffffff : -1)),
})

const inRange = (by: Scalar): Scalar => scalar.lt(scalar.cast(by, 'u32'), 32)
const places = (by: Scalar): Scalar => scalar.and(scalar.cast(by, 'u32'), 31)

/** `x · 2^by` without the bits that fall out; 0 for 32 places and more, as in XLA. */
export const shiftLeft = binary({
  name: 'shift_left',
  accepts: whole,
  jvp: null,
  reference: (x, by) => (by >>> 0 < 32 ? x << by : 0),
  lower: (x, by) => scalar.select(inRange(by), scalar.shiftLeft(x, places(by)), 0),
})

/** `⌊x / 2^by⌋`, keeping the sign of an i32; 0 or -1 for 32 places and more, as in XLA. */
export const shiftRight = binary({
  name: 'shift_right',
  accepts: whole,
  jvp: null,
  reference: (x, by, dtype) => {
    if (dtype === 'u32') return by < 32 ? x >>> by : 0
    return x >> (by >>> 0 < 32 ? by : 31)
  },
  lower: (x, by) =>
    x.dtype === 'u32'
      ? scalar.select(inRange(by), scalar.shiftRight(x, places(by)), 0)
      : scalar.shiftRight(x, scalar.select(inRange(by), places(by), 31)),
})

/** `⌊x / 2^by⌋` of the bits of `x` as an unsigned number; 0 for 32 places and more, as in XLA. */
export const shiftRightLogical = binary({
  name: 'shift_right_logical',
  accepts: whole,
  jvp: null,
  reference: (x, by) => (by >>> 0 < 32 ? x >>> by : 0),
  lower: (x, by) => {
    const shifted = scalar.shiftRight(scalar.bitcast(x, 'u32'), places(by))
    return scalar.bitcast(scalar.select(inRange(by), shifted, 0), x.dtype)
  },
})

/** How many bits are 1. */
export const populationCount = unary({
  name: 'population_count',
  accepts: whole,
  jvp: null,
  reference: (x) => {
    let count = 0
    for (let rest = x; rest !== 0; rest &= rest - 1) count++
    return count
  },
  lower: scalar.countOneBits,
})

/** How many zeros stand before the first bit that is 1; 32 for 0. */
export const countLeadingZeros = unary({
  name: 'clz',
  accepts: whole,
  jvp: null,
  reference: Math.clz32,
  lower: scalar.countLeadingZeros,
})

type BitcastParams = { readonly dtype: DType }

const words = new DataView(new ArrayBuffer(4))
const toWord = {
  f32: (x: number) => words.setFloat32(0, x),
  i32: (x: number) => words.setInt32(0, x),
  u32: (x: number) => words.setUint32(0, x),
}
const fromWord = {
  f32: () => words.getFloat32(0),
  i32: () => words.getInt32(0),
  u32: () => words.getUint32(0),
}
type Word = keyof typeof toWord

const toBits = (from: Word, to: Word) =>
  elementwise<BitcastParams>({
    name: 'bitcast',
    accepts: [from],
    result: () => to,
    jvp: null,
    reference: ([x]) => {
      toWord[from](x!)
      return fromWord[to]()
    },
    lower: ([x]) => scalar.bitcast(x!, to),
  })

const bitcasts = {
  f32: { f32: toBits('f32', 'f32'), i32: toBits('f32', 'i32'), u32: toBits('f32', 'u32') },
  i32: { f32: toBits('i32', 'f32'), i32: toBits('i32', 'i32'), u32: toBits('i32', 'u32') },
  u32: { f32: toBits('u32', 'f32'), i32: toBits('u32', 'i32'), u32: toBits('u32', 'u32') },
} as const

/** The same bits as another 32-bit dtype. */
export function bitcast(x: ArrayLike, dtype: Word): Value {
  const value = toArray(x)
  if (value.dtype === 'bool' || isHalf(value.dtype))
    throw new TypeError(`bitcast: ${value.aval} has no 32 bits of its own; cast it first`)
  return value.dtype === dtype ? value : bind(bitcasts[value.dtype][dtype], [value], { dtype })[0]!
}
bitcast.primitive = bitcasts.u32.f32

// ---- Threefry-2x32, 20 rounds (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011)

const rotations = [
  [13, 15, 26, 6],
  [17, 29, 16, 24],
] as const

/** The hash of the counter (x0, x1) under the key (k0, k1), in any arithmetic of 32-bit words. */
function threefry<T>(
  add: (a: T, b: T) => T,
  addNumber: (a: T, b: number) => T,
  xor: (a: T, b: T) => T,
  rotate: (a: T, by: number) => T,
  [k0, k1, c0, c1]: readonly [T, T, T, T],
  parity: (a: T) => T,
): [T, T] {
  const keys = [k0, k1, parity(xor(k0, k1))] as const
  let [x0, x1] = [add(c0, k0), add(c1, k1)]
  for (let group = 0; group < 5; group++) {
    for (const by of rotations[(group % 2) as 0 | 1]) {
      x0 = add(x0, x1)
      x1 = xor(rotate(x1, by), x0)
    }
    x0 = add(x0, keys[((group + 1) % 3) as 0 | 1 | 2])
    x1 = addNumber(add(x1, keys[((group + 2) % 3) as 0 | 1 | 2]), group + 1)
  }
  return [x0, x1]
}

type LaneParams = { readonly lane: 0 | 1 }

const threefryPrimitive = elementwise<LaneParams>({
  name: 'threefry2x32',
  accepts: ['u32'],
  jvp: null,
  reference: ([k0, k1, c0, c1], { lane }) =>
    threefry<number>(
      (a, b) => (a + b) | 0,
      (a, b) => (a + b) | 0,
      (a, b) => a ^ b,
      (a, by) => (a << by) | (a >>> (32 - by)),
      [k0!, k1!, c0!, c1!],
      (a) => a ^ 0x1bd11bda,
    )[lane],
  lower: ([k0, k1, c0, c1], { params: { lane } }) =>
    threefry<Scalar>(
      scalar.add,
      scalar.add,
      scalar.xor,
      (a, by) => scalar.or(scalar.shiftLeft(a, by), scalar.shiftRight(a, 32 - by)),
      [k0!, k1!, c0!, c1!],
      (a) => scalar.xor(a, 0x1bd11bda),
    )[lane],
})

/** One of the two words of Threefry-2x32 of the counter (c0, c1) under the key (k0, k1); all u32, broadcasting. */
export function threefry2x32(k0: ArrayLike, k1: ArrayLike, c0: ArrayLike, c1: ArrayLike, lane: 0 | 1): Value {
  return bind(threefryPrimitive, operands('threefry2x32', [k0, k1, c0, c1], 'u32'), { lane })[0]!
}
threefry2x32.primitive = threefryPrimitive
