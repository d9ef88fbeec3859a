// Windows at places that are data: dynamicSlice and dynamicUpdateSlice, over one record that reads an array from a start on,
// and zeros outside of it. Its transpose is itself with the starts negated.

import { indexFrom, whole } from '../affine.ts'
import { type Batched, type Primitive, single } from '../primitive.ts'
import * as scalar from '../scalar.ts'
import { Aval, type Shape } from '../shape.ts'
import { bind, toArray } from '../trace.ts'
import { type ArrayLike, full, type Value } from '../value.ts'
import { maximum, minimum, neg, where } from './arithmetic.ts'
import { cast } from './elementwise.ts'
import { fromEnd } from './indexing.ts'
import { batchFirst, elementOf, ndArray, reshape, slice, stack } from './movement.ts'

/**
 * The inputs are `x`, `[...batch, ...extents]`, and i32 starts, `[...batch, axes.length]`, one for each of the axes that are
 * windowed; `batch` counts the shared axes in front. The result is `[...batch, ...sizes]`.
 */
type WindowParams = {
  readonly batch: number
  readonly axes: readonly number[]
  readonly sizes: Shape
}

const windowPrimitive: Primitive<WindowParams> = single<WindowParams>({
  name: 'window',
  type: ([x], { batch, sizes }) => new Aval([...x!.shape.slice(0, batch), ...sizes], x!.dtype),
  jvp: ([t], [_, starts], _y, params) => (t ? bind(windowPrimitive, [t, starts!], params)[0]! : null),
  transpose: (ct, [x, starts], params) => {
    const sizes = (x as Aval).shape.slice(params.batch)
    return [bind(windowPrimitive, [ct, neg(starts as Value)], { ...params, sizes })[0]!, null]
  },
  batch: ([x, starts]: readonly Batched[], { batch, axes, sizes }, size) => {
    const shared = starts!.axis === null && batch === 0
    const values = [batchFirst(x!, size), shared ? starts!.value : batchFirst(starts!, size)]
    const params = {
      batch: shared ? 0 : batch + 1,
      axes: axes.map((axis) => axis + 1),
      sizes: shared ? [size, ...sizes] : sizes,
    }
    return { value: bind(windowPrimitive, values, params)[0]!, axis: 0 }
  },
  reference: ([x, starts], { batch, axes, sizes }) =>
    ndArray(new Aval([...x!.shape.slice(0, batch), ...sizes], x!.dtype), (index) => {
      const at = index.map((i, axis) => {
        const k = axes.indexOf(axis)
        return k < 0 ? i : i + elementOf(starts!, [...index.slice(0, batch), k])
      })
      return at.every((i, axis) => i >= 0 && i < x!.shape[axis]!) ? elementOf(x!, at) : 0
    }),
  lower: {
    kind: 'view',
    free: false,
    element: (index, read, { params: { batch, axes }, inputs: [x] }) => {
      const at = axes.map((axis, k) => {
        const start = read(1, [...index.slice(0, batch), whole(k)])
        return scalar.add(scalar.position(index[axis]!), scalar.cast(start, 'u32')) // wraps below zero
      })
      const extents = axes.map((axis) => x!.shape[axis]!)
      const inside = at.map((i, k) => scalar.lt(i, extents[k]!)).reduce((all, one) => scalar.and(all, one))
      const clamped = at.map((i, k) => indexFrom(scalar.min(i, extents[k]! - 1), extents[k]!))
      const element = read(
        0,
        index.map((i, axis) => clamped[axes.indexOf(axis)] ?? i),
      )
      return scalar.select(inside, element, 0)
    },
  },
})

const window = (x: Value, starts: Value, axes: readonly number[], sizes: Shape): Value =>
  bind(windowPrimitive, [x, starts], { batch: 0, axes, sizes })[0]!

/** Where a slice begins along each axis: numbers and i32 scalars, or one i32 vector. */
export type Starts = Value | readonly ArrayLike[]

interface Corner {
  /** The axes along which the slice is shorter than the array. */
  readonly axes: readonly number[]
  /** A start for each of them, so that the slice fits; numbers if all are known. */
  readonly starts: readonly number[] | Value
}

