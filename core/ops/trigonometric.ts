// Angles: sine, cosine and tangent at any distance, and their inverses.

import type { Scalar } from '../scalar.ts'
import * as scalar from '../scalar.ts'
import { constant } from '../scalar.ts'
import { div, mul, neg, sub } from './arithmetic.ts'
import { inf, nan, rsqrt, settled } from './elementary.ts'
import { add, binary, unary } from './elementwise.ts'
import { square } from './power.ts'

const float = ['f32'] as const

interface Turned {
  /** x less the nearest multiple of π/2, and how often that was taken off, modulo 4. */
  readonly r: Scalar
  readonly quadrant: Scalar
}

/** 2/π as a binary fraction, 32 digits a word, behind 32 zeros. */
const turnsPerRadian = [
  0, 0xa2f9836e, 0x4e441529, 0xfc2757d1, 0xf534ddc0, 0xdb629599, 0x3c439041, 0xfe5163ab,
] as const

/** The upper word of a · b for an a of 24 bits, or one less: halves that a word has room to multiply. */
function upperProduct(a: Scalar, b: Scalar): Scalar {
  const [aHigh, aLow] = [scalar.shiftRight(a, 12), scalar.and(a, 0xfff)]
  const [bHigh, bLow] = [scalar.shiftRight(b, 16), scalar.and(b, 0xffff)]
  const top = scalar.mul(aHigh, bHigh)
  const middle = [
    scalar.shiftRight(scalar.mul(aLow, bLow), 16),
    scalar.mul(aLow, bHigh),
    scalar.shiftRight(scalar.mul(aHigh, bLow), 4),
    scalar.shiftLeft(scalar.and(top, 15), 12),
  ].reduce((a, b) => scalar.add(a, b))
  return scalar.add(scalar.shiftRight(top, 4), scalar.shiftRight(middle, 16))
}

/**
 * x + quarter·π/2 within an eighth of a turn around 0, for x of any size (Payne and Hanek, "Radian reduction for trigonometric
 * functions", 1983). The fraction of x, an integer of 24 bits, times the 96 digits of 2/π that matter for its exponent: those
 * before them only add whole turns.
 */
function turned(x: Scalar, quarter: number): Turned {
  const size = scalar.abs(x)
  const bits = scalar.bitcast(size, 'u32')
  const position = scalar.sub(scalar.max(scalar.shiftRight(bits, 23), 120), 120)
  const [word, place] = [scalar.shiftRight(position, 5), scalar.and(position, 31)]
  const digits = [0, 1, 2, 3].map((k) =>
    [1, 2, 3, 4].reduce(
      (found, by) => scalar.select(scalar.eq(word, by), constant(turnsPerRadian[k + by]!, 'u32'), found),
      constant(turnsPerRadian[k]!, 'u32'),
    ),
  )
  const [first, second, third] = [0, 1, 2].map((k) =>
    scalar.or(
      scalar.shiftLeft(digits[k]!, place),
      scalar.shiftRight(scalar.shiftRight(digits[k + 1]!, 1), scalar.sub(31, place)),
    ),
  ) as [Scalar, Scalar, Scalar]
  const whole = scalar.or(scalar.and(bits, 0x7fffff), 0x800000)
  const carried = upperProduct(whole, third)
  const lower = scalar.add(scalar.mul(whole, second), carried)
  const carry = scalar.select(scalar.lt(lower, carried), constant(1, 'u32'), 0)
  const upper = scalar.add(scalar.add(scalar.mul(whole, first), upperProduct(whole, second)), carry)

  // Two digits before the point and 62 behind it: the nearest quarter turn, and the rest as a sign and a magnitude.
  const turns = scalar.shiftRight(scalar.add(upper, 0x20000000), 30)
  const past = scalar.sub(upper, scalar.shiftLeft(turns, 30))
  const short = scalar.le(0x80000000, past)
  const borrow = scalar.select(scalar.eq(lower, 0), constant(0, 'u32'), 1)
  const rest = scalar.select(short, scalar.sub(0, scalar.add(past, borrow)), past)
  const below = scalar.select(short, scalar.sub(0, lower), lower)
  const high = scalar.mul(scalar.cast(scalar.shiftRight(rest, 16), 'f32'), 2 ** -15)
  const tiny = scalar.mul(scalar.cast(scalar.shiftRight(below, 8), 'f32'), 2 ** -24)
  const low = scalar.mul(scalar.add(scalar.cast(scalar.and(rest, 0xffff), 'f32'), tiny), 2 ** -31)
  // The leading digits of π times the 14 of `high` are exact. Both parts are below 2, and saying so keeps targets, which see
  // that they are positive, from adding their terms in another order.
  const main = scalar.min(scalar.mul(high, 3.140625), 2)
  const small = scalar.min(scalar.fma(high, Math.PI - 3.140625, scalar.mul(low, Math.PI)), 2)
  const radians = scalar.add(main, small)
  const negative = scalar.lt(x, 0)
  const near = scalar.lt(size, 0.785)
  const signedTurns = scalar.select(negative, scalar.sub(0, turns), turns)
  return {
    r: scalar.select(near, x, scalar.select(scalar.ne(negative, short), scalar.neg(radians), radians)),
    quadrant: scalar.and(scalar.add(scalar.select(near, constant(0, 'u32'), signedTurns), quarter), 3),
  }
}

