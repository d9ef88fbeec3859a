// Reverse mode is forward mode, then transposition. `linearize` runs a function on duals whose tangents are recorded on a
// tape, a graph that is linear in them; what the tape captured are the saved activations. `transpose` runs a tape backwards.

import {
  type Atom,
  Aval,
  add,
  Builder,
  bind,
  Constant,
  evaluate,
  type Graph,
  interpret,
  isFloat,
  Literal,
  type MaybeZero,
  type Params,
  type Primitive,
  trace,
  tree,
  type Value,
  type Var,
  withLine,
  zerosLike,
} from '../core/index.ts'
import { checkStructure, checkTangents, composition, jvpGraph, valuesOf } from './jvp.ts'

/** A linear map: a graph of tangents, the values it captured, and for each result whether it is not just zero. */
export interface Tape {
  readonly graph: Graph
  readonly residuals: readonly Value[]
  readonly nonzero: readonly boolean[]
}

/** Evaluates a graph at `inputs` and records its derivative with respect to those that `wanted` chooses. */
export function linearizeGraph(
  graph: Graph,
  inputs: readonly Value[],
  captured: readonly Value[],
  wanted: readonly boolean[],
): { readonly outputs: readonly Value[]; readonly tape: Tape } {
  const builder = new Builder()
  const duals = jvpGraph(
    graph,
    inputs.map((primal, k) => ({ primal, tangent: wanted[k] ? builder.input(primal.aval) : null })),
    captured,
    true,
  )
  const nonzero = duals.map(({ tangent }) => tangent !== null)
  const tape = builder.finish(duals.flatMap(({ tangent }) => tangent ?? []))
  return {
    outputs: duals.map(({ primal }) => primal),
    tape: { graph: tape.graph, residuals: tape.captured, nonzero },
  }
}

/**
 * The cotangents of the inputs and captures of a graph, from those of its results. `known` has the value of each that the
 * graph is not linear in, and null for the others.
 */
export function transposeGraph(
  graph: Graph,
  known: readonly MaybeZero[],
  cotangents: readonly MaybeZero[],
): MaybeZero[] {
  const arguments_ = [...graph.inputs, ...graph.captures]
  const values = new Map<Var, Value>()
  for (const [k, variable] of arguments_.entries()) if (known[k]) values.set(variable, known[k])
  const knownValue = (atom: Atom): Value | undefined =>
    atom instanceof Literal ? new Constant(atom.value, atom.aval) : values.get(atom)
  const linear = graph.equations.filter(({ primitive, inputs, params, outputs, source }) => {
    const operands = inputs.flatMap((atom) => knownValue(atom) ?? [])
    if (operands.length < inputs.length) return true
    const results = withLine(source, () => bind(primitive, operands, params, outputs))
    for (const [k, output] of outputs.entries()) values.set(output, results[k]!)
    return false
  })

  const sums = new Map<Var, Value>()
  const accumulate = (atom: Atom, ct: MaybeZero): void => {
    if (ct === null || atom instanceof Literal) return
    const sum = sums.get(atom)
    sums.set(atom, sum === undefined ? ct : add(sum, ct))
  }
  for (const [k, output] of graph.outputs.entries()) accumulate(output, cotangents[k] ?? null)
  for (const { primitive, inputs, params, outputs, source } of linear.toReversed()) {
    const cts = outputs.map((output) => sums.get(output) ?? null)
    if (cts.every((ct) => ct === null)) continue
    const transpose = primitive.transpose ?? transposeComposed(primitive)
    const operands = inputs.map((atom): Value | Aval => knownValue(atom) ?? atom.aval)
    withLine(source, () => {
      for (const [k, ct] of transpose(cts, operands, params).entries()) accumulate(inputs[k]!, ct)
    })
  }
  return arguments_.map((variable, k) => (known[k] ? null : (sums.get(variable) ?? null)))
}

/** The transpose of a primitive that is a composition. */
const transposeComposed =
  ({ name, jvp }: Primitive) =>
  (cotangents: readonly MaybeZero[], inputs: readonly (Value | Aval)[], params: Params): MaybeZero[] => {
    if (typeof jvp === 'function' || !('as' in jvp))
      throw new Error(`transpose: ${name} is not linear; give its record a transpose rule`)
    const avals = inputs.map((input) => (input instanceof Aval ? input : input.aval))
    const { graph, captured } = composition(jvp, avals, params)
    const known = [...inputs.map((input) => (input instanceof Aval ? null : input)), ...captured]
    return transposeGraph(graph, known, cotangents).slice(0, inputs.length)
  }

/** The cotangents of a tape's inputs, from those of its nonzero outputs. */
export const transposeTape = ({ graph, residuals }: Tape, cotangents: readonly MaybeZero[]): MaybeZero[] =>
  transposeGraph(graph, [...graph.inputs.map(() => null), ...residuals], cotangents).slice(
    0,
    graph.inputs.length,
  )

/** A graph evaluated on values. */
export const evaluateGraph = (
  graph: Graph,
  inputs: readonly Value[],
  captured: readonly Value[] = [],
): Value[] =>
  interpret<Value>(
    graph,
    inputs,
    captured,
    ({ primitive, params, outputs }, inputs) => bind(primitive, inputs, params, outputs),
    ({ value, aval }) => new Constant(value, aval),
  )

