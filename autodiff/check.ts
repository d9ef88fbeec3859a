// Derivatives checked against finite differences, along one random direction.

import {
  add,
  dot,
  evaluate,
  full,
  isFloat,
  mul,
  random,
  ravel,
  sub,
  toValue,
  tree,
  type Value,
} from '../core/index.ts'
import { jvp, valuesOf } from './jvp.ts'
import { vjp } from './linearize.ts'

type Mode = 'fwd' | 'rev'

export interface CheckOptions {
  /** Derivatives up to this order are checked. */
  readonly order?: number
  readonly modes?: readonly Mode[]
  /** The step of the central differences. */
  readonly eps?: number
  /** A derivative may differ by `atol + rtol · |expected|`. */
  readonly rtol?: number
  readonly atol?: number
}

/** A function of f32 arrays alone. */
type Flat = (...xs: Value[]) => Value[]

/**
 * Rejects with an error unless the derivatives of `f` at `args` are those of central differences, along one random direction:
 * in forward mode as they are, in reverse mode as ⟨v, Jᵀu⟩ = ⟨Jv, u⟩; then the same for the functions that compute them, up to
 * `order`. Integers among arguments and results are left alone. Everything is computed in f32, so the default step is wider
 * than JAX's, whose tolerances apply.
 *
 * @example
 * ```ts
 * import { checkGrads, sin, tensor } from 'cotangent'
 * await checkGrads((x) => sin(x), [tensor([0.5, 1])])
 * ```
 */
export async function checkGrads<A extends readonly unknown[]>(
  f: (...args: A) => unknown,
  args: readonly [...A],
  { order = 2, modes = ['fwd', 'rev'], eps = 2 ** -9, rtol = 2e-3, atol = 2e-3 }: CheckOptions = {},
): Promise<void> {
  const given = valuesOf('checkGrads', args)
  const narrow = given.find(({ dtype }) => isFloat(dtype) && dtype !== 'f32')
  if (narrow)
    throw new TypeError(
      `checkGrads: an argument is ${narrow.aval}, too coarse for differences; check f at f32 arguments`,
    )
  const flat: Flat = (...xs) => {
    const left = [...xs]
    const all = given.map((value) => (value.dtype === 'f32' ? left.shift()! : value))
    return tree
      .leaves(f(...(tree.unflatten(args, all) as unknown as A)))
      .map((leaf) => toValue(leaf, () => 'checkGrads: an output'))
      .filter(({ dtype }) => isFloat(dtype))
  }

  const visit = async (f: Flat, xs: readonly Value[], done: readonly Mode[]): Promise<void> => {
    for (const mode of modes) {
      const [found, expected] = (mode === 'fwd' ? forward : backward)(f, xs, eps)
      await requireClose([mode, ...done], found, expected, { rtol, atol })
      if (done.length + 1 === order) continue
      if (mode === 'rev') {
        await visit((...xs) => vjpOf(f, xs, (ys) => ys), xs, [mode, ...done])
        continue
      }
      const both: Flat = (...all) => jvp(f, all.slice(0, xs.length), all.slice(xs.length)).flat()
      await visit(both, [...xs, ...xs], [mode, ...done])
    }
  }
  await visit(
    flat,
    given.filter(({ dtype }) => dtype === 'f32'),
    [],
  )
}

/** A random direction. */
const directionOf = (seed: number, xs: readonly Value[]): Value[] =>
  xs.map(({ shape }, k) => random.normal(random.foldIn(random.key(seed), k), shape))

/** By central differences. */
function slopes(f: Flat, xs: readonly Value[], direction: readonly Value[], eps: number): Value[] {
  const moved = (by: number): Value[] => f(...xs.map((x, k) => add(x, mul(direction[k]!, by))))
  const [after, before] = [moved(eps), moved(-eps)]
  return after.map((y, k) => mul(sub(y, before[k]!), 0.5 / eps))
}

function vjpOf(f: Flat, xs: readonly Value[], cotangents: (ys: Value[]) => Value[]): Value[] {
  const [ys, pullback] = vjp(f, ...xs)
  return pullback(cotangents(ys))
}

const forward = (f: Flat, xs: readonly Value[], eps: number): [Value[], Value[]] =>
  evaluate(() => {
    const direction = directionOf(0, xs)
    return [jvp(f, xs, direction)[1], slopes(f, xs, direction, eps)]
  })

const inner = (xs: readonly Value[], ys: readonly Value[]): Value =>
  xs.reduce((sum: Value, x, k) => add(sum, dot(ravel(x), ravel(ys[k]!))), full([], 0))

const backward = (f: Flat, xs: readonly Value[], eps: number): [Value[], Value[]] =>
  evaluate(() => {
    const direction = directionOf(0, xs)
    let cotangents: Value[] = []
    const found = vjpOf(f, xs, (ys) => {
      cotangents = directionOf(1, ys)
      return cotangents
    })
    return [[inner(direction, found)], [inner(slopes(f, xs, direction, eps), cotangents)]]
  })

async function requireClose(
  modes: readonly Mode[],
  found: readonly Value[],
  expected: readonly Value[],
  { rtol, atol }: { readonly rtol: number; readonly atol: number },
): Promise<void> {
  for (const [k, value] of found.entries()) {
    const [got, wanted] = [await value.data(), await expected[k]!.data()]
    const at = got.findIndex((x, i) => !(Math.abs(x - wanted[i]!) <= atol + rtol * Math.abs(wanted[i]!)))
    if (at < 0) continue
    const what =
      modes[0] === 'fwd' ? `element ${at} of derivative ${k} is` : 'the product with the pullback is'
    throw new Error(
      `checkGrads: order ${modes.length}, ${modes.join(' of ')}: ${what} ${got[at]}, but differences give ${wanted[at]}; correct the rule, or give eps, rtol or atol`,
    )
  }
}
