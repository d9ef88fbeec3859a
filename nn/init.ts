// Initial values of weights.

import { diagonal, evaluate, less, linalg, mul, random, transpose, type Value, where } from '../core/index.ts'

/** PyTorch's default for a linear layer, `kaiming_uniform_(a=√5)`: uniform within ±1/√in. `[out, in]`. */
export function kaimingUniform(key: random.Key, [out, inputs]: readonly [number, number]): Value {
  const bound = 1 / Math.sqrt(inputs)
  return random.uniform(key, [out, inputs], { minval: -bound, maxval: bound })
}

/**
 * Uniform among the matrices whose rows or columns, whichever are fewer, are orthonormal, times `scale`. `[out, in]`. As
 * `jax.nn.initializers.orthogonal` (Saxe et al., 2014); the factorization runs on the host.
 */
export const orthogonal = (
  key: random.Key,
  [out, inputs]: readonly [number, number],
  { scale = 1 }: { readonly scale?: number } = {},
): Value =>
  evaluate(() => {
    const [q, r] = linalg.qr(random.normal(key, [Math.max(out, inputs), Math.min(out, inputs)]))
    const signed = mul(q, where(less(diagonal(r), 0), -scale, scale))
    return out < inputs ? transpose(signed) : signed
  })
