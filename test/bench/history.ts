// The runs that were recorded, one row a line, and their plot: how many times as long as the library jax-js took, by date. Only
// such ratios compare from run to run.

import { execFileSync } from 'node:child_process'
import { appendFile, readFile } from 'node:fs/promises'
import * as Plot from '@observablehq/plot'
import { parseHTML } from 'linkedom'
import type { Row } from './measure.ts'

/** A row, and when and of which commit it was recorded. */
export interface Recorded extends Row {
  readonly at: string
  readonly commit: string | null
}

const file = new URL('history.jsonl', import.meta.url)

function commit(): string | null {
  try {
    const asked = execFileSync('git', ['rev-parse', '--short', 'HEAD'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    return asked.toString().trim()
  } catch {
    return null // not in a clone
  }
}

/** Appends rows. */
export async function record(rows: readonly Row[]): Promise<void> {
  const about = { at: new Date().toISOString(), commit: commit() }
  await appendFile(file, rows.map((row) => `${JSON.stringify({ ...about, ...row })}\n`).join(''))
}

/** All that was recorded, the oldest first. */
export async function recorded(): Promise<Recorded[]> {
  const text = await readFile(file, 'utf8').catch(() => '')
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Recorded)
}

/** A point of the plot. */
interface Point {
  readonly at: Date
  readonly case: string
  readonly adapter: string
  readonly ratio: number
}

/** jax-js's time by the library's in the same run. */
export function pointsOf(history: readonly Recorded[]): Point[] {
  const same = (a: Recorded, b: Recorded): boolean => a.at === b.at && a.case === b.case
  return history
    .filter(({ contender }) => contender === 'cotangent')
    .flatMap((ours) => {
      const theirs = history.find((row) => row.contender === 'jax-js' && same(row, ours))
      if (theirs === undefined) return []
      const ratio = theirs.milliseconds / ours.milliseconds
      return [{ at: new Date(ours.at), case: ours.case, adapter: ours.adapter, ratio }]
    })
}

const row = 220

/** A standalone SVG of the history: a frame for each adapter, a line for each case. */
export function historySvg(history: readonly Recorded[]): string {
  const points = pointsOf(history)
  if (points.length === 0)
    throw new RangeError('bench: the history has no run of the library with jax-js; record one with --record')
  const last = points.filter(
    (point) =>
      !points.some(
        (other) => other.case === point.case && other.adapter === point.adapter && other.at > point.at,
      ),
  )
  const adapters = new Set(points.map(({ adapter }) => adapter)).size
  const { document } = parseHTML('<!doctype html><html></html>')
  const chart = Plot.plot({
    document,
    width: 860,
    height: 60 + 2 * row * adapters,
    marginTop: 30,
    marginRight: 170,
    marginBottom: 44,
    style: { background: 'white', color: '#222', fontSize: '12px', fontFamily: 'system-ui, sans-serif' },
    x: { type: 'time', label: 'recorded', labelAnchor: 'center', labelArrow: 'none', ticks: 6 },
    y: {
      type: 'log',
      label: 'times as long as the library: jax-js',
      labelArrow: 'none',
      grid: true,
      ticks: 6,
    },
    fy: { label: null, axis: null },
    marks: [
      Plot.frame({ stroke: '#ccc' }),
      Plot.ruleY([1], { stroke: '#888', strokeDasharray: '4 3' }),
      Plot.lineY(points, { x: 'at', y: 'ratio', z: 'case', fy: 'adapter', stroke: 'case', strokeWidth: 1.5 }),
      Plot.dot(points, { x: 'at', y: 'ratio', fy: 'adapter', fill: 'case', r: 2.5 }),
      Plot.text(last, {
        x: 'at',
        y: 'ratio',
        fy: 'adapter',
        text: 'case',
        fill: 'case',
        textAnchor: 'start',
        dx: 6,
      }),
      Plot.text(
        last,
        Plot.selectFirst({
          text: 'adapter',
          fy: 'adapter',
          frameAnchor: 'top-left',
          dx: 6,
          dy: 6,
          z: 'adapter',
        }),
      ),
    ],
  })
  chart.setAttribute('xmlns', 'http://www.w3.org/2000/svg')
  return `${chart.outerHTML}\n`
}
