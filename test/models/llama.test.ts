// Llama against transformers: logits, loss, the gradient of every weight and greedy continuations; and its files.

import { cp, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { evalShape, jit, readTensors, tree, type Value, valueAndGrad, writeTensors, zeros } from 'cotangent'
import { generate, llama } from 'cotangent/models'
import { causalLoss } from 'cotangent/nn'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { expectClose } from '../support/close.ts'
import { type GoldenArray, golden, goldenFolder, ofGolden, ofLargest } from '../support/golden.ts'
import { toHost, toHosts, toNdArray, toTensor } from '../support/host.ts'

interface Golden {
  readonly tokens: GoldenArray
  readonly labels: GoldenArray
  readonly loss: number
  readonly logits: GoldenArray
  readonly greedy: { readonly prompt: GoldenArray; readonly sequence: GoldenArray }
}

describe.each(['tiny-llama', 'tiny-llama-tied'])('%s', (name) => {
  const expected = golden<Golden>(`llama-${name}.json`)
  const [tokens, labels] = [expected.tokens, expected.labels].map((array) => toTensor(ofGolden(array)))

  test('logits, loss and the gradient of every weight', async () => {
    const { config, params } = await llama.load(goldenFolder(name))
    const lossOf = (params: llama.LlamaParams, tokens: Value, labels: Value) => {
      const logits = llama.forward(config, params, tokens)
      return [causalLoss(logits, labels), logits] as const
    }
    const [[loss, logits], gradient] = jit(valueAndGrad(lossOf, { hasAux: true }))(params, tokens!, labels!)
    expectClose(await toHost(logits), ofGolden(expected.logits), { absolute: 2e-5 }, 'logits')
    expectClose(await toHost(loss), toNdArray([expected.loss], []), { relative: 2e-6 }, 'loss')

    const gradients = await readTensors(goldenFolder(`llama-${name}-grads.safetensors`))
    const names = tree.leaves(llama.layout(config)).map((leaf) => (leaf as { readonly name: string }).name)
    expect(names.toSorted()).toEqual([...gradients.keys()].sort())
    for (const [k, leaf] of tree.leaves(gradient).entries()) {
      const wanted = await toHost(gradients.get(names[k]!)!)
      expectClose(await toHost(leaf as Value), wanted, ofLargest(wanted, 1e-5), names[k])
    }
  })

  test('greedy continuation', async () => {
    const { config, params } = await llama.load(goldenFolder(name))
    const [prompt, sequence] = [expected.greedy.prompt, expected.greedy.sequence].map(
      ({ data }) => data as number[],
    )
    const maxTokens = sequence!.length - prompt!.length
    const made = []
    for await (const id of generate(config, params, prompt!, { maxTokens })) made.push(id)
    expect([...prompt!, ...made]).toEqual(sequence)
  })
})

describe('files', () => {
  let folder: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'cotangent-'))
  })
  afterAll(() => rm(folder, { recursive: true }))

  const tiny = goldenFolder('tiny-llama')
  /** A copy of tiny-llama with other fields in its config.json; undefined leaves a field out. */
  async function copy(name: string, fields: Readonly<Record<string, unknown>> = {}): Promise<string> {
    const target = join(folder, name)
    await cp(tiny, target, { recursive: true })
    const config = JSON.parse(await readFile(join(tiny, 'config.json'), 'utf8'))
    await writeFile(join(target, 'config.json'), JSON.stringify({ ...config, ...fields }))
    return target
  }
  const message = async (path: string): Promise<string> => {
    const error = await llama.load(path).catch((caught: Error) => caught)
    return String(error).replaceAll(folder, 'FOLDER')
  }

  test('save, then load: the same bits, whole or in parts', async () => {
    const target = await copy('saved')
    await rm(join(target, 'model.safetensors'))
    const { config, params } = await llama.load(tiny)
    await llama.save(target, config, params)
    expect(await toHosts((await llama.load(target)).params)).toEqual(await toHosts(params))

    const parts = await copy('parts')
    const arrays = [...(await readTensors(join(parts, 'model.safetensors')))]
    const files = ['a.safetensors', 'b.safetensors']
    await Promise.all(
      files.map((file, k) =>
        writeTensors(
          join(parts, file),
          arrays.filter((_, i) => i % 2 === k),
        ),
      ),
    )
    await writeFile(
      join(parts, 'model.safetensors.index.json'),
      JSON.stringify({ weight_map: Object.fromEntries(arrays.map(([name], i) => [name, files[i % 2]])) }),
    )
    await rm(join(parts, 'model.safetensors'))
    expect(await toHosts((await llama.load(parts)).params)).toEqual(await toHosts(params))
  })

  test('moduleName knows every path, and no other', async () => {
    const { config, params } = await llama.load(tiny)
    const names = tree.paths(params).map(llama.moduleName(config))
    expect([names.length, new Set(names).size]).toEqual([21, 21])
    expect(llama.moduleName(config)('layers.1.attn.q')).toBe('model.layers.1.self_attn.q_proj')
    expect(() => llama.moduleName(config)('layers.2.attn.q')).toThrowErrorMatchingInlineSnapshot(
      `[TypeError: llama: there is no parameter at "layers.2.attn.q"; see llama.layout]`,
    )
  })

  test('rope as transformers 5 writes it', async () => {
    const rope = { rope_theta: 500000, rope_type: 'default' }
    const { config } = await llama.load(await copy('five', { rope_theta: undefined, rope_parameters: rope }))
    expect([config.ropeTheta, config.ropeScaling]).toEqual([500000, null])
  })

  test('errors say which file and which field', async () => {
    expect(await message(join(folder, 'nowhere'))).toMatchInlineSnapshot(
      `"Error: json: FOLDER/nowhere/config.json cannot be read (ENOENT); check the path"`,
    )
    expect(await message(await copy('bert', { model_type: 'bert' }))).toMatchInlineSnapshot(
      `"TypeError: llama: FOLDER/bert/config.json is of a model of type bert; use one whose model_type is llama"`,
    )
    expect(await message(await copy('widthless', { hidden_size: undefined }))).toMatchInlineSnapshot(
      `"TypeError: llama: FOLDER/widthless/config.json has no number hidden_size; it is no Llama's configuration"`,
    )
    expect(await message(await copy('deep', { num_hidden_layers: '2' }))).toMatchInlineSnapshot(
      `"TypeError: llama: FOLDER/deep/config.json has no number num_hidden_layers; it is no Llama's configuration"`,
    )
    expect(
      await message(await copy('yarn', { rope_scaling: { rope_type: 'yarn', factor: 4 } })),
    ).toMatchInlineSnapshot(
      `"TypeError: llama: FOLDER/yarn/config.json scales rope by "yarn"; only llama3 and default are known"`,
    )
    expect(
      await message(await copy('factorless', { rope_scaling: { rope_type: 'llama3', factor: 4 } })),
    ).toMatchInlineSnapshot(
      `"TypeError: llama: FOLDER/factorless/config.json has no number low_freq_factor; it is no Llama's configuration"`,
    )
    expect(await message(await copy('biased', { attention_bias: true }))).toMatchInlineSnapshot(
      `"TypeError: llama: FOLDER/biased/config.json has attention_bias true; only models with false are known, so choose one"`,
    )
    expect(await message(await copy('gelu', { hidden_act: 'gelu' }))).toMatchInlineSnapshot(
      `"TypeError: llama: FOLDER/gelu/config.json has hidden_act gelu; only models with silu are known, so choose one"`,
    )
    const noJson = await copy('no-json')
    await writeFile(join(noJson, 'config.json'), '{"model_type": ')
    expect(await message(noJson)).toMatchInlineSnapshot(
      `"SyntaxError: json: FOLDER/no-json/config.json is no JSON: Unexpected end of JSON input; write it again"`,
    )
  })

  test('errors say which tensor', async () => {
    expect(await message(await copy('wide', { intermediate_size: 64 }))).toMatchInlineSnapshot(
      `"TypeError: model: model.layers.0.mlp.down_proj.weight in FOLDER/wide is [32,48] but config.json asks for [32,64]; they do not belong together"`,
    )
    expect(await message(await copy('deeper', { num_hidden_layers: 3 }))).toMatchInlineSnapshot(
      `"TypeError: model: FOLDER/deeper lacks model.layers.2.self_attn.k_proj.weight, model.layers.2.self_attn.o_proj.weight, model.layers.2.self_attn.q_proj.weight, model.layers.2.self_attn.v_proj.weight, model.layers.2.input_layernorm.weight, model.layers.2.mlp.down_proj.weight, model.layers.2.mlp.gate_proj.weight, model.layers.2.mlp.up_proj.weight, model.layers.2.post_attention_layernorm.weight; config.json does not belong to these weights"`,
    )
    const short = await copy('short')
    await truncate(join(short, 'model.safetensors'), 4000)
    expect(await message(short)).toMatchInlineSnapshot(
      `"Error: safetensors: FOLDER/short/model.safetensors has 4000 bytes but its header describes 79792; fetch it again"`,
    )
    const empty = await copy('empty')
    await rm(join(empty, 'model.safetensors'))
    expect(await message(empty)).toMatchInlineSnapshot(
      `"Error: safetensors: FOLDER/empty/model.safetensors cannot be read (ENOENT); check the path"`,
    )
  })

  test('a text beyond the context', async () => {
    const { config, params } = await llama.load(await copy('brief', { max_position_embeddings: 8 }))
    const tokens = toTensor(toNdArray(new Array<number>(9).fill(3), [1, 9], 'i32'))
    expect(() => llama.forward(config, params, tokens)).toThrowErrorMatchingInlineSnapshot(
      `[RangeError: llama: 9 tokens exceed the model's length of 8; cut the text or choose another model]`,
    )
  })
})

