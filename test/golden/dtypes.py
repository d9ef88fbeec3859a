"""Casts and promotion between the six dtypes, as JAX has them: dtypes.json.

Elements are bit patterns (of 16 or 32 bits, a bool is 0 or 1), so that NaN, infinities and signs are themselves. Float NaNs are
one canonical pattern. Subnormal f32 numbers are left out where a float is tested for zero or computed with.
"""

import jax
import jax.numpy as jnp
import numpy as np
from common import versions, write

DTYPES = {
    "f32": jnp.float32,
    "f16": jnp.float16,
    "bf16": jnp.bfloat16,
    "i32": jnp.int32,
    "u32": jnp.uint32,
    "bool": jnp.bool_,
}
NANS = {"f32": 0x7FC00000, "f16": 0x7E00, "bf16": 0x7FC0}


def bits(name, x):
    """The elements as bit patterns."""
    x = np.asarray(x)
    if name == "bool":
        return [int(v) for v in x]
    words = x.view(np.uint16 if x.dtype.itemsize == 2 else np.uint32)
    if name not in NANS:
        return [int(v) for v in words]
    return [NANS[name] if np.isnan(v) else int(w) for v, w in zip(x, words)]


def from_bits(name, words):
    if name == "bool":
        return np.array(words, bool)
    dtype = np.dtype(DTYPES[name])
    return np.array(words, np.uint16 if dtype.itemsize == 2 else np.uint32).view(dtype)


def sources(name, random):
    """Special values and random bit patterns."""
    if name == "bool":
        return np.array([False, True])
    if name in ("i32", "u32"):
        edges = [0, 1, 255, 256, 257, 258, 259, 2047, 2048, 2049, 2051, 65503, 65504, 65519, 65520, 65535, 65536]
        edges += [2**24 - 1, 2**24, 2**24 + 1, 2**24 + 3, 2**31 - 1, 2**31 - 64, 2**31 - 65]
        whole = [v if name == "u32" else s * v for v in edges for s in ((1,) if name == "u32" else (1, -1))]
        whole += [-(2**31)] if name == "i32" else [2**31, 2**32 - 1, 2**32 - 128, 2**32 - 129]
        noise = random.integers(0, 2**32, 60) >> random.integers(0, 32, 60)
        dtype = np.int32 if name == "i32" else np.uint32
        return np.concatenate([np.array(whole, np.int64), noise.astype(np.int64)]).astype(np.uint32).view(dtype)
    f = [0, 0.5, 0.99, 1, 1.5, 2.5, 3.5, 255.5, 256.5, 257, 2049, 2051, 65503, 65519, 65519.996, 65520, 65536, 1e5, 1e10]
    f += [2147483520, 2147483648, 4294967040, 4294967296, 3.3895314e38, 3.3961775e38, 3.4028235e38, np.inf]
    f += [2**-14, 2**-14 - 2**-25, 2**-14 - 2**-26, 2**-24, 1.5 * 2**-24, 2.5 * 2**-24, 2**-25, 1.0000001 * 2**-25, 2**-26]
    f += [1e-30, 1.1754944e-38, 1.003906, 1.00390625, 1.01171875, 1.0004882, 1.00048828125, 1.00146484375]
    special = np.array([s * v for v in f for s in (1, -1)] + [np.nan], np.float64).astype(np.float32)
    if name == "f32":
        noise = random.integers(0, 2**32, 80).astype(np.uint32).view(np.float32)
        narrow = (random.standard_normal(60) * 2.0 ** random.integers(-28, 18, 60)).astype(np.float32)
    else:
        special = special.astype(DTYPES[name])
        noise = random.integers(0, 2**16, 80).astype(np.uint16).view(DTYPES[name])
        narrow = noise[:0]
    x = np.concatenate([special, noise, narrow])
    tiny = np.abs(x.astype(np.float64))
    return x[~((tiny > 0) & (tiny < 2.0**-126))]


def casts():
    random = np.random.default_rng(5)
    rows = []
    for source in DTYPES:
        x = sources(source, random)
        for target, dtype in DTYPES.items():
            if source != target:
                y = jax.jit(lambda v: v.astype(dtype))(x)
                rows.append({"from": source, "to": target, "in": bits(source, x), "out": bits(target, y)})
    return rows


