// A training step is one program: forward, backward, clipping, optimiser and new parameters in one submission.

import { jit, random, statistics, tree, type Value, valueAndGrad } from 'cotangent'
import { llama } from 'cotangent/models'
import { causalLoss } from 'cotangent/nn'
import { applyUpdates, chain, clipByGlobalNorm, lionw, warmupCosine } from 'cotangent/optim'
import { describe, expect, test } from 'vitest'
import { collectGarbage } from '../support/garbage.ts'
import { type GoldenArray, golden, goldenFolder, ofGolden } from '../support/golden.ts'
import { toHosts, toTensor } from '../support/host.ts'
import { rows } from './methods.table.ts'

const { config, params } = await llama.load(goldenFolder('tiny-llama'))
const { tokens, labels } = golden<Record<'tokens' | 'labels', GoldenArray>>('llama-tiny-llama.json')
const batch = { tokens: toTensor(ofGolden(tokens)), labels: toTensor(ofGolden(labels)) }

const optimizer = chain(
  clipByGlobalNorm(1),
  lionw(warmupCosine({ peak: 0.02, steps: 20, warmup: 0.1 }), { b1: 0.9, b2: 0.95 }),
)
type State = ReturnType<typeof optimizer.init>

describe.each(rows.map((row) => [row.name, row] as const))('%s', (_, row) => {
  const method = row.method(4, 1)
  const loss = (adapter: unknown, base: llama.LlamaParams, { tokens, labels }: typeof batch): Value =>
    causalLoss(llama.forward(config, method.apply(base, adapter), tokens), labels)
  const step = jit(
    (adapter: unknown, state: State, base: llama.LlamaParams, examples: typeof batch) => {
      const [value, gradients] = valueAndGrad(loss)(adapter, base, examples)
      const [updates, next] = optimizer.update(gradients, state, adapter)
      return [value, applyUpdates(adapter, updates), next] as const
    },
    { donate: [0, 1] },
  )

  /** The losses of some steps from a seed, what each asked of the device, and the adapter after them. */
  async function train(steps: number) {
    await collectGarbage()
    let adapter = method.init(random.key(42), params)
    let state = optimizer.init(adapter)
    const losses: Value[] = []
    const asked = []
    for (let n = 0; n < steps; n++) {
      const before = await statistics()
      let value: Value
      ;[value, adapter, state] = step(adapter, state, params, batch)
      losses.push(value)
      const after = await statistics()
      const differ = (name: 'submits' | 'dispatches' | 'liveBytes' | 'pipelines') =>
        after[name] - before[name]
      asked.push({
        submits: differ('submits'),
        dispatches: differ('dispatches'),
        pipelines: differ('pipelines'),
        bytes: differ('liveBytes'),
      })
    }
    return { losses: await Promise.all(losses.map((value) => value.item())), asked, adapter }
  }

  test('one submission each, the same dispatches, and no memory but for the loss', async () => {
    const { losses, asked } = await train(10)
    const [first, second, ...rest] = asked
    expect([first!.submits, second!.submits]).toEqual([1, 1])
    expect(second!.dispatches).toBe(first!.dispatches)
    for (const later of [second, ...rest]) expect(later).toEqual({ ...first, pipelines: 0, bytes: 256 })
    expect(losses[1]).toBe(losses[0]) // the first update has rate 0
    expect(losses.at(-1)).toBeLessThan(0.9 * losses[0]!)
  })

  test('a seed gives the same bits again', async () => {
    const [one, two] = [await train(3), await train(3)]
    expect(one.losses).toEqual(two.losses)
    expect(await toHosts(one.adapter)).toEqual(await toHosts(two.adapter))
    const start = await toHosts(method.init(random.key(42), params))
    expect(await toHosts(one.adapter)).not.toEqual(start)
    expect(tree.paths(one.adapter)).toEqual(tree.paths(start))
  })

  test('a donated adapter cannot be used again', () => {
    const adapter = method.init(random.key(1), params)
    const state = optimizer.init(adapter)
    step(adapter, state, params, batch)
    expect(() => step(adapter, state, params, batch)).toThrow(/was donated to an earlier call/)
  })
})
