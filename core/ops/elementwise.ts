// Operations that act on each element alone: the kind, how operands are brought to one type and shape, and the two records
// that the kind itself needs: `cast`, to promote, and `add`, to sum the parts of a derivative.

import {
  type DType,
  type ElementType,
  isFloat,
  isHalf,
  join,
  type MachineType,
  machineType,
  rounded,
  wrap,
} from '../dtype.ts'
import {
  type Batched,
  type MaybeZero,
  type NdArray,
  type Primitive,
  type Site,
  single,
} from '../primitive.ts'
import type { Scalar } from '../scalar.ts'
import * as scalar from '../scalar.ts'
import { Aval, broadcastShapes, sameShape } from '../shape.ts'
import { bind, toArray, toValue } from '../trace.ts'
import { type ArrayLike, Constant, full, limits, Value } from '../value.ts'
import { batchFirst, broadcastTo } from './movement.ts'

/** The part of a tangent that one input contributes, given that input's tangent. */
type Partial<P> = (t: Value, xs: readonly Value[], y: Value, params: P) => Value

export interface ElementwiseRules<P> {
  readonly name: string
  /** The dtype of the result; by default that of the inputs, which must then agree. */
  readonly result?: (dtypes: readonly DType[], params: P) => DType
  /** The dtypes it is defined on; all of them when absent. f32 stands for all floats. */
  readonly accepts?: readonly DType[]
  /** One entry an input, `null` where the derivative is zero; or `null` altogether. */
  readonly jvp: readonly (Partial<P> | null)[] | null
  readonly transpose?: (ct: Value, inputs: readonly (Value | Aval)[], params: P) => readonly MaybeZero[]
  /**
   * The meaning for one element, in double precision; integer results are wrapped to their type. It is told 'f32' of every
   * float, as `lower` is: rounding is none of its business.
   */
  reference(xs: readonly number[], params: P, dtype: MachineType, from: MachineType): number
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
      if (accepts && !dtypes.every((dtype) => accepts.includes(machineType(dtype))))
        throw new TypeError(
          `${name}: not defined on ${inputs.join(' and ')}; cast to ${accepts.join(' or ')}`,
        )
      return new Aval(inputs[0]!.shape, result ? result(dtypes, params) : dtypes[0]!)
    },
    jvp:
      jvp &&
      ((tangents, xs, y, params) => {
        const parts = tangents.flatMap((t, k) => (t && jvp[k] ? [jvp[k](t, xs, y, params)] : []))
        return parts.length === 0
          ? null
          : convert(
              parts.reduce((a, b) => add(a, b)),
              y.aval,
            )
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
            machineType(out.dtype),
            machineType(inputs[0]!.dtype),
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

/**
 * The type that operands meet in. A number gives way to its neighbours: a whole one is a weak integer beside arrays, any other
 * a weak float, and so are numbers among themselves.
 */
function commonType(xs: readonly ArrayLike[]): ElementType {
  const alone = xs.every((x) => typeof x === 'number')
  const typeOf = (x: ArrayLike): ElementType => {
    if (x instanceof Value) return x.aval
    if (typeof x === 'boolean') return { dtype: 'bool', weak: false }
    return { dtype: Number.isInteger(x) && !alone ? 'i32' : 'f32', weak: true }
  }
  return xs.map(typeOf).reduce(join)
}

/** The operands as arrays of one dtype and one shape. */
export const operands = (op: string, xs: readonly ArrayLike[], dtype?: DType): Value[] =>
  meet(op, xs, dtype === undefined ? commonType(xs) : { dtype, weak: false })

/** The operands as floats of one dtype and one shape; integers become f32. */
const floatOperands = (op: string, xs: readonly ArrayLike[]): Value[] => meet(op, xs, floatType(xs))

function floatType(xs: readonly ArrayLike[]): ElementType {
  const { dtype, weak } = commonType(xs)
  return { dtype: isFloat(dtype) ? dtype : 'f32', weak }
}

/** The operands of a product as floats of one dtype. */
export const floatsAlike = (op: string, xs: readonly ArrayLike[]): Value[] =>
  convertAll(op, xs, floatType(xs))

function convertAll(op: string, xs: readonly ArrayLike[], type: ElementType): Value[] {
  return xs.map((x, k) => {
    const value = toValue(x, () => `${op}: operand ${k}`)
    return value === x ? convert(value, type) : numberAs(op, Number(x), type)
  })
}

function meet(op: string, xs: readonly ArrayLike[], type: ElementType): Value[] {
  const values = convertAll(op, xs, type)
  const shape = values.map((x) => x.shape).reduce((a, b) => broadcastShapes(op, a, b))
  return values.map((x) => broadcastTo(x, shape))
}

function numberAs(op: string, x: number, { dtype, weak }: ElementType): Constant {
  if (dtype === 'i32' || dtype === 'u32') {
    const [low, high] = limits[dtype]
    if (x < low || x > high)
      throw new RangeError(`${op}: ${x} is no ${dtype}, as the array beside it; cast that to f32`)
  }
  return new Constant(full([], x, dtype).value, new Aval([], dtype, weak))
}

type Unary = ((x: ArrayLike) => Value) & { readonly primitive: Primitive<object> }
type Binary = ((x: ArrayLike, y: ArrayLike) => Value) & { readonly primitive: Primitive<object> }

/** A function of one array and its record. Integers become f32 where only floats have a meaning. */
export function unary(
  rules: Omit<ElementwiseRules<object>, 'jvp' | 'reference' | 'lower'> & {
    /** The tangent of the result, from the tangent, the input and the result; `null` if it is zero. */
    readonly jvp: ((t: Value, x: Value, y: Value) => Value) | null
    reference(x: number, dtype: MachineType): number
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
  const meet = rules.accepts?.every(isFloat) ? floatOperands : operands
  const apply = (x: ArrayLike): Value => bind(primitive, meet(rules.name, [x]), {})[0]!
  return Object.assign(apply, { primitive })
}

/** A function of two arrays, which broadcast against each other, and its record. */
export function binary(
  rules: Omit<ElementwiseRules<object>, 'reference' | 'lower'> & {
    reference(x: number, y: number, dtype: MachineType): number
    lower(x: Scalar, y: Scalar): Scalar
  },
): Binary {
  const primitive = elementwise<object>({
    ...rules,
    reference: ([x, y], _, dtype) => rules.reference(x!, y!, dtype),
    lower: ([x, y]) => rules.lower(x!, y!),
  })
  const meet = rules.accepts?.every(isFloat) ? floatOperands : operands
  const apply = (x: ArrayLike, y: ArrayLike): Value => bind(primitive, meet(rules.name, [x, y]), {})[0]!
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

/** `weak` is there only where the result is: in promotion, and never by `cast`. */
type CastParams = { readonly dtype: DType; readonly weak?: true }

/** A cast between floats is linear; any other has no derivative. */
const castRules = {
  name: 'cast',
  saysWeak: true,
  type: ([x]: readonly Aval[], { dtype, weak }: CastParams) => new Aval(x!.shape, dtype, weak),
  reference: ([x]: readonly NdArray[], { dtype }: CastParams) => ({
    shape: x!.shape,
    dtype,
    data: x!.data.map((element) => castNumber(element, x!.dtype, dtype)),
  }),
} as const

const linearCast = {
  jvp: ([t]: readonly MaybeZero[], _: unknown, y: Value) => convert(t!, y.aval),
  transpose: (ct: Value, [x]: readonly (Value | Aval)[]) => [cast(ct, x!.dtype)],
}

/** A batch is cast where it lies. */
const batchCast =
  (primitive: () => Primitive<CastParams>) =>
  ([x]: readonly Batched[], params: CastParams): Batched => ({
    value: bind(primitive(), [x!.value], params)[0]!,
    axis: x!.axis,
  })

const castPrimitive: Primitive<CastParams> = single<CastParams>({
  ...castRules,
  jvp: null,
  batch: batchCast(() => castPrimitive),
  lower: { kind: 'map', element: ([x], { params: { dtype } }) => castScalar(x!, dtype) },
})

/** Of floats to 16-bit ones. The kernel rounds what it stores, so there is nothing to compute. */
const narrowPrimitive: Primitive<CastParams> = single<CastParams>({
  ...castRules,
  ...linearCast,
  batch: batchCast(() => narrowPrimitive),
  lower: { kind: 'map', element: ([x]) => x! },
})

/** To f32, which is exact: every reader does it for itself, so that no array has to be twice as large. */
const widenPrimitive: Primitive<CastParams> = single<CastParams>({
  ...castRules,
  ...linearCast,
  batch: batchCast(() => widenPrimitive),
  lower: { kind: 'view', free: true, element: (index, read) => read(0, index) },
})

function castNumber(x: number, from: DType, dtype: DType): number {
  if (isFloat(dtype)) return isHalf(dtype) ? wrap[dtype](isFloat(from) ? x : Math.fround(x)) : x
  if (!isFloat(from) || dtype === 'bool') return wrap[dtype](x)
  if (Number.isNaN(x)) return 0
  return Math.min(Math.max(Math.trunc(x), limits[dtype as 'i32'][0]), limits[dtype as 'i32'][1])
}

/** A u32 to the nearest float, in halves that are exact: adapters round the whole in ways of their own. */
const roundedFloat = (x: Scalar): Scalar =>
  scalar.fma(scalar.cast(scalar.shiftRight(x, 16), 'f32'), 65536, scalar.cast(scalar.and(x, 0xffff), 'f32'))

/** As XLA: floats saturate and NaN is 0; integers keep their low bits, and become 16-bit floats by way of f32. */
function castScalar(x: Scalar, dtype: DType): Scalar {
  if (dtype === 'bool') return scalar.not(scalar.eq(x, 0)) // NaN is true, and `!=` may be ordered
  if (x.dtype === 'u32' && isFloat(dtype)) return roundedFloat(x)
  if (x.dtype !== 'f32' || isFloat(dtype)) return scalar.cast(x, dtype)
  const [low, high] = limits[dtype as 'i32' | 'u32']
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

/** `value` as it is beside others of the type: cast if the dtype differs. */
const convert = (value: Value, { dtype, weak }: ElementType): Value =>
  value.dtype === dtype ? value : castTo(value, { dtype, ...(weak && { weak }) })

function castTo(value: Value, params: CastParams): Value {
  const { dtype, weak } = params
  if (value instanceof Constant)
    return new Constant(
      rounded(dtype, castNumber(value.value, value.dtype, dtype)),
      new Aval(value.shape, dtype, weak),
    )
  if (!isFloat(value.dtype) || !isFloat(dtype)) return bind(castPrimitive, [value], params)[0]!
  return bind(dtype === 'f32' ? widenPrimitive : narrowPrimitive, [value], params)[0]!
}

/**
 * `x` as another dtype. Floats become integers towards zero and saturate, NaN 0; integers keep their low bits; anything but
 * zero is true.
 */
export function cast(x: ArrayLike, dtype: DType): Value {
  const value = toArray(x)
  return value.dtype === dtype && !value.aval.weak ? value : castTo(value, { dtype })
}
cast.primitive = narrowPrimitive
