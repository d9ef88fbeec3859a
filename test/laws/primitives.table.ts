// One row for each operation, and more where a primitive has several forms. Every law of `primitives.test.ts` runs on every
// row. A new operation without a row fails there.

import type { Primitive, Value } from '../../core/index.ts'
import * as ops from '../../core/ops/index.ts'
import type { Budget } from '../support/close.ts'
import { between, bools, type Domain, floats, halves, integers, words } from '../support/inputs.ts'

export interface Row {
  readonly name: keyof typeof ops
  readonly f: (...xs: Value[]) => Value
  readonly inputs: readonly Domain[]
  /** How far the device may be from the float64 reference. Integers and bools are always exact. */
  readonly budget: Budget
  /** The inputs in which the primitive is linear while the others are fixed. */
  readonly linearIn?: readonly number[]
  /** False where the derivative is not the limit of differences, by design. */
  readonly differentiable?: false
}

const records = new Map<string, unknown>(Object.entries(ops))

/** The record behind an operation; compositions have none. */
export const primitiveOf = (name: Row['name']): Primitive | undefined =>
  (records.get(name) as { readonly primitive?: Primitive }).primitive

const exact: Budget = {}
const rounded: Budget = { ulps: 1 }

const row = (
  name: keyof typeof ops,
  f: Row['f'],
  inputs: readonly Domain[],
  budget: Budget,
  rest: Pick<Row, 'linearIn' | 'differentiable'> = {},
): Row => ({ name, f, inputs, budget, ...rest })

const first = { linearIn: [0] } as const
const both = { linearIn: [0, 1] } as const
const m23 = floats([2, 3])
const m24 = floats([2, 4])
const ids = (shape: readonly number[]): Domain => integers(0, 2, shape)
const ints = integers(-9, 9, [2, 3])
const counts = integers(0, 9, [2, 3], 'u32')
const positive = between(0.1, 5, [2, 3])

