// What a method, a base or a file that does not fit is told.

import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { random, readTensors, writeTensors, zeros } from 'cotangent'
import { llama } from 'cotangent/models'
import { loadAdapter, lora, merge, type PeftMethod, rasa, saveAdapter } from 'cotangent/peft'
import { describe, expect, test } from 'vitest'
import { inFolder } from '../support/folder.ts'
import { goldenFolder } from '../support/golden.ts'

const { config, params } = await llama.load(goldenFolder('tiny-llama'))
const names = { moduleName: llama.moduleName(config) }
const key = random.key(0)
const methods = { lora: lora({ rank: 4, alpha: 8 }), rasa: rasa({ rank: 4, shared: 1, alpha: 8 }) }

describe('options', () => {
  test('ranks', () => {
    expect(() => lora({ rank: 0, alpha: 8 })).toThrowErrorMatchingInlineSnapshot(
      `[RangeError: lora: rank 0 is no positive whole number; use 8, say]`,
    )
    expect(() => rasa({ rank: 2.5, shared: 1, alpha: 8 })).toThrowErrorMatchingInlineSnapshot(
      `[RangeError: rasa: rank 2.5 is no positive whole number; use 8, say]`,
    )
    expect(() => rasa({ rank: 8, shared: 8, alpha: 8 })).toThrowErrorMatchingInlineSnapshot(
      `[RangeError: rasa: shared 8 leaves no private rank out of 8; shared must be less than rank]`,
    )
    expect(() => rasa({ rank: 8, shared: 0, alpha: 8 })).toThrowErrorMatchingInlineSnapshot(
      `[RangeError: rasa: shared 0 is no positive whole number; without shared ranks use lora]`,
    )
  })

  test('nothing matches', () => {
    const match = 'layers.0.attn.q'
    expect(() => lora({ rank: 4, alpha: 8, match }).init(key, params)).toThrowErrorMatchingInlineSnapshot(
      `[TypeError: lora: no parameter matches; the base has embedding, head, layers.*.attn.k, layers.*.attn.o, layers.*.attn.q, layers.*.attn.v, layers.*.mlp.down, layers.*.mlp.gate, layers.*.mlp.up]`,
    )
    const never = rasa({ rank: 4, shared: 1, alpha: 8, match: () => false })
    expect(() => never.init(key, { w: zeros([2, 3]) })).toThrowErrorMatchingInlineSnapshot(
      `[TypeError: rasa: no parameter matches; the base has w]`,
    )
  })

  test('a pool for weights of two shapes', () => {
    const base = { layers: [{ w: zeros([4, 3]) }, { w: zeros([3, 4]) }] }
    expect(() => methods.rasa.init(key, base)).toThrowErrorMatchingInlineSnapshot(
      `[TypeError: rasa: layers.*.w is [4,3] at "layers.0.w" but [3,4] at "layers.1.w"; match weights of one shape]`,
    )
  })
})

test('an adapter for another base', () => {
  const shallow = { ...params, layers: params.layers.slice(0, 1) }
  for (const method of Object.values<PeftMethod<unknown>>(methods)) {
    expect(() => method.apply(shallow, method.init(key, params))).toThrow(
      'the base has nothing at "layers.1.attn.k"; the adapter is for another base',
    )
    const narrow = method.init(key, { layers: [{ w: zeros([4, 3]) }] })
    expect(() => merge(method, { layers: [{ w: zeros([4, 5]) }] }, narrow)).toThrow(
      'at "layers.0.w", sumOf: weights of shape [4,5] and [4,3] do not add; they must agree',
    )
  }
})

