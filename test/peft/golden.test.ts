// Adapters of pip peft (LoRA) and of RaSA's authors' layout: read, run, differentiated, merged and written again.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { jit, readTensors, type Value, valueAndGrad } from 'cotangent'
import { llama } from 'cotangent/models'
import { causalLoss } from 'cotangent/nn'
import { loadAdapter, lora, merge, type PeftMethod, rasa, rasaToLora, saveAdapter } from 'cotangent/peft'
import { describe, expect, test } from 'vitest'
import { expectClose } from '../support/close.ts'
import { inFolder } from '../support/folder.ts'
import {
  type GoldenArray,
  type GoldenArrays,
  golden,
  goldenFolder,
  ofGolden,
  ofLargest,
} from '../support/golden.ts'
import { toHost, toHosts, toNdArray, toTensor } from '../support/host.ts'

interface Golden {
  readonly tokens: GoldenArray
  readonly labels: GoldenArray
  readonly loss: number
  readonly logits: GoldenArray
  readonly merged_logits: GoldenArray
  readonly lora_export_logits: GoldenArray
  readonly grads: GoldenArrays
}

const { config, params } = await llama.load(goldenFolder('tiny-llama'))
const names = { moduleName: llama.moduleName(config), baseModel: 'tiny-llama' }
const forward = (params: llama.LlamaParams, tokens: Value): Value => llama.forward(config, params, tokens)

const rows: readonly [string, PeftMethod<unknown>][] = [
  ['peft-lora', lora({ rank: 4, alpha: 8 })],
  ['rasa', rasa({ rank: 4, shared: 1, alpha: 8 })],
]

describe.each(rows)('%s', (folder, method) => {
  const expected = golden<Golden>(`${folder}/expected.json`)
  const [tokens, labels] = [expected.tokens, expected.labels].map((array) => toTensor(ofGolden(array)))

  test('logits, merged logits, loss and the gradient of every leaf', async () => {
    const adapter = await loadAdapter(goldenFolder(folder), method, params, names)
    let gradientNames: string[] = []
    const all = jit((adapter: unknown, params: llama.LlamaParams, tokens: Value, labels: Value) => {
      const lossOf = (adapter: unknown) => {
        const logits = forward(method.apply(params, adapter), tokens)
        return [causalLoss(logits, labels), logits] as const
      }
      const [[loss, logits], gradient] = valueAndGrad(lossOf, { hasAux: true })(adapter)
      const tensors = method.layout!.tensors(gradient, names.moduleName)
      gradientNames = tensors.map(([name]) => name)
      const merged = forward(merge(method, params, adapter), tokens)
      return { loss, logits, merged, gradients: tensors.map(([, value]) => value) }
    })
    const { loss, logits, merged, gradients } = await toHosts(all(adapter, params, tokens!, labels!))
    expectClose(logits, ofGolden(expected.logits), { absolute: 4e-5 }, 'logits')
    expectClose(merged, ofGolden(expected.merged_logits), { absolute: 4e-5 }, 'merged logits')
    expectClose(loss, toNdArray([expected.loss], []), { relative: 2e-6 }, 'loss')
    expect(gradientNames.toSorted()).toEqual(Object.keys(expected.grads).sort())
    for (const [k, name] of gradientNames.entries()) {
      const wanted = ofGolden(expected.grads[name]!)
      expectClose(gradients[k]!, wanted, ofLargest(wanted, 1e-4), name)
    }
  })

  test('written again, the tensors are the same bytes and the configuration the same facts', () =>
    inFolder(async (target) => {
      const adapter = await loadAdapter(goldenFolder(folder), method, params, names)
      await saveAdapter(target, method, adapter, names)
      const read = async (folder: string) => {
        const tensors = await readTensors(join(folder, 'adapter_model.safetensors'))
        const entries = [...tensors].sort(([a], [b]) => (a < b ? -1 : 1))
        return Promise.all(entries.map(async ([name, tensor]) => [name, await toHost(tensor)] as const))
      }
      expect(await read(target)).toEqual(await read(goldenFolder(folder)))
      const json = async (folder: string) =>
        JSON.parse(await readFile(join(folder, 'adapter_config.json'), 'utf8')) as Record<string, unknown>
      const { target_modules: modules, ...facts } = await json(target)
      const theirs = await json(goldenFolder(folder))
      expect(theirs).toMatchObject(facts)
      // ours are whole paths, which peft takes too
      const tails = (modules as string[]).map((path) => path.split('.').at(-1))
      expect([...new Set(tails)].sort()).toEqual(theirs.target_modules)
      expect(await toHosts(await loadAdapter(target, method, params, names))).toEqual(await toHosts(adapter))
    }))
})

test('rasaToLora gives what the authors of peft would load', async () => {
  const method = rasa({ rank: 4, shared: 1, alpha: 8 })
  const { tokens, lora_export_logits } = golden<Golden>('rasa/expected.json')
  const exported = rasaToLora(await loadAdapter(goldenFolder('rasa'), method, params, names))
  const wide = lora({ rank: 5, alpha: 5 })
  const expected = await loadAdapter(goldenFolder('rasa/lora-export'), wide, params, names)
  for (const [path, { a, b }] of Object.entries(await toHosts(expected))) {
    expectClose(await toHost(exported[path]!.a), a, {}, `${path}.a`)
    expectClose(await toHost(exported[path]!.b), b, { ulps: 1 }, `${path}.b`)
  }
  const run = jit((tokens: Value) => forward(wide.apply(params, exported), tokens))
  const logits = await toHost(run(toTensor(ofGolden(tokens))))
  expectClose(logits, ofGolden(lora_export_logits), { absolute: 4e-5 }, 'logits')
})
