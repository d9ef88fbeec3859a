// AdamW (Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019, algorithm 2), as optax's `adamw`.

import { add, cast, div, mul, neg, sqrt, tanh, tree, type Value, zeros, zerosLike } from '../core/index.ts'
import { type Schedule, toSchedule } from './schedule.ts'
import type { GradientTransformation } from './transform.ts'

/** What `adamw` takes besides the rate. */
export interface AdamwOptions {
  /** How much of the mean of gradients stays in a step; 0.9 by default. */
  readonly b1?: number
  /** How much of the mean of their squares stays; 0.999 by default. */
  readonly b2?: number
  /** Added to the root of the mean square, in the units of gradients; 1e-8 by default. */
  readonly eps?: number
  /** λ, multiplied by the rate: a step takes `rate · λ` of each parameter away; 1e-4 by default. */
  readonly weightDecay?: number
}

/** What `adamw` carries from step to step. */
export interface AdamwState {
  /** Updates done, i32 `[]`. */
  readonly count: Value
  /** First and second moments, trees like the parameters. */
  readonly mu: unknown
  readonly nu: unknown
}

/** `p ← p - rate (μ̂ / (√ν̂ + eps) + λ p)` with bias-corrected moments. The rate is how far a parameter moves at most, about, in a step. */
export function adamw(
  rate: number | Schedule,
  { b1 = 0.9, b2 = 0.999, eps = 1e-8, weightDecay = 1e-4 }: AdamwOptions = {},
): GradientTransformation<AdamwState> {
  const schedule = toSchedule(rate)
  const zerosOf = (params: unknown): unknown => tree.map((p: Value) => zerosLike(p), params)
  return {
    init: (params) => ({ count: zeros([], 'i32'), mu: zerosOf(params), nu: zerosOf(params) }),
    update<P>(gradients: P, state: AdamwState, params: P) {
      const count = add(state.count, 1)
      const mu = tree.map((g: Value, m: Value) => add(mul(b1, m), mul(1 - b1, g)), gradients, state.mu)
      const nu = tree.map(
        (g: Value, v: Value) => add(mul(b2, v), mul(1 - b2, mul(g, g))),
        gradients,
        state.nu,
      )
      // 1 - bⁿ = -expm1(n log b), through tanh: the difference itself would lose most digits of the first steps.
      const corrected = (b: number): Value => {
        const t = tanh(mul(cast(count, 'f32'), -Math.log(b) / 2))
        return div(mul(2, t), add(1, t))
      }
      const [c1, c2] = [corrected(b1), corrected(b2)]
      const step = schedule(state.count)
      const updates = tree.map(
        (m: Value, v: Value, p: Value) => {
          const direction = div(div(m, c1), add(sqrt(div(v, c2)), eps))
          return neg(mul(step, add(direction, mul(weightDecay, p))))
        },
        mu,
        nu,
        params,
      ) as P
      return [updates, { count, mu, nu }]
    },
  }
}
