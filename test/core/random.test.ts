// Random numbers, bit for bit those of `jax.random`.

import { describe, expect, test } from 'vitest'
import { random, type Shape, threefry2x32 } from '../../core/index.ts'
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
})

test('a text is folded in as a number', async () => {
  const key = random.key(1)
  const [a, again, b] = await Promise.all(['a', 'a', 'b'].map((path) => toHost(random.foldIn(key, path))))
  expect(a).toEqual(again)
  expect(a).not.toEqual(b)
})
