// Random numbers, bit for bit those of `jax.random`.

import { describe, expect, test } from 'vitest'
import { vmap } from '../../autodiff/index.ts'
import { jit, random, type Shape, tensor, threefry2x32, type Value, zeros } from '../../core/index.ts'
import { expectClose } from '../support/close.ts'
import { type GoldenArray, golden, ofGolden } from '../support/golden.ts'
import { type HostArray, toHost, toNdArray, toTensor } from '../support/host.ts'

/** An array, or the ends and checksums of the bits of a long one. */
type Summary =
  | GoldenArray
  | {
      readonly dtype: GoldenArray['dtype']
      readonly shape: Shape
      readonly first: readonly number[]
      readonly last: readonly number[]
      readonly bits_sum_mod_2_32: number
      readonly bits_weighted_sum_mod_2_32: number
    }
interface Golden {
  readonly threefry2x32: readonly { key: [number, number]; count: [number, number]; out: [number, number] }[]
  readonly key: readonly { seed: number; data: readonly number[] }[]
  readonly split: readonly { seed: number; n: number; data: GoldenArray }[]
  readonly fold_in: readonly { seed: number; value: number; data: readonly number[] }[]
  readonly bits: readonly { seed: number; values: Summary }[]
  readonly uniform: readonly { seed: number; minval: number; maxval: number; values: Summary }[]
  readonly derived: {
    readonly [K in 'normal' | 'gumbel']: readonly { seed: number; values: GoldenArray }[]
  } & {
    readonly randint: readonly { seed: number; minval: number; maxval: number; values: GoldenArray }[]
    readonly bernoulli: readonly { seed: number; p: number; values: GoldenArray }[]
    readonly permutation: readonly { seed: number; n: number; values: Summary }[]
    readonly permutation_of_columns: readonly { seed: number; values: GoldenArray }[]
    readonly exponential: readonly { seed: number; values: GoldenArray }[]
    readonly truncated_normal: readonly { seed: number; lower: number; upper: number; values: GoldenArray }[]
    readonly randint_wide: readonly {
      seed: number
      dtype: 'int32' | 'uint32'
      minval: number
      maxval: number
      values: GoldenArray
    }[]
    readonly choice: readonly {
      seed: number
      n: number
      shape: Shape
      replace: boolean
      p: number[] | null
      values: GoldenArray
    }[]
    readonly categorical_along: readonly {
      seed: number
      axis: number
      logits: GoldenArray
      values: GoldenArray
    }[]
    readonly categorical: readonly { seed: number; logits: number[]; values: GoldenArray }[]
  }
}
const jax = golden<Golden>('random.json')

const u32 = (data: readonly number[]) => toNdArray(data, [data.length], 'u32')

function expectSummary(found: HostArray, expected: Summary): void {
  if ('data' in expected) {
    expect(found).toEqual(ofGolden(expected))
    return
  }
  const { data, dtype } = found
  const bits = new Uint32Array((dtype === 'f32' ? Float32Array : Uint32Array).from(data).buffer)
  const sum = (weigh: (word: bigint, place: bigint) => bigint): number =>
    Number(
      BigInt.asUintN(
        32,
        bits.reduce((sum, word, i) => sum + weigh(BigInt(word), BigInt(i + 1)), 0n),
      ),
    )
  const rounded = (x: number): number => (dtype === 'f32' ? Math.fround(x) : x)
  expect({
    shape: found.shape,
    first: [...data.subarray(0, 8)],
    last: [...data.subarray(-8)],
    bits_sum_mod_2_32: sum((word) => word),
    bits_weighted_sum_mod_2_32: sum((word, place) => word * place),
  }).toEqual({
    shape: expected.shape,
    first: expected.first.map(rounded),
    last: expected.last.map(rounded),
    bits_sum_mod_2_32: expected.bits_sum_mod_2_32,
    bits_weighted_sum_mod_2_32: expected.bits_weighted_sum_mod_2_32,
  })
}

