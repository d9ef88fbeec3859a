// Moving elements: reshape, permute, broadcast, slice, pad, flip, concat, and `sum`, which undoes broadcast. The family is
// closed under transposition. All but `sum` only say where each element is read from, and cost nothing once fused.

import { flatten, indexFrom, plus, unflatten, whole } from '../affine.ts'
import { wrap } from '../dtype.ts'
import { type Batched, type NdArray, type Primitive, type Read, type Site, single } from '../primitive.ts'
import * as scalar from '../scalar.ts'
import { Aval, normalizeAxes, normalizeAxis, type Shape, sameShape, sizeOf, stridesOf } from '../shape.ts'
import { bind, toArray } from '../trace.ts'
import { type ArrayLike, Constant, full, type Value, zeros } from '../value.ts'

const range = (n: number): number[] => Array.from({ length: n }, (_, k) => k)

/** The array on the host whose element at each index is `read(index)`. */
export function ndArray(aval: Aval, read: (index: number[]) => number): NdArray {
  const strides = stridesOf(aval.shape)
  const data = new Float64Array(aval.size)
  for (let flat = 0; flat < data.length; flat++)
    data[flat] = read(aval.shape.map((extent, axis) => Math.floor(flat / strides[axis]!) % extent))
  return { shape: aval.shape, dtype: aval.dtype, data }
}

/** The element of a host array at an index. */
export const elementOf = ({ shape, data }: NdArray, index: readonly number[]): number =>
  data[shape.reduce((flat, extent, axis) => flat * extent + index[axis]!, 0)]!

/** A value whose examples lie along axis 0: moved there, or repeated if all examples share it. */
export function batchFirst({ value, axis }: Batched, size: number): Value {
  if (axis === null) return broadcastTo(value, [size, ...value.shape])
  return axis === 0 ? value : moveaxis(value, axis, 0)
}

/** Batching of a primitive with one input: examples along axis 0, parameters adapted to the rank that is one larger. */
const batchUnary =
  <P>(primitive: () => Primitive<P>, adapt: (params: P, size: number) => P) =>
  (inputs: readonly Batched[], params: P, size: number): Batched => ({
    value: bind(primitive(), [batchFirst(inputs[0]!, size)], adapt(params, size))[0]!,
    axis: 0,
  })

/** The tangent of an operation linear in its only input. */
const linearJvp =
  <P>(primitive: () => Primitive<P>) =>
  ([t]: readonly (Value | null)[], _primals: readonly Value[], _y: Value, params: P): Value =>
    bind(primitive(), [t!], params)[0]!

const shapeOf = (x: Value | Aval | undefined): Shape => x!.shape

// ---- reshape

type ReshapeParams = { readonly shape: Shape }

const reshapePrimitive: Primitive<ReshapeParams> = single<ReshapeParams>({
  name: 'reshape',
  type: ([x], { shape }) => new Aval(shape, x!.dtype),
  jvp: linearJvp(() => reshapePrimitive),
  transpose: (ct, [x]) => [reshape(ct, shapeOf(x))],
  batch: batchUnary(
    () => reshapePrimitive,
    ({ shape }, size) => ({ shape: [size, ...shape] }),
  ),
  reference: ([x], { shape }) => ({ ...x!, shape }),
  lower: {
    kind: 'view',
    free: true,
    element: (index, read, { inputs: [x], output }) =>
      read(0, unflatten(flatten(index, output.shape), x!.shape)),
  },
})

/**
 * The same elements in row-major order under another shape; one extent may be -1, and is then found from the others. A
 * `TypeError` if the extents do not multiply to the size.
 */
