"""jax.random golden values (threefry2x32, partitionable) -> random.json

Named prng.py because a script called random.py would hide Python's own module
from every script in this folder. Raw blocks come first, then keys, split,
fold_in, bits and uniform, then a few derived samplers. bits, keys, uniform and
randint must agree exactly; normal and gumbel go through erf_inv and log, so
compare them with a tolerance.

Run: python prng.py
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.random import threefry_2x32

from common import array, scalars, versions, write

assert jax.config.jax_threefry_partitionable and not jax.config.jax_enable_x64
jax.config.update("jax_platforms", "cpu")

SEEDS = [0, 1, 42, 2**32 - 1, -7]
SHAPES = [[], [1], [5], [3, 4], [1000]]
LOGITS = np.array([[0, 1, 2, -1], [3, 0, -2, 0.5], [1, 1, 1, 1]], np.float32)
RANGES = [(0.0, 1.0), (-1.0, 1.0), (-0.125, 0.125)]


def data(key):
    return scalars(jax.random.key_data(key))


def summary(values):
    """Short arrays whole; long ones as ends and checksums of the bit patterns."""
    values = np.asarray(values)
    if values.size <= 64:
        return array(values)
    flat = values.ravel()
    bits = flat.view(np.uint32).astype(np.uint64)
    place = np.arange(1, flat.size + 1, dtype=np.uint64)
    return {
        "dtype": str(values.dtype),
        "shape": list(values.shape),
        "first": scalars(flat[:8]),
        "last": scalars(flat[-8:]),
        "bits_sum_mod_2_32": int(bits.sum() % 2**32),
        "bits_weighted_sum_mod_2_32": int((bits * place).sum() % 2**32),
    }


def blocks():
    """Single threefry2x32 blocks; the first three are Random123's known answers."""
    pairs = [
        ([0, 0], [0, 0]),
        ([0xFFFFFFFF, 0xFFFFFFFF], [0xFFFFFFFF, 0xFFFFFFFF]),
        ([0x13198A2E, 0x03707344], [0x243F6A88, 0x85A308D3]),
        ([0, 42], [0, 1]),
        ([0, 42], [1, 0]),
    ]
    known = [[0x6B200159, 0x99BA4EFE], [0x1CB996FC, 0xBB002BE7], [0xC4923A9C, 0x483DF7A0]]
    rows = []
    for key, count in pairs:
        out = threefry_2x32(jnp.array(key, jnp.uint32), jnp.array(count, jnp.uint32))
        rows.append({"key": key, "count": count, "out": scalars(out)})
    assert [row["out"] for row in rows[:3]] == known
    return rows


def uniform(seed, shape, low, high):
    draw = jax.jit(lambda key, a, b: jax.random.uniform(key, tuple(shape), jnp.float32, a, b))
    values = draw(jax.random.key(seed), jnp.float32(low), jnp.float32(high))
    assert (low <= values).all() and (values < high).all()
    return {"seed": seed, "minval": low, "maxval": high, "values": summary(values)}


def derived():
    key = jax.random.key(42)
    return {
        "normal": [
            {"seed": 42, "values": array(jax.random.normal(key, tuple(s)))} for s in ([], [5], [3, 4])
        ],
        "gumbel": [{"seed": 42, "values": array(jax.random.gumbel(key, (5,)))}],
        "randint": [
            {"seed": 42, "minval": a, "maxval": b, "values": array(jax.random.randint(key, (8,), a, b))}
            for a, b in [(0, 2), (0, 10), (-5, 61), (0, 2**31 - 1)]
        ],
        "bernoulli": [
            {"seed": 42, "p": p, "values": array(jax.random.bernoulli(key, p, (12,)))}
            for p in (0.25, 0.5, 0.9375)
        ],
        "permutation": [
            {"seed": 42, "n": n, "values": summary(jax.random.permutation(key, n))} for n in (5, 16, 2000)
        ],
        "permutation_of_columns": [
            {"seed": 42, "values": array(jax.random.permutation(key, jnp.arange(21).reshape(3, 7), axis=1))}
        ],
        "exponential": [{"seed": 42, "values": array(jax.random.exponential(key, (3, 4)))}],
        "truncated_normal": [
            {"seed": 42, "lower": a, "upper": b, "values": array(jax.random.truncated_normal(key, a, b, (9,)))}
            for a, b in [(-2.0, 2.0), (-0.5, 3.0), (1.0, 1.25)]
        ],
        "randint_wide": [
            {
                "seed": 42,
                "dtype": dtype,
                "minval": a,
                "maxval": b,
                "values": array(jax.random.randint(key, (9,), jnp.array(a, dtype), jnp.array(b, dtype), dtype)),
            }
            for dtype, a, b in [
                ("int32", -(2**31), 2**31 - 1),
                ("int32", -(2**30) - 7, 2**30 + 12345),
                ("uint32", 0, 2**32 - 1),
                ("uint32", 3, 2**31 + 5),
            ]
        ],
        "choice": [
            {
                "seed": 42,
                "n": 7,
                "shape": list(shape),
                "replace": replace,
                "p": p,
                "values": array(
                    jax.random.choice(key, 7, shape, replace, None if p is None else jnp.array(p, jnp.float32))
                ),
            }
            for shape, replace in [((3, 4), True), ((5,), False)]
            for p in [None, [0.25, 0.125, 0.0625, 0.0625, 0.25, 0.125, 0.125]]
        ],
        "categorical": [
            {
                "seed": 42,
                "logits": [0.0, 1.0, 2.0, -1.0],
                "values": array(jax.random.categorical(key, jnp.array([0.0, 1.0, 2.0, -1.0]), shape=(10,))),
            }
        ],
        "categorical_along": [
            {
                "seed": 42,
                "axis": axis,
                "logits": array(LOGITS),
                "values": array(jax.random.categorical(key, LOGITS, axis=axis, shape=shape)),
            }
            for axis, shape in [(0, None), (1, None), (-2, (5, 4)), (-1, (6, 3))]
        ],
    }


def main():
    folds = [0, 1, 2, 12345, 2**31 - 1, 2**31, 2**32 - 1]
    write(
        "random.json",
        {
            "about": "jax.random, threefry2x32, jax_threefry_partitionable true, x64 off, CPU",
            "versions": versions("jax", "jaxlib", "numpy"),
            "threefry2x32": blocks(),
            "key": [{"seed": s, "data": data(jax.random.key(s))} for s in SEEDS],
            "split": [
                {
                    "seed": s,
                    "n": n,
                    "data": array(jax.random.key_data(jax.random.split(jax.random.key(s), n))),
                }
                for s in SEEDS
                for n in (2, 3, 5)
            ],
            "fold_in": [
                {"seed": s, "value": v, "data": data(jax.random.fold_in(jax.random.key(s), np.uint32(v)))}
                for s in SEEDS
                for v in folds
            ],
            "bits": [
                {"seed": s, "values": summary(jax.random.bits(jax.random.key(s), tuple(shape)))}
                for s in SEEDS
                for shape in SHAPES
            ],
            "uniform": [uniform(s, shape, a, b) for s in SEEDS for shape in SHAPES for a, b in RANGES],
            "derived": derived(),
        },
    )


if __name__ == "__main__":
    main()
