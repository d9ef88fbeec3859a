// Jacobians: forward mode along every direction of the arguments, or reverse mode for every element of the results, by `vmap`.

import {
  cast,
  evaluate,
  eye,
  isFloat,
  reshape,
  slice,
  toValue,
  transpose,
  tree,
  type Value,
  zerosLike,
} from '../core/index.ts'
import { type Chosen, type GradOptions, grad, requireFloats } from './grad.ts'
import { jvp, valuesOf } from './jvp.ts'
import { vjp } from './linearize.ts'
import { vmap } from './vmap.ts'

/** For each array of the results, what is chosen of the arguments, with the axes of the result before each of its own. */
type Jacobian<A extends readonly unknown[], R, N> = tree.MapLeaves<R, Value, Chosen<A, N>>

type Argnums = number | readonly number[]
type Options<N> = GradOptions<N & Argnums> & { readonly hasAux?: boolean }

/** `f` of the chosen arguments alone, all as lists of arrays. */
interface Flat {
  readonly inputs: readonly Value[]
  readonly outputs: (xs: readonly Value[]) => { ys: Value[]; aux: unknown }
  /** The tree of blocks, of which `blocks` has a row for each result. */
  readonly build: (blocks: readonly (readonly Value[])[]) => unknown
}

function flatten(
  op: string,
  f: (...args: never[]) => unknown,
  args: readonly unknown[],
  { argnums = 0, hasAux = false }: Options<Argnums>,
): Flat {
  const chosen = [argnums].flat()
  for (const k of chosen) requireFloats(op, k, args[k], args.length)
  const given = tree.unflatten(args, valuesOf(op, args)) as unknown as unknown[]
  const places = typeof argnums === 'number' ? given[argnums] : argnums.map((k) => given[k])
  let results: unknown
  return {
    inputs: tree.leaves(places) as Value[],
    outputs: (xs) => {
      const replaced = tree.unflatten(places, xs) as unknown
      const all = given.map((arg, k) => {
        if (!chosen.includes(k)) return arg
        return typeof argnums === 'number' ? replaced : (replaced as unknown[])[chosen.indexOf(k)]
      })
      const result = f(...(all as never[]))
      if (hasAux && !(Array.isArray(result) && result.length === 2))
        throw new TypeError(`${op}: the function returned no pair; with hasAux, return [value, aux]`)
      const [value, aux] = hasAux ? (result as [unknown, unknown]) : [result, null]
      const ys = tree.leavesWithPath(value).map(({ path, leaf }) => {
        const at = path.length > 0 ? ` "${tree.showPath(path)}"` : ''
        const y = toValue(leaf, () => `${op}: the output${at}`)
        if (!isFloat(y.dtype))
          throw new TypeError(`${op}: the output${at} is ${y.aval}; cast it, or return it as aux`)
        return y
      })
      results = value
      return { ys, aux }
    },
    build: (blocks) =>
      tree.unflatten(
        results,
        blocks.map((row) => tree.unflatten(places, row)),
      ),
  }
}

const sizeOfAll = (values: readonly Value[]): number => values.reduce((sum, { size }) => sum + size, 0)
const startsOf = (values: readonly Value[]): number[] => values.map((_, k) => sizeOfAll(values.slice(0, k)))

/** For each array, one example for each element of all arrays: 1 there and 0 elsewhere. */
function basisOf(values: readonly Value[]): Value[] {
  const total = sizeOfAll(values)
  const starts = startsOf(values)
  return values.map(({ shape, dtype, size }, k) =>
    reshape(cast(eye(total, size, { k: -starts[k]! }), dtype), [total, ...shape]),
  )
}

/** The parts of axis 0 that belong to each of the arrays, with the array's axes in its place. */
function partsFor(values: readonly Value[], stacked: Value): Value[] {
  const starts = startsOf(values)
  const rest = stacked.shape.slice(1)
  return values.map(({ shape, size }, k) => {
    const part = slice(stacked, {
      start: [starts[k]!, ...rest.map(() => 0)],
      end: [starts[k]! + size, ...rest],
    })
    return reshape(part, [...shape, ...rest])
  })
}

/**
 * The Jacobian of `f` by forward mode, one direction for each element of the arguments: the better way for functions of few
 * numbers. Each array of the results becomes a tree like the argument, with blocks of shape `[...result, ...argument]`. With
 * `argnums` a list, a tuple of such trees; with `hasAux`, where `f` returns `[value, aux]`, `[jacobian, aux]`.
 *
 * @example
 * ```ts
 * import { jacfwd, mul, tensor } from 'cotangent'
 * const jacobian = jacfwd((x) => mul(x, x))(tensor([1, 2]))
 * await jacobian.data() // [2, 0, 0, 4]
 * ```
 */
