// Exponentials, logarithms and square roots. Each is built from arithmetic that every adapter rounds alike: what machines
// offer under these names differs by many units in the last place, and is wrong at zero, infinity and NaN on some.

import * as scalar from '../scalar.ts'
import { constant, type Scalar } from '../scalar.ts'
import type { Value } from '../value.ts'
import { div, equal, mul, sub, where } from './arithmetic.ts'
import { add, binary, unary } from './elementwise.ts'

const float = ['f32'] as const
export const inf = constant(Number.POSITIVE_INFINITY, 'f32')
export const nan = constant(Number.NaN, 'f32')

/** 2^k for a whole number k from -126 to 127. */
export const power2 = (k: Scalar): Scalar => scalar.bitcast(scalar.shiftLeft(scalar.add(k, 127), 23), 'f32')

/**
 * The small number that `x` is, computed before what follows: targets may reorder sums, as in k·a + (k·b + x) = k·(a + b) + x,
 * and that would lose the digits for which constants come in parts.
 */
export const settled = (x: Scalar): Scalar => scalar.max(x, -1e9)

/** e^x = 2^whole · (1 + less): x = whole·ln 2 + r with |r| ≤ ln 2 / 2, and a polynomial in r. */
function expParts(x: Scalar, top = 89, bottom = -104): { readonly whole: Scalar; readonly less: Scalar } {
  const clamped = scalar.min(scalar.max(x, bottom), top)
  const k = scalar.round(scalar.mul(clamped, Math.LOG2E))
  const r = scalar.fma(k, 2.1219444e-4, settled(scalar.fma(k, -0.693359375, clamped)))
  const tail = scalar.polynomial(
    r,
    [0.5, 1.6666665459e-1, 4.1665795894e-2, 8.3334519073e-3, 1.3981999507e-3, 1.98756915e-4],
  )
  return { whole: scalar.cast(k, 'i32'), less: scalar.fma(scalar.mul(r, r), tail, r) }
}

/** x · 2^k in two steps, which reaches the largest floats. */
function scaled(x: Scalar, k: Scalar): Scalar {
  const half = scalar.shiftRight(k, 1)
  return scalar.mul(scalar.mul(x, power2(half)), power2(scalar.sub(k, half)))
}

/** `value`, but ∞ where x > `limit`, and NaN where x is NaN. */
const overflowing = (x: Scalar, limit: number, value: Scalar): Scalar =>
  scalar.select(scalar.isNan(x), x, scalar.select(scalar.lt(limit, x), inf, value))

/** e^x */
export function expScalar(x: Scalar): Scalar {
  const { whole, less } = expParts(x)
  return overflowing(x, 88.72284, scaled(scalar.add(less, 1), whole))
}

/** e^x for an x that is below 0 or above it by little: what would be less than 1e-38 comes to that. */
export function smallExpScalar(x: Scalar): Scalar {
  const { whole, less } = expParts(x, 88, -87)
  return scalar.select(scalar.isNan(x), x, scalar.mul(scalar.add(less, 1), power2(whole)))
}

/** e^x / 2, which is finite a little further. */
export function halfExpScalar(x: Scalar): Scalar {
  const { whole, less } = expParts(x, 90)
  return overflowing(x, 89.41598, scaled(scalar.add(less, 1), scalar.sub(whole, 1)))
}

/** e^x - 1 = 2^k·less + (2^k - 1); up to 2^24 both parts are exact to the last place. */
function expm1Scalar(x: Scalar): Scalar {
  const { whole, less } = expParts(scalar.max(x, -18))
  const power = power2(scalar.min(whole, 126))
  const near = scalar.fma(power, less, scalar.sub(power, 1))
  const far = scaled(scalar.add(less, 1), whole)
  return overflowing(x, 88.72284, scalar.select(scalar.lt(17.5, x), far, near))
}

/** 2^x, of which `rest` is a part that x was too coarse for. */
export function exp2Scalar(x: Scalar, rest: Scalar = constant(0, 'f32')): Scalar {
  const clamped = scalar.min(scalar.max(x, -152), 129)
  const k = scalar.round(clamped)
  const r = scalar.add(settled(scalar.sub(clamped, k)), rest)
  const tail = scalar.polynomial(
    r,
    [0.693147182, 0.240226507, 0.0555035956, 0.00961806253, 0.00133909844, 0.000154628768],
  )
  return overflowing(x, 127.99999, scaled(scalar.fma(r, tail, 1), scalar.cast(k, 'i32')))
}

/** ln x = e·ln 2 + f - f²/2 + tail: x = (1 + f)·2^e with 1 + f in [√½, √2), and a polynomial in f. */
function logParts(x: Scalar): {
  readonly e: Scalar
  readonly f: Scalar
  readonly square: Scalar
  readonly tail: Scalar
} {
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
  return { e, f, square, tail: scalar.mul(scalar.mul(f, square), tail) }
}

/** `value`, a logarithm of x, but -∞ at 0, ∞ at ∞, and NaN below 0 and of NaN. */
function logOrSpecial(x: Scalar, value: Scalar): Scalar {
  const infinite = scalar.le(0x7f800000, scalar.bitcast(x, 'u32')) // +inf, NaN, and everything negative
  const special = scalar.select(scalar.eq(scalar.bitcast(x, 'u32'), 0x7f800000), inf, nan)
  const zero = scalar.eq(scalar.and(scalar.bitcast(x, 'u32'), 0x7fffffff), 0)
  return scalar.select(zero, scalar.neg(inf), scalar.select(infinite, special, value))
}

