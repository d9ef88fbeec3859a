// A `Graph` is a traced program: typed variables and equations in the order of their evaluation. `interpret` is the one
// fold over it; every transform is this fold with another carrier, and printing is another.

import { identityOf } from './identity.ts'
import { type Source, withLine } from './lines.ts'
import type { Params, Primitive } from './primitive.ts'
import type { Aval } from './shape.ts'

/** A variable: what an equation binds, or an input of the graph. */
export class Var {
  readonly aval: Aval

  constructor(aval: Aval) {
    this.aval = aval
  }
}

/** A constant of any shape, written into the graph. */
export class Literal {
  readonly value: number
  readonly aval: Aval

  constructor(value: number, aval: Aval) {
    this.value = value
    this.aval = aval
  }
}

/** What an equation reads. */
export type Atom = Var | Literal

/** One application of a primitive. */
export interface Equation {
  readonly primitive: Primitive
  readonly inputs: readonly Atom[]
  readonly params: Params
  readonly outputs: readonly Var[]
  /** A bool without which the equation need not run: its results are then read by nobody. */
  readonly guard?: Var
  /** Where it comes from, if that was asked for. */
  readonly source?: Source
}

/** `inputs` are the arguments; `captures` are the arrays the traced function closed over, inputs as well. */
export interface Graph {
  readonly inputs: readonly Var[]
  readonly captures: readonly Var[]
  readonly equations: readonly Equation[]
  readonly outputs: readonly Atom[]
}

/** Evaluates `graph` over any carrier `C`: `apply` is the meaning of an equation, `literal` of a constant. */
export function interpret<C>(
  graph: Graph,
  inputs: readonly C[],
  captures: readonly C[],
  apply: (equation: Equation, inputs: readonly C[]) => readonly C[],
  literal: (literal: Literal) => C,
): C[] {
  const values = new Map<Var, C>()
  const define = (variables: readonly Var[], given: readonly C[]): void => {
    for (let k = 0; k < variables.length; k++) values.set(variables[k]!, given[k]!)
  }
  const read = (atom: Atom): C => (atom instanceof Literal ? literal(atom) : values.get(atom)!)
  define(graph.inputs, inputs)
  define(graph.captures, captures)
  for (const equation of graph.equations) {
    const operands = equation.inputs.map(read)
    const { source } = equation
    define(
      equation.outputs,
      source === undefined ? apply(equation, operands) : withLine(source, () => apply(equation, operands)),
    )
  }
  return graph.outputs.map(read)
}

/** A graph whose captures are inputs, in front of the others. */
export const closed = ({ inputs, captures, ...graph }: Graph): Graph => ({
  ...graph,
  inputs: [...captures, ...inputs],
  captures: [],
})

const letters = 'abcdefghijklmnopqrstuvwxyz'

/** a, b, …, z, aa, ab, … */
function nameOf(index: number): string {
  const letter = letters[index % 26]!
  return index < 26 ? letter : nameOf(Math.floor(index / 26) - 1) + letter
}

/** A parameter that does not change what is computed, such as a rule for a derivative, and is not printed. */
export class Unprinted<T> {
  readonly value: T

  constructor(value: T) {
    this.value = value
  }
}

export const isGraph = (value: unknown): value is Graph =>
  typeof value === 'object' && value !== null && 'equations' in value

const effects = new WeakMap<Graph, boolean>()

/** Whether running an equation does something besides computing its results. */
export const hasEffect = ({ primitive, params }: Equation): boolean =>
  primitive.effect === true || Object.values(params).some(holdsEffect)

const holdsEffect = (value: unknown): boolean =>
  Array.isArray(value) ? value.some(holdsEffect) : isGraph(value) && graphHasEffect(value)

/** Whether anything in a graph, or in the graphs within it, has an effect. */
export function graphHasEffect(graph: Graph): boolean {
  const known = effects.get(graph) ?? graph.equations.some(hasEffect)
  effects.set(graph, known)
  return known
}

const graphTexts = new WeakMap<Graph, string>()

function showParam(value: unknown): string {
  if (typeof value === 'number') return Object.is(value, -0) ? '-0' : String(value)
  if (Array.isArray(value)) return `(${value.map(showParam).join(',')})`
  if (typeof value === 'function') return `${value.name || 'function'}#${identityOf(value)}`
  if (isGraph(value)) return printGraph(value).replaceAll('\n', '\n  ')
  if (typeof value === 'object' && value !== null) return `{${showParams(value as Params)}}`
  return String(value)
}

export const showLiteral = ({ value, aval }: Literal): string => {
  const digits = Object.is(value, -0) ? '-0' : String(value)
  return aval.shape.length === 0 && aval.dtype === 'f32' ? digits : `${digits}:${aval}`
}

const paramTexts = new WeakMap<Params, string>()

/** Parameters as text; equal ones have the same text. */
export function showParams(params: Params): string {
  const known = paramTexts.get(params)
  if (known !== undefined) return known
  const text = Object.entries(params)
    .filter(([, value]) => !(value instanceof Unprinted))
    .map(([name, value]) => `${name}=${showParam(value)}`)
    .join(' ')
  paramTexts.set(params, text)
  return text
}

/** The program as text, one equation a line. Two graphs that compute the same in the same way print alike. */
export function printGraph(graph: Graph): string {
  const known = graphTexts.get(graph)
  if (known !== undefined) return known
  const text = write(graph)
  graphTexts.set(graph, text)
  return text
}

function write(graph: Graph): string {
  const names = new Map<Var, string>()
  const define = (variable: Var): string => {
    const name = nameOf(names.size)
    names.set(variable, name)
    return `${name}: ${variable.aval}`
  }
  const use = (atom: Atom): string => (atom instanceof Literal ? showLiteral(atom) : names.get(atom)!)
  const inputs = graph.inputs.map(define).join(', ')
  const captures = graph.captures.length === 0 ? '' : `; ${graph.captures.map(define).join(', ')}`
  const lines = graph.equations.map(({ primitive, inputs, params, outputs, guard }) => {
    const left = outputs.map(define).join(', ')
    const shown = showParams(params)
    const operation = `${primitive.name}${shown === '' ? '' : `[${shown}]`}`
    const condition = guard === undefined ? [] : ['if', use(guard)]
    const right = [operation, ...inputs.map(use), ...condition].join(' ')
    return `  ${left === '' ? '' : `${left} = `}${right}`
  })
  return [
    `graph(${inputs}${captures}) {`,
    ...lines,
    `  return ${graph.outputs.map(use).join(', ')}`,
    '}',
  ].join('\n')
}
