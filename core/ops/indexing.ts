// Reading and adding at indices that are data: iota, gather, and scatter_add, its transpose; and what is composed of them.
// Adding goes in a fixed order, so that sums are the same bits in every run.

import { type Affine, indexFrom } from '../affine.ts'
import { type DType, isFloat, wrap } from '../dtype.ts'
import { type Batched, type NdArray, type Primitive, type Site, single } from '../primitive.ts'
import * as scalar from '../scalar.ts'
import { Aval, broadcastShapes, normalizeAxis, type Shape, sameShape, sizeOf } from '../shape.ts'
import { bind, toArray } from '../trace.ts'
import { type ArrayLike, full, type Value } from '../value.ts'
import { equal, less, maximum, where } from './arithmetic.ts'
import { add, cast } from './elementwise.ts'
import { batchFirst, broadcastTo, elementOf, expandDims, moveaxis, ndArray, reshape } from './movement.ts'

type IotaParams = { readonly shape: Shape; readonly axis: number; readonly dtype: DType }

const iotaPrimitive: Primitive<IotaParams> = single<IotaParams>({
  name: 'iota',
  type: (_, { shape, dtype }) => new Aval(shape, dtype),
  jvp: null,
  batch: (_, params) => ({ value: bind(iotaPrimitive, [], params)[0]!, axis: null }),
  reference: (_, { shape, axis, dtype }) => ndArray(new Aval(shape, dtype), (index) => index[axis]!),
  lower: {
    kind: 'view',
    free: true,
    element: (index, _, { params: { axis, dtype } }) => scalar.cast(scalar.position(index[axis]!), dtype),
  },
})

/** Each element is its own place along `axis`. */
export function iota(
  shape: Shape,
  { axis = 0, dtype = 'i32' }: { readonly axis?: number; readonly dtype?: DType } = {},
): Value {
  return bind(iotaPrimitive, [], { shape, axis: normalizeAxis('iota', axis, shape.length), dtype })[0]!
}
iota.primitive = iotaPrimitive

// ---- gather and scatter_add

/**
 * What an index outside reads: 'clip' the nearest element, 'wrap' the one it comes to modulo the extent, 'fill' what stands
 * for no element (NaN, the least i32, the largest u32, true), 'zero' 0. Negative indices are outside.
 */
type GatherMode = 'clip' | 'wrap' | 'fill' | 'zero'

/** Where an update whose index is outside goes; 'drop' is nowhere. */
type ScatterMode = 'clip' | 'wrap' | 'drop'

const transposedMode = { clip: 'clip', wrap: 'wrap', fill: 'drop', zero: 'drop', drop: 'zero' } as const

/** `x` and `indices` share their first `batch` axes; the others of `indices` take the place of `axis` in `x`. */
interface Placement {
  readonly axis: number
  readonly batch: number
}
type GatherParams = Placement & { readonly mode: GatherMode }
type ScatterParams = Placement & { readonly size: number; readonly mode: ScatterMode }

const gatherShape = (x: Shape, ids: Shape, { axis, batch }: Placement): Shape => [
  ...x.slice(0, axis),
  ...ids.slice(batch),
  ...x.slice(axis + 1),
]

/** The index into `indices`, from an index into the gathered array. */
const idsIndex = <I>(index: readonly I[], rank: number, { axis, batch }: Placement): I[] => [
  ...index.slice(0, batch),
  ...index.slice(axis, axis + rank - batch),
]

/** The place that an index means, or -1. */
function placeOf(id: number, extent: number, mode: GatherMode | ScatterMode): number {
  if (mode === 'clip') return Math.min(Math.max(id, 0), extent - 1)
  if (mode === 'wrap') return ((id % extent) + extent) % extent
  return id < extent ? id : -1
}

/** The same as a u32; what has no place comes to an index that is outside. */
function placeScalar(id: scalar.Scalar, extent: number, mode: GatherMode | ScatterMode): scalar.Scalar {
  const isSigned = id.dtype === 'i32'
  if (mode === 'clip') return scalar.min(scalar.cast(isSigned ? scalar.max(id, 0) : id, 'u32'), extent - 1)
  if (mode !== 'wrap') return scalar.cast(id, 'u32')
  const rest = scalar.sub(id, scalar.mul(scalar.div(id, extent), extent))
  return scalar.cast(
    isSigned ? scalar.select(scalar.lt(rest, 0), scalar.add(rest, extent), rest) : rest,
    'u32',
  )
}

/** What a read finds where there is nothing, as in JAX. */
function missing(dtype: DType): number {
  if (isFloat(dtype)) return Number.NaN
  return dtype === 'i32' ? -(2 ** 31) : dtype === 'u32' ? 2 ** 32 - 1 : 1
}

