// Models too large for this machine are traced at their types: nothing is allocated and no device is opened.

import { Aval, evalShape, tree, type Value } from 'cotangent'
import { llama } from 'cotangent/models'
import { countElements } from 'cotangent/peft'
import { expect, test, vi } from 'vitest'
import { llama8B } from '../support/llama-8b.ts'

vi.mock('../../core/device/device.ts', async (original) => ({
  ...(await original<object>()),
  openDevice: () => {
    throw new Error('test: the device was opened')
  },
}))

test('the logits of Llama-3.1-8B', () => {
  const params = llama.shapes(llama8B)
  expect(countElements(params)).toBe(8_030_261_248)
  expect(tree.leaves(params)).toHaveLength(3 + 32 * 9)
  const forward = (params: llama.LlamaParams, tokens: Value): Value => llama.forward(llama8B, params, tokens)
  const tokens = new Aval([1, 8], 'i32') as unknown as Value
  const { rss } = process.memoryUsage()
  const start = performance.now()
  expect(String(evalShape(forward)(params, tokens))).toBe('f32[1,8,128256]')
  expect(performance.now() - start).toBeLessThan(1000)
  expect(process.memoryUsage().rss - rss).toBeLessThan(100e6)
})
