// Vectorization: a graph is evaluated on values that know along which axis their examples lie. What the examples share is
// computed once.

import {
  Aval,
  type BatchAxis,
  type Batched,
  bind,
  broadcastTo,
  Constant,
  evaluate,
  type Graph,
  interpret,
  moveaxis,
  trace,
  tree,
  type Value,
} from '../core/index.ts'
import { valuesOf } from './jvp.ts'

/** Evaluates a graph on values that know where their `size` examples lie. */
export const batchGraph = (
  graph: Graph,
  inputs: readonly Batched[],
  captured: readonly Batched[],
  size: number,
): Batched[] =>
  interpret<Batched>(
    graph,
    inputs,
    captured,
    ({ primitive, params }, inputs) =>
      inputs.every(({ axis }) => axis === null)
        ? bind(
            primitive,
            inputs.map(({ value }) => value),
            params,
          ).map((value) => ({ value, axis: null }))
        : primitive.batch(inputs, params, size),
    ({ value, aval }) => ({ value: new Constant(value, aval), axis: null }),
  )

/** One axis for all leaves, or a tree whose leaves hold for what is below them; `null` shares a value among examples. */
export type Axes = BatchAxis | readonly Axes[] | { readonly [key: string]: Axes }

/** Where the examples lie. */
export interface VmapOptions {
  /** For each argument, where its examples lie. A number, or `null`, holds for all arguments. */
  readonly inAxes?: Axes
  /** Where the examples go in the results. */
  readonly outAxes?: Axes
}

/** The axis of every leaf of `target`, from a tree that may end above the leaves. */
function spread(option: string, axes: Axes, target: unknown): BatchAxis[] {
  const visit = (axes: unknown, target: unknown, path: tree.Path): BatchAxis[] => {
    const at = tree.showPath(path)
    if (target === null || target === undefined) return []
    if (axes === undefined)
      throw new TypeError(`vmap: ${option} has nothing at "${at}"; give an axis or null`)
    if (axes === null || typeof axes === 'number') return tree.leaves(target).map(() => axes)
    const [given, wanted] = [tree.children(axes), tree.children(target)]
    if (given === null)
      throw new TypeError(`vmap: ${option} has a ${typeof axes} at "${at}"; give an axis or null`)
    if (wanted === null)
      throw new TypeError(`vmap: ${option} has a branch at "${at}", where an array is; give an axis or null`)
    const extra = [...given.keys()].find((key) => !wanted.has(key))
    if (extra !== undefined)
      throw new TypeError(
        `vmap: ${option} has "${tree.showPath([...path, extra])}", which is not there; remove it`,
      )
    return [...wanted].flatMap(([key, child]) => visit(given.get(key), child, [...path, key]))
  }
  return visit(axes, target, [])
}

const normal = (axis: number, rank: number, what: string): number => {
  if (!Number.isInteger(axis) || axis < -rank || axis >= rank)
    throw new RangeError(`vmap: axis ${axis} is outside ${what}; name an axis it has, or null`)
  return axis < 0 ? axis + rank : axis
}

/**
 * `f` for a batch of examples at once. `f` is written for one example; nested `vmap`s batch along several axes. What all examples
 * share is computed once. A `TypeError` if the arguments have different numbers of examples.
 *
 * @example
 * ```ts
 * import { sum, tensor, vmap } from 'cotangent'
 * await vmap((row) => sum(row))(tensor([[1, 2], [3, 4]])).data() // [3, 7]
 * ```
 */
export function vmap<A extends readonly unknown[], R>(
  f: (...args: A) => R,
  { inAxes = 0, outAxes = 0 }: VmapOptions = {},
): (...args: A) => R {
  return (...args) =>
    evaluate(() => {
      const values = valuesOf('vmap', args)
      const axes = spread('inAxes', inAxes, args).map((axis, k) =>
        axis === null ? null : normal(axis, values[k]!.rank, `an argument of type ${values[k]!.aval}`),
      )
      const sizes = axes.flatMap((axis, k) => (axis === null ? [] : [values[k]!.shape[axis]!]))
      const [size] = sizes
      if (size === undefined)
        throw new TypeError('vmap: no argument has a batch axis; give inAxes at least one number')
      const paths = tree.leavesWithPath(args).map(({ path }) => tree.showPath(path))
      const sizeOf = (k: number): number | undefined =>
        axes[k] === null ? undefined : values[k]!.shape[axes[k]!]
      const first = paths.findIndex((_, k) => sizeOf(k) === size)
      const other = paths.findIndex((_, k) => (sizeOf(k) ?? size) !== size)
      if (other >= 0)
        throw new TypeError(
          `vmap: argument ${paths[first]} has ${size} examples and argument ${paths[other]} has ${sizeOf(other)}; their batch axes must agree, or give null in inAxes for what all share`,
        )
      const examples = values.map(
        ({ shape, dtype, aval: { weak } }, k) =>
          new Aval(
            shape.filter((_, axis) => axis !== axes[k]),
            dtype,
            weak,
          ),
      )
      const { graph, captured, rebuild } = trace('vmap', f, tree.unflatten(args, examples) as unknown as A)
      const outputs = batchGraph(
        graph,
        values.map((value, k) => ({ value, axis: axes[k]! })),
        captured.map((value) => ({ value, axis: null })),
        size,
      )
      const result = rebuild(outputs.map(({ value }) => value))
      const wanted = spread('outAxes', outAxes, result)
      return rebuild(outputs.map((output, k) => placeBatch(output, wanted[k]!, size)))
    }, 'vmap')
}

/** Moves the examples to the axis that is wanted, repeating a value they share. */
export function placeBatch({ value, axis }: Batched, wanted: BatchAxis, size: number): Value {
  if (wanted === null) {
    if (axis !== null)
      throw new TypeError('vmap: outAxes is null for a result that differs between examples; give a number')
    return value
  }
  const front = axis === null ? broadcastTo(value, [size, ...value.shape]) : value
  return moveaxis(front, axis ?? 0, normal(wanted, front.rank, `a result of type ${front.aval}`))
}