export function reshape(x: ArrayLike, shape: Shape): Value {
  const value = toArray(x)
  const known = sizeOf(shape.filter((extent) => extent !== -1))
  const full = shape.map((extent) => (extent === -1 ? value.size / known : extent))
  if (
    sizeOf(full) !== value.size ||
    shape.filter((extent) => extent === -1).length > 1 ||
    !full.every(Number.isInteger)
  )
    throw new TypeError(
      `reshape: ${value.aval} has ${value.size} elements, which do not fill [${shape}]; the extents must multiply to that`,
    )
  if (value instanceof Constant)
    return new Constant(value.value, new Aval(full, value.dtype, value.aval.weak))
  return sameShape(full, value.shape) ? value : bind(reshapePrimitive, [value], { shape: full })[0]!
}
reshape.primitive = reshapePrimitive

// ---- permute

type PermuteParams = { readonly axes: readonly number[] }

const permutePrimitive: Primitive<PermuteParams> = single<PermuteParams>({
  name: 'permute',
  type: ([x], { axes }) =>
    new Aval(
      axes.map((axis) => x!.shape[axis]!),
      x!.dtype,
    ),
  jvp: linearJvp(() => permutePrimitive),
  transpose: (ct, _, { axes }) => [
    transpose(
      ct,
      range(axes.length).map((axis) => axes.indexOf(axis)),
    ),
  ],
  batch: batchUnary(
    () => permutePrimitive,
    ({ axes }) => ({ axes: [0, ...axes.map((axis) => axis + 1)] }),
  ),
  reference: ([x], { axes }) =>
    ndArray(
      new Aval(
        axes.map((axis) => x!.shape[axis]!),
        x!.dtype,
      ),
      (index) =>
        elementOf(
          x!,
          axes.map((_, axis) => index[axes.indexOf(axis)]!),
        ),
    ),
  lower: {
    kind: 'view',
    free: true,
    element: (index, read, { params: { axes } }) =>
      read(
        0,
        axes.map((_, axis) => index[axes.indexOf(axis)]!),
      ),
  },
})

/**
 * Axes in another order: axis `k` of the result is axis `axes[k]` of `x`. Without `axes`, reversed. A `RangeError` unless each
 * axis is named once.
 */
export function transpose(x: ArrayLike, axes?: readonly number[]): Value {
  const value = toArray(x)
  const order =
    axes?.map((axis) => normalizeAxis('transpose', axis, value.rank)) ?? range(value.rank).reverse()
  if (new Set(order).size !== value.rank || order.length !== value.rank)
    throw new RangeError(
      `transpose: axes [${order}] are no permutation of the axes of ${value.aval}; name each once`,
    )
  if (value instanceof Constant)
    return new Constant(
      value.value,
      new Aval(
        order.map((axis) => value.shape[axis]!),
        value.dtype,
        value.aval.weak,
      ),
    )
  return order.every((axis, k) => axis === k) ? value : bind(permutePrimitive, [value], { axes: order })[0]!
}
transpose.primitive = permutePrimitive

/** Moves one axis to another place; the others keep their order. */
export function moveaxis(x: ArrayLike, from: number, to: number): Value {
  const value = toArray(x)
  const source = normalizeAxis('moveaxis', from, value.rank)
  const order = range(value.rank).filter((axis) => axis !== source)
  order.splice(normalizeAxis('moveaxis', to, value.rank), 0, source)
  return transpose(value, order)
}

// ---- broadcast and sum

/** Axis `k` of the input is axis `axes[k]` of the result; the result is the same along its other axes. */
type BroadcastParams = { readonly shape: Shape; readonly axes: readonly number[] }

const broadcastPrimitive: Primitive<BroadcastParams> = single<BroadcastParams>({
  name: 'broadcast',
  type: ([x], { shape }) => new Aval(shape, x!.dtype),
  jvp: linearJvp(() => broadcastPrimitive),
  transpose: (ct, _, { shape, axes }) => [
    sum(ct, { axis: range(shape.length).filter((axis) => !axes.includes(axis)) }),
  ],
  batch: batchUnary(
    () => broadcastPrimitive,
    ({ shape, axes }, size) => ({ shape: [size, ...shape], axes: [0, ...axes.map((axis) => axis + 1)] }),
  ),
  reference: ([x], { shape, axes }) =>
    ndArray(new Aval(shape, x!.dtype), (index) =>
      elementOf(
        x!,
        axes.map((axis) => index[axis]!),
      ),
    ),
  lower: {
    kind: 'view',
    free: true,
    element: (index, read, { params: { axes } }) =>
      read(
        0,
        axes.map((axis) => index[axis]!),
      ),
  },
})

