"""Golden values of jnp.linalg: results and gradients in double precision, and what float32 gives where there is no result.

Writes linalg.json. Inputs are multiples of 1/128, exact in both precisions. A gradient is that of the sum of all results, each
element times 0.5, 1, 1.5, 0.5, … in row-major order. Vectors whose sign is arbitrary are stored as absolute values.
"""

import jax
import jax.numpy as jnp
import numpy as np
from common import array, versions, write
from jax.scipy.linalg import solve_triangular

jax.config.update("jax_enable_x64", True)

F = np.float32
la = jnp.linalg
rng = np.random.default_rng(20)


def draw(*shape, low=-2.0, high=2.0):
    return np.round(rng.uniform(low, high, shape) * 128).astype(F) / F(128)


def regular(*shape):
    return draw(*shape) + F(4) * np.eye(shape[-1], dtype=F)


def definite(*shape):
    """Nearly symmetric, so that it shows that the symmetric part is taken."""
    x = draw(*shape).astype(np.float64)
    near = x @ np.swapaxes(x, -1, -2) + np.eye(shape[-1]) + 0.05 * draw(*shape)
    return (np.round(near * 128) / 128).astype(F)


def rounded(x):
    x = np.asarray(x)
    return x.astype(F if np.issubdtype(x.dtype, np.floating) else np.int32)


def case(f, *inputs, grad=True):
    """Results and, of the weighted sum, gradients: in double precision, then rounded."""
    xs = [x.astype(np.float64) for x in inputs]
    results = lambda *xs: jax.tree.leaves(f(*xs))

    def loss(*xs):
        flat = [jnp.ravel(y) for y in results(*xs)]
        return sum(jnp.sum(y * ((1 + jnp.arange(y.size) % 3) / 2)) for y in flat)

    case = {"in": [array(x) for x in inputs], "out": [array(rounded(y)) for y in jax.jit(results)(*xs)]}
    if grad:
        slopes = jax.jit(jax.grad(loss, argnums=tuple(range(len(xs)))))(*xs)
        case["grad"] = [array(rounded(g)) for g in slopes]
    return case


def corner(f, *inputs):
    xs = [np.array(x, F) for x in inputs]
    return {
        "in": [array(x) for x in xs],
        "out": [array(rounded(y)) for y in jax.jit(lambda *xs: jax.tree.leaves(f(*xs)))(*xs)],
    }


def svd(a):
    u, s, vt = la.svd(a, full_matrices=False)
    return jnp.abs(u), s, jnp.abs(vt)


def eigh(a):
    w, v = la.eigh(a)
    return w, jnp.abs(v)


def triangular(lower, transpose, unit):
    return lambda a, b: solve_triangular(a, b, trans=int(transpose), lower=lower, unit_diagonal=unit)


