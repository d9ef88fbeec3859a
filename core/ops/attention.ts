// Scaled dot-product attention (Vaswani et al., 2017, eq. 1) whose scores are never stored, forward and backward (Dao et al.,
// "FlashAttention", 2022): a row keeps the logarithm of its sum of exponentials, from which weights are made again.

import { type Affine, flatten, quotient, unflatten } from '../affine.ts'
import type { NdArray, Pairs, Primitive, Read, Site } from '../primitive.ts'
import { reference } from '../reference.ts'
import * as scalar from '../scalar.ts'
import { Aval, type Shape } from '../shape.ts'
import { bind, toArray, trace } from '../trace.ts'
import { type ArrayLike, Constant, full, type Value } from '../value.ts'
import { div, greaterEqual, lessEqual, mul, sub, where } from './arithmetic.ts'
import { contract } from './contract.ts'
import { stopGradient } from './derived.ts'
import { exp, log, logScalar, smallExpScalar } from './elementary.ts'
import { add, cast, floatsAlike } from './elementwise.ts'
import { iota } from './indexing.ts'
import { logicalAnd } from './logic.ts'
import { batchFirst, expandDims, reshape, sum, transpose } from './movement.ts'
import { max } from './reduction.ts'

/** Query `t` sees the keys from `t - behind` to `t + ahead`. */
interface Band {
  readonly behind: number
  readonly ahead: number
}

interface Params extends Band {
  readonly scale: number
}

/** What a hidden score is set to, as in JAX: a row in which all are hidden is the mean of all values. */
const hidden = -0.7 * 3.4028234663852886e38

// Shapes: queries [batch, time, heads, size]; keys and values [batch, keys, kvHeads, size]. Query head n reads the key head
// ⌊n / group⌋, where `group` is heads / kvHeads. Numbers of a row, such as its log-sum-exp, are [batch, heads, time].

/** The queries with their heads in groups: `[batch, time, kvHeads, group, size]`. */
const grouped = (q: Value, { shape }: Value): Value =>
  reshape(q, [...q.shape.slice(0, 2), shape[2]!, q.shape[2]! / shape[2]!, q.shape[3]!])

/** Numbers of rows beside scores: `[batch, kvHeads, group, time, 1]`. */
const besides = (numbers: Value, { shape }: Value): Value =>
  reshape(numbers, [numbers.shape[0]!, shape[2]!, numbers.shape[1]! / shape[2]!, numbers.shape[2]!, 1])

/** Which scores `[time, keys]` are seen; null if all are. */
function bandMask(time: number, keys: number, { behind, ahead }: Band): Value | null {
  const [t, s] = [iota([time, keys]), iota([time, keys], { axis: 1 })]
  const before = behind < time - 1 ? greaterEqual(add(s, behind), t) : null
  const after = ahead < keys - 1 ? lessEqual(s, add(t, ahead)) : null
  return before && after ? logicalAnd(before, after) : (before ?? after)
}

/** q kᵀ: `[batch, kvHeads, group, time, keys]` */
const products = (q: Value, k: Value): Value => contract('btkgd,bskd->bkgts', grouped(q, k), k)

/** The scores, hidden where the band or the mask hides them. */
function scoresOf(q: Value, k: Value, { scale, ...band }: Params, mask: Value | null): Value {
  const scores = mul(products(q, k), scale)
  const inBand = bandMask(q.shape[1]!, k.shape[1]!, band)
  const seen = inBand && mask ? logicalAnd(mask, inBand) : (inBand ?? mask)
  return seen ? where(seen, scores, hidden) : scores
}

/** Weights times values, as queries are laid out. */
const mixed = (weights: Value, v: Value, like: Value): Value =>
  reshape(contract('bkgts,bskd->btkgd', weights, v), like.shape)

