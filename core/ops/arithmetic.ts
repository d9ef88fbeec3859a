// Arithmetic of two arrays, and choosing between them.

import type { Primitive } from '../primitive.ts'
import * as scalar from '../scalar.ts'
import { Aval, broadcastShapes } from '../shape.ts'
import { bind, toArray } from '../trace.ts'
import { type ArrayLike, type Value, zerosLike } from '../value.ts'
import { binary, cast, elementwise, linearIn, operands, unary } from './elementwise.ts'
import { broadcastTo } from './movement.ts'

const numeric = ['f32', 'i32', 'u32'] as const

/** `-x` */
export const neg = unary({
  name: 'neg',
  accepts: numeric,
  jvp: (t) => neg(t),
  transpose: (ct, inputs) => linearIn(inputs, () => neg(ct)),
  reference: (x) => -x,
  lower: (x) => (x.dtype === 'u32' ? scalar.sub(0, x) : scalar.neg(x)),
})

/** `x - y`, broadcasting. */
export const sub = binary({
  name: 'sub',
  accepts: numeric,
  jvp: [(t) => t, (t) => neg(t)],
  transpose: (ct, inputs) =>
    linearIn(
      inputs,
      () => ct,
      () => neg(ct),
    ),
  reference: (x, y) => x - y,
  lower: scalar.sub,
})

/** `x * y`, broadcasting; of bools, logical and. */
export const mul = binary({
  name: 'mul',
  jvp: [(t, [_, y]) => mul(t, y!), (t, [x]) => mul(x!, t)],
  transpose: (ct, [x, y]) => (x instanceof Aval ? [mul(ct, y as Value), null] : [null, mul(x!, ct)]),
  reference: (x, y, dtype) => (dtype === 'f32' ? x * y : Math.imul(x, y)),
  lower: (x, y) => (x.dtype === 'bool' ? scalar.and(x, y) : scalar.mul(x, y)),
})

/** `x / y`, broadcasting. Integers become f32. */
export const div = binary({
  name: 'div',
  accepts: ['f32'],
  jvp: [(t, [_, y]) => div(t, y!), (t, [_, y], q) => neg(div(mul(t, q), y!))],
  transpose: (ct, [_, y]) => [div(ct, y as Value), null],
  reference: (x, y) => x / y,
  lower: scalar.div,
})

/** Half of a tangent at a tie, as in JAX. */
const share = (wins: Value, ties: Value): Value => where(wins, 1, where(ties, 0.5, 0))

/** The larger of two elements; NaN if one is NaN. */
export const maximum = binary({
  name: 'max',
  jvp: [
    (t, [x, y]) => mul(t, share(greater(x!, y!), equal(x!, y!))),
    (t, [x, y]) => mul(t, share(greater(y!, x!), equal(x!, y!))),
  ],
  reference: (x, y) => Math.max(x, y),
  lower: (x, y) => (x.dtype === 'bool' ? scalar.or(x, y) : propagateNan(x, y, scalar.max(x, y))),
})

/** The smaller of two elements; NaN if one is NaN. */
export const minimum = binary({
  name: 'min',
  jvp: [
    (t, [x, y]) => mul(t, share(greater(y!, x!), equal(x!, y!))),
    (t, [x, y]) => mul(t, share(greater(x!, y!), equal(x!, y!))),
  ],
  reference: (x, y) => Math.min(x, y),
  lower: (x, y) => (x.dtype === 'bool' ? scalar.and(x, y) : propagateNan(x, y, scalar.min(x, y))),
})

/** `1 / x` */
export const reciprocal = (x: ArrayLike): Value => div(1, x)

export interface ClipOptions {
  /** What no element is below, broadcasting; nothing by default. */
  readonly min?: ArrayLike
  /** What no element is above, broadcasting; nothing by default. */
  readonly max?: ArrayLike
}

/**
 * `x` moved into [`min`, `max`]; where `min > max` it is `max`. At a limit half of the derivative passes, as in JAX.
 *
 * @example
 * ```ts
 * import { clip, tensor } from 'cotangent'
 * await clip(tensor([-2, 0.5, 3]), { min: -1, max: 1 }).data() // [-1, 0.5, 1]
 * ```
 */
