// Elementary functions. Each is built from arithmetic that every adapter rounds alike: what machines offer under these
// names differs by many units in the last place, and is wrong at zero, infinity and NaN on some.

import { isFloat } from '../dtype.ts'
import * as scalar from '../scalar.ts'
import { constant, type Scalar } from '../scalar.ts'
import { bind } from '../trace.ts'
import { type ArrayLike, onesLike, type Value } from '../value.ts'
import { div, greaterEqual, mul, neg, sub, where } from './arithmetic.ts'
import { add, elementwise, operands, unary } from './elementwise.ts'

const float = ['f32'] as const
const inf = constant(Number.POSITIVE_INFINITY, 'f32')
const nan = constant(Number.NaN, 'f32')

/** 2^k for a whole number k from -126 to 127. */
const power2 = (k: Scalar): Scalar => scalar.bitcast(scalar.shiftLeft(scalar.add(k, 127), 23), 'f32')

/**
 * The small number that `x` is, computed before what follows: targets may reorder sums, as in k·a + (k·b + x) = k·(a + b) + x,
 * and that would lose the digits for which constants come in parts.
 */
const settled = (x: Scalar): Scalar => scalar.max(x, -1e9)

/** e^x: x = k·ln 2 + r with |r| ≤ ln 2 / 2, a polynomial in r, and 2^k in two steps so that it reaches the largest floats. */
function expScalar(x: Scalar): Scalar {
  const clamped = scalar.min(scalar.max(x, -104), 89)
  const k = scalar.round(scalar.mul(clamped, Math.LOG2E))
  const r = scalar.fma(k, 2.1219444e-4, settled(scalar.fma(k, -0.693359375, clamped)))
  const tail = scalar.polynomial(
    r,
    [0.5, 1.6666665459e-1, 4.1665795894e-2, 8.3334519073e-3, 1.3981999507e-3, 1.98756915e-4],
  )
  const fraction = scalar.add(scalar.fma(scalar.mul(r, r), tail, r), 1)
  const whole = scalar.cast(k, 'i32')
  const half = scalar.shiftRight(whole, 1)
  const scaled = scalar.mul(scalar.mul(fraction, power2(half)), power2(scalar.sub(whole, half)))
  return scalar.select(scalar.isNan(x), x, scalar.select(scalar.lt(88.72284, x), inf, scaled))
}

/** ln x: x = m·2^k with m in [√½, √2), and a polynomial in m - 1. */
function logScalar(x: Scalar): Scalar {
  const tiny = scalar.lt(x, 1.1754944e-38)
  const bits = scalar.bitcast(scalar.select(tiny, scalar.mul(x, 8388608), x), 'u32')
  const shifted = scalar.add(bits, 0x3f800000 - 0x3f3504f3)
  const k = scalar.sub(scalar.cast(scalar.shiftRight(shifted, 23), 'i32'), 127)
  const m = scalar.bitcast(scalar.add(scalar.and(shifted, 0x007fffff), 0x3f3504f3), 'f32')
  const e = scalar.cast(scalar.select(tiny, scalar.sub(k, 23), k), 'f32')
  const f = scalar.sub(m, 1)
  const square = scalar.mul(f, f)
  const tail = scalar.polynomial(
    f,
    [
      3.3333331174e-1, -2.4999993993e-1, 2.0000714765e-1, -1.6668057665e-1, 1.4249322787e-1, -1.2420140846e-1,
      1.167699874e-1, -1.151461031e-1, 7.0376836292e-2,
    ],
  )
  const small = scalar.fma(e, -2.1219444e-4, scalar.mul(scalar.mul(f, square), tail))
  const value = scalar.fma(e, 0.693359375, settled(scalar.add(f, scalar.fma(square, -0.5, small))))
  const infinite = scalar.le(0x7f800000, scalar.bitcast(x, 'u32')) // +inf, NaN, and everything negative
  const special = scalar.select(scalar.eq(scalar.bitcast(x, 'u32'), 0x7f800000), inf, nan)
  const zero = scalar.eq(scalar.and(scalar.bitcast(x, 'u32'), 0x7fffffff), 0)
  return scalar.select(zero, scalar.neg(inf), scalar.select(infinite, special, value))
}

