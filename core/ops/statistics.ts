// What is known of many numbers: products, counts, spreads, quantiles, norms, and sums that pass over NaN. Compositions.

import { isFloat } from '../dtype.ts'
import { normalizeAxes, normalizeAxis, type Shape, sameShape, sizeOf } from '../shape.ts'
import { toArray } from '../trace.ts'
import { type ArrayLike, ones, type Value } from '../value.ts'
import { div, greater, isNan, lessEqual, maximum, mul, sub, where } from './arithmetic.ts'
import { bitwiseNot } from './bits.ts'
import { countable, part } from './cumulative.ts'
import { sqrt } from './elementary.ts'
import { add, cast } from './elementwise.ts'
import { take } from './indexing.ts'
import {
  broadcastTo,
  concatenate,
  moveaxis,
  type ReduceOptions,
  reshape,
  squeeze,
  stack,
  sum,
  transpose,
} from './movement.ts'
import { pow } from './power.ts'
import { max, mean, min, type SpreadOptions, toFloat, variance } from './reduction.ts'
import { ceil, floor } from './rounding.ts'
import { abs } from './sign.ts'
import { sort } from './sorting.ts'

/** `x` with the reduced axes as one, behind the others; and the shape of the result. */
function lastAxis(op: string, x: Value, { axis, keepDims = false }: ReduceOptions): [Value, Shape] {
  const axes = normalizeAxes(op, axis, x.rank)
  const others = x.shape.flatMap((_, k) => (axes.includes(k) ? [] : [k]))
  const rows = others.map((k) => x.shape[k]!)
  const moved = reshape(transpose(x, [...others, ...axes]), [...rows, sizeOf(axes.map((k) => x.shape[k]!))])
  return [moved, keepDims ? x.shape.map((extent, k) => (axes.includes(k) ? 1 : extent)) : rows]
}

/** The product over `axis`, or of everything, by halves: its derivative is products too, and so exact at zeros. Bools are counted in i32. */
export function prod(x: ArrayLike, options: ReduceOptions = {}): Value {
  const [list, shape] = lastAxis('prod', countable(toArray(x)), options)
  const axis = list.rank - 1
  let left = list
  while (left.shape[axis]! > 1) {
    const extent = left.shape[axis]!
    const half = Math.floor(extent / 2)
    const halves = mul(part(left, axis, 0, half), part(left, axis, half, 2 * half))
    left = extent % 2 === 0 ? halves : concatenate([halves, part(left, axis, 2 * half, extent)], { axis })
  }
  return left.size === 0 ? ones(shape, left.dtype) : reshape(left, shape)
}

/** Whether any element over `axis` is true, or not 0; false of nothing. */
export const any = (x: ArrayLike, options: ReduceOptions = {}): Value => greater(countNonzero(x, options), 0)

/** Whether all elements over `axis` are true, or not 0; true of nothing. */
export const all = (x: ArrayLike, options: ReduceOptions = {}): Value =>
  bitwiseNot(any(bitwiseNot(cast(toArray(x), 'bool')), options))

/** How many elements over `axis` are not 0, as i32. */
export const countNonzero = (x: ArrayLike, options: ReduceOptions = {}): Value =>
  sum(cast(toArray(x), 'bool'), options)

/** `x` with `value` where it is NaN, and where that is. */
function withoutNan(x: ArrayLike, value: number): [Value, Value | null] {
  const array = toArray(x)
  if (!isFloat(array.dtype)) return [array, null]
  const missing = isNan(array)
  return [where(missing, value, array), missing]
}

/** `sum` that passes over NaN. */
export const nanSum = (x: ArrayLike, options: ReduceOptions = {}): Value => sum(withoutNan(x, 0)[0], options)

/** `mean` of what is not NaN; NaN if nothing is left. */
export function nanMean(x: ArrayLike, options: ReduceOptions = {}): Value {
  const [value, missing] = withoutNan(x, 0)
  return missing ? div(sum(value, options), sum(bitwiseNot(missing), options)) : mean(value, options)
}

