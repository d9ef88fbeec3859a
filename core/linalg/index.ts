// Dense linear algebra, by the names of `jax.numpy.linalg`.

export { cholesky, eigh, lstsq, matrixRank, pinv, qr, svd, type ToleranceOptions } from './factor.ts'
export { det, inv, slogdet, solve, type TriangularSolveOptions, triangularSolve } from './solve.ts'