/** Attention by other operations, and the log-sum-exp of its rows. */
function attend(q: Value, k: Value, v: Value, params: Params, mask: Value | null): readonly [Value, Value] {
  const scores = scoresOf(q, k, params, mask)
  const top = stopGradient(max(scores, { axis: -1, keepDims: true }))
  const weights = exp(sub(scores, top))
  const total = sum(weights, { axis: -1, keepDims: true })
  const rows = [q.shape[0]!, q.shape[2]!, q.shape[1]!]
  // Dividing after the product divides `size` numbers a row, not `keys`.
  const totals = expandDims(transpose(reshape(total, rows), [0, 2, 1]), -1)
  return [div(mixed(weights, v, q), totals), reshape(add(log(total), top), rows)]
}

const isZero = (x: Value): boolean => x instanceof Constant && x.value === 0

/** The tangents of the result and of the log-sum-exp, where the first five inputs are given. */
function pushed(inputs: readonly Value[], params: Params): readonly [Value, Value] {
  const [q, k, v, o, lse, tq, tk, tv] = inputs as [Value, Value, Value, Value, Value, Value, Value, Value]
  const weights = exp(sub(scoresOf(q, k, params, null), besides(lse, k)))
  const tangents = [isZero(tq) ? [] : [products(tq, k)], isZero(tk) ? [] : [products(q, tk)]].flat()
  const rows = [q.shape[0]!, q.shape[2]!, q.shape[1]!]
  const fromV = isZero(tv) ? [] : [mixed(weights, tv, q)]
  if (tangents.length === 0) return [fromV[0]!, full(rows, 0)]
  const moved = mul(weights, mul(tangents.reduce(add), params.scale))
  const tlse = reshape(sum(moved, { axis: -1 }), rows)
  const lost = mul(o, expandDims(transpose(tlse, [0, 2, 1]), -1))
  return [sub([mixed(moved, v, q), ...fromV].reduce(add), lost), tlse]
}

/** The cotangents of q, k and v. `delta` has, for each row, the product of result and cotangent less the cotangent of the log-sum-exp. */
function pulled(inputs: readonly Value[], params: Params): readonly Value[] {
  const [q, k, v, lse, delta, ct] = inputs as [Value, Value, Value, Value, Value, Value]
  const weights = exp(sub(scoresOf(q, k, params, null), besides(lse, k)))
  const slopes = mul(weights, mul(sub(products(ct, v), besides(delta, k)), params.scale))
  const turned = (weights: Value, rows: Value): Value =>
    contract('bkgts,btkgd->bskd', weights, grouped(rows, k))
  return [mixed(slopes, k, q), turned(slopes, q), turned(weights, ct)]
}

/** The meaning of a composition. */
const meaning =
  (as: (inputs: readonly Value[], params: Params) => readonly Value[]) =>
  (inputs: readonly NdArray[], params: Params): NdArray[] => {
    const avals = inputs.map(({ shape, dtype }) => new Aval(shape, dtype))
    const { graph } = trace('reference', (...xs: readonly Value[]) => as(xs, params), avals as never)
    return reference(graph, inputs)
  }

/** Examples of a batch are more of the first axis, which all inputs and results begin with. */
const batchWith =
  (primitive: () => Primitive<Params>): Primitive<Params>['batch'] =>
  (inputs, params, size) => {
    const folded = inputs.map((input) => {
      const value = batchFirst(input, size)
      return reshape(value, [size * value.shape[1]!, ...value.shape.slice(2)])
    })
    return bind(primitive(), folded, params).map((value) => ({
      value: reshape(value, [size, value.shape[0]! / size, ...value.shape.slice(1)]),
      axis: 0,
    }))
  }

const rowsOf = ({ shape: [batch, time, heads] }: Aval): Aval => new Aval([batch!, heads!, time!], 'f32')

/** Where the loops find what they read: with heads, `batch` counts examples and heads. */
function places({ inputs: [q, k] }: Site<Params>) {
  const [batch, time, heads, size] = q!.shape as [number, number, number, number]
  const [, keys, kvHeads] = k!.shape as [number, number, number, number]
  const group = heads / kvHeads
  return {
    batch,
    time,
    heads,
    size,
    keys,
    kvHeads,
    group,
    /** The index of a query, and of the key that it reads, from the number of example and query head. */
    query: (b: Affine, t: Affine, d: Affine): Affine[] => {
      const [example, head] = unflatten(b, [batch, heads]) as [Affine, Affine]
      return [example, t, head, d]
    },
    key: (b: Affine, s: Affine, d: Affine): Affine[] => {
      const [example, head] = unflatten(b, [batch, heads]) as [Affine, Affine]
      return [example, s, quotient(head, group), d]
    },
    row: (b: Affine, t: Affine): Affine[] => [...unflatten(b, [batch, heads]), t],
  }
}

