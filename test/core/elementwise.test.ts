// What element-wise functions say of dtypes they have no meaning on, what dtypes they return, and derivatives of high order.

import { expect, test } from 'vitest'
import { grad } from '../../autodiff/index.ts'
import * as core from '../../core/index.ts'
import { tensor, type Value } from '../../core/index.ts'
import { expectClose } from '../support/close.ts'
import { toHost, toNdArray } from '../support/host.ts'

const f = tensor([1.5, 2, 3])
const i = tensor([1, 2, 3], { dtype: 'i32' })
const b = core.less(f, 2)
const inf = Number.POSITIVE_INFINITY

test.each<readonly [string, () => Value]>([
  ['bits of floats', () => core.populationCount(f)],
  ['leading zeros of bools', () => core.countLeadingZeros(b)],
  ['a shift of floats', () => core.shiftRightLogical(f, f)],
  ['the difference of bools', () => core.sub(b, b)],
  ['the remainder of bools', () => core.rem(b, b)],
  ['the sign of bools', () => core.sign(b)],
  ['a power of bools', () => core.pow(b, b)],
  ['a negative power of integers', () => core.pow(i, -1)],
  ['shapes that differ', () => core.atan2(f, core.zeros([2]))],
  ['limits that do not broadcast', () => core.clip(f, { min: core.zeros([2]) })],
])('%s', (_, f) => {
  expect(f).toThrow(/^[\w]+: [^;]+; [^;]*[^;.]$/)
})

test('messages', () => {
  expect(() => core.populationCount(f)).toThrowErrorMatchingInlineSnapshot(
    `[TypeError: population_count: not defined on f32[3]; cast to i32 or u32]`,
  )
  expect(() => core.rem(b, b)).toThrowErrorMatchingInlineSnapshot(
    `[TypeError: rem: not defined on bool[3] and bool[3]; cast to f32 or i32 or u32]`,
  )
  expect(() => core.pow(i, -1)).toThrowErrorMatchingInlineSnapshot(
    `[RangeError: integerPow: i32[3] to the power -1 is a fraction; cast it to f32]`,
  )
  expect(() => core.integerPow(f, 0.5)).toThrowErrorMatchingInlineSnapshot(
    `[RangeError: integerPow: 0.5 is no whole number; use pow]`,
  )
  expect(() => core.atan2(f, core.zeros([2]))).toThrowErrorMatchingInlineSnapshot(
    `[TypeError: atan2: shapes [3] and [2] do not broadcast: axis 0 is 3 on the left and 2 on the right; make them equal, or one of them 1]`,
  )
})

test('dtypes of results', () => {
  const dtypes = (...xs: readonly Value[]) => xs.map(({ dtype }) => dtype).join(' ')
  expect(dtypes(core.floor(i), core.round(b), core.exp(i), core.copysign(i, i))).toBe('i32 bool f32 f32')
  expect(dtypes(core.add(b, b), core.mul(b, b), core.maximum(b, i), core.abs(i))).toBe('bool bool i32 i32')
  expect(dtypes(core.pow(i, 2), core.pow(i, i), core.pow(i, f), core.floorDivide(i, i))).toBe(
    'i32 i32 f32 i32',
  )
  expect(dtypes(core.logicalAnd(f, i), core.isInf(f), core.nanToNum(i), core.mod(i, f))).toBe(
    'bool bool i32 f32',
  )
})

test('derivatives of any order', async () => {
  const derivative = (f: (x: Value) => Value, order: number): ((x: Value) => Value) =>
    order === 0 ? f : derivative((x) => grad((x: Value) => core.sum(f(x)))(x), order - 1)
  const x = tensor([0.5, 2.25, 9])
  // ψ⁽³⁾, by scipy.special.polygamma(3, x)
  const fourth = await toHost(derivative(core.lgamma, 4)(x))
  expectClose(fourth, toNdArray([97.40909103400242, 0.3245440091883961, 0.003234396045945104]), {
    relative: 2e-6,
  })
  const sines = await toHost(derivative(core.sin, 4)(x))
  expectClose(sines, toNdArray([0.5, 2.25, 9].map(Math.sin)), { relative: 1e-6 })
})

test('logistic and its kin do not overflow', async () => {
  const x = tensor([-1e30, -200, 200, 1e30])
  expect(await toHost(core.logistic(x))).toEqual(toNdArray([0, 0, 1, 1]))
  expect(await toHost(core.logAddExp(x, 0))).toEqual(toNdArray([0, 0, 200, Math.fround(1e30)]))
  expect(await toHost(core.sinh(x))).toEqual(toNdArray([-inf, -inf, inf, inf]))
})
