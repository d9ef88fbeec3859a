"""Element-wise functions at special values, and special functions in double precision -> elementwise.json

`unary` and `binary` holds the values of jnp (float32, compiled, as arguments) at zeros, ones, infinities, NaN and very
large and small normal numbers. `activations` holds those of jax.nn with gradients of the sum, computed in float64, for
in float32 some lose their digits. `double` holds scipy's float64 values of the
functions that JavaScript's Math lacks. Denormal results of JAX are written as zeros: adapters may flush them.

Run: python elementwise.py
"""

import jax
import jax.numpy as jnp
import numpy as np
import scipy.special as sp
from jax import lax, nn

from common import array, versions, write

jax.config.update("jax_platforms", "cpu")
F, I, U = np.float32, np.int32, np.uint32
INF, NAN, HUGE, TINY = float("inf"), float("nan"), 3e38, 2e-38

SPECIAL = np.array(
    [0.0, -0.0, 1, -1, INF, -INF, NAN, HUGE, -HUGE, TINY, -TINY, 0.5, -0.5, 2, -2, 2.5, -2.5, 3, 100, -100, 1e5, -1e5], F
)
BASE = [0.0, -0.0, 1, -1, INF, -INF, NAN, HUGE, TINY, 2.5, -2.5]
PAIRS = (np.array([x for x in BASE for _ in BASE], F), np.array([y for _ in BASE for y in BASE], F))


def flushed(values):
    """The array, with denormal numbers as zeros of their sign."""
    values = np.asarray(values)
    if values.dtype == F:
        tiny = np.abs(values) < np.finfo(F).tiny
        values = np.where(tiny, np.copysign(F(0), values), values)
    return array(values)


def values(f, *args):
    return {"in": [flushed(a) for a in args], "out": flushed(jax.jit(f)(*args))}


def with_grad(f, x):
    """Values and gradients computed in double precision, at inputs that are exact in either."""
    with jax.enable_x64(True):
        wide = jnp.asarray(x, jnp.float64)
        out, slope = jax.jit(f)(wide), jax.jit(jax.grad(lambda x: f(x).sum()))(wide)
        out, slope = (np.asarray(y).astype(F) for y in (out, slope))
    return {"in": [flushed(x)], "out": flushed(out), "grad": [flushed(slope)]}


UNARY = {
    "neg": jnp.negative, "abs": jnp.abs, "sign": jnp.sign, "floor": jnp.floor, "ceil": jnp.ceil, "round": jnp.round,
    "trunc": jnp.trunc, "exp": jnp.exp, "exp2": jnp.exp2, "expm1": jnp.expm1, "log": jnp.log, "log1p": jnp.log1p,
    "log2": jnp.log2, "log10": jnp.log10, "sqrt": jnp.sqrt, "rsqrt": lax.rsqrt, "cbrt": jnp.cbrt, "square": jnp.square,
    "reciprocal": jnp.reciprocal, "sin": jnp.sin, "cos": jnp.cos, "tan": jnp.tan, "asin": jnp.arcsin,
    "acos": jnp.arccos, "atan": jnp.arctan, "sinh": jnp.sinh, "cosh": jnp.cosh, "tanh": jnp.tanh,
    "asinh": jnp.arcsinh, "acosh": jnp.arccosh, "atanh": jnp.arctanh, "erf": jax.scipy.special.erf,
    "erfc": jax.scipy.special.erfc, "erfInv": jax.scipy.special.erfinv, "lgamma": jax.scipy.special.gammaln,
    "digamma": jax.scipy.special.digamma, "logistic": jax.nn.sigmoid, "isNan": jnp.isnan, "isInf": jnp.isinf,
    "isFinite": jnp.isfinite, "nanToNum": jnp.nan_to_num, "logicalNot": jnp.logical_not,
}  # fmt: skip
BINARY = {
    "add": jnp.add, "sub": jnp.subtract, "mul": jnp.multiply, "div": jnp.divide, "pow": jnp.power, "rem": lax.rem,
    "mod": jnp.mod, "floorDivide": jnp.floor_divide, "maximum": jnp.maximum, "minimum": jnp.minimum,
    "atan2": jnp.arctan2, "hypot": jnp.hypot, "logAddExp": jnp.logaddexp, "logAddExp2": jnp.logaddexp2,
    "copysign": jnp.copysign, "heaviside": jnp.heaviside, "equal": jnp.equal, "notEqual": jnp.not_equal,
    "less": jnp.less, "lessEqual": jnp.less_equal, "greater": jnp.greater, "greaterEqual": jnp.greater_equal,
    "logicalAnd": jnp.logical_and, "logicalOr": jnp.logical_or, "logicalXor": jnp.logical_xor,
}  # fmt: skip
ACTIVATIONS = {
    "relu": nn.relu, "relu6": nn.relu6, "leakyRelu": nn.leaky_relu, "elu": nn.elu, "selu": nn.selu, "celu": nn.celu,
    "gelu": nn.gelu, "gelu, exact": lambda x: nn.gelu(x, approximate=False), "silu": nn.silu, "softplus": nn.softplus,
    "sigmoid": nn.sigmoid, "logSigmoid": nn.log_sigmoid, "hardTanh": nn.hard_tanh, "mish": nn.mish,
    "softSign": nn.soft_sign, "squareplus": nn.squareplus, "glu": nn.glu,
    "leakyRelu, slope 0.25": lambda x: nn.leaky_relu(x, 0.25), "elu, alpha 0.5": lambda x: nn.elu(x, 0.5),
    "celu, alpha 2": lambda x: nn.celu(x, 2.0), "squareplus, b 1": lambda x: nn.squareplus(x, 1.0),
}  # fmt: skip
POINTS = np.array([-INF, -4, -2.5, -1, -0.5, -0.0078125, 0, -0.0, 0.0078125, 0.5, 1, 3, 6, 20, 200, INF, NAN, 0.25], F)
INTEGERS = {
    "i32": np.array([0, 1, -1, 2, -2, 7, -7, 100, 2**31 - 1, -(2**31), 123456789], I),
    "u32": np.array([0, 1, 2, 3, 7, 33, 100, 2**31, 2**32 - 1, 123456789], U),
}
INTEGER_UNARY = {
    "abs": jnp.abs, "sign": jnp.sign, "bitwiseNot": jnp.bitwise_not, "populationCount": lax.population_count,
    "countLeadingZeros": lax.clz, "floor": jnp.floor, "round": jnp.round, "logicalNot": jnp.logical_not,
}  # fmt: skip
INTEGER_BINARY = {
    "rem": lax.rem, "mod": jnp.mod, "floorDivide": jnp.floor_divide, "pow": jnp.power, "maximum": jnp.maximum,
    "minimum": jnp.minimum, "shiftLeft": lax.shift_left, "shiftRight": jnp.right_shift,
    "shiftRightLogical": lax.shift_right_logical, "less": jnp.less, "greaterEqual": jnp.greater_equal,
    "logicalAnd": jnp.logical_and, "logicalXor": jnp.logical_xor,
}  # fmt: skip
BOOLS = (np.array([False, False, True, True]), np.array([False, True, False, True]))
BOOL_BINARY = {
    "add": jnp.add, "mul": jnp.multiply, "maximum": jnp.maximum, "minimum": jnp.minimum, "less": jnp.less,
    "logicalXor": jnp.logical_xor, "bitwiseXor": jnp.bitwise_xor,
}  # fmt: skip


