// Where time and memory go: a row for every dispatch, with the line that asked for it; and how far compiling is.

import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import {
  jit,
  linalg,
  lower,
  onCompile,
  type ProfiledStep,
  profile,
  random,
  scan,
  statistics,
  tensor,
  type Value,
  valueAndGrad,
} from 'cotangent'
import { linear } from 'cotangent/nn'
import { DOMParser } from 'linkedom'
import { describe, expect, test, vi } from 'vitest'
import { openDevice } from '../../core/device/device.ts'

const text = (await readFile(fileURLToPath(import.meta.url), 'utf8')).split('\n')
/** What stands on a line of this file. */
const lineOf = ({ line }: Pick<ProfiledStep, 'line'>): string => {
  const [, file, number] = /^(.*):(\d+):\d+$/.exec(line ?? '') ?? []
  expect(file).toBe('test/core/profile.test.ts')
  return text[Number(number) - 1]!.trim()
}

const noise = (...shape: number[]): Value => random.normal(random.key(shape.length), shape)
const layers = { first: noise(96, 64), second: noise(32, 96) }
const loss = (p: typeof layers, x: Value): Value => {
  const hidden = linear(x, p.first).tanh() // the first layer
  const out = linear(hidden, p.second) // the second layer
  return out.mul(out).mean() // the loss
}
const x = noise(48, 64)

describe('profile', () => {
  test('every dispatch of a network of two layers has a row, a time and a line', async () => {
    const step = jit(valueAndGrad(loss))
    const [[value], cold] = await profile(step)(layers, x)
    expect(await value.item()).toBeCloseTo(await loss(layers, x).item(), 4)
    const before = await statistics()
    const [, report] = await profile(step)(layers, x)
    const after = await statistics()
    expect(report.steps.length).toBe(after.dispatches - before.dispatches)
    expect(after.submits - before.submits).toBe(1)
    expect(after.pipelines).toBe(before.pipelines) // what is profiled is what runs without
    expect(report.steps.map(({ kernel }) => kernel)).toEqual(cold.steps.map(({ kernel }) => kernel))

    for (const step of report.steps) {
      expect(step.milliseconds).toBeGreaterThan(0)
      expect(step.equation).toMatch(/^f32\[[\d,]*\] = \w+/)
      expect(lineOf(step)).toMatch(/the (?:first layer|second layer|loss)$/)
    }
    expect(report.milliseconds).toBeLessThan(1.5 * report.wallMilliseconds)
    const starts = report.steps.map(({ start }) => start)
    expect(starts).toEqual(starts.toSorted((a, b) => a - b))

    const total = (of: readonly { readonly milliseconds: number }[]): number =>
      of.reduce((sum, { milliseconds }) => sum + milliseconds, 0)
    expect(total(report.rows)).toBeCloseTo(total(report.steps), 6)
    expect(total(report.lines)).toBeCloseTo(total(report.steps), 6)
    expect(report.rows.reduce((sum, { dispatches }) => sum + dispatches, 0)).toBe(report.steps.length)

    const products = report.rows.filter(({ kind }) => kind === 'product')
    expect(products.map(lineOf)).toContain('const out = linear(hidden, p.second) // the second layer')
    for (const { layer } of products) expect(layer).toMatch(/^nn\/linear\.ts:\d+:\d+$/)
    // two forward, and backward one for each weight and one for what is between
    expect(
      products.flatMap(({ equations }) => equations).filter((e) => e.includes('= contract')),
    ).toHaveLength(5)
    for (const { gflops, gbps, share } of products) {
      expect(gflops).toBeGreaterThan(0)
      expect(share).toBeCloseTo(Math.max(gflops / report.peak.gflops, gbps / report.peak.gbps), 6)
    }
  })

  test('as text it is a table, as a trace it is what Perfetto reads', async () => {
    const [, report] = await profile(jit(loss))(layers, x)
    const [first, second, ...text] = String(report).split('\n')
    const lines = text.slice(text.findIndex((line) => line.includes('GFLOP/s')))
    expect(first).toMatch(/: at most [\d.]+ GFLOP\/s, [\d.]+ GB\/s$/)
    expect(second).toMatch(/^[\d.]+ ms in \d+ steps of \d+ kernels; [\d.]+ ms from the call to the end$/)
    expect(lines.filter((line) => /profile\.test\.ts:\d+(?: › linear\.ts:\d+)?$/.test(line))).toHaveLength(
      report.rows.length,
    )
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThan(170)

    const { traceEvents } = JSON.parse(report.trace())
    const events = traceEvents.filter(({ ph }: { ph: string }) => ph === 'X')
    expect(events.map(({ name, ts, dur }: Record<string, unknown>) => [name, ts, dur])).toEqual(
      report.steps.map(({ kernel, start, milliseconds }) => [kernel, 1000 * start, 1000 * milliseconds]),
    )
    expect(events[0].args).toMatchObject({ line: report.steps[0]!.line, equation: report.steps[0]!.equation })
  })

  test('loops are timed turn by turn, host steps by the host', async () => {
    const f = jit((a: Value) => {
      const [last] = scan((carry: Value, k: Value) => [carry.mul(k), carry], a, tensor([1, 2, 3])) // in a scan
      return linalg.cholesky(last.add(4)).sum() // by the host
    })
    const [value, report] = await profile(f)(tensor([[1]]))
    expect(await value.item()).toBeCloseTo(Math.sqrt(10), 5)
    const turns = report.rows.filter((row) => row.line !== null && /in a scan$/.test(lineOf(row)))
    expect(turns.map(({ dispatches }) => dispatches)).toContain(3)
    for (const { equation } of report.steps) expect(equation).not.toContain('\n')
    const [host] = report.rows.filter(({ kind }) => kind === 'host')
    expect(host).toMatchObject({ kernel: 'cholesky', dispatches: 1, gflops: 0, share: 0 })
    expect(lineOf(host!)).toMatch(/by the host$/)
    expect(String(report)).toMatch(/the host .* 1 dispatch$/m)
  })
})