/** ln x, with ln 2 in two parts. */
export function logScalar(x: Scalar): Scalar {
  const { e, f, square, tail } = logParts(x)
  const small = scalar.fma(e, -2.1219444e-4, tail)
  const value = scalar.fma(e, 0.693359375, settled(scalar.add(f, scalar.fma(square, -0.5, small))))
  return logOrSpecial(x, value)
}

/** log2 x = e + f·log2 e + …, where log2 e is 1 and a rest. */
function log2Scalar(x: Scalar): Scalar {
  const { e, f, square, tail } = logParts(x)
  const less = scalar.fma(square, -0.5, tail)
  const rest = settled(scalar.fma(f, Math.LOG2E - 1, scalar.mul(less, Math.LOG2E)))
  return logOrSpecial(x, scalar.add(e, settled(scalar.add(f, rest))))
}

/** log10 x, with log10 2 and log10 e in two parts. */
function log10Scalar(x: Scalar): Scalar {
  const { e, f, square, tail } = logParts(x)
  const less = scalar.fma(square, -0.5, tail)
  const rest = scalar.fma(scalar.add(f, less), 7.007319032518276e-4, scalar.mul(less, 0.43359375))
  const small = settled(scalar.fma(f, 0.43359375, scalar.fma(e, 2.487456639811952e-4, rest)))
  return logOrSpecial(x, scalar.fma(e, 0.30078125, small))
}

/** ln(1 + x): what is lost in adding 1 is put back. */
export function log1pScalar(x: Scalar): Scalar {
  const u = settled(scalar.add(x, 1))
  const lost = scalar.div(scalar.sub(x, settled(scalar.sub(u, 1))), u)
  const ordinary = scalar.and(scalar.lt(0, u), scalar.lt(u, inf))
  return scalar.add(logScalar(u), scalar.select(ordinary, lost, 0))
}

/** `e^x` */
export const exp = unary({
  name: 'exp',
  accepts: float,
  jvp: (t, _, y) => mul(t, y),
  reference: Math.exp,
  lower: expScalar,
})

/** `2^x`, exact for whole numbers. */
export const exp2 = unary({
  name: 'exp2',
  accepts: float,
  jvp: (t, _, y) => mul(t, mul(y, Math.LN2)),
  reference: (x) => 2 ** x,
  lower: (x) => exp2Scalar(x),
})

/** `e^x - 1`, accurate near 0. */
export const expm1 = unary({
  name: 'expm1',
  accepts: float,
  jvp: (t, _, y) => mul(t, add(y, 1)),
  reference: Math.expm1,
  lower: expm1Scalar,
})

/** The natural logarithm: -∞ at 0, NaN below. */
export const log = unary({
  name: 'log',
  accepts: float,
  jvp: (t, x) => div(t, x),
  reference: Math.log,
  lower: logScalar,
})

/** The logarithm to base 2, exact for powers of 2. */
export const log2 = unary({
  name: 'log2',
  accepts: float,
  jvp: (t, x) => div(t, mul(x, Math.LN2)),
  reference: Math.log2,
  lower: log2Scalar,
})

/** The logarithm to base 10. */
export const log10 = unary({
  name: 'log10',
  accepts: float,
  jvp: (t, x) => div(t, mul(x, Math.LN10)),
  reference: Math.log10,
  lower: log10Scalar,
})

/** `log(1 + x)`, accurate near 0. */
export const log1p = unary({
  name: 'log1p',
  accepts: float,
  jvp: (t, x) => div(t, add(1, x)),
  reference: Math.log1p,
  lower: log1pScalar,
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

/** `1 / (1 + e^-x)` */
export const logistic = unary({
  name: 'logistic',
  accepts: float,
  jvp: (t, _, y) => mul(t, mul(y, sub(1, y))),
  reference: (x) => 1 / (1 + Math.exp(-x)),
  lower: (x) => scalar.div(1, scalar.add(expScalar(scalar.neg(x)), 1)),
})

/** x without +∞, so that differences of infinities are none, as in JAX. */
const tamed = (x: Value): Value => where(equal(x, Number.POSITIVE_INFINITY), 0, x)

/** `ln(base^x + base^y) / ln base`: the larger, and what the smaller adds to it. */
const logAdd = (name: string, base: number, power: (x: Value) => Value): ReturnType<typeof binary> =>
  binary({
    name,
    accepts: float,
    jvp: [
      (t, [x], z) => mul(t, power(sub(tamed(x!), tamed(z)))),
      (t, [_, y], z) => mul(t, power(sub(tamed(y!), tamed(z)))),
    ],
    reference: (x, y) => {
      const gap = x === y ? 0 : -Math.abs(x - y)
      return Math.max(x, y) + Math.log1p(base ** gap) / Math.log(base)
    },
    lower: (x, y) => {
      const gap = scalar.select(scalar.eq(x, y), constant(0, 'f32'), scalar.neg(scalar.abs(scalar.sub(x, y))))
      const more = log1pScalar(base === 2 ? exp2Scalar(gap) : expScalar(gap))
      const added = base === 2 ? scalar.mul(more, Math.LOG2E) : more
      const sum = scalar.add(scalar.max(x, y), added)
      return scalar.select(scalar.isNan(x), x, scalar.select(scalar.isNan(y), y, sum))
    },
  })

/** `ln(e^x + e^y)` without overflow on the way, broadcasting. */
export const logAddExp = logAdd('log_add_exp', Math.E, exp)

/** `log2(2^x + 2^y)` without overflow on the way, broadcasting. */
export const logAddExp2 = logAdd('log_add_exp2', 2, exp2)
