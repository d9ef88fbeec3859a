// Numbers at the corners: JAX's values and gradients at zeros, infinities, NaN and ties, whole numbers that wrap and shift,
// how many units in the last place functions are off, and long sums. Subnormal numbers are left out: adapters may flush
// them. So is the sign of a zero, which WGSL does not promise.

import { describe, expect, test } from 'vitest'
import { grad } from '../../autodiff/index.ts'
import { type DType, jit, type Value } from '../../core/index.ts'
import * as ops from '../../core/ops/index.ts'
import { type Budget, expectClose } from '../support/close.ts'
import { type GoldenArray, golden, ofGolden } from '../support/golden.ts'
import { type HostArray, toHost, toHosts, toNdArray, toTensor } from '../support/host.ts'
import { generator } from '../support/inputs.ts'

interface Corner {
  readonly in: readonly GoldenArray[]
  readonly out: GoldenArray
  readonly grad?: readonly GoldenArray[]
}
type Named<T> = Readonly<Record<string, T>>
type Table = Named<GoldenArray> & { readonly in: readonly GoldenArray[] }
interface Golden {
  readonly unary: Named<Corner>
  readonly binary: Named<Corner>
  readonly integer: Named<Named<Table>>
  readonly cast: readonly {
    from: DType
    to: DType
    in: GoldenArray
    out: GoldenArray
    bitcast?: true
    through?: DType
  }[]
  readonly reduce: Named<readonly (Corner & { readonly axis?: number | null })[]>
  readonly select: Named<Corner>
  readonly compare: Table
  readonly index: Named<Corner> & Table
}
const jax = golden<Golden>('ops.json')

type F = (...xs: Value[]) => Value
const few: Budget = { ulps: 3 }

/** The value at a corner, and the gradient of its sum, both from one program. */
async function compare(f: F, { in: inputs, out, grad: slopes = [] }: Corner, what: string, budget: Budget) {
  const argnums = slopes.map((_, k) => k)
  const slope = grad((...xs: Value[]) => ops.sum(f(...xs)), { argnums })
  const both = jit((...xs: Value[]) => [f(...xs), ...(argnums.length > 0 ? (slope(...xs) as Value[]) : [])])
  const found = await toHosts(both(...inputs.map((x) => toTensor(ofGolden(x)))))
  for (const [k, y] of [out, ...slopes].entries())
    expectClose(found[k]!, ofGolden(y), budget, k === 0 ? what : `${what}, gradient ${k - 1}`)
}

