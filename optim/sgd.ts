// Stochastic gradient descent, with momentum as optax's `sgd`.

import { add, mul, neg, tree, type Value, zeros, zerosLike } from '../core/index.ts'
import { type Schedule, toSchedule } from './schedule.ts'
import type { GradientTransformation } from './transform.ts'

/** What `sgd` carries from step to step. */
export interface SgdState {
  /** Updates done, i32 `[]`. */
  readonly count: Value
  /** The decaying sum of gradients, a tree like the parameters; null without momentum. */
  readonly trace: unknown
}

/** `p ← p - rate · t`, where `t ← g + momentum · t`; without momentum, 0 by default, `t` is the gradient. */
export function sgd(
  rate: number | Schedule,
  { momentum = 0 }: { readonly momentum?: number } = {},
): GradientTransformation<SgdState> {
  const schedule = toSchedule(rate)
  return {
    init: (params) => ({
      count: zeros([], 'i32'),
      trace: momentum === 0 ? null : tree.map((p: Value) => zerosLike(p), params),
    }),
    update<P>(gradients: P, state: SgdState) {
      const trace =
        state.trace === null
          ? null
          : tree.map((g: Value, t: Value) => add(g, mul(momentum, t)), gradients, state.trace)
      const step = schedule(state.count)
      const updates = tree.map((t: Value) => neg(mul(step, t)), trace ?? gradients) as P
      return [updates, { count: add(state.count, 1), trace }]
    },
  }
}
