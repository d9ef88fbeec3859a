"""NumPy's functions in JAX -> numpy.json: folds, sorting, creation, shapes, products, statistics.

A row is a call: the operation, its arrays ("in"), its arguments ("args", where {"in": k} stands for the k-th array), the
results ("out"), and the gradients of the sum of all float results times "weights" with respect to the float arrays, where
JAX has them. Infinity in arguments is a string.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from common import array, versions, write

F, I, U = np.float32, np.int32, np.uint32
NAN, INF = np.nan, np.inf
rng = np.random.default_rng(11)


def floats(*shape):
    return (rng.integers(-256, 256, shape) / 128).astype(F)


def ints(*shape, low=-9):
    return rng.integers(low, 10, shape).astype(I)


def f32(*values):
    return np.array(values, F)


X = lambda k=0: {"in": k}


def plain(arg):
    """An argument as JSON: Infinity as a string."""
    if isinstance(arg, dict):
        return {key: plain(value) for key, value in arg.items()}
    if isinstance(arg, (list, tuple)):
        return [plain(value) for value in arg]
    if isinstance(arg, float) and math.isinf(arg):
        return "Infinity" if arg > 0 else "-Infinity"
    return arg


def row(op, f, arrays, *args, note="", grad=True):
    """One call. `arrays` are passed to `f` as arguments under jit; `args` are those of the TypeScript function."""
    listed = lambda *xs: list(out) if isinstance(out := f(*xs), (list, tuple)) else [out]
    outs = jax.jit(listed)(*arrays)
    args = plain(args) if args else [X(k) for k in range(len(arrays))]
    wanted = [k for k, x in enumerate(arrays) if x.dtype == F]
    smooth = [out.dtype == jnp.float32 for out in outs]
    shapes = " ".join(f"{x.dtype}{list(x.shape)}" for x in arrays)
    settings = [arg for arg in args if not (isinstance(arg, dict) and "in" in arg)]
    name = " ".join(str(part) for part in (op, note, shapes, *settings) if part != "").replace("'", "")
    result = {"name": name, "op": op, "in": [array(x) for x in arrays], "args": args, "out": [array(out) for out in outs]}
    if grad and wanted and any(smooth):
        weights = [floats(*out.shape) if is_float else None for out, is_float in zip(outs, smooth)]
        loss = lambda *xs: sum(jnp.sum(out * w) for out, w in zip(listed(*xs), weights) if w is not None)
        grads = jax.jit(jax.grad(loss, argnums=tuple(wanted)))(*arrays)
        weights = [None if w is None else array(w) for w in weights]
        result.update(weights=weights, grads=[array(g) for g in grads])
    return result


SPECIAL = f32(3, NAN, -0.0, 1, INF, 0.0, -INF, 1, -2, NAN, 0.0, -0.0, 1)


def sorting():
    lists = [SPECIAL, floats(3, 6), ints(9), ints(8).astype(U), rng.integers(0, 2, 7).astype(bool)]
    lists.append(np.array([2**31 - 1, -(2**31), 0, -1], I))
    lists.append(np.array([2**32 - 1, 0, 2**31, 5], U))
    for x in lists:
        for descending in (False, True):
            options = {"descending": descending}
            yield row("sort", lambda x: jnp.sort(x, descending=descending), [x], X(), options)
            yield row("argsort", lambda x: jnp.argsort(x, stable=True, descending=descending), [x], X(), options)
    for axis in (0, 1, -1):
        x = floats(4, 3, 2)
        yield row("sort", lambda x: jnp.sort(x, axis=axis), [x], X(), {"axis": axis})
        yield row("argsort", lambda x: jnp.argsort(x, axis=axis), [x], X(), {"axis": axis})
    for x, k in ((SPECIAL, 13), (floats(3, 5), 2), (ints(9), 4), (ints(9, low=0).astype(U), 3), (f32(1, 2, 2, 1), 3), (f32(5, 4), 0)):
        yield row("topK", lambda x: lax.top_k(x, k), [x], X(), k)
    ordered = f32(-INF, -2, -0.0, 0.0, 1, 1, 3, INF, NAN)
    wanted = f32(-INF, -3, -2, 0.0, -0.0, 1, 2, INF, NAN)
    for side in ("left", "right"):
        for a, v in (
            (ordered, wanted),
            (np.array([1, 3, 3, 5], I), ints(2, 3)),
            (np.array([1, 3, 3, 5], U), np.array([0, 3, 9], U)),
            (f32(), f32(1, 2)),
            (f32(1), f32(0, 1, 2)),
        ):
            f = lambda a, v: jnp.searchsorted(a, v, side=side)
            yield row("searchSorted", f, [a, v], X(0), X(1), {"side": side})


def scans():
    zeros = f32(2, 0, -1, 3, 0, 4, 1)
    lows = f32(-INF, -INF, 1, -INF, 2, 90, -3)
    ties = f32(1, 1, 3, 2, 3, 0, 3, NAN, 4)
    cases = (
        ("cumsum", lax.cumsum, [floats(7), floats(3, 4), ints(5), ints(5).astype(U)]),
        ("cumprod", lax.cumprod, [zeros, f32(0, 2, 3), floats(3, 4), ints(5)]),
        ("cummax", lax.cummax, [ties, floats(3, 4), ints(6)]),
        ("cummin", lax.cummin, [ties, f32(2, 2, 1, 1, 1, 1), ints(6).astype(U)]),
        ("cumLogSumExp", lax.cumlogsumexp, [lows, floats(3, 4), f32(200, 100, 300), f32(INF, 1, 2)]),
    )
    for name, f, xs in cases:
        for x in xs:
            for reverse in (False, True):
                axis = x.ndim - 1
                g = lambda x: f(x, axis=axis, reverse=reverse)
                yield row(name, g, [x], X(), {"axis": axis, "reverse": reverse})
    yield row("cumsum", lambda x: jnp.cumsum(x, axis=0), [np.array([True, False, True])])
    yield row("cumprod", lambda x: jnp.cumprod(x, axis=0), [np.array([True, True, False])])
    yield row("cumsum", lambda x: jnp.cumsum(x, axis=0), [np.zeros((0, 2), F)])


def folds():
    for x in (f32(2, 3, 4, 5, 6), f32(2, 0, 4, 5), f32(2, 0, 4, 0, 1), f32(0), f32(), ints(5), np.array([True, False])):
        yield row("prod", jnp.prod, [x])
    for x, axis, keep in ((floats(2, 3), 0, False), (floats(2, 3, 4), [0, 2], True), (floats(2, 0), 1, False)):
        a = tuple(axis) if isinstance(axis, list) else axis
        yield row("prod", lambda x: jnp.prod(x, axis=a, keepdims=keep), [x], X(), {"axis": axis, "keepDims": keep})
        for name, f in (("any", jnp.any), ("all", jnp.all), ("countNonzero", jnp.count_nonzero)):
            g = lambda x: f(x, axis=a, keepdims=keep)
            yield row(name, g, [(x > 0).astype(F)], X(), {"axis": axis, "keepDims": keep})
    for name, f in (("any", jnp.any), ("all", jnp.all), ("countNonzero", jnp.count_nonzero)):
        for x in (f32(0, NAN), f32(-0.0, 0), np.array([1, 2], I), f32(), np.array([True, False])):
            yield row(name, f, [x])
    holes = np.array([[1, NAN, -3], [NAN, NAN, NAN], [-INF, 2, INF]], F)
    for name, f in (("nanSum", jnp.nansum), ("nanMean", jnp.nanmean), ("nanMax", jnp.nanmax), ("nanMin", jnp.nanmin)):
        yield row(name, f, [holes])
        yield row(name, lambda x: f(x, axis=1), [holes], X(), {"axis": 1})
        yield row(name, lambda x: f(x, axis=0), [holes[:2]], X(), {"axis": 0})
        yield row(name, f, [ints(4)])
    for name, f in (("argmax", jnp.argmax), ("argmin", jnp.argmin)):
        for x in (SPECIAL, f32(1, 3, 3, 1), ints(3, 4), np.array([False, True, True]), f32(-INF, -INF), f32(INF, INF)):
            yield row(name, f, [x])
        x = floats(3, 4)
        yield row(name, lambda x: f(x, axis=0), [x], X(), {"axis": 0})
        yield row(name, lambda x: f(x, axis=-1, keepdims=True), [x], X(), {"axis": -1, "keepDims": True})
        yield row(name, lambda x: f(x, keepdims=True), [x], X(), {"keepDims": True})
    for x in (floats(3, 4), f32(-INF, -INF), f32(INF, 1), f32(500, 501), f32(-INF, 2)):
        yield row("logSumExp", jax.nn.logsumexp, [x])
    for name, f in (("max", jnp.max), ("min", jnp.min), ("ptp", jnp.ptp)):
        for x in (floats(3, 4), f32(2, 2, 1, 1), ints(5), f32(1, NAN)):
            yield row(name, f, [x])
        yield row(name, lambda x: f(x, axis=1, keepdims=True), [floats(3, 4)], X(), {"axis": 1, "keepDims": True})


def statistics():
    x, y = floats(3, 4), floats(2, 3, 4)
    yield row("average", jnp.average, [x])
    yield row("average", lambda x: jnp.average(x, axis=0), [ints(3, 2)], X(), {"axis": 0})
    for w in (np.abs(floats(4)) + F(0.5), np.abs(floats(3, 4)) + F(0.5)):
        f = lambda x, w: jnp.average(x, axis=1, weights=w)
        yield row("average", f, [x, w], X(), {"axis": 1, "weights": X(1)})
    yield row("average", lambda x, w: jnp.average(x, weights=w), [x, np.abs(x) + F(1)], X(), {"weights": X(1)})
    yield row("average", lambda x, w: jnp.average(x, weights=w), [f32(1, 2), f32(1, -1)], X(), {"weights": X(1)}, grad=False)
    for z in (f32(3, 1, 2), f32(4, 1, 3, 2), f32(1, NAN, 2), f32(5), ints(6), f32(INF, 1, 2)):
        yield row("median", jnp.median, [z])
    yield row("median", lambda x: jnp.median(x, axis=1, keepdims=True), [x], X(), {"axis": 1, "keepDims": True})
    yield row("median", lambda x: jnp.median(x, axis=(0, 2)), [y], X(), {"axis": [0, 2]})
    lists = f32(5, 1, 4, 2, 8), np.array([[1, NAN, 3], [4, 6, 5]], F)
    shares = f32(0, 0.125, 0.25, 0.375, 0.5, 0.625, 1)
    for method in ("linear", "lower", "higher", "nearest", "midpoint"):
        for z in lists:
            f = lambda x, q: jnp.quantile(x, q, axis=-1, method=method)
            yield row("quantile", f, [z, shares], X(0), X(1), {"axis": -1, "method": method}, grad=method == "linear")
            f = lambda x: jnp.quantile(x, np.array([0.25, 0.75], F), axis=-1, method=method)
            yield row("quantile", f, [z], X(0), [0.25, 0.75], {"axis": -1, "method": method})
    f = lambda x: jnp.quantile(x, 0.625, axis=(0, 2), keepdims=True)
    yield row("quantile", f, [y], X(), 0.625, {"axis": [0, 2], "keepDims": True})
    f = lambda x, q: jnp.quantile(x, q, axis=1, keepdims=True)
    yield row("quantile", f, [y, f32(0.25, 0.5)], X(0), X(1), {"axis": 1, "keepDims": True})
    yield row("percentile", lambda x: jnp.percentile(x, 37.5), [x], X(), 37.5)
    yield row("percentile", lambda x, q: jnp.percentile(x, q, axis=0), [x, f32(0, 50, 100)], X(0), X(1), {"axis": 0})
    for z in (f32(2, 2, 2), floats(5)):
        for name, f in (("std", jnp.std), ("variance", jnp.var)):
            yield row(name, f, [z])
    for ddof in (1, 2, 3, 4):
        for name, f in (("std", jnp.std), ("variance", jnp.var)):
            options = {"axis": 0, "ddof": ddof}
            yield row(name, lambda x: f(x, axis=0, ddof=ddof), [x], X(), options, grad=ddof < 3)
    yield row("variance", lambda x: jnp.var(x, axis=1, keepdims=True), [ints(2, 3)], X(), {"axis": 1, "keepDims": True})


def norms():
    vector, zeros = f32(3, -4, 0, 1), f32(0, 0)
    for ord in (1, 2, 3, 0, -1, -2, 0.5, 2.5, INF, -INF):
        f = lambda x: jnp.linalg.norm(x, ord=ord)
        yield row("norm", f, [f32(3, -4, 2, 1)], X(), {"ord": ord})
        yield row("norm", f, [vector], X(), {"ord": ord}, note="with 0", grad=ord not in (0.5,))
    for ord in (1, 2, 3, 0, INF, -INF):
        yield row("norm", lambda x: jnp.linalg.norm(x, ord=ord), [zeros], X(), {"ord": ord}, note="of 0")
    yield row("norm", jnp.linalg.norm, [zeros], note="of 0")
    yield row("norm", jnp.linalg.norm, [floats(2, 3)])
    yield row("norm", jnp.linalg.norm, [floats(2, 3, 2)])
    yield row("norm", jnp.linalg.norm, [ints(2, 3)])
    for ord in (1, -1, INF, -INF, "fro"):
        for x, axis, keep in ((floats(3, 4), None, False), (floats(2, 3, 4), [2, 0], False), (floats(2, 3, 4), [-1, 1], True)):
            f = lambda x: jnp.linalg.norm(x, ord=ord, axis=axis and tuple(axis), keepdims=keep)
            options = {"ord": ord, **({"axis": axis, "keepDims": keep} if axis else {})}
            yield row("norm", f, [x], X(), options)
    f = lambda x: jnp.linalg.norm(x, ord=3, axis=0, keepdims=True)
    yield row("norm", f, [floats(2, 3)], X(), {"ord": 3, "axis": 0, "keepDims": True})


def creation():
    for n in (0, 1, 2, 7):
        for endpoint in (True, False):
            ends = [f32(0.1, -1), f32(0.7, 3)]
            f = lambda a, b: jnp.linspace(a, b, n, endpoint=endpoint)
            yield row("linspace", f, ends, X(0), X(1), n, {"endpoint": endpoint})
            f = lambda: jnp.linspace(-1, 0.3, n, endpoint=endpoint)
            yield row("linspace", f, [], -1, 0.3, n, {"endpoint": endpoint})
    yield row("linspace", lambda a: jnp.linspace(0, a, 3), [ints(2)], 0, X(), 3)
    forms = ([5], [0], [-3], [2.5], [2, 6], [6, 2], [1, 2, 0.25], [0, 1, 0.1], [5, 0, -2], [0, 7, 3], [-1.5, 1.5])
    for form in forms:
        yield row("arange", lambda: jnp.arange(*form), [], *form)
    yield row("arange", lambda: jnp.arange(4, dtype=jnp.float32), [], 4, {"dtype": "f32"})
    yield row("arange", lambda: jnp.arange(1, 9, 3, dtype=jnp.uint32), [], 1, 9, 3, {"dtype": "u32"})
    for n, m, k in ((3, 3, 0), (2, 4, 1), (4, 2, -2), (2, 2, 5), (0, 2, 0)):
        yield row("eye", lambda: jnp.eye(n, m, k), [], n, m, {"k": k})
        yield row("tri", lambda: jnp.tri(n, m, k), [], n, m, {"k": k})
    yield row("eye", lambda: jnp.eye(2, dtype=jnp.int32), [], 2, 2, {"dtype": "i32"})
    for indexing in ("xy", "ij"):
        for xs in ([floats(2), floats(3)], [floats(2), ints(3), floats(4)], [floats(3)]):
            names = [X(k) for k in range(len(xs))]
            f = lambda *xs: jnp.meshgrid(*xs, indexing=indexing)
            yield row("meshgrid", f, xs, names, {"indexing": indexing})


def shapes():
    for x in (floats(3, 4), floats(2, 4, 3), ints(3, 3), np.ones((2, 2), bool)):
        for k in (0, 1, -2, 9, -9):
            yield row("tril", lambda x: jnp.tril(x, k), [x], X(), k)
            yield row("triu", lambda x: jnp.triu(x, k), [x], X(), k)
    for k in (0, 1, -1, 3, -4, 7):
        yield row("diagonal", lambda x: jnp.diagonal(x, k), [floats(3, 4)], X(), {"k": k})
        yield row("diag", lambda x: jnp.diag(x, k), [floats(3)], X(), {"k": k})
        if abs(k) < 3:
            yield row("diag", lambda x: jnp.diag(x, k), [floats(4, 3)], X(), {"k": k})
        f = lambda x: jnp.diagonal(x, k, 2, 0)
        yield row("diagonal", f, [floats(2, 3, 4)], X(), {"k": k, "axes": [2, 0]})
    yield row("diag", jnp.diag, [f32()])
    for shift, axis in ((1, None), (-7, None), (2, 0), (-1, 1), ([1, 2], [0, 1]), (1, [0, 1]), ([1, -3], 0), (0, 1)):
        tuples = [tuple(v) if isinstance(v, list) else v for v in (shift, axis)]
        options = [] if axis is None else [{"axis": axis}]
        yield row("roll", lambda x: jnp.roll(x, *tuples), [floats(3, 4)], X(), shift, *options)
    for copies in (2, [2], [1, 3], [2, 1, 2], [0, 2]):
        yield row("tile", lambda x: jnp.tile(x, copies), [floats(2, 3)], X(), copies)
    yield row("tile", lambda x: jnp.tile(x, [2, 3]), [floats(2)], X(), [2, 3])
    yield row("tile", lambda x: jnp.tile(x, 3), [floats()], X(), 3)
    for times, axis in ((2, None), (3, 0), (2, -1), (0, 1), (1, 0)):
        options = [] if axis is None else [{"axis": axis}]
        yield row("repeat", lambda x: jnp.repeat(x, times, axis), [floats(2, 3)], X(), times, *options)
    for k in (-1, 0, 1, 2, 3, 5):
        yield row("rot90", lambda x: jnp.rot90(x, k), [floats(2, 3)], X(), k)
    yield row("rot90", lambda x: jnp.rot90(x, 1, (2, 0)), [floats(2, 3, 4)], X(), 1, {"axes": [2, 0]})
    for n, axis in ((0, -1), (1, -1), (2, 0), (4, 1), (6, 1)):
        yield row("diff", lambda x: jnp.diff(x, n, axis), [floats(3, 4)], X(), {"n": n, "axis": axis})
    yield row("diff", jnp.diff, [np.array([True, True, False])])
    yield row("diff", jnp.diff, [np.array([3, 1, 9], U)])
    for sections, axis in ((2, 0), (3, 1), ([1, 3], 0), ([2, 2], 1), ([], 0)):
        parts = lambda x: jnp.split(x, sections if isinstance(sections, int) else np.array(sections, int), axis)
        yield row("split", parts, [floats(4, 3)], X(), sections, {"axis": axis})
    yield row("swapaxes", lambda x: jnp.swapaxes(x, 0, -1), [floats(2, 3, 4)], X(), 0, -1)
    yield row("swapaxes", lambda x: jnp.swapaxes(x, 1, 1), [floats(2, 3)], X(), 1, 1)
    yield row("ravel", jnp.ravel, [floats(2, 3)])
    yield row("ravel", jnp.ravel, [floats()])


EINSUMS = [
    ("ij,jk->ik", (2, 3), (3, 4)),
    ("ij,jk", (2, 3), (3, 4)),
    ("ba", (2, 3)),
    ("ij->", (2, 3)),
    ("ij->j", (2, 3)),
    ("ii", (3, 3)),
    ("ii->i", (3, 3)),
    ("iij->ji", (3, 3, 2)),
    ("iii->i", (2, 2, 2)),
    ("ijij->ij", (2, 3, 2, 3)),
    ("ij,ij->ij", (2, 3), (2, 3)),
    ("i,j->ij", (2,), (3,)),
    ("i,i", (3,), (3,)),
    ("bij,bjk->bik", (2, 3, 4), (2, 4, 2)),
    ("bhqd,bhkd->bhqk", (2, 2, 3, 2), (2, 2, 4, 2)),
    ("...ij,...jk->...ik", (2, 3, 4), (2, 4, 2)),
    ("...ij,...jk->...ik", (2, 3, 4), (4, 2)),
    ("...ij,...jk->...ik", (2, 1, 3, 4), (5, 4, 2)),
    ("i...,i...->...", (3, 2), (3, 2)),
    ("i...j->j...i", (2, 3, 4)),
    ("ij...,jk->ik...", (2, 3, 2), (3, 2)),
    ("...,...", (2, 3), (3,)),
    ("...i", (2, 3)),
    ("i...", (2, 3)),
    ("...ii->...i", (2, 3, 3)),
    ("k...k", (3, 2, 3)),
    (",ij->ij", (), (2, 3)),
    (",", (), ()),
    ("->", ()),
    ("i,->i", (3,), ()),
    ("ij,jk,kl->il", (2, 3), (3, 4), (4, 2)),
    ("ij,jk,k,i->", (2, 3), (3, 4), (4,), (2,)),
    ("a,ab,bc,cd,d->", (2,), (2, 3), (3, 2), (2, 3), (3,)),
    ("a,b,c,d,e->edcba", (2,), (2,), (2,), (2,), (2,)),
    ("ij,ij,ij,ij->i", (2, 3), (2, 3), (2, 3), (2, 3)),
    ("ea,fb,abcd,gc,hd->efgh", (2, 2), (2, 2), (2, 2, 2, 2), (2, 2), (2, 2)),
    ("iI,Ij->ij", (2, 3), (3, 2)),
    ("aB,Bc", (2, 3), (3, 2)),
    ("ij, jk -> ik", (2, 3), (3, 2)),
    ("ij,kj->i", (2, 3), (4, 3)),
    ("ij,jk->ik", (2, 1), (3, 4)),
    ("i,i,i->i", (1,), (3,), (1,)),
    ("...i->i", (2, 3)),
    ("...i,i->", (2, 3), (3,)),
    ("ij,jk->ik", (2, 0), (0, 3)),
    ("ij,jk->ik", (0, 2), (2, 3)),
    ("i...,j->ij...", (0, 2), (2,)),
]


def products():
    for spec, *extents in EINSUMS:
        xs = [floats(*shape) for shape in extents]
        names = [X(k) for k in range(len(xs))]
        yield row("einsum", lambda *xs: jnp.einsum(spec, *xs), xs, spec, *names)
    large = np.array([[2**30, 3], [16777217, 1]], I)
    for spec, xs in (
        ("ij,jk->ik", [ints(2, 3), ints(3, 2)]),
        ("ij,jk->ik", [large, large]),
        ("ii,i,ij", [ints(2, 2), ints(2), ints(2, 3)]),
        ("ij->i", [ints(2, 3).astype(U)]),
        ("i,j", [ints(2), ints(3, low=0).astype(U)]),
        ("i,ij", [ints(2), floats(2, 3)]),
        ("ij,j->i", [np.array([[True, True], [False, True]]), ints(2)]),
        ("ij,jk->ik", [np.array([[True, True], [False, False]]), np.array([[True, False], [True, False]])]),
        ("ij->i", [np.array([[True, True], [False, False]])]),
    ):
        yield row("einsum", lambda *xs: jnp.einsum(spec, *xs), xs, spec, *[X(k) for k in range(len(xs))])
    for a, b, axes in (
        ((2, 3, 4), (3, 4, 2), 2),
        ((2, 3), (3, 2), 1),
        ((2,), (3,), 0),
        ((2, 3, 4), (4, 3, 2), [[0, 1], [2, 1]]),
        ((2, 3, 4), (3, 5), [[-2], [0]]),
        ((2, 3), (2, 3), [[0, 1], [0, 1]]),
        ((2, 3), (2,), [[], []]),
    ):
        f = lambda a, b: jnp.tensordot(a, b, axes)
        yield row("tensordot", f, [floats(*a), floats(*b)], X(0), X(1), axes)
    yield row("tensordot", lambda a, b: jnp.tensordot(a, b, 1), [ints(2, 3), ints(3)], X(0), X(1), 1)
    pairs = {
        "dot": [((3,), (3,)), ((2, 3), (3,)), ((2, 3), (3, 4)), ((2, 2, 3), (2, 3, 2)), ((), (2, 3)), ((3,), (2, 3, 2))],
        "inner": [((3,), (3,)), ((2, 3), (4, 3)), ((2, 3), (3,)), ((), (2,)), ((2, 1, 3), (2, 3))],
        "vdot": [((3,), (3,)), ((2, 3), (2, 3)), ((2, 3), (3, 2))],
        "outer": [((2,), (3,)), ((2, 2), (3,)), ((), (3,))],
        "kron": [((2,), (3,)), ((2, 3), (2, 2)), ((2, 3), (2,)), ((2,), (2, 3)), ((2, 1, 2), (3, 2))],
        "cross": [((3,), (3,)), ((2, 3), (2, 3)), ((2, 3), (3,)), ((2, 1, 3), (4, 3))],
    }
    for op, shapes in pairs.items():
        for a, b in shapes:
            yield row(op, getattr(jnp, op), [floats(*a), floats(*b)])
        a, b = ints(3), ints(3)
        yield row(op, getattr(jnp, op), [a, b])
    f = lambda a, b: jnp.cross(a, b, axis=0)
    yield row("cross", f, [floats(3, 2), floats(3, 2)], X(0), X(1), {"axis": 0})


rows = [*sorting(), *scans(), *folds(), *statistics(), *norms(), *creation(), *shapes(), *products()]
seen = {}
for r in rows:  # names are titles of tests
    seen[r["name"]] = seen.get(r["name"], 0) + 1
    if seen[r["name"]] > 1:
        r["name"] += f" ({seen[r['name']]})"
write("numpy.json", {"versions": versions("jax", "jaxlib", "numpy"), "rows": rows})
print(len(rows), "rows")
