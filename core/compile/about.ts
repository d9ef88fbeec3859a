// What a step of a plan is to people: the equations that it computes, and the line of the user's that asked for them.

import { type Atom, type Equation, Literal, showLiteral, showParams } from '../graph.ts'

export interface About {
  /** What bounds it: `map`, `reduce`, `product`, `pairs`, `scatter`, `loop` or `host`. */
  readonly kind: string
  /** Its equations as types, in order, without those that only move elements; the main one first. */
  readonly equations: readonly string[]
  /** `file:line:column` of the main equation, where lines were noted. */
  readonly line: string | null
  /** The place in the package's layers that the line called, if it did. */
  readonly layer: string | null
}

/** The kinds of steps in words. */
export const kindNames: Readonly<Record<string, string>> = {
  product: 'products',
  reduce: 'folds',
  map: 'element-wise',
  scatter: 'scattering',
  loop: 'loops',
  host: 'the host',
}

/** The first that is true of an equation makes it the main one of its kernel. */
const isProduct = ({ primitive: { lower } }: Equation): boolean => lower.kind === 'contract'
const isFold = ({ primitive: { lower } }: Equation): boolean => lower.kind === 'reduce'
const isFree = ({ primitive: { lower } }: Equation): boolean => lower.kind === 'view' && lower.free

export function aboutEquations(kind: string, members: readonly Equation[]): About {
  const ordered = members.toReversed() // as the graph has them: a group is collected from its result on
  const working = ordered.filter((equation) => !isFree(equation))
  const shown = working.length > 0 ? working : ordered
  const main = shown.find(isProduct) ?? shown.find(isFold) ?? shown.at(-1)
  const source = main?.source ?? ordered.find(({ source }) => source !== undefined)?.source
  const others = shown.filter((equation) => equation !== main)
  return {
    kind,
    equations: (main === undefined ? [] : [main, ...others]).map(showTypes),
    line: source?.line ?? null,
    layer: source?.layer ?? null,
  }
}

/** `f32[3] = log f32[3]`; without parameters that are programs. */
function showTypes({ primitive, params, inputs, outputs }: Equation): string {
  const show = (atom: Atom): string => (atom instanceof Literal ? showLiteral(atom) : String(atom.aval))
  const shown = showParams(params)
  const operation = shown === '' || shown.includes('\n') ? primitive.name : `${primitive.name}[${shown}]`
  return `${outputs.map(({ aval }) => aval).join(', ')} = ${[operation, ...inputs.map(show)].join(' ')}`
}
