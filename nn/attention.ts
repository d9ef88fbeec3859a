// Attention as a layer has it: the heads come out joined, as its output projection reads them.

import { type AttentionOptions, dotProductAttention, reshape, type Value } from '../core/index.ts'

/**
 * `dotProductAttention` with its heads joined: `q` is `[batch, time, heads, size]`, `k` and `v` are
 * `[batch, keys, kvHeads, size]`, and the result is `[batch, time, heads · size]`.
 */
export function attention(q: Value, k: Value, v: Value, options: AttentionOptions = {}): Value {
  const [batch, time, heads, size] = q.shape as [number, number, number, number]
  return reshape(dotProductAttention(q, k, v, options), [batch, time, heads * size])
}
