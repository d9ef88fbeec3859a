// Layers on the device against their formulas, written out in double precision.

import { grad, jit, random, tensor, type Value } from 'cotangent'
import {
  attention,
  causalLoss,
  crossEntropy,
  embedding,
  ignored,
  kaimingUniform,
  type RopeScaling,
  rmsNorm,
  ropeTable,
  rotate,
  silu,
  swiglu,
} from 'cotangent/nn'
import { describe, expect, test } from 'vitest'
import { type Budget, expectClose } from '../support/close.ts'
import { type GoldenArray, golden, ofGolden } from '../support/golden.ts'
import { type HostArray, toHost, toNdArray, toTensor, toTensors } from '../support/host.ts'
import { between, floats, generator, integers } from '../support/inputs.ts'

const budget: Budget = { relative: 1e-5, absolute: 1e-6 }
const draw = generator(3)
const f32 = (...shape: number[]): HostArray => floats(shape).draw(draw)

/** An array from a formula of the index. */
function fromIndex(shape: readonly number[], element: (...index: number[]) => number): HostArray {
  const size = shape.reduce((a, b) => a * b, 1)
  const index = (flat: number): number[] =>
    shape.map((n, axis) => Math.floor(flat / shape.slice(axis + 1).reduce((a, b) => a * b, 1)) % n)
  return toNdArray(
    Array.from({ length: size }, (_, flat) => element(...index(flat))),
    shape,
  )
}
const at = ({ data, shape }: HostArray, ...index: number[]): number =>
  data[shape.reduce((flat, n, axis) => flat * n + index[axis]!, 0)]!
const total = (n: number, term: (k: number) => number): number =>
  Array.from({ length: n }, (_, k) => term(k)).reduce((a, b) => a + b, 0)
const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x))

const rope = { length: 4, headSize: 6, theta: 100 }
const x = f32(2, 4, 8)
const [weight, heads] = [f32(8), f32(2, 4, 3, 6)]
const [q, k, v] = [f32(2, 4, 6, 4), f32(2, 4, 2, 4), f32(2, 4, 2, 4)]
const [gate, up, down] = [f32(5, 8), f32(5, 8), f32(8, 5)]
const logits = between(-80, 80, [2, 4, 7]).draw(draw)
const labels = integers(0, 6, [2, 4]).draw(draw)
const holes = toNdArray(
  labels.data.map((label, i) => (i % 3 === 0 ? ignored : label)),
  [2, 4],
  'i32',
)
const none = toNdArray(new Array<number>(8).fill(ignored), [2, 4], 'i32')

/** The softmax of the scores of the keys that a query sees, for one query. */
function attend(b: number, t: number, h: number, isCausal: boolean): number[] {
  const score = (s: number): number =>
    total(4, (d) => at(q, b, t, h, d) * at(k, b, s, Math.floor(h / 3), d)) / 2
  const scores = Array.from({ length: isCausal ? t + 1 : 4 }, (_, s) => Math.exp(score(s)))
  return scores.map((e) => e / scores.reduce((a, b) => a + b))
}
const attended = (isCausal: boolean): HostArray =>
  fromIndex([2, 4, 24], (b, t, column) => {
    const [h, d] = [Math.floor(column! / 4), column! % 4]
    const weights = attend(b!, t!, h, isCausal)
    return total(weights.length, (s) => weights[s]! * at(v, b!, s, Math.floor(h / 3), d))
  })

const lossAt = (b: number, t: number, label: number): number => {
  const row = Array.from({ length: 7 }, (_, c) => at(logits, b, t, c))
  const largest = Math.max(...row)
  return largest + Math.log(total(7, (c) => Math.exp(row[c]! - largest))) - row[label]!
}
const meanLoss = (labels: HostArray, shift = 0): HostArray => {
  const places = [0, 1].flatMap((b) =>
    [0, 1, 2, 3].slice(0, 4 - shift).flatMap((t) => {
      const label = at(labels, b, t + shift)
      return label === ignored ? [] : [lossAt(b, t, label)]
    }),
  )
  return toNdArray([total(places.length, (k) => places[k]!) / Math.max(1, places.length)], [])
}

