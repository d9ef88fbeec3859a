// A method in a user's file keeps the laws that the library's own methods keep.

import { fileURLToPath } from 'node:url'
import { jit, random, tensor, tree, type Value, valueAndGrad } from 'cotangent'
import { llama, loadTokenizer } from 'cotangent/models'
import { causalLoss } from 'cotangent/nn'
import { adamw, applyUpdates } from 'cotangent/optim'
import { countTrainable, linears, merge, targetsOf } from 'cotangent/peft'
import { expect, test } from 'vitest'
import { type VeraAdapter, vera, veraProjections } from '../../examples/vera.ts'
import { expectClose } from '../support/close.ts'
import { toHost } from '../support/host.ts'

const rank = 16
const folder = fileURLToPath(new URL('../../examples/assets/stories260K', import.meta.url))
const { config, params } = await llama.load(folder)
const { bos, encode } = await loadTokenizer(folder)
const method = vera(veraProjections(random.key(7), rank, params))
const adapter = method.init(random.key(0), params)
const text = [bos, ...encode('A robe takes 2 bolts of blue fiber and half that much white fiber.')]
const tokens = tensor([text.slice(0, 32)], { dtype: 'i32' })

const logits = jit((base: llama.LlamaParams) => llama.forward(config, base, tokens))
const adaptedLogits = jit((adapter: VeraAdapter) =>
  llama.forward(config, method.apply(params, adapter), tokens),
)
const merged = jit((adapter: VeraAdapter) => merge(method, params, adapter))
const trained = jit(
  valueAndGrad((adapter: VeraAdapter) =>
    causalLoss(llama.forward(config, method.apply(params, adapter), tokens), tokens),
  ),
)
/** An adapter that changes something. */
const busy = tree.mapWithPath(
  (path: tree.Path, leaf: never) =>
    random.uniform(random.foldIn(random.key(1), tree.showPath(path)), (leaf as Value).shape, {
      minval: -0.2,
      maxval: 0.2,
    }),
  adapter,
) as VeraAdapter

test('it changes nothing at first', async () => {
  expectClose(await toHost(adaptedLogits(adapter)), await toHost(logits(params)), { absolute: 1e-5 })
})

test('merging is applying', async () => {
  const [plain, applied] = [await toHost(logits(params)), await toHost(adaptedLogits(busy))]
  expectClose(await toHost(logits(merged(busy))), applied, { absolute: 1e-4 })
  expect(() => expectClose(applied, plain, { absolute: 1e-2 })).toThrow()
})

test('what it does not adapt is the base', () => {
  const { embedding, norm, layers } = method.apply(params, adapter)
  expect(embedding).toBe(params.embedding)
  expect(norm).toBe(params.norm)
  expect(layers[0]!.attnNorm).toBe(params.layers[0]!.attnNorm)
})

test('the first gradient reaches b only', async () => {
  const [, gradient] = trained(adapter)
  const largest = async (x: Value) => Math.max(...(await x.data()).map(Math.abs))
  for (const [path, { d, b }] of Object.entries(gradient)) {
    expect(await largest(d), path).toBe(0)
    expect(await largest(b), path).toBeGreaterThan(0)
  }
})

test('it trains rank + out numbers a weight', () => {
  const sizes = targetsOf('test', params, linears).map(({ shape: [out] }) => rank + out)
  expect(countTrainable(method, random.key(0), llama.shapes(config))).toBe(sizes.reduce((a, b) => a + b))
})

test('a few steps lower the loss', async () => {
  const optimizer = adamw(0.05)
  const step = jit(
    (adapter: VeraAdapter, state: ReturnType<typeof optimizer.init>) => {
      const [value, gradient] = trained(adapter)
      const [updates, next] = optimizer.update(gradient, state, adapter)
      return [value, applyUpdates(adapter, updates), next] as const
    },
    { donate: [0, 1] },
  )
  let [current, state] = [adapter, optimizer.init(adapter)]
  const losses: number[] = []
  for (let k = 0; k < 6; k++) {
    const [value, ...rest] = step(current, state)
    ;[current, state] = rest
    losses.push(await value.item())
  }
  expect(losses).toEqual(losses.toSorted((a, b) => b - a))
  expect(losses.at(-1)).toBeLessThan(losses[0]! / 2)
})
