// Sorting by merging. Elements become whole numbers of the same order; a stage merges neighbouring runs, and each place of its
// result finds by binary search which element comes there. What moves is the order only; the elements are gathered at the end.

import { indexFrom } from '../affine.ts'
import { join } from '../dtype.ts'
import { type Primitive, single } from '../primitive.ts'
import type { Scalar } from '../scalar.ts'
import * as scalar from '../scalar.ts'
import { Aval, normalizeAxis } from '../shape.ts'
import { bind, toArray } from '../trace.ts'
import { type ArrayLike, full, type Value, zeros } from '../value.ts'
import { equal, isNan, less, lessEqual, where } from './arithmetic.ts'
import { bitcast, bitwiseAnd, bitwiseNot, bitwiseXor } from './bits.ts'
import { part } from './cumulative.ts'
import { add, cast } from './elementwise.ts'
import { iota, take, takeAlongAxis } from './indexing.ts'
import { batchFirst, elementOf, flip, moveaxis, ndArray } from './movement.ts'

/** Along the last axis, `order` names the elements of `keys` in runs of this length that are in order; 2^k. */
type MergeParams = { readonly run: number }

const mergePrimitive: Primitive<MergeParams> = single<MergeParams>({
  name: 'merge',
  type: ([_, order]) => order!,
  jvp: null,
  batch: ([keys, order], params, size) => ({
    value: bind(mergePrimitive, [batchFirst(keys!, size), batchFirst(order!, size)], params)[0]!,
    axis: 0,
  }),
  reference: ([keys, order], { run }) => {
    const last = order!.shape.length - 1
    const extent = order!.shape[last]!
    return ndArray(new Aval(order!.shape, order!.dtype), (index) => {
      const at = (place: number): number => elementOf(order!, index.with(last, place))
      const start = index[last]! - (index[last]! % (2 * run))
      const block = Array.from({ length: Math.min(2 * run, extent - start) }, (_, k) => at(start + k))
      const key = (id: number): number => elementOf(keys!, index.with(last, id))
      return block.sort((a, b) => key(a) - key(b))[index[last]! - start]!
    })
  },
  lower: {
    kind: 'view',
    free: false,
    searches: true,
    element: (index, read, { params: { run }, output: { shape } }) => {
      const extent = shape.at(-1)!
      const rows = index.slice(0, -1)
      const idAt = (place: Scalar): Scalar =>
        scalar.cast(read(1, [...rows, indexFrom(scalar.min(place, extent - 1), extent)]), 'u32')
      const keyAt = (place: Scalar): Scalar => read(0, [...rows, indexFrom(idAt(place), extent)])

      const place = scalar.position(index.at(-1)!)
      const nth = scalar.and(place, 2 * run - 1)
      const left = scalar.sub(place, nth)
      const middle = scalar.min(scalar.add(left, run), extent)
      const leftSize = scalar.sub(middle, left)
      const rightSize = scalar.sub(scalar.min(scalar.add(middle, run), extent), middle)
      const comesFirst = (fromLeft: Scalar, fromRight: Scalar): Scalar =>
        scalar.le(keyAt(scalar.add(left, fromLeft)), keyAt(scalar.add(middle, fromRight)))

      // How many of the `nth` elements before this place are from the left: between `low` and `high`.
      let low = scalar.sub(scalar.max(nth, rightSize), rightSize)
      let high = scalar.min(nth, leftSize)
      for (let width = run; width > 0; width = Math.floor(width / 2)) {
        const half = scalar.shiftRight(scalar.add(low, high), 1)
        const partner = scalar.sub(scalar.sub(nth, half), 1)
        const more = scalar.and(scalar.lt(low, high), comesFirst(half, partner))
        high = scalar.select(more, high, half)
        low = scalar.select(more, scalar.add(half, 1), low)
      }
      const fromRight = scalar.sub(nth, low)
      const isLeft = scalar.and(
        scalar.lt(low, leftSize),
        scalar.or(scalar.le(rightSize, fromRight), comesFirst(low, fromRight)),
      )
      const chosen = scalar.select(isLeft, scalar.add(left, low), scalar.add(middle, fromRight))
      return scalar.cast(idAt(chosen), 'i32')
    },
  },
})

/** Whole numbers in the order of the elements: NaN last, and the zeros equal unless they are told apart. */
function keysOf(x: Value, zerosDiffer = false): Value {
  if (x.dtype === 'u32' || x.dtype === 'bool') return cast(x, 'u32')
  if (x.dtype === 'i32') return bitwiseXor(bitcast(x, 'u32'), 0x80000000)
  const bits = bitcast(zerosDiffer ? x : where(equal(x, 0), 0, x), 'u32')
  const isNegative = lessEqual(0x80000000, bits)
  const key = bitwiseXor(bits, where(isNegative, full([], 0xffffffff, 'u32'), 0x80000000))
  return where(isNan(x), 0xffffffff, key)
}

/** The places of the smallest key, the next one, … along the last axis; equal ones stay in order. */
function orderOf(keys: Value): Value {
  const extent = keys.shape.at(-1)!
  let order = iota(keys.shape, { axis: -1 })
  for (let run = 1; run < extent; run *= 2) order = bind(mergePrimitive, [keys, order], { run })[0]!
  return order
}