/** The loops over the keys that each query sees. */
function overQueries(site: Site<Params>) {
  const { batch, time, heads, size, keys } = places(site)
  const { behind, ahead } = site.params
  return { batch: batch * heads, rows: time, columns: keys, turns: 1, size, behind, ahead }
}

const attentionPrimitive: Primitive<Params> = {
  name: 'attention',
  type: ([q]) => [q!, rowsOf(q!)],
  jvp: ([tq, tk, tv], [q, k, v], [o, lse], params) =>
    bind(
      tangentPrimitive,
      [q!, k!, v!, o!, lse!, tq ?? full(q!.shape, 0), tk ?? full(k!.shape, 0), tv ?? full(v!.shape, 0)],
      params,
    ),
  batch: batchWith(() => attentionPrimitive),
  reference: meaning(([q, k, v], params) => attend(q!, k!, v!, params, null)),
  lower: {
    kind: 'pairs',
    loops: [
      (read, site) => {
        const { batch, time, heads, query, key, row } = places(site)
        const { scale } = site.params
        return {
          outputs: [0, 1],
          ...overQueries(site),
          dots: [
            {
              row: (b, t, d) => read(0, query(b, t, d)),
              column: (b, _, s, d) => read(1, key(b, s, d)),
            },
          ],
          softmax: { score: ([dot]) => scalar.mul(dot!, scale), exp: smallExpScalar },
          weights: ([dot], _, top) => [smallExpScalar(scalar.sub(scalar.mul(dot!, scale), top!))],
          sums: [[{ weight: 0, vector: (b, _, s, d) => read(2, key(b, s, d)) }]],
          totals: [0],
          vectors: (_, _d, [sum], { totals: [total] }) => [scalar.div(sum!, total!)],
          placeOfVector: ({ batch, row }, d) => flatten(query(batch, row, d), site.inputs[0]!.shape),
          numbers: (_, { totals: [total], top }) => [scalar.add(logScalar(total!), top!)],
          placeOfNumber: ({ batch: b, row: t }) => flatten(row(b, t), [batch, heads, time]),
        }
      },
    ],
  },
}

const tangentPrimitive: Primitive<Params> = {
  name: 'attention_tangent',
  type: ([q]) => [q!, rowsOf(q!)],
  jvp: { as: pushed },
  transpose: ([ct, ctLse], inputs, params) => {
    const [q, k, v, o, lse] = inputs as [Value, Value, Value, Value, Value]
    const given = ct ?? full(o.shape, 0)
    const products = ct ? transpose(sum(mul(ct, o), { axis: -1 }), [0, 2, 1]) : full(lse.shape, 0)
    const delta = ctLse ? sub(products, ctLse) : products
    const cotangents = bind(cotangentPrimitive, [q, k, v, lse, delta, given], params)
    return inputs.map((input, n) => (n >= 5 && input instanceof Aval ? cotangents[n - 5]! : null))
  },
  batch: batchWith(() => tangentPrimitive),
  reference: meaning(pushed),
  expand: pushed,
  lower: { kind: 'host' },
}

/** The loops over the keys that a query sees, or over the queries that see a key, that make the weights and their slopes again. */
function slopes(read: Read, site: Site<Params>) {
  const { query, key, row } = places(site)
  const { scale } = site.params
  return {
    query: (input: number) => (b: Affine, t: Affine, d: Affine) => read(input, query(b, t, d)),
    key: (input: number) => (b: Affine, s: Affine, d: Affine) => read(input, key(b, s, d)),
    /** The weight of a pair, and the cotangent of its product. */
    weights: ([dot, slope]: readonly scalar.Scalar[], b: Affine, t: Affine): readonly scalar.Scalar[] => {
      const [lse, delta] = [read(3, row(b, t)), read(4, row(b, t))]
      const weight = smallExpScalar(scalar.sub(scalar.mul(dot!, scale), lse))
      return [weight, scalar.mul(weight, scalar.sub(slope!, delta))]
    },
  }
}

