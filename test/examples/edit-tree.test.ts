// A tree that immer edited: what is new in it, what is shared, and that the arrays are left alone.

import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { type Tensor, tree } from 'cotangent'
import { llama } from 'cotangent/models'
import { expect, test } from 'vitest'
import { withoutHead } from '../../examples/edit-tree.ts'
import { goldenFolder } from '../support/golden.ts'

const leavesOf = (params: llama.LlamaParams) =>
  new Map(tree.leavesWithPath(params).map(({ path, leaf }) => [tree.showPath(path), leaf as Tensor]))

test('only the edited leaf is new, and its head is silent', async () => {
  const { config, params } = await llama.load(goldenFolder('tiny-llama'))
  const [before, edited] = [leavesOf(params), leavesOf(withoutHead(config, params, 1, 2))]
  expect([...edited.keys()]).toEqual([...before.keys()])
  expect([...edited].flatMap(([path, leaf]) => (leaf === before.get(path) ? [] : [path]))).toEqual([
    'layers.1.attn.o',
  ])

  const [old, made] = [before.get('layers.1.attn.o')!, edited.get('layers.1.attn.o')!]
  const columns = config.heads * config.headSize
  const original = await old.data()
  const headOf = (place: number) => Math.floor((place % columns) / config.headSize)
  expect([...(await made.data())]).toEqual(Array.from(original, (x, k) => (headOf(k) === 2 ? 0 : x)))
  expect(original.some((x, k) => headOf(k) === 2 && x !== 0)).toBe(true)
})

test('branches are frozen, arrays are not', async () => {
  const { config, params } = await llama.load(goldenFolder('tiny-llama'))
  const edited = withoutHead(config, params, 0, 1)
  expect(Object.isFrozen(edited.layers)).toBe(true)
  expect(tree.leaves(edited).filter(Object.isFrozen)).toEqual([])
})

test('the example runs, and the device holds one array more', async () => {
  const script = fileURLToPath(new URL('../../examples/edit-tree.ts', import.meta.url))
  const { stdout } = await promisify(execFile)(process.execPath, ['--import', 'tsx', script])
  expect(stdout).toMatchInlineSnapshot(`
    "46 of 47 arrays are the model's own; the device holds 16384 bytes more
    loss 0.180, and 0.197 without the head
    "
  `)
})