/** Both primitives batch alike: examples go in front, as one more axis of the array, or shared with the indices. */
function batchIndexed<P extends Placement>(
  primitive: Primitive<P>,
  [x, ids]: readonly Batched[],
  params: P,
  size: number,
): Batched {
  const shared = ids!.axis === null && params.batch === 0
  const values = [batchFirst(x!, size), shared ? ids!.value : batchFirst(ids!, size)]
  const batch = shared ? 0 : params.batch + 1
  return { value: bind(primitive, values, { ...params, axis: params.axis + 1, batch })[0]!, axis: 0 }
}

const gatherPrimitive: Primitive<GatherParams> = single<GatherParams>({
  name: 'gather',
  type: ([x, ids], params) => new Aval(gatherShape(x!.shape, ids!.shape, params), x!.dtype),
  jvp: ([t], [_, ids], _y, params) => {
    const mode = params.mode === 'fill' ? 'zero' : params.mode
    return t ? bind(gatherPrimitive, [t, ids!], { ...params, mode })[0]! : null
  },
  transpose: (ct, [x, ids], { axis, batch, mode }) => {
    const params = { axis, batch, size: (x as Aval).shape[axis]!, mode: transposedMode[mode] }
    return [bind(scatterAddPrimitive, [ct, ids as Value], params)[0]!, null]
  },
  batch: (inputs, params, size) => batchIndexed(gatherPrimitive, inputs, params, size),
  reference: ([x, ids], params) => {
    const { axis, mode } = params
    const inner = ids!.shape.length - params.batch
    const nothing = mode === 'fill' ? missing(x!.dtype) : 0
    return ndArray(new Aval(gatherShape(x!.shape, ids!.shape, params), x!.dtype), (index) => {
      const id = placeOf(elementOf(ids!, idsIndex(index, ids!.shape.length, params)), x!.shape[axis]!, mode)
      return id < 0 ? nothing : elementOf(x!, [...index.slice(0, axis), id, ...index.slice(axis + inner)])
    })
  },
  lower: {
    kind: 'view',
    free: false,
    element: (index, read, { params, inputs: [x, ids] }) => {
      const { axis, batch, mode } = params
      const extent = x!.shape[axis]!
      const place = placeScalar(read(1, idsIndex(index, ids!.shape.length, params)), extent, mode)
      const at = (place: scalar.Scalar): scalar.Scalar => {
        const after = index.slice(axis + ids!.shape.length - batch)
        return read(0, [...index.slice(0, axis), indexFrom(place, extent), ...after])
      }
      if (mode === 'clip' || mode === 'wrap') return at(place)
      const nothing = mode === 'fill' ? missing(x!.dtype) : 0
      return scalar.select(scalar.lt(place, extent), at(scalar.min(place, extent - 1)), nothing)
    },
  },
})

const scatterShape = (updates: Shape, ids: Shape, { axis, batch, size }: ScatterParams): Shape => [
  ...updates.slice(0, axis),
  size,
  ...updates.slice(axis + ids.length - batch),
]

/** The extents of the updates of each slice. */
const scatterExtents = ({
  inputs: [_, ids],
  params: { batch },
}: Pick<Site<ScatterParams>, 'inputs' | 'params'>): Shape => ids!.shape.slice(batch)

const scatterAddPrimitive: Primitive<ScatterParams> = single<ScatterParams>({
  name: 'scatter_add',
  type: ([updates, ids], params) =>
    new Aval(scatterShape(updates!.shape, ids!.shape, params), updates!.dtype),
  jvp: ([t], [_, ids], _y, params) => (t ? bind(scatterAddPrimitive, [t, ids!], params)[0]! : null),
  transpose: (ct, [_, ids], { axis, batch, mode }) => [
    bind(gatherPrimitive, [ct, ids as Value], { axis, batch, mode: transposedMode[mode] })[0]!,
    null,
  ],
  batch: (inputs, params, size) => batchIndexed(scatterAddPrimitive, inputs, params, size),
  reference: ([updates, ids], params) => scatterReference(updates!, ids!, params),
  expand: inTurn,
  lower: {
    kind: 'reduce',
    extents: scatterExtents,
    element: (index, turn, read, { params: { axis, batch, size, mode } }: Site<ScatterParams>) => {
      const at: Affine[] = [...index.slice(0, axis), ...turn, ...index.slice(axis + 1)]
      const place = placeScalar(read(1, [...index.slice(0, batch), ...turn]), size, mode)
      return scalar.select(scalar.eq(place, scalar.position(index[axis]!)), read(0, at), 0)
    },
    combine: scalar.add,
    identity: () => 0,
  },
})

