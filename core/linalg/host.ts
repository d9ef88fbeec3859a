// Matrices on the host in double precision, row after row: what the operations of `linalg` mean. Singular values and
// eigenvalues come from ml-matrix; the others keep LAPACK's signs, and its infinities and NaN where there is no result.

import { EigenvalueDecomposition, Matrix, SingularValueDecomposition } from 'ml-matrix'

export interface HostMatrix {
  readonly rows: number
  readonly columns: number
  readonly data: Float64Array
}

export interface Triangle {
  readonly lower: boolean
  readonly transpose: boolean
  readonly unitDiagonal: boolean
}

const matrix = (rows: number, columns: number, data = new Float64Array(rows * columns)): HostMatrix => ({
  rows,
  columns,
  data,
})

const transposed = ({ rows, columns, data }: HostMatrix): HostMatrix =>
  matrix(
    columns,
    rows,
    data.map((_, i) => data[(i % rows) * columns + Math.floor(i / rows)]!),
  )

/** The rows in another order. */
const permuted = ({ rows, columns, data }: HostMatrix, order: readonly number[]): HostMatrix => {
  const result = matrix(rows, columns)
  for (const [to, from] of order.entries())
    result.data.set(data.subarray(from * columns, (from + 1) * columns), to * columns)
  return result
}

const isAllFinite = ({ data }: HostMatrix): boolean => data.every(Number.isFinite)

/** `x` of `op(a) x = b`, where `a` is a triangle, of which the other one is not read, and `op` may transpose it. */
export function solveTriangle(a: HostMatrix, b: HostMatrix, { lower, transpose, unitDiagonal }: Triangle) {
  const { rows: n, columns } = b
  const x = b.data.slice()
  const at = (i: number, j: number): number => a.data[transpose ? j * n + i : i * n + j]!
  const isForward = lower !== transpose
  for (let turn = 0; turn < n; turn++) {
    const i = isForward ? turn : n - 1 - turn
    for (let j = isForward ? 0 : i + 1; j < (isForward ? i : n); j++) {
      const factor = at(i, j)
      for (let c = 0; c < columns; c++) x[i * columns + c]! -= factor * x[j * columns + c]!
    }
    if (unitDiagonal) continue
    for (let c = 0; c < columns; c++) x[i * columns + c]! /= at(i, i)
  }
  return matrix(n, columns, x)
}

/** `L U` with the diagonal of ones of `L` left out: row `k` of it is row `order[k]` of `a`. */
function factorLu({ rows: n, data }: HostMatrix) {
  const lu = data.slice()
  const order = Array.from({ length: n }, (_, k) => k)
  let sign = 1
  for (let k = 0; k < n; k++) {
    let pivot = k
    for (let i = k + 1; i < n; i++) if (Math.abs(lu[i * n + k]!) > Math.abs(lu[pivot * n + k]!)) pivot = i
    if (pivot !== k) {
      const row = lu.slice(k * n, (k + 1) * n)
      lu.copyWithin(k * n, pivot * n, (pivot + 1) * n)
      lu.set(row, pivot * n)
      ;[order[k], order[pivot]] = [order[pivot]!, order[k]!]
      sign = -sign
    }
    if (lu[k * n + k] === 0) continue
    for (let i = k + 1; i < n; i++) {
      lu[i * n + k]! /= lu[k * n + k]!
      const factor = lu[i * n + k]!
      for (let j = k + 1; j < n; j++) lu[i * n + j]! -= factor * lu[k * n + j]!
    }
  }
  const diagonal = Array.from({ length: n }, (_, k) => lu[k * n + k]!)
  return { lu: matrix(n, n, lu), order, sign, diagonal }
}

/** `x` of `a x = b`, or of `aᵀ x = b`. */
export function solveSquare(a: HostMatrix, b: HostMatrix, transpose: boolean): HostMatrix {
  const { lu, order } = factorLu(a)
  const left = { lower: true, transpose, unitDiagonal: true }
  const right = { lower: false, transpose, unitDiagonal: false }
  if (!transpose) return solveTriangle(lu, solveTriangle(lu, permuted(b, order), left), right)
  const inverse = order.map((_, k) => order.indexOf(k))
  return permuted(solveTriangle(lu, solveTriangle(lu, b, right), left), inverse)
}

export function determinant(a: HostMatrix): number {
  const { sign, diagonal } = factorLu(a)
  return diagonal.reduce((product, x) => product * x, sign)
}

/** The sign of the determinant, and the logarithm of its absolute value. */
export function signAndLog(a: HostMatrix): [number, number] {
  const { sign, diagonal } = factorLu(a)
  return [
    diagonal.reduce((product, x) => product * Math.sign(x), sign),
    diagonal.reduce((sum, x) => sum + Math.log(Math.abs(x)), 0),
  ]
}

/** The lower `l` of `l lᵀ = a`, from the lower triangle of `a`; NaN if `a` is not positive definite. */
export function factorCholesky({ rows: n, data: a }: HostMatrix): HostMatrix {
  const l = matrix(n, n)
  const dot = (i: number, j: number): number => {
    let sum = 0
    for (let k = 0; k < j; k++) sum += l.data[i * n + k]! * l.data[j * n + k]!
    return sum
  }
  for (let j = 0; j < n; j++) {
    const square = a[j * n + j]! - dot(j, j)
    if (square <= 0)
      return matrix(
        n,
        n,
        l.data.map((_, at) => (at % n <= Math.floor(at / n) ? Number.NaN : 0)),
      )
    const root = Math.sqrt(square)
    l.data[j * n + j] = root
    for (let i = j + 1; i < n; i++) l.data[i * n + j] = (a[i * n + j]! - dot(i, j)) / root
  }
  return l
}