def cases():
    singular = np.array([[1, 2, 0, 0], [0, 2, 0, 0], [0, 0, 3, 1.5], [0, 0, 0, 0]], F)
    deficient = np.array([[1, 2], [2, 4], [0.5, 1]], F)
    return {
        "solve": case(la.solve, regular(4, 4), draw(4, 2)),
        "solve a vector": case(la.solve, regular(4, 4), draw(4)),
        "solve a batch": case(la.solve, regular(2, 3, 3), draw(2, 3, 2)),
        "solve batches that broadcast": case(la.solve, regular(2, 1, 3, 3), draw(3, 3, 2)),
        "triangularSolve": case(triangular(False, False, False), regular(3, 3), draw(3, 2)),
        "triangularSolve lower": case(triangular(True, False, False), regular(3, 3), draw(3, 2)),
        "triangularSolve transpose": case(triangular(False, True, False), regular(3, 3), draw(3)),
        "triangularSolve lower transpose": case(triangular(True, True, False), regular(3, 3), draw(3, 1)),
        "triangularSolve lower unitDiagonal": case(triangular(True, False, True), draw(3, 3), draw(3, 2)),
        "inv": case(la.inv, regular(4, 4)),
        "inv of a batch": case(la.inv, regular(2, 2, 3, 3)),
        "det 2 × 2": case(la.det, draw(2, 2, 2)),
        "det 3 × 3": case(la.det, draw(3, 3)),
        "det 5 × 5": case(la.det, draw(2, 5, 5)),
        "det of a singular matrix": case(la.det, singular),
        "slogdet": case(la.slogdet, draw(3, 4, 4)),
        "cholesky": case(la.cholesky, definite(4, 4)),
        "cholesky of a batch": case(la.cholesky, definite(2, 3, 3)),
        "qr": case(la.qr, draw(3, 3)),
        "qr of a tall batch": case(la.qr, draw(2, 5, 3)),
        "qr of a wide matrix": case(la.qr, draw(2, 4)),
        "svd": case(svd, draw(3, 3)),
        "svd of a tall batch": case(svd, draw(2, 4, 3)),
        "svd of a wide matrix": case(svd, draw(2, 4)),
        "svd, computeUv false": case(lambda a: la.svd(a, compute_uv=False), draw(4, 3)),
        "eigh": case(eigh, draw(4, 4)),
        "eigh of a batch": case(eigh, draw(2, 3, 3)),
        "pinv": case(la.pinv, draw(4, 3)),
        "pinv of a wide batch": case(la.pinv, draw(2, 2, 3)),
        "pinv of rank 1": case(la.pinv, deficient, grad=False),
        "lstsq": case(lambda a, b: la.lstsq(a, b)[:2], draw(4, 2), draw(4, 3)),
        "lstsq of a vector": case(lambda a, b: la.lstsq(a, b)[0], draw(4, 2), draw(4)),
        "lstsq of a wide matrix": case(lambda a, b: la.lstsq(a, b)[0], draw(2, 4), draw(2, 1)),
        "lstsq of rank 1": case(la.lstsq, deficient, draw(3, 2), grad=False),
        "matrixRank": case(la.matrix_rank, np.stack([draw(3, 2), deficient, 0 * deficient]), grad=False),
    }


def corners():
    nan, inf = np.nan, np.inf
    singular, zero, odd = [[1, 2], [2, 4]], [[0, 0], [0, 0]], [[1, nan], [2, 3]]
    lower = triangular(True, False, False)
    return {
        "solve": [corner(la.solve, a, b) for a in (singular, zero, odd) for b in ([1, 2], [1, 1], [0, 0])],
        "triangularSolve lower": [corner(lower, [[1, 0], [1, 0]], b) for b in ([1, 2], [1, 1], [0, 0])],
        "inv": [corner(la.inv, a) for a in (singular, zero, odd, [[1, 0], [0, 0]])],
        "det": [corner(la.det, a) for a in (singular, zero, odd, np.zeros((4, 4)), np.full((4, 4), nan))],
        "slogdet": [corner(la.slogdet, a) for a in (singular, zero, odd, [[0, 1], [1, 0]], np.zeros((0, 0)))],
        "cholesky": [
            corner(la.cholesky, a) for a in ([[1, 2], [2, 1]], singular, zero, [[1, nan], [nan, 4]], [[-1]])
        ],
        "qr": [corner(la.qr, a) for a in (zero, odd, [[-1, 2], [0, -3]], [[2, 1], [0, 3]], [[0], [2]])],
        "svd": [corner(svd, a) for a in (odd, [[1, inf], [2, 3]], [[nan, 1, 2]])],
        "eigh": [corner(eigh, a) for a in (odd, [[1, inf], [2, 3]], [[-3]])],
        "pinv": [corner(la.pinv, a) for a in (np.zeros((2, 3)), odd)],
        "matrixRank": [corner(la.matrix_rank, a) for a in (zero, odd, singular)],
    }


def main():
    write(
        "linalg.json",
        {
            "about": "jnp.linalg: values and gradients from float64, corners from float32, CPU",
            "versions": versions("jax", "jaxlib", "numpy"),
            "cases": cases(),
            "corners": corners(),
        },
    )


if __name__ == "__main__":
    main()