const rows: readonly [string, (...xs: Value[]) => Value, readonly HostArray[], HostArray][] = [
  [
    'rmsNorm',
    (x, w) => rmsNorm(x, w, { eps: 0.1 }),
    [x, weight],
    fromIndex([2, 4, 8], (b, t, c) => {
      const meanSquare = total(8, (k) => at(x, b!, t!, k) ** 2) / 8
      return (at(x, b!, t!, c!) / Math.sqrt(meanSquare + 0.1)) * at(weight, c!)
    }),
  ],
  [
    'rotate',
    (x) => rotate(x, ropeTable(rope)),
    [heads],
    fromIndex([2, 4, 3, 6], (b, t, h, d) => {
      const angle = t! * 100 ** (-(d! % 3) / 3)
      const other = at(heads, b!, t!, h!, (d! + 3) % 6)
      return at(heads, b!, t!, h!, d!) * Math.cos(angle) + (d! < 3 ? -other : other) * Math.sin(angle)
    }),
  ],
  [
    'attention, grouped and causal',
    (q, k, v) => attention(q, k, v, { causal: true }),
    [q, k, v],
    attended(true),
  ],
  ['attention to everything', (q, k, v) => attention(q, k, v), [q, k, v], attended(false)],
  ['silu', silu, [x], fromIndex([2, 4, 8], (...i) => at(x, ...i) * sigmoid(at(x, ...i)))],
  [
    'swiglu',
    (x, gate, up, down) => swiglu(x, { gate: gate!, up: up!, down: down! }),
    [x, gate, up, down],
    fromIndex([2, 4, 8], (b, t, o) =>
      total(5, (k) => {
        const g = total(8, (i) => at(x, b!, t!, i) * at(gate, k, i))
        const u = total(8, (i) => at(x, b!, t!, i) * at(up, k, i))
        return at(down, o!, k) * g * sigmoid(g) * u
      }),
    ),
  ],
  ['crossEntropy', (x, y) => crossEntropy(x, y), [logits, labels], meanLoss(labels)],
  ['crossEntropy with ignored labels', (x, y) => crossEntropy(x, y), [logits, holes], meanLoss(holes)],
  ['crossEntropy of nothing', (x, y) => crossEntropy(x, y), [logits, none], toNdArray([0], [])],
  ['causalLoss', (x, y) => causalLoss(x, y), [logits, holes], meanLoss(holes, 1)],
]

test.each(rows)('%s', async (name, f, inputs, expected) => {
  const actual = await toHost(jit(f as never as (...xs: Value[]) => Value)(...inputs.map(toTensor)))
  expectClose(actual, expected, budget, name)
})

test('query heads that key heads do not divide', () => {
  const [q, k] = toTensors([f32(1, 2, 3, 4), f32(1, 2, 2, 4)])
  expect(() => attention(q!, k!, k!)).toThrowErrorMatchingInlineSnapshot(
    `[TypeError: dotProductAttention: 3 query heads cannot share 2 key heads; one must divide the other]`,
  )
})

describe('ropeTable has the frequencies of transformers', () => {
  const llama3: RopeScaling = {
    factor: 8,
    lowFrequencyFactor: 1,
    highFrequencyFactor: 4,
    originalLength: 64,
  }
  test.each([
    ['tiny-llama', { headSize: 8, theta: 10000, scaling: null }],
    ['tiny-llama-tied', { headSize: 16, theta: 500000, scaling: llama3 }],
  ] as const)('%s', async (name, options) => {
    const expected = ofGolden(golden<{ readonly inv_freq: GoldenArray }>(`llama-${name}.json`).inv_freq)
    const { cos, sin } = ropeTable({ length: 2, ...options })
    const [cosines, sines] = [await cos.data(), await sin.data()]
    const { headSize } = options
    // the angle at position 1, from the second half, whose sines have their own sign
    const angles = expected.data.map((_, i) => {
      const column = headSize + headSize / 2 + i
      return Math.atan2(sines[column]!, cosines[column]!)
    })
    expectClose(toNdArray(angles), expected, { relative: 1e-6 })
  })
})

test('kaimingUniform fills ±1/√in evenly', async () => {
  const { data, shape } = await toHost(kaimingUniform(random.key(1), [64, 25]))
  expect(shape).toEqual([64, 25])
  expect(data.every((x) => Math.abs(x) <= 0.2)).toBe(true)
  const share = (low: number, high: number) => data.filter((x) => x >= low && x < high).length / data.length
  for (const low of [-0.2, -0.1, 0, 0.1]) expect(share(low, low + 0.1)).toBeCloseTo(0.25, 1)
  expect(await toHost(kaimingUniform(random.key(1), [64, 25]))).toEqual(toNdArray(data, shape))
})

test('embedding reads rows, and a row that is read twice gets both gradients', async () => {
  const table = tensor([
    [1, 2],
    [3, 4],
    [5, 6],
  ])
  const tokens = tensor(new Int32Array([2, 0, 2]))
  expect(Array.from(await embedding(table, tokens).data())).toEqual([5, 6, 1, 2, 5, 6])
  const gradient = grad((t: Value) => embedding(t, tokens).sum())(table)
  expect(Array.from(await gradient.data())).toEqual([1, 1, 0, 0, 2, 2])
  expect(() => embedding(tokens, tokens)).toThrow(/^embedding: the table is i32\[3\]; it must have /)
})
