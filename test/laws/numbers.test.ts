// Numbers at the corners: JAX's values and gradients at zeros, infinities, NaN and ties, whole numbers that wrap and shift,
// how many units in the last place functions are off, and long sums. Subnormal numbers are left out: adapters may flush
// them. So is the sign of a zero, which WGSL does not promise.

import { describe, expect, test } from 'vitest'
import { grad } from '../../autodiff/index.ts'
import { bind, type DType, jit, type Value } from '../../core/index.ts'
import * as ops from '../../core/ops/index.ts'
import { type Budget, expectClose } from '../support/close.ts'
import { type GoldenArray, golden, ofGolden } from '../support/golden.ts'
import { type HostArray, toHost, toHosts, toNdArray, toTensor } from '../support/host.ts'
import { generator } from '../support/inputs.ts'
import { oracle } from '../support/oracle.ts'
import { activations, elementwise, facts, largest, type Range, smallest } from './numbers.table.ts'

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
interface Special {
  readonly unary: Named<Corner>
  readonly binary: Named<Corner>
  readonly integers: Named<{ readonly unary: Named<Corner>; readonly binary: Named<Corner> }>
  readonly bools: Named<Corner>
  readonly double: Named<{ readonly in: GoldenArray; readonly out: GoldenArray }>
}
const jaxSpecial = golden<Special>('elementwise.json')

const tiny = Math.fround(2e-38)

