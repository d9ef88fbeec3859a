// Linear systems, what they need one for, and determinants.

import { mul, neg, sub } from '../ops/arithmetic.ts'
import { matmul } from '../ops/contract.ts'
import { add, cast } from '../ops/elementwise.ts'
import { batchFirst, broadcastTo, expandDims, moveaxis, reshape, slice, squeeze } from '../ops/movement.ts'
import type { Batched, MaybeZero, Primitive } from '../primitive.ts'
import { broadcastShapes, sizeOf } from '../shape.ts'
import { bind, toArray } from '../trace.ts'
import { type ArrayLike, ones, type Value } from '../value.ts'
import { cofactors, determinant, signAndLog, solveSquare, solveTriangle, type Triangle } from './host.ts'
import { columnsFor, lowerPart, onDiagonal, onHost, squares, total, trace, transposed } from './record.ts'

/** The tangents of `b - a x`, for the solution `x` of `a x = b`: what is solved for the tangent of `x`. */
function residual(ta: MaybeZero, tb: MaybeZero, x: Value): Value {
  const moved = ta && matmul(ta, x)
  return moved && tb ? sub(tb, moved) : (tb ?? neg(moved!))
}

/** Examples that share `a` are more columns of `b`. */
const batchSolve =
  <P>(primitive: () => Primitive<P>) =>
  ([a, b]: readonly Batched[], params: P, size: number): Batched[] => {
    const solution = (a: Value, b: Value): Value => bind(primitive(), [a, b], params)[0]!
    if (a!.axis !== null || b!.axis === null)
      return [{ value: solution(batchFirst(a!, size), batchFirst(b!, size)), axis: 0 }]
    const last = moveaxis(b!.value, b!.axis, -1)
    const x = solution(a!.value, reshape(last, [...last.shape.slice(0, -2), last.shape.at(-2)! * size]))
    return [{ value: reshape(x, last.shape), axis: last.rank - 1 }]
  }

interface SolveParams {
  readonly transpose: boolean
}

const solvePrimitive: Primitive<SolveParams> = onHost<SolveParams>({
  name: 'solve',
  shapes: ([_, b]) => [b!],
  compute: ([a, b], { transpose }) => [solveSquare(a!, b!, transpose).data],
  jvp: ([ta, tb], [a], [x], params) => [
    bind(solvePrimitive, [a!, residual(ta && params.transpose ? transposed(ta) : ta!, tb!, x!)], params)[0]!,
  ],
  transpose: ([ct], [a], { transpose }) => [
    null,
    ct ? bind(solvePrimitive, [a as Value, ct], { transpose: !transpose })[0]! : null,
  ],
  batch: batchSolve(() => solvePrimitive),
})

const trianglePrimitive: Primitive<Triangle> = onHost<Triangle>({
  name: 'triangular_solve',
  shapes: ([_, b]) => [b!],
  compute: ([a, b], params) => [solveTriangle(a!, b!, params).data],
  jvp: ([ta, tb], [a], [x], params) => {
    const { lower, transpose, unitDiagonal } = params
    const diagonal = (x: Value): Value | number => (unitDiagonal ? 0 : x)
    const triangle = ta && (lower ? lowerPart(ta, diagonal) : transposed(lowerPart(transposed(ta), diagonal)))
    const rhs = residual(triangle && transpose ? transposed(triangle) : triangle!, tb!, x!)
    return [bind(trianglePrimitive, [a!, rhs], params)[0]!]
  },
  transpose: ([ct], [a], params) => [
    null,
    ct ? bind(trianglePrimitive, [a as Value, ct], { ...params, transpose: !params.transpose })[0]! : null,
  ],
  batch: batchSolve(() => trianglePrimitive),
})

/** Applies a solver to matrices and right-hand sides whose leading axes broadcast; a vector is a single column. */
function solveWith<P>(op: string, primitive: Primitive<P>, a: ArrayLike, b: ArrayLike, params: P): Value {
  const left = squares(op, a)
  const right = columnsFor(op, left, b)
  const solution = (a: Value, b: Value): Value => bind(primitive, [a, b], params)[0]!
  if (toArray(b).rank === 1) return squeeze(solveWith(op, primitive, left, right, params), -1)
  if (left.rank === 2 && right.rank > 2) {
    // One matrix for all: more columns of one system.
    const rowsFirst = moveaxis(right, -2, 0)
    const [rows] = rowsFirst.shape
    const x = solution(left, reshape(rowsFirst, [rows!, sizeOf(rowsFirst.shape.slice(1))]))
    return moveaxis(reshape(x, rowsFirst.shape), 0, -2)
  }
  const leading = broadcastShapes(op, left.shape.slice(0, -2), right.shape.slice(0, -2))
  const spread = (x: Value): Value => broadcastTo(x, [...leading, ...x.shape.slice(-2)])
  return solution(spread(left), spread(right))
}

/**
 * `x` of `a x = b`: `a` is `[..., n, n]`, `b` is `[n]` or `[..., n, k]`, leading axes broadcast. By elimination with pivots, on
 * the host in double precision; the program waits for it. A singular `a` gives infinities or NaN.
 *
 * @example
 * ```ts
 * import { linalg, tensor } from 'cotangent'
 * await linalg.solve(tensor([[2, 1], [1, 3]]), tensor([4, 7])).data() // [1, 2]
 * ```
 */
