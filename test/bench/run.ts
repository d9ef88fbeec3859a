// How long each case takes on the adapter at hand, by npm `benchmark`: a call ends when the device has done its work.
//   npm run bench -- --case matmul-512 block --json bench.json

import Benchmark from 'benchmark'
import { Command } from 'commander'
import { deviceReport, dispose, statistics, synchronize } from 'cotangent'
import { writeFileAtomic } from '../../core/files.ts'
import { cases } from './cases.ts'

/** What is known of a case after its turns; `pipelines` are those that its first call made. */
interface Row {
  readonly case: string
  readonly contender: string
  readonly adapter: string
  /** The median. */
  readonly milliseconds: number
  readonly dispatches: number
  readonly submits: number
  readonly pipelines: number
  readonly gflops: number
}

/** A case takes so many rounds at least, and ends after so many seconds. */
const limits = { minSamples: 5, maxTime: 5 }

/** The seconds of `call` in each round. */
const sample = (name: string, call: () => Promise<void>): Promise<number[]> =>
  new Promise((resolve, reject) => {
    const benchmark: Benchmark = new Benchmark(name, {
      ...limits,
      defer: true,
      fn: (deferred: { resolve(): void }) => call().then(() => deferred.resolve(), reject),
      onComplete: () => resolve(benchmark.stats.sample),
    })
    benchmark.run({ async: true })
  })

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1]!

async function measure(name: string, adapter: string): Promise<Row> {
  const { run, operations } = await cases[name]!()
  const call = async (): Promise<void> => {
    const results = run()
    await synchronize()
    dispose(results)
  }
  const cold = await statistics()
  await call()
  const warm = await statistics()
  await call()
  const after = await statistics()
  const seconds = median(await sample(name, call))
  return {
    case: name,
    contender: 'cotangent',
    adapter,
    milliseconds: seconds * 1000,
    dispatches: after.dispatches - warm.dispatches,
    submits: after.submits - warm.submits,
    pipelines: after.pipelines - cold.pipelines,
    gflops: operations / seconds / 1e9,
  }
}

const columns = ['case', 'milliseconds', 'gflops', 'dispatches', 'submits', 'pipelines'] as const
const line = (cells: readonly string[]): string =>
  cells.map((cell, k) => (k === 0 ? cell.padEnd(12) : cell.padStart(14))).join('')
const digits: Readonly<Record<string, number>> = { milliseconds: 2, gflops: 2 }

async function main(): Promise<void> {
  const options = new Command('bench')
    .description('Times the library on the adapter at hand.')
    .option('--case <names...>', `only these of ${Object.keys(cases).join(', ')}`)
    .option('--json <file>', 'write the rows there too')
    .parse()
    .opts<{ case?: string[]; json?: string }>()
  const chosen = options.case ?? Object.keys(cases)
  for (const name of chosen)
    if (!Object.hasOwn(cases, name))
      throw new RangeError(`bench: there is no case "${name}"; choose from ${Object.keys(cases).join(', ')}`)
  const { name: adapter } = await deviceReport()
  console.log(`${adapter}\n${line(columns)}`)
  const rows: Row[] = []
  for (const name of chosen) {
    const row = await measure(name, adapter)
    rows.push(row)
    const cells = columns.map((column) => {
      const value = row[column]
      return typeof value === 'number' ? value.toFixed(digits[column] ?? 0) : value
    })
    console.log(line(cells))
  }
  if (options.json !== undefined) await writeFileAtomic(options.json, `${JSON.stringify(rows, null, 2)}\n`)
}

await main().catch((error: Error) => {
  console.error(error.message)
  process.exitCode = 1
})