describe('JAX at the corners', () => {
  const unary: Named<F> = {
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
    await compare(f, jax.unary[name]!, name, { relative: 1e-6, absolute: 5e-7 })
  })

  const binary: Named<F> = {
    maximum: (x, y) => ops.maximum(x, y),
    minimum: (x, y) => ops.minimum(x, y),
    div: (x, y) => ops.div(x, y),
    'clip to [-1, 1]': (x) => ops.minimum(ops.maximum(x, -1), 1),
    'integer_pow 3': (x) => ops.integerPow(x, 3),
    'integer_pow -1': (x) => ops.integerPow(x, -1),
  }
  test.each(Object.entries(binary))('%s', async (name, f) => {
    await compare(f, jax.binary[name]!, name, few)
  })

  const select: Named<F> = {
    'where(x > 0, sqrt(x), 0)': (x) => ops.where(ops.greater(x, 0), ops.sqrt(x), 0),
    'where(x > 0, log(x), 0)': (x) => ops.where(ops.greater(x, 0), ops.log(x), 0),
    'where(x != 0, 1 / x, 0)': (x) => ops.where(ops.notEqual(x, 0), ops.div(1, x), 0),
    'where(x > 0, sqrt(where(x > 0, x, 1)), 0)': (x) =>
      ops.where(ops.greater(x, 0), ops.sqrt(ops.where(ops.greater(x, 0), x, 1)), 0),
    'where([true, false], a, b)': (x, y) => ops.where(ops.equal(ops.arange(2), 0), x, y),
  }
  test.each(Object.entries(select))('%s', async (name, f) => {
    await compare(f, jax.select[name]!, name, few)
  })

  const weighted =
    (f: (x: Value) => Value) =>
    (x: Value): Value =>
      ops.mul(f(x), ops.take(toTensor(toNdArray([1, -2, 0.5])), ops.arange(x.size)))
  type Fold = (x: Value, axis?: number) => Value
  const reduce: Named<Fold> = {
    max: (x, axis) => ops.max(x, { axis }),
    min: (x, axis) => ops.min(x, { axis }),
    mean: (x) => ops.mean(x),
    var: (x) => ops.variance(x),
    argmax: (x) => ops.argmax(x),
    logsumexp: (x) => ops.logSumExp(x),
    'softmax weighted by [1, -2, 0.5]': weighted((x) => ops.softmax(x)),
    'log_softmax weighted by [1, -2, 0.5]': weighted((x) => ops.logSoftmax(x)),
  }
  test.each(Object.entries(reduce))('%s', async (name, f) => {
    for (const { axis, ...corner } of jax.reduce[name]!) {
      const at = { ...corner, in: [corner.in].flat() }
      await compare((x) => f(x!, axis ?? undefined), at, `${name} ${at.in[0]!.data}`, {
        relative: 1e-6,
        absolute: 5e-7,
      })
    }
  })

  test('reductions of nothing', async () => {
    const empty = toTensor(toNdArray([]))
    expect(await toHosts({ sum: ops.sum(empty), mean: ops.mean(empty) })).toEqual({
      sum: toNdArray([0], []),
      mean: toNdArray([Number.NaN], []),
    })
  })

  test('casts saturate, and integers keep their low bits', async () => {
    for (const { from, to, in: x, out, bitcast, through } of jax.cast) {
      const f = (x: Value): Value => {
        const y = bitcast ? ops.bitcast(x, to as 'i32') : ops.cast(x, to)
        return through === undefined ? y : ops.cast(y, through)
      }
      expectClose(await toHost(jit(f)(toTensor(ofGolden(x)))), ofGolden(out), {}, `${from} to ${to}`)
    }
  })

  const integer: Named<Named<F>> = {
    wrapping: { add: ops.add, sub: ops.sub, mul: ops.mul } as Named<F>,
    shift: { shift_left: ops.shiftLeft, 'jnp right_shift': ops.shiftRight } as Named<F>,
    'shift by the width or more': {
      shift_left: ops.shiftLeft,
      'jnp right_shift': ops.shiftRight,
    } as Named<F>,
    bitwise: {
      and: ops.bitwiseAnd,
      or: ops.bitwiseOr,
      xor: ops.bitwiseXor,
      maximum: ops.maximum,
      minimum: ops.minimum,
    } as Named<F>,
    unary: { neg: ops.neg, not: ops.bitwiseNot, square: ops.square } as Named<F>,
    true_divide: { out: ops.div } as Named<F>,
  }
  test.each(Object.entries(integer))('integers, %s', async (family, functions) => {
    for (const [dtype, table] of Object.entries(jax.integer[family]!)) {
      const all = jit((...xs: Value[]) => Object.values(functions).map((f) => f(...xs)))
      const found = await toHosts(all(...table.in.map((x) => toTensor(ofGolden(x)))))
      for (const [k, name] of Object.keys(functions).entries())
        expectClose(found[k]!, ofGolden(table[name]!), {}, `${name} of ${dtype}`)
    }
  })

  test('comparisons', async () => {
    const functions: Named<F> = {
      eq: ops.equal,
      ne: ops.notEqual,
      lt: ops.less,
      le: ops.lessEqual,
      gt: ops.greater,
      ge: ops.greaterEqual,
      'isnan(a)': (a) => ops.isNan(a!),
    } as Named<F>
    const all = jit((...xs: Value[]) => Object.values(functions).map((f) => f(...xs)))
    const found = await toHosts(all(...jax.compare.in.map((x) => toTensor(ofGolden(x)))))
    for (const [k, name] of Object.keys(functions).entries())
      expectClose(found[k]!, ofGolden(jax.compare[name]!), {}, name)
  })

  test('indices outside are clamped', async () => {
    const [x, i] = jax.index.in.map((x) => toTensor(ofGolden(x)))
    expectClose(
      await toHost(ops.take(x!, i!, { mode: 'clip' })),
      ofGolden(jax.index['take(x, i, clip)']!.out),
    )
  })
})

