// How long each case takes the library and others on the adapter at hand. Each case has a process of its own, so that what is
// said of a first call is of a first call; within it contenders take turns.
//   npm ci --prefix test/bench      the others, once
//   npm run bench -- --case matmul-512 block --json bench.json

import { fork } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Command } from 'commander'
import { deviceReport, writeFileAtomic } from 'cotangent'
import { cases } from './cases.ts'
import { contenders } from './contenders/index.ts'
import { type Peaks, peaks } from './contenders/wgsl.ts'
import { type Measured, measure, type Row } from './measure.ts'
import { heading, lines } from './report.ts'

interface Options {
  readonly case?: string[]
  readonly contender?: string[]
  readonly rounds: number
  readonly json?: string
}

/** What a process of its own is asked for. */
type Task =
  | { readonly peaks: true }
  | { readonly case: string; readonly contenders: readonly string[]; readonly rounds: number }

/** What it answers. */
type Answer = { readonly adapter: string; readonly peaks: Peaks } | Measured

const installed = existsSync(new URL('node_modules', import.meta.url))
const needsInstall = /^(?:jax-js|tfjs)/

/** What is asked of this file in another process. */
async function work(task: Task): Promise<Answer> {
  if ('peaks' in task) return { adapter: (await deviceReport()).name, peaks: await peaks() }
  const chosen = contenders.filter(({ name }) => task.contenders.includes(name))
  return measure(task.case, chosen, task.rounds)
}

/** Does it in another process. */
const elsewhere = <A extends Answer>(task: Task): Promise<A> =>
  new Promise((resolve, reject) => {
    const child = fork(fileURLToPath(import.meta.url), ['--task', JSON.stringify(task)])
    let answer: A | null = null
    child.on('message', (message) => {
      answer = message as A
    })
    child.on('exit', (code) => {
      if (answer !== null) resolve(answer)
      else reject(new Error(`bench: the process of ${JSON.stringify(task)} ended with ${code}`))
    })
  })

function chosenOf<T extends string>(
  what: string,
  names: readonly T[],
  wanted: readonly string[] | undefined,
): T[] {
  for (const name of wanted ?? [])
    if (!names.includes(name as T))
      throw new RangeError(`bench: there is no ${what} "${name}"; choose from ${names.join(', ')}`)
  return names.filter((name) => wanted === undefined || wanted.includes(name))
}

async function main(): Promise<void> {
  const options = new Command('bench')
    .description('Times the library, and others, on the adapter at hand.')
    .option('--case <names...>', `only these of ${Object.keys(cases).join(', ')}`)
    .option('--contender <names...>', `only these of ${contenders.map(({ name }) => name).join(', ')}`)
    .option('--rounds <number>', 'rounds of a case, fewer where they take more than a minute', Number, 15)
    .option('--json <file>', 'write the rows there')
    .parse()
    .opts<Options>()
  const names = chosenOf('case', Object.keys(cases), options.case)
  const everyone = chosenOf(
    'contender',
    contenders.map(({ name }) => name),
    options.contender,
  )
  const able = everyone.filter((name) => installed || !needsInstall.test(name))
  if (able.length < everyone.length)
    console.log('jax-js and tfjs are not installed; npm ci --prefix test/bench installs them')
  const { adapter, peaks } = await elsewhere<{ adapter: string; peaks: Peaks }>({ peaks: true })
  console.log(
    `${adapter}: ${peaks.gflops.toFixed(1)} GFLOP/s, ${peaks.gbps.toFixed(1)} GB/s at most\n${heading()}`,
  )
  const rows: Row[] = []
  for (const name of names) {
    const task = { case: name, contenders: able, rounds: options.rounds }
    const found = await elsewhere<Measured>(task)
    rows.push(...found.rows)
    console.log(`${name}\n${lines(found.rows, peaks)}`)
    for (const { contender, reason } of found.failures) console.log(`${contender}: ${reason}`)
    if (options.json !== undefined) await writeFileAtomic(options.json, `${JSON.stringify(rows, null, 2)}\n`)
  }
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
