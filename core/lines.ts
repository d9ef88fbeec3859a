// The user's lines of equations, where they are asked for (`debug.checked`): what the user calls is noted with that line, and
// what is derived from an equation with the line of that.

import type { Graph } from './graph.ts'
import { callLine } from './source.ts'

/** The line that new equations get: `null` is none, empty the one that calls. */
let noted: string | null = null

function noting<T>(line: string | null, f: () => T): T {
  const outer = noted
  noted = line
  try {
    return f()
  } finally {
    noted = outer
  }
}

/** Whether lines are noted now. */
export const notesLines = (): boolean => noted !== null

/** `f()`, in which each equation is noted with the line that calls. */
export const withLines = <T>(f: () => T): T => noting('', f)

/** `f()`, whose equations are derived from one that has this line. */
export const withLine = <T>(line: string | undefined, f: () => T): T =>
  line === undefined ? f() : noting(line, f)

/** `f()`, a rule of the user's: while something is derived, it has its own lines all the same. */
export const withOwnLines = <T>(f: () => T): T => (noted === null ? f() : noting('', f))

/** The line of an equation that is recorded now. */
export const lineNow = (): string | undefined =>
  noted === null ? undefined : noted || (callLine() ?? undefined)

const warned = new Set<string>()

/**
 * Warns of a bool that the user's function makes and does not use. JavaScript takes every object as true, so an `if` on an
 * array cannot be seen, but what it was to depend on is left over.
 */
export function warnOfUnusedBools({ equations, outputs }: Graph): void {
  if (noted !== '') return
  const used = new Set([...outputs, ...equations.flatMap(({ inputs }) => inputs)])
  for (const { primitive, outputs, source } of equations) {
    const isUnused = outputs.length > 0 && outputs.every((v) => v.aval.dtype === 'bool' && !used.has(v))
    if (!isUnused || source === undefined || warned.has(source)) continue
    warned.add(source)
    console.warn(
      `${primitive.name}: ${outputs[0]!.aval} (${source}) is not used, and JavaScript takes every array as true; choose with where() or cond() instead of if`,
    )
  }
}
