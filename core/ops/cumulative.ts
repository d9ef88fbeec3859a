// Results so far: scans of an associative function, in a tree of as many stages as twice the logarithm of the length. All are
// compositions, so that every derivative follows from the function's own.

import { normalizeAxis } from '../shape.ts'
import { toArray, toValue } from '../trace.ts'
import { leavesWithPath, showPath, unflatten } from '../tree.ts'
import type { ArrayLike, Value } from '../value.ts'
import { equal, maximum, minimum, mul, where } from './arithmetic.ts'
import { bitwiseAnd } from './bits.ts'
import { logAddExp } from './elementary.ts'
import { add, cast } from './elementwise.ts'
import { iota } from './indexing.ts'
import { broadcastTo, concatenate, flip, reshape, slice } from './movement.ts'

export interface ScanOptions {
  /** The axis to go along; the first by default. */
  readonly axis?: number
  /** Go from the last element to the first. */
  readonly reverse?: boolean
}

/** The elements `from` up to `to` along `axis`. */
export const part = (x: Value, axis: number, from: number, to: number): Value =>
  slice(x, { start: x.shape.map((_, d) => (d === axis ? from : 0)), end: x.shape.with(axis, to) })

/** Every element `times` times in a row along `axis`. */
export const repeated = (x: Value, axis: number, times: number): Value => {
  const apart = reshape(x, x.shape.toSpliced(axis + 1, 0, 1))
  return reshape(
    broadcastTo(apart, x.shape.toSpliced(axis + 1, 0, times)),
    x.shape.with(axis, x.shape[axis]! * times),
  )
}

/** The first or the second elements of the pairs that `x` falls into from `from` on. */
function lane(x: Value, axis: number, from: number, which: 0 | 1): Value {
  const pairs = Math.floor((x.shape[axis]! - from) / 2)
  const apart = reshape(
    part(x, axis, from, from + 2 * pairs),
    x.shape.with(axis, pairs).toSpliced(axis + 1, 0, 2),
  )
  return reshape(part(apart, axis + 1, which, which + 1), x.shape.with(axis, pairs))
}

/** Element `i` is that of `x` at `⌊(i - behind) / 2⌋`, for `i` below `extent`. */
function spread(x: Value, axis: number, behind: number, extent: number): Value {
  const front = repeated(part(x, axis, 0, 1), axis, behind)
  return part(concatenate([front, repeated(x, axis, 2)], { axis }), axis, 0, extent)
}

type Combine = (a: readonly Value[], b: readonly Value[]) => readonly Value[]

/** The tree of `lax.associative_scan`: the scan of pairs has the odd results, and what comes after each is combined with it. */
function scanned(combine: Combine, xs: readonly Value[], axis: number): readonly Value[] {
  const extent = xs[0]!.shape[axis]!
  if (extent < 2) return xs
  const pairs = combine(
    xs.map((x) => lane(x, axis, 0, 0)),
    xs.map((x) => lane(x, axis, 0, 1)),
  )
  const odd = scanned(combine, pairs, axis)
  const between = Math.floor((extent - 1) / 2)
  const even =
    between === 0
      ? null
      : combine(
          odd.map((x) => part(x, axis, 0, between)),
          xs.map((x) => lane(x, axis, 1, 1)),
        )
  return xs.map((x, k) => {
    const place = iota(x.shape, { axis, dtype: 'u32' })
    const odds = spread(odd[k]!, axis, 1, extent)
    const isOdd = equal(bitwiseAnd(place, 1), 1)
    const later = even ? where(isOdd, odds, spread(even[k]!, axis, 2, extent)) : odds
    return where(equal(place, 0), x, later)
  })
}

/**
 * The results so far of an associative `f`, as `lax.associative_scan`: element `k` along `axis` is `f` of the elements up to
 * `k`. `xs` is an array or a tree of arrays with one extent there; `f` takes two such trees, of several elements along `axis`
 * at a time, and returns a third.
 *
 * @example
 * ```ts
 * import { add, associativeScan, mul, tensor, type Value } from 'cotangent'
 * // y[k] = a[k] y[k - 1] + b[k]
 * const line = { a: tensor([2, 2, 2]), b: tensor([1, 1, 1]) }
 * const { b: y } = associativeScan((first: typeof line, then: typeof line) => {
 *   return { a: mul(first.a, then.a), b: add(mul(first.b, then.a), then.b) }
 * }, line)
 * await y.data() // [1, 3, 7]
 * ```
 */
export function associativeScan<T>(
  f: (a: T, b: T) => T,
  xs: T,
  { axis = 0, reverse = false }: ScanOptions = {},
): T {
  const leaves = leavesWithPath(xs).map(({ path, leaf }) =>
    toValue(leaf, () => `associativeScan: the leaf "${showPath(path)}"`),
  )
  const [first] = leaves
  if (first === undefined) throw new TypeError('associativeScan: no arrays; pass at least one')
  const along = normalizeAxis('associativeScan', axis, first.rank)
  const other = leaves.find(({ shape }) => shape[along] !== first.shape[along])
  if (other !== undefined)
    throw new TypeError(
      `associativeScan: ${first.aval} and ${other.aval} differ along axis ${along}; give all the same extent there`,
    )
  const tree = (values: readonly Value[]): T => unflatten(xs, values) as unknown as T
  const combine: Combine = (a, b) => leavesWithPath(f(tree(a), tree(b))).map(({ leaf }) => leaf as Value)
  const turned = (values: readonly Value[]): readonly Value[] =>
    reverse ? values.map((x) => flip(x, { axis: along })) : values
  return tree(turned(scanned(combine, turned(leaves), along)))
}

const cumulative =
  (op: string, f: (a: Value, b: Value) => Value, accept: (x: Value) => Value = (x) => x) =>
  (x: ArrayLike, { axis = 0, reverse = false }: ScanOptions = {}): Value => {
    const value = accept(toArray(x))
    return associativeScan(f, value, { axis: normalizeAxis(op, axis, value.rank), reverse })
  }

/** What elements add up to or multiply: bools are counted. */
export const countable = (x: Value): Value => (x.dtype === 'bool' ? cast(x, 'i32') : x)

/** The sums so far along `axis`, the first by default; bools are counted in i32. */
export const cumsum = cumulative('cumsum', add, countable)

/** The products so far along `axis`, the first by default. Derivatives are products too, and so exact at zeros. */
export const cumprod = cumulative('cumprod', mul, countable)

/** The largest element so far along `axis`, the first by default; NaN from the first NaN on. */
export const cummax = cumulative('cummax', maximum)

/** The smallest element so far along `axis`, the first by default; NaN from the first NaN on. */
export const cummin = cumulative('cummin', minimum)

/**
 * `log(Σ e^x)` so far along `axis`, the first by default. It neither overflows nor stumbles over -∞; its derivative where all
 * so far is -∞ is NaN, as in JAX.
 */
export const cumLogSumExp = cumulative('cumLogSumExp', logAddExp, (x) => cast(x, 'f32'))
