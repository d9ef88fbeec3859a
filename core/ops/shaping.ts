// NumPy's ways of moving elements, each made of reshape, slice, concatenate and the like, which cost nothing once fused.

import { normalizeAxis } from '../shape.ts'
import { toArray } from '../trace.ts'
import { type ArrayLike, type Value, zeros } from '../value.ts'
import { notEqual, sub, where } from './arithmetic.ts'
import { tri } from './creation.ts'
import { part, repeated } from './cumulative.ts'
import { broadcastTo, concatenate, flip, pad, reshape, transpose } from './movement.ts'

/** All elements in row-major order, in one axis. */
export const ravel = (x: ArrayLike): Value => reshape(x, [-1])

/** Two axes in each other's place. */
export function swapaxes(x: ArrayLike, first: number, second: number): Value {
  const value = toArray(x)
  const [a, b] = [first, second].map((axis) => normalizeAxis('swapaxes', axis, value.rank)) as [
    number,
    number,
  ]
  return transpose(
    value,
    value.shape.map((_, axis) => (axis === a ? b : axis === b ? a : axis)),
  )
}

/**
 * The parts of `x` along `axis`: `sections` of equal extent, or cut before each of the given places. Places count from the end
 * when negative, and beyond the end there is nothing.
 *
 * @example
 * ```ts
 * import { arange, split } from 'cotangent'
 * const [a, b] = split(arange(6), [2])
 * await b!.data() // [2, 3, 4, 5]
 * ```
 */
export function split(
  x: ArrayLike,
  sections: number | readonly number[],
  { axis = 0 }: { readonly axis?: number } = {},
): Value[] {
  const value = toArray(x)
  const along = normalizeAxis('split', axis, value.rank)
  const extent = value.shape[along]!
  const within = (place: number): number => Math.min(Math.max(place < 0 ? place + extent : place, 0), extent)
  if (typeof sections !== 'number') {
    const cuts = [0, ...sections.map(within), extent]
    return cuts.slice(1).map((to, k) => part(value, along, Math.min(cuts[k]!, to), to))
  }
  const length = extent / sections
  if (!(sections > 0) || !Number.isInteger(sections) || !Number.isInteger(length))
    throw new RangeError(
      `split: axis ${along} of ${value.aval} is not divided by ${sections}; give a divisor of ${extent}, or the places to cut at`,
    )
  return Array.from({ length: sections }, (_, k) => part(value, along, k * length, (k + 1) * length))
}

/** The elements moved on by `shift` places, around the end, along `axis`; without it, in row-major order. */
export function roll(
  x: ArrayLike,
  shift: number | readonly number[],
  { axis }: { readonly axis?: number | readonly number[] } = {},
): Value {
  const value = toArray(x)
  if (axis === undefined) return reshape(rolled(ravel(value), [shift].flat(), [0]), value.shape)
  return rolled(value, [shift].flat(), [axis].flat())
}

function rolled(x: Value, shifts: readonly number[], axes: readonly number[]): Value {
  const count = Math.max(shifts.length, axes.length)
  if ([shifts, axes].some(({ length }) => length !== count && length !== 1))
    throw new TypeError(`roll: shifts [${shifts}] do not fit axes [${axes}]; give one for each axis`)
  const shift = (k: number): number => (shifts.length === 1 ? shifts[0]! : shifts[k]!)
  return Array.from({ length: count }, (_, k) => k).reduce((value, k) => {
    const axis = normalizeAxis('roll', axes.length === 1 ? axes[0]! : axes[k]!, value.rank)
    const extent = value.shape[axis]!
    const cut = extent === 0 ? 0 : ((-shift(k) % extent) + extent) % extent
    return cut === 0
      ? value
      : concatenate([part(value, axis, cut, extent), part(value, axis, 0, cut)], { axis })
  }, x)
}

/** Copies of `x` side by side: `copies[k]` of them along axis `k`, axes matched from the right. */
export function tile(x: ArrayLike, copies: number | readonly number[]): Value {
  const value = toArray(x)
  const times = [copies].flat()
  for (const count of times) checkCount('tile', count)
  const rank = Math.max(times.length, value.rank)
  const counts = [...Array<number>(rank - times.length).fill(1), ...times]
  const shape = [...Array<number>(rank - value.rank).fill(1), ...value.shape]
  const apart = reshape(
    value,
    shape.flatMap((extent) => [1, extent]),
  )
  return reshape(
    broadcastTo(
      apart,
      shape.flatMap((extent, axis) => [counts[axis]!, extent]),
    ),
    shape.map((extent, axis) => counts[axis]! * extent),
  )
}

function checkCount(op: string, count: number): void {
  if (!Number.isInteger(count) || count < 0)
    throw new RangeError(`${op}: ${count} is no count; use a whole number from 0 up`)
}

/** Every element `times` times in a row along `axis`; without it, in row-major order. */
export function repeat(x: ArrayLike, times: number, { axis }: { readonly axis?: number } = {}): Value {
  const value = toArray(x)
  checkCount('repeat', times)
  if (axis === undefined) return repeated(ravel(value), 0, times)
  return repeated(value, normalizeAxis('repeat', axis, value.rank), times)
}

