// Arrays from a few numbers: ranges, grids, and matrices of ones and zeros. None is memory until it is read.

import type { DType } from '../dtype.ts'
import { Aval } from '../shape.ts'
import { toArray } from '../trace.ts'
import { type ArrayLike, full, type Value } from '../value.ts'
import { div, equal, lessEqual, mul, sub } from './arithmetic.ts'
import { add, cast, operands } from './elementwise.ts'
import { iota } from './indexing.ts'
import { broadcastTo, concatenate, expandDims, reshape } from './movement.ts'

interface OfDtype {
  readonly dtype?: DType
}

/**
 * `arange(stop)` is 0, 1, … below `stop`; `arange(start, stop, step)` goes from `start` in steps. i32 if the numbers are whole
 * and f32 otherwise, unless `dtype` says so.
 *
 * @example
 * ```ts
 * import { arange } from 'cotangent'
 * await arange(3).data() // [0, 1, 2]
 * await arange(1, 2, 0.5).data() // [1, 1.5]
 * ```
 */
export function arange(
  ...args:
    | readonly [stop: number, options?: OfDtype]
    | readonly [start: number, stop: number, options?: OfDtype]
    | readonly [start: number, stop: number, step: number, options?: OfDtype]
): Value {
  const numbers = args.filter((x) => typeof x === 'number')
  const [start, stop, step] =
    numbers.length === 1 ? [0, numbers[0]!, 1] : [numbers[0]!, numbers[1]!, numbers[2] ?? 1]
  const options = args.find((x) => typeof x === 'object')
  const dtype = options?.dtype ?? (numbers.every(Number.isInteger) ? 'i32' : 'f32')
  const size = Math.ceil((stop - start) / step)
  if (!Number.isFinite(size))
    throw new RangeError(
      `arange: from ${start} to ${stop} in steps of ${step} is no range; use finite numbers and a step that is not 0`,
    )
  const places = iota([Math.max(size, 0)], { dtype })
  return add(step === 1 ? places : mul(places, full([], step, dtype)), full([], start, dtype))
}

/**
 * `count` numbers from `start` to `stop` in equal steps, both ends exact; without `endpoint`, `stop` is the one after the last.
 * Of arrays, which broadcast, along a new first axis.
 *
 * @example
 * ```ts
 * import { linspace } from 'cotangent'
 * await linspace(0, 1, 5).data() // [0, 0.25, 0.5, 0.75, 1]
 * ```
 */
export function linspace(
  start: ArrayLike,
  stop: ArrayLike,
  count = 50,
  { endpoint = true }: { readonly endpoint?: boolean } = {},
): Value {
  if (!Number.isInteger(count) || count < 0)
    throw new RangeError(`linspace: ${count} is no count; use a whole number from 0 up`)
  const [from, to] = operands('linspace', [start, stop], 'f32') as [Value, Value]
  const steps = endpoint ? count - 1 : count
  const share = (n: number): Value =>
    reshape(div(iota([n], { dtype: 'f32' }), Math.max(steps, 1)), [n, ...from.shape.map(() => 1)])
  const upTo = (n: number): Value => add(mul(from, sub(1, share(n))), mul(to, share(n)))
  if (count === 1) return expandDims(from, 0)
  if (!endpoint || count === 0) return broadcastTo(upTo(count), [count, ...from.shape])
  return concatenate([broadcastTo(upTo(steps), [steps, ...from.shape]), expandDims(to, 0)])
}

/** An array of the shape of `x`, and of its dtype unless another is given, filled with `value`. */
export function fullLike(x: ArrayLike | Aval, value: number | boolean, options: OfDtype = {}): Value {
  const { shape, dtype } = x instanceof Aval ? x : toArray(x).aval
  return full(shape, value, options.dtype ?? dtype)
}

interface Diagonal extends OfDtype {
  /** Which diagonal: above the main one when positive. */
  readonly k?: number
}

/** The places of rows, moved down to diagonal `k`, and of columns. */
const places = (rows: number, columns: number, k: number): [Value, Value] => [
  add(iota([rows, columns]), k),
  iota([rows, columns], { axis: 1 }),
]

/** Ones on diagonal `k` of a matrix and zeros elsewhere; square unless `columns` is given. */
export function eye(rows: number, columns = rows, { k = 0, dtype = 'f32' }: Diagonal = {}): Value {
  return cast(equal(...places(rows, columns, k)), dtype)
}

/** Ones on diagonal `k` of a matrix and below, zeros above; square unless `columns` is given. */
export function tri(rows: number, columns = rows, { k = 0, dtype = 'f32' }: Diagonal = {}): Value {
  const [row, column] = places(rows, columns, k)
  return cast(lessEqual(column, row), dtype)
}

/**
 * The coordinates of a grid: one array for each vector, all of the grid's shape, along one axis of which it runs. With
 * indexing 'xy' the first runs along axis 1 and the second along axis 0; with 'ij' each along its own axis.
 */
export function meshgrid(
  vectors: readonly ArrayLike[],
  { indexing = 'xy' }: { readonly indexing?: 'xy' | 'ij' } = {},
): Value[] {
  const xs = vectors.map(toArray)
  const odd = xs.find(({ rank }) => rank > 1)
  if (odd) throw new TypeError(`meshgrid: ${odd.aval} is no vector; pass arrays of rank 1`)
  const axisOf = (k: number): number => (indexing === 'xy' && k < 2 && xs.length > 1 ? 1 - k : k)
  const shape = xs.map((_, axis) => xs[axisOf(axis)]!.size)
  return xs.map((x, k) =>
    broadcastTo(
      reshape(
        x,
        shape.map((_, axis) => (axis === axisOf(k) ? x.size : 1)),
      ),
      shape,
    ),
  )
}
