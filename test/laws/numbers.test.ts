// Numbers at the corners: JAX's values and gradients at zeros, infinities, NaN and ties, whole numbers that wrap and shift,
// how many units in the last place elementary functions are off, and long sums. Subnormal numbers are left out: adapters
// may flush them.

import { describe, expect, test } from 'vitest'
import { grad } from '../../autodiff/index.ts'
import { type DType, jit, type Value } from '../../core/index.ts'
import * as ops from '../../core/ops/index.ts'
import { type Budget, expectClose, ulpOf } from '../support/close.ts'
import { type GoldenArray, golden, ofGolden } from '../support/golden.ts'
import { type HostArray, toNdArray, toHosts, toTensor, toTensors } from '../support/host.ts'
import { generator } from '../support/inputs.ts'

interface Corner {
  readonly in: readonly GoldenArray[]
  readonly out: GoldenArray
  readonly grad?: readonly GoldenArray[]
}
type Table = Readonly<Record<string, GoldenArray>> & { readonly in: readonly GoldenArray[] }
interface Golden {
  readonly unary: Readonly<Record<string, Corner>>
  readonly binary: Readonly<Record<string, Corner>>
  readonly integer: Readonly<Record<string, Readonly<Record<string, Table>>>>
  readonly cast: readonly {
    readonly from: DType
    readonly to: DType
    readonly in: GoldenArray
    readonly out: GoldenArray
  }[]
  readonly reduce: Readonly<Record<string, readonly Corner[]>>
  readonly select: Readonly<Record<string, Corner>>
  readonly compare: Table
  readonly index: Readonly<Record<string, Corner>>
}
const jax = golden<Golden>('ops.json')

type F = (...xs: Value[]) => Value

/** Values and gradients of the sum at a corner, both from one program. */
async function compare(f: F, { in: inputs, out, grad: slopes }: Corner, what: string, budget: Budget) {
  const argnums = inputs.map((_, k) => k)
  const both = jit((...xs: Value[]) => [
    f(...xs),
    ...(slopes ? (grad((...xs: Value[]) => ops.sum(f(...xs)), { argnums })(...xs) as readonly Value[]) : []),
  ])
  const found = await toHosts(both(...inputs.map((x) => toTensor(ofGolden(x)))))
  for (const [k, y] of [out, ...(slopes ?? [])].entries())
    expectClose(found[k]!, ofGolden(y), budget, k === 0 ? what : `${what}, gradient ${k - 1}`)
}

describe('JAX at the corners', () => {
  const unary: Readonly<Record<string, F>> = {
    exp: (x) => ops.exp(x),
    log: (x) => ops.log(x),
    sqrt: (x) => ops.sqrt(x),
    rsqrt: (x) => ops.rsqrt(x),
    square: (x) => ops.square(x),
    reciprocal: (x) => ops.div(1, x),
    neg: (x) => ops.neg(x),
    tanh: (x) => ops.tanh(x),
    abs: (x) => ops.abs(x),
    sign: (x) => ops.sign(x),
    floor: (x) => ops.floor(x),
    ceil: (x) => ops.ceil(x),
    relu: (x) => ops.relu(x),
    logistic: (x) => ops.logistic(x),
    sin: (x) => ops.sin(x),
    cos: (x) => ops.cos(x),
  }
  test.each(Object.entries(unary))('%s', async (name, f) => {
    await compare(f, jax.unary[name]!, name, { relative: 1e-6, absolute: 1e-7 })
  })

  const binary: Readonly<Record<string, F>> = {
    maximum: (x, y) => ops.maximum(x, y),
    minimum: (x, y) => ops.minimum(x, y),
    div: (x, y) => ops.div(x, y),
    'clip to [-1, 1]': (x) => ops.minimum(ops.maximum(x, -1), 1),
    'integer_pow 3': (x) => ops.integerPow(x, 3),
    'integer_pow -1': (x) => ops.integerPow(x, -1),
  }
  test.each(Object.entries(binary))('%s', async (name, f) => {
    await compare(f, jax.binary[name]!, name, { ulps: 3 })
  })

  const select: Readonly<Record<string, F>> = {
    'where(x > 0, sqrt(x), 0)': (x) => ops.where(ops.greater(x, 0), ops.sqrt(x), 0),
    'where(x > 0, log(x), 0)': (x) => ops.where(ops.greater(x, 0), ops.log(x), 0),
    'where(x != 0, 1 / x, 0)': (x) => ops.where(ops.notEqual(x, 0), ops.div(1, x), 0),
    'where(x > 0, sqrt(where(x > 0, x, 1)), 0)': (x) =>
      ops.where(ops.greater(x, 0), ops.sqrt(ops.where(ops.greater(x, 0), x, 1)), 0),
    'where([true, false], a, b)': (x, y) => ops.where(ops.equal(ops.arange(2), 0), x, y),
  }
  test.each(Object.entries(select))('%s', async (name, f) => {
    await compare(f, jax.select[name]!, name, { ulps: 3 })
  })
})

