// Llama with 16-bit weights: from a file of two bytes a parameter, forward and backward.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { cast, jit, readTensors, tree, type Value, valueAndGrad, writeTensors } from 'cotangent'
import { llama } from 'cotangent/models'
import { causalLoss } from 'cotangent/nn'
import { expect, test } from 'vitest'
import { type GoldenArray, golden, goldenFolder, ofGolden } from '../support/golden.ts'
import { toHost, toTensor } from '../support/host.ts'

interface Golden {
  readonly tokens: GoldenArray
  readonly labels: GoldenArray
  readonly loss: number
  readonly logits: GoldenArray
}
const expected = golden<Golden>('llama-tiny-llama.json')

// The error that PyTorch makes with such weights, as a share of the logits: root mean squares.
test.each([
  ['bf16', 0.0215],
  ['f16', 0.0019],
] as const)('with weights in %s', async (dtype, share) => {
  const { config, params } = await llama.load(goldenFolder('tiny-llama'))
  const narrow = tree.map((weight: Value) => cast(weight, dtype), params) as llama.LlamaParams
  const [tokens, labels] = [expected.tokens, expected.labels].map((array) => toTensor(ofGolden(array)))
  const lossOf = (params: llama.LlamaParams, tokens: Value, labels: Value) => {
    const logits = llama.forward(config, params, tokens)
    return [causalLoss(logits, labels), logits] as const
  }
  const [[loss, logits], gradient] = jit(valueAndGrad(lossOf, { hasAux: true }))(narrow, tokens!, labels!)
  const wanted = ofGolden(expected.logits)
  const found = await toHost(cast(logits, 'f32'))
  const norm = (data: Float64Array): number => Math.sqrt(data.reduce((sum, x) => sum + x * x, 0))
  const off = norm(found.data.map((x, i) => x - wanted.data[i]!)) / norm(wanted.data)
  expect(off).toBeLessThan(share)
  expect(Math.abs((await loss.item()) - expected.loss)).toBeLessThan(share * expected.loss)
  expect(new Set(tree.leaves(gradient).map((leaf) => (leaf as Value).dtype))).toEqual(new Set([dtype]))
  for (const leaf of tree.leaves(gradient))
    expect((await (leaf as Value).data()).every((x) => Number.isFinite(x))).toBe(true)
})

test('a BF16 file takes two bytes a parameter on the device', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'cotangent-'))
  const { params } = await llama.load(goldenFolder('tiny-llama'))
  const weights = (tree.leaves(params) as Value[]).map((x, k) => [`w${k}`, cast(x, 'bf16')] as const)
  await writeTensors(join(folder, 'w.safetensors'), weights)
  const read = await readTensors(join(folder, 'w.safetensors'))
  await rm(folder, { recursive: true })
  for (const [name, weight] of weights) {
    expect(String(read.get(name))).toBe(String(weight))
    expect(await jit((x: Value) => x.mul(1))(read.get(name)!).data()).toEqual(await weight.data())
  }
  const bytes = weights.reduce((sum, [, { size }]) => sum + 2 * size, 0)
  expect([...read.values()].reduce((sum, x) => sum + x.storage.bytes, 0)).toBe(bytes)
})
