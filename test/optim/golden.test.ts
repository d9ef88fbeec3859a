// Trajectories of optimisers, clipped gradients and schedules, against optax, transformers and the formulas of
// DecoupledLionW.

import { jit, take, tensor, type Value, vmap } from 'cotangent'
import {
  adamw,
  applyUpdates,
  chain,
  clipByGlobalNorm,
  type GradientTransformation,
  globalNorm,
  lionw,
  type Schedule,
  sgd,
  warmupCosine,
} from 'cotangent/optim'
import { describe, test } from 'vitest'
import { type Budget, expectClose } from '../support/close.ts'
import { type GoldenArrays, golden, ofGoldens } from '../support/golden.ts'
import { type HostArray, toHost, toHosts, toTensors } from '../support/host.ts'

interface Options {
  readonly name: string
  readonly lr: number
  /** The rate of step n is `lr * factors[n]`. */
  readonly factors?: readonly number[]
  readonly b1?: number
  readonly b2?: number
  readonly eps?: number
  readonly weight_decay?: number
  readonly momentum?: number
  readonly nesterov?: boolean
  readonly clip?: number
}
interface LionStep {
  readonly params: GoldenArrays
  readonly momentum: GoldenArrays
}
interface Golden {
  readonly params: GoldenArrays
  readonly grads: readonly GoldenArrays[]
  readonly decoupled_lion: readonly (Options & { readonly steps: readonly LionStep[] })[]
  readonly decoupled_lion_first_step: Options & {
    readonly params: GoldenArrays
    readonly grads: GoldenArrays
    readonly after: LionStep
  }
  readonly optax: readonly (Options & { readonly steps: readonly GoldenArrays[] })[]
  readonly clip_by_global_norm: readonly {
    readonly max_norm: number
    readonly grads: GoldenArrays
    readonly norm: number | string
    readonly clipped: GoldenArrays
  }[]
  readonly cosine_with_warmup: readonly {
    readonly total: number
    readonly warmup: number
    readonly steps: readonly number[]
    readonly factors: readonly number[]
  }[]
}
const expected = golden<Golden>('optim.json')

type Leaves = Readonly<Record<string, HostArray>>

const exact: Budget = { relative: 1e-6, absolute: 1e-7 }
const expectLeaves = (actual: Leaves, wanted: GoldenArrays, what: string, budget = exact): void => {
  for (const [name, leaf] of Object.entries(ofGoldens(wanted)))
    expectClose(actual[name]!, leaf, budget, `${what}, ${name}`)
}

/** The parameters and the state after each step. */
async function trajectory<S>(
  optimizer: GradientTransformation<S>,
  start: GoldenArrays,
  gradients: readonly GoldenArrays[],
): Promise<{ readonly params: Leaves; readonly state: S }[]> {
  const step = jit((params: Record<string, Value>, state: S, gradients: Record<string, Value>) => {
    const [updates, next] = optimizer.update(gradients, state, params)
    return [applyUpdates(params, updates), next] as const
  })
  let params = toTensors(ofGoldens(start)) as Record<string, Value>
  let state = optimizer.init(params)
  const steps = []
  for (const gradient of gradients) {
    ;[params, state] = step(params, state, toTensors(ofGoldens(gradient)) as Record<string, Value>)
    steps.push({ params: (await toHosts(params)) as Leaves, state })
  }
  return steps
}

/** A rate, or a schedule of a user's own. */
const rateOf = ({ lr, factors }: Options): number | Schedule => {
  if (factors === undefined || factors.every((factor) => factor === 1)) return lr
  const table = tensor(factors.map((factor) => lr * factor))
  return Object.assign((count: Value) => take(table, count), { peak: lr })
}
const betas = ({ b1, b2 }: Options) => ({ b1: b1!, b2: b2! })

describe.each(expected.decoupled_lion.map((row) => [row.name, row] as const))('lionw, %s', (_, row) => {
  test('parameters and momentum', async () => {
    const optimizer = lionw(rateOf(row), { ...betas(row), weightDecay: row.weight_decay! })
    const steps = await trajectory(optimizer, expected.params, expected.grads)
    for (const [n, { params, momentum }] of row.steps.entries()) {
      expectLeaves(steps[n]!.params, params, `step ${n}`)
      expectLeaves((await toHosts(steps[n]!.state.m)) as Leaves, momentum, `step ${n}, momentum`)
    }
  })
})

test('lionw, the worked example', async () => {
  const { params, grads, after, lr, ...row } = expected.decoupled_lion_first_step
  const [step] = await trajectory(lionw(lr, betas({ ...row, lr })), params, [grads])
  expectLeaves(step!.params, after.params, 'parameters')
  expectLeaves((await toHosts(step!.state.m)) as Leaves, after.momentum, 'momentum')
})

/** Optimisers by optax's names. */
const optimizers: Readonly<Record<string, (row: Options) => GradientTransformation<unknown>>> = {
  adamw: (row) =>
    adamw(rateOf(row), { ...betas(row), eps: row.eps!, weightDecay: row.weight_decay! }) as never,
  sgd: (row) => sgd(rateOf(row), { momentum: row.momentum ?? 0 }) as never,
  lion: (row) => lionw(rateOf(row), betas(row)) as never,
}

// Nesterov's momentum is not offered.
describe.each(
  expected.optax.filter(({ nesterov }) => !nesterov).map((row) => [row.name, row.clip ?? 'un', row] as const),
)('optax: %s, %sclipped', (name, _, row) => {
  test('parameters', async () => {
    const bare = optimizers[name]!(row)
    const optimizer = row.clip === undefined ? bare : (chain(clipByGlobalNorm(row.clip), bare) as typeof bare)
    const steps = await trajectory(optimizer, expected.params, expected.grads)
    // optax's own 1 - b2ⁿ is an f32 difference, 1.3e-5 off at first: 6e-6 of a step
    const budget = name === 'adamw' ? { ...exact, absolute: 1e-5 * row.lr } : exact
    for (const [n, params] of row.steps.entries()) expectLeaves(steps[n]!.params, params, `step ${n}`, budget)
  })
})

test('clipByGlobalNorm: at the limit, zero, beyond the range of f32, infinite and NaN', async () => {
  for (const { max_norm: max, grads, norm, clipped } of expected.clip_by_global_norm) {
    const clip = jit((gradients: unknown) => [
      clipByGlobalNorm(max).update(gradients, null, gradients)[0],
      globalNorm(gradients),
    ])
    const [actual, length] = clip(toTensors(ofGoldens(grads))) as [Record<string, Value>, Value]
    const what = `${JSON.stringify(grads)} to ${max}`
    expectLeaves((await toHosts(actual)) as Leaves, clipped, what)
    expectClose(await toHost(length), { data: [Number(norm)], shape: [] }, exact, what)
  }
})

test('warmupCosine: the factors of transformers, and zero after the end', async () => {
  for (const { total, warmup, steps, factors } of expected.cosine_with_warmup) {
    const part = Math.max(0, warmup - 0.5) / total // rounded up to whole steps
    const schedule = warmupCosine({ peak: 1, steps: total, warmup: part })
    const counts = tensor([...steps], { dtype: 'i32' })
    const rates = await toHost(jit(vmap((count: Value) => schedule(count)))(counts))
    const wanted = factors.map((factor, k) => (steps[k]! > total ? 0 : factor))
    expectClose(
      rates,
      { data: wanted, shape: [steps.length] },
      { relative: 1e-5, absolute: 1e-6 },
      `${total}`,
    )
  }
})