export const solve = (a: ArrayLike, b: ArrayLike): Value =>
  solveWith('linalg.solve', solvePrimitive, a, b, { transpose: false })

export interface TriangularSolveOptions {
  /** The triangle of `a` that is read; the upper one by default. */
  readonly lower?: boolean
  /** Solve with `aᵀ`. */
  readonly transpose?: boolean
  /** Take the diagonal for ones, without reading it. */
  readonly unitDiagonal?: boolean
}

/**
 * `x` of `a x = b` for a triangular `a`, whose other triangle is not read. Shapes are those of `solve`. On the host in double
 * precision; the program waits for it. A zero on the diagonal gives infinities or NaN.
 *
 * @example
 * ```ts
 * import { linalg, tensor } from 'cotangent'
 * await linalg.triangularSolve(tensor([[2, 0], [1, 4]]), tensor([4, 10]), { lower: true }).data() // [2, 2]
 * ```
 */
export const triangularSolve = (
  a: ArrayLike,
  b: ArrayLike,
  { lower = false, transpose = false, unitDiagonal = false }: TriangularSolveOptions = {},
): Value => solveWith('linalg.triangularSolve', trianglePrimitive, a, b, { lower, transpose, unitDiagonal })

/**
 * The inverses of `[..., n, n]`, on the host in double precision; the program waits for it. To multiply by one, `solve` is
 * more accurate. A singular matrix gives infinities or NaN.
 *
 * @example
 * ```ts
 * import { linalg, tensor } from 'cotangent'
 * await linalg.inv(tensor([[2, 1], [1, 1]])).data() // [1, -1, -1, 2]
 * ```
 */
export function inv(a: ArrayLike): Value {
  const value = squares('linalg.inv', a)
  return solveWith('linalg.inv', solvePrimitive, value, cast(onDiagonal(value), 'f32'), { transpose: false })
}

const cofactorPrimitive: Primitive<object> = onHost<object>({
  name: 'cofactor',
  shapes: ([a]) => [a!],
  compute: ([a]) => [cofactors(a!).data],
  jvp: ([t], [a], [c]) => {
    const growth = trace(solve(a!, t!))
    const turned = bind(solvePrimitive, [a!, matmul(transposed(t!), c!)], { transpose: true })[0]!
    return [sub(mul(c!, expandDims(expandDims(growth, -1), -1)), turned)]
  },
})

const determinantPrimitive: Primitive<object> = onHost<object>({
  name: 'determinant',
  shapes: () => [[]],
  compute: ([a]) => [Float64Array.of(determinant(a!))],
  jvp: ([t], [a]) => [total(mul(bind(cofactorPrimitive, [a!], {})[0]!, t!))],
})

/**
 * The determinants of `[..., n, n]`. Up to 3 × 3 by the formula, on the device; larger ones on the host in double precision, and
 * the program waits for it. The gradient at a singular matrix is right; second derivatives there are only up to 3 × 3.
 *
 * @example
 * ```ts
 * import { linalg, tensor } from 'cotangent'
 * await linalg.det(tensor([[2, 1], [1, 3]])).item() // 5
 * ```
 */
export function det(a: ArrayLike): Value {
  const value = squares('linalg.det', a)
  const n = value.shape.at(-1)!
  if (n > 3) return bind(determinantPrimitive, [value], {})[0]!
  const leading = value.shape.slice(0, -2)
  const at = (row: number, column: number): Value => {
    const start = [...leading.map(() => 0), row, column]
    return reshape(slice(value, { start, end: [...leading, row + 1, column + 1] }), leading)
  }
  const minor = (rows: readonly [number, number], [j, k]: readonly [number, number]): Value =>
    sub(mul(at(rows[0], j), at(rows[1], k)), mul(at(rows[0], k), at(rows[1], j)))
  if (n === 0) return ones(leading)
  if (n === 1) return at(0, 0)
  if (n === 2) return minor([0, 1], [0, 1])
  const term = (j: number, others: readonly [number, number]): Value => mul(at(0, j), minor([1, 2], others))
  return add(sub(term(0, [1, 2]), term(1, [0, 2])), term(2, [0, 1]))
}

const slogdetPrimitive: Primitive<object> = onHost<object>({
  name: 'slogdet',
  shapes: () => [[], []],
  compute: ([a]) => signAndLog(a!).map((x) => Float64Array.of(x)),
  jvp: ([t], [a]) => [null, trace(solve(a!, t!))],
})

/**
 * The sign of the determinant and the logarithm of its absolute value, of `[..., n, n]`; 0 and -Infinity for a singular matrix.
 * On the host in double precision; the program waits for it.
 *
 * @example
 * ```ts
 * import { linalg, tensor } from 'cotangent'
 * const [sign, log] = linalg.slogdet(tensor([[0, 1], [1, 0]]))
 * await sign.item() // -1
 * await log.item() // 0
 * ```
 */
export function slogdet(a: ArrayLike): [sign: Value, logAbsDet: Value] {
  const [sign, log] = bind(slogdetPrimitive, [squares('linalg.slogdet', a)], {})
  return [sign!, log!]
}
