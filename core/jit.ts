// `jit`: a function is traced once for each set of types, compiled to one program, and run as one. Here tracing, the
// compiler and the device meet; it is also how an operation or a transform outside of any trace is run.

import { checkedGraph } from './check.ts'
import { launch, Program, type Storage } from './device/index.ts'
import { type Graph, graphHasEffect, Literal, printGraph } from './graph.ts'
import { keyOf } from './identity.ts'
import { notesLines } from './lines.ts'
import { traceCounter } from './retrace.ts'
import { callSite } from './source.ts'
import { materialize, Tensor } from './tensor.ts'
import { compileFor } from './tiles.ts'
import { escaped, isTracing, setEvaluate, type Traced, Tracer, toValue, trace } from './trace.ts'
import { leaves, leavesWithPath, showPath, structure } from './tree.ts'
import { Constant, type Value } from './value.ts'

/** Programs of graphs, by their text: what is traced again need not be compiled again. The oldest are forgotten. */
const programs = new Map<string, Program>()
const maxPrograms = 1024

function programOf(traced: Graph): Program {
  const graph = checkedGraph(traced)
  const text = printGraph(graph)
  const program = programs.get(text) ?? new Program((device) => compileFor(device, graph))
  programs.delete(text)
  programs.set(text, program)
  if (programs.size > maxPrograms) programs.delete(programs.keys().next().value!)
  return program
}

/** Runs a program on its inputs and captures, and returns its results. */
function execute(
  operation: string,
  program: Program,
  graph: Graph,
  inputs: readonly Value[],
  donated: readonly Storage[],
): Value[] {
  const origin = { operation, site: callSite() }
  const outputs = graph.outputs.map((atom) =>
    atom instanceof Literal ? new Constant(atom.value, atom.aval) : new Tensor(atom.aval, null, origin),
  )
  const made = outputs.filter((output) => output instanceof Tensor)
  const arrays = inputs.map((input) => materialize(input, origin))
  const temporary = arrays.filter((array, k) => array !== inputs[k]) // of numbers, which nobody else holds
  if (made.length > 0 || graphHasEffect(graph))
    launch(
      program,
      arrays.map(({ storage }) => storage),
      made.map(({ storage }) => storage),
      [...donated, ...temporary.map(({ storage }) => storage)],
    )
  return outputs
}

/** `f()` as one program; inside a trace, just `f()`. What `f` returns is a tree of values. Errors say `operation`. */
export const evaluate = <T>(f: () => T, operation = 'evaluate'): T => evaluateAs(operation, [], f)

/** The same, under a name; `operands` are told apart in errors. */
function evaluateAs<T>(name: string, operands: readonly Value[], f: () => T): T {
  if (isTracing()) return f()
  const { graph, captured, rebuild } = trace(name, f, [])
  for (const value of captured) {
    const operand = operands.indexOf(value)
    requireUsable(name, value, operand < 0 ? 'a captured array' : `operand ${operand}`)
  }
  return rebuild(execute(name, programOf(graph), graph, captured, []))
}

setEvaluate(evaluateAs)

function requireUsable(op: string, value: Value, what: string): void {
  if (value instanceof Tensor && value.storage.gone !== null)
    throw new Error(`${op}: ${what} ${value.storage.gone}`)
  if (value instanceof Tracer) throw escaped(op, value)
}

const leafRemedy = 'pass arrays, numbers or trees of them, or name the argument in staticArgnums'

/** What `jit` may assume of arguments. */
export interface JitOptions {
  /** Arguments that are no arrays: each value of theirs is a program of its own. */
  readonly staticArgnums?: readonly number[]
  /** Arguments whose memory the call may reuse; they cannot be used afterwards. */
  readonly donate?: readonly number[]
}

/**
 * `f` compiled: traced once for each structure and type of its arguments, then run as one submission. Inside another trace
 * it is `f` itself. Arrays that `f` closes over are inputs of the
 * program and no constants in it; which array a variable holds is looked up when `f` is traced.
 *
 * @example
 * ```ts
 * import { jit, mul, sum, tensor } from 'cotangent'
 * const dot = jit((x, y) => sum(mul(x, y)))
 * await dot(tensor([1, 2]), tensor([3, 4])).item() // 11
 * ```
 */
export function jit<A extends readonly unknown[], R>(
  f: (...args: A) => R,
  { staticArgnums = [], donate = [] }: JitOptions = {},
): (...args: A) => R {
  const name = f.name || 'jit'
  for (const k of [...staticArgnums, ...donate])
    if (!Number.isInteger(k) || k < 0)
      throw new RangeError(`${name}: there is no argument ${k}; count from 0`)
  const compiled = new Map<string, Traced<R> & { readonly program: Program }>()
  const count = traceCounter(name)
  return (...args) => {
    if (isTracing()) return f(...args)
    const dynamic = args.map((arg, k) => (staticArgnums.includes(k) ? null : arg))
    const places: string[] = []
    const inputs = leavesWithPath(dynamic).map(({ path: [k, ...path], leaf }) => {
      const what = path.length > 0 ? `"${showPath(path)}" of argument ${k}` : `argument ${k}`
      const value = toValue(leaf, () => `${name}: ${what}`, leafRemedy)
      requireUsable(name, value, what)
      places.push(what)
      return value
    })
    const statics = staticArgnums.map((k) => keyOf(args[k]))
    const key = [structure(dynamic), inputs.map(({ aval }) => String(aval)), statics, notesLines()].join(';')
    const known = compiled.get(key)
    const entry = known ?? traceProgram(name, f, args, dynamic, staticArgnums)
    compiled.set(key, entry)
    if (known === undefined)
      count({
        arrays: inputs.map(({ aval }, k) => [places[k]!, String(aval)]),
        statics: statics.map((text, k) => [`static argument ${staticArgnums[k]}`, text]),
      })
    for (const value of entry.captured) requireUsable(name, value, 'a captured array')
    const donated = donate.flatMap((k) => leaves(dynamic[k])).filter((leaf) => leaf instanceof Tensor)
    const outputs = execute(
      name,
      entry.program,
      entry.graph,
      [...inputs, ...entry.captured],
      donated.map(({ storage }) => storage),
    )
    for (const { storage } of donated)
      storage.gone = `was donated to an earlier call of ${name}; use the tree that call returned`
    return entry.rebuild(outputs)
  }
}

/** Traces `f` at the dynamic arguments; the static ones, null among those, are what they are. */
function traceProgram<A extends readonly unknown[], R>(
  name: string,
  f: (...args: A) => R,
  args: A,
  dynamic: readonly unknown[],
  staticArgnums: readonly number[],
): Traced<R> & { readonly program: Program } {
  const call = (...traced: readonly unknown[]): R =>
    f(...(traced.map((arg, k) => (staticArgnums.includes(k) ? args[k] : arg)) as unknown as A))
  const traced = trace(name, call, dynamic)
  return { ...traced, program: programOf(traced.graph) }
}