/** `x` repeated to `shape` by NumPy's rule: new axes in front, and axes of extent 1 stretched; else a `TypeError`. */
export function broadcastTo(x: ArrayLike, shape: Shape): Value {
  const value = toArray(x)
  if (sameShape(value.shape, shape)) return value
  const offset = shape.length - value.rank
  if (offset < 0 || value.shape.some((extent, axis) => extent !== 1 && extent !== shape[axis + offset]))
    throw new TypeError(
      `broadcastTo: ${value.aval} does not broadcast to [${shape}]; from the right, its axes must be 1 or equal`,
    )
  if (value instanceof Constant)
    return new Constant(value.value, new Aval(shape, value.dtype, value.aval.weak))
  const kept = range(value.rank).filter((axis) => value.shape[axis] === shape[axis + offset])
  const squeezed = reshape(
    value,
    kept.map((axis) => value.shape[axis]!),
  )
  return bind(broadcastPrimitive, [squeezed], { shape, axes: kept.map((axis) => axis + offset) })[0]!
}
broadcastTo.primitive = broadcastPrimitive

export type ReduceParams = { readonly axes: readonly number[] }

/** The type of an array with some axes reduced away. */
export const reducedAval = (x: Aval, axes: readonly number[]): Aval =>
  new Aval(
    x.shape.filter((_, axis) => !axes.includes(axis)),
    x.dtype,
  )

/** The full index of an element, from its index in the reduced array and its place along the reduced axes. */
const mergeIndex = <I>(axes: readonly number[], index: readonly I[], turn: readonly I[]): I[] => {
  const [kept, folded] = [[...index], [...turn]]
  return range(index.length + turn.length).map((axis) =>
    axes.includes(axis) ? folded.shift()! : kept.shift()!,
  )
}

/** Folds the reduced axes of a host array. */
export function reduceReference(
  x: NdArray,
  axes: readonly number[],
  fold: (values: number[]) => number,
): NdArray {
  const turns = ndArray(
    new Aval(
      axes.map((axis) => x.shape[axis]!),
      'u32',
    ),
    () => 0,
  )
  const strides = stridesOf(turns.shape)
  return ndArray(reducedAval(new Aval(x.shape, x.dtype), axes), (index) =>
    fold(
      range(turns.data.length).map((flat) => {
        const turn = turns.shape.map((extent, k) => Math.floor(flat / strides[k]!) % extent)
        return elementOf(x, mergeIndex(axes, index, turn))
      }),
    ),
  )
}

/** Reads each element once along the reduced axes. */
export const reduceLoops = {
  kind: 'reduce',
  extents: ({ inputs: [x], params: { axes } }: Site<ReduceParams>) => axes.map((axis) => x!.shape[axis]!),
  element: (
    index: readonly Parameters<Read>[1][number][],
    turn: readonly Parameters<Read>[1][number][],
    read: Read,
    { params: { axes } }: Site<ReduceParams>,
  ) => read(0, mergeIndex(axes, index, turn)),
} as const

/** What elements add up to: bools are counted. */
const countable = ({ shape, dtype }: Aval): Aval => new Aval(shape, dtype === 'bool' ? 'i32' : dtype)

