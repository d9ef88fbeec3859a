// What was measured, for people: a table on the terminal, and a page of the docs.

import type { Failure, Peaks, Row } from './measure.ts'

/** A run of the bench on one adapter. */
export interface Run {
  readonly adapter: string
  readonly command: string
  readonly rows: readonly Row[]
  readonly failures: readonly Failure[]
}

/** A case and the most that the adapter did in its rounds, for the terminal. */
export const title = (name: string, { gflops, gbps }: Peaks): string =>
  `${name} (at most ${digits(gflops)} GFLOP/s, ${digits(gbps)} GB/s)`

/** How many times as long a contender takes as the library in the same case; null where that was not measured. */
export function ratioOf(row: Row, rows: readonly Row[]): number | null {
  const ours = rows.find((other) => other.case === row.case && other.contender === 'cotangent')
  return ours ? row.milliseconds / ours.milliseconds : null
}

const digits = (value: number | null): string => {
  if (value === null) return ''
  return value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : 2)
}

/** A rate, and its part of the adapter's best. */
const rate = (value: number | null, share: number | null): string =>
  share === null ? digits(value) : `${digits(value)} (${Math.round(100 * share)} %)`

const count = (value: number | null): string => (value === null ? '' : String(Math.round(value)))

/** The columns behind the case: heading, and text. */
const columns: readonly (readonly [string, (row: Row, rows: readonly Row[]) => string])[] = [
  ['contender', ({ contender }) => contender],
  ['ms', (row) => digits(row.milliseconds)],
  ['ratio', (row, rows) => ratioOf(row, rows)?.toFixed(2) ?? ''],
  ['GFLOP/s', (row) => rate(row.gflops, row.gflopsShare)],
  ['GB/s', (row) => rate(row.gbps, row.gbpsShare)],
  ['dispatches', ({ dispatches }) => count(dispatches)],
  ['submits', ({ submits }) => count(submits)],
  ['pipelines', ({ pipelines }) => count(pipelines)],
  ['trace', (row) => digits(row.traceMilliseconds)],
  ['compile', (row) => digits(row.compileMilliseconds)],
  ['make', (row) => digits(row.pipelineMilliseconds)],
  ['planned MiB', ({ plannedBytes }) => (plannedBytes === null ? '' : (plannedBytes / 2 ** 20).toFixed(2))],
  ['rounds', ({ rounds }) => String(rounds)],
]

const widthOf = (heading: string): number =>
  heading === 'contender' ? 18 : heading.startsWith('G') ? 14 : Math.max(heading.length, 8) + 2

const aligned = (cells: readonly string[]): string =>
  cells
    .map((cell, k) => {
      const width = widthOf(columns[k]![0])
      return k === 0 ? cell.padEnd(width) : cell.padStart(width)
    })
    .join('')

/** The headings of the table on the terminal. */
export const heading = (): string => aligned(columns.map(([name]) => name))

/** The lines of a case on the terminal. */
export const lines = (rows: readonly Row[]): string =>
  rows
    .map((row) => {
      const text = aligned(columns.map(([, text]) => text(row, rows)))
      return row.note === null ? text : `${text}  ${row.note}`
    })
    .join('\n')

const cells = (texts: readonly string[]): string => `| ${texts.join(' | ')} |`

function section({ adapter, command, rows, failures }: Run): string {
  const table = rows.map((row, k) => {
    const name = rows[k - 1]?.case === row.case ? '' : row.case
    return cells([name, ...columns.map(([, text]) => text(row, rows))])
  })
  const notes = failures.map(({ case: name, contender, reason }) => `- ${contender}, ${name}: ${reason}`)
  return [
    `## ${adapter}`,
    `\`${command}\``,
    [
      cells(['case', ...columns.map(([name]) => name)]),
      cells(['---', '---', ...columns.slice(1).map(() => '--:')]),
      ...table,
    ].join('\n'),
    ...(notes.length > 0 ? [`Not done:\n\n${notes.join('\n')}`] : []),
  ].join('\n\n')
}

const introduction = `# Benchmarks

Written by \`npm run bench -- --docs\`. Each case has a process of its own, in which every contender makes it ready, runs it once and
then takes its turn in every round: the time is the median of the rounds, each of which waits for the device. \`ratio\` is how many times as
long as the library a contender takes. Times of different runs do not compare; ratios do. Before they are timed, contenders
have to agree with the library to a thousandth.

\`npm ci --prefix test/bench\` installs the contenders; \`--case\`, \`--contender\` and \`--rounds\` choose, \`--json FILE\` writes the
rows, \`--record\` appends them to \`test/bench/history.jsonl\`, \`--plot FILE\` draws that. \`COTANGENT_ADAPTER=swiftshader\` chooses the
software adapter that npm brings.

| contender | what it is |
| --- | --- |
| cotangent | the library; cotangent-unfused has attention written out of products and a softmax |
| jax-js | \`@jax-js/jax\` 0.1.25 on WebGPU, one \`jit\` for a whole case; jax-js-wasm runs on the CPU beside the adapter |
| tfjs | \`@tensorflow/tfjs\` 4.22 on WebGPU, operation by operation |
| wgsl | kernels written by hand, the fastest of some variants; wgsl-unchecked without WebGPU's checks of indices |

| case | what it is |
| --- | --- |
| matmul-n | product of two n × n matrices; of rows × depth × columns; of 1 and 8 rows with a 1024 × 1024 matrix; batched: 16 of 128 × 64 × 128 |
| chain, copy | \`max(1.5 x + 0.5, 0) x - 0.25\`, and \`x + 1\`, of 2²² numbers |
| softmax, rmsnorm, cross-entropy | over 512 rows of 4096; -grad: with what a cotangent is for the inputs |
| sum-all, sum-rows | of 2048 × 2048 |
| embedding-grad | of a table of 4096 × 64, of which 4096 rows are read |
| attention-T | causal, T times, heads of 64: four of them, one at T = 2048; -grad: with the cotangents of q, k and v |
| block, blocks-n | blocks of Llama, forward and backward for all parameters and the input: 2 texts of 32 tokens, 64 wide, 4 heads; -checkpoint: recomputed |
| lora-step, rasa-step | a whole step of training: 16 layers, 64 wide, 128 tokens, vocabulary 512, rank 8, clipping by the global norm, LionW |
| stories260k-step | a LoRA step of stories260K on 4 texts of 256 tokens |
| generate | a token of stories260K, one after the other |

GFLOP/s count what products cannot do without, forward and backward; GB/s the arguments and results, each once. In brackets is what
part that is of what two more kernels do in the same rounds: sixteen chains of multiplications and additions, and a copy. Dispatches and submits are of
a warm call; pipelines, trace, compile and make (of pipelines), in milliseconds, of the first one.`

/** The page of the docs. */
export const page = (runs: readonly Run[]): string => `${[introduction, ...runs.map(section)].join('\n\n')}\n`
