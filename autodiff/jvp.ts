// Forward mode: a graph is evaluated on pairs of a primal and a tangent. What has no tangent costs nothing.

import {
  bind,
  Constant,
  evaluate,
  type Graph,
  interpret,
  isFloat,
  type MaybeZero,
  toValue,
  trace,
  tree,
  type Value,
  zerosLike,
} from '../core/index.ts'

/** A value and its tangent; `null` is zero. */
export interface Dual {
  readonly primal: Value
  readonly tangent: MaybeZero
}

/** Evaluates a graph on duals. Captures are constants. */
export const jvpGraph = (graph: Graph, inputs: readonly Dual[], captured: readonly Value[]): Dual[] =>
  interpret<Dual>(
    graph,
    inputs,
    captured.map((primal) => ({ primal, tangent: null })),
    ({ primitive, params }, duals) => {
      const primals = duals.map(({ primal }) => primal)
      const outputs = bind(primitive, primals, params)
      if (duals.every(({ tangent }) => tangent === null))
        return outputs.map((primal) => ({ primal, tangent: null }))
      const tangents = primitive.jvp(
        duals.map(({ tangent }) => tangent),
        primals,
        outputs,
        params,
      )
      return outputs.map((primal, k) => ({ primal, tangent: tangents[k] ?? null }))
    },
    ({ value, aval }) => ({ primal: new Constant(value, aval), tangent: null }),
  )

/** The leaves of a tree of arguments as values. */
export const valuesOf = (op: string, args: unknown): Value[] =>
  tree
    .flattenWithPath(args)
    .map(({ path, leaf }) => toValue(leaf, () => `${op}: argument ${tree.showPath(path)}`))

/** Trees that belong together have one structure. */
export function checkStructure(what: string, given: unknown, wanted: unknown): void {
  if (tree.structure(given) !== tree.structure(wanted))
    throw new TypeError(
      `${what} form ${tree.structure(given)}, not ${tree.structure(wanted)}; give one for each array`,
    )
}

export function checkTangents(op: string, primals: readonly Value[], tangents: readonly Value[]): void {
  for (const [k, primal] of primals.entries())
    if (!primal.aval.equals(tangents[k]!.aval))
      throw new TypeError(
        `${op}: tangent ${k} is ${tangents[k]!.aval} but its primal is ${primal.aval}; they must agree`,
      )
}

/**
 * The value of `f` and its derivative in the direction `tangents`, both shaped like what `f` returns.
 *
 * @example
 * ```ts
 * import { jvp, sin, tensor } from 'cotangent'
 * const [y, t] = jvp((x) => sin(x), [tensor(0)], [tensor(2)])
 * await t.item() // 2
 * ```
 */
export function jvp<A extends readonly unknown[], R>(
  f: (...args: A) => R,
  primals: readonly [...A],
  tangents: readonly [...A],
): [R, R] {
  return evaluate(() => {
    const xs = valuesOf('jvp', primals)
    const ts = valuesOf('jvp', tangents)
    checkStructure('jvp: the tangents', tangents, primals)
    checkTangents('jvp', xs, ts)
    const { graph, captured, rebuild } = trace('jvp', f, primals as unknown as A)
    const duals = jvpGraph(
      graph,
      xs.map((primal, k) => ({ primal, tangent: isFloat(primal.dtype) ? ts[k]! : null })),
      captured,
    )
    return [
      rebuild(duals.map(({ primal }) => primal)),
      rebuild(duals.map(({ primal, tangent }) => tangent ?? zerosLike(primal))),
    ]
  })
}
