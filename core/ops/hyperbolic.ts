// Hyperbolic functions and their inverses.

import type { Scalar } from '../scalar.ts'
import * as scalar from '../scalar.ts'
import { div, mul, sub } from './arithmetic.ts'
import { expScalar, halfExpScalar, inf, log1pScalar, logScalar, nan, rsqrt, settled } from './elementary.ts'
import { add, unary } from './elementwise.ts'
import { square } from './power.ts'

const float = ['f32'] as const

/** `value` with the sign of `x`; NaN of NaN. */
const withSign = (x: Scalar, value: Scalar): Scalar =>
  scalar.select(scalar.isNan(x), x, scalar.select(scalar.lt(x, 0), scalar.neg(value), value))

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

/** `sinh(x) / cosh(x)`, from -1 to 1. */
export const tanh = unary({
  name: 'tanh',
  accepts: float,
  jvp: (t, _, y) => mul(add(t, mul(t, y)), sub(1, y)), // 1 - y² would cancel near 1
  reference: Math.tanh,
  lower: tanhScalar,
})

/** `(e^x - e^-x) / 2` */
export const sinh = unary({
  name: 'sinh',
  accepts: float,
  jvp: (t, x) => mul(t, cosh(x)),
  reference: Math.sinh,
  lower: (x) => {
    const size = scalar.abs(x)
    const square = scalar.mul(x, x)
    const tail = scalar.polynomial(square, [0.166666672, 0.00833331142, 0.000198426351, 2.78392508e-6])
    const near = scalar.fma(scalar.mul(square, x), tail, x)
    const half = halfExpScalar(size)
    const far = withSign(x, scalar.sub(half, scalar.div(0.25, half)))
    return scalar.select(scalar.lt(size, 1), near, far)
  },
})

/** `(e^x + e^-x) / 2` */
export const cosh = unary({
  name: 'cosh',
  accepts: float,
  jvp: (t, x) => mul(t, sinh(x)),
  reference: Math.cosh,
  lower: (x) => {
    const half = halfExpScalar(scalar.abs(x))
    return scalar.select(scalar.isNan(x), x, scalar.add(half, scalar.div(0.25, half)))
  },
})

/** The inverse of `sinh`. */
export const asinh = unary({
  name: 'asinh',
  accepts: float,
  jvp: (t, x) => mul(t, rsqrt(add(square(x), 1))),
  reference: Math.asinh,
  lower: (x) => {
    const size = scalar.abs(x)
    const square = scalar.mul(size, size)
    const root = scalar.sqrt(scalar.add(square, 1))
    const near = log1pScalar(scalar.add(size, scalar.div(square, scalar.add(root, 1))))
    const far = scalar.add(logScalar(size), Math.LN2)
    return withSign(x, scalar.select(scalar.lt(size, 4096), near, far))
  },
})

/** The inverse of `cosh`, not below 0; NaN where `x < 1`. */
export const acosh = unary({
  name: 'acosh',
  accepts: float,
  jvp: (t, x) => mul(t, mul(rsqrt(sub(x, 1)), rsqrt(add(x, 1)))),
  reference: Math.acosh,
  lower: (x) => {
    const above = settled(scalar.sub(x, 1))
    const root = scalar.sqrt(scalar.max(scalar.mul(above, scalar.add(above, 2)), 0))
    const near = log1pScalar(scalar.add(above, root))
    const far = scalar.add(logScalar(x), Math.LN2)
    const value = scalar.select(scalar.lt(x, 4096), near, far)
    return scalar.select(scalar.or(scalar.isNan(x), scalar.lt(x, 1)), nan, value)
  },
})

/** The inverse of `tanh`: ∞ at 1, NaN beyond. */
export const atanh = unary({
  name: 'atanh',
  accepts: float,
  jvp: (t, x) => div(t, sub(1, square(x))),
  reference: Math.atanh,
  lower: (x) => {
    const size = scalar.abs(x)
    const below = settled(scalar.sub(1, size))
    const double = scalar.add(size, size)
    // 2x / (1 - x), in a form that keeps small x
    const ratio = scalar.select(
      scalar.lt(size, 0.5),
      scalar.fma(double, scalar.div(size, below), double),
      scalar.div(double, scalar.max(below, 1e-30)),
    )
    const value = scalar.mul(log1pScalar(ratio), 0.5)
    const bits = scalar.bitcast(size, 'u32')
    const edge = scalar.select(scalar.eq(bits, 0x3f800000), inf, nan)
    return withSign(x, scalar.select(scalar.lt(bits, 0x3f800000), value, edge))
  },
})
