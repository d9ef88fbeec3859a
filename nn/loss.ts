// The loss of a language model.

import {
  cast,
  concatenate,
  div,
  full,
  logSumExp,
  maximum,
  notEqual,
  pick,
  slice,
  sub,
  sum,
  type Value,
  where,
} from '../core/index.ts'

/** The label of a place that does not count. */
export const ignored = -100

/**
 * The mean of `-log softmax(logits)[label]` over the places whose label is not `ignored` (zero if there are none).
 * `logits` is `[..., classes]`, `labels` is i32 `[...]`.
 */
export function crossEntropy(logits: Value, labels: Value): Value {
  const counts = notEqual(labels, ignored)
  const chosen = pick(logits, where(counts, labels, 0))
  const losses = where(counts, sub(logSumExp(logits, { axis: -1 }), chosen), 0)
  return div(sum(losses), maximum(sum(cast(counts, 'f32')), 1))
}

/**
 * The cross-entropy of predicting each next token: the logits at time t are held against the label at t + 1.
 * `logits` is `[batch, time, vocabulary]`, `labels` is i32 `[batch, time]`, unshifted.
 */
export function causalLoss(logits: Value, labels: Value): Value {
  const [batch, time] = labels.shape as [number, number]
  const next = slice(labels, { start: [0, 1], end: [batch, time] })
  return crossEntropy(logits, concatenate([next, full([batch, 1], ignored, 'i32')], { axis: 1 }))
}