function scatterReference(updates: NdArray, ids: NdArray, params: ScatterParams): NdArray {
  const { axis, batch, size, mode } = params
  const inner = ids.shape.length - batch
  const out = ndArray(new Aval(scatterShape(updates.shape, ids.shape, params), updates.dtype), () => 0)
  ndArray(new Aval(updates.shape, updates.dtype), (index) => {
    const id = placeOf(elementOf(ids, idsIndex(index, ids.shape.length, params)), size, mode)
    if (id < 0) return 0
    const at = [...index.slice(0, axis), id, ...index.slice(axis + inner)]
    const flat = out.shape.reduce((sum, extent, d) => sum * extent + at[d]!, 0)
    out.data[flat]! += elementOf(updates, index)
    return 0
  })
  return { ...out, data: out.data.map(wrap[out.dtype]) }
}

/** Fewer terms than this are summed at every element: threads are idle otherwise, and more joins the kernel. */
const fewTerms = 1 << 16
/** More updates than this one thread does not go over. */
const manyUpdates = 1 << 15

const { expand: _, ...scatterRules } = scatterAddPrimitive

/** The same, but that the updates are gone over once, and not again for every element of the result. */
const scatterInTurn: Primitive<ScatterParams> = {
  ...scatterRules,
  lower: {
    kind: 'scatter',
    axis: ({ axis }) => axis,
    extents: scatterExtents,
    place: (before, turn, read, { params: { batch, size, mode } }) =>
      placeScalar(read(1, [...before.slice(0, batch), ...turn]), size, mode),
    element: (before, turn, after, read) => read(0, [...before, ...turn, ...after]),
    combine: scalar.add,
    identity: () => 0,
  },
}

function inTurn([updates, ids]: readonly Value[], params: ScatterParams): Value | null {
  const turns = sizeOf(scatterExtents({ inputs: [updates!.aval, ids!.aval], params }))
  const isFew = params.size * updates!.size < fewTerms || turns === 1
  return isFew || turns > manyUpdates ? null : bind(scatterInTurn, [updates!, ids!], params)[0]!
}

/** The slices of `x` at `ids` along `axis`, and what `mode` says of indices outside. */
export const gather = (x: Value, ids: Value, axis: number, mode: GatherMode): Value =>
  bind(gatherPrimitive, [x, ids], { axis, batch: 0, mode })[0]!

/** Zeros, `size` of them along `axis`, with each slice of `updates` along `axis` added at its index. */
export const scatterAdd = (updates: Value, ids: Value, axis: number, size: number): Value =>
  bind(scatterAddPrimitive, [updates, ids], { axis, batch: 0, size, mode: 'drop' })[0]!

/** Indices with the negative ones counted from the end. */
export const fromEnd = (ids: Value, extent: number): Value =>
  ids.dtype === 'u32' ? ids : where(less(ids, 0), add(ids, extent), ids)

export interface TakeOptions {
  readonly axis?: number
  /**
   * What an index outside reads: 'fill' gives NaN, the least i32, the largest u32 or true; 'clip' the nearest element; 'wrap'
   * the element modulo the extent. With 'fill', negative indices count from the end; with 'clip' they read the first element.
   */
  readonly mode?: 'fill' | 'clip' | 'wrap'
}

function refuseEmpty(op: string, x: Value, axis: number, ids: Value): void {
  if (x.shape[axis] === 0 && ids.size > 0)
    throw new RangeError(`${op}: axis ${axis} of ${x.aval} is empty; there is nothing to read`)
}

/**
 * The slices of `x` at `ids`, which are i32 or u32, along `axis`: `[..x, axis, x..]` with `[..ids]` gives `[..x, ..ids, x..]`.
 * The derivative with respect to `x` goes where the value came from. Without `axis`, along the first; JAX flattens.
 *
 * @example
 * ```ts
 * import { take, tensor } from 'cotangent'
 * await take(tensor([10, 20, 30]), tensor([2, -1, 7], { dtype: 'i32' })).data() // [30, 30, NaN]
 * ```
 */
export function take(x: ArrayLike, ids: ArrayLike, { axis = 0, mode = 'fill' }: TakeOptions = {}): Value {
  const value = toArray(x)
  const places = integers('take', ids)
  const along = normalizeAxis('take', axis, value.rank)
  refuseEmpty('take', value, along, places)
  return gather(value, mode === 'fill' ? fromEnd(places, value.shape[along]!) : places, along, mode)
}
take.primitive = gatherPrimitive

/**
 * Along `axis`, the last by default, the elements of each row of `x` at the places of the same row of `ids`; the other axes
 * broadcast. Negative indices count from the end, whatever the `mode`; those outside then read what it says in `take`.
 *
 * @example
 * ```ts
 * import { takeAlongAxis, tensor } from 'cotangent'
 * const x = tensor([[1, 2], [3, 4]])
 * await takeAlongAxis(x, tensor([[1], [0]], { dtype: 'i32' }), { axis: 1 }).data() // [2, 3]
 * ```
 */
