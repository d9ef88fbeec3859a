// The algebra of weights. A weight is a linear map: a matrix, or an `Implicit` that knows how to apply itself and what its
// matrix is. Models call `linear` and nothing else, so an adapter is a weight made of others, and merging it is `dense`.

import { add, cast, contract, equal, iota, type Shape, transpose, type Value } from '../core/index.ts'

/** A linear map from `[..., in]` to `[..., out]`: an `[out, in]` matrix, or something that acts like one. */
export type Weight = Value | Implicit

/** A linear map that is not stored as its matrix. */
export class Implicit {
  /** `[out, in]` */
  readonly shape: Shape
  /** `[..., in]` to `[..., out]` */
  readonly apply: (x: Value) => Value
  /** The `[out, in]` matrix. */
  readonly dense: () => Value

  constructor(shape: Shape, apply: (x: Value) => Value, dense: () => Value) {
    this.shape = shape
    this.apply = apply
    this.dense = dense
  }
}

/**
 * `x Wᵀ`: the linear map `w` of the last axis of `x`.
 *
 * @example
 * ```ts
 * import { tensor } from 'cotangent'
 * import { linear } from 'cotangent/nn'
 * await linear(tensor([[1, 2]]), tensor([[3, 4], [5, 6]])).data() // [11, 17]
 * ```
 */
export function linear(x: Value, w: Weight): Value {
  if (x.shape.at(-1) !== w.shape[1] || w.shape.length !== 2)
    throw new TypeError(
      `linear: the last axis of ${x} does not fit a weight of shape [${w.shape}]; it must be its second extent`,
    )
  if (w instanceof Implicit) return w.apply(x)
  const rows = 'abcdefgh'.slice(0, x.rank - 1)
  return contract(`${rows}i,oi->${rows}o`, x, w)
}

/** The matrix of a weight. */
export const dense = (w: Weight): Value => (w instanceof Implicit ? w.dense() : w)

/** `W₁ + W₂ + …` */
export function sumOf(first: Weight, ...rest: readonly Weight[]): Implicit {
  for (const { shape } of rest)
    if (String(shape) !== String(first.shape))
      throw new TypeError(
        `sumOf: weights of shape [${first.shape}] and [${shape}] do not add; they must agree`,
      )
  return new Implicit(
    first.shape,
    (x) => rest.reduce<Value>((sum, w) => add(sum, linear(x, w)), linear(x, first)),
    () => rest.reduce<Value>((sum, w) => add(sum, dense(w)), dense(first)),
  )
}

/** Maps one after the other: `compose(a, b)` is the matrix `B A`. */
export function compose(first: Weight, ...rest: readonly Weight[]): Implicit {
  const inner = [first, ...rest]
  for (const [k, { shape }] of rest.entries())
    if (shape[1] !== inner[k]!.shape[0])
      throw new TypeError(
        `compose: a weight of shape [${shape}] cannot follow one of shape [${inner[k]!.shape}]; its second extent must be ${inner[k]!.shape[0]}`,
      )
  return new Implicit(
    [inner.at(-1)!.shape[0]!, first.shape[1]!],
    (x) => rest.reduce<Value>((y, w) => linear(y, w), linear(x, first)),
    // linear() maps rows, so the columns of the matrix so far go through as rows of its transpose.
    () => transpose(rest.reduce<Value>((m, w) => linear(m, w), transpose(dense(first)))),
  )
}

/** The square matrix with `d` on its diagonal. */
export function diagonal(d: Value): Implicit {
  if (d.rank !== 1) throw new TypeError(`diagonal: ${d} is no vector; give the entries of the diagonal`)
  const [n] = d.shape as [number]
  return new Implicit(
    [n, n],
    (x) => x.mul(d),
    () => cast(equal(iota([n, n], { axis: 0 }), iota([n, n], { axis: 1 })), 'f32').mul(d),
  )
}

/** `s W` for a number or scalar `s`. */
export function scaled(s: number | Value, w: Weight): Implicit {
  if (typeof s !== 'number' && s.rank !== 0)
    throw new TypeError(`scaled: ${s} is no scalar; to scale each place, compose with a diagonal`)
  return new Implicit(
    w.shape,
    (x) => linear(x, w).mul(s),
    () => dense(w).mul(s),
  )
}
