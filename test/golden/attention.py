"""jax.nn.dot_product_attention -> attention.json

Each case has q, k, v and perhaps a mask, weights w and directions d, the result, the gradients of sum(w * result)
with respect to q, k and v, and the derivatives of those gradients in the directions d. Everything is computed in
float64 and written in float32.

Run: python attention.py
"""

import jax
import jax.numpy as jnp
import numpy as np

from common import array, versions, write

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_enable_x64", True)

CASES = [
    ("plain", (2, 5, 4, 8), (2, 5, 4, 8), {}),
    ("causal, grouped queries", (2, 6, 4, 8), (2, 6, 2, 8), {"is_causal": True}),
    ("one key head", (1, 5, 3, 6), (1, 7, 1, 6), {"is_causal": True, "scale": 0.7}),
    ("window", (1, 9, 2, 3), (1, 9, 2, 3), {"local_window_size": (2, 1)}),
    ("window and causal", (1, 11, 2, 4), (1, 11, 1, 4), {"local_window_size": 3, "is_causal": True}),
    ("long heads", (1, 6, 1, 72), (1, 9, 1, 72), {"is_causal": True}),
    ("one query", (2, 1, 4, 8), (2, 6, 2, 8), {}),
    ("no batch", (4, 2, 4), (4, 2, 4), {"is_causal": True}),
    ("queries that see no key", (1, 6, 2, 4), (1, 3, 1, 4), {"local_window_size": (1, 0)}),
    ("mask", (2, 4, 4, 4), (2, 5, 2, 4), {"mask": (2, 4, 4, 5)}),
    ("mask of every head, causal", (1, 5, 2, 4), (1, 5, 2, 4), {"mask": (1, 1, 5, 5), "is_causal": True}),
    ("mask that hides whole rows", (1, 3, 2, 4), (1, 3, 2, 4), {"mask": "rows"}),
]


def case(name, queries, keys, options, random):
    def draw(shape):
        return random.normal(size=shape).astype(np.float32)

    q, k, v, w = draw(queries), draw(keys), draw(keys), draw(queries)
    directions = [draw(queries), draw(keys), draw(keys)]
    mask = options.get("mask")
    if mask == "rows":
        mask = np.array([True, False, True]).reshape(1, 1, 3, 1)
    elif mask is not None:
        mask = random.random(mask) < 0.7
    given = {**options, "mask": None if mask is None else jnp.asarray(mask)}

    def attend(q, k, v):
        return jax.nn.dot_product_attention(q, k, v, **given)

    def slopes(q, k, v):
        return jax.grad(lambda q, k, v: (w * attend(q, k, v)).sum(), argnums=(0, 1, 2))(q, k, v)

    wide = [jnp.asarray(x, jnp.float64) for x in (q, k, v)]
    gradients, second = jax.jvp(slopes, wide, [jnp.asarray(d, jnp.float64) for d in directions])
    single = lambda xs: [array(np.asarray(x, np.float32)) for x in xs]
    return {
        "name": name,
        "options": {key: value for key, value in options.items() if key != "mask"},
        "in": single([q, k, v]),
        "mask": None if mask is None else array(mask),
        "weights": array(w),
        "directions": single(directions),
        "out": array(np.asarray(attend(*wide), np.float32)),
        "grad": single(gradients),
        "second": single(second),
    }


def main():
    random = np.random.default_rng(0)
    write("attention.json", {**versions("jax"), "cases": [case(*c, random) for c in CASES]})


main()
