// Attention against JAX, fused against unfused on random shapes, and that neither direction stores scores.

import { describe, expect, test } from 'vitest'
import { grad, jvp, linearTranspose, vjp } from '../../autodiff/index.ts'
import {
  type AttentionOptions,
  Aval,
  cast,
  dotProductAttention,
  full,
  jit,
  lower,
  mul,
  sum,
  tensor,
  type Value,
  zeros,
} from '../../core/index.ts'
import { expectClose } from '../support/close.ts'
import { type GoldenArray, golden, ofGolden, ofLargest } from '../support/golden.ts'
import { type HostArray, toHosts, toTensors } from '../support/host.ts'
import { floats, generator, halves } from '../support/inputs.ts'

type Values = readonly [Value, Value, Value]

interface Case {
  readonly name: string
  readonly options: {
    readonly scale?: number
    readonly is_causal?: boolean
    readonly local_window_size?: number | readonly [number, number]
  }
  readonly in: readonly GoldenArray[]
  readonly mask: GoldenArray | null
  readonly weights: GoldenArray
  readonly directions: readonly GoldenArray[]
  readonly out: GoldenArray
  readonly grad: readonly GoldenArray[]
  readonly second: readonly GoldenArray[]
}

/** Gradients of a weighted sum of the result. */
const gradients = (options: AttentionOptions, weights: Value, args: Values): readonly Value[] =>
  grad((q: Value, k: Value, v: Value) => sum(mul(weights, dotProductAttention(q, k, v, options))), {
    argnums: [0, 1, 2],
  })(...args)

/** The result, the gradients, and their derivatives in a direction. */
const everything = (options: AttentionOptions) => (args: Values, weights: Value, directions: Values) => ({
  out: [dotProductAttention(...args, options)],
  grad: gradients(options, weights, args),
  second: jvp(
    (...args: Values) => gradients(options, weights, args) as unknown as Values,
    args,
    directions,
  )[1],
})

/** A mask that hides nothing: with it, attention is a composition that stores its scores. */
const shown = (): Value => full([1, 1, 1, 1], 1, 'bool')

function expectAll(
  actual: readonly HostArray[],
  expected: readonly HostArray[],
  share: number,
  what: string,
): void {
  expect(actual.length).toBe(expected.length)
  const largest = Math.max(...expected.map((y) => ofLargest(y, share).absolute!)) // terms of all kinds cancel
  for (const [k, y] of expected.entries()) expectClose(actual[k]!, y, { absolute: largest }, `${what} ${k}`)
}

describe('jax.nn.dot_product_attention', () => {
  test.each(golden<{ readonly cases: readonly Case[] }>('attention.json').cases)('$name', async (example) => {
    const { scale, is_causal: causal, local_window_size: window } = example.options
    const [mask] = toTensors(example.mask ? [ofGolden(example.mask)] : [])
    const options: AttentionOptions = {
      ...(scale !== undefined && { scale }),
      ...(causal !== undefined && { causal }),
      ...(window !== undefined && { window }),
      ...(mask && { mask }),
    }
    const args = toTensors(example.in.map(ofGolden)) as unknown as Values
    const [weights, ...directions] = toTensors([example.weights, ...example.directions].map(ofGolden))
    const found = jit(everything(options))(args, weights!, directions as unknown as Values)
    for (const key of ['out', 'grad', 'second'] as const) {
      const expected = [example[key]].flat().map(ofGolden)
      const share = key === 'second' ? 8e-6 : 4e-6 // JAX's softmax is f32 even in x64, and its roundings come on top
      expectAll((await toHosts(found[key])) as readonly HostArray[], expected, share, key)
    }
  })
})

