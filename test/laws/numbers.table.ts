// How far each element-wise function of floats may be from double precision, and on what inputs: what `numbers.test.ts` holds
// the device to, and what `docs/numbers.md` is written from.

import { full, tensor, type Value } from '../../core/index.ts'
import * as ops from '../../core/ops/index.ts'
import * as nn from '../../nn/index.ts'
import type { Budget } from '../support/close.ts'

/** Inputs from `low` to `high`: half of them spread evenly, half by magnitude from `smallest` up. */
export interface Range {
  readonly low: number
  readonly high: number
  readonly smallest: number
}

export interface NumberRow {
  readonly name: string
  readonly f: (...xs: Value[]) => Value
  /** One for each input. */
  readonly ranges: readonly Range[]
  readonly budget: Budget
}

export const largest = 3.4e38
export const smallest = 1.2e-38

const from = (low: number, high: number, smallest = 1e-30): Range => ({ low, high, smallest })
const anything = from(-largest, largest, smallest)
const positive = from(smallest, largest, smallest)

type F = (...xs: Value[]) => Value
const row = (name: string, f: F, ranges: readonly Range[], budget: Budget): NumberRow => ({
  name,
  f,
  ranges,
  budget,
})
const exact: Budget = { ulps: 0 }
const rounded: Budget = { ulps: 0.5 }

