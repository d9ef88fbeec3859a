// Tracing: a function runs once on `Tracer`s, and what it does to them becomes a `Graph`. An operation is recorded by the
// innermost builder among its inputs and the function being traced; arrays of outer scopes become captures of the graph.

import { type Atom, type Equation, type Graph, graphHasEffect, Literal, Var } from './graph.ts'
import { sourceNow, warnOfUnusedBools } from './lines.ts'
import type { Params, Primitive } from './primitive.ts'
import { Aval } from './shape.ts'
import { withWholeStacks } from './source.ts'
import { leavesWithPath, showPath, unflatten } from './tree.ts'
import { type ArrayLike, Constant, full, Value } from './value.ts'

/** A value inside a trace. */
export class Tracer extends Value {
  readonly builder: Builder
  readonly variable: Var

  constructor(builder: Builder, variable: Var) {
    super(variable.aval)
    this.builder = builder
    this.variable = variable
  }

  override async data(): Promise<never> {
    throw this.#unread('data')
  }

  override async item(): Promise<never> {
    throw this.#unread('item')
  }

  #unread(op: string): Error {
    return new Error(
      `${op}: a traced ${this.aval} has no elements yet; return it from the traced function and read the result, or look at it with debug.print`,
    )
  }

  override [Symbol.toPrimitive](hint: string): string {
    if (hint === 'string') return this.toString()
    throw new TypeError(
      `trace: a traced ${this.aval} was used as a JavaScript value; compute with add, mul, less, …, and branch with where() or cond()`,
    )
  }
}

const avalIn = ({ aval }: Value): Aval => aval

let opened = 0

/** Collects the equations of one trace. Later builders are inside earlier ones. */
export class Builder {
  readonly level = ++opened
  open = true
  readonly #inputs: Var[] = []
  readonly #captures = new Map<Value, Var>()
  readonly #equations: Equation[] = []
  #guard: Value | null = null

  input(aval: Aval): Tracer {
    const variable = new Var(aval)
    this.#inputs.push(variable)
    return new Tracer(this, variable)
  }

