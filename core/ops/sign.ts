// Signs and magnitudes.

import * as scalar from '../scalar.ts'
import { constant } from '../scalar.ts'
import type { ArrayLike, Value } from '../value.ts'
import { equal, greater, greaterEqual, isNan, less, neg, where } from './arithmetic.ts'
import { bitcast } from './bits.ts'
import { cast, operands, unary } from './elementwise.ts'

/** The magnitude. Its derivative at 0 is 1, as in JAX. */
export const abs = unary({
  name: 'abs',
  accepts: ['f32', 'i32', 'u32'],
  jvp: (t, x) => where(greaterEqual(x, 0), t, neg(t)),
  reference: Math.abs,
  lower: scalar.abs,
})

/** -1, 0 or 1; NaN of NaN. */
export const sign = unary({
  name: 'sign',
  accepts: ['f32', 'i32', 'u32'],
  jvp: null,
  reference: Math.sign,
  lower: (x) => {
    const one = scalar.select(scalar.lt(x, 0), constant(-1, x.dtype), constant(1, x.dtype))
    const signed = scalar.select(scalar.eq(x, 0), x, one)
    return x.dtype === 'f32' ? scalar.select(scalar.isNan(x), x, signed) : signed
  },
})

/** The magnitude of `x` with the sign of `y`, that of zeros included. */
export function copysign(x: ArrayLike, y: ArrayLike): Value {
  const [size, from] = operands('copysign', [x, y], 'f32')
  return where(less(bitcast(from!, 'i32'), 0), neg(abs(size!)), abs(size!))
}

/** 0 where `x < 0`, 1 where `x > 0`, `y` where it is 0; NaN of NaN. */
export function heaviside(x: ArrayLike, y: ArrayLike): Value {
  const [at, half] = operands('heaviside', [x, y], 'f32')
  const nonzero = where(isNan(at!), at!, cast(greater(at!, 0), 'f32'))
  return where(equal(at!, 0), half!, nonzero)
}