describe('fused = unfused', () => {
  const random = generator(1)
  const below = (n: number): number => Math.floor(random() * n)
  const shapes = Array.from({ length: 8 }, () => {
    const [batch, kvHeads, group] = [1 + below(2), 1 + below(2), 1 + below(3)]
    const [time, keys, size] = [1 + below(19), 1 + below(19), [3, 4, 8, 16, 20, 64][below(6)]!]
    const window = below(2) === 0 ? {} : { window: [time + below(3), below(4)] as const }
    const options: AttentionOptions = { causal: below(2) === 0, ...window }
    return { queries: [batch, time, kvHeads * group, size], keys: [batch, keys, kvHeads, size], options }
  })
  test.each(shapes)('$queries, $keys, $options', async ({ queries, keys, options }) => {
    const draw = (shape: readonly number[]): HostArray => floats(shape).draw(random)
    const hosts = [queries, keys, keys, queries].map(draw)
    const [q, k, v, weights] = toTensors(hosts) as unknown as [Value, Value, Value, Value]
    const both = (options: AttentionOptions) =>
      jit((args: Values, weights: Value) => [
        dotProductAttention(...args, options),
        ...gradients(options, weights, args),
      ])([q, k, v], weights)
    const fused = (await toHosts(both(options))) as readonly HostArray[]
    const unfused = (await toHosts(both({ ...options, mask: shown() }))) as readonly HostArray[]
    expectAll(fused, unfused, 2e-6, 'result')
  })

  test.each(['f16', 'bf16'] as const)('%s is computed in f32 and rounded once', async (dtype) => {
    const hosts = [1, 2, 3].map(() => halves(dtype, floats([1, 6, 2, 8])).draw(random))
    const half = toTensors(hosts) as unknown as Values
    const wide = half.map((x) => cast(x, 'f32')) as unknown as Values
    const attend = jit((...args: Values) => dotProductAttention(...args, { causal: true }))
    const [found, expected] = [attend(...half), cast(attend(...wide), dtype)]
    expect(found.dtype).toBe(dtype)
    expect(await found.data()).toEqual(await expected.data())
  })

  test('a score that is NaN makes its row NaN, and no other', async () => {
    const x = new Float32Array(4 * 4).fill(1)
    x[9] = Number.NaN
    const q = tensor(x, { shape: [1, 4, 1, 4] })
    const k = full([1, 4, 1, 4], 1)
    const found = await dotProductAttention(q, k, k).data()
    expect([...found].map(Number.isNaN)).toEqual([...x].map((_, n) => n >= 8 && n < 12))
  })

  test('the pullback is linear, and its transpose the pushforward', async () => {
    const hosts = [1, 2, 3, 4].map(() => floats([1, 5, 2, 4]).draw(random))
    const [q, k, v, t] = toTensors(hosts) as unknown as [Value, Value, Value, Value]
    const attend = (q: Value): Value => dotProductAttention(q, k, v, { causal: true })
    const pullback = (ct: Value): Value => vjp(attend, q)[1](ct)[0]
    const [back, pushed] = [linearTranspose(pullback, q)(t)[0], jvp(attend, [q], [t])[1]]
    expectAll(
      (await toHosts([back])) as HostArray[],
      (await toHosts([pushed])) as HostArray[],
      2e-6,
      'tangent',
    )
  })
})

describe('memory', () => {
  const size = 64
  const shapes = (time: number): Values => {
    const x = new Aval([1, time, 2, size], 'f32') as unknown as Value
    return [x, x, x]
  }
  const forward = (...args: Values): Value => dotProductAttention(...args, { causal: true })
  const backward = (...args: Values): readonly Value[] => gradients({ causal: true }, full([], 1), args)

  test.each([
    ['forward', forward],
    ['backward', backward],
  ] as const)('%s: no array of scores, and bytes linear in the time', (_, f) => {
    const [half, whole] = [1024, 2048].map((time) =>
      lower(f as (...args: Values) => unknown)(...shapes(time)),
    )
    expect(whole!.plannedBytes).toBe(2 * half!.plannedBytes)
    expect(Math.max(...whole!.plan.slots, 0)).toBeLessThanOrEqual(2048 * 2 * size * 4)
  })

  test('dispatches: one forward; a product of rows and two more backward', () => {
    const names = (f: (...args: Values) => unknown) =>
      lower(f)(...shapes(128)).kernels.map(({ name }) => name)
    expect(names(forward)).toEqual(['attention'])
    expect(names(backward).filter((name) => name.startsWith('attention'))).toEqual([
      'attention',
      'attention_cotangent_0',
      'attention_cotangent_1',
    ])
  })
})

test('messages', () => {
  const x = zeros([2, 3, 4, 8])
  const failures = [
    () => dotProductAttention(zeros([3, 8]), x, x),
    () => dotProductAttention(x, x, zeros([2, 3, 4, 4])),
    () => dotProductAttention(zeros([2, 3, 3, 8]), zeros([2, 3, 2, 8]), zeros([2, 3, 2, 8])),
    () => dotProductAttention(x, x, x, { window: -1 }),
    () => dotProductAttention(x, x, x, { mask: zeros([3, 3]) }),
    () => dotProductAttention(x, x, x, { mask: full([2, 3, 3, 3], 1, 'bool') }),
  ]
  const messages = failures.map((f) => {
    try {
      f()
    } catch (error) {
      return `${(error as Error).name} ${(error as Error).message}`
    }
    return 'no error'
  })
  expect(messages.join('\n')).toMatchInlineSnapshot(`
    "TypeError dotProductAttention: q, k and v are f32[3,8], f32[2,3,4,8], f32[2,3,4,8]; give each the axes [batch, time, heads, size], or all but the first
    TypeError dotProductAttention: q, k and v are f32[2,3,4,8], f32[2,3,4,8], f32[2,3,4,4]; k and v must be alike, and q like them but for time and heads
    TypeError dotProductAttention: 3 query heads cannot share 2 key heads; one must divide the other
    RangeError dotProductAttention: window [-1, -1] is negative; give two counts of keys
    TypeError dotProductAttention: the mask is f32[3,3]; make it a bool that broadcasts to [2,4,3,3]
    TypeError dotProductAttention: the mask is bool[2,3,3,3]; make it a bool that broadcasts to [2,4,3,3]"
  `)
})
