// Special functions: the error functions, and the logarithm of the gamma function with its derivatives. What they mean in
// double precision is written here too, by other formulas than what the device computes.

import type { Scalar } from '../scalar.ts'
import * as scalar from '../scalar.ts'
import { constant } from '../scalar.ts'
import { bind } from '../trace.ts'
import type { ArrayLike, Value } from '../value.ts'
import { mul, neg } from './arithmetic.ts'
import { exp, expScalar, inf, log1pScalar, logScalar, nan, settled } from './elementary.ts'
import { elementwise, operands, unary } from './elementwise.ts'
import { square } from './power.ts'

const float = ['f32'] as const

// ---- error functions

/** erf x as a sum of positive terms for small x, and 1 - erfc x beyond. */
function erf64(x: number): number {
  if (Number.isNaN(x)) return x
  if (x < 0) return -erf64(-x)
  if (x > 2.5) return 1 - erfc64(x)
  let term = x
  let sum = x
  for (let n = 1; term > sum * 1e-18; n++) {
    term *= (2 * x * x) / (2 * n + 1)
    sum += term
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum
}

/** erfc x by its continued fraction where 1 - erf x would lose digits. */
function erfc64(x: number): number {
  if (Number.isNaN(x) || x < 2) return 1 - erf64(x)
  let rest = x
  for (let n = 200; n > 0; n--) rest = x + n / 2 / rest
  return Math.exp(-x * x) / (Math.sqrt(Math.PI) * rest)
}

/** erf⁻¹ x by Newton's steps from Winitzki's estimate, on erfc in the tails. */
function erfInv64(x: number): number {
  const size = Math.abs(x)
  if (!(size < 1)) return size === 1 ? x * Number.POSITIVE_INFINITY : Number.NaN
  const w = Math.log1p(-size * size)
  const b = 2 / (Math.PI * 0.147) + w / 2
  let y = Math.sqrt(Math.sqrt(b * b - w / 0.147) - b)
  for (let k = 0; k < 5; k++) {
    const off = size < 0.9 ? erf64(y) - size : 1 - size - erfc64(y)
    y -= (off * Math.sqrt(Math.PI) * Math.exp(y * y)) / 2
  }
  return x < 0 ? -y : y
}

/** erf of |x| < 1 */
function erfNearZero(x: Scalar): Scalar {
  const tail = scalar.polynomial(
    scalar.mul(x, x),
    [0.128379166, -0.376126289, 0.112836182, -0.026855126, 0.00519073382, -0.000803076138, 7.92036808e-5],
  )
  const tiny = scalar.lt(scalar.abs(x), 1e-20) // the smaller term may be too small for a float
  return scalar.select(tiny, scalar.mul(x, 2 / Math.sqrt(Math.PI)), scalar.fma(x, tail, x))
}

/**
 * erfc of x ≥ ½: e^(-x²) · p(t) / (1 + 2x), a polynomial in t = (x - 2) / (x + 2). The square is that of the leading bits of x,
 * which is exact, and a small rest, which is an exponent of its own.
 */
function erfcFar(x: Scalar): Scalar {
  const limited = scalar.min(x, 11)
  const t = scalar.div(scalar.sub(limited, 2), scalar.add(limited, 2))
  const p = scalar.polynomial(
    t,
    [
      1.27697837, -0.0927638188, -0.166030377, 0.16404976, -0.0542156287, -0.00801068172, 0.00867484882,
      0.00115313102, -0.00128446287, -0.000223732146,
    ],
  )
  const high = scalar.bitcast(scalar.and(scalar.bitcast(limited, 'u32'), 0xfffff000), 'f32')
  const low = scalar.mul(settled(scalar.sub(limited, high)), scalar.add(limited, high))
  const decay = scalar.mul(expScalar(scalar.neg(scalar.mul(high, high))), expScalar(scalar.neg(low)))
  return scalar.mul(decay, scalar.div(p, scalar.fma(limited, 2, 1)))
}

const twoOverRootPi = 2 / Math.sqrt(Math.PI)

/** The derivative of erf times a tangent. */
const bell = (t: Value, x: Value): Value => mul(t, mul(twoOverRootPi, exp(neg(square(x)))))

/** The error function, `2/√π ∫₀ˣ e^(-t²) dt`. */
export const erf = unary({
  name: 'erf',
  accepts: float,
  jvp: (t, x) => bell(t, x),
  reference: erf64,
  lower: (x) => {
    const size = scalar.abs(x)
    const far = scalar.sub(1, erfcFar(size))
    const signed = scalar.select(scalar.lt(x, 0), scalar.neg(far), far)
    return scalar.select(scalar.isNan(x), x, scalar.select(scalar.lt(size, 0.9), erfNearZero(x), signed))
  },
})

/** `1 - erf(x)`, accurate where that is tiny. */
export const erfc = unary({
  name: 'erfc',
  accepts: float,
  jvp: (t, x) => neg(bell(t, x)),
  reference: erfc64,
  lower: (x) => {
    const far = erfcFar(scalar.abs(x))
    const beyond = scalar.select(scalar.lt(x, 0), scalar.sub(2, far), far)
    const near = scalar.sub(1, erfNearZero(x))
    return scalar.select(scalar.isNan(x), x, scalar.select(scalar.lt(scalar.abs(x), 0.5), near, beyond))
  },
})

/** The number whose error function is `x`; infinite at -1 and 1, NaN beyond. (M. Giles, "Approximating the erfinv function", 2010.) */
export const erfInv = unary({
  name: 'erf_inv',
  accepts: float,
  jvp: (t, _, y) => mul(t, mul(Math.sqrt(Math.PI) / 2, exp(square(y)))),
  reference: erfInv64,
  lower: (x) => {
    const size = scalar.abs(x)
    const below = settled(scalar.sub(1, size))
    const near = log1pScalar(scalar.neg(scalar.mul(size, size)))
    const far = logScalar(scalar.mul(below, scalar.add(1, size)))
    const w = scalar.neg(scalar.select(scalar.lt(size, 0.5), near, far))
    const inner = scalar.polynomial(
      scalar.sub(w, 2.5),
      [
        1.50140941, 0.246640727, -0.00417768164, -0.00125372503, 0.00021858087, -4.39150654e-6, -3.5233877e-6,
        3.43273939e-7, 2.81022636e-8,
      ],
    )
    const outer = scalar.polynomial(
      scalar.sub(scalar.sqrt(scalar.max(w, 0)), 3),
      [
        2.83297682, 1.00167406, 0.00943887047, -0.0076224613, 0.00573950773, -0.00367342844, 0.00134934322,
        0.000100950558, -0.000200214257,
      ],
    )
    const value = scalar.mul(scalar.select(scalar.lt(w, 5), inner, outer), x)
    const bits = scalar.bitcast(size, 'u32')
    const end = scalar.select(scalar.lt(x, 0), scalar.neg(inf), inf)
    const edge = scalar.select(scalar.eq(bits, 0x3f800000), end, nan)
    return scalar.select(scalar.lt(bits, 0x3f800000), value, edge)
  },
})

// ---- gamma functions

/** B₂, B₄, …: the even Bernoulli numbers. */
const bernoulli = [1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798]
const factorial = (n: number): number => (n <= 1 ? 1 : n * factorial(n - 1))
const eulerGamma = 0.5772156649015329

/** ζ(2), ζ(3), … up to ζ(9) */
const zeta = [
  1.644934066848226, 1.202056903159594, 1.082323233711138, 1.03692775514337, 1.017343061984449,
  1.008349277381923, 1.004077356197944, 1.002008392826082,
]

/** ln |Γ(x)| by Stirling's series far out; by its power series at 1 and 2, where it is zero. */
function lgamma64(x: number): number {
  if (!Number.isFinite(x)) return Math.abs(x)
  if (x <= 0) {
    const rest = x - Math.round(x)
    return Math.log(Math.PI / Math.abs(Math.sin(Math.PI * rest))) - lgamma64(1 - x)
  }
  const near = Math.round(x)
  const e = x - near
  if (Math.abs(e) < 0.01 && (near === 1 || near === 2)) {
    const series = zeta.reduce((sum, value, k) => sum + (value * (-e) ** (k + 2)) / (k + 2), -eulerGamma * e)
    return near === 1 ? series : series + Math.log1p(e)
  }
  let [z, product] = [x, 1]
  for (; z < 15; z++) product *= z
  const series = bernoulli.reduce((sum, b, k) => sum + b / ((2 * k + 2) * (2 * k + 1) * z ** (2 * k + 1)), 0)
  return (z - 0.5) * Math.log(z) - z + Math.log(2 * Math.PI) / 2 + series - Math.log(product)
}

/** ψ⁽ⁿ⁾, the n-th derivative of ψ = (ln Γ)′, by its asymptotic series far out. */
function polygamma64(n: number, x: number): number {
  if (Number.isNaN(x) || x === Number.NEGATIVE_INFINITY) return Number.NaN
  if (x === Number.POSITIVE_INFINITY) return n === 0 ? x : 0
  if (x <= 0) {
    const rest = x - Math.round(x)
    if (rest === 0) return n % 2 === 0 ? Number.NaN : Number.POSITIVE_INFINITY
    const mirrored = (n % 2 === 0 ? 1 : -1) * polygamma64(n, 1 - x)
    const c = 1 / Math.tan(Math.PI * rest)
    return mirrored - Math.PI ** (n + 1) * cotangentDerivative(n).reduceRight((sum, a) => sum * c + a, 0)
  }
  const sign = n % 2 === 0 ? -1 : 1
  let [z, sum] = [x, 0]
  for (; z < 20 + n; z++) sum += (sign * factorial(n)) / z ** (n + 1)
  const lead = n === 0 ? Math.log(z) : (sign * factorial(n - 1)) / z ** n
  const tail = bernoulli.reduce(
    (all, b, k) => all + (b * seriesFactor(n, k)) / z ** (2 * k + 2 + n),
    factorial(n) / (2 * z ** (n + 1)),
  )
  return sum + lead + sign * tail
}

/** (2k + n + 1)! / (2k + 2)! */
function seriesFactor(n: number, k: number): number {
  let product = n === 0 ? 1 / (2 * k + 2) : 1
  for (let m = 2 * k + 3; m <= 2 * k + n + 1; m++) product *= m
  return product
}

/** The n-th derivative of cot, as the coefficients of a polynomial in cot: p′ becomes -(1 + c²) p′. */
function cotangentDerivative(n: number): number[] {
  if (n === 0) return [0, 1]
  const slope = cotangentDerivative(n - 1)
    .map((a, k) => a * k)
    .slice(1)
  return Array.from({ length: slope.length + 2 }, (_, k) => -(slope[k] ?? 0) - (slope[k - 2] ?? 0))
}

/** What lies between x and the nearest whole number. */
const pastWhole = (x: Scalar): Scalar => settled(scalar.sub(x, scalar.round(x)))

/** ln Γ(x) of x > 0: around 2 a polynomial with the zeros at 1 and 2 taken out, reached by products; Stirling's series from 10 on. */
function lgammaPositive(x: Scalar): Scalar {
  const low = scalar.lt(x, 0.5)
  const middle = scalar.lt(x, 1.25)
  let w = settled(scalar.sub(x, 2))
  let product = constant(1, 'f32')
  for (let k = 0; k < 8; k++) {
    const above = scalar.le(0.5, w)
    product = scalar.select(above, scalar.mul(product, scalar.add(w, 1)), product)
    w = scalar.select(above, settled(scalar.sub(w, 1)), w)
  }
  w = scalar.select(low, x, scalar.select(middle, settled(scalar.sub(x, 1)), w))
  const q = scalar.polynomial(
    w,
    [
      0.422784328, -0.100317299, 0.0329657085, -0.0123839611, 0.00498658279, -0.00211776723, 0.000982047524,
      -0.000324330002, 7.38523086e-5, -0.00027495547,
    ],
  )
  const core = scalar.mul(scalar.mul(w, scalar.add(w, 1)), q)
  const divisor = scalar.select(low, scalar.mul(x, scalar.add(x, 1)), x)
  const logarithm = logScalar(scalar.select(middle, divisor, scalar.select(scalar.lt(x, 10), product, x)))
  const near = scalar.add(core, scalar.select(middle, scalar.neg(logarithm), logarithm))
  const inverse = scalar.div(1, x)
  const series = scalar.polynomial(scalar.mul(inverse, inverse), [1 / 12, -1 / 360, 1 / 1260])
  const lead = scalar.mul(scalar.sub(x, 0.5), scalar.sub(logarithm, 1))
  const far = scalar.add(lead, scalar.fma(inverse, series, Math.log(2 * Math.PI) / 2 - 0.5))
  return scalar.select(scalar.lt(x, 10), near, far)
}

/** `ln |Γ(x)|`: infinite at 0 and the negative whole numbers. */
export const lgamma = unary({
  name: 'lgamma',
  accepts: float,
  jvp: (t, x) => mul(t, digamma(x)),
  reference: lgamma64,
  lower: (x) => {
    const size = scalar.abs(x)
    const negative = scalar.lt(x, 0)
    const value = lgammaPositive(scalar.select(negative, scalar.add(size, 1), x))
    const r = pastWhole(size)
    const square = scalar.mul(r, r)
    const sine = scalar.mul(
      scalar.abs(r),
      scalar.polynomial(
        square,
        [3.14159274, -5.16772985, 2.55070758, -0.605335116, 0.109824985, -0.0514335558],
      ),
    )
    const mirrored = scalar.sub(scalar.sub(Math.log(Math.PI), logScalar(sine)), value)
    const whole = scalar.or(scalar.eq(size, 0), scalar.and(negative, scalar.eq(r, 0)))
    const infinite = scalar.or(whole, scalar.eq(scalar.bitcast(size, 'u32'), 0x7f800000))
    const ordinary = scalar.select(negative, mirrored, value)
    return scalar.select(scalar.isNan(x), x, scalar.select(infinite, inf, ordinary))
  },
})

/** cot πr of |r| ≤ ½ */
function cotangentOfTurns(r: Scalar): Scalar {
  const size = scalar.abs(r)
  const steep = scalar.lt(size, 0.25)
  const x = scalar.mul(scalar.select(steep, size, settled(scalar.sub(0.5, size))), Math.PI)
  const tail = scalar.polynomial(
    scalar.mul(x, x),
    [0.333333522, 0.13332583, 0.0540686511, 0.0212386101, 0.0109455446, -4.61905838e-5, 0.00444183266],
  )
  const tangent = scalar.fma(scalar.mul(scalar.mul(x, x), x), tail, x)
  const value = scalar.select(steep, scalar.div(1, tangent), tangent)
  return scalar.select(scalar.lt(r, 0), scalar.neg(value), value)
}

const powerOf = (x: Scalar, n: number): Scalar =>
  n === 0 ? constant(1, 'f32') : n === 1 ? x : scalar.mul(powerOf(x, n - 1), x)

/** ψ(x) of x > 0: from 1 to 2 a polynomial with the zero taken out, reached by sums of 1/x; the asymptotic series from 10 on. */
function digammaPositive(x: Scalar): Scalar {
  const low = scalar.lt(x, 1)
  let z = x
  let sum = constant(0, 'f32')
  for (let k = 0; k < 8; k++) {
    const above = scalar.le(2, z)
    const less = settled(scalar.sub(z, 1))
    sum = scalar.select(above, scalar.add(sum, scalar.div(1, scalar.max(less, 1))), sum)
    z = scalar.select(above, less, z)
  }
  const root = settled(scalar.sub(settled(scalar.sub(z, 1.4616321)), 1.2438149843e-8))
  const rootLow = settled(scalar.sub(settled(scalar.add(z, -0.4616321)), 1.2438149843e-8))
  const u = scalar.select(low, scalar.sub(z, 0.5), scalar.sub(z, 1.5))
  const p = scalar.polynomial(
    u,
    [
      0.951055884, -0.423627555, 0.240539119, -0.148395643, 0.0951066762, -0.0621036589, 0.0394196771,
      -0.0255277194, 0.0238209311, -0.016840592,
    ],
  )
  const near = scalar.fma(scalar.select(low, rootLow, root), p, scalar.select(low, scalar.div(-1, x), sum))
  const inverse = scalar.div(1, x)
  const square = scalar.mul(inverse, inverse)
  const series = scalar.polynomial(square, [-1 / 12, 1 / 120, -1 / 252])
  const far = scalar.add(logScalar(x), scalar.fma(square, series, scalar.mul(inverse, -0.5)))
  return scalar.select(scalar.lt(x, 10), near, far)
}

/** ψ⁽ⁿ⁾ of x > 0 and n > 0: terms n!/xⁿ⁺¹ up to 8 + n, and the asymptotic series there. */
function polygammaPositive(n: number, x: Scalar): Scalar {
  let z = x
  let sum = constant(0, 'f32')
  for (let k = 0; k < 8 + n; k++) {
    const below = scalar.lt(z, 8 + n)
    const term = scalar.mul(powerOf(scalar.div(1, z), n + 1), factorial(n))
    sum = scalar.select(below, scalar.add(sum, term), sum)
    z = scalar.select(below, scalar.add(z, 1), z)
  }
  const inverse = scalar.div(1, z)
  const coefficients = [0, 1, 2, 3].map((k) => bernoulli[k]! * seriesFactor(n, k))
  const square = scalar.mul(inverse, inverse)
  const half = scalar.fma(inverse, factorial(n) / 2, constant(factorial(n - 1), 'f32'))
  const tail = scalar.fma(square, scalar.polynomial(square, coefficients), half)
  const value = scalar.add(sum, scalar.mul(powerOf(inverse, n), tail))
  return n % 2 === 0 ? scalar.neg(value) : value
}

type OrderParams = { readonly order: number }

const polygammaPrimitive = elementwise<OrderParams>({
  name: 'polygamma',
  accepts: float,
  jvp: [(t, [x], _, { order }) => mul(t, polygamma(order + 1, x!))],
  reference: ([x], { order }) => polygamma64(order, x!),
  lower: ([x], { params: { order } }) => {
    const negative = scalar.le(x!, 0)
    const positive = (x: Scalar): Scalar => (order === 0 ? digammaPositive(x) : polygammaPositive(order, x))
    const value = positive(scalar.select(negative, scalar.sub(1, x!), x!))
    const r = pastWhole(x!)
    const slope = scalar.polynomial(
      cotangentOfTurns(r),
      cotangentDerivative(order).map((a) => a * Math.PI ** (order + 1)),
    )
    const mirrored = scalar.sub(order % 2 === 0 ? value : scalar.neg(value), slope)
    const pole = order % 2 === 0 ? nan : inf
    const below = scalar.select(scalar.eq(r, 0), pole, mirrored)
    const special = scalar.select(scalar.lt(x!, 0), nan, order === 0 ? inf : constant(0, 'f32'))
    const infinite = scalar.eq(scalar.bitcast(scalar.abs(x!), 'u32'), 0x7f800000)
    const ordinary = scalar.select(negative, below, value)
    return scalar.select(scalar.isNan(x!), x!, scalar.select(infinite, special, ordinary))
  },
})

const polygamma = (order: number, x: Value): Value => bind(polygammaPrimitive, [x], { order })[0]!

/** The derivative of `lgamma`; NaN at 0 and the negative whole numbers. It has derivatives of all orders. */
export const digamma = (x: ArrayLike): Value => polygamma(0, operands('digamma', [x], 'f32')[0]!)
digamma.primitive = polygammaPrimitive
