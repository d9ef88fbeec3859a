// NumPy's indexing, to read and to update: numbers, slices, index arrays, new axes and '...'. Everything is composed of
// movement, one gather or one fold: the axes that arrays index are brought together and taken as one.

import { join } from '../dtype.ts'
import { broadcastShapes, type Shape, sizeOf } from '../shape.ts'
import { toArray } from '../trace.ts'
import { type ArrayLike, full, Value, zeros } from '../value.ts'
import { equal, greaterEqual, less, maximum, minimum, mul, where } from './arithmetic.ts'
import { bitwiseAnd } from './bits.ts'
import { part } from './cumulative.ts'
import { stopGradient } from './derived.ts'
import { add, cast } from './elementwise.ts'
import { fromEnd, gather, iota, scatterAdd } from './indexing.ts'
import { broadcastTo, concatenate, expandDims, flip, pad, reshape, transpose } from './movement.ts'
import { lowest, max, min } from './reduction.ts'
import { prod } from './statistics.ts'

/** Every `step`-th element from `start` up to, not including, `stop`, as Python's `start:stop:step`. */
interface Slice {
  readonly start?: number | undefined
  readonly stop?: number | undefined
  readonly step?: number | undefined
}

/** A place, places as an i32 or u32 array, a slice, `null` for a new axis, or `'...'` for the axes that no item names. */
export type IndexItem = number | Value | Slice | null | '...'

/** Elements `first`, `first + step`, … of an axis, `count` of them; read backwards if `reversed`. `step` is positive. */
interface Range {
  readonly first: number
  readonly count: number
  readonly step: number
  readonly reversed: boolean
}

/** Where index arrays point in the axes that they index, taken as one of `extent`. */
interface Places {
  /** Inside, whatever the indices. */
  readonly at: Value
  /** Whether all indices of a place were inside. */
  readonly exist: Value
  readonly axis: number
  readonly extent: number
}

/** Items made definite for an array of one type. */
interface Indexed {
  /** What numbers and slices take of each axis. */
  readonly ranges: readonly Range[]
  /** The axes in the order in which those that arrays index are neighbours, and the shape in which they are one. */
  readonly order: readonly number[]
  readonly joined: Shape
  readonly places: Places | null
  readonly result: Shape
  /** Whether a number lies outside: updates then do nothing. */
  readonly misses: boolean
}

const rangeOf = (op: string, item: Slice, extent: number, what: string): Range => {
  const { start, stop, step = 1 } = item
  if ([start ?? 0, stop ?? 0, step].some((x) => !Number.isInteger(x)) || step === 0)
    throw new TypeError(
      `${op}: ${what} is the slice ${start ?? ''}:${stop ?? ''}:${step}; use whole numbers and a step that is not 0, or dynamicSlice`,
    )
  const [low, high] = step > 0 ? [0, extent] : [-1, extent - 1]
  const within = (x: number): number => Math.min(Math.max(x < 0 ? x + extent : x, low), high)
  const from = start === undefined ? (step > 0 ? low : high) : within(start)
  const to = stop === undefined ? (step > 0 ? high : low) : within(stop)
  const count = Math.max(0, Math.ceil((to - from) / step))
  if (step > 0) return { first: from, count, step, reversed: false }
  return { first: from + (count - 1) * step, count, step: -step, reversed: true }
}

/** An item for each axis of an array of `rank`, and `null` for new ones: without '...', and with it spelled out. */
function spelledOut(op: string, items: readonly IndexItem[], x: Value): (number | Value | Slice | null)[] {
  const named = items.filter((item) => item !== null && item !== '...').length
  if (named > x.rank)
    throw new RangeError(
      `${op}: ${named} items for the ${x.rank} axes of ${x.aval}; give at most one for each`,
    )
  if (items.indexOf('...') !== items.lastIndexOf('...'))
    throw new TypeError(`${op}: '...' stands in two places; it can stand for axes in one only`)
  const rest: Slice[] = Array.from({ length: x.rank - named }, () => ({}))
  const whole = items.includes('...') ? items : [...items, '...' as const]
  return whole.flatMap((item) => (item === '...' ? rest : [item]))
}

function checked(op: string, item: unknown, what: string): void {
  const refuse = (fact: string): never => {
    throw new TypeError(`${op}: ${what} is ${fact}`)
  }
  if (item instanceof Value) {
    if (item.dtype === 'bool')
      refuse(`the mask ${item.aval}; a shape cannot depend on data, choose with where() instead`)
    if (item.dtype !== 'i32' && item.dtype !== 'u32') refuse(`${item.aval}; cast it to i32`)
  } else if (
    typeof item === 'number' ? !Number.isInteger(item) : typeof item !== 'object' || Array.isArray(item)
  )
    refuse(
      `${typeof item === 'string' ? `"${item}"` : item}; use a whole number, an i32 array, a slice { start, stop, step }, null or '...'`,
    )
}