export function jacfwd<A extends readonly unknown[], R, Aux, const N extends Argnums = 0>(
  f: (...args: A) => readonly [R, Aux],
  options: GradOptions<N> & { readonly hasAux: true },
): (...args: A) => [Jacobian<A, R, N>, Aux]
export function jacfwd<A extends readonly unknown[], R, const N extends Argnums = 0>(
  f: (...args: A) => R,
  options?: GradOptions<N> & { readonly hasAux?: false },
): (...args: A) => Jacobian<A, R, N>
export function jacfwd(
  f: (...args: never[]) => unknown,
  options: Options<Argnums> = {},
): (...args: never[]) => unknown {
  return (...args) =>
    evaluate(() => {
      const { inputs, outputs, build } = flatten('jacfwd', f, args, options)
      if (sizeOfAll(inputs) === 0) throw emptyError('jacfwd', 'arguments')
      const pushforward = (...directions: Value[]) => {
        const [value, moved] = jvp((...xs: Value[]) => outputs(xs), inputs, directions)
        return { tangents: moved.ys, aux: value.aux }
      }
      const { tangents, aux } = vmap(pushforward, { outAxes: { tangents: 0, aux: null } })(...basisOf(inputs))
      const jacobian = build(
        tangents.map((stacked) =>
          partsFor(inputs, stacked).map((block, k) => argumentLast(block, inputs[k]!.rank)),
        ),
      )
      return options.hasAux ? [jacobian, aux] : jacobian
    })
}

/** The first `count` axes moved behind the others. */
const argumentLast = (block: Value, count: number): Value =>
  transpose(
    block,
    block.shape.map((_, axis) => (axis + count) % block.rank),
  )

const emptyError = (op: string, what: string): Error =>
  new TypeError(`${op}: the ${what} have no elements; give at least one array that has some`)

/**
 * The Jacobian of `f` by reverse mode, one pass for each element of the results: the better way for functions to few numbers.
 * Shapes and options are those of `jacfwd`.
 *
 * @example
 * ```ts
 * import { jacrev, mul, sum, tensor } from 'cotangent'
 * const { squares, total } = jacrev((x) => ({ squares: mul(x, x), total: sum(x) }))(tensor([1, 2]))
 * await squares.data() // [2, 0, 0, 4]
 * await total.data() // [1, 1]
 * ```
 */
export function jacrev<A extends readonly unknown[], R, Aux, const N extends Argnums = 0>(
  f: (...args: A) => readonly [R, Aux],
  options: GradOptions<N> & { readonly hasAux: true },
): (...args: A) => [Jacobian<A, R, N>, Aux]
export function jacrev<A extends readonly unknown[], R, const N extends Argnums = 0>(
  f: (...args: A) => R,
  options?: GradOptions<N> & { readonly hasAux?: false },
): (...args: A) => Jacobian<A, R, N>
export function jacrev(
  f: (...args: never[]) => unknown,
  options: Options<Argnums> = {},
): (...args: never[]) => unknown {
  return (...args) =>
    evaluate(() => {
      const { inputs, outputs, build } = flatten('jacrev', f, args, options)
      const [{ ys, aux }, pullback] = vjp((...xs: Value[]) => outputs(xs), ...inputs)
      if (sizeOfAll(ys) === 0) throw emptyError('jacrev', 'results')
      const none = tree.map((value: Value) => zerosLike(value), aux)
      const rows = vmap((cotangents: Value[]) => pullback({ ys: cotangents, aux: none }))(basisOf(ys))
      const columns = rows.map((stacked) => partsFor(ys, stacked))
      const jacobian = build(ys.map((_, j) => columns.map((blocks) => blocks[j]!)))
      return options.hasAux ? [jacobian, aux] : jacobian
    })
}

/**
 * The second derivatives of `f`, forward over reverse: for each array of the results a tree of trees like the argument, with
 * blocks of shape `[...result, ...argument, ...argument]`. Options are those of `jacfwd`.
 *
 * @example
 * ```ts
 * import { hessian, sum, tensor } from 'cotangent'
 * const curvature = hessian((x) => sum(x.mul(x).mul(x)))(tensor([1, 2]))
 * await curvature.data() // [6, 0, 0, 12]
 * ```
 */
export function hessian<A extends readonly unknown[], R, Aux, const N extends Argnums = 0>(
  f: (...args: A) => readonly [R, Aux],
  options: GradOptions<N> & { readonly hasAux: true },
): (...args: A) => [Jacobian<A, Jacobian<A, R, N>, N>, Aux]
export function hessian<A extends readonly unknown[], R, const N extends Argnums = 0>(
  f: (...args: A) => R,
  options?: GradOptions<N> & { readonly hasAux?: false },
): (...args: A) => Jacobian<A, Jacobian<A, R, N>, N>
export function hessian(
  f: (...args: never[]) => unknown,
  options: Options<Argnums> = {},
): (...args: never[]) => unknown {
  return jacfwd(jacrev(f, options as { hasAux?: false }), options as { hasAux?: false })
}

/**
 * The Hessian of a scalar function with respect to its first argument, times `tangents`, without making it: `jvp` of `grad`.
 * The result is a tree like the first argument.
 *
 * @example
 * ```ts
 * import { hvp, sum, tensor } from 'cotangent'
 * await hvp((x) => sum(x.mul(x).mul(x)), [tensor([1, 2])], [tensor([1, 0])]).data() // [6, 0]
 * ```
 */
export const hvp = <A extends readonly unknown[]>(
  f: (...args: A) => Value,
  primals: readonly [...A],
  tangents: readonly [...A],
): Chosen<A, 0> => jvp(grad(f), primals, tangents)[1]
