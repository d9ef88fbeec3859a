// `jit`: a function is traced once for each set of types, compiled to one program, and run as one. Here tracing, the
// compiler and the device meet; it is also how an operation or a transform outside of any trace is run.

import { build } from './build.ts'
import { checkedGraph } from './check.ts'
import { currentTimer, launch, Program, type Storage } from './device/index.ts'
import { type Graph, graphHasEffect, Literal, printGraph } from './graph.ts'
import { keyOf } from './identity.ts'
import { leavesLike } from './levels.ts'
import { notesLines, withLines } from './lines.ts'
import { traceCounter } from './retrace.ts'
import { type Aval, sameType } from './shape.ts'
import { callSite } from './source.ts'
import { timed } from './spent.ts'
import { materialize, Tensor } from './tensor.ts'
import { escaped, isTracing, setEvaluate, type Traced, Tracer, toValue, trace } from './trace.ts'
import { leaves, leavesWithPath, showPath, structure } from './tree.ts'
import { Constant, type Value } from './value.ts'

/** Programs of graphs, by their text: what is traced again need not be compiled again. The oldest are forgotten. */
const programs = new Map<string, Program>()
const maxPrograms = 1024

function programOf(traced: Graph): Program {
  if (currentTimer() !== null) {
    const graph = notesLines() ? checkedGraph(traced) : traced // equal programs have lines of their own
    return new Program((machine) => build(machine, graph, true))
  }
  const graph = checkedGraph(traced)
  const text = printGraph(graph)
  const program = programs.get(text) ?? new Program((machine) => build(machine, graph))
  programs.delete(text)
  programs.set(text, program)
  if (programs.size > maxPrograms) programs.delete(programs.keys().next().value!)
  return program
}

/** Traces; with the user's lines for a profile, which shows them. */
const traceNow: typeof trace = (op, f, args) =>
  currentTimer() === null ? trace(op, f, args) : withLines(() => trace(op, f, args))

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
  const { graph, captured, rebuild } = traceNow(name, f, [])
  for (const value of captured) {
    const operand = operands.indexOf(value)
    requireUsable(name, value, () => (operand < 0 ? 'a captured array' : `operand ${operand}`))
  }
  return rebuild(execute(name, programOf(graph), graph, captured, []))
}

setEvaluate(evaluateAs)

function requireUsable(op: string, value: Value, what: () => string): void {
  if (value instanceof Tensor && value.storage.gone !== null)
    throw new Error(`${op}: ${what()} ${value.storage.gone}`)
  if (value instanceof Tracer) throw escaped(op, value)
}

const leafRemedy = 'pass arrays, numbers or trees of them, or name the argument in staticArgnums'

/** A function compiled for arguments of some structure and types. */
interface Compiled<R> extends Traced<R> {
  readonly program: Program
  readonly leavesOf: (args: unknown) => unknown[] | null
  readonly types: readonly Aval[]
  /** What else it is compiled for, as text. */
  readonly situation: string
  /** The leaves whose memory a call may reuse. */
  readonly donated: readonly number[]
}

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
  const compiled = new Map<string, Compiled<R>>()
  const count = traceCounter(name)
  let last: Compiled<R> | undefined
  return (...args) => {
    if (isTracing()) return f(...args)
    const dynamic = args.map((arg, k) => (staticArgnums.includes(k) ? null : arg))
    const like = last?.leavesOf(dynamic) ?? null
    const inputs = (like ?? leaves(dynamic)).map((leaf, k) => {
      const value = toValue(leaf, () => `${name}: ${placesOf(dynamic)[k]}`, leafRemedy)
      requireUsable(name, value, () => placesOf(dynamic)[k]!)
      return value
    })
    const statics = staticArgnums.map((k) => keyOf(args[k]))
    const situation = [...statics, notesLines(), currentTimer() !== null].join(';')
    let entry = last
    if (
      entry === undefined ||
      like === null ||
      entry.situation !== situation ||
      !entry.types.every((type, k) => sameType(type, inputs[k]!.aval))
    ) {
      const types = inputs.map(({ aval }) => aval)
      const key = [structure(dynamic), types, situation].join(';')
      entry = compiled.get(key)
      if (entry === undefined) {
        const traced = timed('trace', () => traceProgram(name, f, args, dynamic, staticArgnums))
        const owners = leavesWithPath(dynamic).map(({ path: [k] }) => k as number)
        const donated = donate.flatMap((k) => owners.flatMap((owner, leaf) => (owner === k ? [leaf] : [])))
        entry = { ...traced, leavesOf: leavesLike(dynamic), types, situation, donated }
        compiled.set(key, entry)
        const places = placesOf(dynamic)
        count({
          arrays: types.map((type, k) => [places[k]!, String(type)]),
          statics: statics.map((text, k) => [`static argument ${staticArgnums[k]}`, text]),
        })
      }
      last = entry
    }
    for (const value of entry.captured) requireUsable(name, value, () => 'a captured array')
    const donated = entry.donated.map((k) => inputs[k]!).filter((input) => input instanceof Tensor)
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

/** Where the leaves of arguments are, for errors. */
const placesOf = (args: readonly unknown[]): string[] =>
  leavesWithPath(args).map(({ path: [k, ...path] }) =>
    path.length > 0 ? `"${showPath(path)}" of argument ${k}` : `argument ${k}`,
  )

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
  const traced = traceNow(name, call, dynamic)
  return { ...traced, program: programOf(traced.graph) }
}
