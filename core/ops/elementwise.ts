// Operations that act on each element alone: the kind, how operands are brought to one type and shape, and the two records
// that the kind itself needs: `cast`, to promote, and `add`, to sum the parts of a derivative.

import { type DType, isFloat, promote, wrap } from '../dtype.ts'
import { type Batched, type MaybeZero, type Primitive, type Site, single } from '../primitive.ts'
import type { Scalar } from '../scalar.ts'
import * as scalar from '../scalar.ts'
import { Aval, broadcastShapes, sameShape } from '../shape.ts'
import { bind, toArray, toValue } from '../trace.ts'
import { type ArrayLike, Constant, full, Value } from '../value.ts'
import { batchFirst, broadcastTo } from './movement.ts'

/** The part of a tangent that one input contributes, given that input's tangent. */
type Partial<P> = (t: Value, xs: readonly Value[], y: Value, params: P) => Value

export interface ElementwiseRules<P> {
  readonly name: string
  /** The dtype of the result; by default that of the inputs, which must then agree. */
  readonly result?: (dtypes: readonly DType[], params: P) => DType
  /** The dtypes it is defined on; all of them when absent. */
  readonly accepts?: readonly DType[]
  /** One entry an input, `null` where the derivative is zero; or `null` altogether. */
  readonly jvp: readonly (Partial<P> | null)[] | null
  readonly transpose?: (ct: Value, inputs: readonly (Value | Aval)[], params: P) => readonly MaybeZero[]
  /** The meaning for one element, in double precision; integer results are wrapped to their type. */
  reference(xs: readonly number[], params: P, dtype: DType, from: DType): number
  lower(xs: readonly Scalar[], site: Site<P>): Scalar
}

/** A primitive that maps arrays of one shape element by element. */
export function elementwise<P>(rules: ElementwiseRules<P>): Primitive<P> {
  const { name, result, accepts, jvp, transpose } = rules
  const primitive: Primitive<P> = single<P>({
    name,
    type: (inputs, params) => {
      const dtypes = inputs.map(({ dtype }) => dtype)
      const odd = inputs.find(({ shape }) => !sameShape(shape, inputs[0]!.shape))
      if (odd)
        throw new TypeError(
          `${name}: inputs ${inputs.join(' and ')} have different shapes; broadcast them first`,
        )
      if (!result && dtypes.some((dtype) => dtype !== dtypes[0]))
        throw new TypeError(`${name}: inputs ${inputs.join(' and ')} have different dtypes; cast one of them`)
      if (accepts && !dtypes.every((dtype) => accepts.includes(dtype)))
        throw new TypeError(
          `${name}: not defined on ${inputs.join(' and ')}; cast to ${accepts.join(' or ')}`,
        )
      return new Aval(inputs[0]!.shape, result ? result(dtypes, params) : dtypes[0]!)
    },
    jvp:
      jvp &&
      ((tangents, xs, y, params) => {
        const parts = tangents.flatMap((t, k) => (t && jvp[k] ? [jvp[k](t, xs, y, params)] : []))
        return parts.length === 0 ? null : parts.reduce((a, b) => add(a, b))
      }),
    ...(transpose && { transpose }),
    batch: (inputs, params, size) => batchElementwise(primitive, inputs, params, size),
    reference: (inputs, params) => {
      const out = primitive.type(
        inputs.map(({ shape, dtype }) => new Aval(shape, dtype)),
        params,
      )[0]!
      const data = Float64Array.from({ length: out.size }, (_, i) =>
        wrap[out.dtype](
          rules.reference(
            inputs.map((x) => x.data[i]!),
            params,
            out.dtype,
            inputs[0]!.dtype,
          ),
        ),
      )
      return { shape: out.shape, dtype: out.dtype, data }
    },
    lower: { kind: 'map', element: (xs, site) => rules.lower(xs, site) },
  })
  return primitive
}

/** Examples stay where they are if all agree on it, and otherwise go to axis 0. */
function batchElementwise<P>(
  primitive: Primitive<P>,
  inputs: readonly Batched[],
  params: P,
  size: number,
): Batched {
  const axis = inputs[0]!.axis
  const agree = axis !== null && inputs.every((input) => input.axis === axis)
  const values = inputs.map((input) => (agree ? input.value : batchFirst(input, size)))
  return { value: bind(primitive, values, params)[0]!, axis: agree ? axis : 0 }
}

/** The dtype that operands meet in: numbers take their neighbour's unless they would lose their fraction. */
function commonDtype(xs: readonly ArrayLike[]): DType {
  const strong = xs.filter((x) => x instanceof Value).map(({ dtype }) => dtype)
  const weak = xs
    .filter((x) => !(x instanceof Value))
    .map((x): DType => {
      if (typeof x === 'boolean') return 'bool'
      return Number.isInteger(x) && strong.some((dtype) => dtype !== 'bool') ? 'u32' : 'f32'
    })
  return [...strong, ...weak].reduce(promote)
}

/** The operands as arrays of one dtype and one shape. */
export function operands(op: string, xs: readonly ArrayLike[], dtype = commonDtype(xs)): Value[] {
  const values = xs.map((x, k) => {
    const value = toValue(x, () => `${op}: operand ${k}`)
    return value === x ? cast(value, dtype) : full([], x as number, dtype)
  })
  const shape = values.map((x) => x.shape).reduce((a, b) => broadcastShapes(op, a, b))
  return values.map((x) => broadcastTo(x, shape))
}

