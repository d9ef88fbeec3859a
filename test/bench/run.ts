// How long each case takes the library and others on the adapter at hand. Each case has a process of its own, so that what is
// said of a first call is of a first call; within it contenders take turns.
//   npm ci --prefix test/bench      the others, once
//   npm run bench -- --case matmul-512 block --json bench.json

import { fork } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { Command } from 'commander'
import { deviceReport, writeFileAtomic } from 'cotangent'
import { cases } from './cases.ts'
import { contenders } from './contenders/index.ts'
import { historySvg, record, recorded } from './history.ts'
import { type Failure, type Measured, measure, type Row } from './measure.ts'
import { heading, lines, page, type Run, title } from './report.ts'

interface Options {
  readonly case?: string[]
  readonly contender?: string[]
  readonly rounds: number
  readonly json?: string
  readonly record?: true
  readonly docs?: true
  readonly plot?: string
}

/** What a process of its own is asked for. */
interface Task {
  readonly case: string
  readonly contenders: readonly string[]
  readonly rounds: number
}

const installed = existsSync(new URL('node_modules', import.meta.url))
const needsInstall = /^(?:jax-js|tfjs)/

/** What is asked of this file in another process. */
function work(task: Task): Promise<Measured> {
  const chosen = contenders.filter(({ name }) => task.contenders.includes(name))
  return measure(task.case, chosen, task.rounds)
}

/** Does it in another process. */
const elsewhere = (task: Task): Promise<Measured> =>
  new Promise((resolve, reject) => {
    const child = fork(fileURLToPath(import.meta.url), ['--task', JSON.stringify(task)])
    let answer: Measured | null = null
    child.on('message', (message) => {
      answer = message as Measured
    })
    child.on('exit', (code, signal) => {
      if (answer !== null) resolve(answer)
      else reject(new Error(`its process ended with ${signal ?? code}`))
    })
  })

/** Those of `names` that are wanted. */
function chosenOf(what: string, names: readonly string[], wanted: readonly string[] = names): string[] {
  for (const name of wanted)
    if (!names.includes(name))
      throw new RangeError(`bench: there is no ${what} "${name}"; choose from ${names.join(', ')}`)
  return names.filter((name) => wanted.includes(name))
}

const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`

/** Keeps a run for the page, and writes that of all that are kept. */
async function writePage(source: string, run: Run): Promise<void> {
  const folder = fileURLToPath(new URL('results/', import.meta.url))
  await mkdir(folder, { recursive: true })
  await writeFileAtomic(`${folder}${source}.json`, json(run))
  const files = (await readdir(folder)).filter((name) => name.endsWith('.json')).sort()
  const runs = await Promise.all(files.map((name) => readFile(folder + name, 'utf8')))
  const text = page(runs.map((text) => JSON.parse(text) as Run))
  await writeFileAtomic(fileURLToPath(new URL('../../docs/benchmarks.md', import.meta.url)), text)
}

async function bench(options: Options): Promise<void> {
  const everyone = contenders.map(({ name }) => name)
  const names = chosenOf('case', Object.keys(cases), options.case)
  const wanted = chosenOf('contender', everyone, options.contender)
  const able = wanted.filter((name) => installed || !needsInstall.test(name))
  if (able.length < wanted.length)
    console.log('jax-js and tfjs are not installed; npm ci --prefix test/bench installs them')
  const { name: adapter, source } = await deviceReport()
  console.log(`${adapter}\n${heading()}`)
  const rows: Row[] = []
  const failures: Failure[] = []
  for (const name of names) {
    const task = { case: name, contenders: able, rounds: options.rounds }
    try {
      const found = await elsewhere(task)
      rows.push(...found.rows)
      failures.push(...found.failures)
      console.log(`${title(name, found.peaks)}\n${lines(found.rows)}`)
      for (const { contender, reason } of found.failures) console.log(`${contender.padEnd(18)}${reason}`)
    } catch (error) {
      const { message: reason } = error as Error
      failures.push({ case: name, contender: 'all', reason })
      console.log(`${name}\n${reason}`)
    }
    if (options.json !== undefined) await writeFileAtomic(options.json, json(rows))
  }
  if (options.record) await record(rows)
  const given = [
    `COTANGENT_ADAPTER=${source} npm run bench --`,
    ...(options.case ? ['--case', ...names] : []),
    ...(options.contender ? ['--contender', ...wanted] : []),
    `--rounds ${options.rounds} --docs`,
  ]
  if (options.docs) await writePage(source, { adapter, command: given.join(' '), rows, failures })
}

async function main(): Promise<void> {
  const options = new Command('bench')
    .description('Times the library, and others, on the adapter at hand.')
    .option('--case <names...>', `only these of ${Object.keys(cases).join(', ')}`)
    .option('--contender <names...>', `only these of ${contenders.map(({ name }) => name).join(', ')}`)
    .option('--rounds <number>', 'rounds of a case; fewer where they take more than a minute', Number, 15)
    .option('--json <file>', 'write the rows there')
    .option('--record', 'append the rows to test/bench/history.jsonl')
    .option('--docs', 'write docs/benchmarks.md')
    .option('--plot <file>', 'only draw the history, as SVG')
    .parse()
    .opts<Options>()
  if (!(Number.isInteger(options.rounds) && options.rounds > 0))
    throw new RangeError('bench: rounds are a positive whole number; leave it out for 15')
  if (options.plot !== undefined) await writeFileAtomic(options.plot, historySvg(await recorded()))
  else await bench(options)
}

const task = process.argv[2] === '--task' ? process.argv[3] : undefined
try {
  if (task === undefined) await main()
  else {
    const answer = await work(JSON.parse(task) as Task)
    process.send!(answer, () => process.disconnect())
  }
} catch (error) {
  console.error((error as Error).message)
  process.exitCode = 1
}