const cotangentPrimitive: Primitive<Params> = {
  name: 'attention_cotangent',
  type: ([q, k, v]) => [q!, k!, v!],
  jvp: { as: pulled },
  batch: batchWith(() => cotangentPrimitive),
  reference: meaning(pulled),
  lower: {
    kind: 'pairs',
    loops: [
      (read, site): Pairs => {
        const { query } = places(site)
        const { scale } = site.params
        const of = slopes(read, site)
        return {
          outputs: [0],
          ...overQueries(site),
          dots: [
            { row: of.query(0), column: (b, _, s, d) => of.key(1)(b, s, d) },
            { row: of.query(5), column: (b, _, s, d) => of.key(2)(b, s, d) },
          ],
          softmax: null,
          weights: (dots, { batch, row }) => [of.weights(dots, batch, row)[1]!],
          sums: [[{ weight: 0, vector: (b, _, s, d) => of.key(1)(b, s, d) }]],
          totals: [],
          vectors: (_, _d, [sum]) => [scalar.mul(sum!, scale)],
          placeOfVector: ({ batch, row }, d) => flatten(query(batch, row, d), site.inputs[0]!.shape),
          numbers: () => [],
          placeOfNumber: ({ row }) => row,
        }
      },
      (read, site): Pairs => {
        const { batch, time, kvHeads, group, size, keys } = places(site)
        const { scale, behind, ahead } = site.params
        const of = slopes(read, site)
        /** The number of example and query head, from that of example and key head and the place in the group. */
        const heads = (b: Affine, g: Affine): Affine => flatten([b, g], [batch * kvHeads, group])
        const key =
          (input: number) =>
          (b: Affine, s: Affine, d: Affine): scalar.Scalar => {
            const [example, head] = unflatten(b, [batch, kvHeads]) as [Affine, Affine]
            return read(input, [example, s, head, d])
          }
        const query = (input: number) => (b: Affine, g: Affine, t: Affine, d: Affine) =>
          of.query(input)(heads(b, g), t, d)
        return {
          outputs: [1, 2],
          batch: batch * kvHeads,
          rows: keys,
          columns: time,
          turns: group,
          size,
          behind: ahead,
          ahead: behind,
          dots: [
            { row: key(1), column: query(0) },
            { row: key(2), column: query(5) },
          ],
          softmax: null,
          weights: (dots, { batch, turn, column }) => of.weights(dots, heads(batch, turn), column),
          sums: [[{ weight: 1, vector: query(0) }], [{ weight: 0, vector: query(5) }]],
          totals: [],
          vectors: (_, _d, [k, v]) => [scalar.mul(k!, scale), v!],
          placeOfVector: ({ batch: b, row: s }, d) => {
            const [example, head] = unflatten(b, [batch, kvHeads]) as [Affine, Affine]
            return flatten([example, s, head, d], site.inputs[1]!.shape)
          },
          numbers: () => [],
          placeOfNumber: ({ row }) => row,
        }
      },
    ],
  },
}

/** How queries see keys. */
export interface AttentionOptions {
  /** What products of queries and keys are multiplied by; `1 / √size` by default. */
  readonly scale?: number
  /** Whether a query sees the keys up to its own place only. */
  readonly causal?: boolean
  /** How many keys before and after its own place a query sees; one number is both. */
  readonly window?: number | readonly [number, number]
  /** A bool that is true where a query sees a key, and broadcasts to `[batch, heads, time, keys]`. */
  readonly mask?: ArrayLike
}