describe('as jax.random', () => {
  test('threefry2x32', async () => {
    const column = (part: 'key' | 'count' | 'out', k: 0 | 1) =>
      u32(jax.threefry2x32.map((row) => row[part][k]))
    const [k0, k1, c0, c1] = [column('key', 0), column('key', 1), column('count', 0), column('count', 1)]
    for (const lane of [0, 1] as const) {
      const hash = threefry2x32(toTensor(k0), toTensor(k1), toTensor(c0), toTensor(c1), lane)
      expect(await toHost(hash)).toEqual(column('out', lane))
    }
  })

  test('key', async () => {
    for (const { seed, data } of jax.key) expect(await toHost(random.key(seed))).toEqual(u32(data))
  })

  test('split', async () => {
    for (const { seed, n, data } of jax.split)
      expect(await toHost(random.split(random.key(seed), n))).toEqual(ofGolden(data))
  })

  test('fold_in', async () => {
    for (const { seed, value, data } of jax.fold_in) {
      const key = random.key(seed)
      expect(await toHost(random.foldIn(key, value))).toEqual(u32(data))
      expect(await toHost(random.foldIn(key, toTensor(toNdArray([value], [], 'u32'))))).toEqual(u32(data))
    }
  })

  test('bits', async () => {
    for (const { seed, values } of jax.bits)
      expectSummary(await toHost(random.bits(random.key(seed), values.shape)), values)
  })

  test('uniform', async () => {
    for (const { seed, values, ...range } of jax.uniform)
      expectSummary(await toHost(random.uniform(random.key(seed), values.shape, range)), values)
  })

  test('normal and gumbel, to rounding', async () => {
    for (const name of ['normal', 'gumbel'] as const)
      for (const { seed, values } of jax.derived[name]) {
        const drawn = await toHost(random[name](random.key(seed), values.shape))
        expectClose(drawn, ofGolden(values), { ulps: 4, absolute: 1e-7 }, name)
      }
  })

  test('randint', async () => {
    for (const { seed, minval, maxval, values } of jax.derived.randint) {
      const drawn = random.randint(random.key(seed), values.shape, minval, maxval)
      expect(await toHost(drawn)).toEqual(ofGolden(values))
      const [low, high] = [minval, maxval].map((x) => tensor(x, { dtype: 'i32' }))
      expect(await toHost(random.randint(random.key(seed), values.shape, low!, high!))).toEqual(
        ofGolden(values),
      )
    }
  })

  test('bernoulli', async () => {
    for (const { seed, p, values } of jax.derived.bernoulli)
      expect(await toHost(random.bernoulli(random.key(seed), p, values.shape))).toEqual(ofGolden(values))
  })

  test('permutation', async () => {
    for (const { seed, n, values } of jax.derived.permutation)
      expectSummary(await toHost(random.permutation(random.key(seed), n)), values)
    for (const { seed, values } of jax.derived.permutation_of_columns) {
      const x = toTensor(ofGolden({ ...values, data: values.data.map((_, k) => k) }))
      expect(await toHost(random.permutation(random.key(seed), x, { axis: 1 }))).toEqual(ofGolden(values))
    }
  })

  test('exponential and truncatedNormal, to rounding', async () => {
    const budget = { ulps: 4, absolute: 1e-7 }
    for (const { seed, values } of jax.derived.exponential)
      expectClose(
        await toHost(random.exponential(random.key(seed), values.shape)),
        ofGolden(values),
        budget,
        'exponential',
      )
    for (const { seed, lower, upper, values } of jax.derived.truncated_normal)
      expectClose(
        await toHost(random.truncatedNormal(random.key(seed), lower, upper, values.shape)),
        ofGolden(values),
        budget,
        `truncatedNormal ${lower} ${upper}`,
      )
  })

  test('randint of the widest ranges', async () => {
    for (const { seed, dtype, minval, maxval, values } of jax.derived.randint_wide) {
      const type = dtype === 'int32' ? 'i32' : 'u32'
      const drawn = random.randint(random.key(seed), values.shape, minval, maxval, { dtype: type })
      expect(await toHost(drawn)).toEqual(ofGolden(values))
    }
  })

  test('choice, with and without repetition and weights', async () => {
    for (const { seed, n, shape, replace, p, values } of jax.derived.choice) {
      const drawn = random.choice(random.key(seed), n, shape, { replace, ...(p && { p: tensor(p) }) })
      expect(await toHost(drawn)).toEqual(ofGolden(values))
    }
  })

  test('categorical along an axis', async () => {
    for (const { seed, axis, logits, values } of jax.derived.categorical_along) {
      const given = toTensor(ofGolden(logits))
      const drawn = random.categorical(random.key(seed), given, { axis, shape: values.shape })
      expect(await toHost(drawn)).toEqual(ofGolden(values))
    }
  })

  test('categorical', async () => {
    for (const { seed, logits, values } of jax.derived.categorical) {
      const drawn = random.categorical(random.key(seed), tensor(logits), { shape: values.shape })
      expect(await toHost(drawn)).toEqual(ofGolden(values))
    }
  })
})