const sumPrimitive: Primitive<ReduceParams> = single<ReduceParams>({
  name: 'reduce_sum',
  saysWeak: true, // never, as in jnp
  type: ([x], { axes }) => countable(reducedAval(x!, axes)),
  jvp: linearJvp(() => sumPrimitive),
  transpose: (ct, [x], { axes }) => {
    const shape = shapeOf(x)
    return [
      bind(broadcastPrimitive, [ct], {
        shape,
        axes: range(shape.length).filter((axis) => !axes.includes(axis)),
      })[0]!,
    ]
  },
  batch: batchUnary(
    () => sumPrimitive,
    ({ axes }) => ({ axes: axes.map((axis) => axis + 1) }),
  ),
  reference: ([x], { axes }) => {
    const summed = reduceReference(x!, axes, (values) => values.reduce((a, b) => a + b, 0))
    const { shape, dtype } = countable(new Aval(summed.shape, summed.dtype))
    return { shape, dtype, data: summed.data.map(wrap[dtype]) }
  },
  lower: {
    ...reduceLoops,
    kind: 'reduce',
    element: (index, turn, read, site) =>
      scalar.cast(reduceLoops.element(index, turn, read, site), site.output.dtype),
    combine: scalar.add,
    identity: () => 0,
  },
})

export interface ReduceOptions {
  /** The axis or axes to reduce; all of them when absent. */
  readonly axis?: number | readonly number[] | undefined
  /** Keep reduced axes with extent 1. */
  readonly keepDims?: boolean
}

/** Applies a reduction: nothing to reduce is the identity, `keepDims` restores the axes. */
export function reduce(
  primitive: Primitive<ReduceParams>,
  x: Value,
  { axis, keepDims = false }: ReduceOptions,
): Value {
  const axes = normalizeAxes(primitive.name.replace('reduce_', ''), axis, x.rank)
  const reduced = axes.length === 0 ? x : bind(primitive, [x], { axes })[0]!
  return keepDims
    ? reshape(
        reduced,
        x.shape.map((extent, k) => (axes.includes(k) ? 1 : extent)),
      )
    : reduced
}

/**
 * The sum over `axis`, or over everything; of bools, the number of true ones as i32. Long sums are trees of partial sums.
 *
 * @example
 * ```ts
 * import { sum, tensor } from 'cotangent'
 * await sum(tensor([[1, 2], [3, 4]]), { axis: 0 }).data() // [4, 6]
 * ```
 */
export function sum(x: ArrayLike, options: ReduceOptions = {}): Value {
  return reduce(sumPrimitive, toArray(x), options)
}
sum.primitive = sumPrimitive

// ---- slice and pad

type SliceParams = { readonly start: readonly number[]; readonly end: readonly number[] }

const slicePrimitive: Primitive<SliceParams> = single<SliceParams>({
  name: 'slice',
  type: ([x], { start, end }) =>
    new Aval(
      start.map((from, axis) => end[axis]! - from),
      x!.dtype,
    ),
  jvp: linearJvp(() => slicePrimitive),
  transpose: (ct, [x], { start, end }) => [
    pad(ct, { before: start, after: end.map((to, axis) => shapeOf(x)[axis]! - to) }),
  ],
  batch: batchUnary(
    () => slicePrimitive,
    ({ start, end }, size) => ({ start: [0, ...start], end: [size, ...end] }),
  ),
  reference: ([x], { start, end }) =>
    ndArray(
      new Aval(
        start.map((from, axis) => end[axis]! - from),
        x!.dtype,
      ),
      (index) =>
        elementOf(
          x!,
          index.map((i, axis) => i + start[axis]!),
        ),
    ),
  lower: {
    kind: 'view',
    free: true,
    element: (index, read, { params: { start } }) =>
      read(
        0,
        index.map((i, axis) => plus(i, whole(start[axis]!))),
      ),
  },
})

/**
 * The elements from `start` up to, not including, `end`, a number for every axis; outside of `x`, a `RangeError`. For steps and
 * places from the end, `index`.
 */
