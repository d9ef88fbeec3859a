// Powers and roots.

import { isFloat } from '../dtype.ts'
import type { Scalar } from '../scalar.ts'
import * as scalar from '../scalar.ts'
import { constant } from '../scalar.ts'
import { bind } from '../trace.ts'
import { type ArrayLike, onesLike, type Value } from '../value.ts'
import { div, equal, maximum, minimum, mul, sub, where } from './arithmetic.ts'
import { exp2Scalar, inf, log, nan, settled, sqrt } from './elementary.ts'
import { add, binary, elementwise, operands, unary } from './elementwise.ts'
import { isInf } from './logic.ts'
import { abs } from './sign.ts'

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
  if (!Number.isInteger(exponent)) throw new RangeError(`integerPow: ${exponent} is no whole number; use pow`)
  const [base] = operands('integerPow', [x])
  if (exponent < 0 && !isFloat(base!.dtype))
    throw new RangeError(`integerPow: ${base!.aval} to the power ${exponent} is a fraction; cast it to f32`)
  return exponent === 0 ? onesLike(base!) : bind(integerPowPrimitive, [base!], { exponent })[0]!
}
integerPow.primitive = integerPowPrimitive

/** `x²` */
export const square = (x: ArrayLike): Value => mul(x, x)

/** `x` without the last twelve bits of its fraction: products of two such numbers are exact. */
const leading = (x: Scalar): Scalar => scalar.bitcast(scalar.and(scalar.bitcast(x, 'u32'), 0xfffff000), 'f32')

/**
 * log2 x of a positive x in two parts, to some 2^-33 of it: x = 2^n · m with m in [√¾, √3), s = (m - b) / (m + b) with b one
 * of 1 and 1.5, and log2 (m / b) = 2 / (3 ln 2) · s · (3 + s² + …). The way of FreeBSD's `powf`.
 */
function log2InParts(x: Scalar): readonly [Scalar, Scalar] {
  const bits = scalar.bitcast(x, 'u32')
  const j = scalar.and(bits, 0x7fffff)
  const middle = scalar.and(scalar.lt(0x1cc471, j), scalar.lt(j, 0x5db3d7)) // from √1.5 to √3: beside 1.5
  const upper = scalar.le(0x5db3d7, j)
  const exponent = scalar.sub(scalar.cast(scalar.shiftRight(bits, 23), 'i32'), 127)
  const n = scalar.cast(scalar.add(exponent, scalar.select(upper, constant(1, 'i32'), 0)), 'f32')
  const m = scalar.bitcast(scalar.or(j, scalar.select(upper, constant(0x3f000000, 'u32'), 0x3f800000)), 'f32')
  const b = scalar.select(middle, constant(1.5, 'f32'), 1)
  const u = settled(scalar.sub(m, b))
  const total = settled(scalar.add(m, b))
  const v = scalar.div(1, total)
  const s = scalar.mul(u, v)
  const sHigh = leading(s)
  const totalHigh = leading(total)
  const totalLow = settled(scalar.sub(m, settled(scalar.sub(totalHigh, b))))
  const lost = settled(scalar.sub(u, settled(scalar.mul(sHigh, totalHigh))))
  const sLow = scalar.mul(v, settled(scalar.sub(lost, scalar.mul(sHigh, totalLow))))
  const square = scalar.mul(s, s)
  const series = scalar.polynomial(
    square,
    [6.0000002384e-1, 4.2857143283e-1, 3.3333334327e-1, 2.7272811532e-1, 2.3066075146e-1, 2.0697501302e-1],
  )
  const r = scalar.fma(scalar.mul(square, square), series, scalar.mul(sLow, scalar.add(sHigh, s)))
  const squareHigh = settled(scalar.mul(sHigh, sHigh))
  const t = leading(scalar.add(settled(scalar.add(squareHigh, 3)), r))
  const tLow = settled(scalar.sub(r, settled(scalar.sub(settled(scalar.sub(t, 3)), squareHigh))))
  const product = settled(scalar.mul(sHigh, t))
  const productLow = scalar.fma(sLow, t, scalar.mul(tLow, s))
  const p = leading(scalar.add(product, productLow))
  const pLow = settled(scalar.sub(productLow, settled(scalar.sub(p, product))))
  const z = settled(scalar.mul(p, 9.619140625e-1)) // 2 / (3 ln 2) and log2 1.5 in two parts each
  const zLow = scalar.add(
    scalar.fma(p, -1.1736857402e-4, scalar.mul(pLow, 9.6179670095e-1)),
    scalar.select(middle, constant(1.56322085e-6, 'f32'), 0),
  )
  const ofB = scalar.select(middle, constant(5.84960938e-1, 'f32'), 0)
  const high = leading(scalar.add(settled(scalar.add(settled(scalar.add(z, zLow)), ofB)), n))
  const rest = settled(scalar.sub(settled(scalar.sub(settled(scalar.sub(high, n)), ofB)), z))
  return [high, settled(scalar.sub(zLow, rest))]
}

