// The loss of a language model.

import { checkpoint, scan } from '../autodiff/index.ts'
import {
  add,
  cast,
  concatenate,
  div,
  full,
  logSumExp,
  maximum,
  notEqual,
  pad,
  pick,
  reshape,
  slice,
  sub,
  sum,
  type Value,
  where,
  zeros,
} from '../core/index.ts'
import { linear, type Weight } from './linear.ts'

/** The label of a place that does not count. */
export const ignored = -100

/**
 * The mean of `-log softmax(logits)[label]` over the places whose label is not `ignored` (zero if there are none).
 * `logits` is `[..., classes]`, `labels` is i32 `[...]`.
 */
export const crossEntropy = (logits: Value, labels: Value): Value =>
  div(sumOfLosses(logits, labels), placesThatCount(labels))

const placesThatCount = (labels: Value): Value => maximum(sum(cast(notEqual(labels, ignored), 'f32')), 1)

function sumOfLosses(logits: Value, labels: Value): Value {
  const counts = notEqual(labels, ignored)
  const chosen = pick(logits, where(counts, labels, 0))
  return sum(where(counts, sub(logSumExp(logits, { axis: -1 }), chosen), 0))
}

export interface LinearCrossEntropyOptions {
  /** Places whose logits are there at a time. */
  readonly places?: number
}

/**
 * `crossEntropy(linear(x, w), labels)` in the memory of the logits of a few places: they, and their gradient, are made for some
 * `places` (256) at a time, and again in the backward pass. It takes the time of one more product. For large vocabularies;
 * `x` is `[..., in]`, `w` a weight of shape `[classes, in]`, `labels` i32 `[...]`.
 *
 * @example
 * ```ts
 * import { tensor } from 'cotangent'
 * import { linearCrossEntropy } from 'cotangent/nn'
 * const [x, w] = [tensor([[1, 0], [0, 1]]), tensor([[1, 0], [0, 1]])]
 * await linearCrossEntropy(x, w, tensor([0, 1], { dtype: 'i32' })).item() // 0.3132617
 * ```
 */
export function linearCrossEntropy(
  x: Value,
  w: Weight,
  labels: Value,
  { places = 256 }: LinearCrossEntropyOptions = {},
): Value {
  if (String(x.shape.slice(0, -1)) !== String(labels.shape))
    throw new TypeError(
      `linearCrossEntropy: labels ${labels} do not fit ${x}; there must be one for each vector along its last axis`,
    )
  if (!Number.isInteger(places) || places < 1)
    throw new RangeError(`linearCrossEntropy: ${places} places at a time; give a whole number, 1 or more`)
  const [count, width] = [labels.size, x.shape.at(-1)!]
  const each = Math.min(places, Math.max(count, 1))
  const turns = Math.ceil(count / each)
  const more = turns * each - count
  const rows = reshape(pad(reshape(x, [count, width]), { before: [0, 0], after: [more, 0] }), [
    turns,
    each,
    width,
  ])
  const classes = concatenate([reshape(labels, [count]), full([more], ignored, 'i32')])
  const part = checkpoint((rows: Value, classes: Value) => sumOfLosses(linear(rows, w), classes))
  const [total] = scan(
    (sum: Value, [rows, classes]: readonly [Value, Value]) => [add(sum, part(rows, classes)), null],
    zeros([]),
    [rows, reshape(classes, [turns, each])] as const,
  )
  return div(total, placesThatCount(labels))
}

/** The labels of the places before: each next token, and `ignored` at the end. `labels` is i32 `[batch, time]`. */
export function nextTokens(labels: Value): Value {
  const [batch, time] = labels.shape as [number, number]
  const next = slice(labels, { start: [0, 1], end: [batch, time] })
  return concatenate([next, full([batch, 1], ignored, 'i32')], { axis: 1 })
}

/**
 * The cross-entropy of predicting each next token: the logits at time t are held against the label at t + 1.
 * `logits` is `[batch, time, vocabulary]`, `labels` is i32 `[batch, time]`, unshifted.
 */
export const causalLoss = (logits: Value, labels: Value): Value => crossEntropy(logits, nextTokens(labels))
