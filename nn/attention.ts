// Scaled dot-product attention (Vaswani et al., 2017, eq. 1) with grouped queries (Ainslie et al., "GQA", 2023): several
// query heads share one key and value head, which is never repeated.

import {
  contract,
  div,
  exp,
  expandDims,
  greaterEqual,
  iota,
  max,
  mul,
  reshape,
  stopGradient,
  sub,
  sum,
  transpose,
  type Value,
  where,
} from '../core/index.ts'

/** What a hidden score is set to: its exponential is zero, and it is finite. */
const hidden = -1e30

/**
 * `softmax(q kᵀ / √size) v` over the keys that `mask` shows.
 * `q` is `[batch, time, heads, size]`, `k` and `v` are `[batch, keys, kvHeads, size]`, `mask` is a bool `[time, keys]`;
 * the result is `[batch, time, heads · size]`. A `TypeError` unless `kvHeads` divides `heads`.
 */
export function attention(q: Value, k: Value, v: Value, mask: Value): Value {
  const [batch, time, heads, size] = q.shape as [number, number, number, number]
  const kvHeads = k.shape[2]!
  if (heads % kvHeads !== 0)
    throw new TypeError(
      `attention: ${heads} query heads cannot share ${kvHeads} key heads; one must divide the other`,
    )
  const grouped = reshape(q, [batch, time, kvHeads, heads / kvHeads, size])
  const scores = mul(contract('btkgd,bskd->bkgts', grouped, k), 1 / Math.sqrt(size))
  const shown = where(mask, scores, hidden) // [batch, kvHeads, group, time, keys]
  const weights = exp(sub(shown, stopGradient(max(shown, { axis: -1, keepDims: true }))))
  const total = transpose(sum(weights, { axis: -1 }), [0, 3, 1, 2]) // [batch, time, kvHeads, group]
  // Dividing after the product divides `size` numbers a row, not `keys`.
  const mixed = div(contract('bkgts,bskd->btkgd', weights, v), expandDims(total, -1))
  return reshape(mixed, [batch, time, heads * size])
}

/** Each time sees itself and what came before: bool `[time, time]`. */
export const causalMask = (time: number): Value =>
  greaterEqual(iota([time, time], { axis: 0 }), iota([time, time], { axis: 1 }))
