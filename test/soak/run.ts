// Random programs, as many as there is time for: the laws of test/laws/programs.laws.ts on each of them.
//   npm run soak -- --programs 20000 --seed 7
//   npm run soak -- --seed 12 --path 431        one program again, made smaller
// A process checks so many programs, then the next one begins: kernels are kept as long as a device lives.

import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { Command } from 'commander'
import { deviceReport } from 'cotangent'
import type { Ask } from '../laws/programs.laws.ts'
import {
  emptyTally,
  type Failure,
  type Range,
  searchDevice,
  searchMeaning,
  showFailure,
  type Tally,
} from '../laws/programs.search.ts'

/** Programs of one seed, which one process checks. */
const chunk = 400

/** What the device is asked of one batch after the other. */
const asks: readonly Ask[] = [
  { derivatives: false, ways: ['fused'] },
  { derivatives: true, ways: ['fused'] },
  { derivatives: false, ways: ['apart', 'eager'] },
  { derivatives: true, ways: ['narrow'] },
]
const together = 8

const options = new Command()
  .option('--programs <n>', 'how many programs', Number, 20_000)
  .option(
    '--seed <n>',
    'the first seed; every chunk of 400 programs has the next',
    Number,
    Date.now() % 2 ** 30,
  )
  .option('--path <path>', 'only the program at this path of the seed')
  .option('--device <share>', 'the share of programs that runs on the device too, from 0 to 1', Number, 1)
  .option('--jobs <n>', 'processes at a time', Number, 1)
  .parse()
  .opts<{ programs: number; seed: number; path?: string; device: number; jobs: number }>()

/** A tally as a message between processes. */
type Message = Omit<Tally, 'kinds'> & { readonly adapter: string }

async function check({ seed, from, to }: Range, share: number): Promise<Tally> {
  const tally = emptyTally()
  await searchMeaning({ seed, from, to }, tally)
  for (let k = from; k < to; k += together) {
    const batch = k / together
    if (Math.floor((batch + 1) * share) === Math.floor(batch * share)) continue
    const ask = asks[Math.floor(batch * share) % asks.length]!
    await searchDevice({ seed, from: k, to: Math.min(k + together, to) }, ask, tally)
  }
  return tally
}

async function adapterName(): Promise<string> {
  const { name } = await deviceReport()
  return name
}

/** One chunk, in a process of its own. */
const inProcess = (range: Range): Promise<Message> =>
  new Promise((resolve, reject) => {
    const child = fork(fileURLToPath(import.meta.url), ['--device', String(options.device)], {
      env: { ...process.env, SOAK_RANGE: JSON.stringify(range) },
    })
    let message: Message | null = null
    child.on('message', (given) => {
      message = given as Message
    })
    child.on('exit', (code) =>
      message !== null
        ? resolve(message)
        : reject(new Error(`seed ${range.seed}: the process ended with ${code}`)),
    )
  })

async function all(): Promise<void> {
  const start = performance.now()
  const seconds = (): number => Math.round((performance.now() - start) / 1000)
  const total = { programs: 0, device: 0, unsteady: 0, failures: 0 }
  const undifferenced: Record<string, number> = {}
  let adapter = 'none'
  const ranges = Array.from({ length: Math.ceil(options.programs / chunk) }, (_, k): Range => {
    return { seed: options.seed + k, from: 0, to: Math.min(chunk, options.programs - k * chunk) }
  })
  const fail = (failure: Failure): void => {
    total.failures++
    console.log(showFailure(failure))
  }
  const work = async (): Promise<void> => {
    for (let range = ranges.shift(); range !== undefined; range = ranges.shift()) {
      const { seed } = range
      try {
        const done = await inProcess(range)
        adapter = done.adapter
        total.device += done.device
        total.unsteady += done.unsteady
        for (const [reason, count] of Object.entries(done.undifferenced))
          undifferenced[reason] = (undifferenced[reason] ?? 0) + count
        for (const failure of done.failures) fail(failure)
      } catch (error) {
        fail({ seed, path: `${range.from}`, message: String(error), text: '' })
      }
      total.programs += range.to - range.from
      console.log(
        `${total.programs} of ${options.programs} programs, ${total.device} on the device, ${total.failures} failures, ${seconds()} s; seed ${seed} done`,
      )
    }
  }
  await Promise.all(Array.from({ length: options.jobs }, work))
  const reasons = Object.entries(undifferenced).map(([reason, count]) => `${reason} ${count}`)
  console.log(`derivatives not compared with differences: ${reasons.join(', ') || 'none'}`)
  console.log(`results on the device that roundings alone change altogether: ${total.unsteady}`)
  console.log(
    `${total.programs} programs, ${total.failures} failures, ${seconds()} seconds, adapter ${adapter}`,
  )
  process.exitCode = total.failures > 0 ? 1 : 0
}

const { SOAK_RANGE: given } = process.env
if (given !== undefined) {
  const { kinds: _, ...tally } = await check(JSON.parse(given) as Range, options.device)
  process.send!({ ...tally, adapter: await adapterName() } satisfies Message, () => process.exit(0))
} else if (options.path !== undefined) {
  // Paths of smaller programs go on after a colon; the number before it says which way the device is asked.
  const from = Number(options.path.split(':')[0])
  const tally = await check(
    { seed: options.seed, from: from - (from % together), to: from + 1 },
    options.device,
  )
  for (const failure of tally.failures) console.log(showFailure(failure))
  console.log(`${tally.failures.length} failures among programs ${from - (from % together)} to ${from}`)
  process.exitCode = tally.failures.length > 0 ? 1 : 0
} else await all()