export function slice(
  x: ArrayLike,
  { start, end }: { readonly start: readonly number[]; readonly end: readonly number[] },
): Value {
  const value = toArray(x)
  for (const [axis, extent] of value.shape.entries()) {
    const [from, to] = [start[axis] ?? -1, end[axis] ?? -1]
    if (from < 0 || to < from || to > extent)
      throw new RangeError(
        `slice: [${from}, ${to}) is outside axis ${axis} of ${value.aval}; stay within 0 and ${extent}`,
      )
  }
  const whole = start.every((from, axis) => from === 0 && end[axis] === value.shape[axis])
  return whole ? value : bind(slicePrimitive, [value], { start, end })[0]!
}
slice.primitive = slicePrimitive

type PadParams = { readonly before: readonly number[]; readonly after: readonly number[] }

const padPrimitive: Primitive<PadParams> = single<PadParams>({
  name: 'pad',
  type: ([x], { before, after }) =>
    new Aval(
      x!.shape.map((extent, axis) => before[axis]! + extent + after[axis]!),
      x!.dtype,
    ),
  jvp: linearJvp(() => padPrimitive),
  transpose: (ct, [x], { before }) => [
    slice(ct, { start: before, end: before.map((from, axis) => from + shapeOf(x)[axis]!) }),
  ],
  batch: batchUnary(
    () => padPrimitive,
    ({ before, after }) => ({ before: [0, ...before], after: [0, ...after] }),
  ),
  reference: ([x], { before, after }) => {
    const shape = x!.shape.map((extent, axis) => before[axis]! + extent + after[axis]!)
    return ndArray(new Aval(shape, x!.dtype), (index) => {
      const inner = index.map((i, axis) => i - before[axis]!)
      return inner.every((i, axis) => i >= 0 && i < x!.shape[axis]!) ? elementOf(x!, inner) : 0
    })
  },
  lower: {
    kind: 'view',
    free: false,
    element: (index, read, { params: { before, after }, inputs: [x] }) => {
      const axes = range(index.length).filter((axis) => before[axis] !== 0 || after[axis] !== 0)
      const at = axes.map((axis) => scalar.sub(scalar.position(index[axis]!), before[axis]!)) // wraps below zero
      const extents = axes.map((axis) => x!.shape[axis]!)
      const inside = at.map((i, k) => scalar.lt(i, extents[k]!)).reduce((all, one) => scalar.and(all, one))
      const clamped = at.map((i, k) => indexFrom(scalar.min(i, extents[k]! - 1), extents[k]!))
      return scalar.select(
        inside,
        read(
          0,
          index.map((i, axis) => clamped[axes.indexOf(axis)] ?? i),
        ),
        0,
      )
    },
  },
})

/** What `pad` puts where. */
export interface PadOptions {
  /** Elements in front of each axis. */
  readonly before: readonly number[]
  /** Elements behind each axis. */
  readonly after: readonly number[]
  /** What is put there, a number of the dtype of `x`; 0 when absent. */
  readonly value?: number
}

/**
 * `x` with `before[k]` elements in front of axis `k` and `after[k]` behind it, all of them `value`.
 *
 * @example
 * ```ts
 * import { pad, tensor } from 'cotangent'
 * await pad(tensor([1, 2]), { before: [1], after: [2], value: 7 }).data() // [7, 1, 2, 7, 7]
 * ```
 */
export function pad(x: ArrayLike, { before, after, value: filler = 0 }: PadOptions): Value {
  const value = toArray(x)
  if (
    before.length !== value.rank ||
    after.length !== value.rank ||
    [...before, ...after].some((count) => count < 0)
  )
    throw new RangeError(
      `pad: before [${before}] and after [${after}] do not fit ${value.aval}; give a count for each axis`,
    )
  if ([...before, ...after].every((count) => count === 0)) return value
  if (Object.is(filler, 0)) return bind(padPrimitive, [value], { before, after })[0]!
  // Not linear, so it is not the primitive.
  return before.reduce((inner: Value, _, axis) => {
    const block = (count: number): Value[] =>
      count === 0 ? [] : [full(inner.shape.with(axis, count), filler, value.dtype)]
    return concatenate([...block(before[axis]!), inner, ...block(after[axis]!)], { axis })
  }, value)
}
pad.primitive = padPrimitive

