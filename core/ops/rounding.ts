// Rounding to whole numbers, and division that leaves a remainder. The functions are constant almost everywhere, so their
// derivatives are zero; that of a remainder is not.

import { isFloat } from '../dtype.ts'
import type { Scalar } from '../scalar.ts'
import * as scalar from '../scalar.ts'
import { bind, toArray } from '../trace.ts'
import { type ArrayLike, onesLike, type Value } from '../value.ts'
import { div, equal, less, mul, neg, notEqual, sub, where } from './arithmetic.ts'
import { power2 } from './elementary.ts'
import { add, binary, cast, elementwise, operands } from './elementwise.ts'
import { logicalAnd } from './logic.ts'
import { sign } from './sign.ts'

/** A function of floats that leaves integers and bools as they are. */
function rounding(name: string, reference: (x: number) => number, lower: (x: Scalar) => Scalar) {
  const primitive = elementwise<object>({
    name,
    accepts: ['f32'],
    jvp: null,
    reference: ([x]) => reference(x!),
    lower: ([x]) => lower(x!),
  })
  const apply = (x: ArrayLike): Value => {
    const value = toArray(x)
    return isFloat(value.dtype) ? bind(primitive, [value], {})[0]! : value
  }
  return Object.assign(apply, { primitive })
}

/** The largest whole number not above `x`. */
export const floor = rounding('floor', Math.floor, scalar.floor)

/** The smallest whole number not below `x`. */
export const ceil = rounding('ceil', Math.ceil, scalar.ceil)

/** The nearest whole number, and of two the even one. */
export const round = rounding('round', roundHalfEven, scalar.round)

/** The whole number next to `x` towards 0. */
export const trunc = rounding('trunc', Math.trunc, (x) =>
  scalar.select(scalar.lt(x, 0), scalar.ceil(x), scalar.floor(x)),
)

function roundHalfEven(x: number): number {
  const below = Math.floor(x)
  const rest = x - below
  if (rest !== 0.5) return Math.round(x)
  return below % 2 === 0 ? below : below + 1
}

// ---- remainders

const exponentBits = (x: Scalar): Scalar => scalar.and(scalar.shiftRight(x, 23), 0xff)
const fraction = (x: Scalar): Scalar => scalar.or(scalar.and(x, 0x7fffff), 0x800000)

/**
 * The exact remainder of floats, with the sign of x: long division of the fractions as integers, eight binary digits at a time.
 * An integer of 24 bits times 2^8 is no more than a word holds.
 */
function remainderOfFloats(x: Scalar, y: Scalar): Scalar {
  const size = (x: Scalar): Scalar => scalar.and(scalar.bitcast(x, 'u32'), 0x7fffffff)
  const [a, b] = [size(x), size(y)]
  const divisor = fraction(b)
  let left = scalar.sub(scalar.max(exponentBits(a), exponentBits(b)), exponentBits(b))
  let rest = scalar.rem(fraction(a), divisor)
  for (let digits = 0; digits < 254; digits += 8) {
    const step = scalar.min(left, 8)
    rest = scalar.rem(scalar.shiftLeft(rest, step), divisor)
    left = scalar.sub(left, step)
  }
  // The remainder is rest · 2^(exponent of y - 23), in two factors, for the second may be too small alone.
  const k = scalar.sub(scalar.bitcast(exponentBits(b), 'i32'), 127)
  const half = scalar.shiftRight(k, 1)
  const tiny = scalar.mul(scalar.cast(rest, 'f32'), 2 ** -23)
  const value = scalar.mul(scalar.mul(tiny, power2(half)), power2(scalar.sub(k, half)))
  const signed = scalar.select(scalar.lt(x, 0), scalar.neg(value), value)
  const defined = scalar.and(
    scalar.lt(a, 0x7f800000),
    scalar.and(scalar.le(0x800000, b), scalar.le(b, 0x7f800000)),
  )
  const nan = scalar.constant(Number.NaN, 'f32')
  return scalar.select(defined, scalar.select(scalar.lt(a, b), x, signed), nan)
}

