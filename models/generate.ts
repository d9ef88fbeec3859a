// Generation: one token at a time through one program, with the keys and values of earlier tokens kept on the device.

import {
  argmax,
  equal,
  full,
  iota,
  jit,
  lessEqual,
  reshape,
  take,
  tensor,
  type Value,
  where,
  zeros,
} from '../core/index.ts'
import { attention } from '../nn/index.ts'
import { type KeysAndValues, type LlamaConfig, type LlamaParams, model, rope } from './llama.ts'

/** When generation ends. */
export interface GenerateOptions {
  /** Tokens to make after the prompt, at most. */
  readonly maxTokens: number
  /** The token that ends the text; it is not part of it. */
  readonly eos?: number
}

/** Caches come in multiples of this many tokens, so that few programs serve all lengths. */
const granule = 64

type Step = (
  params: LlamaParams,
  cache: readonly KeysAndValues[],
  token: Value,
  position: Value,
) => readonly [Value, readonly KeysAndValues[]]

/** The program for one token at one position: the likeliest next token, and the cache with this one in it. */
function makeStep(config: LlamaConfig): Step {
  return jit(
    (params: LlamaParams, cache: readonly KeysAndValues[], token: Value, position: Value) => {
      const length = cache[0]!.k.shape[1]!
      const table = rope(config, length)
      const row = (values: Value): Value => {
        const found = take(values, position, { mode: 'clip' })
        return reshape(found, [1, config.headSize])
      }
      const positions = { cos: row(table.cos), sin: row(table.sin) }
      const here = equal(iota([1, length, 1, 1], { axis: 1 }), position)
      const seen = lessEqual(iota([1, 1, 1, length], { axis: 3 }), position)
      const next: KeysAndValues[] = []
      const logits = model(config, params, reshape(token, [1, 1]), positions, (layer, q, k, v) => {
        const kept = { k: where(here, k, cache[layer]!.k), v: where(here, v, cache[layer]!.v) }
        next.push(kept)
        return attention(q, kept.k, kept.v, { mask: seen })
      })
      return [reshape(argmax(logits), []), next] as const
    },
    { donate: [1] },
  )
}

const steps = new WeakMap<LlamaConfig, Step>()

/**
 * The tokens that greedily continue `prompt`, as they are made. The prompt begins with BOS.
 * A prompt that the model cannot have, and more tokens than its length, are a `RangeError`.
 */
export async function* generate(
  config: LlamaConfig,
  params: LlamaParams,
  prompt: readonly number[],
  { maxTokens, eos }: GenerateOptions,
): AsyncGenerator<number> {
  const total = prompt.length + maxTokens
  if (prompt.length === 0) throw new RangeError('generate: the prompt is empty; begin it with the BOS token')
  if (!Number.isInteger(maxTokens) || maxTokens < 0)
    throw new RangeError(`generate: maxTokens ${maxTokens} is no whole number from 0 up; give one`)
  const alien = prompt.find((id) => !(Number.isInteger(id) && id >= 0 && id < config.vocabularySize))
  if (alien !== undefined)
    throw new RangeError(
      `generate: token ${alien} is outside the vocabulary of ${config.vocabularySize}; use the model's own tokenizer`,
    )
  if (total > config.maxLength)
    throw new RangeError(
      `generate: ${prompt.length} tokens and ${maxTokens} more exceed the model's length of ${config.maxLength}; ask for fewer`,
    )
  const step = steps.get(config) ?? makeStep(config)
  steps.set(config, step)
  const length = Math.min(config.maxLength, Math.ceil(total / granule) * granule)
  const empty = (): Value => zeros([1, length, config.kvHeads, config.headSize])
  let cache: readonly KeysAndValues[] = Array.from({ length: config.layers }, () => ({
    k: empty(),
    v: empty(),
  }))
  let next: Value = full([], prompt[0]!, 'i32')
  for (let position = 0; position < total - 1; position++) {
    const token = position < prompt.length ? full([], prompt[position]!, 'i32') : next
    ;[next, cache] = step(params, cache, token, tensor([position], { shape: [], dtype: 'i32' }))
    if (position < prompt.length - 1) continue
    const id = await next.item()
    if (id === eos) return
    yield id
  }
}