/** Where JAX is not the meaning, and what is. */
const special: Named<Named<number>> = {
  exp2: { 100: 2 ** 100, [-100]: 2 ** -100 },
  asin: { [tiny]: tiny, [-tiny]: -tiny },
  erf: { [tiny]: (2 / Math.sqrt(Math.PI)) * tiny, [-tiny]: (-2 / Math.sqrt(Math.PI)) * tiny },
  lgamma: { 1: 0, [-2.5]: -0.05624371649767404 },
  logAddExp2: { '-1, -1': 0 },
}

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
    expm1: (x) => ops.expm1(x),
    log1p: (x) => ops.log1p(x),
    round: (x) => ops.round(x),
    erf: (x) => ops.erf(x),
    softplus: (x) => ops.logAddExp(x, 0),
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
    pow: (x, y) => ops.pow(x, y),
    'rem (lax.rem)': (x, y) => ops.rem(x, y),
    'remainder (jnp, floored)': (x, y) => ops.mod(x, y),
    'floor_divide (jnp)': (x, y) => ops.floorDivide(x, y),
    logaddexp: (x, y) => ops.logAddExp(x, y),
    'clip to [-1, 1]': (x) => ops.clip(x, { min: -1, max: 1 }),
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

  const quotients = {
    'lax.rem': ops.rem,
    floor_divide: ops.floorDivide,
    remainder: ops.mod,
  } as Named<F>
  const shifts = {
    shift_left: ops.shiftLeft,
    'jnp right_shift': ops.shiftRight,
    shift_right_logical: ops.shiftRightLogical,
  } as Named<F>
  const integer: Named<Named<F>> = {
    wrapping: { add: ops.add, sub: ops.sub, mul: ops.mul } as Named<F>,
    quotient: quotients,
    'quotient (xla-cpu, implementation-defined)': quotients,
    shift: shifts,
    'shift by the width or more': shifts,
    bitwise: {
      and: ops.bitwiseAnd,
      or: ops.bitwiseOr,
      xor: ops.bitwiseXor,
      maximum: ops.maximum,
      minimum: ops.minimum,
    } as Named<F>,
    unary: {
      neg: ops.neg,
      not: ops.bitwiseNot,
      square: ops.square,
      abs: ops.abs,
      sign: ops.sign,
      popcount: ops.populationCount,
      clz: ops.countLeadingZeros,
    } as Named<F>,
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
      'isfinite(a)': (a) => ops.isFinite(a!),
      'isinf(a)': (a) => ops.isInf(a!),
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

describe('within the budget', () => {
  const rows = [...elementwise, ...activations]
  const samples = 20_000

  /** Numbers of which half are spread evenly, half by magnitude, and the ends. */
  function spread({ low, high, smallest }: Range, seed: number): HostArray {
    const random = generator(seed)
    const range = Math.max(-low, high) / smallest
    const draw = (k: number): number => {
      const share = random()
      if (k % 2 === 0) return low * (1 - share) + high * share
      return (low < 0 && (high < 0 || random() < 0.5) ? -smallest : smallest) * range ** share
    }
    const data = Array.from({ length: samples }, (_, k) => Math.fround(draw(k)))
    return toNdArray(data.map((x) => Math.min(Math.max(x, Math.fround(low)), Math.fround(high))))
  }

  const inputs = rows.map(({ ranges }) => ranges.map((range, k) => spread(range, 7 + k)))
  const device = (async () => {
    const all = jit((...xs: Value[][]) => rows.map(({ f }, k) => f(...xs[k]!)))
    return toHosts(all(...inputs.map((xs) => xs.map((x) => toTensor(x)))))
  })()
  device.catch(() => {}) // reported by the tests

  test.each(rows.map((row, k) => [row.name, row, k] as const))('%s', async (_, { f, budget }, k) => {
    const expected = oracle(f, inputs[k]!)(...inputs[k]!)
    const found = (await device)[k]!
    // What is too large or too small for a float is not promised.
    const isNormal = (y: number): boolean => y === 0 || (Math.abs(y) >= smallest && Math.abs(y) <= largest)
    const kept = Array.from(expected.data.keys()).filter((i) => isNormal(expected.data[i]!))
    expect(kept.length).toBeGreaterThan(samples / 4)
    const [actual, wanted] = [found, expected].map(({ data }) => toNdArray(kept.map((i) => data[i]!)))
    expectClose(actual!, wanted!, budget)
  })
})

describe('facts', () => {
  test.each(facts.map((fact) => [fact.name, fact] as const))('%s', async (_, { value, expected, budget }) => {
    expectClose({ data: await jit(value)().data() }, { data: [expected] }, budget)
  })
})

describe('the reference', () => {
  const polygamma = (order: number) => (x: Value) => bind(ops.digamma.primitive, [x], { order })[0]!
  const functions: Named<(x: Value) => Value> = {
    erf: ops.erf,
    erfc: ops.erfc,
    erfInv: ops.erfInv,
    lgamma: ops.lgamma,
    digamma: ops.digamma,
    trigamma: polygamma(1),
    'polygamma 4': polygamma(4),
  }
  const orders: Budget = { relative: 1e-6 }

  test.each(Object.entries(jaxSpecial.double))('scipy in double precision: %s', async (name, table) => {
    const x = ofGolden(table.in)
    const y = toNdArray(table.out.data.map(Number))
    expectClose(oracle(functions[name]!, [x])(x), y, { relative: 2e-13, absolute: 5e-14 })
    if (/gamma$| 4/.test(name))
      expectClose(await toHost(functions[name]!(toTensor(x))), y, { ...orders, absolute: 1e-5 })
  })
})

describe('JAX at special values', () => {
  const functions = new Map(Object.entries(ops)) as unknown as ReadonlyMap<string, F>
  const close: Budget = { relative: 1e-6 }
  const nearZeros: Budget = { ...close, absolute: 1e-6 } // of lgamma between negative whole numbers

  /** Subnormal numbers as zeros; adapters differ in that. */
  const flushed = ({ data, shape, dtype }: HostArray): HostArray =>
    toNdArray(
      data.map((x) => (Math.abs(x) < smallest ? 0 : x)),
      shape,
      dtype,
    )

  async function agree(table: Named<Corner>, what: string): Promise<void> {
    const entries = Object.entries(table)
    const inputs = entries.map(([, { in: xs }]) => xs.map((x) => toTensor(ofGolden(x))))
    const all = jit((...xs: Value[][]) => entries.map(([name], k) => functions.get(name)!(...xs[k]!)))
    const found = await toHosts(all(...inputs))
    for (const [k, [name, { in: xs, out }]] of entries.entries()) {
      const wanted = ofGolden(out)
      const better = special[name] ?? {}
      for (const i of wanted.data.keys()) {
        const key = xs.map((x) => String(ofGolden(x).data[i])).join(', ')
        if (key in better) wanted.data[i] = better[key]!
      }
      const got = flushed(found[k]!)
      expectClose(got, wanted, name === 'lgamma' ? nearZeros : close, `${what}${name}`)
    }
  }

  test('of one number', () => agree(jaxSpecial.unary, ''))
  test('of two numbers', () => agree(jaxSpecial.binary, ''))
  test('of bools', () => agree(jaxSpecial.bools, 'bool '))
  test.each(Object.entries(jaxSpecial.integers))('of %s', async (dtype, { unary, binary }) => {
    await agree(unary, `${dtype} `)
    await agree(binary, `${dtype} `)
  })
})

describe('long sums', () => {
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
