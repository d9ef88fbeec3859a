// Learning rates as functions of the number of steps done, computed on the device.

import { add, cast, cos, div, full, less, maximum, mul, sub, type Value, where } from '../core/index.ts'

/** The rate of the update that comes after `count` others, from an i32 scalar; `peak` is the largest. */
export interface Schedule {
  (count: Value): Value
  readonly peak: number
}

/** A rate, or a schedule of them, as a schedule. */
export const toSchedule = (rate: number | Schedule): Schedule =>
  typeof rate === 'number' ? Object.assign(() => full([], rate), { peak: rate }) : rate

/** The shape of `warmupCosine`. */
export interface WarmupCosineOptions {
  /** The largest rate. */
  readonly peak: number
  /** Updates in all. */
  readonly steps: number
  /** The part of them with a growing rate, from 0 to 1; the number of updates is rounded up. */
  readonly warmup: number
}

/**
 * A rate that grows from 0 in the first update to `peak` after the warm-up, then falls to 0 as half a cosine, as
 * `get_cosine_schedule_with_warmup` of transformers. After the last step it stays 0.
 */
export function warmupCosine({ peak, steps, warmup }: WarmupCosineOptions): Schedule {
  const rising = Math.ceil(warmup * steps)
  const schedule = (count: Value): Value => {
    const t = cast(count, 'f32')
    const progress = div(sub(t, rising), Math.max(1, steps - rising))
    const falling = mul(0.5, add(1, cos(mul(Math.PI, where(less(progress, 1), progress, 1)))))
    return mul(peak, where(less(t, rising), div(t, Math.max(1, rising)), maximum(falling, 0)))
  }
  return Object.assign(schedule, { peak })
}