describe('units in the last place', () => {
  /** Numbers of which half are spread evenly, half by magnitude. */
  function spread(low: number, high: number, smallest: number): HostArray {
    const random = generator(7)
    const range = Math.max(-low, high) / smallest
    const data = Array.from({ length: 100_000 }, (_, k) => {
      if (k % 2 === 0) return Math.fround(low + (high - low) * random())
      return Math.fround((low < 0 && random() < 0.5 ? -smallest : smallest) * range ** random())
    })
    return toNdArray(data.map((x) => Math.min(Math.max(x, Math.fround(low)), Math.fround(high))))
  }

  const everything = spread(1.2e-38, 3.4e38, 1.2e-38)
  type Measured = readonly [string, (x: Value) => Value, (x: number) => number, HostArray, Budget]
  const logistic = (x: number): number => 1 / (1 + Math.exp(-x))
  const far = spread(-(2 ** 24), 2 ** 24, 1)
  // Beside each budget, what was measured on SwiftShader and on llvmpipe.
  const table: readonly Measured[] = [
    ['exp', (x) => ops.exp(x), Math.exp, spread(-87, 88.7, 1e-6), { ulps: 2 }], // 0.91, 1.75
    ['log', (x) => ops.log(x), Math.log, everything, { ulps: 1 }], // 0.73, 0.73
    ['tanh', (x) => ops.tanh(x), Math.tanh, spread(-12, 12, 1e-6), { ulps: 2 }], // 1.25, 1.03
    ['logistic', (x) => ops.logistic(x), logistic, spread(-87, 20, 1e-6), { ulps: 3 }], // 2.44, 2.77
    ['sin', (x) => ops.sin(x), Math.sin, spread(-1000, 1000, 1e-6), { ulps: 2 }], // 1.46, 1.46
    ['cos', (x) => ops.cos(x), Math.cos, spread(-1000, 1000, 1e-6), { ulps: 2 }], // 1.52, 1.52
    ['sin, far out', (x) => ops.sin(x), Math.sin, far, { absolute: 2e-7 }], // 1.21e-7, 1.21e-7
    ['cos, far out', (x) => ops.cos(x), Math.cos, far, { absolute: 2e-7 }], // 1.20e-7, 1.20e-7
    ['sqrt', (x) => ops.sqrt(x), Math.sqrt, everything, { ulps: 1 }], // 0.50, 0.50
    ['rsqrt', (x) => ops.rsqrt(x), (x) => 1 / Math.sqrt(x), everything, { ulps: 2 }], // 1.42, 1.42
  ]

  test.each(table)('%s', async (_, f, meaning, xs, budget) => {
    expectClose(await toHost(jit(f)(toTensor(xs))), toNdArray(xs.data.map(meaning)), budget)
  })
})

describe('long sums', () => {
  test('2^22 times 0.1', async () => {
    const sum = await jit((x: Value) => ops.sum(x))(
      toTensor(toNdArray(new Float32Array(2 ** 22).fill(0.1))),
    ).item()
    expect(Math.abs(sum / (2 ** 22 * Math.fround(0.1)) - 1)).toBeLessThan(1e-6)
  })

  test('2^20 random numbers, along either axis and in all', async () => {
    const random = generator(3)
    const xs = Float32Array.from({ length: 2 ** 20 }, () => random() - 0.25)
    const x = toTensor(toNdArray(xs, [4, 2 ** 18]))
    const [all, rows, columns] = await toHosts(
      jit((x: Value) => [ops.sum(x), ops.sum(x, { axis: 1 }), ops.sum(ops.transpose(x), { axis: 0 })])(x),
    )
    const exact = [0, 1, 2, 3].map((row) =>
      xs.subarray(row << 18, (row + 1) << 18).reduce((a, b) => a + b, 0),
    )
    expectClose(all!, toNdArray([exact.reduce((a, b) => a + b)], []), { relative: 1e-6 }, 'all')
    expectClose(rows!, toNdArray(exact), { relative: 1e-6 }, 'rows')
    expectClose(columns!, toNdArray(exact), { relative: 1e-6 }, 'columns')
  })
})
