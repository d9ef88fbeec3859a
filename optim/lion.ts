// LionW: Lion (Chen et al., "Symbolic Discovery of Optimization Algorithms", 2023, algorithm 2) with decoupled weight decay,
// which the schedule scales but the rate does not. The optimiser of the RaSA paper.

import { add, mul, neg, sign, sub, tree, type Value, zeros, zerosLike } from '../core/index.ts'
import { type Schedule, toSchedule } from './schedule.ts'
import type { GradientTransformation } from './transform.ts'

/** What `lionw` takes besides the rate. */
export interface LionwOptions {
  /** How much of the momentum is in the direction of a step; 0.9 by default. */
  readonly b1?: number
  /** How much of the momentum stays in a step; 0.99 by default. */
  readonly b2?: number
  /** λ, the part of each parameter that a step at the peak rate takes away, not multiplied by the rate; 0 by default. */
  readonly weightDecay?: number
}

/** What `lionw` carries from step to step. */
export interface LionwState {
  /** Updates done, i32 `[]`. */
  readonly count: Value
  /** The momentum, a tree like the parameters. */
  readonly m: unknown
}

/**
 * `p ← p (1 - λ rate/peak) - rate · sign(m + (1 - b1)(g - m))`, then `m ← m + (1 - b2)(g - m)`. The rate is how far every
 * parameter moves in a step.
 */
export function lionw(
  rate: number | Schedule,
  { b1 = 0.9, b2 = 0.99, weightDecay = 0 }: LionwOptions = {},
): GradientTransformation<LionwState> {
  const schedule = toSchedule(rate)
  const towards = (m: Value, g: Value, by: number): Value => add(m, mul(1 - by, sub(g, m)))
  return {
    init: (params) => ({ count: zeros([], 'i32'), m: tree.map((p: Value) => zerosLike(p), params) }),
    update<P>(gradients: P, { count, m }: LionwState, params: P) {
      const step = schedule(count)
      const decay = mul(step, schedule.peak === 0 ? 0 : weightDecay / schedule.peak)
      const updates = tree.map(
        (g: Value, m: Value, p: Value) => {
          const move = neg(mul(step, sign(towards(m, g, b1))))
          return weightDecay === 0 ? move : sub(move, mul(decay, p))
        },
        gradients,
        m,
        params,
      ) as P
      return [
        updates,
        { count: add(count, 1), m: tree.map((g: Value, m: Value) => towards(m, g, b2), gradients, m) },
      ]
    },
  }
}
