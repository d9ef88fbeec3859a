// RMSNorm (Zhang and Sennrich, "Root Mean Square Layer Normalization", 2019, eq. 4).

import { mean, mul, rsqrt, type Value } from '../core/index.ts'

/** `x / √(mean(x²) + eps) · weight` over the last axis; `x` is `[..., n]` and `weight` is `[n]`. */
export function rmsNorm(x: Value, weight: Value, { eps }: { readonly eps: number }): Value {
  const meanSquare = mean(mul(x, x), { axis: -1, keepDims: true })
  return mul(mul(x, rsqrt(meanSquare.add(eps))), weight)
}
