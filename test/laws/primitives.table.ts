// One row for each operation, and more where a primitive has several forms. Every law of `primitives.test.ts` runs on every
// row. A new operation without a row fails there.

import type { Primitive } from '../../core/index.ts'
import * as ops from '../../core/ops/index.ts'
import type { Budget } from '../support/close.ts'
import { between, bools, type Domain, floats, integers, words } from '../support/inputs.ts'
import type { Row as Laws } from './laws.ts'

export interface Row extends Laws {
  readonly name: keyof typeof ops
}

const records = new Map<string, unknown>(Object.entries(ops))

/** The record behind an operation; compositions have none. */
export const primitiveOf = (name: Row['name']): Primitive | undefined =>
  (records.get(name) as { readonly primitive?: Primitive }).primitive

const exact: Budget = {}
const rounded: Budget = { ulps: 1 }
const summed: Budget = { ulps: 2, absolute: 1e-6 }

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
const ints4 = integers(-9, 9, [4])
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
  row('add', (x, y) => ops.add(x, y), [bools([2, 4]), bools([4])], exact),
  row('mul', (x, y) => ops.mul(x, y), [bools([2, 4]), bools([4])], exact),
  row('maximum', (x, y) => ops.maximum(x, y), [bools([2, 4]), bools([4])], exact),
  row('minimum', (x, y) => ops.minimum(x, y), [bools([2, 4]), bools([4])], exact),
  row('reciprocal', (x) => ops.reciprocal(x), [positive], { ulps: 2.5 }),
  row('clip', (x) => ops.clip(x, { min: -1, max: 1 }), [m24], exact),
  row('clip', (x, y) => ops.clip(x, { max: y }), [m24, floats([4])], exact),
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
  row('exp2', (x) => ops.exp2(x), [m23], { ulps: 2 }),
  row('expm1', (x) => ops.expm1(x), [m23], { ulps: 3 }),
  row('log2', (x) => ops.log2(x), [positive], { ulps: 3 }),
  row('log10', (x) => ops.log10(x), [positive], { ulps: 3 }),
  row('logAddExp', (x, y) => ops.logAddExp(x, y), [m23, floats([3])], { ulps: 3, absolute: 3e-7 }),
  row('logAddExp2', (x, y) => ops.logAddExp2(x, y), [m23, floats([3])], { ulps: 3, absolute: 3e-7 }),
  row('erf', (x) => ops.erf(x), [m24], { ulps: 3 }),
  row('erfc', (x) => ops.erfc(x), [between(-1, 5, [2, 4])], { ulps: 6 }),
  row('erfInv', (x) => ops.erfInv(x), [between(-0.95, 0.95, [2, 3])], { ulps: 4 }),
  row('lgamma', (x) => ops.lgamma(x), [between(0.1, 20, [2, 4])], { ulps: 5 }),
  row('lgamma', (x) => ops.lgamma(x), [floats([2, 3])], { ulps: 5, absolute: 1e-6 }),
  row('digamma', (x) => ops.digamma(x), [between(0.1, 20, [2, 4])], { ulps: 5 }),
  row('digamma', (x) => ops.digamma(x), [floats([2, 3])], { ulps: 5, absolute: 1e-6 }),
  row('sqrt', (x) => ops.sqrt(x), [positive], { ulps: 1.5 }),
  row('rsqrt', (x) => ops.rsqrt(x), [positive], { ulps: 3 }),
  row('sin', (x) => ops.sin(x), [between(-7, 7, [2, 4])], { ulps: 2, absolute: 1e-7 }),
  row('cos', (x) => ops.cos(x), [between(-7, 7, [2, 4])], { ulps: 2, absolute: 1e-7 }),
  row('tanh', (x) => ops.tanh(x), [m24], { ulps: 3 }),
  row('sinh', (x) => ops.sinh(x), [m24], { ulps: 3 }),
  row('cosh', (x) => ops.cosh(x), [m24], { ulps: 3 }),
  row('asinh', (x) => ops.asinh(x), [m24], { ulps: 4 }),
  row('acosh', (x) => ops.acosh(x), [between(1.1, 4, [2, 3])], { ulps: 4 }),
  row('atanh', (x) => ops.atanh(x), [between(-0.9, 0.9, [2, 4])], { ulps: 4 }),
  row('tan', (x) => ops.tan(x), [between(-1.4, 1.4, [2, 4])], { ulps: 4 }),
  row('asin', (x) => ops.asin(x), [between(-0.9, 0.9, [2, 4])], { ulps: 4 }),
  row('acos', (x) => ops.acos(x), [between(-0.9, 0.9, [2, 4])], { ulps: 4 }),
  row('atan', (x) => ops.atan(x), [m24], { ulps: 4 }),
  row('atan2', (x, y) => ops.atan2(x, y), [m24, floats([4])], { ulps: 4 }),
  row('logistic', (x) => ops.logistic(x), [m24], { ulps: 3 }),
  row('abs', (x) => ops.abs(x), [m23], exact),
  row('abs', (x) => ops.abs(x), [ints], exact),
  row('sign', (x) => ops.sign(x), [m23], exact),
  row('sign', (x) => ops.sign(x), [ints], exact),
  row('abs', (x) => ops.abs(x), [counts], exact),
  row('sign', (x) => ops.sign(x), [counts], exact),
  row('copysign', (x, y) => ops.copysign(x, y), [m23, m23], exact),
  row('heaviside', (x, y) => ops.heaviside(x, y), [m23, m23], exact),
  row('round', (x) => ops.round(x), [m24], exact),
  row('trunc', (x) => ops.trunc(x), [m24], exact),
  row('rem', (x, y) => ops.rem(x, y), [between(-9, 9, [2, 3]), floats([3])], exact),
  row('rem', (x, y) => ops.rem(x, y), [integers(-99, 99, [2, 4]), ints4], exact),
  row('rem', (x, y) => ops.rem(x, y), [words([2, 3]), counts], exact),
  row('mod', (x, y) => ops.mod(x, y), [between(-9, 9, [2, 3]), floats([3])], rounded),
  row('mod', (x, y) => ops.mod(x, y), [integers(-99, 99, [2, 4]), ints4], exact),
  row('floorDivide', (x, y) => ops.floorDivide(x, y), [between(-9, 9, [2, 3]), floats([3])], exact),
  row('floorDivide', (x, y) => ops.floorDivide(x, y), [integers(-99, 99, [2, 4]), ints4], exact),
  row('floorDivide', (x, y) => ops.floorDivide(x, y), [words([2, 3]), counts], exact),
  row('floor', (x) => ops.floor(x), [m24], exact),
  row('ceil', (x) => ops.ceil(x), [m24], exact),
  row('integerPow', (x) => ops.integerPow(x, 3), [m23], { ulps: 2 }),
  row('integerPow', (x) => ops.integerPow(x, -2), [positive], { ulps: 4 }),
  row('integerPow', (x) => ops.integerPow(x, 1), [m23], exact),
  row('integerPow', (x) => ops.integerPow(x, 11), [ints], exact),
  row('pow', (x, y) => ops.pow(x, y), [positive, m23], { ulps: 4 }),
  row('pow', (x, y) => ops.pow(x, y), [ints, integers(0, 9, [2, 3])], exact),
  row('pow', (x, y) => ops.pow(x, y), [words([2, 3]), integers(0, 70, [2, 3], 'u32')], exact),
  row('cbrt', (x) => ops.cbrt(x), [m23], { ulps: 2 }),
  row('hypot', (x, y) => ops.hypot(x, y), [m23, m23], { ulps: 4 }),
  row('square', (x) => ops.square(x), [m23], rounded),
  row('relu', (x) => ops.relu(x), [m23], exact),
  row('cast', (x) => ops.cast(x, 'i32'), [floats([2, 4])], exact),
  row('cast', (x) => ops.cast(x, 'f32'), [words([2, 3])], { ulps: 0.5 }),
  row('cast', (x) => ops.cast(x, 'f32'), [integers(-(2 ** 31), 2 ** 31 - 1, [2, 3])], { ulps: 0.5 }),
  row('cast', (x) => ops.cast(x, 'bool'), [integers(-1, 1, [2, 3])], exact),
  row('cast', (x) => ops.cast(x, 'u32'), [bools([2, 3])], exact),
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
  row('shiftRightLogical', (x, y) => ops.shiftRightLogical(x, y), [ints, integers(0, 40, [3])], exact),
  row('populationCount', (x) => ops.populationCount(x), [words([2, 4])], exact),
  row('populationCount', (x) => ops.populationCount(x), [ints], exact),
  row('countLeadingZeros', (x) => ops.countLeadingZeros(x), [integers(0, 2, [2, 4], 'u32')], exact),
  row('countLeadingZeros', (x) => ops.countLeadingZeros(x), [ints], exact),
  row('logicalAnd', (x, y) => ops.logicalAnd(x, y), [integers(0, 1, [2, 4]), bools([4])], exact),
  row('logicalOr', (x, y) => ops.logicalOr(x, y), [integers(0, 1, [2, 4], 'u32'), bools([4])], exact),
  row('logicalXor', (x, y) => ops.logicalXor(x, y), [bools([2, 4]), integers(-1, 1, [4])], exact),
  row('logicalNot', (x) => ops.logicalNot(x), [m23], exact),
  row('isInf', (x) => ops.isInf(x), [m23], exact),
  row('isFinite', (x) => ops.isFinite(x), [m23], exact),
  row('nanToNum', (x) => ops.nanToNum(x), [m23], exact),
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
  row('take', (x, i) => ops.take(x, i), [m23, integers(-2, 1, [2, 2])], exact, first),
  row('take', (x, i) => ops.take(x, i), [ints, integers(-5, 5, [4])], exact, first),
  row('take', (x, i) => ops.take(x, i), [counts, integers(0, 5, [4], 'u32')], exact, first),
  row('take', (x, i) => ops.take(x, i, { axis: 1 }), [bools([2, 3]), integers(-5, 5, [4])], exact, first),
  row(
    'take',
    (x, i) => ops.take(x, i, { axis: 1, mode: 'clip' }),
    [floats([2, 3, 2]), integers(-1, 4, [4])],
    exact,
    first,
  ),
  row(
    'take',
    (x, i) => ops.take(x, i, { axis: -1, mode: 'wrap' }),
    [floats([2, 3]), integers(-9, 9, [2, 2])],
    exact,
    first,
  ),
  row(
    'take',
    (x, i) => ops.take(x, i, { mode: 'wrap' }),
    [m23, integers(0, 2 ** 32 - 1, [3], 'u32')],
    exact,
    first,
  ),
  row(
    'takeAlongAxis',
    (x, i) => ops.takeAlongAxis(x, i, { axis: 1 }),
    [floats([2, 3, 2]), integers(-3, 2, [2, 4, 1])],
    exact,
  ),
  row(
    'takeAlongAxis',
    (x, i) => ops.takeAlongAxis(x, i, { axis: 0, mode: 'clip' }),
    [floats([3, 1]), integers(-1, 4, [2, 2])],
    exact,
  ),
  row('pick', (x, i) => ops.pick(x, i), [floats([2, 2, 3]), ids([2, 2])], exact),
  row(
    'segmentSum',
    (x, i) => ops.segmentSum(x, i, 3),
    [floats([5, 2]), integers(-1, 3, [5])],
    { ulps: 2, absolute: 1e-6 },
    first,
  ),
  row('segmentSum', (x, i) => ops.segmentSum(x, i, 3), [ints, ids([2])], exact, first),
  row('segmentSum', (x, i) => ops.segmentSum(x, i, 2), [m23, integers(0, 2, [2, 3], 'u32')], summed, first),
  row('bincount', (i) => ops.bincount(i, { length: 3 }), [integers(-2, 4, [7])], exact),
  row('bincount', (i, w) => ops.bincount(i, { length: 3, weights: w }), [ids([5]), floats([5])], summed),
  row('oneHot', (i) => ops.oneHot(i, 3), [integers(-1, 3, [2, 2])], exact),
  row(
    'dynamicSlice',
    (x, i) => ops.dynamicSlice(x, i, [2, 3]),
    [floats([3, 5]), integers(-6, 6, [2])],
    exact,
    {
      linearIn: [0],
    },
  ),
  row(
    'dynamicSlice',
    (x, i) => ops.dynamicSlice(x, [1, i, 0], [1, 2, 2]),
    [integers(0, 9, [2, 3, 2]), ids([])],
    exact,
    first,
  ),
  row(
    'dynamicSlice',
    (x, i) => ops.dynamicSlice(x, [i], [3]),
    [bools([5]), integers(0, 9, [], 'u32')],
    exact,
    {
      linearIn: [0],
    },
  ),
  row(
    'dynamicUpdateSlice',
    (x, u, i) => ops.dynamicUpdateSlice(x, u, i),
    [floats([3, 4]), floats([2, 4]), integers(-4, 4, [2])],
    exact,
  ),
  row('dynamicUpdateSlice', (x, u) => ops.dynamicUpdateSlice(x, u, [0, -2]), [m23, floats([1, 2])], exact),
  row('index', (x) => ops.index(x, 1, { start: -1, step: -2 }, null), [floats([2, 4])], exact),
  row('index', (x) => ops.index(x, '...', { start: 1, step: 3 }), [floats([2, 7])], exact),
  row('index', (x, i) => ops.index(x, i), [m23, integers(-2, 1, [])], exact),
  row('index', (x, i) => ops.index(x, '...', i), [floats([2, 2, 3]), integers(-5, 5, [2, 2])], exact, {
    differentiable: false, // outside, the value is that of an element and the derivative is zero
  }),
  row(
    'index',
    (x, i, j) => ops.index(x, i, { step: 2 }, j),
    [floats([2, 3, 3]), integers(-2, 1, [2]), integers(0, 2, [3, 1], 'u32')],
    exact,
  ),
  row('at', (x, i, u) => ops.at(x, i).set(u), [floats([3, 2]), integers(-4, 4, [4]), floats([4, 2])], exact),
  row(
    'at',
    (x, i, u) => ops.at(x, 0, { stop: 2 }, i).add(u),
    [floats([2, 3, 3]), ids([3]), floats([3, 2])],
    summed,
  ),
  row('at', (x, u) => ops.at(x, { start: 4, step: -2 }).mul(u), [floats([5]), floats([3])], rounded),
  row('at', (x, i, u) => ops.at(x, '...', i).mul(u), [m23, ids([5]), floats([2, 5])], { ulps: 4 }),
  row('at', (x, i, u) => ops.at(x, i).max(u), [floats([3, 2]), integers(-3, 3, [3]), floats([3, 2])], exact),
  row(
    'at',
    (x, i, j, u) => ops.at(x, i, j).min(u),
    [ints, ids([3]), integers(-3, 2, [3]), integers(-9, 9, [3])],
    exact,
  ),
  row('at', (x, i) => ops.at(x, i).apply(ops.square), [floats([4]), integers(-4, 4, [3])], rounded),
]