// ---- flip

const flipPrimitive: Primitive<ReduceParams> = single<ReduceParams>({
  name: 'flip',
  type: ([x]) => x!,
  jvp: linearJvp(() => flipPrimitive),
  transpose: (ct, _, { axes }) => [flip(ct, { axis: axes })],
  batch: batchUnary(
    () => flipPrimitive,
    ({ axes }) => ({ axes: axes.map((axis) => axis + 1) }),
  ),
  reference: ([x], { axes }) =>
    ndArray(new Aval(x!.shape, x!.dtype), (index) =>
      elementOf(
        x!,
        index.map((i, axis) => (axes.includes(axis) ? x!.shape[axis]! - 1 - i : i)),
      ),
    ),
  lower: {
    kind: 'view',
    free: true,
    element: (index, read, { params: { axes }, output: { shape } }) =>
      read(
        0,
        index.map((i, axis) => (axes.includes(axis) ? backwards(i, shape[axis]!) : i)),
      ),
  },
})

const backwards = (i: Parameters<Read>[1][number], extent: number): Parameters<Read>[1][number] =>
  indexFrom(scalar.sub(scalar.constant(extent - 1, 'u32'), scalar.position(i)), extent)

/** The elements in reverse order along `axis`, or along every axis. */
export function flip(x: ArrayLike, { axis }: { readonly axis?: number | readonly number[] } = {}): Value {
  const value = toArray(x)
  const axes = normalizeAxes('flip', axis, value.rank)
  return axes.length === 0 || value instanceof Constant ? value : bind(flipPrimitive, [value], { axes })[0]!
}
flip.primitive = flipPrimitive

// ---- concat

type ConcatParams = { readonly axis: number }

/** Where each input begins along the axis, and where the last one ends. */
const seams = (inputs: readonly { readonly shape: Shape }[], axis: number): number[] => {
  const ends = [0]
  for (const { shape } of inputs) ends.push(ends.at(-1)! + shape[axis]!)
  return ends
}

const concatPrimitive: Primitive<ConcatParams> = single<ConcatParams>({
  name: 'concat',
  type: (inputs, { axis }) => {
    const [first, ...rest] = inputs
    for (const [k, other] of rest.entries())
      if (other.dtype !== first!.dtype || !sameShape(first!.shape.with(axis, 0), other.shape.with(axis, 0)))
        throw new TypeError(
          `concatenate: input ${k + 1} is ${other}, which does not continue ${first} along axis ${axis}; all but that axis must agree`,
        )
    return new Aval(first!.shape.with(axis, seams(inputs, axis).at(-1)!), first!.dtype)
  },
  jvp: (tangents, primals, _, params) =>
    bind(
      concatPrimitive,
      tangents.map((t, k) => t ?? new Constant(0, primals[k]!.aval)),
      params,
    )[0]!,
  transpose: (ct, inputs, { axis }) => {
    const ends = seams(inputs, axis)
    return inputs.map((x, k) =>
      x instanceof Aval
        ? slice(ct, {
            start: ct.shape.map((_, d) => (d === axis ? ends[k]! : 0)),
            end: ct.shape.with(axis, ends[k + 1]!),
          })
        : null,
    )
  },
  batch: (inputs, { axis }, size) => ({
    value: bind(
      concatPrimitive,
      inputs.map((input) => batchFirst(input, size)),
      { axis: axis + 1 },
    )[0]!,
    axis: 0,
  }),
  reference: (inputs, { axis }) => {
    const ends = seams(inputs, axis)
    return ndArray(new Aval(inputs[0]!.shape.with(axis, ends.at(-1)!), inputs[0]!.dtype), (index) => {
      const k = ends.findLastIndex((end) => end <= index[axis]!)
      return elementOf(inputs[k]!, index.with(axis, index[axis]! - ends[k]!))
    })
  },
  lower: {
    kind: 'view',
    free: false,
    element: (index, read, { inputs, params: { axis } }) => {
      const ends = seams(inputs, axis)
      const at = scalar.position(index[axis]!)
      const parts = inputs.map((x, k) => {
        const inner = scalar.min(scalar.sub(scalar.max(at, ends[k]!), ends[k]!), x.shape[axis]! - 1)
        return read(k, index.with(axis, indexFrom(inner, x.shape[axis]!)))
      })
      return parts.reduceRight((behind, part, k) => scalar.select(scalar.lt(at, ends[k + 1]!), part, behind))
    },
  },
})

