// The 16-bit floats by operations on bits, as expressions: a half is a u32 of which the upper 16 bits are zero.

import type { Half } from '../../halves.ts'
import type { Scalar } from '../../scalar.ts'
import * as scalar from '../../scalar.ts'

const { add, and, bitcast, cast, lt, le, max, min, mul, or, select, shiftLeft, shiftRight, sub } = scalar

/** The f32 of a half, which is the same number. */
export function fromHalf(dtype: Half, half: Scalar): Scalar {
  if (dtype === 'bf16') return bitcast(shiftLeft(half, 16), 'f32')
  const size = and(half, 0x7fff)
  const small = bitcast(mul(cast(size, 'f32'), 2 ** -24), 'u32')
  const moved = shiftLeft(size, 13)
  const normal = select(le(0x7c00, size), or(moved, 0x7f800000), add(moved, 0x38000000))
  return bitcast(or(shiftLeft(and(half, 0x8000), 16), select(lt(size, 0x400), small, normal)), 'f32')
}

/** The nearest half of an f32, the even one at a tie. */
export function toHalf(dtype: Half, x: Scalar): Scalar {
  const bits = bitcast(x, 'u32')
  const size = and(bits, 0x7fffffff)
  const isNan = lt(0x7f800000, size)
  /** Without the last `digits` digits, rounded. */
  const rounded = (digits: Scalar, lost: Scalar | number): Scalar => {
    const count = typeof lost === 'number' ? scalar.constant(lost, 'u32') : lost
    const half = sub(shiftLeft(scalar.constant(1, 'u32'), sub(count, 1)), 1)
    return shiftRight(add(add(digits, half), and(shiftRight(digits, count), 1)), count)
  }
  if (dtype === 'bf16') return select(isNan, 0x7fc0, rounded(bits, 16))
  const sign = and(shiftRight(bits, 16), 0x8000)
  const normal = rounded(sub(size, 0x38000000), 13)
  const digits = or(and(size, 0x7fffff), 0x800000)
  // Where `size` is that of a normal number, what comes of this is not used; the shift stays below 32 all the same.
  const exponent = shiftRight(size, 23)
  const small = rounded(digits, max(min(sub(126, min(exponent, 125)), 31), 1))
  const finite = select(le(0x38800000, size), normal, small)
  const large = select(le(0x477ff000, size), 0x7c00, finite)
  return select(isNan, 0x7e00, or(sign, large))
}
