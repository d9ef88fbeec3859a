"""jnp values and gradients at corners -> ops.json

Every input goes in as an argument under jit, because constants fold
differently. Gradients are of the sum of the output, so each is elementwise.
Denormal inputs are left out (XLA on the CPU flushes them), and a check refuses
denormal outputs. Integer results whose name says "xla-cpu" are
implementation-defined in XLA: division by zero and INT_MIN / -1.

Run: python ops.py
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from common import array, scalars, versions, write

jax.config.update("jax_platforms", "cpu")
F, I, U = np.float32, np.int32, np.uint32
INF, NAN = float("inf"), float("nan")
I_MIN, I_MAX, U_MAX = -(2**31), 2**31 - 1, 2**32 - 1


def normal(values):
    values = np.asarray(values)
    if values.dtype == F:
        tiny = (values != 0) & (np.abs(values) < np.finfo(F).tiny)
        assert not tiny.any(), values[tiny]
    return array(values)


def value(f, *args):
    return normal(jax.jit(f)(*args))


def grads(f, *args):
    """The gradient of sum(f) with respect to each argument."""
    total = jax.jit(jax.grad(lambda *a: f(*a).sum(), argnums=tuple(range(len(args)))))
    return [normal(g) for g in total(*args)]


def with_grad(f, *args, **head):
    args = [np.asarray(a, F) for a in args]
    return {**head, "in": [normal(a) for a in args], "out": value(f, *args), "grad": grads(f, *args)}


UNARY_INPUTS = [
    *(-INF, -200, -87, -20, -4, -2.5, -2, -1.5, -1, -0.5, -0.0078125, -0.0),
    *(0.0, 0.0078125, 0.5, 1, 1.5, 2, 2.5, 4, 20, 80, 87, 88.5, 89, 200, INF, NAN),
]
ANGLES = [0.0, -0.0, 0.5, -0.5, 1.5703125, 3.140625, 6.28125, 100, -1000, 12345.5, 1e6, INF, -INF, NAN]


def unary():
    whole = {
        "exp": jnp.exp,
        "expm1": jnp.expm1,
        "log": jnp.log,
        "log1p": jnp.log1p,
        "sqrt": jnp.sqrt,
        "rsqrt": lax.rsqrt,
        "square": jnp.square,
        "reciprocal": lambda x: 1 / x,
        "neg": jnp.negative,
        "tanh": jnp.tanh,
        "abs": jnp.abs,
        "sign": jnp.sign,
        "floor": jnp.floor,
        "ceil": jnp.ceil,
        "round": jnp.round,
        "relu": jax.nn.relu,
    }
    # The left tail of these runs through denormals, so -87 is left out.
    inner = {
        "logistic": jax.nn.sigmoid,
        "softplus": jax.nn.softplus,
        "silu": jax.nn.silu,
        "log_sigmoid": jax.nn.log_sigmoid,
    }
    short = [x for x in UNARY_INPUTS if abs(x) not in (80, 87, 88.5, 89)]
    gelu = [x for x in UNARY_INPUTS if -3 < x < 30]
    return {
        **{name: with_grad(f, UNARY_INPUTS) for name, f in whole.items()},
        **{name: with_grad(f, short) for name, f in inner.items()},
        "erf": with_grad(jax.scipy.special.erf, gelu),
        "gelu_tanh": with_grad(lambda x: jax.nn.gelu(x, approximate=True), gelu),
        "gelu_exact": with_grad(lambda x: jax.nn.gelu(x, approximate=False), gelu),
        "sin": with_grad(jnp.sin, ANGLES),
        "cos": with_grad(jnp.cos, ANGLES),
    }


def binary():
    ties = (
        [1, 1, 2, -3, 0.0, -0.0, 0.0, INF, -INF, NAN, 1, NAN],
        [1, 2, 1, -3, -0.0, 0.0, 0.0, INF, 1, 1, NAN, NAN],
    )
    over = (
        [7, -7, 7, -7, 1, -1, 0, 0.0, 1, INF, INF, 5.5, -5.5],
        [2, 2, -2, -2, 0, 0, 0, 3, INF, 2, INF, 1.25, 1.25],
    )
    power = (
        [50, -2, 0, 0, 0, 2, 2, -2, 1, NAN, 4, 0.25, 0, INF, -2, 9, -8],
        [2, 3, 0, 2, 0.5, 0, -1, 0.5, NAN, 0, 0.5, -1.5, -1, 0, -3, 1, 2],
    )
    return {
        "maximum": with_grad(jnp.maximum, *ties),
        "minimum": with_grad(jnp.minimum, *ties),
        "div": with_grad(jnp.divide, *over),
        "pow": with_grad(jnp.power, *power),
        "rem (lax.rem)": with_grad(lax.rem, *over),
        "remainder (jnp, floored)": with_grad(jnp.remainder, *over),
        "floor_divide (jnp)": {
            "in": [normal(np.array(a, F)) for a in over],
            "out": value(jnp.floor_divide, *(np.array(a, F) for a in over)),
        },
        "logaddexp": with_grad(
            jnp.logaddexp, [-INF, -INF, INF, INF, 0, 100, 1], [-INF, 0, INF, 0, 0, -100, NAN]
        ),
        "clip to [-1, 1]": with_grad(lambda x: jnp.clip(x, -1.0, 1.0), [-2, -1, -0.5, 0, 1, 2, NAN, INF]),
        "integer_pow 3": with_grad(lambda x: x**3, [-2, -1, 0, 0.5, 50]),
        "integer_pow -1": with_grad(lambda x: x**-1, [-2, 0.5, 4, 0]),
    }


def integers():
    pairs = [
        (7, 2),
        (-7, 2),
        (7, -2),
        (-7, -2),
        (0, 3),
        (-1, 3),
        (1, I_MAX),
        (I_MIN, 1),
        (I_MIN, 2),
        (I_MAX, -1),
    ]
    odd = [(1, 0), (-1, 0), (0, 0), (I_MIN, -1)]
    u_pairs = [(7, 2), (U_MAX, 2), (2**31, 3), (0, 5), (U_MAX, U_MAX), (1, U_MAX)]
    wrap = [(I_MAX, 1), (I_MIN, -1), (65536, 65536), (123456789, 987654321), (-5, 3)]
    u_wrap = [(U_MAX, 1), (0, 1), (65536, 65536), (3000000000, 3000000000)]
    shifts = [(1, 0), (1, 31), (-1, 1), (-8, 1), (I_MIN, 31), (12345, 4), (-12345, 4)]
    far = [(1, 32), (-1, 32), (-8, 40), (5, -1)]
    u_shifts = [(1, 0), (1, 31), (U_MAX, 1), (2**31, 31), (12345, 4)]
    u_far = [(1, 32), (U_MAX, 32), (U_MAX, 40)]
    quotient = {
        "lax.div": lax.div,
        "lax.rem": lax.rem,
        "floor_divide": jnp.floor_divide,
        "remainder": jnp.remainder,
    }
    wrapping = {"add": jnp.add, "sub": jnp.subtract, "mul": jnp.multiply}
    shifting = {
        "shift_left": lax.shift_left,
        "shift_right_arithmetic": lax.shift_right_arithmetic,
        "shift_right_logical": lax.shift_right_logical,
        "jnp right_shift": jnp.right_shift,
    }
    bitwise = {
        "and": jnp.bitwise_and,
        "or": jnp.bitwise_or,
        "xor": jnp.bitwise_xor,
        "maximum": jnp.maximum,
        "minimum": jnp.minimum,
    }

    def table(functions, rows, dtype):
        a, b = (np.array(column, dtype) for column in zip(*rows))
        return {"in": [array(a), array(b)], **{name: value(f, a, b) for name, f in functions.items()}}

    def single(dtype, rows):
        x = np.array(rows, dtype)
        functions = {
            "neg": jnp.negative,
            "abs": jnp.abs,
            "sign": jnp.sign,
            "not": jnp.bitwise_not,
            "square": jnp.square,
        }
        counts = {"popcount": lax.population_count, "clz": lax.clz}
        return {"in": [array(x)], **{name: value(f, x) for name, f in {**functions, **counts}.items()}}

    return {
        "quotient": {"i32": table(quotient, pairs, I), "u32": table(quotient, u_pairs, U)},
        "quotient (xla-cpu, implementation-defined)": {
            "i32": table(quotient, odd, I),
            "u32": table(quotient, [(1, 0), (0, 0)], U),
        },
        "wrapping": {"i32": table(wrapping, wrap, I), "u32": table(wrapping, u_wrap, U)},
        "shift": {"i32": table(shifting, shifts, I), "u32": table(shifting, u_shifts, U)},
        "shift by the width or more": {"i32": table(shifting, far, I), "u32": table(shifting, u_far, U)},
        "bitwise": {
            "i32": table(bitwise, [(-1, 7), (12, 10), (I_MIN, I_MAX)], I),
            "u32": table(bitwise, [(U_MAX, 7), (12, 10)], U),
        },
        "unary": {"i32": single(I, [0, 1, -1, 7, I_MIN, I_MAX]), "u32": single(U, [0, 1, 2**31, U_MAX])},
        "true_divide": {
            "i32": table({"out": jnp.true_divide}, [(7, 2), (-7, 2), (1, 0), (0, 0), (-1, 0)], I)
        },
    }


def casts():
    floats = [
        0,
        -0.0,
        0.5,
        -0.5,
        0.99,
        1.5,
        -1.5,
        2.5,
        -2.5,
        2147483520,
        2147483648,
        -2147483648,
        4294967040,
        4294967296,
        1e10,
        -1e10,
        INF,
        -INF,
        NAN,
    ]
    ints = [0, 1, -1, 16777217, -16777217, I_MAX, I_MIN]
    uints = [0, 1, 16777217, 2**31, U_MAX]
    sources = {
        "f32": np.array(floats, F),
        "i32": np.array(ints, I),
        "u32": np.array(uints, U),
        "bool": np.array([False, True]),
    }
    targets = {"f32": jnp.float32, "i32": jnp.int32, "u32": jnp.uint32, "bool": jnp.bool_}
    rows = []
    for source, x in sources.items():
        for target, dtype in targets.items():
            if source != target:
                rows.append(
                    {
                        "from": source,
                        "to": target,
                        "in": normal(x),
                        "out": value(lambda v: v.astype(dtype), x),
                    }
                )
    bits = np.array([0, -0.0, 1, -1, INF, -INF], F)
    rows.append(
        {
            "from": "f32",
            "to": "i32",
            "bitcast": True,
            "in": array(bits),
            "out": value(lambda v: lax.bitcast_convert_type(v, jnp.int32), bits),
        }
    )
    grad = grads(lambda v: v.astype(jnp.int32).astype(jnp.float32), np.array([1.5], F))
    rows.append(
        {
            "from": "f32",
            "to": "i32",
            "through": "f32",
            "in": array(np.array([1.5], F)),
            "out": array(np.array([1], F)),
            "grad": grad,
        }
    )
    return rows


def reductions():
    vectors = [
        [1, 3, 3, 2],
        [5, 5, 5, 5],
        [1, 2, 3, 4],
        [-INF, -INF],
        [INF, 1, INF],
        [1, NAN, 2],
        [0.0, -0.0],
    ]
    matrix = np.array([[1, 2, 2], [4, 4, 4], [0, -1, 0]], F)
    tops = [
        [1, 3, 3],
        [NAN, 1, NAN],
        [1, NAN, 5],
        [-INF, -INF],
        [0.0, -0.0],
        [-0.0, 0.0],
        [INF, NAN],
        [2, 1, 1],
    ]
    logs = [
        [-INF, -INF],
        [-INF, 0],
        [INF, 1],
        [INF, INF],
        [INF, -INF],
        [1000, 1000],
        [-1000, -1000],
        [0, 0, 0],
        [1, 2, 3],
        [NAN, 0],
        [-INF],
    ]
    soft = [[1, 2, 3], [1000, 0, -1000], [-INF, 0, 0], [-INF, -INF], [INF, 0], [NAN, 0]]
    weights = np.array([1, -2, 0.5], F)

    def weighted(f):
        return lambda x: f(x) * weights[: x.shape[-1]]

    def axis(f, a):
        return {"axis": a, **with_grad(lambda x: f(x, axis=a), matrix)}

    return {
        "max": [with_grad(jnp.max, v) for v in vectors] + [axis(jnp.max, a) for a in (0, 1, None)],
        "min": [with_grad(jnp.min, v) for v in vectors] + [axis(jnp.min, a) for a in (0, 1, None)],
        "prod": [with_grad(jnp.prod, v) for v in ([2, 3, 4], [2, 0, 4], [0, 0, 4], [2])],
        "mean": [with_grad(jnp.mean, v) for v in ([1, 2, 4], [INF, -INF], [3])],
        "var": [with_grad(jnp.var, v) for v in ([1, 2, 4], [3, 3], [5])],
        "std": [with_grad(jnp.std, v) for v in ([1, 2, 4], [3, 3])],
        "norm": [with_grad(jnp.linalg.norm, v) for v in ([3, 4], [0, 0])],
        "cumsum": [with_grad(jnp.cumsum, [1, 2, 3])],
        "argmax": [{"in": array(np.array(v, F)), "out": value(jnp.argmax, np.array(v, F))} for v in tops],
        "argmin": [{"in": array(np.array(v, F)), "out": value(jnp.argmin, np.array(v, F))} for v in tops],
        "sort": [
            {
                "in": array(np.array(v, F)),
                "out": value(jnp.sort, np.array(v, F)),
                "argsort": value(jnp.argsort, np.array(v, F)),
            }
            for v in ([3, 1, 2, 1], [NAN, 1, -INF, INF], [0.0, -0.0, 0.0])
        ],
        "logsumexp": [with_grad(jax.scipy.special.logsumexp, v) for v in logs],
        "softmax weighted by [1, -2, 0.5]": [with_grad(weighted(jax.nn.softmax), v) for v in soft],
        "log_softmax weighted by [1, -2, 0.5]": [with_grad(weighted(jax.nn.log_softmax), v) for v in soft],
        "empty": {
            "sum": value(jnp.sum, np.zeros((0,), F)),
            "prod": value(jnp.prod, np.zeros((0,), F)),
            "mean": value(jnp.mean, np.zeros((0,), F)),
        },
    }


def select():
    x = [-1, 0, 4, INF, NAN]
    return {
        "where(x > 0, sqrt(x), 0)": with_grad(lambda v: jnp.where(v > 0, jnp.sqrt(v), 0.0), x),
        "where(x > 0, log(x), 0)": with_grad(lambda v: jnp.where(v > 0, jnp.log(v), 0.0), x),
        "where(x != 0, 1 / x, 0)": with_grad(lambda v: jnp.where(v != 0, 1 / v, 0.0), x),
        "where(x > 0, sqrt(where(x > 0, x, 1)), 0)": with_grad(
            lambda v: jnp.where(v > 0, jnp.sqrt(jnp.where(v > 0, v, 1.0)), 0.0), x
        ),
        "where([true, false], a, b)": with_grad(
            lambda a, b: jnp.where(np.array([True, False]), a, b), [1, NAN], [NAN, 2]
        ),
    }


def compare():
    a = np.array([1, 1, 2, NAN, NAN, 0.0, INF, -INF], F)
    b = np.array([1, 2, 1, 1, NAN, -0.0, INF, INF], F)
    functions = {
        "eq": jnp.equal,
        "ne": jnp.not_equal,
        "lt": jnp.less,
        "le": jnp.less_equal,
        "gt": jnp.greater,
        "ge": jnp.greater_equal,
    }
    tests = {"isnan": jnp.isnan, "isfinite": jnp.isfinite, "isinf": jnp.isinf}
    return {
        "in": [array(a), array(b)],
        **{name: value(f, a, b) for name, f in functions.items()},
        **{f"{name}(a)": value(f, a) for name, f in tests.items()},
    }


def indexing():
    """Reads and writes outside the array, and duplicate indices."""
    x = np.array([10, 20, 30], F)
    at = np.array([0, 2, 3, -1, -3, -4, 2], I)
    rows = {"in": [array(x), array(at)]}
    rows["x[i]"] = {
        "out": value(lambda v, i: v[i], x, at),
        "grad": normal(jax.jit(jax.grad(lambda v, i: v[i].sum()))(x, at)),
    }
    for mode in ("clip", "fill"):
        rows[f"x.at[i].get({mode})"] = {"out": value(lambda v, i: v.at[i].get(mode=mode), x, at)}
    for mode in ("clip", "fill", "wrap"):
        rows[f"take(x, i, {mode})"] = {"out": value(lambda v, i: jnp.take(v, i, mode=mode), x, at)}
    rows["take(x, i)"] = {"out": value(jnp.take, x, at)}
    rows["x.at[i].add(1)"] = {"out": value(lambda v, i: v.at[i].add(1.0), x, at)}
    rows["x.at[i].max(25)"] = {"out": value(lambda v, i: v.at[i].max(25.0), x, at)}
    rows["one_hot(i, 3)"] = {"out": value(lambda v, i: jax.nn.one_hot(i, 3), x, at)}
    return rows


def promotion():
    """Result dtype of a + b (and other operations) for arrays and Python scalars."""
    typed = {
        "bool": np.array([True]),
        "u32": np.array([1], U),
        "i32": np.array([1], I),
        "f32": np.array([1], F),
    }
    operands = {**{k: jnp.asarray(v) for k, v in typed.items()}, "True": True, "2": 2, "2.5": 2.5}
    functions = {
        "add": jnp.add,
        "mul": jnp.multiply,
        "true_divide": jnp.true_divide,
        "floor_divide": jnp.floor_divide,
        "remainder": jnp.remainder,
        "power": jnp.power,
        "maximum": jnp.maximum,
        "where": lambda a, b: jnp.where(jnp.array([True]), a, b),
    }

    def named(f, *args):
        try:
            out = f(*args)
        except (TypeError, ValueError, OverflowError) as error:
            return type(error).__name__
        return f"{out.dtype}*" if out.weak_type else str(out.dtype)

    pairs = {
        f"{name}": {a: {b: named(f, x, y) for b, y in operands.items()} for a, x in operands.items()}
        for name, f in functions.items()
    }
    single = {
        "sum": jnp.sum,
        "prod": jnp.prod,
        "mean": jnp.mean,
        "max": jnp.max,
        "argmax": jnp.argmax,
        "cumsum": jnp.cumsum,
        "negative": jnp.negative,
        "abs": jnp.abs,
        "exp": jnp.exp,
        "sqrt": jnp.sqrt,
        "sign": jnp.sign,
        "square": jnp.square,
        "floor": jnp.floor,
        "logical_not": jnp.logical_not,
        "invert": jnp.invert,
        "softmax": jax.nn.softmax,
        "relu": jax.nn.relu,
    }
    scalar_cases = {
        "u32 + (-1)": named(jnp.add, operands["u32"], -1),
        "i32 + 2**31": named(jnp.add, operands["i32"], 2**31),
        "bool + bool value": scalars(jnp.add(operands["bool"], operands["bool"])),
        "asarray(2)": named(jnp.asarray, 2),
        "asarray(2.5)": named(jnp.asarray, 2.5),
        "asarray(True)": named(jnp.asarray, True),
        "array([1, 2])": named(jnp.array, [1, 2]),
        "arange(3)": named(jnp.arange, 3),
        "zeros(3)": named(jnp.zeros, 3),
        "full(3, 2)": named(lambda: jnp.full(3, 2)),
    }
    return {
        "note": "a trailing * marks a weak type; True, 2 and 2.5 are Python scalars; an error is named by its class; x64 is off",
        "pairs": pairs,
        "unary": {
            name: {k: named(f, v) for k, v in operands.items() if k in typed} for name, f in single.items()
        },
        "scalars": scalar_cases,
    }


def main():
    write(
        "ops.json",
        {
            "about": "jnp values and gradients (of the sum) at corners, x64 off, CPU",
            "versions": versions("jax", "jaxlib", "numpy"),
            "unary": unary(),
            "binary": binary(),
            "integer": integers(),
            "cast": casts(),
            "reduce": reductions(),
            "select": select(),
            "compare": compare(),
            "index": indexing(),
            "promotion": promotion(),
        },
    )


if __name__ == "__main__":
    main()
