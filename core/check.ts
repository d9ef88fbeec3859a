// The checking mode: equations are recorded with the user's line, and before a graph is compiled it gets steps of the host
// that look for the first equation that made a NaN. Nothing else of it is changed.

import { isFloat } from './dtype.ts'
import { type Atom, type Graph, interpret, isGraph, Literal, type Var } from './graph.ts'
import { notesLines, withLines } from './lines.ts'
import { bitwiseOr, cast, isNan, max, shiftLeft } from './ops/index.ts'
import type { Params, Primitive } from './primitive.ts'
import { callLine } from './source.ts'
import { Builder, bind } from './trace.ts'
import { Constant, full, type Value } from './value.ts'

/** An equation made a NaN: its results have one, its inputs have none. */
export class NanError extends Error {
  override readonly name = 'NanError'
  /** The primitive that made it. */
  readonly operation: string
  /** The equation as types, `f32[3] = log f32[3]`. */
  readonly equation: string
  /** The user's line, `file:line:column`; null where it is not known. */
  readonly source: string | null

  constructor({ operation, equation, source }: Maker) {
    super(
      `${operation}: ${equation}${source === null ? '' : ` (${source})`} made a NaN of inputs without one; print those with debug.print, and keep them where it is defined`,
    )
    this.operation = operation
    this.equation = equation
    this.source = source
  }
}

/** What can make a NaN. */
interface Maker {
  readonly operation: string
  readonly equation: string
  readonly source: string | null
}

/** An equation as the host sees it: its float arrays by number. `given` says that a NaN is written into it. */
interface Watched extends Maker {
  readonly inputs: readonly number[]
  readonly outputs: readonly number[]
  readonly given: boolean
}

/** The inputs are words in which bit `k % 32` of word `k / 32` says whether array `k` has a NaN. */
interface CheckParams {
  readonly equations: readonly Watched[]
  readonly results: readonly number[]
}

const never = (): never => {
  throw new Error('check: a checked graph was transformed; this is a defect of the compiler')
}

const checkPrimitive: Primitive<CheckParams> = {
  name: 'check',
  type: () => [],
  jvp: never,
  batch: never,
  reference: (words, params) => {
    const maker = firstMaker(params, (k) => ((words[k >>> 5]!.data[0]! >>> (k & 31)) & 1) === 1)
    if (maker !== null) throw new NanError(maker)
    return []
  },
  lower: { kind: 'host' },
  effect: true,
}

/** The first equation that made a NaN which reaches a result; a NaN that `where` leaves out is no fault. */
function firstMaker({ equations, results }: CheckParams, hasNan: (array: number) => boolean): Maker | null {
  const reaching = new Set(results.filter(hasNan))
  let found: Maker | null = null
  for (const equation of equations.toReversed()) {
    if (!equation.outputs.some((k) => reaching.has(k))) continue
    const before = equation.inputs.filter(hasNan)
    for (const k of before) reaching.add(k)
    if (before.length === 0 && !equation.given) found = equation
  }
  return found
}

const noted = new WeakMap<Graph, boolean>()

/** Whether equations of a graph, or of the graphs within it, have the user's lines. */
function isNoted(graph: Graph): boolean {
  const known =
    noted.get(graph) ??
    graph.equations.some(
      ({ source, params }) => source !== undefined || Object.values(params).flat().some(isNotedGraph),
    )
  noted.set(graph, known)
  return known
}

const isNotedGraph = (value: unknown): boolean => isGraph(value) && isNoted(value)

/** The graph with what looks for NaN, where its equations have the user's lines. */
export function checkedGraph(graph: Graph): Graph {
  if (!isNoted(graph)) return graph
  const builder = new Builder()
  const values = new Map<Var, Value>()
  const inputs = [...graph.inputs, ...graph.captures].map((variable) => {
    const input = builder.input(variable.aval)
    values.set(variable, input)
    return input
  })
  const { length } = graph.inputs
  const outputs = interpret<Value>(
    graph,
    inputs.slice(0, length),
    inputs.slice(length),
    ({ primitive, params, outputs }, inputs) => {
      const results = builder.emit(primitive, inputs, withCheckedGraphs(params))
      for (const [k, output] of outputs.entries()) values.set(output, results[k]!)
      return results
    },
    ({ value, aval }) => new Constant(value, aval),
  )
  builder.record(() => watch(graph, values))
  const { graph: checked } = builder.finish(outputs)
  return { ...checked, inputs: checked.inputs.slice(0, length), captures: checked.inputs.slice(length) }
}

