// The gated feed-forward layer (Shazeer, "GLU Variants Improve Transformer", 2020, eq. 6).

import { mul, type Value } from '../core/index.ts'
import { silu } from './activation.ts'
import { linear, type Weight } from './linear.ts'

/** `gate` and `up` are `[intermediate, hidden]`, `down` is `[hidden, intermediate]`. */
export interface SwigluParams {
  readonly gate: Weight
  readonly up: Weight
  readonly down: Weight
}

/** `down(silu(gate(x)) ⊙ up(x))` over the last axis. */
export const swiglu = (x: Value, { gate, up, down }: SwigluParams): Value =>
  linear(mul(silu(linear(x, gate)), linear(x, up)), down)
