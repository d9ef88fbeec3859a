// A `Graph` is a traced program: typed variables and equations in the order of their evaluation. `interpret` is the one
// fold over it; every transform is this fold with another carrier, and printing is another.

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

export type Atom = Var | Literal

export interface Equation {
  readonly primitive: Primitive
  readonly inputs: readonly Atom[]
  readonly params: Params
  readonly outputs: readonly Var[]
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
  for (const [k, variable] of graph.inputs.entries()) values.set(variable, inputs[k]!)
  for (const [k, variable] of graph.captures.entries()) values.set(variable, captures[k]!)
  const read = (atom: Atom): C => (atom instanceof Literal ? literal(atom) : values.get(atom)!)
  for (const equation of graph.equations) {
    const outputs = apply(equation, equation.inputs.map(read))
    for (const [k, variable] of equation.outputs.entries()) values.set(variable, outputs[k]!)
  }
  return graph.outputs.map(read)
}

/** a, b, …, z, aa, ab, … */
function nameOf(index: number): string {
  const letter = String.fromCharCode(97 + (index % 26))
  return index < 26 ? letter : nameOf(Math.floor(index / 26) - 1) + letter
}

function showParam(value: unknown): string {
  if (Array.isArray(value)) return `(${value.map(showParam).join(',')})`
  return String(value)
}

const showLiteral = ({ value, aval }: Literal): string => {
  const digits = Object.is(value, -0) ? '-0' : String(value)
  return aval.shape.length === 0 && aval.dtype === 'f32' ? digits : `${digits}:${aval}`
}

const showParams = (params: Params): string => {
  const shown = Object.entries(params).map(([name, value]) => `${name}=${showParam(value)}`)
  return shown.length === 0 ? '' : `[${shown.join(' ')}]`
}

/** The program as text, one equation a line. Two graphs that compute the same in the same way print alike. */
export function printGraph(graph: Graph): string {
  const names = new Map<Var, string>()
  const define = (variable: Var): string => {
    names.set(variable, nameOf(names.size))
    return `${names.get(variable)}: ${variable.aval}`
  }
  const use = (atom: Atom): string => (atom instanceof Literal ? showLiteral(atom) : names.get(atom)!)
  const inputs = graph.inputs.map(define).join(', ')
  const captures = graph.captures.length === 0 ? '' : `; ${graph.captures.map(define).join(', ')}`
  const lines = graph.equations.map(({ primitive, inputs, params, outputs }) => {
    const left = outputs.map(define).join(', ')
    return `  ${left} = ${primitive.name}${showParams(params)} ${inputs.map(use).join(' ')}`.trimEnd()
  })
  return [
    `graph(${inputs}${captures}) {`,
    ...lines,
    `  return ${graph.outputs.map(use).join(', ')}`,
    '}',
  ].join('\n')
}