/** tanh x: odd polynomial near zero, 1 - 2 / (e^2|x| + 1) elsewhere. */
function tanhScalar(x: Scalar): Scalar {
  const size = scalar.abs(x)
  const square = scalar.mul(x, x)
  const tail = scalar.polynomial(
    square,
    [-3.33332819422e-1, 1.33314422036e-1, -5.37397155531e-2, 2.06390887954e-2, -5.70498872745e-3],
  )
  const near = scalar.fma(scalar.mul(square, x), tail, x)
  const far = scalar.sub(1, scalar.div(2, scalar.add(expScalar(scalar.add(size, size)), 1)))
  const signed = scalar.select(scalar.lt(x, 0), scalar.neg(far), far)
  return scalar.select(scalar.isNan(x), x, scalar.select(scalar.lt(size, 0.625), near, signed))
}

/** π/2 in parts that are exact times any number of up to 12 bits, and the rest. */
const quarterTurn = [1.5703125, 4.837512969970703e-4, 7.549533620476723e-8, 2.563344068e-12] as const

/**
 * The sine of x + quarter·π/2. The nearest multiples of 4096·π/2 and of π/2 are taken off in steps that are exact, and
 * below 2^24 at most 0.3 is left to subtract that is not.
 */
function sineScalar(x: Scalar, quarter: number): Scalar {
  const [a, b, c, d] = quarterTurn
  const less = (rest: Scalar, turns: Scalar, ...steps: readonly number[]): Scalar =>
    steps.reduce((rest, step) => settled(scalar.sub(rest, scalar.mul(turns, step))), rest)
  const far = scalar.round(scalar.mul(x, 2 / Math.PI / 4096))
  const close = less(x, far, 4096 * a, 4096 * b)
  const turns = scalar.round(scalar.mul(less(close, far, 4096 * (c + d)), 2 / Math.PI))
  const r = less(less(close, turns, a, b, c, d), far, 4096 * (c + d))
  const quadrant = scalar.and(scalar.add(scalar.bitcast(scalar.cast(turns, 'i32'), 'u32'), quarter), 3)
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
  const finite = scalar.lt(scalar.and(scalar.bitcast(x, 'u32'), 0x7fffffff), 0x7f800000)
  return scalar.select(finite, signed, nan)
}

/** `e^x` */
export const exp = unary({
  name: 'exp',
  accepts: float,
  jvp: (t, _, y) => mul(t, y),
  reference: Math.exp,
  lower: expScalar,
})

/** The natural logarithm: -∞ at 0, NaN below. */
export const log = unary({
  name: 'log',
  accepts: float,
  jvp: (t, x) => div(t, x),
  reference: Math.log,
  lower: logScalar,
})

/** `log(1 + x)`, accurate near 0: what is lost in adding 1 is put back. */
export const log1p = unary({
  name: 'log1p',
  accepts: float,
  jvp: (t, x) => div(t, add(1, x)),
  reference: Math.log1p,
  lower: (x) => {
    const u = settled(scalar.add(x, 1))
    const lost = scalar.div(scalar.sub(x, settled(scalar.sub(u, 1))), u)
    const ordinary = scalar.and(scalar.lt(0, u), scalar.lt(u, inf))
    return scalar.add(logScalar(u), scalar.select(ordinary, lost, 0))
  },
})

/** `√x`, NaN below 0. */
export const sqrt = unary({
  name: 'sqrt',
  accepts: float,
  jvp: (t, _, y) => div(mul(t, 0.5), y),
  reference: Math.sqrt,
  lower: (x) => scalar.select(scalar.lt(x, 0), nan, scalar.sqrt(x)),
})

/** `1 / √x` */
export const rsqrt = unary({
  name: 'rsqrt',
  accepts: float,
  jvp: (t, x, y) => mul(t, mul(-0.5, div(y, x))),
  reference: (x) => 1 / Math.sqrt(x),
  lower: (x) => scalar.select(scalar.lt(x, 0), nan, scalar.div(1, scalar.sqrt(x))),
})

