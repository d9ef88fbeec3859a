// The user's lines of equations, where they are asked for (`debug.checked`): what the user calls is noted with that line, and
// what is derived from an equation with the line of that.

import type { Graph } from './graph.ts'
import { callPlaces } from './source.ts'

/** Where an equation comes from: the user's line, `file:line:column`, and whether it was derived from another one's. */
export interface Source {
  readonly line: string
  /** The place in the package's layers, if the user called one of those. */
  readonly layer: string | null
  readonly isDerived: boolean
}

/** Where new equations come from: nobody asks, the line that calls, or another equation. */
let noted: Source | 'caller' | null = null

function noting<T>(source: typeof noted, f: () => T): T {
  const outer = noted
  noted = source
  try {
    return f()
  } finally {
    noted = outer
  }
}

/** Whether lines are noted now. */
export const notesLines = (): boolean => noted !== null

/** `f()`, in which each equation is noted with the line that calls. */
export const withLines = <T>(f: () => T): T => noting('caller', f)

/** `f()`, whose equations are derived from one that comes from there. */
export const withLine = <T>(source: Source | undefined, f: () => T): T =>
  source === undefined ? f() : noting(source, f)

/** `f()`, a rule of the user's: while something is derived, it has its own lines all the same. */
export const withOwnLines = <T>(f: () => T): T => (noted === null ? f() : noting('caller', f))

/** Where an equation comes from that is recorded now. */
export function sourceNow(): Source | undefined {
  if (noted === null) return undefined
  if (noted !== 'caller') return { ...noted, isDerived: true }
  const places = callPlaces()
  return places === null ? undefined : { ...places, isDerived: false }
}

const warned = new Set<string>()

/**
 * Warns of a bool that the user's function asks for and does not use. JavaScript takes every object as true, so an `if` on an
 * array cannot be seen, but what it was to depend on is left over: the last equation of its line.
 */
export function warnOfUnusedBools({ equations, outputs }: Graph): void {
  const asked = equations.filter(({ source }) => source?.isDerived === false)
  if (asked.length === 0) return
  const used = new Set([...outputs, ...equations.flatMap(({ inputs }) => inputs)])
  const last = new Map(asked.map((equation) => [equation.source?.line, equation]))
  for (const [line, { primitive, outputs }] of last) {
    const isUnused = outputs.length > 0 && outputs.every((v) => v.aval.dtype === 'bool' && !used.has(v))
    if (!isUnused || line === undefined || warned.has(line)) continue
    warned.add(line)
    console.warn(
      `${primitive.name}: ${outputs[0]!.aval} (${line}) is not used, and JavaScript takes every array as true; choose with where() or cond() instead of if`,
    )
  }
}
