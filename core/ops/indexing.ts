// Reading and adding at indices that are data: iota, gather, and scatterAdd, its transpose. Adding goes in a fixed order,
// so that sums are the same bits in every run.

import { type Affine, indexFrom } from '../affine.ts'
import { type DType, wrap } from '../dtype.ts'
import { type Batched, type NdArray, type Primitive, type Site, single } from '../primitive.ts'
import * as scalar from '../scalar.ts'
import { Aval, normalizeAxis, type Shape, sameShape } from '../shape.ts'
import { bind, toArray } from '../trace.ts'
import type { ArrayLike, Value } from '../value.ts'
import { batchFirst, elementOf, ndArray, reshape } from './movement.ts'

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

/** `x` and `indices` share their first `batch` axes; the others of `indices` take the place of `axis` in `x`. */
type GatherParams = { readonly axis: number; readonly batch: number }
type ScatterParams = GatherParams & { readonly size: number }

const gatherShape = (x: Shape, ids: Shape, { axis, batch }: GatherParams): Shape => [
  ...x.slice(0, axis),
  ...ids.slice(batch),
  ...x.slice(axis + 1),
]

/** The index into `indices`, from an index into the gathered array. */
const idsIndex = <I>(index: readonly I[], rank: number, { axis, batch }: GatherParams): I[] => [
  ...index.slice(0, batch),
  ...index.slice(axis, axis + rank - batch),
]

const clamp = (id: number, extent: number): number => Math.min(Math.max(id, 0), extent - 1)

const clampScalar = (id: scalar.Scalar, extent: number): scalar.Scalar =>
  scalar.min(scalar.cast(id.dtype === 'i32' ? scalar.max(id, 0) : id, 'u32'), extent - 1)

/** Both primitives batch alike: what is batched goes in front and becomes a shared axis, or the array's own. */
function batchIndexed<P extends GatherParams>(
  primitive: Primitive<P>,
  [x, ids]: readonly Batched[],
  params: P,
  size: number,
): Batched {
  const values = [batchFirst(x!, size), batchFirst(ids!, size)]
  return {
    value: bind(primitive, values, { ...params, axis: params.axis + 1, batch: params.batch + 1 })[0]!,
    axis: 0,
  }
}

const gatherPrimitive: Primitive<GatherParams> = single<GatherParams>({
  name: 'gather',
  type: ([x, ids], params) => new Aval(gatherShape(x!.shape, ids!.shape, params), x!.dtype),
  jvp: ([t], [_, ids], _y, params) => (t ? bind(gatherPrimitive, [t, ids!], params)[0]! : null),
  transpose: (ct, [x, ids], params) => [
    bind(scatterAddPrimitive, [ct, ids as Value], { ...params, size: (x as Aval).shape[params.axis]! })[0]!,
    null,
  ],
  batch: (inputs, params, size) => batchIndexed(gatherPrimitive, inputs, params, size),
  reference: ([x, ids], params) => {
    const { axis } = params
    return ndArray(new Aval(gatherShape(x!.shape, ids!.shape, params), x!.dtype), (index) => {
      const id = clamp(elementOf(ids!, idsIndex(index, ids!.shape.length, params)), x!.shape[axis]!)
      const inner = ids!.shape.length - params.batch
      return elementOf(x!, [...index.slice(0, axis), id, ...index.slice(axis + inner)])
    })
  },
  lower: {
    kind: 'view',
    free: false,
    element: (index, read, { params, inputs: [x, ids] }) => {
      const { axis, batch } = params
      const extent = x!.shape[axis]!
      const id = indexFrom(clampScalar(read(1, idsIndex(index, ids!.shape.length, params)), extent), extent)
      return read(0, [...index.slice(0, axis), id, ...index.slice(axis + ids!.shape.length - batch)])
    },
  },
})

const scatterShape = (updates: Shape, ids: Shape, { axis, batch, size }: ScatterParams): Shape => [
  ...updates.slice(0, axis),
  size,
  ...updates.slice(axis + ids.length - batch),
]

