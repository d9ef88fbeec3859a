// A compiled function whose arguments have another type at each call is traced and compiled at each call. That is slow and
// nothing else shows it, so it is said here, once for each function.

import { callLine } from './source.ts'

/** What a function was traced for: its array arguments and their types, its static arguments and their values, as text. */
interface TracedFor {
  readonly arrays: readonly (readonly [string, string])[]
  readonly statics: readonly (readonly [string, string])[]
}

/** Traces that are too many. */
const many = 8
const shown = 3

/** Counts what a function is traced for; warns of what changed most when that is too often. */
export function traceCounter(name: string): (traced: TracedFor) => void {
  const traces: TracedFor[] = []
  return (traced) => {
    if (traces.length < many && traces.push(traced) === many) warn(name, traces)
  }
}

const wholeTree = 'the tree of its arguments'

function warn(name: string, traces: readonly TracedFor[]): void {
  const seen = new Map<string, Set<string>>()
  for (const { arrays, statics } of traces)
    for (const [place, what] of [...arrays, ...statics, [wholeTree, arrays.map(([place]) => place).join()]])
      seen.set(place!, (seen.get(place!) ?? new Set()).add(what!))
  const [place, kinds] = [...seen].reduce((most, next) => (next[1].size > most[1].size ? next : most))
  if (kinds.size === 1) return
  const line = callLine()
  const where = line === null ? '' : ` (${line})`
  console.warn(`${name}: traced and compiled ${many} times${where}, as ${blame(place, [...kinds])}`)
}

/** What changed, and the remedy. */
function blame(place: string, kinds: readonly string[]): string {
  if (place === wholeTree) return `${place} changes; keep its structure, and let its arrays change`
  if (kinds.some((text) => text.startsWith('#')))
    return `${place} was another object each time; make it once, and pass the same again`
  const last = `${place} was ${kinds.slice(-shown).map(short).join(', ')} last`
  return place.startsWith('static')
    ? `${last}; pass what takes many values as an array, not in staticArgnums`
    : `${last}; pad it to a few sizes, so that few programs serve all calls`
}

/** Values as `keyOf` writes them, without the kinds of numbers. */
function short(text: string): string {
  const value = text.replaceAll(/\b(?:number|boolean) /g, '')
  return value.length > 40 ? `${value.slice(0, 39)}…` : value
}
