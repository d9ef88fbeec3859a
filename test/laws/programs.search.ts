// Draws programs, checks them, and makes those that fail small.

import fc from 'fast-check'
import { type Ask, checkDevice, checkFusion, checkMeaning } from './programs.laws.ts'
import { draw, type Program, programs, source, write } from './programs.ts'

export interface Failure {
  /** `seed` and `path` make the program again; `path` goes on to the smaller one. */
  readonly seed: number
  readonly path: string
  readonly message: string
  /** A file that runs. */
  readonly text: string
}

/** How many programs, and of what it could not be said whether it is right. */
export interface Tally {
  meaning: number
  device: number
  fusion: number
  /** Derivatives not compared with differences, by reason. */
  readonly undifferenced: Record<string, number>
  /** Results that roundings alone change altogether, so that the device has no one value to agree with. */
  unsteady: number
  readonly kinds: Set<string>
  readonly failures: Failure[]
}

export const emptyTally = (): Tally => ({
  meaning: 0,
  device: 0,
  fusion: 0,
  undifferenced: {},
  unsteady: 0,
  kinds: new Set(),
  failures: [],
})

/** A run of the programs of one seed. */
export interface Range {
  readonly seed: number
  readonly from: number
  readonly to: number
}

/** Runs of fast-check's that draw the same programs: number `k` of them has the path `k`. */
const drawn = ({ seed, from, to }: Range): readonly Program[] =>
  fc.sample(programs, { seed, numRuns: to }).slice(from)

/** The smallest program like the one at `path` that fails `check` still; null if that one does not fail. */
async function smallest(
  seed: number,
  path: string,
  check: (program: Program) => Promise<void>,
): Promise<Failure | null> {
  const found = await fc.check(fc.asyncProperty(programs, check), { seed, path, numRuns: 1 })
  if (!found.failed || found.counterexample === null) return null
  const [program] = found.counterexample
  const written = write(program)
  return {
    seed,
    path: found.counterexamplePath ?? path,
    message: String(found.errorInstance),
    text: source(written, draw(written, program.seed)),
  }
}

const meaning = async (program: Program): Promise<void> => {
  checkMeaning(program)
}

/** Checks what programs mean, and makes a failure of each that is wrong. */
export async function searchMeaning(range: Range, tally: Tally): Promise<void> {
  for (const [k, program] of drawn(range).entries()) {
    try {
      const { undifferenced, kinds } = checkMeaning(program)
      if (undifferenced !== null)
        tally.undifferenced[undifferenced] = (tally.undifferenced[undifferenced] ?? 0) + 1
      for (const kind of kinds) tally.kinds.add(kind)
    } catch (error) {
      const failure = await smallest(range.seed, String(range.from + k), meaning)
      tally.failures.push(failure ?? unrepeated(range.seed, range.from + k, error))
    }
    tally.meaning++
  }
}

const fusion = async (program: Program): Promise<void> => {
  checkFusion(program)
}

/** Checks that programs have the same bits however they are split into kernels. */
export async function searchFusion(range: Range, tally: Tally): Promise<void> {
  for (const [k, program] of drawn(range).entries()) {
    try {
      checkFusion(program)
    } catch (error) {
      const failure = await smallest(range.seed, String(range.from + k), fusion)
      tally.failures.push(failure ?? unrepeated(range.seed, range.from + k, error))
    }
    tally.fusion++
  }
}

/** Checks programs on the device, a few of them as one. */
export async function searchDevice(range: Range, ask: Ask, tally: Tally, together = 8): Promise<void> {
  const list = drawn(range)
  for (let k = 0; k < list.length; k += together) {
    const batch = list.slice(k, k + together)
    try {
      tally.unsteady += await checkDevice(batch, ask)
    } catch (error) {
      const before = tally.failures.length
      for (const i of batch.keys()) {
        const failure = await smallest(range.seed, String(range.from + k + i), async (program) => {
          await checkDevice([program], ask)
        })
        if (failure !== null) tally.failures.push(failure)
      }
      if (tally.failures.length === before) tally.failures.push(unrepeated(range.seed, range.from + k, error))
    }
    tally.device += batch.length
  }
}

/** A failure that did not come again when the program was alone. */
const unrepeated = (seed: number, place: number, error: unknown): Failure => ({
  seed,
  path: String(place),
  message: `${error} (not when run again alone)`,
  text: '',
})

/** A failure as text. */
export const showFailure = ({ seed, path, message, text }: Failure): string =>
  `seed ${seed}, path ${path}: ${message}\n${text}\n`