/** At most this many inputs in one equation, so that every kernel keeps within a device's bindings. */
const widest = 6

/** Arrays one behind the other along `axis`, the first by default; their other axes must agree. */
export function concatenate(xs: readonly ArrayLike[], { axis = 0 }: { readonly axis?: number } = {}): Value {
  const [first, ...rest] = xs.map(toArray)
  if (first === undefined) throw new TypeError('concatenate: no arrays; pass at least one')
  const place = normalizeAxis('concatenate', axis, first.rank)
  const values = [first, ...rest].filter((x) => x.size > 0)
  if (values.length === 0)
    return zeros(first.shape.with(place, seams([first, ...rest], place).at(-1)!), first.dtype)
  if (values.length === 1) return values[0]!
  if (values.length <= widest) return bind(concatPrimitive, values, { axis: place })[0]!
  const groups = range(Math.ceil(values.length / widest)).map((k) =>
    values.slice(k * widest, (k + 1) * widest),
  )
  return concatenate(
    groups.map((group) => concatenate(group, { axis: place })),
    { axis: place },
  )
}
concatenate.primitive = concatPrimitive

/** `x` with new axes of extent 1 at the given places of the result. */
export function expandDims(x: ArrayLike, axis: number | readonly number[]): Value {
  const value = toArray(x)
  const rank = value.rank + [axis].flat().length
  const added = normalizeAxes('expandDims', axis, rank)
  const rest = [...value.shape]
  return reshape(
    value,
    range(rank).map((k) => (added.includes(k) ? 1 : rest.shift()!)),
  )
}

/** `x` without axes of extent 1: the given ones, or all. A `TypeError` if an extent is not 1. */
export function squeeze(x: ArrayLike, axis?: number | readonly number[]): Value {
  const value = toArray(x)
  const all = range(value.rank).filter((k) => value.shape[k] === 1)
  const dropped = axis === undefined ? all : normalizeAxes('squeeze', axis, value.rank)
  const thick = dropped.find((k) => value.shape[k] !== 1)
  if (thick !== undefined)
    throw new TypeError(
      `squeeze: axis ${thick} of ${value.aval} has extent ${value.shape[thick]}; name axes of extent 1`,
    )
  return reshape(
    value,
    value.shape.filter((_, k) => !dropped.includes(k)),
  )
}

/** Arrays of one shape side by side along a new axis, the first by default. */
export const stack = (xs: readonly ArrayLike[], { axis = 0 }: { readonly axis?: number } = {}): Value =>
  concatenate(
    xs.map((x) => expandDims(x, axis)),
    { axis },
  )

/** The slices of `x` along `axis`, the first by default, as arrays without it. */
export function unstack(x: ArrayLike, { axis = 0 }: { readonly axis?: number } = {}): Value[] {
  const value = toArray(x)
  const along = normalizeAxis('unstack', axis, value.rank)
  const start = value.shape.map(() => 0)
  return range(value.shape[along]!).map((k) =>
    squeeze(slice(value, { start: start.with(along, k), end: value.shape.with(along, k + 1) }), along),
  )
}