const finite = (x: Scalar): Scalar => scalar.lt(scalar.and(scalar.bitcast(x, 'u32'), 0x7fffffff), 0x7f800000)

/** The sine of x + quarter·π/2. */
function sineScalar(x: Scalar, quarter: number): Scalar {
  const { r, quadrant } = turned(x, quarter)
  const square = scalar.mul(r, r)
  const sine = scalar.fma(
    scalar.mul(square, r),
    scalar.polynomial(square, [-1.6666654611e-1, 8.3321608736e-3, -1.9515295891e-4]),
    r,
  )
  const cosine = scalar.fma(
    scalar.mul(square, square),
    scalar.polynomial(square, [4.166664568298827e-2, -1.388731625493765e-3, 2.443315711809948e-5]),
    scalar.fma(square, -0.5, 1),
  )
  const value = scalar.select(scalar.eq(scalar.and(quadrant, 1), 1), cosine, sine)
  const signed = scalar.select(scalar.lt(1, quadrant), scalar.neg(value), value)
  return scalar.select(finite(x), signed, nan)
}

/** The sine of an angle in radians, of any size; NaN of ±∞. */
export const sin = unary({
  name: 'sin',
  accepts: float,
  jvp: (t, x) => mul(t, cos(x)),
  reference: Math.sin,
  lower: (x) => sineScalar(x, 0),
})

/** The cosine of an angle in radians, of any size; NaN of ±∞. */
export const cos = unary({
  name: 'cos',
  accepts: float,
  jvp: (t, x) => neg(mul(t, sin(x))),
  reference: Math.cos,
  lower: (x) => sineScalar(x, 1),
})

/** The tangent of an angle in radians, of any size; NaN of ±∞. */
export const tan = unary({
  name: 'tan',
  accepts: float,
  jvp: (t, _, y) => mul(t, add(1, square(y))),
  reference: Math.tan,
  lower: (x) => {
    const { r, quadrant } = turned(x, 0)
    const square = scalar.mul(r, r)
    const tail = scalar.polynomial(
      square,
      [0.333333522, 0.13332583, 0.0540686511, 0.0212386101, 0.0109455446, -4.61905838e-5, 0.00444183266],
    )
    const tangent = scalar.fma(scalar.mul(square, r), tail, r)
    const odd = scalar.eq(scalar.and(quadrant, 1), 1)
    return scalar.select(finite(x), scalar.select(odd, scalar.div(-1, tangent), tangent), nan)
  },
})

// ---- inverses

/** asin x of |x| ≤ ½ */
function asinNearZero(x: Scalar): Scalar {
  const square = scalar.mul(x, x)
  const tail = scalar.polynomial(
    square,
    [0.166666597, 0.075005196, 0.0445141383, 0.0318303518, 0.0143557088, 0.0376296677],
  )
  return scalar.fma(scalar.mul(square, x), tail, x)
}

/** √((1 - |x|) / 2), of which twice the arc sine is what |x| lacks of a quarter turn. */
const halfChord = (size: Scalar): Scalar =>
  scalar.sqrt(scalar.max(scalar.mul(settled(scalar.sub(1, size)), 0.5), 0))

/** `value`, but NaN where |x| > 1 and of NaN. */
const withinOne = (x: Scalar, value: Scalar): Scalar => {
  const bits = scalar.and(scalar.bitcast(x, 'u32'), 0x7fffffff)
  return scalar.select(scalar.lt(0x3f800000, bits), nan, value)
}