def integers():
    found = {}
    for dtype, xs in INTEGERS.items():
        a, b = (np.ravel(m) for m in np.meshgrid(xs, xs))
        found[dtype] = {
            "unary": {name: values(f, xs) for name, f in INTEGER_UNARY.items()},
            "binary": {name: values(f, a, b) for name, f in INTEGER_BINARY.items()},
        }
    return found


def double():
    """float64 values at float32 inputs, a few hundred for each function."""
    line = np.concatenate([np.linspace(-6, 6, 97), np.linspace(0.01, 3, 50)]).astype(F)
    positive = np.concatenate([np.geomspace(1e-6, 1e6, 60), np.linspace(0.9, 2.1, 41)]).astype(F)
    negative = np.linspace(-7.9, -0.1, 53).astype(F)
    inner = np.concatenate([np.linspace(-0.99, 0.99, 67), [0.9999, -0.99999, 0.999999, 1e-10]]).astype(F)
    both = np.concatenate([positive, negative])
    table = {
        "erf": (sp.erf, line),
        "erfc": (sp.erfc, np.concatenate([line, np.linspace(3, 9, 30).astype(F)])),
        "erfInv": (sp.erfinv, inner),
        "lgamma": (sp.gammaln, both),
        "digamma": (sp.digamma, both),
        "trigamma": (lambda x: sp.polygamma(1, x), positive),
        "polygamma 4": (lambda x: sp.polygamma(4, x), positive),
    }
    return {
        name: {"in": array(x), "out": array(np.asarray(f(x.astype(np.float64)), np.float64))}
        for name, (f, x) in table.items()
    }


if __name__ == "__main__":
    write(
        "elementwise.json",
        {
            "about": "made by elementwise.py; see README.md",
            "versions": versions("jax", "jaxlib", "numpy", "scipy"),
            "unary": {name: values(f, SPECIAL) for name, f in UNARY.items()},
            "binary": {name: values(f, *PAIRS) for name, f in BINARY.items()},
            "activations": {
                # at -inf squareplus is NaN in JAX, and 0 in the limit
                name: with_grad(f, np.where(np.isneginf(POINTS) & ("squareplus" in name), F(-20), POINTS))
                for name, f in ACTIVATIONS.items()
            },
            "integers": integers(),
            "bools": {name: values(f, *BOOLS) for name, f in BOOL_BINARY.items()},
            "double": double(),
        },
    )
