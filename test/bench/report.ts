// What was measured, for people: a table on the terminal, a page of the docs, the history and its plot.

import type { Peaks } from './contenders/wgsl.ts'
import type { Row } from './measure.ts'

/** How many times as long a contender takes as the library in the same case; null where that was not measured. */
export function ratioOf(row: Row, rows: readonly Row[]): number | null {
  const ours = rows.find((other) => other.case === row.case && other.contender === 'cotangent')
  return ours ? row.milliseconds / ours.milliseconds : null
}

const digits = (value: number): string =>
  value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2)

const share = (value: number | null, peak: number): string =>
  value === null ? '' : `${digits(value)} (${Math.round((100 * value) / peak)} %)`

const milliseconds = (value: number | null): string => (value === null ? '' : digits(value))
const count = (value: number | null): string => (value === null ? '' : String(Math.round(value)))
const mebibytes = (value: number | null): string => (value === null ? '' : (value / 2 ** 20).toFixed(2))

/** The columns of a row behind its case: heading, and text. */
const columns: readonly (readonly [string, (row: Row, rows: readonly Row[], peaks: Peaks) => string])[] = [
  ['contender', ({ contender }) => contender],
  ['ms', (row) => digits(row.milliseconds)],
  ['ratio', (row, rows) => ratioOf(row, rows)?.toFixed(2) ?? ''],
  ['GFLOP/s', ({ gflops }, _, peaks) => share(gflops, peaks.gflops)],
  ['GB/s', ({ gbps }, _, peaks) => share(gbps, peaks.gbps)],
  ['dispatches', ({ dispatches }) => count(dispatches)],
  ['submits', ({ submits }) => count(submits)],
  ['pipelines', ({ pipelines }) => count(pipelines)],
  ['trace ms', (row) => milliseconds(row.traceMilliseconds)],
  ['compile ms', (row) => milliseconds(row.compileMilliseconds)],
  ['pipelines ms', (row) => milliseconds(row.pipelineMilliseconds)],
  ['planned MiB', ({ plannedBytes }) => mebibytes(plannedBytes)],
  ['rounds', ({ rounds }) => String(rounds)],
]

const widthOf = (heading: string): number => Math.max(heading.length, heading === 'contender' ? 18 : 10) + 2

/** The headings of the table on the terminal. */
export const heading = (): string =>
  columns.map(([name], k) => (k === 0 ? name.padEnd(widthOf(name)) : name.padStart(widthOf(name)))).join('')

/** The lines of a case on the terminal. */
export const lines = (rows: readonly Row[], peaks: Peaks): string =>
  rows
    .map((row) => {
      const cells = columns.map(([name, text], k) => {
        const cell = text(row, rows, peaks)
        return k === 0 ? cell.padEnd(widthOf(name)) : cell.padStart(widthOf(name))
      })
      return `${cells.join('')}${row.note ? `  ${row.note}` : ''}`
    })
    .join('\n')