test('parameters that lack something, and tokens of another rank', async () => {
  const { config, params } = await llama.load(goldenFolder('tiny-llama'))
  const forward =
    (given: llama.LlamaParams, tokens = zeros([1, 4], 'i32')) =>
    () =>
      evalShape((p: llama.LlamaParams, t: Value) => llama.forward(config, p, t))(given, tokens)
  expect(forward({ ...params, layers: params.layers.slice(1) })).toThrowErrorMatchingInlineSnapshot(
    `[TypeError: llama: the parameters have nothing at "layers.1.attn.k"; they are for another configuration]`,
  )
  const { q: _, ...rest } = params.layers[0]!.attn
  const lacking = { ...params.layers[0]!, attn: rest } as llama.LlamaLayer
  expect(forward({ ...params, layers: [lacking, params.layers[1]!] })).toThrowErrorMatchingInlineSnapshot(
    `[TypeError: llama: the parameters have nothing at "layers.0.attn.q"; they are for another configuration]`,
  )
  expect(forward({ ...params, layers: [...params.layers, lacking] })).toThrowErrorMatchingInlineSnapshot(
    `[TypeError: llama: the configuration has nothing at "layers.2.attn.k"; the parameters are for another one]`,
  )
  expect(forward(params, zeros([4], 'i32'))).toThrowErrorMatchingInlineSnapshot(
    `[TypeError: llama: tokens are i32[4]; make them i32[batch,time]]`,
  )
})