/**
 * The elements of `x` along the last axis in an `order`, of the same shape, that names each once: a gather whose transpose is
 * one too, in the inverse order, while that of `take` would look for each element at all places.
 */
const reorderPrimitive: Primitive<object> = single<object>({
  name: 'reorder',
  type: ([x]) => x!,
  jvp: ([t], [_, order]) => (t ? reorder(t, order!) : null),
  transpose: (ct, [_, order]) => [reorder(ct, orderOf(cast(order as Value, 'u32'))), null],
  batch: ([x, order], _, size) => ({
    value: reorder(batchFirst(x!, size), batchFirst(order!, size)),
    axis: 0,
  }),
  reference: ([x, order]) =>
    ndArray(new Aval(x!.shape, x!.dtype), (index) => elementOf(x!, index.with(-1, elementOf(order!, index)))),
  lower: {
    kind: 'view',
    free: false,
    element: (index, read, { output: { shape } }) =>
      read(0, index.with(-1, indexFrom(scalar.cast(read(1, index), 'u32'), shape.at(-1)!))),
  },
})

const reorder = (x: Value, order: Value): Value => bind(reorderPrimitive, [x, order], {})[0]!

export interface SortOptions {
  /** The axis to sort along; the last by default. */
  readonly axis?: number
  /** The largest first. */
  readonly descending?: boolean
}

/**
 * The places of the elements in ascending order along `axis`, as i32. Equal elements keep their order, also when `descending`,
 * -0 equals 0, and NaN is the largest: last, or first when `descending`.
 *
 * @example
 * ```ts
 * import { argsort, tensor } from 'cotangent'
 * await argsort(tensor([3, 1, 2])).data() // [1, 2, 0]
 * ```
 */
export function argsort(x: ArrayLike, { axis = -1, descending = false }: SortOptions = {}): Value {
  const value = toArray(x)
  const along = normalizeAxis('argsort', axis, value.rank)
  const keys = keysOf(moveaxis(value, along, -1))
  return moveaxis(orderOf(descending ? bitwiseNot(keys) : keys), -1, along)
}
argsort.primitive = mergePrimitive

/** The elements in ascending order along `axis`, or exactly the other way around; -0 equals 0, and NaN is the largest. */
export function sort(x: ArrayLike, { axis = -1, descending = false }: SortOptions = {}): Value {
  const value = toArray(x)
  const along = normalizeAxis('sort', axis, value.rank)
  const rows = moveaxis(value, along, -1)
  const sorted = moveaxis(reorder(rows, orderOf(keysOf(rows))), -1, along)
  return descending ? flip(sorted, { axis: along }) : sorted
}

/**
 * The `k` largest elements along the last axis in descending order, and their places as i32. The first of equal ones comes
 * first, NaN is the largest, and 0 is larger than -0, as in `lax.top_k`.
 *
 * @example
 * ```ts
 * import { tensor, topK } from 'cotangent'
 * const [values, places] = topK(tensor([3, 1, 4, 1, 5]), 2)
 * await values.data() // [5, 4]
 * await places.data() // [4, 2]
 * ```
 */
export function topK(x: ArrayLike, k: number): [values: Value, places: Value] {
  const value = toArray(x)
  const extent = value.shape[normalizeAxis('topK', -1, value.rank)]!
  if (!Number.isInteger(k) || k < 0 || k > extent)
    throw new RangeError(
      `topK: ${k} of the ${extent} elements of ${value.aval}; k is a whole number up to ${extent}`,
    )
  const places = part(orderOf(bitwiseNot(keysOf(value, true))), value.rank - 1, 0, k)
  return [takeAlongAxis(value, places, { mode: 'clip' }), places]
}

/**
 * Where each of `values` would go in `sorted`, which is ascending, so that it stays so: before the elements equal to it, or
 * with side 'right' behind them. NaN is the largest. The places are i32 and have the shape of `values`.
 *
 * @example
 * ```ts
 * import { searchSorted, tensor } from 'cotangent'
 * await searchSorted(tensor([1, 2, 2, 3]), tensor([2, 5])).data() // [1, 4]
 * ```
 */
export function searchSorted(
  sorted: ArrayLike,
  values: ArrayLike,
  { side = 'left' }: { readonly side?: 'left' | 'right' } = {},
): Value {
  const list = toArray(sorted)
  if (list.rank !== 1)
    throw new TypeError(`searchSorted: the sorted array is ${list.aval}; pass one of rank 1, or vmap`)
  const extent = list.size
  const wanted = toArray(values)
  const { dtype } = join(list.aval, wanted.aval)
  const [known, keys] = [keysOf(cast(list, dtype)), keysOf(cast(wanted, dtype))]
  const precedes = side === 'left' ? less : lessEqual
  // How many elements surely come before, in steps that halve.
  let count: Value = zeros(wanted.shape, 'i32')
  for (let step = 2 ** Math.floor(Math.log2(Math.max(extent, 1))); step >= 1 && extent > 0; step /= 2) {
    const next = add(count, step)
    const fits = bitwiseAnd(lessEqual(next, extent), precedes(take(known, add(next, -1)), keys))
    count = where(fits, next, count)
  }
  return count
}