test('one profile is taken at a time, and what runs after it is not in it', async () => {
  const f = jit((x: Value) => x.mul(x))
  const first = profile(f)(x)
  await expect(profile(f)(x)).rejects.toThrowErrorMatchingInlineSnapshot(
    `[Error: profile: another profile is being taken; await it first]`,
  )
  const [, report] = await first
  expect(report.steps).toHaveLength(1)
  await f(x).data()
  expect(report.steps).toHaveLength(1)
})

test('a function that waits is profiled to its end; what it throws is thrown, and the next profile works', async () => {
  const f = jit((x: Value) => x.mul(x))
  const waits = async (x: Value) => ((await f(x).data())[0]! > 0 ? f(f(x)) : x)
  const [value, report] = await profile(waits)(tensor([2]))
  expect([value.shape, report.steps.length]).toEqual([[1], 3])
  const fails = (): Value => {
    throw new RangeError('own')
  }
  await expect(profile(fails)()).rejects.toThrow('own')
  expect((await profile(f)(x))[1].steps).toHaveLength(1)
})

test('an adapter without a clock is an error that says what to do', async () => {
  const { gpu, choice } = await openDevice()
  vi.spyOn(gpu.features, 'has').mockReturnValue(false)
  const error = await profile(loss)(layers, x).catch((error: Error) => error)
  expect(String(error).replace(choice.name, 'ADAPTER')).toMatchInlineSnapshot(
    `"Error: profile: ADAPTER has no timestamp queries; time whole calls instead, from synchronize() to synchronize()"`,
  )
  vi.restoreAllMocks()
})

describe('the timeline of memory', () => {
  const power = (x: Value): Value => [1, 2, 3, 4].reduce((y) => y.matmul(x), x)
  const { timeline, plan } = lower(power)(noise(64, 64))
  const { steps, arrays, live, peak, slots, svg } = timeline()

  test('each array lies in its slot from the step that writes it to the last that reads it', () => {
    expect(steps).toHaveLength(plan.steps.length)
    expect(arrays.length).toBeGreaterThan(slots.length)
    for (const { slot, from, to, bytes } of arrays) {
      expect(bytes).toBeLessThanOrEqual(slots[slot]!)
      const others = arrays.filter((other) => other.slot === slot && other.from > from)
      for (const other of others) expect(other.from).toBeGreaterThan(to)
    }
    for (const [k, step] of plan.steps.entries()) {
      const reads = step.kind === 'dispatch' ? step.inputs.filter(({ kind }) => kind === 'slot') : []
      for (const { index } of reads)
        expect(arrays.some(({ slot, from, to }) => slot === index && from < k && k <= to)).toBe(true)
    }
  })

  test('the peak is the most that lives at once, and no more than is planned', () => {
    expect(peak.bytes).toBe(Math.max(...live))
    expect(live[peak.step]).toBe(peak.bytes)
    expect(peak.arrays.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(peak.bytes)
    expect(peak.bytes).toBeLessThanOrEqual(slots.reduce((a, b) => a + b))
    expect(String(timeline())).toMatchInlineSnapshot(`
      "32.0 KiB in 2 slots for 4 steps
      at most 32.0 KiB are needed at once, at step 1, contract:
          16.0 KiB  f32[64,64] of contract, steps 0 to 1
          16.0 KiB  f32[64,64] of contract, steps 1 to 2"
    `)
  })

  test('the picture is XML with a box and a title for every array', () => {
    const picture = svg()
    const window = new DOMParser().parseFromString(picture, 'image/svg+xml')
    expect(window.querySelectorAll('g > title').length).toBe(arrays.length)
    expect(picture).toContain('peak: ')
    expect(picture).not.toMatch(/NaN|undefined/)
  })

  test('a program without arrays in between has an empty one', () => {
    const empty = lower((x: Value) => x.add(1))(x).timeline()
    expect([empty.arrays, empty.peak.bytes, empty.slots]).toEqual([[], 0, []])
    expect(empty.svg()).not.toMatch(/NaN|undefined/)
  })
})

describe('onCompile', () => {
  test('says how many kernels of how many are ready, and nothing of those that are known', async () => {
    const seen: string[] = []
    const stop = onCompile(({ ready, kernels }) => seen.push(`${ready} of ${kernels}`))
    const f = jit((x: Value) => x.mul(17.5).sum({ axis: 0 }).exp().max())
    const program = lower(f)(x)
    await f(x).data()
    const { length } = program.kernels
    expect(seen).toEqual(Array.from({ length }, (_, k) => `${k + 1} of ${length}`))
    await f(x).data()
    expect(seen).toHaveLength(length)
    stop()
    await jit((x: Value) => x.mul(17.75).sum({ axis: 0 }).exp().max())(x).data()
    expect(seen).toHaveLength(length)
  })
})
