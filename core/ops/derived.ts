// Compositions without rules of their own, written so that they neither overflow nor lose digits.

import { bind, toArray } from '../trace.ts'
import type { ArrayLike, Value } from '../value.ts'
import { div, greater, less, maximum, sub, where } from './arithmetic.ts'
import { abs, exp, log } from './elementary.ts'
import { add, elementwise } from './elementwise.ts'
import { reshape, sum } from './movement.ts'
import { max } from './reduction.ts'

const stopPrimitive = elementwise<object>({
  name: 'stop_gradient',
  jvp: null,
  reference: ([x]) => x!,
  lower: ([x]) => x!,
})

/** `x`, as a constant to every derivative. */
export const stopGradient = (x: ArrayLike): Value => bind(stopPrimitive, [toArray(x)], {})[0]!
stopGradient.primitive = stopPrimitive

/** `max(x, 0)`; its derivative at 0 is 0, as in JAX. */
export const relu = (x: ArrayLike): Value => where(greater(x, 0), x, stopGradient(maximum(x, 0)))

export interface AxisOption {
  readonly axis?: number
}

/** `x` less its largest element along `axis`, which is a constant to derivatives; not where that is infinite. */
function shifted(x: Value, axis: number): { readonly centred: Value; readonly largest: Value } {
  const largest = stopGradient(max(x, { axis, keepDims: true }))
  const finite = where(less(abs(largest), Number.POSITIVE_INFINITY), largest, 0)
  return { centred: sub(x, finite), largest: finite }
}

/** `log(Σ e^x)` along `axis`. */
export function logSumExp(x: ArrayLike, { axis = -1 }: AxisOption = {}): Value {
  const value = toArray(x)
  const { centred, largest } = shifted(value, axis)
  const total = sum(exp(centred), { axis })
  return add(log(total), reshape(largest, total.shape))
}

/** `e^x / Σ e^x` along `axis`. */
export function softmax(x: ArrayLike, { axis = -1 }: AxisOption = {}): Value {
  const weights = exp(shifted(toArray(x), axis).centred)
  return div(weights, sum(weights, { axis, keepDims: true }))
}

/** `log(softmax(x))`, accurate where that is very negative. */
export function logSoftmax(x: ArrayLike, { axis = -1 }: AxisOption = {}): Value {
  const { centred } = shifted(toArray(x), axis)
  return sub(centred, log(sum(exp(centred), { axis, keepDims: true })))
}