export function takeAlongAxis(
  x: ArrayLike,
  ids: ArrayLike,
  { axis = -1, mode = 'fill' }: TakeOptions = {},
): Value {
  const value = toArray(x)
  const places = integers('takeAlongAxis', ids)
  if (places.rank !== value.rank)
    throw new TypeError(
      `takeAlongAxis: indices ${places.aval} and ${value.aval} have different ranks; make them equal`,
    )
  const along = normalizeAxis('takeAlongAxis', axis, value.rank)
  refuseEmpty('takeAlongAxis', value, along, places)
  const others = (x: Value): Shape => x.shape.filter((_, k) => k !== along)
  const rows = broadcastShapes('takeAlongAxis', others(value), others(places))
  /** One row after the other, the axis last. */
  const byRow = (x: Value): Value => {
    const extent = x.shape[along]!
    return reshape(broadcastTo(moveaxis(x, along, -1), [...rows, extent]), [sizeOf(rows), extent])
  }
  const inputs = [byRow(value), byRow(fromEnd(places, value.shape[along]!))]
  const found = bind(gatherPrimitive, inputs, { axis: 1, batch: 1, mode })[0]!
  return moveaxis(reshape(found, [...rows, places.shape[along]!]), -1, along)
}

/** One element along the last axis of `x` for each row: `x` is `[..., n]`, `ids` and the result are `[...]`. */
export function pick(x: ArrayLike, ids: ArrayLike): Value {
  const value = toArray(x)
  const places = integers('pick', ids)
  const rows = value.shape.slice(0, -1)
  if (!sameShape(rows, places.shape))
    throw new TypeError(
      `pick: indices ${places.aval} do not fit the rows of ${value.aval}; they must be [${rows}]`,
    )
  const byRow = [reshape(value, [places.size, value.shape.at(-1)!]), reshape(places, [places.size])]
  return reshape(bind(gatherPrimitive, byRow, { axis: 1, batch: 1, mode: 'clip' })[0]!, rows)
}

/**
 * The sums of the slices of `data` that have the same id: `[...ids, ...rest]` gives `[n, ...rest]`, zero where no id points.
 * Slices whose id is negative, or `n` or more, are dropped. The order of summation is fixed.
 *
 * @example
 * ```ts
 * import { segmentSum, tensor } from 'cotangent'
 * await segmentSum(tensor([1, 2, 3]), tensor([0, 2, 0], { dtype: 'i32' }), 3).data() // [4, 0, 2]
 * ```
 */
export function segmentSum(data: ArrayLike, ids: ArrayLike, n: number): Value {
  const value = toArray(data)
  const places = integers('segmentSum', ids)
  if (value.dtype === 'bool') throw new TypeError(`segmentSum: the data is ${value.aval}; cast it to i32`)
  if (!sameShape(value.shape.slice(0, places.rank), places.shape))
    throw new TypeError(
      `segmentSum: ids ${places.aval} do not fit ${value.aval}; there must be one for each slice of the data`,
    )
  return scatterAdd(value, places, 0, n)
}
segmentSum.primitive = scatterAddPrimitive

export interface BincountOptions {
  /** The number of counts; the shape cannot depend on the data. */
  readonly length: number
  /** What each occurrence counts for, instead of 1. */
  readonly weights?: ArrayLike
}

/** How often each of 0, 1, …, `length` - 1 occurs in the vector `x`. As in JAX, negative ones count as 0, and too large ones not. */
export function bincount(x: ArrayLike, { length, weights }: BincountOptions): Value {
  const ids = integers('bincount', x)
  if (ids.rank !== 1) throw new TypeError(`bincount: ${ids.aval} is no vector; reshape it to [${ids.size}]`)
  return segmentSum(weights ?? full(ids.shape, 1, 'i32'), maximum(ids, 0), length)
}

/** A new last axis of `n`, with 1 at the place that each id names and 0 elsewhere; nothing but 0 for ids outside. */
export function oneHot(ids: ArrayLike, n: number, { dtype = 'f32' }: { readonly dtype?: DType } = {}): Value {
  const places = integers('oneHot', ids)
  const classes = iota([...places.shape, n], { axis: places.rank, dtype: places.dtype })
  return cast(equal(expandDims(places, -1), classes), dtype)
}

function integers(op: string, indices: ArrayLike): Value {
  const ids = toArray(indices)
  if (ids.dtype !== 'i32' && ids.dtype !== 'u32')
    throw new TypeError(`${op}: indices are ${ids.aval}; cast them to i32`)
  return ids
}
