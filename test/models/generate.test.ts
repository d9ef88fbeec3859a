// Greedy generation: the story that llama2.c publishes for stories260K, and prompts that cannot be continued.

import { fileURLToPath } from 'node:url'
import { statistics } from 'cotangent'
import { type GenerateOptions, generate, llama, loadTokenizer } from 'cotangent/models'
import { describe, expect, test } from 'vitest'
import { goldenFolder } from '../support/golden.ts'

// `./run stories260K.bin -t 0.0`, in doc/stories260K.md of llama2.c
const story = `Once upon a time, there was a little girl named Lily. She loved to play outside in the park. One day, she saw a big, red ball. She wanted to play with it, but it was too high.
Lily's mom said, "Lily, let's go to the park." Lily was sad and didn't know what to do. She said, "I want to play with your ball, but I can't find it."
Lily was sad and didn't know what to do. She said, "I'm sorry, Lily. I didn't know what to do."
Lily didn't want to help her mom, so she said, "I'm sorry, mom. I didn't know what to do." Her mom said, "Don't worry, Lily. We can help you.`

test('stories260K tells its story, one submission a token', async () => {
  const folder = fileURLToPath(new URL('../../examples/assets/stories260K', import.meta.url))
  const [{ config, params }, tokenizer] = [await llama.load(folder), await loadTokenizer(folder)]
  const made: number[] = []
  for await (const id of generate(config, params, [tokenizer.bos], { maxTokens: 256 })) made.push(id)
  expect(tokenizer.decode(made)).toBe(story)
  expect(story).toHaveLength(565)
  expect((await statistics()).submits).toBe(256)
})

describe('tiny-llama', () => {
  const collect = async (prompt: readonly number[], options: GenerateOptions): Promise<number[]> => {
    const { config, params } = await llama.load(goldenFolder('tiny-llama'))
    const made = []
    for await (const id of generate(config, params, prompt, options)) made.push(id)
    return made
  }

  test('a text ends before EOS, and a prompt in two parts is the same prompt', async () => {
    const prompt = [1, 10, 49]
    const whole = await collect(prompt, { maxTokens: 6 })
    const cut = whole.findIndex((id, k) => whole.indexOf(id) === k && k > 0)
    expect(await collect(prompt, { maxTokens: 6, eos: whole[cut]! })).toEqual(whole.slice(0, cut))
    expect(await collect([...prompt, ...whole.slice(0, 2)], { maxTokens: 4 })).toEqual(whole.slice(2))
    expect(await collect(prompt, { maxTokens: 0 })).toEqual([])
  })

  test('errors', async () => {
    await expect(collect([], { maxTokens: 1 })).rejects.toThrowErrorMatchingInlineSnapshot(
      `[RangeError: generate: the prompt is empty; begin it with the BOS token]`,
    )
    await expect(collect([1, 2], { maxTokens: 511 })).rejects.toThrowErrorMatchingInlineSnapshot(
      `[RangeError: generate: 2 tokens and 511 more exceed the model's length of 512; ask for fewer]`,
    )
    await expect(collect([1], { maxTokens: -1 })).rejects.toThrowErrorMatchingInlineSnapshot(
      `[RangeError: generate: maxTokens -1 is no whole number from 0 up; give one]`,
    )
    await expect(collect([1, 61], { maxTokens: 1 })).rejects.toThrowErrorMatchingInlineSnapshot(
      `[RangeError: generate: token 61 is outside the vocabulary of 61; use the model's own tokenizer]`,
    )
  })
})