export const rows: readonly Row[] = [
  // arithmetic
  row('add', (x, y) => ops.add(x, y), [m24, m24], rounded, both),
  row('add', (x, y) => ops.add(x, y), [m23, floats([3])], rounded, both),
  row('add', (x, y) => ops.add(x, y), [ints, integers(-(2 ** 31), 2 ** 31 - 1, [2, 3])], exact, both),
  row('sub', (x, y) => ops.sub(x, y), [floats([2, 1]), m23], rounded, both),
  row('sub', (x, y) => ops.sub(x, y), [counts, counts], exact, both),
  row('neg', (x) => ops.neg(x), [m23], exact, first),
  row('neg', (x) => ops.neg(x), [counts], exact, first),
  row('mul', (x, y) => ops.mul(x, y), [m23, floats([])], rounded, both),
  row('mul', (x, y) => ops.mul(x, y), [integers(-(2 ** 31), 2 ** 31 - 1, [2, 3]), ints], exact, both),
  row('div', (x, y) => ops.div(x, y), [m23, positive], { ulps: 2.5 }, first),
  row('maximum', (x, y) => ops.maximum(x, y), [m23, m23], exact),
  row('maximum', (x, y) => ops.maximum(x, y), [ints, ints], exact),
  row('minimum', (x, y) => ops.minimum(x, y), [m24, floats([4])], exact),
  row('equal', (x, y) => ops.equal(x, y), [ints, ints], exact),
  row('equal', (x, y) => ops.equal(x, y), [bools([2, 3]), bools([3])], exact),
  row('notEqual', (x, y) => ops.notEqual(x, y), [integers(0, 2, [2, 4]), integers(0, 2, [2, 4])], exact),
  row('less', (x, y) => ops.less(x, y), [m23, m23], exact),
  row('less', (x, y) => ops.less(x, y), [bools([2, 4]), bools([2, 4])], exact),
  row('lessEqual', (x, y) => ops.lessEqual(x, y), [ints, ints], exact),
  row('greater', (x, y) => ops.greater(x, y), [words([2, 3]), words([2, 3])], exact),
  row('greaterEqual', (x, y) => ops.greaterEqual(x, y), [ints, integers(-9, 9, [3])], exact),
  row('isNan', (x) => ops.isNan(x), [m23], exact),
  row('where', (c, x, y) => ops.where(c, x, y), [bools([2, 3]), m23, floats([3])], exact, {
    linearIn: [1, 2],
  }),
  row('where', (c, x, y) => ops.where(c, x, y), [bools([2, 1]), ints, ints], exact, { linearIn: [1, 2] }),
  row('where', (c, x, y) => ops.where(c, x, y), [bools([4]), bools([2, 4]), bools([4])], exact, {
    linearIn: [1, 2],
  }),
  // elementary
  row('exp', (x) => ops.exp(x), [m23], { ulps: 2 }),
  row('log', (x) => ops.log(x), [positive], { ulps: 2 }),
  row('log1p', (x) => ops.log1p(x), [between(-0.9, 3, [2, 3])], { ulps: 2 }),
  row('sqrt', (x) => ops.sqrt(x), [positive], { ulps: 1.5 }),
  row('rsqrt', (x) => ops.rsqrt(x), [positive], { ulps: 3 }),
  row('sin', (x) => ops.sin(x), [between(-7, 7, [2, 4])], { ulps: 2, absolute: 1e-7 }),
  row('cos', (x) => ops.cos(x), [between(-7, 7, [2, 4])], { ulps: 2, absolute: 1e-7 }),
  row('tanh', (x) => ops.tanh(x), [m24], { ulps: 3 }),
  row('logistic', (x) => ops.logistic(x), [m24], { ulps: 3 }),
  row('abs', (x) => ops.abs(x), [m23], exact),
  row('abs', (x) => ops.abs(x), [ints], exact),
  row('sign', (x) => ops.sign(x), [m23], exact),
  row('sign', (x) => ops.sign(x), [ints], exact),
  row('floor', (x) => ops.floor(x), [m24], exact),
  row('ceil', (x) => ops.ceil(x), [m24], exact),
  row('integerPow', (x) => ops.integerPow(x, 3), [m23], { ulps: 2 }),
  row('integerPow', (x) => ops.integerPow(x, -2), [positive], { ulps: 4 }),
  row('integerPow', (x) => ops.integerPow(x, 1), [m23], exact),
  row('integerPow', (x) => ops.integerPow(x, 11), [ints], exact),
  row('square', (x) => ops.square(x), [m23], rounded),
  row('relu', (x) => ops.relu(x), [m23], exact),
  row('cast', (x) => ops.cast(x, 'i32'), [floats([2, 4])], exact),
  row('cast', (x) => ops.cast(x, 'f32'), [words([2, 3])], { ulps: 0.5 }),
  row('cast', (x) => ops.cast(x, 'f32'), [integers(-(2 ** 31), 2 ** 31 - 1, [2, 3])], { ulps: 0.5 }),
  row('cast', (x) => ops.cast(x, 'bool'), [integers(-1, 1, [2, 3])], exact),
  row('cast', (x) => ops.cast(x, 'u32'), [bools([2, 3])], exact),
  row('cast', (x) => ops.cast(ops.cast(x, 'f16'), 'f32'), [halves('f16', m23)], exact, first),
  // 16-bit floats: rounded once, so that only a tie of the f32 result may differ
  ...(['f16', 'bf16'] as const).flatMap((dtype) => {
    const [a, b] = [halves(dtype, m23), halves(dtype, floats([3]))]
    return [
      row('cast', (x) => ops.cast(x, dtype), [m23], exact, first),
      row('cast', (x) => ops.cast(x, 'f32'), [a], exact, first),
      row('cast', (x) => ops.cast(x, dtype === 'f16' ? 'bf16' : 'f16'), [a], exact, first),
      row('add', (x, y) => ops.add(x, y), [a, b], rounded, both),
      row('mul', (x, y) => ops.mul(x, y), [a, b], rounded, both),
      row('exp', (x) => ops.exp(x), [a], rounded),
      row('sum', (x) => ops.sum(x, { axis: 0 }), [a], rounded, first),
      row('max', (x) => ops.max(x, { axis: 1 }), [a], exact),
      row('matmul', (x, y) => ops.matmul(x, y), [a, halves(dtype, floats([3, 2]))], rounded),
      row('concatenate', (x, y) => ops.concatenate([x, y]), [a, a], exact, both),
      row('take', (x, i) => ops.take(x, i), [a, ids([5])], exact, first),
      row('where', (c, x, y) => ops.where(c, x, y), [bools([2, 3]), a, b], exact, { linearIn: [1, 2] }),
      row('softmax', (x) => ops.softmax(x), [a], { ulps: 2 }),
    ]
  }),
  row('stopGradient', (x) => ops.stopGradient(x), [m23], exact, { differentiable: false }),
  // bits
  row('bitwiseAnd', (x, y) => ops.bitwiseAnd(x, y), [words([2, 3]), words([3])], exact),
  row('bitwiseAnd', (x, y) => ops.bitwiseAnd(x, y), [bools([2, 4]), bools([4])], exact),
  row('bitwiseOr', (x, y) => ops.bitwiseOr(x, y), [ints, ints], exact),
  row('bitwiseXor', (x, y) => ops.bitwiseXor(x, y), [words([2, 4]), words([2, 4])], exact),
  row('bitwiseXor', (x, y) => ops.bitwiseXor(x, y), [bools([2, 4]), bools([4])], exact),
  row('bitwiseNot', (x) => ops.bitwiseNot(x), [words([2, 3])], exact),
  row('bitwiseNot', (x) => ops.bitwiseNot(x), [bools([2, 3])], exact),
  row('shiftLeft', (x, y) => ops.shiftLeft(x, y), [words([2, 3]), integers(0, 40, [2, 3], 'u32')], exact),
  row('shiftRight', (x, y) => ops.shiftRight(x, y), [ints, integers(0, 40, [3])], exact),
  row('bitcast', (x) => ops.bitcast(x, 'u32'), [m23], exact),
  row('bitcast', (x) => ops.bitcast(x, 'f32'), [integers(0x3f000000, 0x41000000, [2, 3], 'u32')], exact),
  row(
    'threefry2x32',
    (k0, k1, c0, c1) => ops.threefry2x32(k0, k1, c0, c1, 1),
    [words([]), words([]), words([2, 3]), words([3])],
    exact,
  ),
  // movement
  row('reshape', (x) => ops.reshape(x, [3, -1]), [floats([2, 6])], exact, first),
  row('transpose', (x) => ops.transpose(x, [2, 0, 1]), [floats([2, 3, 4])], exact, first),
  row('moveaxis', (x) => ops.moveaxis(x, -1, 0), [floats([2, 3, 4])], exact),
  row('broadcastTo', (x) => ops.broadcastTo(x, [3, 2, 4]), [floats([2, 1])], exact, first),
  row('slice', (x) => ops.slice(x, { start: [1, 0], end: [3, 2] }), [floats([4, 3])], exact, first),
  row('pad', (x) => ops.pad(x, { before: [1, 0], after: [0, 2] }), [m23], exact, first),
  row('pad', (x) => ops.pad(x, { before: [0, 1], after: [2, 1] }), [bools([2, 2])], exact, first),
  row('flip', (x) => ops.flip(x, { axis: [0, 2] }), [floats([2, 3, 4])], exact, first),
  row('concatenate', (x, y) => ops.concatenate([x, y], { axis: 1 }), [m23, floats([2, 1])], exact, both),
  row('concatenate', (...xs) => ops.concatenate(xs), Array(8).fill(ids([1, 3])), exact, {
    linearIn: [0, 7],
  }),
  row('expandDims', (x) => ops.expandDims(x, [0, -1]), [m23], exact),
  row('squeeze', (x) => ops.squeeze(x, 1), [floats([2, 1, 3])], exact),
  row('stack', (x, y) => ops.stack([x, y], { axis: 1 }), [m23, m23], exact),
  row('unstack', (x) => ops.unstack(x, { axis: 1 })[2]!, [m23], exact),
  row('sum', (x) => ops.sum(x), [m23], { ulps: 2, absolute: 1e-6 }, first),
  row('sum', (x) => ops.sum(x, { axis: [0, 2] }), [floats([2, 3, 4])], { ulps: 2, absolute: 1e-6 }, first),
  row('sum', (x) => ops.sum(x, { axis: -1, keepDims: true }), [words([3, 4])], exact, first),
  row('sum', (x) => ops.sum(x, { axis: 0 }), [bools([5, 3])], exact),
  // reductions
  row('max', (x) => ops.max(x, { axis: 1 }), [m24], exact),
  row('max', (x) => ops.max(x), [integers(-9, -2, [5])], exact),
  row('min', (x) => ops.min(x, { axis: [0] }), [floats([3, 4])], exact),
  row('min', (x) => ops.min(x), [words([2, 3])], exact),
  row('max', (x) => ops.max(x, { axis: 0 }), [bools([2, 4])], exact),
  row('min', (x) => ops.min(x, { axis: 1 }), [bools([4, 2])], exact),
  row('argmax', (x) => ops.argmax(x, { axis: 0 }), [floats([4, 3])], exact),
  row('mean', (x) => ops.mean(x, { axis: 0 }), [floats([3, 4])], { ulps: 3, absolute: 1e-6 }),
  row('mean', (x) => ops.mean(x), [ints], { ulps: 2 }),
  row('variance', (x) => ops.variance(x, { axis: 1 }), [m24], { ulps: 5 }),
  row('softmax', (x) => ops.softmax(x), [m24], { ulps: 5 }),
  row('logSoftmax', (x) => ops.logSoftmax(x, { axis: 0 }), [m23], { ulps: 5, absolute: 1e-6 }),
  row('logSumExp', (x) => ops.logSumExp(x), [m23], { ulps: 5, absolute: 1e-6 }),
  // products
  row(
    'contract',
    (x, y) => ops.contract('ik,kj->ij', x, y),
    [m23, floats([3, 4])],
    { relative: 1e-6, absolute: 1e-6 },
    both,
  ),
  row(
    'contract',
    (x, y) => ops.contract('bkij,kbi->jib', x, y),
    [floats([2, 3, 2, 2]), floats([3, 2, 2])],
    { relative: 1e-6, absolute: 1e-6 },
    both,
  ),
  row('matmul', (x, y) => ops.matmul(x, y), [floats([3, 2, 4]), floats([4])], {
    relative: 1e-6,
    absolute: 1e-6,
  }),
  // indexing
  row('iota', (x) => ops.add(x, ops.iota([2, 3], { axis: 1, dtype: 'f32' })), [m23], rounded),
  row('arange', (x) => ops.add(x, ops.arange(3)), [ints], exact),
  row('take', (x, i) => ops.take(x, i), [m23, integers(-1, 2, [2, 2])], exact, first),
  row('take', (x, i) => ops.take(x, i, { axis: 1 }), [floats([2, 3, 2]), ids([4])], exact, first),
  row('pick', (x, i) => ops.pick(x, i), [floats([2, 2, 3]), ids([2, 2])], exact),
  row(
    'scatterAdd',
    (x, i) => ops.scatterAdd(x, i, 3),
    [floats([5, 2]), ids([5])],
    { ulps: 2, absolute: 1e-6 },
    first,
  ),
  row('scatterAdd', (x, i) => ops.scatterAdd(x, i, 3), [ints, ids([2])], exact, first),
]