/** Index arrays as places in axes of `extents` taken as one. */
function placesOf(ids: readonly Value[], extents: readonly number[], shape: Shape, axis: number): Places {
  let [at, exist]: [Value, Value] = [full([], 0, 'i32'), full([], true, 'bool')]
  for (const [k, indices] of ids.entries()) {
    const extent = extents[k]!
    const place = indices.dtype === 'u32' ? cast(minimum(indices, extent), 'i32') : fromEnd(indices, extent)
    const inside = bitwiseAnd(greaterEqual(place, 0), less(place, extent))
    const nearest = minimum(maximum(place, 0), extent - 1)
    at = k === 0 ? nearest : add(mul(at, extent), nearest)
    exist = k === 0 ? inside : bitwiseAnd(exist, inside)
  }
  return { at: broadcastTo(at, shape), exist: broadcastTo(exist, shape), axis, extent: sizeOf(extents) }
}

function indexed(op: string, x: Value, items: readonly IndexItem[]): Indexed {
  for (const [k, item] of items.entries()) if (item !== '...') checked(op, item, `item ${k}`)
  const spelled = spelledOut(op, items, x)
  const usesArrays = spelled.some((item) => item instanceof Value)
  const ranges: Range[] = []
  const [kept, numbered, pointed]: [number[], number[], number[]] = [[], [], []]
  const ids: Value[] = []
  let misses = false
  /** The new and kept axes of the result, and how many of them come before what the arrays select. */
  const outer: number[] = []
  const seats: number[] = []
  for (const [k, item] of spelled.entries()) {
    if (item === null) {
      outer.push(1)
      continue
    }
    const axis = ranges.length
    const extent = x.shape[axis]!
    if (item instanceof Value || typeof item === 'number') seats.push(k)
    if (item instanceof Value) {
      ids.push(item)
      pointed.push(axis)
      ranges.push({ first: 0, count: extent, step: 1, reversed: false })
    } else if (typeof item === 'number') {
      const at = item < 0 ? item + extent : item
      misses ||= at < 0 || at >= extent
      numbered.push(axis)
      ranges.push({ first: Math.min(Math.max(at, 0), extent - 1), count: 1, step: 1, reversed: false })
    } else {
      const range = rangeOf(op, item, extent, `item ${k}`)
      kept.push(axis)
      ranges.push(range)
      outer.push(range.count)
    }
    if (extent === 0 && !(typeof item === 'object' && !(item instanceof Value)))
      throw new RangeError(`${op}: axis ${axis} of ${x.aval} is empty; there is no element to index`)
  }
  // NumPy's rule: what arrays select stays in its place if they, and numbers, are neighbours; otherwise it comes first.
  const together = seats.every((k, n) => n === 0 || k === seats[n - 1]! + 1)
  const before = usesArrays && together ? spelled.slice(0, seats[0]) : []
  const keptBefore = before.filter((item) => item !== null).length
  const shape = ids.map((indices) => indices.shape).reduce((a, b) => broadcastShapes(op, a, b), [])
  const extents = pointed.map((axis) => x.shape[axis]!)
  const counts = kept.map((axis) => ranges[axis]!.count)
  return {
    ranges,
    order: [...kept.slice(0, keptBefore), ...pointed, ...numbered, ...kept.slice(keptBefore)],
    joined: usesArrays ? counts.toSpliced(keptBefore, 0, sizeOf(extents)) : counts,
    places: usesArrays ? placesOf(ids, extents, shape, keptBefore) : null,
    result: outer.toSpliced(before.length, 0, ...shape),
    misses,
  }
}

const isWhole = ({ first, count, step, reversed }: Range, extent: number): boolean =>
  first === 0 && count === extent && step === 1 && !reversed

/** Along one axis, the elements of a range. */
function takeRange(x: Value, axis: number, { first, count, step, reversed }: Range): Value {
  const extent = x.shape[axis]!
  if (isWhole({ first, count, step, reversed }, extent)) return x
  const none = x.shape.map(() => 0)
  const end = first + count * step
  const long = pad(x, { before: none, after: none.with(axis, Math.max(end - extent, 0)) })
  const rows = reshape(part(long, axis, first, end), x.shape.toSpliced(axis, 1, count, step))
  const found = reshape(part(rows, axis + 1, 0, 1), x.shape.with(axis, count))
  return reversed ? flip(found, { axis }) : found
}