describe('files', () => {
  /** The error of loading the golden adapter, its configuration and tensors changed. */
  const refusal = (
    method: PeftMethod<unknown>,
    fields: Readonly<Record<string, unknown>>,
    rename: (name: string) => string = (name) => name,
    golden = 'peft-lora',
  ): Promise<string> =>
    inFolder(async (folder) => {
      await cp(goldenFolder(golden), folder, { recursive: true })
      const file = join(folder, 'adapter_config.json')
      await writeFile(file, JSON.stringify({ ...JSON.parse(await readFile(file, 'utf8')), ...fields }))
      const weights = join(folder, 'adapter_model.safetensors')
      const tensors = [...(await readTensors(weights))].map(([name, value]) => [rename(name), value] as const)
      await writeTensors(weights, tensors)
      const error = await loadAdapter(folder, method, params, names).catch((caught: Error) => caught)
      return String(error instanceof Error ? error : 'no error').replaceAll(folder, 'FOLDER')
    })

  test('of another method or rank', async () => {
    expect(await refusal(methods.rasa, {})).toMatchInlineSnapshot(
      `"TypeError: loadAdapter: FOLDER/adapter_config.json has peft_type LORA, not RASA; load it with the method that made it"`,
    )
    expect(await refusal(methods.lora, {}, (name) => name, 'rasa')).toMatchInlineSnapshot(
      `"TypeError: loadAdapter: FOLDER/adapter_config.json has peft_type RASA, not LORA; load it with the method that made it"`,
    )
    expect(await refusal(lora({ rank: 8, alpha: 8 }), {})).toMatchInlineSnapshot(
      `"TypeError: loadAdapter: FOLDER/adapter_config.json has r 4, not 8; load it with the method that made it"`,
    )
    expect(await refusal(lora({ rank: 8, alpha: 8 }), { r: 8 })).toMatchInlineSnapshot(
      `"TypeError: loadAdapter: base_model.model.model.layers.0.self_attn.k_proj.lora_A.weight of FOLDER/adapter_model.safetensors is [4,32], but this base and method need [8,32]; it is for another base or rank"`,
    )
    expect(await refusal(lora({ rank: 4, alpha: 4 }), {})).toMatchInlineSnapshot(
      `"TypeError: loadAdapter: FOLDER/adapter_config.json has lora_alpha 8, not 4; load it with the method that made it"`,
    )
  })

  test('with options that change their meaning', async () => {
    expect(await refusal(methods.lora, { use_rslora: true })).toMatchInlineSnapshot(
      `"TypeError: loadAdapter: FOLDER/adapter_config.json sets use_rslora, which this method does not have; merge the adapter with PEFT"`,
    )
    expect(await refusal(methods.lora, { alpha_pattern: { q_proj: 16 } })).toMatchInlineSnapshot(
      `"TypeError: loadAdapter: FOLDER/adapter_config.json sets alpha_pattern, which this method does not have; merge the adapter with PEFT"`,
    )
  })

  test('with missing and unexpected tensors', async () => {
    const rename = (name: string) => name.replace('layers.1.mlp.up_proj', 'layers.2.mlp.up_proj')
    expect(await refusal(methods.lora, {}, rename)).toMatchInlineSnapshot(
      `"TypeError: loadAdapter: FOLDER/adapter_model.safetensors lacks [base_model.model.model.layers.1.mlp.up_proj.lora_A.weight, base_model.model.model.layers.1.mlp.up_proj.lora_B.weight] and has [base_model.model.model.layers.2.mlp.up_proj.lora_A.weight, base_model.model.model.layers.2.mlp.up_proj.lora_B.weight] too many; it is for another base or method"`,
    )
  })

  test('that are not there', async () => {
    const folder = goldenFolder('tiny-llama')
    const error = await loadAdapter(folder, methods.lora, params, names).catch((caught: Error) => caught)
    expect(String(error).replace(folder, 'FOLDER')).toMatchInlineSnapshot(
      `"Error: json: FOLDER/adapter_config.json cannot be read (ENOENT); check the path"`,
    )
  })

  test('of a method without a layout', async () => {
    const { layout: _, ...method } = methods.lora
    await expect(saveAdapter('nowhere', method, {}, names)).rejects.toThrowErrorMatchingInlineSnapshot(
      `[TypeError: saveAdapter: this method has no file layout; give it a layout, or merge the adapter]`,
    )
  })
})