/** The starts that count, negative ones from the end, moved so that slices of `sizes` fit. */
function cornerOf(op: string, x: Value, starts: Starts, sizes: Shape): Corner {
  const count = Array.isArray(starts) ? starts.length : (starts as Value).size
  if (count !== x.rank || sizes.length !== x.rank)
    throw new TypeError(
      `${op}: ${count} starts and sizes [${sizes}] do not fit ${x.aval}; give one of each for every axis`,
    )
  const wrong = sizes.findIndex((size, axis) => !(size >= 0 && size <= x.shape[axis]!))
  if (wrong >= 0)
    throw new RangeError(
      `${op}: size ${sizes[wrong]} does not fit axis ${wrong} of ${x.aval}; use at most ${x.shape[wrong]}`,
    )
  const axes = sizes.flatMap((size, axis) => (size < x.shape[axis]! ? [axis] : []))
  const rooms = axes.map((axis) => x.shape[axis]! - sizes[axis]!)
  const chosen = Array.isArray(starts)
    ? axes.map((axis) => starts[axis] as ArrayLike)
    : axes.map((axis) => reshape(slice(starts as Value, { start: [axis], end: [axis + 1] }), []))
  const part = chosen.findIndex((start) => typeof start === 'number' && !Number.isInteger(start))
  if (part >= 0)
    throw new TypeError(`${op}: the start along axis ${axes[part]} is ${chosen[part]}; use a whole number`)
  if (chosen.every((start) => typeof start === 'number'))
    return {
      axes,
      starts: chosen.map((start, k) => {
        const extent = x.shape[axes[k]!]!
        return Math.min(Math.max(start < 0 ? start + extent : start, 0), rooms[k]!)
      }),
    }
  const places = chosen.map((start, k) => {
    const place = typeof start === 'number' ? full([], start, 'i32') : toArray(start)
    if (place.rank !== 0 || (place.dtype !== 'i32' && place.dtype !== 'u32'))
      throw new TypeError(
        `${op}: the start along axis ${axes[k]} is ${place.aval}; it must be an i32 scalar or a number`,
      )
    const inside = minimum(maximum(fromEnd(place, x.shape[axes[k]!]!), 0), rooms[k]!)
    return cast(inside, 'i32')
  })
  return { axes, starts: stack(places) }
}

/**
 * The part of `x` of `sizes` that begins at `starts`. Negative starts count from the end, and then starts are moved so that
 * the part lies inside of `x`, as in JAX.
 *
 * @example
 * ```ts
 * import { dynamicSlice, tensor } from 'cotangent'
 * const start = tensor(2, { dtype: 'i32' }) // may be computed
 * await dynamicSlice(tensor([1, 2, 3, 4, 5]), [start], [2]).data() // [3, 4]
 * await dynamicSlice(tensor([1, 2, 3, 4, 5]), [9], [2]).data() // [4, 5]
 * ```
 */
export function dynamicSlice(x: ArrayLike, starts: Starts, sizes: Shape): Value {
  const value = toArray(x)
  const { axes, starts: at } = cornerOf('dynamicSlice', value, starts, sizes)
  if (axes.length === 0) return value
  if (!Array.isArray(at)) return window(value, at as Value, axes, sizes)
  const start = sizes.map((_, axis) => (axes.includes(axis) ? at[axes.indexOf(axis)]! : 0))
  return slice(value, { start, end: start.map((from, axis) => from + sizes[axis]!) })
}
dynamicSlice.primitive = windowPrimitive

/**
 * `x` with `update`, an array of the same rank and dtype that is nowhere longer, in the place of the part that begins at
 * `starts`; these are as in `dynamicSlice`.
 *
 * @example
 * ```ts
 * import { dynamicUpdateSlice, tensor } from 'cotangent'
 * await dynamicUpdateSlice(tensor([1, 2, 3, 4]), tensor([8, 9]), [1]).data() // [1, 8, 9, 4]
 * ```
 */
export function dynamicUpdateSlice(x: ArrayLike, update: ArrayLike, starts: Starts): Value {
  const [value, part] = [toArray(x), toArray(update)]
  if (part.rank !== value.rank || part.dtype !== value.dtype)
    throw new TypeError(
      `dynamicUpdateSlice: the update ${part.aval} does not fit ${value.aval}; ranks and dtypes must agree`,
    )
  const { axes, starts: at } = cornerOf('dynamicUpdateSlice', value, starts, part.shape)
  if (axes.length === 0) return part
  if (part.size === 0) return value
  const from = Array.isArray(at) ? stack(at.map((start) => full([], -start, 'i32'))) : neg(at as Value)
  const place = (x: Value): Value => window(x, from, axes, value.shape)
  return where(place(full(part.shape, true, 'bool')), place(part), value)
}