test('a text is folded in as a number', async () => {
  const key = random.key(1)
  const [a, again, b] = await Promise.all(['a', 'a', 'b'].map((path) => toHost(random.foldIn(key, path))))
  expect(a).toEqual(again)
  expect(a).not.toEqual(b)
})

const draws: Readonly<Record<string, (key: random.Key) => Value>> = {
  bits: (key) => random.bits(key, [5]),
  normal: (key) => random.normal(key, [2, 3]),
  truncatedNormal: (key) => random.truncatedNormal(key, -1, 2, [7]),
  exponential: (key) => random.exponential(key, [3]),
  randint: (key) => random.randint(key, [4], -5, 60),
  bernoulli: (key) => random.bernoulli(key, 0.3, [9]),
  permutation: (key) => random.permutation(key, 6),
  'choice of rows': (key) =>
    random.choice(
      key,
      tensor([
        [1, 2],
        [3, 4],
      ]),
      [3],
    ),
  'choice without repetition': (key) => random.choice(key, 6, [4], { replace: false }),
  'choice by weight': (key) => random.choice(key, 3, [4], { p: tensor([0.5, 0.25, 0.25]) }),
  'choice by weight without repetition': (key) =>
    random.choice(key, 3, [2], { replace: false, p: tensor([0.5, 0.25, 0.25]) }),
  categorical: (key) =>
    random.categorical(
      key,
      tensor([
        [0, 1, 2],
        [2, 1, 0],
      ]),
      { shape: [4, 2] },
    ),
}

test.each(Object.entries(draws))('%s: many keys are each key, and jit changes nothing', async (_, draw) => {
  const keys = random.split(random.key(7), 3)
  const rows = await Promise.all(
    [0, 1, 2].map((i) => toHost(draw(keys.slice({ start: [i, 0], end: [i + 1, 2] }).reshape([2])))),
  )
  const all = await toHost(vmap(draw)(keys))
  expect([...all.data]).toEqual(rows.flatMap(({ data }) => [...data]))
  expect(await toHost(jit(draw)(random.key(7)))).toEqual(await toHost(draw(random.key(7))))
})

test('shapes without elements, and of more than fit one dispatch', async () => {
  const key = random.key(3)
  for (const shape of [[0], [2, 0]]) expect((await toHost(random.normal(key, shape))).shape).toEqual(shape)
  expect((await toHost(random.permutation(key, 0))).shape).toEqual([0])
  const n = 1_000_003
  const [many, last] = [await random.bits(key, [n]).data(), await random.bits(key, [n - 1]).data()]
  expect(many.subarray(0, n - 1)).toEqual(last)
})

test('moments', async () => {
  const n = 100_000
  const key = random.key(11)
  const moments = async (x: Value): Promise<[number, number]> => {
    const { data } = await toHost(x)
    const mean = data.reduce((a, b) => a + b, 0) / n
    return [mean, data.reduce((a, b) => a + (b - mean) ** 2, 0) / n]
  }
  const cases: [Value, number, number][] = [
    [random.normal(key, [n]), 0, 1],
    [random.exponential(key, [n]), 1, 1],
    [random.gumbel(key, [n]), 0.5772157, Math.PI ** 2 / 6],
    [random.truncatedNormal(key, -1, 1, [n]), 0, 0.2911],
    [random.truncatedNormal(key, 0, Number.POSITIVE_INFINITY, [n]), 0.7979, 1 - 2 / Math.PI],
    [random.randint(key, [n], 0, 10), 4.5, 8.25],
    [random.choice(key, 3, [n], { p: tensor([0.5, 0.25, 0.25]) }), 0.75, 0.6875],
  ]
  for (const [x, mean, variance] of cases) {
    const found = await moments(x)
    expect(Math.abs(found[0] - mean)).toBeLessThan(5 * Math.sqrt(variance / n))
    expect(Math.abs(found[1] / variance - 1)).toBeLessThan(0.03)
  }
})

