// A method in a user's file keeps the laws that the library's own methods keep.

import { fileURLToPath } from 'node:url'
import { jit, random, type Tensor, tensor, tree, type Value, valueAndGrad } from 'cotangent'
import { llama } from 'cotangent/models'
import { causalLoss } from 'cotangent/nn'
import { adamw, applyUpdates } from 'cotangent/optim'
import { countTrainable, linears, merge, targetsOf } from 'cotangent/peft'
import { expect, test } from 'vitest'
import { type VeraAdapter, vera, veraProjections } from '../../examples/vera.ts'
import { expectClose } from '../support/close.ts'
import { toHost, toHosts } from '../support/host.ts'

const rank = 16
const { config, params } = await llama.load(
  fileURLToPath(new URL('../../examples/assets/stories260K', import.meta.url)),
)
const method = vera(veraProjections(random.key(7), rank, params))
const adapter = method.init(random.key(0), params)
const ids = Int32Array.from({ length: 2 * 16 }, (_, k) => 3 + ((k * 37) % 101))
const tokens = tensor(ids, { shape: [2, 16] })

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
  expect([embedding, norm, layers[0]!.attnNorm]).toEqual([params.embedding, params.norm, params.layers[0]!.attnNorm])
  expect(embedding).toBe(params.embedding)
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