export function clip(x: ArrayLike, { min, max }: ClipOptions): Value {
  const above = min === undefined ? toArray(x) : maximum(x, min)
  return max === undefined ? above : minimum(above, max)
}

/** `result`, unless an operand is NaN: then that. */
export const propagateNan = (x: scalar.Scalar, y: scalar.Scalar, result: scalar.Scalar): scalar.Scalar =>
  x.dtype === 'f32' ? scalar.select(scalar.isNan(x), x, scalar.select(scalar.isNan(y), y, result)) : result

// ---- comparisons: bools, so without derivatives

const compare = (
  name: string,
  reference: (x: number, y: number) => boolean,
  lower: (x: scalar.Scalar, y: scalar.Scalar) => scalar.Scalar,
) =>
  binary({
    name,
    jvp: null,
    result: () => 'bool',
    reference: (x, y) => Number(reference(x, y)),
    lower,
  })

/** The order of false and true is that of 0 and 1. */
const ordered = (x: scalar.Scalar): scalar.Scalar => (x.dtype === 'bool' ? scalar.cast(x, 'u32') : x)
const lt = (x: scalar.Scalar, y: scalar.Scalar): scalar.Scalar => scalar.lt(ordered(x), ordered(y))
const le = (x: scalar.Scalar, y: scalar.Scalar): scalar.Scalar => scalar.le(ordered(x), ordered(y))

/** Whether `x = y`, as bools, broadcasting; NaN equals nothing. */
export const equal = compare('eq', (x, y) => x === y, scalar.eq)
/** Whether `x ≠ y`, as bools, broadcasting; true of NaN. */
export const notEqual = compare(
  'ne',
  (x, y) => x !== y,
  (x, y) => scalar.not(scalar.eq(x, y)),
)
/** Whether `x < y`, as bools, broadcasting; false of NaN. */
export const less = compare('lt', (x, y) => x < y, lt)
/** Whether `x ≤ y`, as bools, broadcasting; false of NaN. */
export const lessEqual = compare('le', (x, y) => x <= y, le)
/** Whether `x > y`, as bools, broadcasting; false of NaN. */
export const greater = compare(
  'gt',
  (x, y) => x > y,
  (x, y) => lt(y, x),
)
/** Whether `x ≥ y`, as bools, broadcasting; false of NaN. */
export const greaterEqual = compare(
  'ge',
  (x, y) => x >= y,
  (x, y) => le(y, x),
)

/** Whether each element is NaN. */
export const isNan = unary({
  name: 'is_nan',
  accepts: ['f32'],
  result: () => 'bool',
  jvp: null,
  reference: (x) => Number(Number.isNaN(x)),
  lower: scalar.isNan,
})

// ---- choice

const selectPrimitive: Primitive<object> = elementwise<object>({
  name: 'select',
  result: ([_condition, yes]) => yes!,
  jvp: [
    null,
    (t, [condition]) => where(condition!, t, zerosLike(t)),
    (t, [condition]) => where(condition!, zerosLike(t), t),
  ],
  transpose: (ct, inputs) => {
    const condition = inputs[0] as Value
    return linearIn(
      inputs,
      () => ct,
      () => where(condition, ct, 0),
      () => where(condition, 0, ct),
    )
  },
  reference: ([condition, yes, no]) => (condition !== 0 ? yes! : no!),
  lower: ([condition, yes, no]) => scalar.select(condition!, yes!, no!),
})

/** `x` where `condition` is true and `y` elsewhere; all three broadcast. What is not chosen does not matter, NaN included. */
export function where(condition: ArrayLike, x: ArrayLike, y: ArrayLike): Value {
  const choice = cast(toArray(condition), 'bool')
  const [yes, no] = operands('where', [x, y])
  const shape = broadcastShapes('where', choice.shape, yes!.shape)
  return bind(
    selectPrimitive,
    [choice, yes!, no!].map((value) => broadcastTo(value, shape)),
    {},
  )[0]!
}
where.primitive = selectPrimitive
