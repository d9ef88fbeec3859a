// Activation functions: compositions of element-wise operations, with JAX's values and derivatives at the kinks, written so
// that neither tail overflows or loses its digits.

import {
  type ArrayLike,
  abs,
  add,
  div,
  erfc,
  expm1,
  greater,
  greaterEqual,
  less,
  logAddExp,
  logicalAnd,
  logistic,
  maximum,
  minimum,
  mul,
  neg,
  slice,
  sqrt,
  square,
  stopGradient,
  tanh,
  toArray,
  type Value,
  where,
} from '../core/index.ts'

export { logistic as sigmoid, logSoftmax, logSumExp, relu, softmax } from '../core/index.ts'

/** `min(max(x, 0), 6)`; its derivative at 0 and 6 is 0. */
export const relu6 = (x: ArrayLike): Value =>
  where(logicalAnd(greater(x, 0), less(x, 6)), x, stopGradient(minimum(maximum(x, 0), 6)))

/** `x` where it is not negative, `slope · x` elsewhere; its derivative at 0 is 1. */
export const leakyRelu = (x: ArrayLike, { slope = 0.01 }: { readonly slope?: ArrayLike } = {}): Value =>
  where(greaterEqual(x, 0), x, mul(slope, x))

export interface AlphaOption {
  /** Minus the value far to the left. */
  readonly alpha?: ArrayLike
}

/** `x` where it is positive, `alpha · (e^x - 1)` elsewhere. */
export const elu = (x: ArrayLike, { alpha = 1 }: AlphaOption = {}): Value =>
  where(greater(x, 0), x, mul(alpha, expm1(where(greater(x, 0), 0, x))))

/** `elu` scaled so that it keeps mean 0 and variance 1 (Klambauer et al., "Self-Normalizing Neural Networks", 2017). */
export const selu = (x: ArrayLike): Value => mul(1.0507009873554805, elu(x, { alpha: 1.6732632423543772 }))

/** `max(x, 0) + alpha · (e^(min(x, 0) / alpha) - 1)`, which is smooth for every `alpha`. */
export const celu = (x: ArrayLike, { alpha = 1 }: AlphaOption = {}): Value =>
  add(maximum(x, 0), mul(alpha, expm1(div(minimum(x, 0), alpha))))

/**
 * `x · Φ(x)`, with Φ the normal distribution's function; by default its approximation `σ(√(8/π) (x + 0.044715 x³))`, as in JAX.
 * Digits that JAX loses left of -3 are kept.
 *
 * @example
 * ```ts
 * import { tensor } from 'cotangent'
 * import { gelu } from 'cotangent/nn'
 * await gelu(tensor([-1, 0, 1]), { approximate: false }).data() // [-0.15865526, 0, 0.8413447]
 * ```
 */
export function gelu(x: ArrayLike, { approximate = true }: { readonly approximate?: boolean } = {}): Value {
  if (!approximate) return mul(mul(0.5, x), erfc(mul(x, -Math.SQRT1_2)))
  const cubic = mul(x, add(1, mul(0.044715, square(x))))
  return mul(x, logistic(mul(2 * Math.sqrt(2 / Math.PI), cubic)))
}

/** `x · σ(x)` */
export const silu = (x: ArrayLike): Value => mul(x, logistic(x))

/** `ln(1 + e^x)` */
export const softplus = (x: ArrayLike): Value => logAddExp(x, 0)

/** `ln σ(x)` */
export const logSigmoid = (x: ArrayLike): Value => neg(softplus(neg(x)))

/** `x` within [-1, 1], whose derivative is 1 at both ends. */
export const hardTanh = (x: ArrayLike): Value => where(greater(x, 1), 1, where(less(x, -1), -1, x))

/** `x · tanh(softplus(x))` (Misra, "Mish", 2019) */
export const mish = (x: ArrayLike): Value => mul(x, tanh(softplus(x)))

/** `x / (1 + |x|)` */
export const softSign = (x: ArrayLike): Value => div(x, add(1, abs(x)))

/** `(x + √(x² + b)) / 2` (Barron, "Squareplus", 2021); left of 0 as `b / 2 / (√(x² + b) - x)`, which keeps its digits. */
export function squareplus(x: ArrayLike, { b = 4 }: { readonly b?: ArrayLike } = {}): Value {
  const total = add(abs(x), sqrt(add(square(x), b)))
  return where(greaterEqual(x, 0), mul(0.5, total), div(mul(0.5, b), total))
}

/**
 * The first half along `axis` times σ of the second (Dauphin et al., "Language Modeling with Gated Convolutional Networks", 2017);
 * the axis must have an even extent.
 */
export function glu(x: ArrayLike, { axis = -1 }: { readonly axis?: number } = {}): Value {
  const value = toArray(x)
  const along = axis < 0 ? axis + value.rank : axis
  const extent = value.shape[along]
  if (extent === undefined || extent % 2 !== 0)
    throw new RangeError(
      `glu: axis ${axis} of ${value.aval} ${extent === undefined ? 'does not exist' : `has extent ${extent}`}; name an axis of even extent`,
    )
  const half = (start: number, end: number): Value =>
    slice(value, {
      start: value.shape.map((_, axis) => (axis === along ? start : 0)),
      end: value.shape.map((size, axis) => (axis === along ? end : size)),
    })
  return mul(half(0, extent / 2), logistic(half(extent / 2, extent)))
}
