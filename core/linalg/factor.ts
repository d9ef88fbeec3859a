// Factorizations, and what singular values give.

import { div, greater, mul, sub, where } from '../ops/arithmetic.ts'
import { matmul } from '../ops/contract.ts'
import { add } from '../ops/elementwise.ts'
import { expandDims, slice, squeeze, sum } from '../ops/movement.ts'
import { square } from '../ops/power.ts'
import type { Primitive } from '../primitive.ts'
import { bind, toArray } from '../trace.ts'
import type { ArrayLike, Value } from '../value.ts'
import { factorCholesky, factorEigh, factorQr, factorSvd, pseudoInverse } from './host.ts'
import {
  columnsFor,
  diagonalOf,
  lowerPart,
  matrices,
  onDiagonal,
  onHost,
  squares,
  transposed,
} from './record.ts'
import { triangularSolve } from './solve.ts'

const symmetric = (x: Value): Value => mul(add(x, transposed(x)), 0.5)

/** `1 / x` outside of the diagonal, and 0 on it. */
const inverseGaps = (x: Value): Value => where(onDiagonal(x), 0, div(1, where(onDiagonal(x), 1, x)))

const asColumn = (x: Value): Value => expandDims(x, -1)
const asRow = (x: Value): Value => expandDims(x, -2)

const choleskyPrimitive: Primitive<object> = onHost<object>({
  name: 'cholesky',
  shapes: ([a]) => [a!],
  compute: ([a]) => [factorCholesky(a!).data],
  jvp: ([t], _, [l]) => {
    const undone = (x: Value): Value => triangularSolve(l!, x, { lower: true })
    const inner = undone(transposed(undone(transposed(t!))))
    return [
      matmul(
        l!,
        lowerPart(inner, (x) => mul(x, 0.5)),
      ),
    ]
  },
})

/**
 * The lower triangular `l` of `l lᵀ = a` for `[..., n, n]`, of which the symmetric part is taken. NaN if it is not positive
 * definite. On the host in double precision; the program waits for it.
 *
 * @example
 * ```ts
 * import { linalg, tensor } from 'cotangent'
 * await linalg.cholesky(tensor([[4, 2], [2, 5]])).data() // [2, 0, 1, 2]
 * ```
 */
export const cholesky = (a: ArrayLike): Value =>
  bind(choleskyPrimitive, [symmetric(squares('linalg.cholesky', a))], {})[0]!

/** The first `count` columns. */
const firstColumns = (x: Value, count: number): Value =>
  slice(x, { start: x.shape.map(() => 0), end: [...x.shape.slice(0, -1), count] })

const qrPrimitive: Primitive<object> = onHost<object>({
  name: 'qr',
  shapes: ([a]) => {
    const [m, n] = a!
    const count = Math.min(m, n)
    return [
      [m, count],
      [count, n],
    ]
  },
  compute: ([a]) => factorQr(a!).map(({ data }) => data),
  // With the square part R of r, q = a R⁻¹ there; qᵀ dq is skew and what is below the diagonal of it is that of qᵀ da R⁻¹.
  jvp: ([t], _, [q, r]) => {
    const count = q!.shape.at(-1)!
    const columns = firstColumns(t!, count)
    const moved = transposed(
      triangularSolve(firstColumns(r!, count), transposed(columns), { transpose: true }),
    )
    const inside = matmul(transposed(q!), moved)
    const below = lowerPart(inside, () => 0)
    const turn = sub(below, transposed(below))
    return [add(matmul(q!, sub(turn, inside)), moved), sub(matmul(transposed(q!), t!), matmul(turn, r!))]
  },
})

/**
 * `[q, r]` with `q r = a`, for `[..., m, n]`: the columns of `q`, `[..., m, min(m, n)]`, are orthonormal, and `r` is upper triangular,
 * with the signs of LAPACK. On the host in double precision; the program waits for it.
 *
 * @example
 * ```ts
 * import { linalg, tensor } from 'cotangent'
 * const [q, r] = linalg.qr(tensor([[3, 5], [4, 0]]))
 * await r.data() // [-5, -3, 0, -4]
 * ```
 */
