// `profile`: where the time of a function goes, kernel by kernel, by the device's own clock.

import { arithmeticKernel, arithmeticProgram, copyKernel, copyProgram, kindNames } from './compile/index.ts'
import {
  deviceReport,
  type PeakRates,
  peakRates,
  synchronize,
  type Timed,
  withTimer,
} from './device/index.ts'

/** One dispatch of a kernel, or one step that the host does. */
export interface ProfiledStep {
  readonly kernel: string
  /** `product`, `reduce` (a fold) or `map` (element-wise); `host` for work of the host. */
  readonly kind: string
  /** The main equation that it computes, as types. */
  readonly equation: string
  /** All equations that it computes, the main one first, without those that only move elements. */
  readonly equations: readonly string[]
  /**
   * Your line that asked for it, `file:line:column`; for a derivative the line of what it is the derivative of. Null for what
   * keeps a loop going.
   */
  readonly line: string | null
  /** The place in the layers of this package that the line called, if it did: `nn/attention.ts:24:10`. */
  readonly layer: string | null
  readonly milliseconds: number
  /** Operations on floats and bytes moved, in 10⁹ a second. Bytes count each array once, which caches may hold. */
  readonly gflops: number
  readonly gbps: number
  /** The larger of the two as a share of the adapter's peak. */
  readonly share: number
  /** When it began, in milliseconds after the first. */
  readonly start: number
}

/** All dispatches of one kernel. */
export interface ProfileRow extends Omit<ProfiledStep, 'start'> {
  readonly dispatches: number
}

/** All dispatches of one line, which is without its column here. A kernel belongs to the line of its main equation. */
export interface ProfileLine extends Pick<ProfiledStep, 'line' | 'layer' | 'milliseconds'> {
  readonly dispatches: number
}

/** Where the time went; as text, tables of the slowest lines and kernels. */
export interface Profile {
  readonly adapter: string
  /** The most that the adapter does, in arithmetic and in copying, by kernels that do nothing else. */
  readonly peak: PeakRates
  /** By kernel, the slowest first. */
  readonly rows: readonly ProfileRow[]
  /** By line and layer, the slowest first. */
  readonly lines: readonly ProfileLine[]
  /** Every dispatch, in order. */
  readonly steps: readonly ProfiledStep[]
  /** The sum of all steps. */
  readonly milliseconds: number
  /** From the call until all of its work was done; what is more than the sum, the host spent tracing, compiling and submitting. */
  readonly wallMilliseconds: number
  toString(): string
  /** The steps as JSON of Chrome's trace events, to open in Perfetto or chrome://tracing. */
  trace(): string
}

/**
 * `f` with its clock: a promise of what `f` returns and of where the time went, by kernel and by your lines. Each dispatch is
 * timed on the device, in a pass of its own, so the whole takes a little longer than without. The first call of a compiled
 * function compiles it; profile the second for the time of a step. What else is launched until the promise settles is
 * counted too. Rejects on an adapter without timestamp queries.
 *
 * @example
 * ```ts
 * import { jit, matmul, ones, profile } from 'cotangent'
 * const [y, report] = await profile(jit((x, w) => matmul(x, w).tanh()))(ones([8, 16]), ones([16, 4]))
 * report.rows.map(({ equation }) => equation) // ['f32[8,4] = contract[spec=xy,yz->xz] f32[8,16] f32[16,4]']
 * ```
 */
export const profile =
  <A extends readonly unknown[], R>(f: (...args: A) => R) =>
  async (...args: A): Promise<readonly [Awaited<R>, Profile]> => {
    await synchronize()
    return withTimer(async (timer) => {
      const start = performance.now()
      const result = await f(...args)
      await synchronize()
      const wallMilliseconds = performance.now() - start
      const timed = [
        ...(await timer.dispatches()),
        ...timer.host.map((step) => ({ ...step, start: step.start - start })),
      ]
      const { name } = await deviceReport()
      return [
        result,
        report(
          timed,
          wallMilliseconds,
          name,
          await peakRates(
            { arithmetic: arithmeticKernel, copy: copyKernel },
            { arithmetic: arithmeticProgram, copy: copyProgram },
          ),
        ),
      ] as const
    })
  }