/** `q` with orthonormal columns and an upper triangle `r`, of as many rows as the smaller extent of `a`: by reflections. */
export function factorQr({ rows: m, columns: n, data }: HostMatrix): [q: HostMatrix, r: HostMatrix] {
  const count = Math.min(m, n)
  const a = data.slice()
  const scales = new Float64Array(count)
  /** Reflects columns from `first` on of `x` by reflection `k`, whose vector is 1 and then column `k` of `a`. */
  const reflect = (x: Float64Array, columns: number, k: number, first: number): void => {
    for (let c = first; c < columns; c++) {
      let sum = x[k * columns + c]!
      for (let i = k + 1; i < m; i++) sum += a[i * n + k]! * x[i * columns + c]!
      sum *= scales[k]!
      x[k * columns + c]! -= sum
      for (let i = k + 1; i < m; i++) x[i * columns + c]! -= sum * a[i * n + k]!
    }
  }
  for (let k = 0; k < count; k++) {
    const head = a[k * n + k]!
    let below = 0
    for (let i = k + 1; i < m; i++) below = Math.hypot(below, a[i * n + k]!)
    if (below === 0) continue // nothing to reflect, so the sign of the head stays
    const length = Math.hypot(head, below)
    const beta = head < 0 ? length : -length
    scales[k] = (beta - head) / beta
    for (let i = k + 1; i < m; i++) a[i * n + k]! /= head - beta
    a[k * n + k] = beta
    reflect(a, n, k, k + 1)
  }
  const q = matrix(m, count)
  for (let k = count - 1; k >= 0; k--) {
    q.data[k * count + k] = 1
    reflect(q.data, count, k, k)
  }
  const r = matrix(count, n)
  for (let i = 0; i < count; i++) for (let j = i; j < n; j++) r.data[i * n + j] = a[i * n + j]!
  return [q, r]
}

const toLibrary = ({ rows, columns, data }: HostMatrix): Matrix => Matrix.from1DArray(rows, columns, data)
const ofLibrary = (x: Matrix): HostMatrix => matrix(x.rows, x.columns, Float64Array.from(x.to1DArray()))

/** `a = u diag(s) vᵀ`, as many singular values as the smaller extent, the largest first. NaN if an element is not finite. */
export function factorSvd(a: HostMatrix): [u: HostMatrix, s: Float64Array, vt: HostMatrix] {
  const { rows: m, columns: n } = a
  if (m < n) {
    const [u, s, vt] = factorSvd(transposed(a))
    return [transposed(vt), s, transposed(u)]
  }
  if (n === 0) return [matrix(m, 0), new Float64Array(0), matrix(0, 0)]
  if (!isAllFinite(a)) {
    const fill = (rows: number, columns: number) =>
      matrix(rows, columns, new Float64Array(rows * columns).fill(Number.NaN))
    return [fill(m, n), fill(n, 1).data, fill(n, n)]
  }
  const svd = new SingularValueDecomposition(toLibrary(a))
  return [
    ofLibrary(svd.leftSingularVectors),
    Float64Array.from(svd.diagonal),
    transposed(ofLibrary(svd.rightSingularVectors)),
  ]
}

/** Eigenvalues of a symmetric matrix, the smallest first, and its eigenvectors as columns. NaN if an element is not finite. */
export function factorEigh(a: HostMatrix): [w: Float64Array, v: HostMatrix] {
  const { rows: n, data } = a
  if (n === 0) return [data, a]
  if (!isAllFinite(a))
    return [
      new Float64Array(n).fill(Number.NaN),
      matrix(
        n,
        n,
        data.map(() => Number.NaN),
      ),
    ]
  const found = new EigenvalueDecomposition(toLibrary(a), { assumeSymmetric: true })
  return [Float64Array.from(found.realEigenvalues), ofLibrary(found.eigenvectorMatrix)]
}

/** `Σ scale(k) u_k v_kᵀ` over the singular vectors, which is a matrix of the shape of theirs. */
function recombined(u: HostMatrix, vt: HostMatrix, scales: ArrayLike<number>): HostMatrix {
  const result = matrix(u.rows, vt.columns)
  for (let i = 0; i < u.rows; i++)
    for (let k = 0; k < scales.length; k++) {
      const factor = u.data[i * u.columns + k]! * scales[k]!
      for (let j = 0; j < vt.columns; j++)
        result.data[i * vt.columns + j]! += factor * vt.data[k * vt.columns + j]!
    }
  return result
}

/** The derivative of the determinant in each element: right for a singular matrix too. */
export function cofactors(a: HostMatrix): HostMatrix {
  const [u, s, vt] = factorSvd(a)
  const sign = Math.sign(determinant(u) * determinant(vt))
  const others = s.map((_, k) => s.reduce((product, x, j) => (j === k ? product : product * x), sign))
  return recombined(u, vt, others)
}

/** The pseudo-inverse, for which singular values not above `rtol` times the largest are zero. */
export function pseudoInverse(a: HostMatrix, rtol: number): HostMatrix {
  const [u, s, vt] = factorSvd(a)
  const inverses = s.map((x) => (x <= rtol * s[0]! ? 0 : 1 / x))
  return transposed(recombined(u, vt, inverses))
}