const nanExtremum =
  (choose: typeof max | typeof min, farthest: number) =>
  (x: ArrayLike, options: ReduceOptions = {}): Value => {
    const [value, missing] = withoutNan(x, farthest)
    const chosen = choose(value, options)
    return missing ? where(all(missing, options), Number.NaN, chosen) : chosen
  }

/** `max` that passes over NaN; NaN if there is nothing else. */
export const nanMax = nanExtremum(max, Number.NEGATIVE_INFINITY)

/** `min` that passes over NaN; NaN if there is nothing else. */
export const nanMin = nanExtremum(min, Number.POSITIVE_INFINITY)

/** The standard deviation over `axis`, the root of `variance`; its derivative is NaN where it is 0, as in JAX. */
export const std = (x: ArrayLike, options: SpreadOptions = {}): Value => sqrt(variance(x, options))

/** From the smallest element over `axis` to the largest. */
export const ptp = (x: ArrayLike, options: ReduceOptions = {}): Value => sub(max(x, options), min(x, options))

/**
 * The mean over `axis` in which each element counts as much as `weights` says: of the shape of `x`, or of its extents along
 * `axis`. Without them, `mean`.
 */
export function average(
  x: ArrayLike,
  { weights, ...options }: ReduceOptions & { readonly weights?: ArrayLike } = {},
): Value {
  const value = toFloat(toArray(x))
  if (weights === undefined) return mean(value, options)
  const given = toFloat(toArray(weights))
  const axes = normalizeAxes('average', options.axis, value.rank)
  const fits = sameShape(given.shape, value.shape)
  if (
    !fits &&
    !sameShape(
      given.shape,
      axes.map((k) => value.shape[k]!),
    )
  )
    throw new TypeError(
      `average: weights ${given.aval} do not fit ${value.aval}; they must have its shape, or the extents of the averaged axes`,
    )
  const along = fits
    ? given
    : reshape(
        given,
        value.shape.map((extent, k) => (axes.includes(k) ? extent : 1)),
      )
  const all = broadcastTo(along, value.shape)
  return div(sum(mul(value, all), options), sum(all, options))
}

/** How a quantile that falls between two elements is made of them. */
type QuantileMethod = 'linear' | 'lower' | 'higher' | 'nearest' | 'midpoint'

interface QuantileOptions extends ReduceOptions {
  readonly method?: QuantileMethod
}

/**
 * The value below which a share `q` of the elements over `axis` lies; NaN if one of them is. `q` is a number or a vector,
 * and the result has the axis of the vector in front.
 *
 * @example
 * ```ts
 * import { quantile, tensor } from 'cotangent'
 * await quantile(tensor([1, 2, 4, 8]), [0.5, 0.9]).data() // [3, 6.8]
 * ```
 */
export function quantile(
  x: ArrayLike,
  q: ArrayLike | readonly number[],
  { method = 'linear', ...options }: QuantileOptions = {},
): Value {
  const shares = toFloat(isList(q) ? stack(q) : toArray(q))
  if (shares.rank > 1) throw new TypeError(`quantile: q is ${shares.aval}; pass a number or a vector`)
  const [list, shape] = lastAxis('quantile', toFloat(toArray(x)), options)
  const extent = list.shape.at(-1)!
  if (extent === 0)
    throw new RangeError(`quantile: ${toArray(x).aval} has no elements over the axes; give it some`)
  const place = mul(shares, extent - 1)
  const below = floor(place)
  const missing = any(isNan(list), { axis: -1, keepDims: true })
  const sorted = sort(where(missing, Number.NaN, list))
  const at = (places: Value): Value => take(sorted, cast(places, 'i32'), { axis: -1, mode: 'clip' })
  const [low, high] = [at(below), at(ceil(place))]
  const share = sub(place, below)
  const methods: Readonly<Record<string, () => Value>> = {
    linear: () => add(mul(low, sub(1, share)), mul(high, share)),
    lower: () => low,
    higher: () => high,
    nearest: () => where(lessEqual(share, 0.5), low, high),
    midpoint: () => mul(add(low, high), 0.5),
  }
  const between = methods[method]
  if (between === undefined)
    throw new TypeError(`quantile: "${method}" is no method; use ${Object.keys(methods).join(', ')}`)
  const found = between()
  return shares.rank === 0 ? reshape(found, shape) : reshape(moveaxis(found, -1, 0), [shares.size, ...shape])
}