export const elementwise: readonly NumberRow[] = [
  row('add', (x, y) => ops.add(x!, y!), [anything, anything], rounded),
  row('sub', (x, y) => ops.sub(x!, y!), [anything, anything], rounded),
  row('mul', (x, y) => ops.mul(x!, y!), [anything, anything], rounded),
  row('div', (x, y) => ops.div(x!, y!), [anything, from(-1e37, 1e37, 1e-37)], { ulps: 2.5 }),
  row('reciprocal', (x) => ops.reciprocal(x!), [from(-1e37, 1e37, 1e-37)], { ulps: 2.5 }),
  row('neg', (x) => ops.neg(x!), [anything], exact),
  row('abs', (x) => ops.abs(x!), [anything], exact),
  row('sign', (x) => ops.sign(x!), [anything], exact),
  row('maximum', (x, y) => ops.maximum(x!, y!), [anything, anything], exact),
  row('minimum', (x, y) => ops.minimum(x!, y!), [anything, anything], exact),
  row('clip', (x) => ops.clip(x!, { min: -1, max: 1 }), [from(-4, 4)], exact),
  row('copysign', (x, y) => ops.copysign(x!, y!), [anything, anything], exact),
  row('heaviside', (x, y) => ops.heaviside(x!, y!), [anything, anything], exact),
  row('nanToNum', (x) => ops.nanToNum(x!), [anything], exact),
  row('floor', (x) => ops.floor(x!), [anything], exact),
  row('ceil', (x) => ops.ceil(x!), [anything], exact),
  row('round', (x) => ops.round(x!), [from(-1e7, 1e7)], exact),
  row('trunc', (x) => ops.trunc(x!), [anything], exact),
  row('rem', (x, y) => ops.rem(x!, y!), [from(-largest, largest), from(-largest, largest)], exact),
  row('mod', (x, y) => ops.mod(x!, y!), [from(-1000, 1000, 0.01), from(-9, 9, 0.01)], rounded),
  row('floorDivide', (x, y) => ops.floorDivide(x!, y!), [from(-1000, 1000, 0.01), from(-9, 9, 0.01)], exact),
  row('square', (x) => ops.square(x!), [from(-1e19, 1e19)], rounded),
  row('integerPow, 3', (x) => ops.integerPow(x!, 3), [from(-1e12, 1e12)], { ulps: 2 }),
  row('integerPow, 10', (x) => ops.integerPow(x!, 10), [from(-1000, 1000, 0.01)], { ulps: 9 }),
  row('integerPow, -1', (x) => ops.integerPow(x!, -1), [from(-1e37, 1e37, 1e-37)], { ulps: 2.5 }),
  row('pow', (x, y) => ops.pow(x!, y!), [from(0.01, 100, 0.01), from(-15, 15, 0.1)], { ulps: 3 }),
  row('pow, to the 37th', (x) => ops.pow(x!, 37), [from(-10, 10, 0.1)], { ulps: 3 }),
  row('pow, base near 1', (x, y) => ops.pow(x!, y!), [from(0.999, 1.001, 0.999), from(-6e4, 6e4)], {
    ulps: 3,
  }),
  row('pow, any base', (x, y) => ops.pow(x!, y!), [positive, from(-3, 3, 0.01)], { ulps: 3 }),
  row('sqrt', (x) => ops.sqrt(x!), [positive], { ulps: 1 }),
  row('rsqrt', (x) => ops.rsqrt(x!), [positive], { ulps: 2 }),
  row('cbrt', (x) => ops.cbrt(x!), [anything], { ulps: 1.5 }),
  row('hypot', (x, y) => ops.hypot(x!, y!), [from(-1e38, 1e38), from(-1e38, 1e38)], { ulps: 3 }),
  row('exp', (x) => ops.exp(x!), [from(-87, 88.7)], { ulps: 2 }),
  row('exp2', (x) => ops.exp2(x!), [from(-126, 127.9)], { ulps: 2 }),
  row('expm1', (x) => ops.expm1(x!), [from(-87, 88.7)], { ulps: 2 }),
  row('log', (x) => ops.log(x!), [positive], { ulps: 1 }),
  row('log1p', (x) => ops.log1p(x!), [from(-0.999, 1e38)], { ulps: 2 }),
  row('log2', (x) => ops.log2(x!), [positive], { ulps: 2 }),
  row('log10', (x) => ops.log10(x!), [positive], { ulps: 2 }),
  row('log2, near 1', (x) => ops.log2(x!), [from(0.5, 2, 0.5)], { ulps: 2 }),
  row('log10, near 1', (x) => ops.log10(x!), [from(0.5, 2, 0.5)], { ulps: 2 }),
  row('logAddExp', (x, y) => ops.logAddExp(x!, y!), [from(-100, 100), from(-100, 100)], {
    ulps: 2,
    absolute: 2e-7,
  }),
  row('logAddExp2', (x, y) => ops.logAddExp2(x!, y!), [from(-100, 100), from(-100, 100)], {
    ulps: 2,
    absolute: 2e-7,
  }),
  row('logistic', (x) => ops.logistic(x!), [from(-87, 20)], { ulps: 3 }),
  row('sin', (x) => ops.sin(x!), [anything], { ulps: 2 }),
  row('cos', (x) => ops.cos(x!), [anything], { ulps: 2 }),
  row('tan', (x) => ops.tan(x!), [anything], { ulps: 4 }),
  row('sin, near', (x) => ops.sin(x!), [from(-1000, 1000)], { ulps: 2 }),
  row('cos, near', (x) => ops.cos(x!), [from(-1000, 1000)], { ulps: 2 }),
  row('tan, near', (x) => ops.tan(x!), [from(-1000, 1000)], { ulps: 4 }),
  row('asin', (x) => ops.asin(x!), [from(-1, 1)], { ulps: 3 }),
  row('acos', (x) => ops.acos(x!), [from(-1, 1)], { ulps: 3 }),
  row('atan', (x) => ops.atan(x!), [anything], { ulps: 2 }),
  row('atan, near', (x) => ops.atan(x!), [from(-3, 3)], { ulps: 2 }),
  row('atan2', (x, y) => ops.atan2(x!, y!), [from(-1e30, 1e30), from(-1e30, 1e30)], { ulps: 3 }),
  row('atan2, near', (x, y) => ops.atan2(x!, y!), [from(-2, 2, 1e-3), from(-2, 2, 1e-3)], { ulps: 3 }),
  row('sinh', (x) => ops.sinh(x!), [from(-89.4, 89.4)], { ulps: 3 }),
  row('cosh', (x) => ops.cosh(x!), [from(-89.4, 89.4)], { ulps: 3 }),
  row('tanh', (x) => ops.tanh(x!), [from(-100, 100)], { ulps: 2 }),
  row('asinh', (x) => ops.asinh(x!), [anything], { ulps: 3 }),
  row('asinh, near', (x) => ops.asinh(x!), [from(-3, 3)], { ulps: 3 }),
  row('acosh', (x) => ops.acosh(x!), [from(1, 1e38, 1)], { ulps: 3 }),
  row('acosh, near 1', (x) => ops.acosh(x!), [from(1, 1.1, 1)], { ulps: 4 }),
  row('atanh', (x) => ops.atanh(x!), [from(-0.9999999, 0.9999999)], { ulps: 3 }),
  row('erf', (x) => ops.erf(x!), [from(-5, 5)], { ulps: 3 }),
  row('erfc', (x) => ops.erfc(x!), [from(-5, 9)], { ulps: 6 }),
  row('erfInv', (x) => ops.erfInv(x!), [from(-0.9999999, 0.9999999)], { ulps: 5 }),
  row('lgamma', (x) => ops.lgamma(x!), [positive], { ulps: 5 }),
  row('lgamma, near', (x) => ops.lgamma(x!), [from(0.01, 12, 0.01)], { ulps: 5 }),
  row('lgamma, below 0', (x) => ops.lgamma(x!), [from(-20, -1e-6, 1e-6)], { relative: 1e-6, absolute: 2e-6 }),
  row('digamma', (x) => ops.digamma(x!), [positive], { ulps: 5 }),
  row('digamma, near', (x) => ops.digamma(x!), [from(0.01, 12, 0.01)], { ulps: 5 }),
  row('digamma, below 0', (x) => ops.digamma(x!), [from(-20, -1e-6, 1e-6)], {
    relative: 1e-6,
    absolute: 2e-6,
  }),
]