/** The angle in [-π/2, π/2] whose sine is `x`; NaN outside [-1, 1]. */
export const asin = unary({
  name: 'asin',
  accepts: float,
  jvp: (t, x) => mul(t, rsqrt(sub(1, square(x)))),
  reference: Math.asin,
  lower: (x) => {
    const size = scalar.abs(x)
    const rest = asinNearZero(halfChord(size))
    const far = scalar.sub(Math.PI / 2, settled(scalar.fma(rest, 2, 4.371139e-8)))
    const signed = scalar.select(scalar.lt(x, 0), scalar.neg(far), far)
    return withinOne(x, scalar.select(scalar.lt(size, 0.5), asinNearZero(x), signed))
  },
})

/** The angle in [0, π] whose cosine is `x`; NaN outside [-1, 1]. */
export const acos = unary({
  name: 'acos',
  accepts: float,
  jvp: (t, x) => neg(mul(t, rsqrt(sub(1, square(x))))),
  reference: Math.acos,
  lower: (x) => {
    const size = scalar.abs(x)
    const rest = asinNearZero(halfChord(size))
    const double = scalar.add(rest, rest)
    const near = scalar.sub(Math.PI / 2, settled(scalar.add(asinNearZero(x), 4.371139e-8)))
    const far = scalar.sub(Math.PI, settled(scalar.add(double, 8.742278e-8)))
    const outer = scalar.select(scalar.lt(x, 0), far, double)
    return withinOne(x, scalar.select(scalar.lt(size, 0.5), near, outer))
  },
})

/** atan of a number from 0 to 1 */
function atanOfFraction(x: Scalar): Scalar {
  const square = scalar.mul(x, x)
  const tail = scalar.polynomial(
    square,
    [
      -0.333333284, 0.199997216, -0.142804697, 0.110622779, -0.0882595032, 0.0677484572, -0.0451515652,
      0.0229279809, -0.00749891484, 0.00114969478,
    ],
  )
  return scalar.fma(scalar.mul(square, x), tail, x)
}

/** What `angle` lacks of `whole`, whose last digits are in `rest`. */
const lacking = (angle: Scalar, whole: number, rest: number): Scalar =>
  scalar.sub(whole, settled(scalar.add(angle, rest)))

const isNegative = (x: Scalar): Scalar => scalar.lt(scalar.bitcast(x, 'i32'), 0)

/** The angle in [-π/2, π/2] whose tangent is `x`. */
export const atan = unary({
  name: 'atan',
  accepts: float,
  jvp: (t, x) => div(t, add(1, square(x))),
  reference: Math.atan,
  lower: (x) => {
    const size = scalar.abs(x)
    const steep = scalar.lt(1, size)
    const part = scalar.select(steep, scalar.div(1, scalar.min(size, 1e30)), size)
    const angle = atanOfFraction(part)
    const value = scalar.select(steep, lacking(angle, Math.PI / 2, 4.371139e-8), angle)
    return scalar.select(scalar.isNan(x), x, scalar.select(isNegative(x), scalar.neg(value), value))
  },
})

/** The angle in [-π, π] of the point (`x`, `y`); signs of zeros count. Broadcasts. */
export const atan2 = binary({
  name: 'atan2',
  accepts: float,
  jvp: [
    (t, [y, x]) => mul(t, div(x!, add(square(x!), square(y!)))),
    (t, [y, x]) => neg(mul(t, div(y!, add(square(x!), square(y!))))),
  ],
  reference: Math.atan2,
  lower: (y, x) => {
    const [across, up] = [scalar.abs(x), scalar.abs(y)]
    const [large, small] = [scalar.max(across, up), scalar.min(across, up)]
    const equal = scalar.eq(across, up) // both 0 or ∞ among them
    const one = scalar.select(scalar.eq(large, 0), constant(0, 'f32'), 1)
    // Halves that are exact, so that the divisor is one that machines divide by.
    const scale = scalar.select(scalar.lt(1, large), constant(2 ** -24, 'f32'), 2 ** 24)
    const ratio = scalar.div(scalar.mul(small, scale), scalar.mul(scalar.min(large, 3e38), scale))
    const part = scalar.select(equal, one, scalar.select(scalar.eq(large, inf), 0, ratio))
    const first = atanOfFraction(part)
    const upper = scalar.select(scalar.lt(across, up), lacking(first, Math.PI / 2, 4.371139e-8), first)
    const half = scalar.select(isNegative(x), lacking(upper, Math.PI, 8.742278e-8), upper)
    const signed = scalar.select(isNegative(y), scalar.neg(half), half)
    return scalar.select(scalar.isNan(x), x, scalar.select(scalar.isNan(y), y, signed))
  },
})
