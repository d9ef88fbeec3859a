// What computes here and why, what it allows, and how fast it copies and multiplies; and how fast the others are that could.
//   npm run doctor

import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import {
  add,
  type DeviceReport,
  deviceReport,
  dispose,
  jit,
  matmul,
  random,
  synchronize,
  type Value,
} from 'cotangent'

/** What is known and what was measured. */
export interface Diagnosis {
  readonly device: DeviceReport
  /** What else could compute here, measured in a process of its own. */
  readonly others: readonly Omit<Diagnosis, 'others'>[]
  /** GB/s, read and written, of adding one to 2^22 f32. */
  readonly bandwidth: number
  /** The rates, in GFLOP/s, of the product of two matrices of `size` × `size`. */
  readonly products: readonly { readonly size: number; readonly rate: number }[]
}

/** The diagnosis of what computes, and of the others; rejects if there is nothing. */
export async function doctor(): Promise<Diagnosis> {
  const found = await examine()
  const others = []
  for (const source of ['wasm', 'system', 'swiftshader'])
    if (source !== found.device.source) {
      const env = { ...process.env, COTANGENT_ADAPTER: source }
      const script = fileURLToPath(import.meta.url)
      const asked = run(process.execPath, ['--import', 'tsx', script, '--json'], { env })
      const answer = await asked.then(({ stdout }) => stdout).catch(() => null) // there is none of that source
      if (answer !== null) others.push(JSON.parse(answer) as Omit<Diagnosis, 'others'>)
    }
  return { ...found, others }
}

const run = promisify(execFile)

/** Looks at what computes and measures it. */
async function examine(): Promise<Omit<Diagnosis, 'others'>> {
  const device = await deviceReport()
  const noise = (...shape: number[]): Value => random.uniform(random.key(0), shape)
  const elements = 2 ** 22
  const copied = await secondsOf(jit(add), noise(elements), 1)
  const products = []
  for (const size of [512, 1024]) {
    const seconds = await secondsOf(jit(matmul), noise(size, size), noise(size, size))
    products.push({ size, rate: (2 * size ** 3) / seconds / 1e9 })
  }
  return { device, bandwidth: (2 * 4 * elements) / copied / 1e9, products }
}

/** A round is as many calls as take so long, in milliseconds, so that waiting for the last one hardly counts. */
const roundTime = 50

/** After so long there are no more rounds than three. */
const enough = 1000

/** The median time of `f(x, y)`, after a warm-up that compiles it. */
async function secondsOf<X, Y>(f: (x: X, y: Y) => Value, x: X, y: Y): Promise<number> {
  const round = async (calls: number): Promise<number> => {
    const start = performance.now()
    for (let k = 0; k < calls; k++) dispose(f(x, y))
    await synchronize()
    return (performance.now() - start) / calls
  }
  await round(1)
  const calls = Math.min(Math.ceil(roundTime / (await round(1))), 100)
  const start = performance.now()
  const times: number[] = []
  while (times.length < 3 || (times.length < 9 && performance.now() < start + enough))
    times.push(await round(calls))
  dispose([x, y])
  return times.sort((a, b) => a - b)[times.length >> 1]! / 1000
}

const width = 80
const margin = 11

/** The diagnosis as text, at most 80 columns wide. */
export function show({ device, bandwidth, products, others }: Diagnosis): string {
  const { name, source, reason, candidates, limits, features } = device
  const rates = ({ bandwidth, products }: Omit<Diagnosis, 'others'>): string[] => [
    `copy ${bandwidth.toFixed(1)} GB/s`,
    ...products.map(({ size, rate }) => `matmul ${size}² ${rate.toFixed(1)} GFLOP/s`),
  ]
  return [
    section('adapter', [name]),
    section('source', [`${source}; ${reason}`]),
    section(
      'asked',
      candidates.map(({ name, outcome }) => `${name}: ${outcome}`),
    ),
    section(
      'limits',
      Object.entries(limits).map(([limit, value]) => `${limit} ${value.toLocaleString('en')}`),
    ),
    section('features', [features.join(', ')]),
    section('speed', rates({ device, bandwidth, products })),
    ...others.map((other) =>
      section('or', [
        `${other.device.name} (COTANGENT_ADAPTER=${other.device.source}): ${rates(other).join(', ')}`,
      ]),
    ),
  ].join('\n')
}

const section = (title: string, texts: readonly string[]): string =>
  texts
    .flatMap(wrap)
    .map((line, k) => (k === 0 ? title : '').padEnd(margin) + line)
    .join('\n')

/** The words of a text in lines that fit beside the margin. */
function wrap(text: string): string[] {
  const lines = ['']
  for (const word of text.split(' ')) {
    const longer = `${lines.at(-1)} ${word}`.trimStart()
    if (margin + longer.length <= width) lines[lines.length - 1] = longer
    else lines.push(word)
  }
  return lines
}

if (process.argv[1] === import.meta.filename)
  await (process.argv[2] === '--json'
    ? examine().then((found) => JSON.stringify(found))
    : doctor().then((diagnosis) => show(diagnosis))
  ).then(
    (text) => console.log(text),
    ({ message }: Error) => {
      console.error(message)
      process.exitCode = 1
    },
  )
