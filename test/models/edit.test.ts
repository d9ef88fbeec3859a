// Parameters are plain trees, which immer edits. Arrays are leaves to it: shared, and not frozen.

import { jit, Tensor, tensor, tree } from 'cotangent'
import { llama } from 'cotangent/models'
import { castDraft, produce } from 'immer'
import { expect, test } from 'vitest'
import { goldenFolder } from '../support/golden.ts'
import { toHost } from '../support/host.ts'

test('produce replaces one leaf; the others are the very same, and still work', async () => {
  const { config, params } = await llama.load(goldenFolder('tiny-llama'))
  const norm = tensor(new Float32Array(config.hiddenSize))
  const edited = produce(params, (draft) => {
    draft.layers[1]!.attnNorm = castDraft(norm)
  })
  const changed = tree.leavesWithPath(edited).flatMap(({ path, leaf }, k) => {
    return tree.leaves(params)[k] === leaf ? [] : [tree.showPath(path)]
  })
  expect(changed).toEqual(['layers.1.attnNorm'])
  expect(edited.layers[1]!.attnNorm).toBe(norm)
  expect(edited.layers[0]).toBe(params.layers[0])

  expect(Object.isFrozen(edited.layers)).toBe(true)
  for (const leaf of tree.leaves(edited)) {
    expect(leaf).toBeInstanceOf(Tensor)
    expect(Object.isFrozen(leaf) || Object.isFrozen((leaf as Tensor).storage)).toBe(false)
  }
  const double = jit((params: llama.LlamaParams) => params.layers[1]!.attnNorm.add(params.norm))
  const one = await toHost(double(edited))
  expect(one.data).toEqual((await toHost(params.norm)).data)
  expect((await toHost(double(params))).data).not.toEqual(one.data)
})