export const sin = unary({
  name: 'sin',
  accepts: float,
  jvp: (t, x) => mul(t, cos(x)),
  reference: Math.sin,
  lower: (x) => sineScalar(x, 0),
})

export const cos = unary({
  name: 'cos',
  accepts: float,
  jvp: (t, x) => neg(mul(t, sin(x))),
  reference: Math.cos,
  lower: (x) => sineScalar(x, 1),
})

export const tanh = unary({
  name: 'tanh',
  accepts: float,
  jvp: (t, _, y) => mul(add(t, mul(t, y)), sub(1, y)), // 1 - y² would cancel near 1
  reference: Math.tanh,
  lower: tanhScalar,
})

/** `1 / (1 + e^-x)` */
export const logistic = unary({
  name: 'logistic',
  accepts: float,
  jvp: (t, _, y) => mul(t, mul(y, sub(1, y))),
  reference: (x) => 1 / (1 + Math.exp(-x)),
  lower: (x) => scalar.div(1, scalar.add(expScalar(scalar.neg(x)), 1)),
})

/** The magnitude. Its derivative at 0 is 1, as in JAX. */
export const abs = unary({
  name: 'abs',
  accepts: ['f32', 'i32'],
  jvp: (t, x) => where(greaterEqual(x, 0), t, neg(t)),
  reference: Math.abs,
  lower: scalar.abs,
})

/** -1, 0 or 1; NaN of NaN. */
export const sign = unary({
  name: 'sign',
  accepts: ['f32', 'i32'],
  jvp: null,
  reference: Math.sign,
  lower: (x) => {
    const one = scalar.select(scalar.lt(x, 0), constant(-1, x.dtype), constant(1, x.dtype))
    const signed = scalar.select(scalar.eq(x, 0), x, one)
    return x.dtype === 'f32' ? scalar.select(scalar.isNan(x), x, signed) : signed
  },
})

/** The largest whole number not above `x`. */
export const floor = unary({
  name: 'floor',
  accepts: float,
  jvp: null,
  reference: Math.floor,
  lower: scalar.floor,
})

/** The smallest whole number not below `x`. */
export const ceil = unary({
  name: 'ceil',
  accepts: float,
  jvp: null,
  reference: Math.ceil,
  lower: scalar.ceil,
})

type PowerParams = { readonly exponent: number }

const integerPowPrimitive = elementwise<PowerParams>({
  name: 'integer_pow',
  accepts: ['f32', 'i32', 'u32'],
  jvp: [(t, [x], _, { exponent }) => mul(t, mul(exponent, integerPow(x!, exponent - 1)))],
  reference: ([x], { exponent }, dtype) =>
    dtype === 'f32' ? x! ** exponent : new Array<number>(exponent).fill(x!).reduce(Math.imul, 1),
  lower: ([x], { params: { exponent } }) => powerByProducts(x!, exponent),
})

/** Products only, so that whole powers of whole numbers are exact. */
function powerByProducts(x: Scalar, exponent: number): Scalar {
  if (exponent < 0) return scalar.div(1, powerByProducts(x, -exponent))
  if (exponent === 0) return constant(1, x.dtype)
  if (exponent === 1) return x
  const half = powerByProducts(x, Math.floor(exponent / 2))
  const square = scalar.mul(half, half)
  return exponent % 2 === 0 ? square : scalar.mul(square, x)
}

/** `x` to a whole power, by multiplication. */
export function integerPow(x: ArrayLike, exponent: number): Value {
  if (!Number.isInteger(exponent))
    throw new RangeError(`integerPow: ${exponent} is no whole number; use exp(mul(exponent, log(x)))`)
  const [base] = operands('integerPow', [x])
  if (exponent < 0 && !isFloat(base!.dtype))
    throw new RangeError(`integerPow: ${base!.aval} to the power ${exponent} is a fraction; cast it to f32`)
  return exponent === 0 ? onesLike(base!) : bind(integerPowPrimitive, [base!], { exponent })[0]!
}
integerPow.primitive = integerPowPrimitive

/** `x²` */
export const square = (x: ArrayLike): Value => mul(x, x)