/** The transpose of `takeRange`: the elements at their places in an axis of `extent`, zeros elsewhere. */
function putRange(y: Value, axis: number, { first, count, step, reversed }: Range, extent: number): Value {
  if (isWhole({ first, count, step, reversed }, extent)) return y
  const forward = reversed ? flip(y, { axis }) : y
  const heads = reshape(forward, y.shape.toSpliced(axis, 1, count, 1))
  const nothing = heads.shape.map(() => 0)
  const rows = pad(heads, { before: nothing, after: nothing.with(axis + 1, step - 1) })
  const long = reshape(rows, y.shape.with(axis, count * step))
  const none = y.shape.map(() => 0)
  const length = Math.min(count * step, extent - first)
  return pad(part(long, axis, 0, length), {
    before: none.with(axis, first),
    after: none.with(axis, extent - first - length),
  })
}

/** The elements that numbers and slices choose, the axes that arrays index side by side and taken as one. */
const regionOf = (x: Value, { ranges, order, joined }: Indexed): Value =>
  reshape(
    transpose(
      ranges.reduce((part, range, axis) => takeRange(part, axis, range), x),
      order,
    ),
    joined,
  )

/** `x` with another region in the place of the one that `regionOf` gives. */
function withRegion(x: Value, region: Value, { ranges, order }: Indexed): Value {
  const counts = order.map((axis) => ranges[axis]!.count)
  const put = (region: Value): Value =>
    ranges.reduce(
      (part, range, axis) => putRange(part, axis, range, x.shape[axis]!),
      transpose(
        reshape(region, counts),
        order.map((_, axis) => order.indexOf(axis)),
      ),
    )
  if (ranges.every((range, axis) => isWhole(range, x.shape[axis]!))) return put(region)
  return where(put(full(region.shape, true, 'bool')), put(region), x)
}

/**
 * The elements that `items` name, one item for each axis, as in NumPy: a number takes one place and drops the axis, an i32
 * array takes many, `{ start, stop, step }` a slice, `null` adds an axis, `'...'` stands for the axes that are not named.
 * Negative places count from the end. Places outside give the nearest element, whose derivative is not counted, as in JAX.
 *
 * @example
 * ```ts
 * import { index, tensor } from 'cotangent'
 * const x = tensor([[1, 2, 3], [4, 5, 6]])
 * await index(x, 1).data() // [4, 5, 6]
 * await index(x, '...', { step: -2 }).data() // [3, 1, 6, 4]
 * const ids = tensor([0, 1], { dtype: 'i32' })
 * await index(x, ids, ids).data() // [1, 5]
 * ```
 */
export function index(x: ArrayLike, ...items: IndexItem[]): Value {
  const value = toArray(x)
  return read(value, indexed('index', value, items))
}

function read(x: Value, chosen: Indexed): Value {
  const { places, result } = chosen
  if (sizeOf(result) === 0) return zeros(result, x.dtype)
  const region = regionOf(x, chosen)
  if (places === null) return reshape(region, result)
  const { at, exist, axis } = places
  const found = gather(region, at, axis, 'clip')
  // One scalar place is a slice to JAX, whose derivative goes to the nearest element.
  if (at.rank === 0) return reshape(found, result)
  const counted = chosen.misses ? false : behind(exist, region, axis)
  return reshape(where(counted, found, stopGradient(found)), result)
}

/** Reads and updates the places that `at` names. Each update is a new array. */
export interface At {
  /** The elements there, as `index` gives them. */
  get(): Value
  /** `x` with `value` there. Where a place is named twice, the last one stays. */
  set(value: ArrayLike): Value
  /** `x` with `value` added there; a place that is named twice gets both, in a fixed order. */
  add(value: ArrayLike): Value
  /** `x` multiplied there; a place that is named twice, by both. Takes memory for every pair of an update and a place. */
  mul(value: ArrayLike): Value
  /** The smaller of `x` and `value` there. */
  min(value: ArrayLike): Value
  /** The larger of `x` and `value` there. */
  max(value: ArrayLike): Value
  /** `f` of the elements there; once for each place, while JAX applies it as often as the place is named. */
  apply(f: (x: Value) => Value): Value
}

/** A fold of updates into a region: along `axis`, update `k` belongs to the place `targets[k]`, or to none. */
type Fold = (region: Value, updates: Value, targets: Value, axis: number) => Value

/** For each of `extent` places and each update, whether it belongs there. */
const matches = (extent: number, targets: Value): Value =>
  equal(iota([extent, targets.size]), reshape(targets, [1, targets.size]))