type Unary = ((x: ArrayLike) => Value) & { readonly primitive: Primitive<object> }
type Binary = ((x: ArrayLike, y: ArrayLike) => Value) & { readonly primitive: Primitive<object> }

/** A function of one array and its record. Integers become f32 where only floats have a meaning. */
export function unary(
  rules: Omit<ElementwiseRules<object>, 'jvp' | 'reference' | 'lower'> & {
    /** The tangent of the result, from the tangent, the input and the result; `null` if it is zero. */
    readonly jvp: ((t: Value, x: Value, y: Value) => Value) | null
    reference(x: number, dtype: DType): number
    lower(x: Scalar): Scalar
  },
): Unary {
  const { jvp } = rules
  const primitive = elementwise<object>({
    ...rules,
    jvp: jvp && [(t, [x], y) => jvp(t, x!, y)],
    reference: ([x], _, dtype) => rules.reference(x!, dtype),
    lower: ([x]) => rules.lower(x!),
  })
  const promoteTo = rules.accepts?.every(isFloat) ? 'f32' : undefined
  const apply = (x: ArrayLike): Value => bind(primitive, operands(rules.name, [x], promoteTo), {})[0]!
  return Object.assign(apply, { primitive })
}

/** A function of two arrays, which broadcast against each other, and its record. */
export function binary(
  rules: Omit<ElementwiseRules<object>, 'reference' | 'lower'> & {
    reference(x: number, y: number, dtype: DType): number
    lower(x: Scalar, y: Scalar): Scalar
  },
): Binary {
  const primitive = elementwise<object>({
    ...rules,
    reference: ([x, y], _, dtype) => rules.reference(x!, y!, dtype),
    lower: ([x, y]) => rules.lower(x!, y!),
  })
  const promoteTo = rules.accepts?.every(isFloat) ? 'f32' : undefined
  const apply = (x: ArrayLike, y: ArrayLike): Value =>
    bind(primitive, operands(rules.name, [x, y], promoteTo), {})[0]!
  return Object.assign(apply, { primitive })
}

/** The cotangent `ct` for each input that is linear, `f` of it for the inputs where that differs. */
export const linearIn = (inputs: readonly (Value | Aval)[], ...cts: readonly (() => Value)[]): MaybeZero[] =>
  inputs.map((x, k) => (x instanceof Aval ? cts[k]!() : null))

/** `x + y`, broadcasting; of bools, logical or. */
export const add = binary({
  name: 'add',
  accepts: ['f32', 'i32', 'u32', 'bool'],
  jvp: [(t) => t, (t) => t],
  transpose: (ct, inputs) =>
    linearIn(
      inputs,
      () => ct,
      () => ct,
    ),
  reference: (x, y) => x + y,
  lower: (x, y) => (x.dtype === 'bool' ? scalar.or(x, y) : scalar.add(x, y)),
})

type CastParams = { readonly dtype: DType }

const castPrimitive = elementwise<CastParams>({
  name: 'cast',
  result: (_, { dtype }) => dtype,
  jvp: null,
  reference: ([x], { dtype }, _, from) => castReference(x!, from, dtype),
  lower: ([x], { params: { dtype } }) => castScalar(x!, dtype),
})

const integerRange = { i32: [-(2 ** 31), 2 ** 31 - 1], u32: [0, 2 ** 32 - 1] } as const

function castReference(x: number, from: DType, dtype: DType): number {
  if (from !== 'f32' || (dtype !== 'i32' && dtype !== 'u32')) return x
  if (Number.isNaN(x)) return 0
  return Math.min(Math.max(Math.trunc(x), integerRange[dtype][0]), integerRange[dtype][1])
}

/** A u32 to the nearest float, in halves that are exact: adapters round the whole in ways of their own. */
const roundedFloat = (x: Scalar): Scalar =>
  scalar.fma(scalar.cast(scalar.shiftRight(x, 16), 'f32'), 65536, scalar.cast(scalar.and(x, 0xffff), 'f32'))

/** As XLA: floats saturate and NaN is 0; integers keep their low bits. */
function castScalar(x: Scalar, dtype: DType): Scalar {
  if (dtype === 'bool') return scalar.not(scalar.eq(x, 0)) // NaN is true, and `!=` may be ordered
  if (x.dtype === 'u32' && dtype === 'f32') return roundedFloat(x)
  if (x.dtype !== 'f32' || dtype === 'f32') return scalar.cast(x, dtype)
  const [low, high] = integerRange[dtype as 'i32' | 'u32']
  const above = scalar.le(scalar.constant(high + 1, 'f32'), x)
  const below = scalar.lt(x, low)
  const inside = scalar.select(scalar.or(above, scalar.or(below, scalar.isNan(x))), 0, x)
  const saturated = scalar.select(below, scalar.constant(low, dtype), scalar.cast(inside, dtype))
  return scalar.select(
    scalar.isNan(x),
    scalar.constant(0, dtype),
    scalar.select(above, scalar.constant(high, dtype), saturated),
  )
}

/** `x` as another dtype. Floats become integers towards zero and saturate; anything but zero is true. */
export function cast(x: ArrayLike, dtype: DType): Value {
  const value = toArray(x)
  if (value.dtype === dtype) return value
  if (value instanceof Constant)
    return new Constant(
      wrap[dtype](castReference(value.value, value.dtype, dtype)),
      new Aval(value.shape, dtype),
    )
  return bind(castPrimitive, [value], { dtype })[0]!
}
cast.primitive = castPrimitive
