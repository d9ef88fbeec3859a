// Folds over axes: the largest and smallest element, where they are, and what is built of sums.

import { type DType, isFloat, isHalf, type MachineType, machineType } from '../dtype.ts'
import { type Primitive, single } from '../primitive.ts'
import type { Scalar } from '../scalar.ts'
import * as scalar from '../scalar.ts'
import { normalizeAxes, normalizeAxis } from '../shape.ts'
import { bind, toArray } from '../trace.ts'
import { type ArrayLike, full, type Value } from '../value.ts'
import { div, equal, isNan, mul, propagateNan, sub, where } from './arithmetic.ts'
import { bitwiseOr } from './bits.ts'
import { cast } from './elementwise.ts'
import { iota } from './indexing.ts'
import {
  batchFirst,
  type ReduceOptions,
  type ReduceParams,
  reduce,
  reducedAval,
  reduceLoops,
  reduceReference,
  reshape,
  sum,
} from './movement.ts'

/** A fold that keeps one of the elements; equal ones share the tangent, as in JAX. */
function extremum(
  name: string,
  pick: (a: number, b: number) => number,
  lower: (x: Scalar, y: Scalar) => Scalar,
  sign: 1 | -1,
) {
  const primitive: Primitive<ReduceParams> = single<ReduceParams>({
    name,
    saysWeak: true, // never, as in jnp
    type: ([x], { axes }) => reducedAval(x!, axes),
    jvp: ([t], [x], y, { axes }) => {
      const kept = x!.shape.map((extent, axis) => (axes.includes(axis) ? 1 : extent))
      const chosen = equal(x!, reshape(y, kept))
      return div(sum(where(chosen, t!, 0), { axis: axes }), cast(sum(chosen, { axis: axes }), t!.dtype))
    },
    batch: ([x], { axes }, size) => ({
      value: bind(primitive, [batchFirst(x!, size)], { axes: axes.map((axis) => axis + 1) })[0]!,
      axis: 0,
    }),
    reference: ([x], { axes }) =>
      reduceReference(x!, axes, (values) => values.reduce((a, b) => pick(a, b), lowest(x!.dtype, sign))),
    lower: {
      ...reduceLoops,
      combine: (x, y) => {
        if (x.dtype === 'bool') return sign === 1 ? scalar.or(x, y) : scalar.and(x, y)
        return propagateNan(x, y, lower(x, y))
      },
      identity: (dtype) => lowest(dtype, sign),
    },
  })
  const apply = (x: ArrayLike, options: ReduceOptions = {}): Value => {
    const value = toArray(x)
    notEmpty(name.replace('reduce_', ''), value, options.axis)
    return reduce(primitive, value, options)
  }
  return Object.assign(apply, { primitive })
}

/** Refuses to choose among no elements. */
function notEmpty(op: string, x: Value, axis: ReduceOptions['axis']): void {
  const empty = normalizeAxes(op, axis, x.rank).find((k) => x.shape[k] === 0)
  if (empty !== undefined)
    throw new RangeError(`${op}: axis ${empty} of ${x.aval} has no elements to choose from; give it some`)
}

const ends: { readonly [D in MachineType]: readonly [number, number] } = {
  f32: [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY],
  i32: [-(2 ** 31), 2 ** 31 - 1],
  u32: [0, 2 ** 32 - 1],
  bool: [0, 1],
}

export const lowest = (dtype: DType, sign: 1 | -1): number => ends[machineType(dtype)][sign === 1 ? 0 : 1]

/** The largest element over `axis`; NaN if there is one. */
export const max = extremum('reduce_max', Math.max, scalar.max, 1)

/** The smallest element over `axis`; NaN if there is one. */
export const min = extremum('reduce_min', Math.min, scalar.min, -1)

/** The arithmetic mean over `axis`, or of everything, in floats; NaN of nothing. */
export function mean(x: ArrayLike, options: ReduceOptions = {}): Value {
  return inSingle(toFloat(toArray(x)), (value) => {
    const total = sum(value, options)
    const count = value.size / total.size
    return count > 0 ? div(total, count) : full(total.shape, Number.NaN, total.dtype)
  })
}

/** `f` of `x`; of 16-bit floats it is computed in f32, and rounded once. */
const inSingle = (x: Value, f: (x: Value) => Value): Value =>
  isHalf(x.dtype) ? cast(f(cast(x, 'f32')), x.dtype) : f(x)

/** Integers and bools as f32. */
export const toFloat = (x: Value): Value => (isFloat(x.dtype) ? x : cast(x, 'f32'))

export interface PlaceOptions {
  /** The axis to go along; when absent, places are those in row-major order. */
  readonly axis?: number | undefined
  /** Keep the axis, or all of them, with extent 1. */
  readonly keepDims?: boolean
}

/** The first place of what `choose` chooses. */
const placeOf =
  (op: string, choose: typeof max | typeof min) =>
  (x: ArrayLike, { axis, keepDims = false }: PlaceOptions = {}): Value => {
    const value = toArray(x)
    const list = axis === undefined ? reshape(value, [value.size]) : value
    const along = normalizeAxis(op, axis ?? 0, list.rank)
    notEmpty(op, list, along)
    const hit = equal(list, choose(list, { axis: along, keepDims: true }))
    const found = isFloat(list.dtype) ? bitwiseOr(hit, isNan(list)) : hit
    const place = iota(list.shape, { axis: along, dtype: 'i32' })
    const first = min(where(found, place, list.shape[along]!), { axis: along })
    if (!keepDims) return first
    return reshape(
      first,
      value.shape.map((extent, k) => (axis === undefined || k === along ? 1 : extent)),
    )
  }

/**
 * The place of the first largest element along `axis`, or in row-major order, as i32; of the first NaN if there is one.
 * A `RangeError` if there are no elements.
 */
export const argmax = placeOf('argmax', max)

/** The place of the first smallest element; in everything else as `argmax`. */
export const argmin = placeOf('argmin', min)

export interface SpreadOptions extends ReduceOptions {
  /** What the number of elements is less by in the divisor: 1 for the variance of a sample. */
  readonly ddof?: number
}

/** The variance over `axis`: the mean square distance from the mean. NaN if the divisor, less by `ddof`, is not positive. */
export function variance(x: ArrayLike, { ddof = 0, ...options }: SpreadOptions = {}): Value {
  return inSingle(toFloat(toArray(x)), (value) => {
    const centred = sub(value, mean(value, { ...options, keepDims: true }))
    const total = sum(mul(centred, centred), options)
    const divisor = value.size / total.size - ddof
    return divisor > 0 ? div(total, divisor) : mul(total, Number.NaN)
  })
}