export const activations: readonly NumberRow[] = [
  row('relu', (x) => nn.relu(x!), [anything], exact),
  row('relu6', (x) => nn.relu6(x!), [from(-10, 10)], exact),
  row('leakyRelu', (x) => nn.leakyRelu(x!), [anything], { ulps: 1 }),
  row('elu', (x) => nn.elu(x!), [from(-100, 100)], { ulps: 2 }),
  row('selu', (x) => nn.selu(x!), [from(-100, 100)], { ulps: 4 }),
  row('celu', (x) => nn.celu(x!), [from(-100, 100)], { ulps: 2 }),
  row('gelu', (x) => nn.gelu(x!), [from(-4, 100)], { ulps: 24 }),
  row('gelu, exact', (x) => nn.gelu(x!, { approximate: false }), [from(-4, 100)], { ulps: 24 }),
  row('gelu, far left', (x) => nn.gelu(x!), [from(-9, -4, 4)], { relative: 2e-5 }),
  row('gelu, exact, far left', (x) => nn.gelu(x!, { approximate: false }), [from(-12, -4, 4)], {
    relative: 1.2e-5,
  }),
  row('silu', (x) => nn.silu(x!), [from(-80, 100)], { ulps: 4 }),
  row('softplus', (x) => nn.softplus(x!), [from(-87, 1000)], { ulps: 3 }),
  row('sigmoid', (x) => nn.sigmoid(x!), [from(-87, 20)], { ulps: 3 }),
  row('logSigmoid', (x) => nn.logSigmoid(x!), [from(-1000, 87)], { ulps: 3 }),
  row('hardTanh', (x) => nn.hardTanh(x!), [from(-10, 10)], exact),
  row('mish', (x) => nn.mish(x!), [from(-80, 100)], { ulps: 5 }),
  row('softSign', (x) => nn.softSign(x!), [from(-1e30, 1e30)], { ulps: 3 }),
  row('squareplus', (x) => nn.squareplus(x!), [from(-1e18, 1e18)], { ulps: 4 }),
]

export interface Fact {
  readonly name: string
  readonly value: () => Value
  readonly expected: number
  readonly budget: Budget
}

const fact = (name: string, value: () => Value, expected: number, budget: Budget = {}): Fact => ({
  name,
  value,
  expected,
  budget,
})
const [infinity, nan] = [Number.POSITIVE_INFINITY, Number.NaN]
const tenths = (): Value => tensor(new Float32Array(2 ** 22).fill(0.1))

/** Single values that are easily wrong. */
export const facts: readonly Fact[] = [
  fact('sum of 2^22 times 0.1', () => ops.sum(tenths()), 2 ** 22 * Math.fround(0.1), { relative: 1e-6 }),
  fact('mean of 2^22 times 0.1', () => ops.mean(tenths()), Math.fround(0.1), { relative: 1e-6 }),
  fact('logSumExp([-∞, -∞])', () => ops.logSumExp(tensor([-infinity, -infinity])), -infinity),
  fact('logSumExp([1000, 1000])', () => ops.logSumExp(tensor([1000, 1000])), 1000 + Math.LN2, { ulps: 1 }),
  fact('notEqual(NaN, NaN)', () => ops.notEqual(tensor([nan]), tensor([nan])), 1),
  fact('maximum(NaN, 1)', () => ops.maximum(tensor([nan]), 1), nan),
  fact('minimum(1, NaN)', () => ops.minimum(1, tensor([nan])), nan),
  fact('max([1, NaN, 2])', () => ops.max(tensor([1, nan, 2])), nan),
  fact('log(0)', () => ops.log(tensor([0])), -infinity),
  fact('log(-1)', () => ops.log(tensor([-1])), nan),
  fact('pow(50, 2)', () => ops.pow(tensor([50]), tensor([2])), 2500),
  fact('pow(0, 0)', () => ops.pow(tensor([0]), tensor([0])), 1),
  fact('pow(3, 15)', () => ops.pow(tensor([3]), tensor([15])), 3 ** 15),
  fact('pow(-2, 0.5)', () => ops.pow(tensor([-2]), tensor([0.5])), nan),
  fact('cbrt(-27)', () => ops.cbrt(tensor([-27])), -3),
  fact('log2(8)', () => ops.log2(tensor([8])), 3),
  fact('log10(1000)', () => ops.log10(tensor([1000])), 3),
  fact('tanh(100)', () => ops.tanh(tensor([100])), 1),
  fact('tanh(-100)', () => ops.tanh(tensor([-100])), -1),
  fact('softplus(200)', () => nn.softplus(tensor([200])), 200),
  fact('sin(1e5)', () => ops.sin(tensor([1e5])), Math.sin(1e5), { ulps: 2 }),
  fact('cos(3e38)', () => ops.cos(tensor([3e38])), Math.cos(Math.fround(3e38)), { ulps: 2 }),
  fact('expm1(1e-10)', () => ops.expm1(tensor([1e-10])), Math.expm1(Math.fround(1e-10)), { ulps: 1 }),
  fact('erfc(9)', () => ops.erfc(tensor([9])), 4.137031746513811e-37, { ulps: 6 }),
  fact('rem(1e30, 7)', () => ops.rem(tensor([1e30]), 7), Math.fround(1e30) % 7),
  fact('1 / 0', () => ops.div(full([1], 1), tensor([0])), infinity),
]