const withCheckedGraphs = (params: Params): Params =>
  Object.fromEntries(
    Object.entries(params).map(([name, value]) => {
      if (isGraph(value)) return [name, checkedGraph(value)]
      const isList = Array.isArray(value) && value.some(isGraph)
      return [name, isList ? value.map((graph: Graph) => checkedGraph(graph)) : value]
    }),
  )

/** Records the check of a graph whose variables have these values. */
function watch(graph: Graph, values: ReadonlyMap<Var, Value>): void {
  const numbers = new Map<Var, number>()
  const number = (atom: Atom): number[] => {
    if (atom instanceof Literal || !isFloat(atom.aval.dtype) || atom.aval.size === 0) return []
    if (!numbers.has(atom)) numbers.set(atom, numbers.size)
    return [numbers.get(atom)!]
  }
  const results = graph.outputs.flatMap(number)
  const equations: Watched[] = []
  for (const { primitive, inputs, outputs, source } of graph.equations.toReversed()) {
    if (!outputs.some((output) => numbers.has(output))) continue // no result depends on it
    const types = (atoms: readonly Atom[]): string => atoms.map(({ aval }) => aval).join(' ')
    equations.unshift({
      operation: primitive.name,
      equation: `${types(outputs)} = ${[primitive.name, types(inputs)].join(' ').trim()}`,
      source: source?.line ?? null,
      inputs: inputs.flatMap(number),
      outputs: outputs.flatMap(number),
      given: inputs.some((atom) => atom instanceof Literal && Number.isNaN(atom.value)),
    })
  }
  if (equations.length === 0) return
  const words: Value[] = []
  for (const [variable, k] of numbers) {
    const bit = shiftLeft(cast(max(isNan(values.get(variable)!)), 'u32'), full([], k & 31, 'u32'))
    words[k >>> 5] = words[k >>> 5] === undefined ? bit : bitwiseOr(words[k >>> 5]!, bit)
  }
  bind(checkPrimitive, words, { equations, results })
}

/**
 * `f`, checked while it is called, for finding faults; it is slower. The results are those of `f`, but where an equation makes
 * a NaN that reaches a result, reading that rejects with a `NanError`, which names the first such equation and the line that
 * asked for it: in a `jit`, a derivative, `vmap` or the body of a loop too. A NaN that comes from an argument is not reported,
 * nor is an infinity. A random key that is used twice is warned about on the console, once for each pair of lines.
 *
 * @example
 * ```ts
 * import { debug, log, tensor } from 'cotangent'
 * const error = await debug.checked((x) => log(x.sub(1)))(tensor(0)).item().catch((error) => error)
 * error.equation // 'f32[] = log f32[]'
 * ```
 */
export const checked =
  <A extends readonly unknown[], R>(f: (...args: A) => R) =>
  (...args: A): R =>
    withLines(() => f(...args))

/** Where keys were used, and how. */
const uses = new WeakMap<Value, { readonly how: string; readonly line: string }>()
const warned = new Set<string>()

/** Notes the use of a key, which is to be the only one. */
export function useKey(key: Value, how: string): void {
  if (!notesLines()) return
  const line = callLine() ?? 'an unknown line'
  const first = uses.get(key)
  uses.set(key, first ?? { how, line })
  if (first === undefined || warned.has(`${first.line} ${line}`)) return
  warned.add(`${first.line} ${line}`)
  console.warn(
    `random: the key that ${how} at ${line} was ${first.how === 'is split' ? 'split' : 'used'} at ${first.line} before, so that their numbers are not independent; split it, and use each part once`,
  )
}