/** x^y = 2^(y · log2 x), with the products of the parts apart. Small whole powers are products, which keeps them exact. */
function powerOfFloats(x: Scalar, y: Scalar): Scalar {
  const size = scalar.abs(x)
  const [high, low] = log2InParts(size)
  const limited = scalar.min(scalar.max(y, -(2 ** 33)), 2 ** 33) // enough for overflow, whatever x but 1
  const yHigh = leading(limited)
  const rest = scalar.fma(settled(scalar.sub(limited, yHigh)), high, scalar.mul(limited, low))
  const main = scalar.mul(yHigh, high)
  const far = scalar.lt(200, scalar.abs(main))
  const computed = exp2Scalar(main, scalar.select(far, 0, rest))

  const whole = scalar.eq(scalar.floor(y), y)
  const count = scalar.cast(scalar.min(scalar.max(y, -16777216), 16777216), 'i32')
  const odd = scalar.and(whole, scalar.eq(scalar.and(scalar.bitcast(count, 'u32'), 1), 1))
  const powers = [size]
  for (let k = 1; k < 5; k++) powers.push(scalar.mul(powers[k - 1]!, powers[k - 1]!))
  const bit = (k: number): Scalar => scalar.eq(scalar.and(scalar.bitcast(count, 'u32'), 1 << k), 1 << k)
  const product = powers.map((power, k) => scalar.select(bit(k), power, 1)).reduce((a, b) => scalar.mul(a, b))
  const wholeBase = scalar.eq(scalar.floor(size), size)
  const exact = scalar.or(
    scalar.le(y, 4),
    scalar.and(wholeBase, scalar.and(scalar.le(y, 24), scalar.lt(product, 16777216))),
  )
  const small = scalar.and(scalar.and(whole, scalar.le(1, y)), exact)
  const ordinary = scalar.select(small, product, computed)

  const zero = scalar.eq(size, 0)
  const infinite = scalar.eq(scalar.bitcast(size, 'u32'), 0x7f800000)
  const down = scalar.lt(y, 0)
  const extreme = scalar.select(scalar.ne(zero, down), constant(0, 'f32'), inf)
  const magnitude = scalar.select(
    scalar.eq(size, 1),
    1,
    scalar.select(scalar.or(zero, infinite), extreme, ordinary),
  )
  const negative = scalar.lt(scalar.bitcast(x, 'i32'), 0)
  const signed = scalar.select(scalar.and(negative, odd), scalar.neg(magnitude), magnitude)
  const undefined_ = scalar.and(
    scalar.and(scalar.lt(x, 0), scalar.not(whole)),
    scalar.not(scalar.or(infinite, scalar.eq(scalar.abs(y), inf))),
  )
  const value = scalar.select(scalar.or(undefined_, scalar.or(scalar.isNan(x), scalar.isNan(y))), nan, signed)
  const one = scalar.or(scalar.eq(y, 0), scalar.and(scalar.eq(x, 1), scalar.not(scalar.isNan(x))))
  return scalar.select(one, 1, value)
}

/** x^y of integers by six squarings, as JAX: more would overflow for any base but -1, 0 and 1. */
function powerOfIntegers<T>(
  x: T,
  y: T,
  mul: (a: T, b: T) => T,
  ifBit: (y: T, k: number, yes: T, no: T) => T,
  start: T,
): T {
  let [result, power] = [start, x]
  for (let k = 0; k < 6; k++) {
    result = ifBit(y, k, mul(result, power), result)
    power = mul(power, power)
  }
  return result
}

