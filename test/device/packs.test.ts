// Many small arrays in few kernels: the same bits as one by one, the same number of dispatches for ten leaves as for hundreds,
// and memory that goes back however the arrays are given up.

import {
  add,
  dispose,
  jit,
  lower,
  memory,
  mul,
  scope,
  sqrt,
  sum,
  synchronize,
  tensor,
  tree,
  type Value,
} from 'cotangent'
import {
  adamw,
  applyUpdates,
  chain,
  clipByGlobalNorm,
  type GradientTransformation,
  globalNorm,
  lionw,
  sgd,
  warmupCosine,
} from 'cotangent/optim'
import { expect, test } from 'vitest'
import { collectGarbage } from '../support/garbage.ts'

type Leaves = Record<string, Value>

/** A number from -1 to 1 that looks random. */
const noise = (k: number): number => Math.fround(((Math.sin(k * 12.9898) * 43758.5453) % 1) * 0.9)

const leaf = (seed: number, shape: readonly number[]): Value =>
  tensor(
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, k) => noise(seed * 1000 + k)),
    { shape },
  )

const leavesOf = (seed: number, shapes: readonly (readonly number[])[]): Leaves =>
  Object.fromEntries(shapes.map((shape, k) => [`w${String(k).padStart(3, '0')}`, leaf(seed + 7 * k, shape)]))

const odd = [
  [1],
  [3],
  [],
  [7, 9],
  [64],
  [5, 13],
  [1000],
  [],
  [2, 3, 5],
  [1, 1],
  [8, 64],
  [64, 8],
  [300, 7],
  [1],
]

const optimizers: Readonly<Record<string, () => GradientTransformation<unknown>>> = {
  lionw: () => lionw(0.1, { weightDecay: 0.1 }) as GradientTransformation<unknown>,
  adamw: () => adamw(0.1) as GradientTransformation<unknown>,
  'sgd with momentum': () => sgd(0.1, { momentum: 0.9 }) as GradientTransformation<unknown>,
  'lionw on a schedule': () =>
    lionw(warmupCosine({ peak: 0.1, steps: 100, warmup: 0.1 })) as GradientTransformation<unknown>,
}

/** A step with gradients that depend on the parameters. */
const stepOf =
  (optimizer: GradientTransformation<unknown>) => (params: Leaves, state: unknown, x: Leaves) => {
    const gradients = tree.map((p: Value, x: Value) => mul(add(p, x), 0.5), params, x)
    const [updates, next] = optimizer.update(gradients, state, params)
    return [applyUpdates(params, updates), next] as const
  }

const valuesOf = async (values: unknown): Promise<unknown[]> =>
  Promise.all((tree.leaves(values) as Value[]).map(async (value) => [...(await value.data())]))

test.each(Object.entries(optimizers))(
  '%s: leaves together have the bits of leaves alone',
  async (_, make) => {
    const step = stepOf(make())
    const together = jit(step, { donate: [0, 1] })
    const alone = jit(step)
    const x = leavesOf(5, odd)
    let [params, state] = [leavesOf(1, odd), make().init(leavesOf(1, odd))]
    const names = Object.keys(params)
    const single = names.map((name, k) => ({ [name]: leaf(1 + 7 * k, odd[k]!) }))
    const states = single.map((one) => make().init(one))
    for (let turn = 0; turn < 3; turn++) {
      ;[params, state] = together(params, state, x)
      for (const [k, name] of names.entries())
        [single[k], states[k]] = alone(single[k]!, states[k], { [name]: x[name]! }) as [Leaves, unknown]
    }
    const expected = await Promise.all(single.map((one) => valuesOf(one)))
    expect(await valuesOf(params)).toEqual(expected.flat())
  },
)