export function qr(a: ArrayLike): [q: Value, r: Value] {
  const [q, r] = bind(qrPrimitive, [matrices('linalg.qr', a)], {})
  return [q!, r!]
}

const svdPrimitive: Primitive<object> = onHost<object>({
  name: 'svd',
  shapes: ([a]) => {
    const [m, n] = a!
    const count = Math.min(m, n)
    return [[m, count], [count], [count, n]]
  },
  compute: ([a]) => {
    const [u, s, vt] = factorSvd(a!)
    return [u.data, s, vt.data]
  },
  jvp: ([t], [a], [u, s, vt]) => {
    const [m, n] = a!.shape.slice(-2) as [number, number]
    const [ut, v] = [transposed(u!), transposed(vt!)]
    const inside = matmul(matmul(ut, t!), v)
    const gaps = inverseGaps(mul(add(asRow(s!), asColumn(s!)), sub(asRow(s!), asColumn(s!))))
    const both = (x: Value): Value => mul(gaps, add(x, transposed(x)))
    const du = matmul(u!, both(mul(inside, asRow(s!))))
    const dv = matmul(v, both(mul(inside, asColumn(s!))))
    /** What a singular vector gains outside of the space of all of them. */
    const outside = (moved: Value, space: Value): Value =>
      div(sub(moved, matmul(space, matmul(transposed(space), moved))), asRow(s!))
    return [
      m > n ? add(du, outside(matmul(t!, v), u!)) : du,
      diagonalOf(inside),
      transposed(n > m ? add(dv, outside(matmul(transposed(t!), u!), v)) : dv),
    ]
  },
})

/** Singular vectors as the columns of `u` and the rows of `vt`, and singular values. */
type Svd = [u: Value, s: Value, vt: Value]

/**
 * `[u, s, vt]` with `u diag(s) vt = a` for `[..., m, n]`, as many singular values as the smaller extent (`full_matrices=False` of
 * JAX), the largest first; signs of vectors are arbitrary. With `computeUv: false`, only `s`. On the host in double precision;
 * the program waits for it. Elements that are not finite give NaN; derivatives of the vectors are infinite or NaN where singular
 * values are equal.
 *
 * @example
 * ```ts
 * import { linalg, tensor } from 'cotangent'
 * const s = linalg.svd(tensor([[0, 2], [-3, 0], [0, 0]]), { computeUv: false })
 * await s.data() // [3, 2]
 * ```
 */
export function svd(a: ArrayLike, options?: { readonly computeUv?: true }): Svd
export function svd(a: ArrayLike, options: { readonly computeUv: false }): Value
export function svd(a: ArrayLike, options: { readonly computeUv?: boolean } = {}): Svd | Value {
  const [u, s, vt] = bind(svdPrimitive, [matrices('linalg.svd', a)], {})
  return options.computeUv === false ? s! : [u!, s!, vt!]
}

const eighPrimitive: Primitive<object> = onHost<object>({
  name: 'eigh',
  shapes: ([a]) => [[a![0]], a!],
  compute: ([a]) => {
    const [w, v] = factorEigh(a!)
    return [w, v.data]
  },
  jvp: ([t], _, [w, v]) => {
    const inside = matmul(matmul(transposed(v!), t!), v!)
    const gaps = inverseGaps(sub(asRow(w!), asColumn(w!)))
    return [diagonalOf(inside), matmul(v!, mul(gaps, inside))]
  },
})

/**
 * `[w, v]`, the eigenvalues of the symmetric part of `[..., n, n]`, the smallest first, and the eigenvectors as the columns of `v`,
 * whose signs are arbitrary. On the host in double precision; the program waits for it. Elements that are not finite give NaN;
 * derivatives of the vectors are infinite or NaN where eigenvalues are equal.
 *
 * @example
 * ```ts
 * import { linalg, tensor } from 'cotangent'
 * const [w, v] = linalg.eigh(tensor([[2, 1], [1, 2]]))
 * await w.data() // [1, 3]
 * ```
 */
export function eigh(a: ArrayLike): [w: Value, v: Value] {
  const [w, v] = bind(eighPrimitive, [symmetric(squares('linalg.eigh', a))], {})
  return [w!, v!]
}

interface PinvParams {
  readonly rtol: number
}