/** With axes of extent 1 for those of the region that come after `axis`. */
function behind(x: Value, region: Value, axis: number): Value {
  return reshape(x, [...x.shape, ...region.shape.slice(axis + 1).map(() => 1)])
}

const setFold: Fold = (region, updates, targets, axis) => {
  const shape = [region.shape[axis]!, targets.size]
  const last = max(where(matches(shape[0]!, targets), iota(shape, { axis: 1 }), -1), { axis: 1 })
  return where(behind(greaterEqual(last, 0), region, axis), gather(updates, last, axis, 'clip'), region)
}

/** What each place gets of each update, along an axis behind `axis`; `nothing` of the updates of other places. */
function shares(region: Value, updates: Value, targets: Value, axis: number, nothing: number): Value {
  const match = behind(matches(region.shape[axis]!, targets), region, axis)
  return where(match, expandDims(updates, axis), full([], nothing, region.dtype))
}

const extremumFold =
  (fold: typeof max, sign: 1 | -1): Fold =>
  (region, updates, targets, axis) => {
    const theirs = shares(region, updates, targets, axis, lowest(region.dtype, sign))
    return fold(concatenate([expandDims(region, axis + 1), theirs], { axis: axis + 1 }), { axis: axis + 1 })
  }

const mulFold: Fold = (region, updates, targets, axis) => {
  const product = prod(shares(region, updates, targets, axis, 1), { axis: axis + 1 })
  return mul(region, cast(product, region.dtype))
}

const addFold: Fold = (region, updates, targets, axis) =>
  add(region, scatterAdd(updates, targets, axis, region.shape[axis]!))

function update(
  op: string,
  x: Value,
  chosen: Indexed,
  value: ArrayLike,
  plain: (region: Value, updates: Value) => Value,
  fold: Fold,
): Value {
  const { places, result, joined } = chosen
  const given = value instanceof Value ? value : full([], value, x.dtype)
  if (join(x.aval, given.aval).dtype !== x.dtype)
    throw new TypeError(`${op}: the update is ${given.aval} but the array ${x.aval}; cast one of them`)
  const offset = result.length - given.rank
  if (offset < 0 || given.shape.some((extent, k) => extent !== 1 && extent !== result[k + offset]))
    throw new TypeError(
      `${op}: the update ${given.aval} does not broadcast to the indexed [${result}]; from the right, its axes must be 1 or equal`,
    )
  if (chosen.misses || sizeOf(result) === 0) return x
  const updates = broadcastTo(cast(given, x.dtype), result)
  const region = regionOf(x, chosen)
  if (places === null) return withRegion(x, plain(region, reshape(updates, joined)), chosen)
  const { at, exist, axis, extent } = places
  const targets = reshape(where(exist, at, extent), [at.size])
  const byPlace = reshape(updates, joined.with(axis, at.size))
  return withRegion(x, fold(region, byPlace, targets, axis), chosen)
}

/**
 * The places of `x` that `items` name, as `index` takes them, to read or to update: `at(x, ids).add(1)` is NumPy's
 * `np.add.at(x, ids, 1)` as a new array. Updates of places outside are dropped. Sums have the same bits in every run.
 *
 * @example
 * ```ts
 * import { at, tensor } from 'cotangent'
 * const x = tensor([1, 2, 3, 4])
 * await at(x, { start: 1, stop: 3 }).set(0).data() // [1, 0, 0, 4]
 * const ids = tensor([0, 0, -1, 9], { dtype: 'i32' })
 * await at(x, ids).add(10).data() // [21, 2, 3, 14]
 * ```
 */
export function at(x: ArrayLike, ...items: IndexItem[]): At {
  const array = toArray(x)
  const chosen = indexed('at', array, items)
  const updated =
    (name: string, plain: (region: Value, updates: Value) => Value, fold: Fold) =>
    (value: ArrayLike): Value =>
      update(`at.${name}`, array, chosen, value, plain, fold)
  const set = updated('set', (_, updates) => updates, setFold)
  return {
    get: () => read(array, chosen),
    set,
    add: updated('add', add, addFold),
    mul: updated('mul', mul, mulFold),
    min: updated('min', minimum, extremumFold(min, -1)),
    max: updated('max', maximum, extremumFold(max, 1)),
    apply: (f) => {
      const before = read(array, chosen)
      const after = toArray(f(before))
      if (!after.aval.equals(before.aval))
        throw new TypeError(`at.apply: the function made ${after.aval} of ${before.aval}; keep the type`)
      return set(after)
    },
  }
}