def promotion():
    """The dtype of the result, a * for a weak one, of functions of two arrays, scalars or weak arrays."""
    operands = {name: jnp.ones(1, dtype) for name, dtype in DTYPES.items()}
    operands |= {"2": 2, "2.5": 2.5, "True": True, "weak i32": jnp.asarray(2), "weak f32": jnp.asarray(2.5)}
    functions = {
        "add": jnp.add,
        "mul": jnp.multiply,
        "div": jnp.true_divide,
        "maximum": jnp.maximum,
        "equal": jnp.equal,
        "where": lambda a, b: jnp.where(jnp.array([True]), a, b),
        "matmul": lambda a, b: jnp.multiply(a, b) if jnp.ndim(a) == 0 or jnp.ndim(b) == 0 else jnp.matmul(a, b),
    }
    single = {
        "exp": jnp.exp,
        "neg": jnp.negative,
        "abs": jnp.abs,
        "sum": jnp.sum,
        "max": jnp.max,
        "mean": jnp.mean,
        "argmax": jnp.argmax,
        "reshape": lambda x: jnp.reshape(x, (1, 1)),
        "zerosLike": jnp.zeros_like,
        "cast to its own": lambda x: x.astype(x.dtype),
    }

    def named(f, *args):
        try:
            out = f(*args)
        except (TypeError, ValueError, OverflowError) as error:
            return type(error).__name__
        return f"{out.dtype}*" if out.weak_type else str(out.dtype)

    arrays = {k: v for k, v in operands.items() if hasattr(v, "dtype")}
    return {
        "pairs": {
            name: {a: {b: named(f, x, y) for b, y in operands.items()} for a, x in operands.items()}
            for name, f in functions.items()
        },
        "single": {name: {k: named(f, v) for k, v in arrays.items()} for name, f in single.items()},
    }


def rounded():
    """Numbers in double precision as arrays of 16 bits: once rounded, ties to even."""
    numbers = [0.1, -1 / 3, 1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-11, 1 + 3 * 2**-11, 65519.9, 65520, 1e39, 3e-8, 2.9e-8, 7e-8]
    return {
        "numbers": numbers,
        "f16": bits("f16", np.array(numbers, np.float64).astype(np.float16)),
        "bf16": bits("bf16", np.array(numbers, np.float64).astype(np.float32).astype(jnp.bfloat16)),
    }


def arithmetic():
    """Operations on 16-bit arrays of the CPU backend: sums and products are accumulated in f32."""
    random = np.random.default_rng(11)
    table = {}
    for name in ("f16", "bf16"):
        x, y = (jnp.asarray(random.standard_normal((4, 6)), DTYPES[name]) for _ in range(2))
        v = lambda a: {"shape": list(a.shape), "bits": bits(name, a.ravel())}  # noqa: E731
        table[name] = {
            "in": [v(x), v(y)],
            "out": {
                "add": v(x + y),
                "mul": v(x * y),
                "div": v(x / y),
                "exp": v(jnp.exp(x)),
                "tanh": v(jnp.tanh(x)),
                "sum": v(jnp.sum(x, axis=0)),
                "mean": v(jnp.mean(x, axis=1)),
                "var": v(jnp.var(x, axis=1)),
                "max": v(jnp.max(x, axis=1)),
                "softmax": v(jax.nn.softmax(x)),
                "matmul": v(x @ y.T),
                "grad of sum(tanh(x) y)": v(jax.grad(lambda x: jnp.sum(jnp.tanh(x) * y))(x)),
                "grad of sum(sin(f32(x)))": v(jax.grad(lambda x: jnp.sum(jnp.sin(x.astype(jnp.float32))))(x)),
            },
        }
    return table


def main():
    write(
        "dtypes.json",
        {
            "about": "casts as bit patterns, promotion and 16-bit arithmetic of jnp, x64 off, CPU",
            "versions": versions("jax", "jaxlib", "numpy"),
            "cast": casts(),
            "promotion": promotion(),
            "rounded": rounded(),
            "arithmetic": arithmetic(),
        },
    )


if __name__ == "__main__":
    main()