test('nothing is drawn twice without replacement', async () => {
  for (const p of [undefined, tensor([0.1, 0.2, 0.3, 0.2, 0.2])]) {
    const options = { replace: false, ...(p && { p }) }
    const drawn = await random.choice(random.key(5), 5, [5], options).data()
    expect([...drawn].sort()).toEqual([0, 1, 2, 3, 4])
  }
})

const k = random.key(0)
const failures: Readonly<Record<string, () => unknown>> = {
  'a fractional seed': () => random.key(0.5),
  'a key that is a number': () => random.bits(5 as never, [2]),
  'a key of floats': () => random.normal(zeros([2])),
  'several keys': () => random.normal(random.split(k, 3)),
  'a fraction folded in': () => random.foldIn(k, 0.5),
  'an array folded in': () => random.foldIn(k, zeros([2], 'i32')),
  'no range': () => random.uniform(k, [2], { minval: 1, maxval: 0 }),
  'bounds of another shape': () => random.uniform(k, [2], { minval: zeros([3, 2]) }),
  'no whole numbers': () => random.randint(k, [2], 3, 3),
  'a number outside the type': () => random.randint(k, [2], 0, 2 ** 32),
  'an impossible probability': () => random.bernoulli(k, 1.5),
  'limits that cross': () => random.truncatedNormal(k, 2, -2),
  'draws that do not hold the logits': () => random.categorical(k, zeros([2, 3]), { shape: [3] }),
  'more draws than there are': () => random.choice(k, 3, [4], { replace: false }),
  'draws of nothing': () => random.choice(k, 0, [1]),
  'weights for others': () => random.choice(k, 3, [1], { p: zeros([2]) }),
}

test('messages', () => {
  const messages = Object.entries(failures).map(([name, f]) => {
    try {
      f()
    } catch (error) {
      return `${name}\n  ${(error as Error).name} ${(error as Error).message}`
    }
    return `${name}\n  no error`
  })
  expect(messages.join('\n')).toMatchInlineSnapshot(`
    "a fractional seed
      RangeError random.key: the seed is 0.5; give a whole number
    a key that is a number
      TypeError random.bits: number is no key, which is u32[2]; make one with random.key, and map over several with vmap
    a key of floats
      TypeError random.normal: f32[2] is no key, which is u32[2]; make one with random.key, and map over several with vmap
    several keys
      TypeError random.normal: u32[3,2] is no key, which is u32[2]; make one with random.key, and map over several with vmap
    a fraction folded in
      RangeError random.foldIn: the number is 0.5; give a whole number
    an array folded in
      TypeError random.foldIn: i32[2] is no integer; give an i32 or u32 of rank 0
    no range
      RangeError random.uniform: minval 1 is not below maxval 0; swap them
    bounds of another shape
      TypeError random.uniform: minval is f32[3,2], which does not broadcast to [2]; draw more
    no whole numbers
      RangeError random.randint: low 3 is not below high 3; high is not included
    a number outside the type
      RangeError random.randint: 4294967296 is outside i32; give whole numbers from -2147483648 to 2147483648
    an impossible probability
      RangeError random.bernoulli: p is 1.5; give a probability from 0 to 1
    limits that cross
      RangeError random.truncatedNormal: lower 2 is not below upper -2; swap them
    draws that do not hold the logits
      TypeError random.categorical: shapes [2] and [3] do not broadcast: axis 0 is 2 on the left and 3 on the right; make them equal, or one of them 1
    more draws than there are
      RangeError random.choice: 4 draws of 3 need repetition; draw fewer, or replace
    draws of nothing
      RangeError random.choice: there is nothing to draw from; give more
    weights for others
      TypeError random.choice: p is f32[2], not f32[3]; give each element a probability"
  `)
})