/** Divisors for which the machine's division is defined. */
const nonzero = (y: Scalar): Scalar => scalar.select(scalar.eq(y, 0), scalar.constant(1, y.dtype), y)

/** Division of integers towards 0; -1 (all bits) by 0, as in XLA. */
const quotient = binary({
  name: 'quotient',
  accepts: ['i32', 'u32'],
  jvp: null,
  reference: (x, y) => (y === 0 ? -1 : Math.trunc(x / y)),
  lower: (x, y) =>
    scalar.select(
      scalar.eq(y, 0),
      scalar.constant(x.dtype === 'u32' ? 0xffffffff : -1, x.dtype),
      divided(x, y),
    ),
})

/** -2^31 / -1 wraps to -2^31; not every machine says so. */
const divided = (x: Scalar, y: Scalar): Scalar =>
  x.dtype === 'u32'
    ? scalar.div(x, nonzero(y))
    : scalar.select(scalar.eq(y, -1), scalar.sub(0, x), scalar.div(x, safe(y)))

/** A divisor that is neither 0 nor -1. */
const safe = (y: Scalar): Scalar =>
  scalar.select(scalar.lt(scalar.add(scalar.bitcast(y, 'u32'), 1), 2), scalar.constant(1, y.dtype), y)

/**
 * What division towards 0 leaves: `x - y · trunc(x / y)`, exactly, with the sign of `x`. Of floats NaN where `y` is 0, of integers
 * `x`. The derivative by `y` is `-trunc(x / y)`. Broadcasts.
 */
export const rem = binary({
  name: 'rem',
  accepts: ['f32', 'i32', 'u32'],
  jvp: [(t) => t, (t, [x, y]) => neg(mul(t, trunc(div(x!, y!))))],
  reference: (x, y, dtype) => (y === 0 && dtype !== 'f32' ? x : x % y),
  lower: (x, y) => {
    if (x.dtype === 'f32') return remainderOfFloats(x, y)
    const rest = x.dtype === 'u32' ? scalar.rem(x, nonzero(y)) : scalar.rem(x, safe(y))
    if (x.dtype === 'u32') return scalar.select(scalar.eq(y, 0), x, rest)
    return scalar.select(scalar.eq(y, 0), x, scalar.select(scalar.eq(y, -1), 0, rest))
  },
})

/** What division towards -∞ leaves: like `rem`, but with the sign of `y`, as Python's `%`. Of integers 0 where `y` is 0. Broadcasts. */
export function mod(x: ArrayLike, y: ArrayLike): Value {
  const [dividend, given] = operands('mod', [x, y])
  const divisor = isFloat(given!.dtype) ? given : where(equal(given!, 0), onesLike(given!), given!)
  const rest = rem(dividend!, divisor!)
  const other = notEqual(less(rest, 0), less(divisor!, 0))
  return where(logicalAnd(notEqual(rest, 0), other), add(rest, divisor!), rest)
}

/** `⌊x / y⌋`, broadcasting. Of integers an integer, and by 0 what XLA gives: -1 (or, of i32 below 0, -1 and one less). */
export function floorDivide(x: ArrayLike, y: ArrayLike): Value {
  const [dividend, divisor] = operands('floorDivide', [x, y])
  const rest = rem(dividend!, divisor!)
  if (dividend!.dtype === 'u32') return quotient(dividend!, divisor!)
  if (dividend!.dtype === 'i32') {
    const inexact = logicalAnd(notEqual(sign(dividend!), sign(divisor!)), notEqual(rest, 0))
    return sub(quotient(dividend!, divisor!), cast(inexact, 'i32'))
  }
  const whole = div(where(equal(divisor!, 0), dividend!, sub(dividend!, rest)), divisor!)
  const inexact = logicalAnd(notEqual(rest, 0), notEqual(sign(divisor!), sign(rest)))
  return round(sub(whole, cast(inexact, 'f32')))
}