const scatterAddPrimitive: Primitive<ScatterParams> = single<ScatterParams>({
  name: 'scatter_add',
  type: ([updates, ids], params) =>
    new Aval(scatterShape(updates!.shape, ids!.shape, params), updates!.dtype),
  jvp: ([t], [_, ids], _y, params) => (t ? bind(scatterAddPrimitive, [t, ids!], params)[0]! : null),
  transpose: (ct, [_, ids], { axis, batch }) => [
    bind(gatherPrimitive, [ct, ids as Value], { axis, batch })[0]!,
    null,
  ],
  batch: (inputs, params, size) => batchIndexed(scatterAddPrimitive, inputs, params, size),
  reference: ([updates, ids], params) => scatterReference(updates!, ids!, params),
  lower: {
    kind: 'reduce',
    extents: ({ inputs: [_, ids], params: { batch } }) => ids!.shape.slice(batch),
    element: (index, turn, read, { params: { axis, batch, size } }: Site<ScatterParams>) => {
      const at: Affine[] = [...index.slice(0, axis), ...turn, ...index.slice(axis + 1)]
      const id = clampScalar(read(1, [...index.slice(0, batch), ...turn]), size)
      return scalar.select(scalar.eq(id, scalar.position(index[axis]!)), read(0, at), 0)
    },
    combine: scalar.add,
    identity: () => 0,
  },
})

function scatterReference(updates: NdArray, ids: NdArray, params: ScatterParams): NdArray {
  const { axis, batch, size } = params
  const inner = ids.shape.length - batch
  const out = ndArray(new Aval(scatterShape(updates.shape, ids.shape, params), updates.dtype), () => 0)
  ndArray(new Aval(updates.shape, updates.dtype), (index) => {
    const id = clamp(elementOf(ids, idsIndex(index, ids.shape.length, params)), size)
    const at = [...index.slice(0, axis), id, ...index.slice(axis + inner)]
    const flat = out.shape.reduce((sum, extent, d) => sum * extent + at[d]!, 0)
    out.data[flat] = wrap[out.dtype](out.data[flat]! + elementOf(updates, index))
    return 0
  })
  return out
}

/**
 * The slices of `x` at `indices` along `axis`; indices outside are clamped.
 * `[..x, axis, x..]` with `[..indices]` gives `[..x, ..indices, x..]`.
 */
export function take(x: ArrayLike, indices: ArrayLike, { axis = 0 }: { readonly axis?: number } = {}): Value {
  const value = toArray(x)
  const ids = integers('take', indices)
  return bind(gatherPrimitive, [value, ids], { axis: normalizeAxis('take', axis, value.rank), batch: 0 })[0]!
}
take.primitive = gatherPrimitive

/** The transpose of `take` along axis 0: a `[size, ...]` array with each of `updates` added at its index. */
export function scatterAdd(updates: ArrayLike, indices: ArrayLike, size: number): Value {
  return bind(scatterAddPrimitive, [toArray(updates), integers('scatterAdd', indices)], {
    axis: 0,
    batch: 0,
    size,
  })[0]!
}
scatterAdd.primitive = scatterAddPrimitive

/** One element along the last axis of `x` for each row: `x` is `[..., n]`, `indices` and the result are `[...]`. */
export function pick(x: ArrayLike, indices: ArrayLike): Value {
  const value = toArray(x)
  const ids = integers('pick', indices)
  const rows = value.shape.slice(0, -1)
  if (!sameShape(rows, ids.shape))
    throw new TypeError(
      `pick: indices ${ids.aval} do not fit the rows of ${value.aval}; they must be [${rows}]`,
    )
  const flat = bind(
    gatherPrimitive,
    [reshape(value, [ids.size, value.shape.at(-1)!]), reshape(ids, [ids.size])],
    {
      axis: 1,
      batch: 1,
    },
  )[0]!
  return reshape(flat, rows)
}

function integers(op: string, indices: ArrayLike): Value {
  const ids = toArray(indices)
  if (ids.dtype !== 'i32' && ids.dtype !== 'u32')
    throw new TypeError(`${op}: indices are ${ids.aval}; cast them to i32`)
  return ids
}