  /** Records an equation; `types` are those of its results, for who knows them from a graph that has it already. */
  emit(
    primitive: Primitive,
    inputs: readonly Value[],
    params: Params,
    types: readonly { readonly aval: Aval }[] | null = null,
  ): Tracer[] {
    const outputs = types
      ? types.map(({ aval }) => new Var(aval))
      : primitive.type(inputs.map(avalIn), params).map((aval) => new Var(aval))
    const equation = { primitive, inputs: inputs.map((value) => this.#atom(value)), params, outputs }
    const guard = this.#guard && { guard: this.#atom(this.#guard) as Var }
    const source = sourceNow()
    this.#equations.push(guard || source ? { ...equation, ...guard, ...(source && { source }) } : equation)
    return outputs.map((variable) => new Tracer(this, variable))
  }

  /** Runs `f` with this as the innermost trace. What it records need not run unless `guard` is true. */
  record<T>(f: () => T, guard: Value | null = null): T {
    const [outer, outerGuard] = [current, this.#guard]
    current = this
    this.#guard = guard
    try {
      return f()
    } finally {
      current = outer
      this.#guard = outerGuard
    }
  }

  /** Closes the trace: its graph, and the values its captures stand for. */
  finish(outputs: readonly Value[]): { readonly graph: Graph; readonly captured: readonly Value[] } {
    const atoms = outputs.map((value) => this.#atom(value))
    this.open = false
    const graph = {
      inputs: this.#inputs,
      captures: [...this.#captures.values()],
      equations: this.#equations,
      outputs: atoms,
    }
    return { graph, captured: [...this.#captures.keys()] }
  }

  #atom(value: Value): Atom {
    if (value instanceof Constant) return new Literal(value.value, value.aval)
    if (value instanceof Tracer) {
      if (value.builder === this) return value.variable
      if (!value.builder.open) throw escaped('trace', value)
    }
    const known = this.#captures.get(value)
    if (known !== undefined) return known
    const variable = new Var(value.aval)
    this.#captures.set(value, variable)
    return variable
  }
}

/** The error for a tracer that outlived its trace. */
export const escaped = (op: string, value: Value): Error =>
  new Error(
    `${op}: a traced ${value.aval} escaped its trace; return it from the traced function instead of storing it`,
  )

let current: Builder | null = null

/** Whether a function is being traced. */
export const isTracing = (): boolean => current !== null

/** Runs a computation outside any trace, under a name; installed by what can run programs. */
type Evaluate = <T>(name: string, operands: readonly Value[], f: () => T) => T
let evaluateNow: Evaluate = () => {
  throw new Error('trace: nothing can run programs yet; import from the package root')
}
export const setEvaluate = (evaluate: Evaluate): void => {
  evaluateNow = evaluate
}

/**
 * Applies a primitive: records it in the trace it belongs to, or runs it now. `types` are those of the results where a graph
 * that has this equation says them.
 */
export function bind<P>(
  primitive: Primitive<P>,
  inputs: readonly Value[],
  params: P,
  types: readonly { readonly aval: Aval }[] | null = null,
): readonly Value[] {
  let builder = current
  for (const input of inputs) {
    if (!(input instanceof Tracer)) continue
    if (!input.builder.open) throw escaped(primitive.name, input)
    if (builder === null || input.builder.level > builder.level) builder = input.builder
  }
  const rules = primitive as unknown as Primitive
  if (builder === null) return evaluateNow(primitive.name, inputs, () => bind(primitive, inputs, params))
  return builder.emit(rules, inputs, params as Params, types)
}

/** A value from what a caller may pass: a value, a boolean, or a number, which is a weak f32. */
export function toValue(
  x: unknown,
  describe: () => string,
  remedy = 'pass arrays, numbers or trees of them',
): Value {
  if (x instanceof Value) return x
  if (typeof x === 'number') return new Constant(Math.fround(x), new Aval([], 'f32', true))
  if (typeof x === 'boolean') return full([], x, 'bool')
  if (typeof x === 'object' && x !== null)
    throw new TypeError(
      `${describe()} is of class ${x.constructor?.name}; pass the arrays it is made of and make it inside of the function, or register the class with tree.register`,
    )
  throw new TypeError(`${describe()} is of type ${typeof x}; ${remedy}`)
}

/** A traced function: its graph, what it captured, and the tree its outputs form. */
export interface Traced<R> {
  readonly graph: Graph
  readonly captured: readonly Value[]
  rebuild(outputs: readonly Value[]): R
}

/** The type of a leaf among a function's arguments. Abstract leaves stand for arrays that need not exist. */
export const avalOf = (leaf: unknown, describe: () => string): Aval =>
  leaf instanceof Aval ? leaf : toValue(leaf, describe).aval

/** Traces `f` at the types of the leaves of `args`, which are trees of values, numbers or `Aval`s. */
export function trace<A extends readonly unknown[], R>(op: string, f: (...args: A) => R, args: A): Traced<R> {
  const builder = new Builder()
  const inputs = leavesWithPath(args).map(({ path, leaf }) =>
    builder.input(avalOf(leaf, () => `${op}: argument ${showPath(path)}`)),
  )
  let result: R
  try {
    result = withWholeStacks(() => builder.record(() => f(...(unflatten(args, inputs) as unknown as A))))
  } catch (error) {
    builder.open = false
    throw error
  }
  if (result instanceof Promise) {
    result.catch(() => {}) // what it says later is a consequence
    throw new TypeError(
      `${op}: the function returned a promise; make it synchronous, and read results outside of it`,
    )
  }
  const outputs = leavesWithPath(result).map(({ path, leaf }) =>
    toValue(leaf, () => `${op}: the output${path.length > 0 ? ` "${showPath(path)}"` : ''}`),
  )
  const { graph, captured } = builder.finish(outputs)
  if (result === undefined && !graphHasEffect(graph))
    throw new TypeError(`${op}: the function returned undefined; let it return its result`)
  warnOfUnusedBools(graph)
  return { graph, captured, rebuild: (values) => unflatten(result, values) as unknown as R }
}

/** The program that `f` is at the types of these arguments. Print it with `printGraph`. */
export const makeGraph =
  <A extends readonly unknown[]>(f: (...args: A) => unknown) =>
  (...args: A): Graph =>
    trace('makeGraph', f, args).graph

/** The types of the results of `f` without computing anything; arguments may be abstract. */
export const evalShape =
  <A extends readonly unknown[], R>(f: (...args: A) => R) =>
  (...args: A): R => {
    const { graph, rebuild } = trace('evalShape', f, args)
    return rebuild(graph.outputs.map(({ aval }) => aval) as unknown as Value[])
  }

/** The number or value as an array of `dtype` and rank 0, or itself. */
export const toArray = (x: ArrayLike): Value => toValue(x, () => 'array: the operand')