const powPrimitive = binary({
  name: 'pow',
  accepts: ['f32', 'i32', 'u32'],
  jvp: [
    (t, [x, y]) => mul(t, mul(y!, pow(x!, sub(y!, onesLike(y!))))),
    (t, [x, _], z) => mul(t, mul(log(where(equal(x!, 0), 1, x!)), z)),
  ],
  reference: (x, y, dtype) => {
    if (dtype === 'f32') return x === 1 || (x === -1 && Math.abs(y) === Number.POSITIVE_INFINITY) ? 1 : x ** y
    const ifBit = (y: number, k: number, yes: number, no: number) => ((y >> k) & 1 ? yes : no)
    return powerOfIntegers(x, y, Math.imul, ifBit, x === 0 && y !== 0 ? 0 : 1)
  },
  lower: (x, y) => {
    if (x.dtype === 'f32') return powerOfFloats(x, y)
    const ifBit = (y: Scalar, k: number, yes: Scalar, no: Scalar): Scalar =>
      scalar.select(scalar.eq(scalar.and(scalar.bitcast(y, 'u32'), 1 << k), 0), no, yes)
    const vanishes = scalar.and(scalar.eq(x, 0), scalar.ne(y, 0))
    const start = scalar.select(vanishes, constant(0, x.dtype), 1)
    return powerOfIntegers(x, y, scalar.mul, ifBit, start)
  },
})

/** Whole powers of floats beyond this one are not products, whose roundings would add up. */
const mostProducts = 16

/**
 * `x^y`, broadcasting. A whole JavaScript number as `y` means products, as `integerPow`, of floats up to the 16th power; integers
 * to the power of integers wrap. Of floats, NaN where `x < 0` and `y` is no whole number; anything to the power 0 is 1.
 *
 * @example
 * ```ts
 * import { pow, tensor } from 'cotangent'
 * await pow(tensor([50, 4, 0]), tensor([2, 0.5, 0])).data() // [2500, 2, 1]
 * ```
 */
export function pow(x: ArrayLike, y: ArrayLike): Value {
  const [base, exponent] = operands('pow', [x, y])
  const isWhole = typeof y === 'number' && Number.isInteger(y)
  if (isWhole && (!isFloat(base!.dtype) || Math.abs(y) <= mostProducts)) return integerPow(base!, y)
  return powPrimitive(base!, exponent!)
}
pow.primitive = powPrimitive.primitive

/** `∛x`, of negative numbers too. */
export const cbrt = unary({
  name: 'cbrt',
  accepts: ['f32'],
  jvp: (t, _, y) => div(t, mul(3, square(y))),
  reference: Math.cbrt,
  lower: (x) => {
    // x = m · 8^q with m in [1, 8); a third of the exponent as a first guess, and Halley's step twice.
    const size = scalar.bitcast(scalar.abs(x), 'u32')
    const exponent = scalar.shiftRight(size, 23)
    const third = scalar.div(scalar.add(exponent, 2), 3)
    const m = scalar.bitcast(
      scalar.add(scalar.sub(size, scalar.shiftLeft(scalar.mul(third, 3), 23)), 129 << 23),
      'f32',
    )
    const guess = scalar.bitcast(scalar.add(scalar.div(scalar.bitcast(m, 'u32'), 3), 709958130), 'f32')
    const step = (t: Scalar): Scalar => {
      const cube = scalar.mul(scalar.mul(t, t), t)
      const ratio = scalar.div(settled(scalar.sub(m, cube)), scalar.fma(cube, 2, m))
      return scalar.fma(t, ratio, t)
    }
    const root = step(step(guess))
    const value = scalar.mul(root, scalar.bitcast(scalar.shiftLeft(scalar.add(third, 127 - 43), 23), 'f32'))
    const signed = scalar.select(scalar.lt(x, 0), scalar.neg(value), value)
    const ordinary = scalar.and(scalar.le(0x800000, size), scalar.lt(size, 0x7f800000))
    return scalar.select(ordinary, signed, x)
  },
})

/** `√(x² + y²)` without overflow on the way, broadcasting; ∞ if one is infinite. */
export function hypot(x: ArrayLike, y: ArrayLike): Value {
  const [a, b] = operands('hypot', [x, y], 'f32').map(abs) as [Value, Value]
  const [large, small] = [maximum(a, b), minimum(a, b)]
  const zero = equal(large, 0)
  const length = where(zero, large, mul(large, sqrt(add(1, square(div(small, where(zero, 1, large)))))))
  return where(isInf(a).bitwiseOr(isInf(b)), Number.POSITIVE_INFINITY, length)
}
