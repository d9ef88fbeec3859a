// The bench: its arithmetic, its rows, and that contenders agree on small sizes.

import { readdir, readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { bytesOf, cases, noise, operationsOf, tokens, type Work } from './cases.ts'
import type { Contender } from './contenders/contender.ts'
import { agreed, leavesOf } from './contenders/contender.ts'
import { cotangent, unfused } from './contenders/cotangent.ts'
import { wgsl } from './contenders/wgsl.ts'
import { historySvg, pointsOf, type Recorded } from './history.ts'
import { distance, measure, type Row } from './measure.ts'
import { metered } from './meter.ts'
import { lines, page, ratioOf } from './report.ts'
import { median, play } from './rounds.ts'

test('the median is the middle, or the mean of the middle two', () => {
  expect(median([5, 1, 3])).toBe(3)
  expect(median([4, 1, 3, 2])).toBe(2.5)
})

test('in each round everyone has a turn, and each begins one', async () => {
  const order: string[] = []
  const turn = (name: string) => ({ name, milliseconds: 20, call: async () => void order.push(name) })
  const samples = await play([turn('a'), turn('b'), turn('c')], 3)
  expect(order.join('')).toBe('abcbcacab')
  expect(samples.map(({ length }) => length)).toEqual([3, 3, 3])
})

test('a turn that fails fails the rounds', async () => {
  const call = async () => {
    throw new Error('lost')
  }
  await expect(play([{ name: 'a', milliseconds: 20, call }], 1)).rejects.toThrow('lost')
})

test('the distance of vectors is relative, and infinite where they do not fit', () => {
  expect(distance([3, 4], [3, 4])).toBe(0)
  expect(distance([3, 4.5], [3, 4])).toBeCloseTo(0.1)
  expect(distance([1], [1, 2])).toBe(Number.POSITIVE_INFINITY)
  expect(distance([Number.NaN], [1])).toBeNaN()
})

test('what is agreed on are the first array and the lengths of the others, in the order of their keys', () => {
  const tree = { b: [{ data: [3, 4] }], a: { data: [1, 2] } }
  const leaves = leavesOf(tree, (node): node is { data: number[] } => 'data' in node)
  expect(agreed(leaves.map(({ data }) => data))).toEqual([[1, 2], [5]])
})

test('inputs are drawn by name', () => {
  const { data, shape } = noise('x', [3, 5])
  expect(shape).toEqual([3, 5])
  expect(noise('x', [3, 5]).data).toEqual(data)
  expect(noise('y', [3, 5]).data).not.toEqual(data)
  expect(Math.max(...noise('x', [1000]).data)).toBeLessThanOrEqual(1)
  const mean = [...noise('x', [10_000]).data].reduce((a, b) => a + b) / 10_000
  expect(Math.abs(mean)).toBeLessThan(0.03)
  for (const id of tokens('ids', [100], 7).data) expect(id >= 0 && id < 7).toBe(true)
})

test('operations and bytes are those of the computation', () => {
  expect(operationsOf(cases['matmul-batched']!)).toBe(16 * 2 * 128 * 64 * 128)
  expect(bytesOf(cases['matmul-1x1024']!)).toBe(4 * (1024 + 1024 ** 2 + 1024))
  expect(operationsOf(cases['blocks-16']!)).toBe(16 * operationsOf(cases.block!)!)
  expect(operationsOf(cases.copy!)).toBe(null)
  expect(bytesOf(cases.copy!)).toBe(8 * 2 ** 22)
})

const small: readonly Work[] = [
  { kind: 'product', batch: [2], rows: 12, depth: 4, columns: 4 },
  { kind: 'attention', heads: 2, time: 8, size: 4, gradient: true },
]

test('contenders agree', async () => {
  const [product, attention] = small as [Work, Work]
  for (const [work, other] of [
    [product, wgsl],
    [attention, unfused],
  ] as const) {
    const [ours, theirs] = [await cotangent.prepare(work), await other.prepare(work)]
    const [right, found] = [await ours!.first(), await theirs!.first()]
    expect(found.length).toBe(right.length)
    for (const [k, vector] of right.entries()) expect(distance(found[k]!, vector)).toBeLessThan(1e-5)
    for (const ready of [ours, theirs]) ready?.close()
  }
})

test('what is asked of the device is counted', async () => {
  const ready = (await cotangent.prepare(small[0]!))!
  await ready.first()
  const { asked } = await metered(ready.run)
  expect(asked).toEqual({ dispatches: 1, submits: 1, pipelines: 0, pipelineMilliseconds: 0 })
  ready.close()
})

/** Says `answer`; takes no time. */
const stub = (name: string, answer: number): Contender => ({
  name,
  onAdapter: false,
  spent: () => null,
  prepare: async () => ({
    first: async () => [[answer]],
    run: async () => {},
    close: () => {},
    plannedBytes: null,
  }),
})

test('a case has a row for each contender that is right, and says who is not', async () => {
  const { run } = (await stub('limits', 1).prepare(small[0]!))!
  const absent: Contender = { ...stub('absent', 1), prepare: async () => null }
  const { rows, failures, peaks } = await measure(
    'matmul-256',
    [stub('cotangent', 1), stub('wrong', 2), absent, stub('near', 1.0005)],
    2,
    async () => ({ arithmetic: { run }, operations: 1e6, copying: { run }, bytes: 1e6 }),
  )
  expect(rows.map(({ contender }) => contender)).toEqual(['cotangent', 'near'])
  expect(failures).toEqual([
    { case: 'matmul-256', contender: 'wrong', reason: 'the result is off by 1.0 of it' },
  ])
  expect(peaks.gflops).toBeGreaterThan(0)
  expect(Object.keys(rows[0]!).sort()).toEqual(Object.keys(row('case', 'contender', 1)).sort())
  expect(rows[0]).toMatchObject({ case: 'matmul-256', adapter: 'CPU', dispatches: null, rounds: 2 })
})

const row = (name: string, contender: string, milliseconds: number): Row => ({
  case: name,
  contender,
  adapter: 'an adapter',
  milliseconds,
  dispatches: 3,
  submits: 1,
  pipelines: 2,
  traceMilliseconds: null,
  compileMilliseconds: 12.34,
  pipelineMilliseconds: 150,
  plannedBytes: 2 ** 20,
  gflops: 2,
  gbps: null,
  gflopsShare: 0.25,
  gbpsShare: null,
  rounds: 15,
  note: null,
})

const rows = [row('block', 'cotangent', 10), row('block', 'jax-js', 25), row('step', 'jax-js', 5)]

test('a ratio is to the library in the same case', () => {
  expect(rows.map((row) => ratioOf(row, rows))).toEqual([1, 2.5, null])
})

test('rows as text', () => {
  expect(lines(rows.slice(0, 2))).toMatchInlineSnapshot(`
    "cotangent               10.0      1.00   2.00 (25 %)                         3         1          2                12.3       150         1.00        15
    jax-js                  25.0      2.50   2.00 (25 %)                         3         1          2                12.3       150         1.00        15"
  `)
  const failures = [{ case: 'step', contender: 'tfjs', reason: 'it has no such thing' }]
  const text = page([{ adapter: 'an adapter', command: 'npm run bench', rows, failures }])
  expect(text.slice(text.indexOf('## an adapter'))).toMatchInlineSnapshot(`
    "## an adapter

    \`npm run bench\`

    | case | contender | ms | ratio | GFLOP/s | GB/s | dispatches | submits | pipelines | trace | compile | make | planned MiB | rounds |
    | --- | --- | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |
    | block | cotangent | 10.0 | 1.00 | 2.00 (25 %) |  | 3 | 1 | 2 |  | 12.3 | 150 | 1.00 | 15 |
    |  | jax-js | 25.0 | 2.50 | 2.00 (25 %) |  | 3 | 1 | 2 |  | 12.3 | 150 | 1.00 | 15 |
    | step | jax-js | 5.00 |  | 2.00 (25 %) |  | 3 | 1 | 2 |  | 12.3 | 150 | 1.00 | 15 |

    Not done:

    - tfjs, step: it has no such thing
    "
  `)
})

test('the page is that of the runs that are kept', async () => {
  const folder = new URL('results/', import.meta.url)
  const files = (await readdir(folder)).sort()
  const texts = await Promise.all(files.map((name) => readFile(new URL(name, folder), 'utf8')))
  const kept = await readFile(new URL('../../docs/benchmarks.md', import.meta.url), 'utf8')
  expect(page(texts.map((text) => JSON.parse(text)))).toBe(kept)
})

test('the history is a line for each case', () => {
  const history: Recorded[] = ['2026-01-01T00:00:00Z', '2026-02-01T00:00:00Z'].flatMap((at, k) =>
    rows.map((row) => ({ at, commit: null, ...row, milliseconds: row.milliseconds * (k + 1) })),
  )
  expect(pointsOf(history).map((point) => [point.case, point.ratio])).toEqual([
    ['block', 2.5],
    ['block', 2.5],
  ])
  expect(historySvg(history)).toMatch(/^<svg .*>block<\/text>.*<\/svg>\n$/s)
  expect(() => historySvg([])).toThrowErrorMatchingInlineSnapshot(
    `[RangeError: bench: the history has no run of the library with jax-js; record one with --record]`,
  )
})
