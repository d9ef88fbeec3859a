// Clipping of gradients.

import { add, div, less, mul, sqrt, sum, tree, type Value, where } from '../core/index.ts'
import type { GradientTransformation } from './transform.ts'

/** `√Σ g²` over all elements of all leaves, a scalar. */
export const globalNorm = (gradients: unknown): Value =>
  sqrt((tree.leaves(gradients) as Value[]).map((g) => sum(mul(g, g))).reduce((a, b) => add(a, b)))

/** Scales the gradients so that their global norm is at most `max`; smaller ones stay as they are. */
export const clipByGlobalNorm = (max: number): GradientTransformation<null> => ({
  init: () => null,
  update<P>(gradients: P, state: null) {
    const norm = globalNorm(gradients)
    const factor = where(less(norm, max), 1, div(max, norm))
    return [tree.map((g: Value) => mul(g, factor), gradients) as P, state]
  },
})
