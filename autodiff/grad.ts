// Gradients of scalar functions of parameter trees.

import { type DType, evaluate, isFloat, onesLike, trace, tree, type Value, zerosLike } from '../core/index.ts'
import { valuesOf } from './jvp.ts'
import { linearizeGraph, transposeTape } from './linearize.ts'

/** What `grad` differentiates. */
export interface GradOptions<N extends number | readonly number[] = number> {
  /** The argument, or arguments, to differentiate with respect to; the first when absent. */
  readonly argnums?: N
}

/** The argument at `N`, or the tuple of them. */
export type Chosen<A extends readonly unknown[], N> = N extends number
  ? A[N]
  : N extends readonly number[]
    ? { [K in keyof N]: N[K] extends number ? A[N[K]] : never }
    : never

/**
 * `f` and the gradient of its value, as one function: `[value, gradient]`, or `[[value, aux], gradient]` with `hasAux`,
 * where `f` returns `[value, aux]`. The gradient is a tree like the argument. The loss must be a scalar, of any float dtype.
 *
 * @example
 * ```ts
 * import { sum, tensor, valueAndGrad } from 'cotangent'
 * const [value, gradient] = valueAndGrad((x) => sum(x.mul(x)))(tensor([1, 2]))
 * await gradient.data() // [2, 4]
 * ```
 */
export function valueAndGrad<
  A extends readonly unknown[],
  Aux,
  const N extends number | readonly number[] = 0,
>(
  f: (...args: A) => readonly [Value, Aux],
  options: GradOptions<N> & { readonly hasAux: true },
): (...args: A) => [[Value, Aux], Chosen<A, N>]
export function valueAndGrad<A extends readonly unknown[], const N extends number | readonly number[] = 0>(
  f: (...args: A) => Value,
  options?: GradOptions<N> & { readonly hasAux?: false },
): (...args: A) => [Value, Chosen<A, N>]
export function valueAndGrad(
  f: (...args: never[]) => unknown,
  {
    argnums = 0,
    hasAux = false,
  }: GradOptions<number | readonly number[]> & { readonly hasAux?: boolean } = {},
): (...args: never[]) => unknown {
  return (...args) =>
    evaluate(() => {
      const chosen = [argnums].flat()
      for (const k of chosen) requireFloats('grad', k, args[k], args.length)
      const leafCounts = args.map((arg) => tree.leaves(arg).length)
      const wanted = leafCounts.flatMap((count, k) => new Array<boolean>(count).fill(chosen.includes(k)))
      const inputs = valuesOf('grad', args)
      const { graph, captured, rebuild } = trace('grad', f, args)
      const { outputs, tape } = linearizeGraph(graph, inputs, captured, wanted)
      const result = rebuild(outputs)
      const loss = hasAux ? (result as readonly unknown[])[0] : result
      requireScalar(outputs, hasAux, tree.leaves(loss).length)
      const seed = tape.nonzero.flatMap((nonzero, k) =>
        nonzero ? [k === 0 ? onesLike(outputs[0]!) : null] : [],
      )
      const cotangents = transposeTape(tape, seed)
      const gradients = inputs.map((input, k) =>
        wanted[k] ? (cotangents.shift() ?? zerosLike(input)) : null,
      )
      const starts = leafCounts.map((_, k) => leafCounts.slice(0, k).reduce((a, b) => a + b, 0))
      const gradient = (k: number): unknown =>
        tree.unflatten(args[k], gradients.slice(starts[k], starts[k]! + leafCounts[k]!))
      return [result, typeof argnums === 'number' ? gradient(argnums) : argnums.map(gradient)]
    }, 'grad')
}

export function requireFloats(op: string, k: number, arg: unknown, count: number): void {
  if (!Number.isInteger(k) || k < 0 || k >= count)
    throw new RangeError(`${op}: argnums names argument ${k}, but there are ${count}; count from 0`)
  for (const { path, leaf } of tree.leavesWithPath(arg)) {
    const dtype = typeof leaf === 'object' && leaf !== null && 'dtype' in leaf ? leaf.dtype : 'f32'
    if (!isFloat(dtype as DType))
      throw new TypeError(
        `${op}: ${[`argument ${k}`, ...path].join('.')} is ${leaf}; differentiate with respect to float arrays only`,
      )
  }
}

function requireScalar(outputs: readonly Value[], hasAux: boolean, lossLeaves: number): void {
  const [loss] = outputs
  if (lossLeaves !== 1 || loss === undefined)
    throw new TypeError(
      `grad: the loss has ${lossLeaves} arrays; return one scalar${hasAux ? ' before the aux' : ', or set hasAux'}`,
    )
  if (!isFloat(loss.dtype)) throw new TypeError(`grad: expected a float loss, got ${loss.aval}; cast it`)
  if (loss.size !== 1 || loss.rank !== 0)
    throw new TypeError(`grad: expected a scalar loss, got ${loss.aval}; sum or average it first`)
}

/**
 * The gradient of a scalar function, as a tree like the argument; with `hasAux`, `[gradient, aux]`. A `TypeError` if the loss is
 * no scalar float, or an argument is no float.
 *
 * @example
 * ```ts
 * import { grad, sum, tensor } from 'cotangent'
 * await grad((x) => sum(x.exp()))(tensor([0])).data() // [1]
 * ```
 */
export function grad<A extends readonly unknown[], Aux, const N extends number | readonly number[] = 0>(
  f: (...args: A) => readonly [Value, Aux],
  options: GradOptions<N> & { readonly hasAux: true },
): (...args: A) => [Chosen<A, N>, Aux]
export function grad<A extends readonly unknown[], const N extends number | readonly number[] = 0>(
  f: (...args: A) => Value,
  options?: GradOptions<N> & { readonly hasAux?: false },
): (...args: A) => Chosen<A, N>
export function grad(
  f: (...args: never[]) => unknown,
  options: GradOptions<number | readonly number[]> & { readonly hasAux?: boolean } = {},
): (...args: never[]) => unknown {
  const both = valueAndGrad(f as (...args: never[]) => Value, options as GradOptions<0>)
  return (...args) => {
    const [value, gradient] = both(...args) as unknown as [unknown, unknown]
    return options.hasAux ? [gradient, (value as readonly unknown[])[1]] : gradient
  }
}