/** The bits of an f32 as an unsigned number that grows with it. */
const words = new DataView(new ArrayBuffer(4))
const floatOf = (bits: number): number => {
  words.setUint32(0, bits)
  return words.getFloat32(0)
}

describe('units in the last place', () => {
  const points = 100_000

  /** Half of the points spread evenly, half by magnitude. */
  function spread(low: number, high: number, smallest: number): HostArray {
    const random = generator(7)
    const data = Array.from({ length: points }, (_, k) => {
      if (k % 2 === 0) return Math.fround(low + (high - low) * random())
      const size = smallest * (Math.max(-low, high) / smallest) ** random()
      return Math.fround(low < 0 && random() < 0.5 ? -size : size)
    }).filter((x) => x >= low && x <= high)
    return toNdArray(data)
  }

  const largest = 3.4e38
  const tiny = 1.2e-38
  const table: readonly (readonly [string, (x: Value) => Value, (x: number) => number, HostArray, number])[] = [
    ['exp', (x) => ops.exp(x), Math.exp, spread(-87, 88.7, 1e-6), 2],
    ['log', (x) => ops.log(x), Math.log, spread(tiny, largest, tiny), 2],
    ['tanh', (x) => ops.tanh(x), Math.tanh, spread(-12, 12, 1e-6), 2],
    ['logistic', (x) => ops.logistic(x), (x) => 1 / (1 + Math.exp(-x)), spread(-87, 20, 1e-6), 3],
    ['sin', (x) => ops.sin(x), Math.sin, spread(-1000, 1000, 1e-6), 2],
    ['cos', (x) => ops.cos(x), Math.cos, spread(-1000, 1000, 1e-6), 2],
    ['sin far', (x) => ops.sin(x), Math.sin, spread(-1.6e7, 1.6e7, 1), 2],
    ['sqrt', (x) => ops.sqrt(x), Math.sqrt, spread(tiny, largest, tiny), 2],
    ['rsqrt', (x) => ops.rsqrt(x), (x) => 1 / Math.sqrt(x), spread(tiny, largest, tiny), 2],
  ]

  test.each(table)('%s', async (_, f, meaning, xs, budget) => {
    const ys = await jit(f)(toTensor(xs)).data()
    const ulps = xs.data.map((x, i) => Math.abs(ys[i]! - meaning(x)) / ulpOf(meaning(x)))
    const worst = ulps.reduce((at, ulp, i) => (ulp > ulps[at]! ? i : at), 0)
    console.log(_, ulps[worst], xs.data[worst], ys[worst], meaning(xs.data[worst]!), 'abs', Math.max(...xs.data.map((x,i)=>Math.abs(ys[i]!-meaning(x)))))
    expect(ulps[worst], `at ${xs.data[worst]}`).toBeLessThanOrEqual(budget)
  })
})
