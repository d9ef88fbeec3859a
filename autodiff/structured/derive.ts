// Derivatives of the graphs that structured operations hold, as graphs again. The tangents that are not zero come after the
// primals; graphs that use arrays from outside say which.

import {
  type Aval,
  Constant,
  cast,
  closed,
  type DType,
  type Graph,
  hasEffect,
  isFloat,
  Literal,
  type MaybeZero,
  trace,
  tree,
  type Value,
  type Var,
  zerosLike,
} from '../../core/index.ts'
import { jvpGraph } from '../jvp.ts'
import { evaluateGraph, linearizeGraph, type Tape } from '../linearize.ts'

/** A closed graph, and the arrays that its first inputs stand for. */
export interface Closed {
  readonly graph: Graph
  readonly captured: readonly Value[]
}

/** The graph that `f` is on values of these types. */
export function graphOf(avals: readonly Aval[], f: (inputs: readonly Value[]) => readonly Value[]): Closed {
  const { graph, captured } = trace('trace', (...inputs: readonly Value[]) => f(inputs), avals as never)
  return { graph: closed(graph), captured }
}

export const avalsOf = (variables: readonly { readonly aval: Aval }[]): Aval[] =>
  variables.map(({ aval }) => aval)

/** One list for each run of `counts` in a row. */
export function partsOf<T, const N extends readonly number[]>(
  list: readonly T[],
  ...counts: N
): [...{ [K in keyof N]: T[] }, T[]] {
  const ends = counts.map((_, k) => counts.slice(0, k + 1).reduce((a, b) => a + b, 0))
  const parts = [0, ...ends].map((start, k) => list.slice(start, ends[k]))
  return parts as [...{ [K in keyof N]: T[] }, T[]]
}

/** The elements that `chosen` marks. */
export const only = <T>(list: readonly T[], chosen: readonly boolean[]): T[] =>
  list.filter((_, k) => chosen[k])

/** `chosen` spread out: an element of `list` where it marks one, and null elsewhere. */
export function spreadTo<T>(list: readonly T[], chosen: readonly boolean[]): (T | null)[] {
  let next = 0
  return chosen.map((marked) => (marked ? list[next++]! : null))
}

/** The values of a graph and their tangents, for primals and the tangents that are not zero. */
export function dualsOf(
  graph: Graph,
  primals: readonly Value[],
  tangents: readonly MaybeZero[],
  apart = false,
): { readonly outputs: readonly Value[]; readonly tangents: readonly MaybeZero[] } {
  const duals = jvpGraph(
    graph,
    primals.map((primal, k) => ({ primal, tangent: tangents[k] ?? null })),
    [],
    apart,
  )
  return { outputs: duals.map(({ primal }) => primal), tangents: duals.map(({ tangent }) => tangent) }
}

/** Which results of a graph have tangents, when these inputs have. */
export function reaches(graph: Graph, nonzero: readonly boolean[], apart: boolean): boolean[] {
  if (apart) return [...apartOf(graph, nonzero).nonzero]
  let found: boolean[] = []
  const inputs = avalsOf(graph.inputs)
  graphOf([...inputs, ...only(inputs, nonzero)], (values) => {
    const [primals, given] = partsOf(values, inputs.length)
    found = dualsOf(graph, primals, spreadTo(given, nonzero)).tangents.map((tangent) => tangent !== null)
    return []
  })
  return found
}

/** A graph apart: what computes its results and what the derivative needs of it, and the derivative. */
export interface Apart extends Closed {
  /** Results of the graph itself; its other results are the residuals. */
  readonly outputs: number
  /** A graph of the residuals and the tangents, linear in these; zero tangents have no result. */
  readonly linear: Graph
  readonly nonzero: readonly boolean[]
}

export function apartOf(graph: Graph, nonzero: readonly boolean[]): Apart {
  let tape: Tape | undefined
  const forward = graphOf(avalsOf(graph.inputs), (primals) => {
    const linearized = linearizeGraph(graph, primals, [], nonzero)
    tape = linearized.tape
    return [...linearized.outputs, ...tape.residuals]
  })
  return { ...forward, outputs: graph.outputs.length, linear: closed(tape!.graph), nonzero: tape!.nonzero }
}

/** The results of the linear part; `wanted` marks the tangents that have to be arrays, even of zeros. */
export function applyLinear(
  { linear, nonzero, graph }: Apart,
  residuals: readonly Value[],
  tangents: readonly Value[],
  wanted: readonly boolean[],
): Value[] {
  const found = spreadTo(evaluateGraph(linear, [...residuals, ...tangents]), nonzero)
  return found.flatMap((tangent, k) => {
    if (tangent !== null) return [tangent]
    return wanted[k] ? [zerosLike(graph.outputs[k]!.aval)] : []
  })
}

/** The part of a closed graph that depends on nothing but its inputs `given`: the variables known from them alone. */
export function knownFrom(graph: Graph, given: readonly Var[]): Set<Var> {
  const known = new Set(given)
  for (const equation of graph.equations) {
    const { inputs, outputs } = equation
    if (!hasEffect(equation) && inputs.every((atom) => atom instanceof Literal || known.has(atom)))
      for (const output of outputs) known.add(output)
  }
  return known
}

/** The tangents that `marks` marks, as arrays even if they are zero. */
export const arraysOf = (
  tangents: readonly MaybeZero[],
  primals: readonly Value[],
  marks: readonly boolean[],
): Value[] => primals.flatMap((primal, k) => (marks[k] ? [tangents[k] ?? zerosLike(primal)] : []))

/** Two trees of types must be the same; `say` makes the message of the path where they are not. */
export function requireSame(
  say: (path: tree.Path, first: string, second: string) => string,
  first: unknown,
  second: unknown,
): void {
  if (tree.structure(first) !== tree.structure(second))
    throw new TypeError(say([], tree.structure(first), tree.structure(second)))
  const others = tree.leavesWithPath(second)
  for (const [k, { path, leaf }] of tree.leavesWithPath(first).entries()) {
    const other = others[k]!.leaf as Aval
    if (!(leaf as Aval).equals(other)) throw new TypeError(say(path, String(leaf), String(other)))
  }
}

/**
 * What a carry begins with, weak values in the dtype in which a turn gives them back, so that a number takes that of its
 * neighbours; `initial` itself if all keep theirs. A fraction does not become an integer.
 */
export function promoted(initial: readonly Value[], after: readonly Aval[]): readonly Value[] {
  const takes = (value: Value, dtype: DType | undefined): dtype is DType =>
    value.aval.weak &&
    dtype !== undefined &&
    dtype !== value.dtype &&
    (isFloat(dtype) ||
      (dtype !== 'bool' &&
        (!isFloat(value.dtype) || (value instanceof Constant && Number.isInteger(value.value)))))
  const casts = initial.map((value, k) => {
    const dtype = after[k]?.dtype
    return takes(value, dtype) ? cast(value, dtype) : value
  })
  return casts.every((value, k) => value === initial[k]) ? initial : casts
}
