// Many small arrays in few kernels: the same bits as one by one, the same number of dispatches for ten leaves as for hundreds,
// and memory that goes back however the arrays are given up.

import {
  add,
  DeviceLostError,
  dispose,
  grad,
  jit,
  lower,
  memory,
  mul,
  scope,
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
import { openDevice } from '../../core/device/device.ts'
import { collectGarbage } from '../support/garbage.ts'

type Leaves = Record<string, Value>

/** A number between -0.9 and 0.9 that looks random. */
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

/** Optimisers, and the most kernels of clipping and updating, where a kernel binds as few arrays as anywhere. */
const optimizers = {
  lionw: [4, () => lionw(0.1, { weightDecay: 0.1 })],
  adamw: [5, () => adamw(0.1)],
  'sgd with momentum': [4, () => sgd(0.1, { momentum: 0.9 })],
  'lionw on a schedule': [4, () => lionw(warmupCosine({ peak: 0.1, steps: 100, warmup: 0.1 }))],
} as unknown as Readonly<Record<string, readonly [number, () => GradientTransformation<unknown>]>>

/** A step with gradients that depend on the parameters. */
const stepOf =
  (optimizer: GradientTransformation<unknown>) => (params: Leaves, state: unknown, x: Leaves) => {
    const gradients = tree.map((p: Value, x: Value) => mul(add(p, x), 0.5), params, x)
    const [updates, next] = optimizer.update(gradients, state, params)
    return [applyUpdates(params, updates), next] as const
  }

const valuesOf = async (values: unknown): Promise<number[][]> =>
  Promise.all(
    (tree.leaves(values) as Value[]).map(async (value) => Array.from(await value.data()) as number[]),
  )

test.each(Object.entries(optimizers))(
  '%s: leaves together have the bits of leaves alone',
  async (_, [, make]) => {
    const step = stepOf(make())
    const together = jit(step, { donate: [0, 1] })
    const x = leavesOf(5, odd)
    let [params, state] = [leavesOf(1, odd), make().init(leavesOf(1, odd))]
    const names = Object.keys(params)
    const single = names.map((_, k) => leaf(1 + 7 * k, odd[k]!))
    const states = single.map((one) => make().init({ one }))
    const alone = jit(function alone(one: Value, state: unknown, x: Value) {
      return step({ one }, state, { one: x })
    })
    for (let turn = 0; turn < 3; turn++) {
      ;[params, state] = together(params, state, x)
      for (const [k, name] of names.entries()) {
        const [{ one }, next] = alone(single[k]!, states[k], x[name]!)
        single[k] = one!
        states[k] = next
      }
    }
    expect(await valuesOf(params)).toEqual(await valuesOf(single))
  },
)

test('the norm of odd leaves is that of all their elements, what lies between them left out', async () => {
  const norm = jit((gradients: Leaves) => {
    const [clipped] = clipByGlobalNorm(1).update(gradients, null, gradients)
    return { norm: globalNorm(gradients), clipped }
  })
  for (const seed of [1, 2]) {
    const gradients = leavesOf(seed, odd)
    const numbers = (await valuesOf(gradients)).flat()
    const expected = Math.sqrt(numbers.reduce((sum, x) => sum + x * x, 0))
    const { norm: found, clipped } = norm(gradients)
    expect(Math.abs(((await found.item()) as number) / expected - 1)).toBeLessThan(2e-7)
    const scaled = (await valuesOf(clipped)).flat()
    for (const [k, x] of numbers.entries()) expect(scaled[k]).toBeCloseTo(x / expected, 6)
    dispose([found, clipped, gradients]) // what the next turn finds in the buffers
  }
})

const shapesOf = (leaves: number): number[][] =>
  Array.from({ length: leaves }, (_, k) => [1 + (k % 9), 64 + k])

test.each(Object.entries(optimizers))('%s: as many kernels for 200 leaves as for 10', (_, [most, make]) => {
  const count = (leaves: number): number => {
    const optimizer = chain(clipByGlobalNorm(1), make())
    const params = leavesOf(1, shapesOf(leaves))
    const step = (gradients: Leaves, state: [null, unknown], params: Leaves) => {
      const [updates, next] = optimizer.update(gradients, state, params)
      return [applyUpdates(params, updates), next]
    }
    return lower(step)(params, optimizer.init(params), params).kernels.length
  }
  expect(count(10)).toBe(count(200))
  expect(count(200)).toBeLessThanOrEqual(most)
})

const optimizer = chain(clipByGlobalNorm(1), lionw(0.01))
type State = ReturnType<typeof optimizer.init>

const train = jit(
  function train(params: Leaves, state: State, x: Leaves) {
    const loss = (params: Leaves): Value =>
      Object.keys(params)
        .map((name) => sum(mul(mul(params[name]!, params[name]!), x[name]!)))
        .reduce((a, b) => add(a, b))
    const [updates, next] = optimizer.update(grad(loss)(params), state, params)
    return [applyUpdates(params, updates), next] as const
  },
  { donate: [0, 1] },
)

/** What is in use once everything unreachable has been collected. */
async function inUse() {
  await synchronize()
  await collectGarbage()
  return (await memory()).live
}

test('a thousand steps of packed leaves neither grow nor leak', async () => {
  const before = await inUse()
  const x = leavesOf(3, odd)
  let params = leavesOf(1, odd)
  let state = optimizer.init(params)
  let early: unknown = null
  for (let k = 1; k <= 1000; k++) {
    const step = () => train(params, state, x)
    ;[params, state] = k % 2 === 0 ? step() : await scope(step)
    if (k === 10) early = await inUse()
  }
  expect(await inUse()).toEqual(early)
  dispose([params, state, x])
  expect(await inUse()).toEqual(before)
})

test('a block goes back with the last of its leaves, and a leaf outlives the others', async () => {
  const shapes = [[100], [3], [64], [65], [1000]]
  const before = await inUse()
  const params = leavesOf(1, shapes)
  const doubled = jit((params: Leaves) => tree.map((x: Value) => mul(x, 2), params))(params)
  const held = await inUse()
  expect(held.buffers - before.buffers).toBe(shapes.length + 1) // one block for all results
  const [first, second, ...others] = Object.values(doubled)
  dispose([first, ...others])
  expect((await inUse()).buffers).toBe(held.buffers)
  const expected = (await valuesOf(params))[1]!
  expect(await valuesOf(second)).toEqual([expected.map((x) => Math.fround(2 * x))])
  const more = add(second!, 1)
  expect(await valuesOf(more)).toEqual([expected.map((x) => Math.fround(1 + Math.fround(2 * x)))])
  dispose([more, second])
  expect((await inUse()).buffers).toBe(held.buffers - 1)
  dispose(params)
  expect(await inUse()).toEqual(before)
})

test('a lost device fails every leaf of a block, and the next has leaves of its own', async () => {
  const double = jit((params: Leaves) => tree.map((x: Value) => mul(x, 2), params))
  const shapes = [[100], [3], [64], [65]]
  const lost = double(leavesOf(1, shapes))
  await synchronize()
  const { gpu } = await openDevice()
  gpu.destroy()
  for (const x of Object.values(lost)) await expect(x.data()).rejects.toThrow(DeviceLostError)
  dispose(lost)
  const params = leavesOf(2, shapes)
  const expected = (await valuesOf(params)).map((values) => values.map((x) => Math.fround(2 * x)))
  expect(await valuesOf(double(params))).toEqual(expected)
})

test('16-bit leaves, leaves that are used twice, and chains of equal steps are computed as ever', async () => {
  const halves = shapesOf(6).map(([rows, columns], k) =>
    tensor(new Float32Array(rows! * columns!).fill(k + 1), { shape: [rows!, columns!], dtype: 'f16' }),
  )
  const doubled = await valuesOf(jit((xs: Value[]) => xs.map((x) => mul(x, 2)))(halves))
  expect(doubled.map((values) => values.at(-1))).toEqual([2, 4, 6, 8, 10, 12])

  const x = leaf(1, [70])
  const data = (await valuesOf(x))[0]!
  const times = (by: number): number[] => data.map((x) => Math.fround(x * by))
  const same = jit((xs: Value[]) => xs.map((x, k) => mul(x, k + 2)))([x, x, x, x, x])
  expect(await valuesOf(same)).toEqual([2, 3, 4, 5, 6].map(times))

  // Each of these reads the one before, so they can't be done at once.
  const chained = jit((x: Value) => {
    const all = [x]
    for (let k = 0; k < 6; k++) all.push(mul(all.at(-1)!, 2))
    return all
  })(x)
  expect(await valuesOf(chained)).toEqual([1, 2, 4, 8, 16, 32, 64].map(times))
})
