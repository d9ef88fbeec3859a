// Optimisers are pairs of pure functions (optax's design): `init` makes the state, `update` maps gradients to updates. They
// chain, and run on the device inside the jitted step.

import { add, cast, tree, type Value } from '../core/index.ts'

/** A transformation of gradients. Gradients, updates and parameters are trees of one shape; `S` is the state. */
export interface GradientTransformation<S> {
  /** The state before the first update. */
  init(params: unknown): S
  /** The updates, and the next state. */
  update<P>(gradients: P, state: S, params: P): readonly [P, S]
}

/** Transformations one after the other; the state is the tuple of theirs. */
export function chain<S extends readonly unknown[]>(
  ...transforms: { readonly [K in keyof S]: GradientTransformation<S[K]> }
): GradientTransformation<S> {
  return {
    init: (params) => transforms.map((transform) => transform.init(params)) as unknown as S,
    update<P>(gradients: P, state: S, params: P) {
      let updates = gradients
      const next = transforms.map((transform, k) => {
        const [changed, inner] = transform.update(updates, state[k], params)
        updates = changed
        return inner
      })
      return [updates, next as unknown as S]
    },
  }
}

/** The parameters, moved by the updates. */
export const applyUpdates = <P>(params: P, updates: P): P =>
  tree.map((param: Value, update: Value) => cast(add(param, update), param.dtype), params, updates) as P
