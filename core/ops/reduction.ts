// Folds over axes: the largest and smallest element, where they are, and what is built of sums.

import { type DType, isFloat, isHalf, type MachineType, machineType } from '../dtype.ts'
import { type Primitive, single } from '../primitive.ts'
import type { Scalar } from '../scalar.ts'
import * as scalar from '../scalar.ts'
import { normalizeAxis } from '../shape.ts'
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
  const apply = (x: ArrayLike, options: ReduceOptions = {}): Value => reduce(primitive, toArray(x), options)
  return Object.assign(apply, { primitive })
}

const ends: { readonly [D in MachineType]: readonly [number, number] } = {
  f32: [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY],
  i32: [-(2 ** 31), 2 ** 31 - 1],
  u32: [0, 2 ** 32 - 1],
  bool: [0, 1],
}

const lowest = (dtype: DType, sign: 1 | -1): number => ends[machineType(dtype)][sign === 1 ? 0 : 1]

/** The largest element over `axis`; NaN if there is one. */
export const max = extremum('reduce_max', Math.max, scalar.max, 1)

/** The smallest element over `axis`; NaN if there is one. */
export const min = extremum('reduce_min', Math.min, scalar.min, -1)

/** `f` of `x`; of 16-bit floats it is computed in f32, and rounded once. */
const inSingle = (x: Value, f: (x: Value) => Value): Value =>
  isHalf(x.dtype) ? cast(f(cast(x, 'f32')), x.dtype) : f(x)

/** The arithmetic mean over `axis`, or of everything; NaN of nothing. */
export function mean(x: ArrayLike, options: ReduceOptions = {}): Value {
  const value = toArray(x)
  return inSingle(value, (value) => {
    const total = sum(value, options)
    const count = value.size / total.size
    return count > 0 ? div(total, count) : full(total.shape, Number.NaN)
  })
}

/** The place of the first largest element along `axis` as i32; of the first NaN if there is one. */
export function argmax(x: ArrayLike, { axis = -1 }: { readonly axis?: number } = {}): Value {
  const value = toArray(x)
  const along = normalizeAxis('argmax', axis, value.rank)
  const largest = max(value, { axis: along, keepDims: true })
  const hit = equal(value, largest)
  const found = isFloat(value.dtype) ? bitwiseOr(hit, isNan(value)) : hit
  const place = iota(value.shape, { axis: along, dtype: 'i32' })
  return min(where(found, place, value.shape[along]!), { axis: along })
}

/** The variance over `axis`, dividing by the number of elements. */
export function variance(x: ArrayLike, options: ReduceOptions = {}): Value {
  return inSingle(toArray(x), (value) => {
    const centred = sub(value, mean(value, { ...options, keepDims: true }))
    return mean(mul(centred, centred), options)
  })
}