function report(
  timed: readonly Timed[],
  wallMilliseconds: number,
  adapter: string,
  peak: PeakRates,
): Profile {
  const costs = new Map<string, { readonly flops: number; readonly bytes: number }>()
  const costOf = ({ wgsl, cost }: Timed['step']) => {
    const known = costs.get(wgsl ?? '') ?? (wgsl === null ? { flops: 0, bytes: 0 } : cost())
    costs.set(wgsl ?? '', known)
    return known
  }
  const describe = (step: Timed['step'], milliseconds: number, dispatches: number) => {
    const { kind, equations, line, layer } = step.about()
    const { flops, bytes } = costOf(step)
    const rate = (count: number): number => (milliseconds > 0 ? (dispatches * count) / milliseconds / 1e6 : 0)
    const [gflops, gbps] = [rate(flops), rate(bytes)]
    const share = Math.max(gflops / peak.gflops, gbps / peak.gbps)
    return {
      kernel: step.name,
      kind,
      equation: equations[0] ?? '',
      equations,
      line,
      layer,
      milliseconds,
      gflops,
      gbps,
      share,
    }
  }
  const steps = timed.map(({ step, start, milliseconds }) => ({ ...describe(step, milliseconds, 1), start }))
  const rows = totals(timed, ({ step }) => step.wgsl ?? `host ${step.name}`).map(
    ({ first, milliseconds, dispatches }) => ({
      ...describe(first.step, milliseconds, dispatches),
      dispatches,
    }),
  )
  const places = steps.map(({ line, layer, milliseconds }) => ({
    line: withoutColumn(line),
    layer: withoutColumn(layer),
    milliseconds,
  }))
  const lines = totals(places, ({ line, layer }) => `${line} ${layer}`).map(({ first, ...total }) => ({
    ...first,
    ...total,
  }))
  const milliseconds = steps.reduce((sum, step) => sum + step.milliseconds, 0)
  const numbers = { adapter, peak, rows, lines, steps, milliseconds, wallMilliseconds }
  return { ...numbers, toString: () => table(numbers), trace: () => chromeTrace(numbers) }
}

const withoutColumn = (line: string | null): string | null => line?.replace(/:\d+$/, '') ?? null

interface Total<T> {
  readonly first: T
  readonly milliseconds: number
  readonly dispatches: number
}

/** The time of what has the same key, the longest first. */
function totals<T extends { readonly milliseconds: number }>(
  items: readonly T[],
  keyOf: (item: T) => string,
): Total<T>[] {
  const found = new Map<string, Total<T>>()
  for (const item of items) {
    const key = keyOf(item)
    const { first, milliseconds, dispatches } = found.get(key) ?? {
      first: item,
      milliseconds: 0,
      dispatches: 0,
    }
    found.set(key, {
      first,
      milliseconds: milliseconds + item.milliseconds,
      dispatches: dispatches + 1,
    })
  }
  return [...found.values()].sort((a, b) => b.milliseconds - a.milliseconds)
}

type Numbers = Omit<Profile, 'toString' | 'trace'>

const shownRows = 24
const shownLines = 12
const barWidth = 32
const cut = (text: string, width: number): string =>
  text.length <= width ? text : `${text.slice(0, width - 1)}…`
const percent = (share: number): string => `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)} %`
const figure = (x: number): string => (x === 0 ? '' : x.toFixed(x < 9.95 ? 2 : x < 99.5 ? 1 : 0))
const count = (n: number, one: string, many: string): string => `${n} ${n === 1 ? one : many}`

