// Compositions without rules of their own, written so that they neither overflow nor lose digits.

import { bind, toArray } from '../trace.ts'
import type { ArrayLike, Value } from '../value.ts'
import { div, greater, less, maximum, sub, where } from './arithmetic.ts'
import { exp, log } from './elementary.ts'
import { add, elementwise } from './elementwise.ts'
import { type ReduceOptions, reshape, sum } from './movement.ts'
import { max } from './reduction.ts'
import { abs } from './sign.ts'

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

/** The largest element along `axis`, as a constant to derivatives. */
const largest = (x: Value, axis: number): Value => stopGradient(max(x, { axis, keepDims: true }))

/** `log(Σ e^x)` over `axis`, or over everything. */
export function logSumExp(x: ArrayLike, options: ReduceOptions = {}): Value {
  const value = toArray(x)
  if (value.size === 0) return log(sum(exp(value), options)) // of nothing: -∞
  const top = stopGradient(max(value, { axis: options.axis, keepDims: true }))
  const finite = where(less(abs(top), Number.POSITIVE_INFINITY), top, 0)
  const total = sum(exp(sub(value, finite)), options)
  return add(log(total), reshape(finite, total.shape))
}

/** `e^x / Σ e^x` along `axis`, the last by default; it does not overflow. */
export function softmax(x: ArrayLike, { axis = -1 }: AxisOption = {}): Value {
  const value = toArray(x)
  if (value.size === 0) return exp(value)
  const weights = exp(sub(value, largest(value, axis)))
  return div(weights, sum(weights, { axis, keepDims: true }))
}

/** `log(softmax(x))` along `axis`, the last by default, accurate where that is very negative. */
export function logSoftmax(x: ArrayLike, { axis = -1 }: AxisOption = {}): Value {
  const value = toArray(x)
  if (value.size === 0) return exp(value)
  const centred = sub(value, largest(value, axis))
  return sub(centred, log(sum(exp(centred), { axis, keepDims: true })))
}
