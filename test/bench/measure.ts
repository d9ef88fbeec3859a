// One case, measured: every contender makes it ready, runs it once from nothing and once more, and then all take turns.

import { deviceReport } from 'cotangent'
import { bytesOf, cases, operationsOf } from './cases.ts'
import type { Contender, Ready } from './contenders/contender.ts'
import { type Limits, limits } from './contenders/limits.ts'
import { metered } from './meter.ts'
import { median, play, type Turn, turnTime } from './rounds.ts'

/** What is known of a case and a contender; what is not is null. Counts are of a warm call, pipelines of the first one. */
export interface Row {
  readonly case: string
  readonly contender: string
  readonly adapter: string
  /** The median. */
  readonly milliseconds: number
  readonly dispatches: number | null
  readonly submits: number | null
  readonly pipelines: number | null
  readonly traceMilliseconds: number | null
  readonly compileMilliseconds: number | null
  readonly pipelineMilliseconds: number | null
  readonly plannedBytes: number | null
  readonly gflops: number | null
  readonly gbps: number | null
  /** What part that is of the most that the adapter did in the same rounds. */
  readonly gflopsShare: number | null
  readonly gbpsShare: number | null
  readonly rounds: number
  readonly note: string | null
}

/** The most that the adapter did: GFLOP/s of arithmetic, GB/s of copying. */
export interface Peaks {
  readonly gflops: number
  readonly gbps: number
}

/** Who could not do a case, and why. */
export interface Failure {
  readonly case: string
  readonly contender: string
  readonly reason: string
}

/** The rows of a case, and who could not do it. */
export interface Measured {
  readonly rows: readonly Row[]
  readonly failures: readonly Failure[]
  readonly peaks: Peaks
}

/** How far results may be apart, of the length of the first contender's. */
const tolerance = 1e-3

/** `|x - y| / |y|`, of vectors. */
export function distance(x: ArrayLike<number>, y: ArrayLike<number>): number {
  if (x.length !== y.length) return Number.POSITIVE_INFINITY
  let [off, length] = [0, 0]
  for (let k = 0; k < y.length; k++) {
    off += (x[k]! - y[k]!) ** 2
    length += y[k]! ** 2
  }
  return Math.sqrt(off / (length || 1))
}

/** Measures a case for these contenders, of whom the first is right; `limitsOf` shows the most that the adapter can do. */
export async function measure(
  name: string,
  contenders: readonly Contender[],
  rounds: number,
  limitsOf: () => Promise<Limits> = limits,
): Promise<Measured> {
  const work = cases[name]!
  const { name: adapter, source } = await deviceReport()
  const failures: Failure[] = []
  const started: {
    contender: Contender
    ready: Ready
    turn: Turn
    row: Omit<Row, 'milliseconds' | 'gflops' | 'gbps' | 'gflopsShare' | 'gbpsShare' | 'rounds'>
  }[] = []
  let right: readonly ArrayLike<number>[] | null = null
  for (const contender of contenders) {
    try {
      const ready = await contender.prepare(work)
      if (ready === null) continue
      const before = contender.spent()
      const cold = await metered(ready.first)
      const after = contender.spent()
      right ??= cold.result
      const off = Math.max(...right.map((vector, k) => distance(cold.result[k] ?? [], vector)))
      if (!(off <= tolerance)) {
        ready.close()
        throw new Error(`the result is off by ${off.toPrecision(2)} of it`)
      }
      const start = performance.now()
      const warm = await metered(ready.run)
      const milliseconds = performance.now() - start
      const { parts = 1 } = ready
      const { onAdapter } = contender
      const isCounted = onAdapter && source !== 'wasm' // what is asked of Dawn
      started.push({
        contender,
        ready,
        turn: { name: contender.name, call: ready.run, milliseconds },
        row: {
          case: name,
          contender: contender.name,
          adapter: onAdapter ? adapter : 'CPU',
          dispatches: isCounted ? warm.asked.dispatches / parts : null,
          submits: isCounted ? warm.asked.submits / parts : null,
          pipelines: isCounted ? cold.asked.pipelines : null,
          traceMilliseconds: before && after && after.trace - before.trace,
          compileMilliseconds: before && after && after.compile - before.compile,
          pipelineMilliseconds: isCounted ? cold.asked.pipelineMilliseconds : null,
          plannedBytes: ready.plannedBytes,
          note: ready.note ?? null,
        },
      })
    } catch (error) {
      failures.push({ case: name, contender: contender.name, reason: firstLine(error) })
    }
  }
  const most = await limitsOf()
  const turnOf = ({ run }: Pick<Ready, 'run'>, name: string): Turn => ({
    name,
    call: run,
    milliseconds: turnTime,
  })
  const samples = await play(
    [
      ...started.map(({ turn }) => turn),
      turnOf(most.arithmetic, 'arithmetic'),
      turnOf(most.copying, 'copying'),
    ],
    rounds,
  )
  const [arithmetic, copying] = samples.slice(-2).map(median) as [number, number]
  const peaks = { gflops: most.operations / arithmetic / 1e6, gbps: most.bytes / copying / 1e6 }
  const [operations, bytes] = [operationsOf(work), bytesOf(work)]
  const rows = started.map(({ row, ready }, k): Row => {
    const milliseconds = median(samples[k]!) / (ready.parts ?? 1)
    ready.close()
    const gflops = operations && operations / milliseconds / 1e6
    const gbps = bytes && bytes / milliseconds / 1e6
    const here = row.adapter === adapter
    return {
      ...row,
      milliseconds,
      gflops,
      gbps,
      gflopsShare: here ? gflops && gflops / peaks.gflops : null,
      gbpsShare: here ? gbps && gbps / peaks.gbps : null,
      rounds: samples[k]!.length,
    }
  })
  return { rows, failures, peaks }
}

const firstLine = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).split('\n')[0]!