/** A function at a point: its value there, its tape, and how trees of its inputs and outputs are taken apart. */
interface Linearized<A extends readonly unknown[], R> {
  readonly value: R
  readonly outputs: readonly Value[]
  readonly tape: Tape
  readonly inputs: readonly Value[]
  readonly args: A
  rebuild(outputs: readonly Value[]): R
}

/** Traces and linearizes `f`; outside of a trace, the forward pass runs as one program. */
function linearizeAt<A extends readonly unknown[], R>(
  op: string,
  f: (...args: A) => R,
  args: A,
): Linearized<A, R> {
  const inputs = valuesOf(op, args)
  const { graph, captured, rebuild } = trace(op, f, args)
  let tape: Tape | undefined
  const [outputs, residuals] = evaluate((): [readonly Value[], readonly Value[]] => {
    const linear = linearizeGraph(
      graph,
      inputs,
      captured,
      inputs.map(({ dtype }) => isFloat(dtype)),
    )
    tape = linear.tape
    return [linear.outputs, linear.tape.residuals]
  }, op)
  return { value: rebuild(outputs), outputs, tape: { ...tape!, residuals }, inputs, args, rebuild }
}

/**
 * The value of `f` at the arguments, and its derivative there as a function of tangents, which can be called many times.
 *
 * @example
 * ```ts
 * import { linearize, mul, tensor } from 'cotangent'
 * const [y, tangent] = linearize((x) => mul(x, x), tensor(3))
 * await tangent(tensor(1)).item() // 6
 * ```
 */
export function linearize<A extends readonly unknown[], R>(
  f: (...args: A) => R,
  ...args: A
): [R, (...tangents: A) => R] {
  const { value, outputs, tape, inputs, rebuild } = linearizeAt('linearize', f, args)
  const pushforward = (...tangents: A): R =>
    evaluate(() => {
      const ts = valuesOf('linearize', tangents)
      checkStructure('linearize: the tangents', tangents, args)
      checkTangents('linearize', inputs, ts)
      const moved = evaluateGraph(
        tape.graph,
        ts.filter((_, k) => isFloat(inputs[k]!.dtype)),
        tape.residuals,
      )
      let next = 0
      return rebuild(outputs.map((output, k) => (tape.nonzero[k] ? moved[next++]! : zerosLike(output))))
    }, 'linearize')
  return [value, pushforward]
}

/**
 * The value of `f` at the arguments, and the function that takes a cotangent of the value to those of the arguments.
 * Integer arguments get zeros.
 *
 * @example
 * ```ts
 * import { mul, tensor, vjp } from 'cotangent'
 * const [y, pullback] = vjp((x, z) => mul(x, z), tensor(3), tensor(5))
 * const [cx, cz] = pullback(tensor(1))
 * await cx.item() // 5
 * ```
 */
export function vjp<A extends readonly unknown[], R>(
  f: (...args: A) => R,
  ...args: A
): [R, (cotangent: R) => A] {
  const { value, outputs, tape, inputs } = linearizeAt('vjp', f, args)
  const pullback = (cotangent: R): A =>
    evaluate(() => {
      const cts = valuesOf('vjp', cotangent)
      checkStructure('vjp: the cotangents', cotangent, value)
      for (const [k, output] of outputs.entries())
        if (!cts[k]?.aval.equals(output.aval))
          throw new TypeError(
            `vjp: cotangent ${k} is ${cts[k]?.aval ?? 'missing'} but the output is ${output.aval}; they must agree`,
          )
      const found = transposeTape(
        tape,
        cts.filter((_, k) => tape.nonzero[k]),
      )
      const all = inputs.map((input) => (isFloat(input.dtype) ? found.shift() : null) ?? zerosLike(input))
      return tree.unflatten(args, all) as unknown as A
    }, 'vjp')
  return [value, pullback]
}

/**
 * The transpose of a linear function: from cotangents of its results to those of its arguments, whose types `args` give; they
 * may be abstract.
 *
 * @example
 * ```ts
 * import { linearTranspose, tensor } from 'cotangent'
 * const [back] = linearTranspose((x) => x.mul(3), tensor(0))(tensor(2))
 * await back.item() // 6
 * ```
 */
export function linearTranspose<A extends readonly unknown[], R>(
  f: (...args: A) => R,
  ...args: A
): (cotangent: R) => A {
  const { graph, captured, rebuild } = trace('linearTranspose', f, args)
  const kinds = graph.outputs.map(({ aval }) => aval)
  return (cotangent) =>
    evaluate(() => {
      const cts = valuesOf('linearTranspose', cotangent)
      checkStructure('linearTranspose: the cotangents', cotangent, rebuild(kinds as never))
      for (const [k, kind] of kinds.entries())
        if (!cts[k]!.aval.equals(kind))
          throw new TypeError(
            `linearTranspose: cotangent ${k} is ${cts[k]!.aval} but the output is ${kind}; they must agree`,
          )
      const found = transposeGraph(graph, [...graph.inputs.map(() => null), ...captured], cts)
      const all = graph.inputs.map(({ aval }, k) => found[k] ?? zerosLike(aval))
      return tree.unflatten(args, all) as unknown as A
    }, 'linearTranspose')
}