/** `x` turned by `quarters` of a turn, from the first of `axes` towards the second. */
export function rot90(
  x: ArrayLike,
  quarters = 1,
  { axes = [0, 1] }: { readonly axes?: readonly [number, number] } = {},
): Value {
  const value = toArray(x)
  const [from, to] = axes.map((axis) => normalizeAxis('rot90', axis, value.rank)) as [number, number]
  if (from === to) throw new RangeError(`rot90: axes [${axes}] are one axis of ${value.aval}; name two`)
  const turns = ((quarters % 4) + 4) % 4
  if (turns === 0) return value
  if (turns === 2) return flip(value, { axis: [from, to] })
  return turns === 1
    ? swapaxes(flip(value, { axis: to }), from, to)
    : flip(swapaxes(value, from, to), { axis: to })
}

/** Which elements of the last two axes are on diagonal `k` or below. */
const isBelow = (op: string, x: Value, k: number): Value => {
  if (x.rank < 2) throw new TypeError(`${op}: ${x.aval} is no matrix; it needs two axes`)
  return tri(x.shape.at(-2)!, x.shape.at(-1)!, { k, dtype: 'bool' })
}

/** `x` with zeros above diagonal `k` of its last two axes. */
export function tril(x: ArrayLike, k = 0): Value {
  const value = toArray(x)
  return where(isBelow('tril', value, k), value, zero(value))
}

/** `x` with zeros below diagonal `k` of its last two axes. */
export function triu(x: ArrayLike, k = 0): Value {
  const value = toArray(x)
  return where(isBelow('triu', value, k - 1), zero(value), value)
}

const zero = ({ dtype }: Value): ArrayLike => (dtype === 'bool' ? false : 0)

/** The differences of neighbours along `axis`, the last by default, taken `n` times; of bools, whether they differ. */
export function diff(
  x: ArrayLike,
  { n = 1, axis = -1 }: { readonly n?: number; readonly axis?: number } = {},
): Value {
  const value = toArray(x)
  const along = normalizeAxis('diff', axis, value.rank)
  checkCount('diff', n)
  const difference = value.dtype === 'bool' ? notEqual : sub
  let result = value
  for (let k = 0; k < n && result.shape[along]! > 0; k++) {
    const extent = result.shape[along]!
    result = difference(part(result, along, 1, extent), part(result, along, 0, extent - 1))
  }
  return result
}

/**
 * The elements of diagonal `k` of two axes, which become the last axis of the result. They are read in steps of a row and
 * one, not by index, so that the derivative is no scatter.
 */
export function diagonal(
  x: ArrayLike,
  { k = 0, axes = [0, 1] }: { readonly k?: number; readonly axes?: readonly [number, number] } = {},
): Value {
  const value = toArray(x)
  const [rows, columns] = axes.map((axis) => normalizeAxis('diagonal', axis, value.rank)) as [number, number]
  if (rows === columns)
    throw new RangeError(`diagonal: axes [${axes}] are one axis of ${value.aval}; name two`)
  const others = value.shape.flatMap((_, axis) => (axis === rows || axis === columns ? [] : [axis]))
  const matrix = transpose(value, [...others, rows, columns])
  const [row, column] = [matrix.rank - 2, matrix.rank - 1]
  const [top, left] = [Math.max(-k, 0), Math.max(k, 0)]
  const length = Math.max(Math.min(matrix.shape[row]! - top, matrix.shape[column]! - left), 0)
  if (length === 0) return reshape(part(matrix, row, 0, 0), [...matrix.shape.slice(0, -2), 0])
  const square = part(part(matrix, row, top, top + length), column, left, left + length)
  const outer = square.shape.slice(0, -2)
  const flat = widened(reshape(square, [...outer, length * length]), 0, length)
  return reshape(part(reshape(flat, [...outer, length, length + 1]), column, 0, 1), [...outer, length])
}

/** Zeros in front of and behind the last axis. */
const widened = (x: Value, before: number, after: number): Value => {
  const none = x.shape.map(() => 0)
  return pad(x, { before: none.with(-1, before), after: none.with(-1, after) })
}

/** Of a vector, the matrix with it on diagonal `k` and zeros elsewhere; of a matrix, diagonal `k`. */
export function diag(x: ArrayLike, { k = 0 }: { readonly k?: number } = {}): Value {
  const value = toArray(x)
  if (value.rank === 2) return diagonal(value, { k })
  if (value.rank !== 1) throw new TypeError(`diag: ${value.aval} is neither vector nor matrix; use diagonal`)
  const length = value.size
  if (length === 0) return zeros([Math.abs(k), Math.abs(k)], value.dtype)
  const stepped = reshape(widened(reshape(value, [length, 1]), 0, length), [length * (length + 1)])
  const square = reshape(part(stepped, 0, 0, length * length), [length, length])
  const [top, left] = [Math.max(-k, 0), Math.max(k, 0)]
  return pad(square, { before: [top, left], after: [left, top] })
}