/**
 * `softmax(q kᵀ · scale) v` for each head: `q` is `[batch, time, heads, size]`, `k` and `v` are `[batch, keys, kvHeads, size]`, and
 * the result is like `q`; all without `batch` too. Where `kvHeads` is less than `heads`, and divides it, neighbouring query heads
 * share a key head. A query that sees no key gets the mean of all values, as in JAX. 16-bit floats are computed in f32.
 *
 * Scores are not stored, forward or backward, so memory grows with `time` and not with its square; with a `mask`, and in
 * forward mode and second derivatives, they are.
 *
 * @example
 * ```ts
 * import { dotProductAttention, ones } from 'cotangent'
 * const [q, k, v] = [ones([2, 5, 4, 8]), ones([2, 5, 2, 8]), ones([2, 5, 2, 8])]
 * dotProductAttention(q, k, v, { causal: true }).shape // [2, 5, 4, 8]
 * ```
 */
export function dotProductAttention(
  q: ArrayLike,
  k: ArrayLike,
  v: ArrayLike,
  { scale, causal = false, window, mask }: AttentionOptions = {},
): Value {
  const given = floatsAlike('dotProductAttention', [q, k, v]) as [Value, Value, Value]
  const { dtype, shape } = given[0]
  const [queries, keys, values] = given.map((x) => cast(withBatch(x), 'f32')) as [Value, Value, Value]
  requireFit(queries, keys, values, given)
  const [time, length] = [queries.shape[1]!, keys.shape[1]!]
  const [left, right] = typeof window === 'number' ? [window, window] : (window ?? [Infinity, Infinity])
  if (!(left >= 0 && right >= 0))
    throw new RangeError(
      `dotProductAttention: window [${left}, ${right}] is negative; give two counts of keys`,
    )
  const params: Params = {
    scale: scale ?? 1 / Math.sqrt(queries.shape[3]!),
    behind: left,
    ahead: causal ? 0 : right,
  }
  const seesAll = length > 0 && time - 1 - left < length
  const result =
    mask === undefined && seesAll && queries.size > 0
      ? bind(attentionPrimitive, [queries, keys, values], params)[0]!
      : attend(queries, keys, values, params, mask === undefined ? null : maskOf(mask, queries, keys))[0]
  return reshape(cast(result, dtype), shape)
}
dotProductAttention.primitive = attentionPrimitive

const withBatch = (x: Value): Value => (x.rank === 3 ? expandDims(x, 0) : x)

function requireFit(q: Value, k: Value, v: Value, given: readonly Value[]): void {
  const show = given.map(({ aval }) => aval).join(', ')
  if ([q, k, v].some(({ rank }) => rank !== 4))
    throw new TypeError(
      `dotProductAttention: q, k and v are ${show}; give each the axes [batch, time, heads, size], or all but the first`,
    )
  const [batch, , heads, size] = q.shape
  const [examples, , kvHeads, depth] = k.shape
  if (String(k.shape) !== String(v.shape) || batch !== examples || size !== depth)
    throw new TypeError(
      `dotProductAttention: q, k and v are ${show}; k and v must be alike, and q like them but for time and heads`,
    )
  if (heads! % kvHeads! !== 0)
    throw new TypeError(
      `dotProductAttention: ${heads} query heads cannot share ${kvHeads} key heads; one must divide the other`,
    )
}

/** The mask beside scores, `[batch, kvHeads, group, time, keys]`, where its extents of 1 stay. */
function maskOf(mask: ArrayLike, q: Value, k: Value): Value {
  const given = toArray(mask)
  const [batch, time, heads] = q.shape as [number, number, number]
  const [, keys, kvHeads] = k.shape as [number, number, number]
  const full: Shape = [batch, heads, time, keys]
  const shape = [...Array<number>(Math.max(0, 4 - given.rank)).fill(1), ...given.shape]
  const fits = shape.length === 4 && shape.every((extent, axis) => extent === 1 || extent === full[axis])
  if (!fits || given.dtype !== 'bool')
    throw new TypeError(
      `dotProductAttention: the mask is ${given.aval}; make it a bool that broadcasts to [${full}]`,
    )
  const [b, n, t, s] = shape as [number, number, number, number]
  return reshape(given, n === 1 ? [b, 1, 1, t, s] : [b, kvHeads, heads / kvHeads, t, s])
}