const pinvPrimitive: Primitive<PinvParams> = onHost<PinvParams>({
  name: 'pinv',
  shapes: ([a]) => [[a![1], a![0]]],
  compute: ([a], { rtol }) => [pseudoInverse(a!, rtol).data],
  // Golub and Pereyra, The differentiation of pseudo-inverses, 1973.
  jvp: ([t], [a], [p]) => {
    const [tt, pt] = [transposed(t!), transposed(p!)]
    const left = matmul(matmul(p!, pt), tt)
    const right = matmul(tt, matmul(pt, p!))
    const inside = matmul(matmul(p!, t!), p!)
    const outside = add(sub(left, matmul(left, matmul(a!, p!))), sub(right, matmul(matmul(p!, a!), right)))
    return [sub(outside, inside)]
  },
})

/** The distance of 1 and the next f32. */
const epsilon = 2 ** -23

const largerExtent = ({ shape }: Value): number => Math.max(...shape.slice(-2))

export interface ToleranceOptions {
  /** Singular values not above this share of the largest count as zero. */
  readonly rtol?: number
}

/**
 * The pseudo-inverses `[..., n, m]` of `[..., m, n]`; `rtol` is 10 max(m, n) ε by default. On the host in double precision; the program
 * waits for it.
 *
 * @example
 * ```ts
 * import { linalg, tensor } from 'cotangent'
 * await linalg.pinv(tensor([[2, 0], [0, 0], [0, 4]])).data() // [0.5, 0, 0, 0, 0, 0.25]
 * ```
 */
export function pinv(a: ArrayLike, options: ToleranceOptions = {}): Value {
  const value = matrices('linalg.pinv', a)
  const { rtol = 10 * largerExtent(value) * epsilon } = options
  return bind(pinvPrimitive, [value], { rtol })[0]!
}

/** How many singular values are above `rtol` times the largest. */
function countAbove(s: Value, rtol: number): Value {
  const largest = slice(s, {
    start: s.shape.map(() => 0),
    end: [...s.shape.slice(0, -1), Math.min(1, s.shape.at(-1)!)],
  })
  return sum(greater(s, mul(largest, rtol)), { axis: -1 })
}

/**
 * How many singular values of each matrix of `[..., m, n]` do not count as zero, as i32; `rtol` is max(m, n) ε by default. On the host in
 * double precision; the program waits for it.
 *
 * @example
 * ```ts
 * import { linalg, tensor } from 'cotangent'
 * await linalg.matrixRank(tensor([[1, 2], [2, 4]])).item() // 1
 * ```
 */
export function matrixRank(a: ArrayLike, options: ToleranceOptions = {}): Value {
  const value = matrices('linalg.matrixRank', a)
  const { rtol = largerExtent(value) * epsilon } = options
  return countAbove(svd(value, { computeUv: false }), rtol)
}

/**
 * The least squares solution `x` of `a x = b`, the shortest one if there are several: `a` is `[m, n]`, `b` is `[m]` or `[m, k]`. Gives
 * `[x, residuals, rank, s]` as JAX: the sums of squares of `b - a x` for each column, the rank, and the singular values, of which those
 * below `rcond` (max(m, n) ε by default) times the largest are zero. On the host in double precision; the program waits for it.
 *
 * @example
 * ```ts
 * import { linalg, tensor } from 'cotangent'
 * const [x] = linalg.lstsq(tensor([[1, 0], [1, 1], [1, 2]]), tensor([1, 3, 5]))
 * await x.data() // [1, 2]
 * ```
 */
export function lstsq(
  a: ArrayLike,
  b: ArrayLike,
  options: { readonly rcond?: number } = {},
): [x: Value, residuals: Value, rank: Value, s: Value] {
  const left = matrices('linalg.lstsq', a)
  const right = columnsFor('linalg.lstsq', left, b)
  const { rcond = largerExtent(left) * epsilon } = options
  const x = matmul(pinv(left, { rtol: rcond }), right)
  const residuals = sum(square(sub(right, matmul(left, x))), { axis: -2 })
  const s = svd(left, { computeUv: false })
  const single = (y: Value): Value => (toArray(b).rank === 1 ? squeeze(y, -1) : y)
  return [single(x), single(residuals), countAbove(s, rcond), s]
}
