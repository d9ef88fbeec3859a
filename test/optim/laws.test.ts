// Laws of optimisers, on each row of a table.

import { Aval, evalShape, jit, sizeOf, statistics, tree, type Value } from 'cotangent'
import {
  adamw,
  applyUpdates,
  chain,
  clipByGlobalNorm,
  type GradientTransformation,
  type LionwState,
  lionw,
  sgd,
  warmupCosine,
} from 'cotangent/optim'
import { describe, expect, expectTypeOf, test } from 'vitest'
import { expectClose } from '../support/close.ts'
import { type HostArray, toHosts, toNdArray, toTensors } from '../support/host.ts'
import { floats, generator } from '../support/inputs.ts'

const schedule = warmupCosine({ peak: 0.1, steps: 10, warmup: 0.2 })

/** None of them decays, and `moments` trees like the parameters are in the state. */
const rows: readonly [string, GradientTransformation<unknown>, number][] = [
  ['sgd', sgd(0.1) as never, 0],
  ['sgd with momentum', sgd(0.1, { momentum: 0.9 }) as never, 1],
  ['adamw', adamw(0.1, { weightDecay: 0 }) as never, 2],
  ['lionw', lionw(0.1) as never, 1],
  ['lionw, scheduled', lionw(schedule) as never, 1],
  ['lionw, clipped', chain(clipByGlobalNorm(1), lionw(0.1)) as never, 1],
]

const random = generator(5)
const draw = () => ({ layers: [{ w: floats([3, 4]).draw(random) }], b: floats([4]).draw(random) })
const [hosts, gradients] = [draw(), toTensors(draw())]
const params = toTensors(hosts)
const paths = tree.paths(params)
type Params = typeof params

test('chain has the states of its parts', () => {
  const chained = chain(clipByGlobalNorm(1), lionw(0.1))
  expectTypeOf(chained).toEqualTypeOf<GradientTransformation<[null, LionwState]>>()
  const state = chained.init(params)
  expect(state[0]).toBe(null)
  expect(tree.paths(state[1].m)).toEqual(paths)
})

test('a schedule with a warm-up begins at rate 0 and does not stay there', async () => {
  const optimizer = lionw(schedule)
  const [first, state] = optimizer.update(gradients, optimizer.init(params), params)
  const [second] = optimizer.update(gradients, state, params)
  expect((await toHosts(first)).b.data.every((x) => x === 0)).toBe(true)
  expect((await toHosts(second)).b.data.map(Math.abs).every((x) => x === Math.fround(0.05))).toBe(true)
})

describe.each(rows)('%s', (_, optimizer, moments) => {
  const update = (gradients: Params, state: unknown, params: Params) => {
    const [updates, next] = optimizer.update(gradients, state, params)
    return [applyUpdates(params, updates), next] as const
  }

  test('the state mirrors the parameters, of arrays or of types', () => {
    const state = optimizer.init(params)
    const leaves = tree.leavesWithPath(state).map(({ path, leaf }) => {
      const { aval } = leaf as Value
      const home = paths.find((name) => `.${tree.showPath(path)}`.endsWith(`.${name}`))
      return `${home ?? 'count'}: ${aval}`
    })
    const expected = tree.leavesWithPath(params).map(({ path, leaf }) => `${tree.showPath(path)}: ${leaf}`)
    for (const leaf of expected) expect(leaves.filter((other) => other === leaf)).toHaveLength(moments)
    expect(leaves.filter((leaf) => leaf.startsWith('count'))).toEqual(['count: i32[]'])

    const types = tree.map((leaf: Value) => new Aval(leaf.shape, leaf.dtype), params)
    for (const abstract of [optimizer.init(types), evalShape(optimizer.init)(types)])
      expect(tree.leaves(abstract).map(String)).toEqual(tree.leaves(state).map(String))
  })

  let traces = 0
  const step = jit((...args: Parameters<typeof update>) => {
    traces += 1
    return update(...args)
  })

  test('jit = no jit, traced and compiled once', async () => {
    const first = step(gradients, optimizer.init(params), params)
    await toHosts(first)
    const { pipelines } = await statistics()
    const second = await toHosts(step(gradients, first[1], first[0]))
    expect([traces, (await statistics()).pipelines]).toEqual([1, pipelines])

    const expected = await toHosts(update(gradients, first[1], first[0]))
    for (const [k, leaf] of tree.leaves(second).entries())
      expectClose(leaf as never, tree.leaves(expected)[k] as never, { relative: 1e-6, absolute: 1e-7 })
  })

  test('zero gradients change nothing', async () => {
    const zero = toTensors(
      tree.map(({ shape }: HostArray) => toNdArray(new Float64Array(sizeOf(shape)), shape), hosts),
    ) as Params
    const [once, next] = step(zero, optimizer.init(params), params)
    const [twice] = step(zero, next, once)
    expect(await toHosts(twice)).toEqual(hosts)
  })

  test('parameters of 16 bits keep their type, and so does the state', () => {
    const halves = tree.map(({ shape }: HostArray) => new Aval(shape, 'bf16'), hosts) as unknown as Params
    const [moved, next] = evalShape((gradients: Params, params: Params) => {
      const [updates, state] = optimizer.update(gradients, optimizer.init(params), params)
      return [applyUpdates(params, updates), state] as const
    })(halves, halves)
    const typesOf = (x: unknown): string[] => tree.leaves(x).map((leaf) => (leaf as Aval).dtype)
    expect(typesOf(moved)).toEqual(typesOf(halves))
    expect(typesOf(next)).toEqual(typesOf(evalShape((params: Params) => optimizer.init(params))(halves)))
  })
})