/** A line and a layer without their folders and columns. */
const place = ({ line, layer }: Pick<ProfiledStep, 'line' | 'layer'>): string =>
  [line, layer]
    .filter((at) => at !== null)
    .map((at) => at.replace(/^.*\//, '').replace(/(:\d+):\d+$/, '$1'))
    .join(' › ')

/** `f32[2,3] = contract[letters=…] f32[2,4] f32[4,3]` without parameters, and how many more there are. */
function short([first = '', ...others]: readonly string[]): string {
  const text = first.replace(/\[[^[\]]*=[^\]]*\]/, '')
  return others.length === 0 ? text : `${text} +${others.length}`
}

const headings = ['ms', 'of all', 'times', 'GFLOP/s', 'GB/s', 'of peak', ' kernel', 'equation', 'line']
/** A positive width is that of numbers, on the right; a negative one that of text, which is cut. */
const widths = [9, 7, 6, 8, 7, 7, -29, -48]

const columns = (cells: readonly string[]): string =>
  cells
    .map((cell, k) => {
      const width = widths[k] ?? 0
      return width >= 0 ? cell.padStart(width) : cut(cell, -width).padEnd(-width)
    })
    .join(' ')
    .trimEnd()

/** The profile for people. */
function table({ adapter, peak, rows, lines, steps, milliseconds, wallMilliseconds }: Numbers): string {
  const part = (time: number): number => (milliseconds > 0 ? time / milliseconds : 0)
  const bars = (totals: readonly (readonly [string, Omit<Total<unknown>, 'first'>])[]): string[] => {
    const width = Math.max(...totals.map(([name]) => name.length))
    return totals.map(([name, { milliseconds: time, dispatches }]) => {
      const bar = '█'.repeat(Math.round(barWidth * part(time))).padEnd(barWidth)
      const often = count(dispatches, 'dispatch', 'dispatches')
      return `  ${name.padEnd(width)}  ${bar} ${percent(part(time)).padStart(7)} ${figure(time).padStart(8)} ms  ${often}`
    })
  }
  const kinds = totals(steps, ({ kind }) => kind)
  const rest = rows.slice(shownRows)
  const restTime = rest.reduce((sum, row) => sum + row.milliseconds, 0)
  const more = ['', '', '', '', ` ${count(rest.length, 'kernel', 'kernels')} more`]
  return [
    `${adapter}: at most ${figure(peak.gflops)} GFLOP/s, ${figure(peak.gbps)} GB/s`,
    `${figure(milliseconds)} ms in ${count(steps.length, 'step', 'steps')} of ${count(rows.length, 'kernel', 'kernels')}; ${figure(wallMilliseconds)} ms from the call to the end`,
    '',
    ...bars(kinds.map((total) => [kindNames[total.first.kind] ?? total.first.kind, total])),
    '',
    ...bars(lines.slice(0, shownLines).map((line) => [place(line) || 'no line', line])),
    '',
    columns(headings),
    ...rows
      .slice(0, shownRows)
      .map((row) =>
        columns([
          figure(row.milliseconds),
          percent(part(row.milliseconds)),
          String(row.dispatches),
          figure(row.gflops),
          figure(row.gbps),
          row.kind === 'host' ? '' : percent(row.share),
          ` ${row.kernel}`,
          short(row.equations),
          place(row),
        ]),
      ),
    ...(rest.length > 0 ? [columns([figure(restTime), percent(part(restTime)), ...more])] : []),
  ].join('\n')
}

/** Events of Chrome's trace format: times in microseconds. */
function chromeTrace({ adapter, steps }: Numbers): string {
  const threads = ['device', 'host']
  const named = (name: string, text: string, tid: number) => ({
    name,
    ph: 'M',
    pid: 1,
    tid,
    args: { name: text },
  })
  const events = steps.map(({ kernel, kind, start, milliseconds, ...args }) => ({
    name: kernel,
    cat: kind,
    ph: 'X',
    ts: 1000 * start,
    dur: 1000 * milliseconds,
    pid: 1,
    tid: kind === 'host' ? 1 : 0,
    args,
  }))
  const metadata = [
    named('process_name', adapter, 0),
    ...threads.map((name, tid) => named('thread_name', name, tid)),
  ]
  return JSON.stringify({ displayTimeUnit: 'ms', traceEvents: [...metadata, ...events] })
}
