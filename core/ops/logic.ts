// Logic of any dtype, where what is not 0 is true, and what kind of number a float is.

import { isFloat } from '../dtype.ts'
import * as scalar from '../scalar.ts'
import { toArray } from '../trace.ts'
import type { ArrayLike, Value } from '../value.ts'
import { greater, isNan, where } from './arithmetic.ts'
import { bitwiseAnd, bitwiseNot, bitwiseOr, bitwiseXor } from './bits.ts'
import { cast, unary } from './elementwise.ts'

const truth = (x: ArrayLike): Value => cast(toArray(x), 'bool')

/** Whether both are true. Anything but 0 is true, NaN too. */
export const logicalAnd = (x: ArrayLike, y: ArrayLike): Value => bitwiseAnd(truth(x), truth(y))

/** Whether one of them is true, or both. */
export const logicalOr = (x: ArrayLike, y: ArrayLike): Value => bitwiseOr(truth(x), truth(y))

/** Whether one is true and the other is not. */
export const logicalXor = (x: ArrayLike, y: ArrayLike): Value => bitwiseXor(truth(x), truth(y))

/** Whether `x` is 0 or false. */
export const logicalNot = (x: ArrayLike): Value => bitwiseNot(truth(x))

const infinityBits = 0x7f800000
const sizeBits = (x: scalar.Scalar): scalar.Scalar => scalar.and(scalar.bitcast(x, 'u32'), 0x7fffffff)

/** Whether each element is an infinity. */
export const isInf = unary({
  name: 'is_inf',
  accepts: ['f32'],
  result: () => 'bool',
  jvp: null,
  reference: (x) => Number(Math.abs(x) === Number.POSITIVE_INFINITY),
  lower: (x) => scalar.eq(sizeBits(x), infinityBits),
})

/** Whether each element is neither an infinity nor NaN. */
export const finite = unary({
  name: 'is_finite',
  accepts: ['f32'],
  result: () => 'bool',
  jvp: null,
  reference: (x) => Number(Number.isFinite(x)),
  lower: (x) => scalar.lt(sizeBits(x), infinityBits),
})

const largest = 3.4028234663852886e38

/** `x` with 0 for NaN and the largest finite numbers for the infinities. */
export function nanToNum(x: ArrayLike): Value {
  const value = toArray(x)
  if (!isFloat(value.dtype)) return value
  const ends = where(greater(value, 0), largest, -largest)
  return where(isNan(value), 0, where(isInf(value), ends, value))
}