const isList = (q: ArrayLike | readonly number[]): q is readonly number[] => Array.isArray(q)

/** `quantile` of shares given in hundredths. */
export const percentile = (
  x: ArrayLike,
  q: ArrayLike | readonly number[],
  options: QuantileOptions = {},
): Value => quantile(x, isList(q) ? q.map((share) => share / 100) : div(q, 100), options)

/** The element in the middle over `axis`, or the mean of the two there; NaN if one is. */
export const median = (x: ArrayLike, options: ReduceOptions = {}): Value => quantile(x, 0.5, options)

interface NormOptions extends ReduceOptions {
  /** Of vectors a number, ±∞ included; of matrices 1, -1, ±∞ or 'fro'. */
  readonly ord?: number | 'fro' | undefined
}

/**
 * The norm of the vectors along `axis`, or of the matrices along two axes: by default the root of the sum of squares, of
 * everything without an axis. `ord` p is the p-th root of the sum of p-th powers, ∞ the largest magnitude, -∞ the smallest,
 * 0 the count of what is not 0; of a matrix, 1 is the largest sum of a column, ∞ of a row, and negative the smallest. The
 * derivative of the root is NaN at 0, as in JAX.
 */
export function norm(x: ArrayLike, { ord, axis, keepDims = false }: NormOptions = {}): Value {
  const value = toFloat(toArray(x))
  const all = normalizeAxes('norm', axis, value.rank)
  const axes = axis === undefined ? all : [axis].flat().map((k) => normalizeAxis('norm', k, value.rank))
  if (ord === undefined || (axes.length === 1 && ord === 2) || (axes.length === 2 && ord === 'fro'))
    return sqrt(sum(mul(value, value), { axis, keepDims }))
  const size = abs(value)
  const [rows, columns] = axes
  if (axes.length === 1 && typeof ord === 'number') return vectorNorm(size, ord, { axis, keepDims })
  const isBySums = Math.abs(Number(ord)) === 1 || Math.abs(Number(ord)) === Number.POSITIVE_INFINITY
  if (axes.length !== 2 || !isBySums)
    throw new RangeError(
      `norm: ord ${ord} is not defined over ${axes.length} axes of ${value.aval}; of vectors use a number, of matrices 1, -1, Infinity, -Infinity or 'fro'`,
    )
  const [added, chosen] = Math.abs(Number(ord)) === 1 ? [rows!, columns!] : [columns!, rows!]
  const sums = sum(size, { axis: added, keepDims: true })
  const result = (Number(ord) > 0 ? largest : min)(sums, { axis: chosen, keepDims: true })
  return keepDims ? result : squeeze(result, axes)
}

function vectorNorm(size: Value, ord: number, options: ReduceOptions): Value {
  if (ord === Number.POSITIVE_INFINITY) return largest(size, options)
  if (ord === Number.NEGATIVE_INFINITY) return min(size, options)
  if (ord === 0) return cast(countNonzero(size, options), 'f32')
  return ord === 1 ? sum(size, options) : pow(sum(pow(size, ord), options), 1 / ord)
}

/** The largest of what is not negative. At zeros, one more beside them takes half of the derivative, as in JAX. */
const largest = (x: Value, options: ReduceOptions): Value => maximum(max(x, options), 0)
