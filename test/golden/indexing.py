"""Indexing with JAX's semantics -> indexing.json: take, x[...] and x.at[...] with every kind of item, windows, counts.

A row is a call: the operation, its arrays ("in"), its items or options, the result, and the gradients of
sum(result * weights) with respect to the float arrays, where JAX has them. An item is a number, null, "...",
{"slice": [start, stop, step]} or {"ids": k} for the k-th of the row's index arrays.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from common import array, versions, write

F, I, U = np.float32, np.int32, np.uint32
rng = np.random.default_rng(7)


def floats(*shape):
    return (rng.integers(-256, 256, shape) / 128).astype(F)


def ints(*shape):
    return rng.integers(-9, 10, shape).astype(I)


def ids(*values):
    return np.array(values, I)


def row(name, op, f, arrays, grad=True, **rest):
    """One call. `arrays` are passed to `f` as arguments under jit."""
    out = jax.jit(f)(*arrays)
    wanted = [k for k, x in enumerate(arrays) if x.dtype == F]
    result = {"name": name, "op": op, "in": [array(x) for x in arrays], **rest, "out": array(out)}
    if grad and wanted and out.dtype == jnp.float32:
        weights = floats(*out.shape)
        loss = lambda *xs: jnp.sum(f(*xs) * weights)
        grads = jax.jit(jax.grad(loss, argnums=tuple(wanted)))(*arrays)
        result.update(weights=array(weights), grads=[array(g) for g in grads])
    return result


OUTSIDE = ids(-5, -3, -1, 0, 2, 3, 7)


def takes():
    for mode in ("fill", "clip", "wrap"):
        for x, axis in ((floats(3), 0), (floats(2, 3), 1), (floats(3, 2), -2)):
            f = lambda x, i: jnp.take(x, i, axis=axis, mode=mode)
            yield row(f"take {mode} {x.shape} axis {axis}", "take", f, [x, OUTSIDE], options={"axis": axis, "mode": mode})
        x = floats(4, 2)
        grid = ids(-1, 0, 3, 9).reshape(2, 2)
        f = lambda x, i: jnp.take(x, i, axis=0, mode=mode)
        yield row(f"take {mode} grid", "take", f, [x, grid], options={"axis": 0, "mode": mode})
    for x in (ints(3), ints(3).astype(U), np.array([True, False, False])):
        f = lambda x, i: jnp.take(x, i, axis=0)
        yield row(f"take {x.dtype}", "take", f, [x, OUTSIDE], options={"axis": 0})
    f = lambda x, i: jnp.take(x, i, axis=0, mode="wrap")
    yield row("take wrap u32", "take", f, [floats(3), np.array([0, 4, 11], U)], options={"axis": 0, "mode": "wrap"})
    for mode in ("fill", "clip"):
        for x, i, axis in (
            (floats(2, 3), ids(-4, -1, 0, 3, 2, 1).reshape(2, 3), 1),
            (floats(3, 2), ids(0, -1, 5, 2, 2, 2).reshape(3, 2), 0),
            (floats(2, 3), ids(1, 2, 2).reshape(1, 3), 0),
            (floats(1, 3), ids(1, 0).reshape(2, 1), 1),
        ):
            f = lambda x, i: jnp.take_along_axis(x, i, axis, mode=mode)
            name = f"takeAlongAxis {mode} {x.shape} {i.shape}"
            yield row(name, "takeAlongAxis", f, [x, i], options={"axis": axis, "mode": mode})


S = lambda start=None, stop=None, step=None: {"slice": [start, stop, step]}


def built(items, arrays):
    """Items as Python has them."""
    of = lambda item: (
        Ellipsis if item == "..."
        else slice(*item["slice"]) if isinstance(item, dict) and "slice" in item
        else arrays[item["ids"]] if isinstance(item, dict)
        else item
    )
    return tuple(of(item) for item in items)


A, B = {"ids": 0}, {"ids": 1}
PLACES = [
    ("number", (3, 4), [1], []),
    ("number from the end", (3, 4), ["...", -1], []),
    ("number outside", (3, 4), [7], []),
    ("number far below", (3, 4), [-9], []),
    ("slice", (5, 4), [S(1, 4)], []),
    ("slice from the end", (5,), [S(-3, -1)], []),
    ("slice clamped", (5,), [S(-99, 99)], []),
    ("slice with a step", (7, 2), [S(1, None, 3)], []),
    ("slice with a step that ends inside", (8,), [S(0, 6, 2)], []),
    ("slice backwards", (5, 2), [S(None, None, -1)], []),
    ("slice backwards with a step", (8, 2), [S(6, 0, -3)], []),
    ("slice backwards from the end", (4, 7), ["...", S(-1, -6, -2)], []),
    ("empty slice", (5, 2), [S(3, 1)], []),
    ("new axes", (3, 4), [None, S(1), None, "..."], []),
    ("dots in the middle", (2, 3, 4), [0, "...", S(1, 3)], []),
    ("scalar array", (4, 3), [A], [ids(2)[0]]),
    ("scalar array outside", (4, 3), [A], [ids(9)[0]]),
    ("scalar array from the end", (4, 3), [S(1, 3), A], [ids(-2)[0]]),
    ("array", (4, 3), [A], [ids(2, 0, -1)]),
    ("array outside", (4,), [A], [ids(-9, -4, 3, 4, 1)]),
    ("array twice the same", (4, 2), [A], [ids(1, 3, 1, 1)]),
    ("grid", (4, 2), [A], [ids(1, 3, 0, -1).reshape(2, 2)]),
    ("array on the last axis", (2, 4), ["...", A], [ids(3, 0, 3)]),
    ("two arrays", (3, 4), [A, B], [ids(0, 2, -1), ids(1, -1, 0)]),
    ("two arrays outside", (3, 4), [A, B], [ids(0, 5, -1, 1), ids(1, -1, 4, 1)]),
    ("two arrays that broadcast", (3, 4), [A, B], [ids(0, 2).reshape(2, 1), ids(3, 1, 0)]),
    ("two arrays twice the same", (3, 3), [A, B], [ids(1, 1, 0, 1), ids(2, 2, 0, -1)]),
    ("arrays apart", (3, 2, 4), [A, S(), B], [ids(0, 2, 1), ids(3, 0, 0)]),
    ("arrays apart by a new axis", (3, 4), [A, None, B], [ids(0, 2, 1), ids(3, 0, 0)]),
    ("array and number", (3, 4, 2), [A, 1], [ids(0, 2)]),
    ("array and number outside", (3, 4), [A, 9], [ids(0, 2)]),
    ("number, slice, array", (3, 4, 5), [1, S(0, 3, 2), A], [ids(4, 0)]),
    ("slice, array, number, slice", (2, 3, 4, 5), [S(1), A, -1, S(None, None, -2)], [ids(2, 0, 2)]),
    ("slice, new axis, array", (4, 3), [S(0, 2), None, A], [ids(2, 0)]),
    ("array, slice, array, slice", (2, 3, 3, 2), [A, S(0, 2), B, "..."], [ids(1, 0), ids(0, 2)]),
    ("slice, array, slice, array", (2, 3, 4, 2), [S(), A, S(1, 3), B], [ids(1, 0, 2), ids(0, 1, 1)]),
    ("slice, number, slice, array", (2, 3, 4, 3), [S(), 1, S(1, 3), A], [ids(2, 0)]),
    ("slice, arrays", (2, 3, 4), [S(0, 2), A, B], [ids(1, 0), ids(0, 3)]),
]


def reads():
    for name, shape, items, arrays in PLACES:
        f = lambda x, *arrays: x[built(items, arrays)]
        yield row(f"index {name}", "index", f, [floats(*shape), *arrays], items=items)


def is_unique(shape, items, arrays):
    flat = np.arange(np.prod(shape)).reshape(shape)
    try:
        found = flat[built(items, arrays)].ravel()
    except IndexError:
        return False
    return len(set(found)) == found.size


def updates():
    for name, shape, items, arrays in PLACES:
        result = jnp.zeros(shape)[built(items, arrays)].shape
        for op in ("set", "add", "multiply", "min", "max"):
            unique = is_unique(shape, items, arrays)
            keywords = {"unique_indices": True} if op == "multiply" and unique else {}
            f = lambda x, u, *arrays: getattr(x.at[built(items, arrays)], op)(u, **keywords)
            x, u = floats(*shape), floats(*result)
            title = f"at.{op} {name}"
            key = {"multiply": "mul"}.get(op, op)
            yield row(title, f"at.{key}", f, [x, u, *arrays], grad=op != "multiply" or unique, items=items)
    x, i = floats(4, 3), ids(1, -1, 1, 9)
    for op in ("set", "add", "min", "max"):
        f = lambda x, u, i: getattr(x.at[i], op)(u)
        yield row(f"at.{op} broadcast", f"at.{op}", f, [x, floats(3), i], items=[A])
        yield row(f"at.{op} i32", f"at.{op}", f, [ints(4, 3), ints(4, 1), i], items=[A])
    ties = np.array([2, 1, 2, 0], F)
    for op in ("min", "max"):
        f = lambda x, u, i: getattr(x.at[i], op)(u)
        u = np.array([2, 2, 1, 0, 2], F)
        yield row(f"at.{op} with ties", f"at.{op}", f, [ties, u, ids(0, 0, 0, 3, 1)], items=[A])
    f = lambda x, u, i: x.at[i].set(u)
    yield row("at.set bool", "at.set", f, [np.zeros(4, bool), np.array([True, False, True]), ids(0, 0, 3)], items=[A])


def windows():
    for start in ((0, 0), (1, 2), (-1, -2), (9, -9), (2, 1)):
        for x, sizes in ((floats(3, 4), (2, 2)), (floats(3, 4), (3, 1))):
            f = lambda x, s: lax.dynamic_slice(x, (s[0], s[1]), sizes)
            yield row(f"dynamicSlice {start} {sizes}", "dynamicSlice", f, [x, ids(*start)], sizes=list(sizes))
            f = lambda x, u, s: lax.dynamic_update_slice(x, u, (s[0], s[1]))
            yield row(f"dynamicUpdateSlice {start} {sizes}", "dynamicUpdateSlice", f, [x, floats(*sizes), ids(*start)])


def counts():
    f = lambda i: jax.nn.one_hot(i, 3)
    yield row("oneHot", "oneHot", f, [OUTSIDE], n=3)
    f = lambda i: jax.nn.one_hot(i, 3, dtype=jnp.int32)
    yield row("oneHot grid i32", "oneHot", f, [ids(0, 1, -1, 3).reshape(2, 2)], n=3, dtype="i32")
    f = lambda i: jnp.bincount(i, length=4)
    yield row("bincount", "bincount", f, [OUTSIDE], n=4)
    f = lambda i, w: jnp.bincount(i, weights=w, length=4)
    yield row("bincount with weights", "bincount", f, [OUTSIDE, floats(7)], n=4)
    f = lambda x, i: jax.ops.segment_sum(x, i, 4)
    yield row("segmentSum", "segmentSum", f, [floats(7), OUTSIDE], n=4)
    yield row("segmentSum of rows", "segmentSum", f, [floats(7, 2), OUTSIDE], n=4)
    yield row("segmentSum i32", "segmentSum", f, [ints(7), OUTSIDE], n=4)


rows = [*takes(), *reads(), *updates(), *windows(), *counts()]
write("indexing.json", {"versions": versions("jax", "jaxlib", "numpy"), "rows": rows})
print(len(rows), "rows")
