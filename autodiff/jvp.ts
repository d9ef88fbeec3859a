// Forward mode: a graph is evaluated on pairs of a primal and a tangent. What has no tangent costs nothing.

import {
  type Aval,
  bind,
  Constant,
  evaluate,
  type Graph,
  interpret,
  isFloat,
  type Literal,
  type MaybeZero,
  type Params,
  type Traced,
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

/**
 * Evaluates a graph on duals. Captures are constants. With `apart`, no application mixes tangents with what is not linear in
 * them, so that those on tangents can be transposed.
 */
export const jvpGraph = (
  graph: Graph,
  inputs: readonly Dual[],
  captured: readonly Value[],
  apart: boolean,
): Dual[] =>
  interpret<Dual>(
    graph,
    inputs,
    captured.map((primal) => ({ primal, tangent: null })),
    ({ primitive, params, outputs: types }, duals) => {
      const primals = duals.map(({ primal }) => primal)
      const tangents = duals.map(({ tangent }) => tangent)
      const pair = (outputs: readonly Value[], tangents: readonly MaybeZero[]): Dual[] =>
        outputs.map((primal, k) => ({ primal, tangent: tangents[k] ?? null }))
      if (tangents.every((tangent) => tangent === null))
        return pair(bind(primitive, primals, params, types), [])
      if (typeof primitive.jvp === 'object' && 'as' in primitive.jvp) {
        const composed = composition(
          primitive.jvp,
          primals.map(({ aval }) => aval),
          params,
        )
        const moved = jvpGraph(composed.graph, duals, composed.captured, apart)
        return pair(
          bind(primitive, primals, params, types),
          moved.map(({ tangent }) => tangent),
        )
      }
      if (typeof primitive.jvp !== 'function') {
        const both = primitive.jvp.together(tangents, primals, params, apart)
        return pair(both.outputs, both.tangents)
      }
      const outputs = bind(primitive, primals, params, types)
      return pair(outputs, primitive.jvp(tangents, primals, outputs, params))
    },
    constantOf,
  )

/** The graph of what computes the same as a primitive, at values of these types. */
export function composition(
  rule: { as(inputs: readonly Value[], params: Params): readonly Value[] },
  avals: readonly Aval[],
  params: Params,
): Traced<readonly Value[]> {
  return trace('trace', (...xs: readonly Value[]) => rule.as(xs, params), avals as never)
}

const constantOf = ({ value, aval }: Literal): Dual => ({ primal: new Constant(value, aval), tangent: null })

/** The leaves of a tree of arguments as values. */
export const valuesOf = (op: string, args: unknown): Value[] =>
  tree
    .leavesWithPath(args)
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
 * The value of `f` and its derivative in the direction `tangents`, both shaped like what `f` returns. A tangent has the type
 * of its primal, else a `TypeError`; those of integers do not count.
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
      false,
    )
    return [
      rebuild(duals.map(({ primal }) => primal)),
      rebuild(duals.map(({ primal, tangent }) => tangent ?? zerosLike(primal))),
    ]
  }, 'jvp')
}
