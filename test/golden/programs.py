"""Small whole programs of JAX, and what they give -> programs.json

Each function below is a program; its name without the underscores is the name
of its counterpart in ../golden-programs. Float inputs are distinct multiples
of 1/128, drawn by a generator seeded with the name; constants are exact in
float32. "out" are the leaves of what it returns, computed in float32; "out64"
the floats among them, computed in float64 by a second process. Programs whose
numbers are float32 by definition (random) have no "out64".

Run: python programs.py            writes programs.json
     python programs.py WORD...    prints the programs whose names have a word
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import zlib
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import grad, hessian, jacfwd, jacrev, jvp, lax, linearize, vjp, vmap
from jax import random as rnd

from common import array, scalars, versions, write

X64 = "--x64" in sys.argv
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_enable_x64", X64)

PROGRAMS = {}


def F(*shape, low=-2, high=2):
    """Distinct multiples of 1/128 between low and high, none of them whole or half."""
    grid = np.arange(int(low * 128) + 1, int(high * 128)) / 128
    grid = grid[grid % 0.5 != 0]
    return lambda g: g.permutation(grid)[: int(np.prod(shape, dtype=int))].reshape(shape).astype(np.float32)


def P(*shape):
    return F(*shape, low=0.25, high=2.5)


def I(*shape, low=0, high=4):
    return lambda g: g.integers(low, high, shape).astype(np.int32)


def B(*shape):
    return lambda g: g.integers(0, 2, shape).astype(bool)


def X(values, dtype=np.float32):
    return lambda g: np.asarray(values, dtype)


def K(seed=7):
    return lambda g: np.array([0, seed], np.uint32)


def program(group, *inputs):
    def register(f):
        name = f.__name__.strip("_").replace("_", " ")
        assert name not in PROGRAMS, name
        generator = np.random.default_rng(zlib.crc32(name.encode()))
        PROGRAMS[name] = (group, f, [draw(generator) for draw in inputs])
        return f

    return register


# ---- functions that programs are about


def wave(x):
    return jnp.sin(x) * jnp.tanh(x)


def bowl(x):
    return jnp.sum(jnp.sin(x) * x**2)


def twist(x):
    a, b, c = x
    return jnp.stack([a * b, jnp.sin(c), b**3, jnp.exp(a / 4) * c])


# ---- transforms

transforms = partial(program, "transforms")


@transforms(F(4), F(4))
def grad_of_vmap_of_jvp(x, t):
    return grad(lambda x: jnp.sum(vmap(lambda x, t: jvp(wave, (x,), (t,))[1])(x, t)))(x)


@transforms(F(), F())
def jvp_of_grad_of_grad(x, t):
    return jvp(grad(grad(wave)), (x,), (t,))


@transforms(F(3, 4), F(4))
def vmap_of_grad_of_vmap(x, w):
    loss = lambda w, row: jnp.sum(vmap(lambda a, b: jnp.sin(a * b))(row, w) ** 2)
    return vmap(grad(loss), in_axes=(None, 0))(w, x)


@transforms(F(3))
def jacfwd_of_a_vector_function(x):
    return jacfwd(twist)(x)


@transforms(F(3))
def jacrev_of_a_vector_function(x):
    return jacrev(twist)(x)


@transforms(F(3))
def hessian_of_a_scalar_function(x):
    return hessian(lambda x: bowl(x) * jnp.sum(x))(x)


@transforms(F(3))
def jacfwd_of_jacrev(x):
    return jacfwd(jacrev(twist))(x)


@transforms(F(3))
def jacrev_of_jacrev(x):
    return jacrev(jacrev(twist))(x)


@transforms(F(3))
def jacrev_of_jacfwd(x):
    return jacrev(jacfwd(twist))(x)


@transforms(F(2), F(2, 2))
def hessian_of_a_tree(a, b):
    f = lambda p: jnp.sum(jnp.tanh(p["b"] @ p["a"])) + jnp.sum(p["a"] ** 3)
    return hessian(f)({"a": a, "b": b})


@transforms(F(2), F(3))
def jacrev_of_two_arguments(x, y):
    return jacrev(lambda x, y: jnp.outer(jnp.sin(x), y), argnums=(0, 1))(x, y)


@transforms(F(2), F(3))
def jacfwd_of_the_second_argument(x, y):
    return jacfwd(lambda x, y: jnp.outer(jnp.sin(x), y * y), argnums=1)(x, y)


@transforms(F(3))
def jacrev_of_a_tree_of_results(x):
    return jacrev(lambda x: {"s": jnp.sum(x * x), "v": [jnp.cos(x), x[::-1] * x]})(x)


@transforms(F(3), F(3), F(3))
def linearize_called_twice(x, s, t):
    y, f = linearize(twist, x)
    return y, f(s), f(t)


@transforms(F(4), F(3, 4))
def linear_transpose_of_a_matrix(ct, m):
    return jax.linear_transpose(lambda x: 2 * (m.T @ x), jax.ShapeDtypeStruct((3,), m.dtype))(ct)


@transforms(F(3))
def vmap_of_a_pullback(x):
    y, pullback = vjp(twist, x)
    return y, vmap(pullback)(jnp.eye(4))


@transforms(F(2), F(2), F(2))
def vjp_of_a_tree(a, b, ct):
    y, pullback = vjp(lambda p: {"m": p["a"] * p["b"], "s": jnp.sum(jnp.sin(p["a"]))}, {"a": a, "b": b})
    return y, pullback({"m": ct, "s": jnp.sum(ct)})


@transforms(F(2, 3), F(3), F(4, 2))
def value_and_grad_of_a_tree(w, b, x):
    loss = lambda p, x: jnp.mean(jnp.tanh(x @ p["w"] + p["b"]) ** 2)
    return jax.value_and_grad(loss)({"w": w, "b": b}, x)


@transforms(F(3), F(3), F(3))
def grad_of_several_arguments(x, y, z):
    return grad(lambda x, y, z: jnp.sum(x * jnp.sin(y) * z**2), argnums=(2, 0))(x, y, z)


@transforms(F(4))
def grad_with_aux(x):
    return grad(lambda x: (bowl(x), {"n": jnp.sum(x * x), "y": wave(x)}), has_aux=True)(x)


@transforms(F(3), F(3))
def value_and_grad_with_aux_under_vmap(x, y):
    f = lambda x, y: (x * y * y, x + y)
    return vmap(jax.value_and_grad(f, argnums=1, has_aux=True))(x, y)


@transforms(F(), F())
def perturbations_are_not_confused(x, y):
    return grad(lambda x: x * grad(lambda y: x * jnp.sin(y))(y))(x)


@transforms(F(), F())
def perturbations_are_not_confused_forward(x, y):
    one = jnp.ones_like(x)
    inner = lambda x: jvp(lambda y: x * x * y**3, (y,), (one,))[1]
    return jvp(lambda x: x * inner(x), (x,), (one,))


@transforms(F())
def fourth_derivative(x):
    return grad(grad(grad(grad(wave))))(x)


@transforms(F(2, 3), F(3, 4))
def vmap_with_axes(x, y):
    return vmap(lambda a, b: jnp.outer(jnp.sin(a), b), in_axes=(1, 0), out_axes=2)(x, y)


@transforms(F(3), F(4))
def vmap_of_vmap(x, y):
    f = lambda a, b: jnp.exp(-((a - b) ** 2))
    return vmap(vmap(f, in_axes=(None, 0)), in_axes=(0, None), out_axes=1)(x, y)


@transforms(F(3, 2), F(2))
def vmap_over_a_tree(x, b):
    f = lambda p, s: {"y": p["x"] * p["b"] + s, "z": jnp.sum(p["b"])}
    return vmap(f, in_axes=({"x": 0, "b": None}, None))({"x": x, "b": b}, jnp.max(b))


@transforms(F(2, 3))
def vmap_of_jacrev(x):
    return vmap(jacrev(twist))(x)


@transforms(F(2, 3))
def vmap_of_hessian(x):
    return vmap(hessian(bowl))(x)


@transforms(F(3), F(3), F(3))
def grad_of_a_pushforward(x, t, c):
    f = lambda x: jnp.sum(c[:3] * linearize(wave, x)[1](t))
    return grad(f)(x)


@transforms(F(3), F(3))
def grad_with_respect_to_a_tangent(x, t):
    return grad(lambda t: jnp.sum(jvp(lambda x: wave(x) * x, (x,), (t,))[1] ** 2))(t)


@transforms(F(3), F(3))
def jvp_of_jvp(x, t):
    first = lambda x: jvp(bowl, (x,), (t,))[1]
    return jvp(first, (x,), (t,))


@transforms(F(4))
def grad_past_stop_gradient(x):
    return grad(lambda x: jnp.sum(x * lax.stop_gradient(jnp.sin(x)) + lax.stop_gradient(x) ** 2 * jnp.cos(x)))(x)


@transforms(F(4), F())
def grad_of_an_argument_that_is_not_used(x, y):
    return grad(lambda x, y: jnp.sum(jnp.sin(x)), argnums=(0, 1))(x, y)


@transforms(F(3), F(3))
def jit_inside_grad_inside_vmap(x, y):
    f = jax.jit(lambda x, y: jnp.sin(x) * y)
    return vmap(grad(lambda x, y: jax.jit(lambda x: f(x, y) ** 2)(x)))(x, y)


@transforms(F(3), F(2, 3))
def jvp_of_vmap_of_grad(w, x):
    loss = lambda w, x: jnp.sum(jnp.tanh(w * x)) ** 2
    f = lambda w: vmap(grad(loss), in_axes=(None, 0))(w, x)
    return jvp(f, (w,), (jnp.ones(3),))


# ---- control flow

control = partial(program, "control flow")


@control(F(5))
def scan_with_results(xs):
    return lax.scan(lambda c, x: (jnp.sin(c + x), c * x), xs[0], xs)


@control(F(4), F())
def grad_of_scan(xs, c):
    def loss(c, xs):
        last, ys = lax.scan(lambda c, x: (jnp.tanh(c * x + 0.5), c * c), c, xs)
        return last + jnp.sum(ys * xs)

    return grad(loss, argnums=(0, 1))(c, xs)


@control(F(5))
def reverse_scan(xs):
    return lax.scan(lambda c, x: (c * 0.5 + x, c - x), jnp.zeros_like(xs[0]), xs, reverse=True)


@control(F(4), F())
def grad_of_reverse_scan(xs, c):
    def loss(c, xs):
        last, ys = lax.scan(lambda c, x: (jnp.sin(c) * x, c + x), c, xs, reverse=True)
        return last * 2 + jnp.sum(ys**2)

    return jax.value_and_grad(loss, argnums=(0, 1))(c, xs)


@control(F(3), F(4, 3), F(4))
def scan_of_trees(a, x, y):
    def body(c, e):
        a = c["a"] * e["y"] + e["x"]
        return {"a": a, "n": c["n"] + 1}, {"s": jnp.sum(a), "t": [c["a"], e["y"]]}

    return lax.scan(body, {"a": a, "n": jnp.int32(0)}, {"x": x, "y": y})


@control(F(3))
def scan_with_a_length(x):
    return lax.scan(lambda c, _: (c * 0.5 + 1, jnp.sum(c)), x, None, length=5)


@control(F(4), F(4), F(), F())
def jvp_of_scan(xs, ts, c, t):
    f = lambda c, xs: lax.scan(lambda c, x: (jnp.cos(c) + x, c * x), c, xs)
    return jvp(f, (c, xs), (t, ts))


@control(F(3, 4), F(3))
def vmap_of_scan(xs, c):
    return vmap(lambda c, xs: lax.scan(lambda c, x: (jnp.tanh(c + x), c * x), c, xs))(c, xs)


@control(F(3, 4), F())
def vmap_of_scan_with_a_shared_carry(xs, c):
    f = lambda c, xs: lax.scan(lambda c, x: (c * 0.5 + x, c), c, xs)
    return vmap(f, in_axes=(None, 0), out_axes=(0, 1))(c, xs)


@control(F(3, 4), F(3))
def vmap_of_grad_of_scan(xs, c):
    loss = lambda c, xs: lax.scan(lambda c, x: (jnp.sin(c * x), None), c, xs)[0] ** 2
    return vmap(grad(loss, argnums=1))(c, xs)


@control(F(3, 4))
def scan_in_scan(xs):
    def outer(c, row):
        inner, ys = lax.scan(lambda d, x: (d * 0.5 + x, d + c), c, row)
        return inner, jnp.sum(ys)

    return lax.scan(outer, jnp.zeros_like(xs[0, 0]), xs)


@control(F(2, 3), F())
def grad_of_scan_in_scan(xs, c):
    def loss(c, xs):
        def outer(c, row):
            inner, ys = lax.scan(lambda d, x: (jnp.tanh(d + x * c), d * x), c, row, reverse=True)
            return inner, jnp.sum(ys)

        last, ys = lax.scan(outer, c, xs)
        return last + jnp.sum(ys**2)

    return grad(loss, argnums=(0, 1))(c, xs)


@control(F(3), F(2))
def hessian_of_scan(xs, w):
    f = lambda w: lax.scan(lambda c, x: (jnp.sin(c * w[0] + x * w[1]), None), w[0], xs)[0]
    return hessian(f)(w)


@control(F(4), F(3, 3), F(3))
def grad_of_a_weight_that_a_scan_captures(xs, w, c):
    def loss(w):
        last, ys = lax.scan(lambda c, x: (jnp.tanh(w @ c + x), jnp.sum(c)), c, xs)
        return jnp.sum(last) + jnp.sum(ys)

    return grad(loss)(w)


@control(F(4), F(4), F())
def linearize_of_scan(xs, ts, c):
    y, f = linearize(lambda xs: lax.scan(lambda c, x: (c * x, jnp.sin(c)), c, xs), xs)
    return y, f(ts)


@control(F(3, 3), F(3))
def scan_of_matrix_powers(m, v):
    return lax.scan(lambda c, _: (m @ c * 0.25, c), v, None, length=4)


@control(X(3, np.int32), F(4))
def scan_with_an_integer_carry(n, xs):
    def body(c, x):
        i, total = c
        return (i * 3 % 7, total + x * i), i

    return lax.scan(body, (n, jnp.zeros_like(xs[0])), xs)


@control(F(3), F(3))
def cond_both_ways(x, y):
    f = lambda p: lax.cond(p, lambda x, y: x * y, lambda x, y: x - y, x, y)
    return f(jnp.sum(x) > 1000), f(jnp.sum(x) < 1000)


@control(F(4), F(4))
def cond_with_a_batched_predicate(x, y):
    return vmap(lambda x, y: lax.cond(x > 0, lambda x: jnp.sin(x), lambda x: x * y, x))(x, y)


@control(F(3, 2), X(True, bool))
def cond_with_batched_operands(x, p):
    return vmap(lambda x: lax.cond(p, lambda x: {"a": x[::-1]}, lambda x: {"a": x * 2}, x))(x)


@control(F(3), F())
def grad_of_cond(x, y):
    f = lambda x, y: lax.cond(y > 0, lambda x, y: jnp.sum(x**2) * y, lambda x, y: jnp.sum(jnp.sin(x)) * y, x, y)
    return grad(f, argnums=(0, 1))(x, y), grad(f, argnums=(0, 1))(x, -y)


@control(F(4), F(4))
def grad_of_vmap_of_cond(x, y):
    f = lambda x, y: lax.cond(x > y, lambda: x * x * y, lambda: jnp.cos(x) + y)
    return grad(lambda x, y: jnp.sum(vmap(f)(x, y)), argnums=(0, 1))(x, y)


@control(F(4), F(4))
def vmap_of_grad_of_cond(x, y):
    return vmap(grad(lambda x, y: lax.cond(y > 0, lambda x: x**3, lambda x: -x, x)))(x, y)


@control(F(5))
def cond_in_scan(xs):
    body = lambda c, x: lax.cond(c > x, lambda c, x: (c * 0.5, x), lambda c, x: (c + x * x, -c), c, x)
    return lax.scan(body, xs[0], xs)


@control(F(4), F())
def grad_of_cond_in_scan(xs, c):
    def loss(c, xs):
        body = lambda c, x: (lax.cond(x > 0, lambda c: jnp.sin(c) * x, lambda c: c * c + x, c), None)
        return lax.scan(body, c, xs)[0]

    return jax.value_and_grad(loss, argnums=(0, 1))(c, xs)


branches = [lambda x: x * 2, jnp.sin, lambda x: x**2 - 1]


@control(F(3))
def switch_of_every_index(x):
    return [lax.switch(jnp.int32(k) + jnp.int32(jnp.sum(x) * 0), branches, x) for k in (-1, 0, 1, 2, 5)]


@control(X([2, 0, 1, 7, -3], np.int32), F(5))
def switch_with_a_batched_index(i, x):
    return vmap(lambda i, x: lax.switch(i, branches, x))(i, x)


@control(X([2, 0, 1], np.int32), F(3))
def grad_of_switch(i, x):
    return vmap(grad(lambda x, i: lax.switch(i, branches, x)))(x, i)


@control(X(100.0))
def while_loop(x):
    return lax.while_loop(lambda s: s[0] > 1, lambda s: (s[0] * 0.5, s[1] + 1), (x, jnp.int32(0)))


@control(X([1, 6, 7, 27], np.int32))
def vmap_of_while_loop(n):
    def collatz(n):
        step = lambda s: (jnp.where(s[0] % 2 == 0, s[0] // 2, 3 * s[0] + 1), s[1] + 1)
        return lax.while_loop(lambda s: s[0] > 1, step, (n, jnp.int32(0)))[1]

    return vmap(collatz)(n)


@control(P(), F())
def jvp_of_while_loop(x, t):
    f = lambda x: lax.while_loop(lambda y: y < 50, lambda y: y * (x + 1.25), x)
    return jvp(f, (x,), (t,))


@control(P(3), F(3))
def vmap_of_jvp_of_while_loop(x, t):
    f = lambda x: lax.while_loop(lambda y: y < 20, lambda y: y * 1.5 + x * x, x)
    return vmap(lambda x, t: jvp(f, (x,), (t,)))(x, t)


@control(P())
def while_loop_of_a_tree(x):
    step = lambda s: {"y": 0.5 * (s["y"] + x / s["y"]), "n": s["n"] + 1}
    return lax.while_loop(lambda s: jnp.abs(s["y"] ** 2 - x) > 2.0**-10, step, {"y": x + 1, "n": jnp.int32(0)})


@control(F(3))
def fori_loop(x):
    return lax.fori_loop(1, 5, lambda i, x: x * 0.5 + i, x)


@control(F(3))
def grad_of_fori_loop(x):
    return grad(lambda x: jnp.sum(lax.fori_loop(0, 4, lambda i, y: jnp.sin(y) + x * i, x)))(x)


@control(X(4, np.int32), F(2), F(2))
def jvp_of_fori_loop_with_bounds_that_are_data(n, x, t):
    return jvp(lambda x: lax.fori_loop(jnp.int32(0), n, lambda i, y: y * x + i, x), (x,), (t,))


@control(X([0, 2, 5], np.int32), F(3))
def vmap_of_fori_loop_with_batched_bounds(n, x):
    return vmap(lambda n, x: lax.fori_loop(0, n, lambda i, y: y * 0.5 + i, x))(n, x)


@control(F(2))
def fori_loop_in_fori_loop(x):
    inner = lambda i, x: lax.fori_loop(0, i, lambda j, y: y + j * x[::-1] * 0.125, x)
    return lax.fori_loop(0, 4, inner, x)


@control(F(4, 3))
def map_of_rows(x):
    return lax.map(lambda row: (jnp.sum(row), jnp.sin(row[::-1])), x)


@control(F(4, 3), F(3))
def grad_of_map(x, w):
    return grad(lambda w: jnp.sum(lax.map(lambda row: jnp.tanh(row @ w), x) ** 2))(w)


@control(P(3))
def while_loop_in_scan(xs):
    def body(c, x):
        y = lax.while_loop(lambda y: y < c + 4, lambda y: y * 1.5 + 0.25, x)
        return c + 0.5, y

    return lax.scan(body, jnp.zeros_like(xs[0]), xs)


@control(P(3))
def scan_in_while_loop(xs):
    def step(s):
        total, n = s
        return lax.scan(lambda c, x: (c + x * 0.5, None), total, xs)[0], n + 1

    return lax.while_loop(lambda s: s[0] < 10, step, (xs[0], jnp.int32(0)))


@control(F(3), F(3, 2))
def vmap_of_a_scan_in_a_cond(p, xs):
    def f(p, xs):
        return lax.cond(p > 0, lambda xs: lax.scan(lambda c, x: (c + x, c), p, xs)[0], lambda xs: jnp.prod(xs), xs)

    return vmap(f)(p, xs), grad(lambda xs: jnp.sum(vmap(f)(p, xs)))(xs)


@control(F(3), F(3))
def vmap_of_grad_of_a_scan_with_a_cond(x, y):
    def f(x, y):
        body = lambda c, k: (lax.cond(c > 0.5, lambda c: c * y, lambda c: c + jnp.sin(y), c), c)
        last, ys = lax.scan(body, x, jnp.arange(3))
        return last + jnp.sum(ys)

    return vmap(grad(f, argnums=(0, 1)))(x, y)


# ---- custom rules

custom = partial(program, "custom rules")


@jax.custom_jvp
def softly(x):
    return jnp.log(1 + jnp.exp(x))


@softly.defjvp
def softly_jvp(primals, tangents):
    (x,), (t,) = primals, tangents
    return softly(x), t * (1 - 1 / (1 + jnp.exp(x)))


@custom(F(4))
def custom_jvp_value_and_grad(x):
    return jax.value_and_grad(lambda x: jnp.sum(softly(x)))(x)


@custom(F(4))
def vmap_of_grad_of_custom_jvp(x):
    return vmap(grad(softly))(x), vmap(grad(grad(softly)))(x)


@custom(F(3), F(3))
def the_rule_of_custom_jvp_is_what_counts(x, y):
    @jax.custom_jvp
    def f(x, y):
        return x * y

    @f.defjvp
    def _(primals, tangents):
        (x, y), (s, t) = primals, tangents
        return f(x, y) + 1, 3 * s * y - t * x * 2

    return f(x, y), jvp(f, (x, y), (y, x)), grad(lambda x, y: jnp.sum(f(x, y)), argnums=(0, 1))(x, y)


@custom(F(3))
def custom_jvp_with_a_function_as_an_argument(x):
    @partial(jax.custom_jvp, nondiff_argnums=(0, 2))
    def apply(f, x, n):
        return f(x) * n

    @apply.defjvp
    def _(f, n, primals, tangents):
        (x,), (t,) = primals, tangents
        return apply(f, x, n), t * n * x

    return grad(lambda x: jnp.sum(apply(jnp.sin, x, 3)))(x), vmap(lambda x: apply(jnp.cos, x, 2))(x)


@custom(F(2), F(2))
def custom_jvp_of_a_tree(a, b):
    @jax.custom_jvp
    def f(p):
        return {"s": p["a"] * p["b"], "d": p["a"] - p["b"]}

    @f.defjvp
    def _(primals, tangents):
        (p,), (t,) = primals, tangents
        return f(p), {"s": t["a"] * p["b"], "d": 2 * t["b"]}

    return jacfwd(f)({"a": a, "b": b}), grad(lambda p: jnp.sum(f(p)["s"] * f(p)["d"]))({"a": a, "b": b})


@custom(F(4), F())
def custom_jvp_in_scan_and_cond(xs, c):
    body = lambda c, x: (lax.cond(x > 0, softly, jnp.sin, c + x), softly(c))
    return grad(lambda c, xs: lax.scan(body, c, xs)[0], argnums=(0, 1))(c, xs)


@jax.custom_vjp
def clipped(x):
    return x


clipped.defvjp(lambda x: (x, None), lambda _, ct: (jnp.clip(ct, -0.5, 0.5),))


@custom(F(4))
def custom_vjp_that_clips_the_gradient(x):
    return jax.value_and_grad(lambda x: jnp.sum(jnp.sin(clipped(x)) * x))(x)


@jax.custom_vjp
def product(x, y):
    return jnp.sin(x) * y


product.defvjp(lambda x, y: (product(x, y), (x, y)), lambda r, ct: (ct * jnp.cos(r[0]) * r[1], ct * jnp.sin(r[0]) * 2))


@custom(F(4), F(4))
def vmap_of_custom_vjp(x, y):
    return vmap(product)(x, y), vmap(grad(product, argnums=(0, 1)))(x, y)


@custom(F(4), F())
def vmap_of_custom_vjp_with_a_shared_argument(x, y):
    f = lambda y: jnp.sum(vmap(product, in_axes=(0, None))(x, y) ** 2)
    return jax.value_and_grad(f)(y)


@custom(F(), F())
def grad_of_grad_of_custom_vjp(x, y):
    return grad(grad(product))(x, y), grad(grad(product, argnums=1), argnums=0)(x, y)


@custom(F(3))
def custom_vjp_with_arguments_that_are_not_differentiated(x):
    @partial(jax.custom_vjp, nondiff_argnums=(0, 2))
    def apply(f, x, n):
        return f(x) * n

    apply.defvjp(lambda f, x, n: (apply(f, x, n), {"x": x}), lambda f, n, r, ct: (ct * (n + 1) * f(r["x"]),))
    return jax.value_and_grad(lambda x: jnp.sum(apply(jnp.cos, x, 2)))(x)


@custom(F(2), F(2, 2))
def custom_vjp_of_a_tree(a, b):
    @jax.custom_vjp
    def f(p, s):
        return {"y": p["b"] @ p["a"] * s}

    def backward(r, ct):
        p, s = r
        return {"a": p["b"].T @ ct["y"], "b": jnp.outer(ct["y"], p["a"]) * 2}, jnp.sum(ct["y"])

    f.defvjp(lambda p, s: (f(p, s), (p, s)), backward)
    loss = lambda p, s: jnp.sum(f(p, s)["y"] ** 2)
    return grad(loss, argnums=(0, 1))({"a": a, "b": b}, a[0])


@custom(F(4), F())
def custom_vjp_in_scan(xs, c):
    body = lambda c, x: (product(c, x), clipped(c * x))

    def loss(c, xs):
        last, ys = lax.scan(body, c, xs)
        return last + jnp.sum(ys**2)

    return grad(loss, argnums=(0, 1))(c, xs)


@custom(F(3))
def jacrev_of_custom_vjp(x):
    return jacrev(lambda x: product(x, x[::-1]))(x)


@custom(F(4))
def rounding_straight_through(x):
    through = lambda x: x + lax.stop_gradient(jnp.round(x) - x)
    return jax.value_and_grad(lambda x: jnp.sum(through(x * 2) ** 2))(x)


@custom(F(3, 3), F(3, 2), F(2, 3))
def grad_of_checkpoint(w, v, x):
    layer = jax.checkpoint(lambda x: jnp.tanh(x @ w))
    return grad(lambda x: jnp.sum((layer(layer(x)) @ v) ** 2))(x)


@custom(F(3, 3), F(3), F(2, 3))
def grad_of_checkpoint_that_keeps_products(w, b, x):
    def loss(p, x):
        layer = lambda p, x: jnp.sin(x @ p["w"]) + p["b"]
        keep = jax.checkpoint(layer, policy=jax.checkpoint_policies.dots_saveable)
        return jnp.sum(keep(p, keep(p, x)))

    return grad(loss)({"w": w, "b": b}, x)


@custom(F(4), F())
def grad_of_checkpoint_in_scan(xs, c):
    body = jax.checkpoint(lambda c, x: (jnp.sin(c * x) + c, jnp.cos(c)))

    def loss(c, xs):
        last, ys = lax.scan(body, c, xs)
        return last * jnp.sum(ys)

    return grad(loss, argnums=(0, 1))(c, xs)


@custom(F(3))
def hessian_of_checkpoint(x):
    return hessian(lambda x: jnp.sum(jax.checkpoint(wave)(x) * x))(x)


# ---- products

products = partial(program, "products")


@products(F(2, 3), F(3, 4), F(4, 2))
def einsum_of_three(a, b, c):
    return jnp.einsum("ij,jk,kl->il", a, b, c), grad(lambda b: jnp.sum(jnp.einsum("ij,jk,kl->il", a, b, c) ** 2))(b)


@products(F(2, 2, 3), F(2, 3, 2))
def einsum_of_batches(a, b):
    return jnp.einsum("bij,bjk->bki", a, b)


@products(F(3, 3))
def einsum_of_a_diagonal(a):
    return jnp.einsum("ii->i", a), jnp.einsum("ii->", a), jnp.einsum("ij->ji", a), jnp.einsum("ij->j", a)


@products(F(3, 3))
def grad_of_einsum_of_a_diagonal(a):
    return grad(lambda a: jnp.einsum("ii->", a) ** 2 + jnp.sum(jnp.einsum("ii->i", a) ** 3))(a)


@products(F(2, 1, 2, 3), F(2, 3, 2))
def einsum_with_an_ellipsis(a, b):
    return jnp.einsum("...ij,...jk->...ik", a, b)


@products(F(3, 2), F(3, 4))
def einsum_without_an_arrow(a, b):
    return jnp.einsum("ji,jk", a, b), jnp.einsum("ba", a)


@products(F(2), F(2, 3, 3), F(3), F(3))
def grad_of_a_bilinear_einsum(s, m, x, y):
    f = lambda s, m, x, y: jnp.einsum("k,kij,i,j->", s, m, x, y)
    return grad(f, argnums=(0, 1, 2, 3))(s, m, x, y)


@products(F(2, 3, 4), F(4, 3, 2))
def tensordot_over_axes(a, b):
    return jnp.tensordot(a, b, axes=[[1, 2], [1, 0]]), jnp.tensordot(a, b, axes=1)[0, :2, 0]


@products(F(4), F(4), F(3))
def products_of_vectors(x, y, z):
    return jnp.dot(x, y), jnp.vdot(x, y), jnp.inner(x, y), jnp.outer(x, z)


@products(F(2, 3), F(4, 3))
def inner_of_matrices(a, b):
    return jnp.inner(a, b), grad(lambda a: jnp.sum(jnp.sin(jnp.inner(a, b))))(a)


@products(F(2, 2), F(2, 3))
def kron_with_its_gradient(a, b):
    w = jnp.arange(24).reshape(4, 6) / 8
    return jnp.kron(a, b), grad(lambda a, b: jnp.sum(jnp.kron(a, b) * w), argnums=(0, 1))(a, b)


@products(F(2, 3), F(2, 3))
def cross_with_its_gradient(a, b):
    return jnp.cross(a, b), grad(lambda a: jnp.sum(jnp.cross(a, b) ** 2))(a)


@products(F(2, 1, 2, 3), F(3, 3, 2))
def matmul_that_broadcasts(a, b):
    return jnp.matmul(a, b), grad(lambda a, b: jnp.sum(jnp.matmul(a, b) ** 2), argnums=(0, 1))(a, b)


@products(F(3, 2, 3), F(3))
def vmap_of_matrix_times_vector(m, v):
    return vmap(jnp.dot, in_axes=(0, None))(m, v), vmap(jnp.matmul, in_axes=(1, None))(m, v)


@products(F(2, 3), F(2, 3))
def vmap_of_vmap_of_dot(a, b):
    return vmap(vmap(jnp.dot, in_axes=(None, 0)), in_axes=(0, None))(a, b)


@products(F(3, 3))
def hessian_of_a_cubic_form(m):
    f = lambda x: jnp.einsum("ij,i,j->", m, x, x) * jnp.sum(x)
    return hessian(f)(m[0])


# ---- indexing

indexing = partial(program, "indexing")
at = lambda values: X(values, np.int32)


@indexing(F(3, 4), at([2, 0, 2]))
def take_along_the_second_axis(x, i):
    return jnp.take(x, i, axis=1), grad(lambda x: jnp.sum(jnp.take(x, i, axis=1) ** 2))(x)


@indexing(F(4), at([0, 3, 4, 9, -1, -4, -5]))
def take_outside(x, i):
    return [jnp.take(x, i, mode=mode) for mode in ("fill", "clip", "wrap")]


@indexing(F(4), at([0, 3, 4, -1]), F(4))
def grad_of_take_outside(x, i, w):
    total = lambda mode: grad(lambda x: jnp.sum(jnp.where(i < 4, jnp.take(x, i, mode=mode), 0) * w))(x)
    return total("fill"), total("clip"), total("wrap")


@indexing(F(3, 4), at([[0, 2], [3, 3], [1, 0]]))
def take_along_axis_with_its_gradient(x, i):
    f = lambda x: jnp.take_along_axis(x, i, axis=1)
    return f(x), grad(lambda x: jnp.sum(jnp.sin(f(x))))(x)


@indexing(F(3, 4), at([2, 0]))
def an_index_of_every_kind(x, i):
    return x[1], x[-1, 2], x[:, None, 1:3], x[..., ::2], x[i], x[i, ::-1], x[None, 1, ..., 0]


@indexing(F(3, 4), at([2, 0, 2]), at([3, 1, 3]))
def two_index_arrays(x, i, j):
    return x[i, j], grad(lambda x: jnp.sum(x[i, j] ** 2))(x), x[i[:, None], j]


@indexing(F(4, 3), F(2, 3), at([3, 1]))
def set_with_its_gradient(x, v, i):
    f = lambda x, v: x.at[i].set(v)
    return f(x, v), grad(lambda x, v: jnp.sum(jnp.sin(f(x, v))), argnums=(0, 1))(x, v)


@indexing(F(4), F(5), at([0, 3, 3, 0, 1]))
def add_at_equal_indices(x, v, i):
    f = lambda x, v: x.at[i].add(v)
    return f(x, v), grad(lambda x, v: jnp.sum(f(x, v) ** 2), argnums=(0, 1))(x, v)


@indexing(F(4), F(2), at([3, 1]))
def mul_at(x, v, i):
    return x.at[i].mul(v)


@indexing(F(4), F(5), at([0, 3, 3, 0, 1]))
def min_and_max_at_equal_indices(x, v, i):
    return x.at[i].min(v), x.at[i].max(v)


@indexing(F(3, 4), F(3))
def set_of_a_slice(x, v):
    f = lambda x, v: x.at[:, 1:4:2].set(v[:, None])
    return f(x, v), grad(lambda x, v: jnp.sum(f(x, v) ** 3), argnums=(0, 1))(x, v)


@indexing(F(3, 3))
def add_at_a_row_and_apply(x):
    return x.at[1].add(2.5), x.at[..., -1].apply(jnp.sin), x.at[0, 1:].mul(2)


@indexing(F(4), at([1, 5, -6, 0]), F(4))
def updates_outside_are_dropped(x, i, v):
    return x.at[i].set(v), x.at[i].add(v)


@indexing(F(3, 4), at(1), at(3))
def dynamic_slice_with_its_gradient(x, i, j):
    f = lambda x: lax.dynamic_slice(x, (i, j), (2, 2))
    return f(x), grad(lambda x: jnp.sum(f(x) ** 2))(x)


@indexing(F(4), F(2), at(3))
def dynamic_update_slice_with_its_gradient(x, u, i):
    f = lambda x, u: lax.dynamic_update_slice(x, u, (i,))
    return f(x, u), grad(lambda x, u: jnp.sum(f(x, u) ** 2), argnums=(0, 1))(x, u)


@indexing(F(5), at([0, 2, 4]), F(3, 2))
def vmap_of_dynamic_slices(x, i, u):
    return vmap(lambda i: lax.dynamic_slice(x, (i,), (2,)))(i), vmap(lambda i, u: lax.dynamic_update_slice(x, u, (i,)))(i, u)


@indexing(F(3, 4), at([0, 3, 1]))
def vmap_of_an_index(x, i):
    return vmap(lambda x, i: x[i])(x, i), vmap(lambda x, i: x.at[i].set(0))(x, i), vmap(grad(lambda x, i: x[i] ** 2))(x, i)


@indexing(at([0, 2, 5, -1]), F(4, 3))
def one_hot_of_indices(i, w):
    return jax.nn.one_hot(i, 4) @ w


@indexing(at([0, 2, 2, 1, 0, 2]), F(6))
def bincount_with_weights(i, w):
    f = lambda w: jnp.bincount(i, weights=w, length=4)
    return jnp.bincount(i, length=4), f(w), grad(lambda w: jnp.sum(f(w) ** 2))(w)


@indexing(F(5, 2), at([1, 0, 1, 2, 1]))
def segment_sum_with_its_gradient(x, i):
    f = lambda x: jax.ops.segment_sum(x, i, num_segments=3)
    return f(x), grad(lambda x: jnp.sum(jnp.sin(f(x))))(x)


@indexing(F(4), at([2, 0, 2, 1]))
def indexing_in_scan(x, i):
    f = lambda x: lax.scan(lambda c, i: (c.at[i].set(c[(i + 1) % 4] * 0.5), c[i]), x, i)
    return f(x), grad(lambda x: jnp.sum(f(x)[0] ** 2) + jnp.sum(f(x)[1]))(x)


@indexing(F(4), at([2, 0, 2]), F(4))
def second_derivative_of_take_and_add(x, i, t):
    f = lambda x: jnp.sum(jnp.take(x, i, mode="clip") ** 3) + jnp.sum(jnp.zeros(3).at[i].add(x[1:] ** 2) ** 2)
    return jvp(grad(f), (x,), (t,))


# ---- sorting, cumulative

sorting = partial(program, "sorting")


@sorting(F(3, 4))
def sort_of_both_axes(x):
    return jnp.sort(x), jnp.sort(x, axis=0), jnp.sort(x, axis=None)


@sorting(F(5), F(5))
def grad_of_sort(x, w):
    return grad(lambda x: jnp.sum(jnp.sort(x) ** 2 * w))(x)


@sorting(X([3, 1, 2, 1, 3, 2, 1]))
def argsort_is_stable(x):
    return jnp.argsort(x), jnp.argsort(x, descending=True)


@sorting(F(3, 4), F(3, 4))
def vmap_of_sort_with_a_tangent(x, t):
    return vmap(lambda x, t: jvp(jnp.sort, (x,), (t,)))(x, t)


@sorting(F(2, 5))
def top_k_with_its_gradient(x):
    return lax.top_k(x, 2), grad(lambda x: jnp.sum(lax.top_k(x, 3)[0] ** 2))(x)


@sorting(F(3, 4))
def cumsum_both_ways(x):
    return jnp.cumsum(x, axis=1), lax.cumsum(x, axis=0, reverse=True)


@sorting(F(4), F(4))
def grad_of_cumprod(x, w):
    f = lambda x: jnp.sum(jnp.cumprod(x) * w)
    return jnp.cumprod(x), grad(f)(x), grad(f)(x.at[1].set(0))


@sorting(F(5), F(5))
def grad_of_cummax_and_cummin(x, w):
    return lax.cummax(x), lax.cummin(x, reverse=True), grad(lambda x: jnp.sum(lax.cummax(x) * w + lax.cummin(x) ** 2))(x)


@sorting(F(4), F(4))
def grad_of_cumlogsumexp(x, w):
    return lax.cumlogsumexp(x), grad(lambda x: jnp.sum(lax.cumlogsumexp(x) * w))(x)


@sorting(F(7))
def quantile_with_its_gradient(x):
    f = lambda x: jnp.quantile(x, jnp.array([0.25, 0.625]))
    return f(x), grad(lambda x: jnp.sum(f(x) ** 2))(x), jnp.percentile(x, 50)


@sorting(F(3, 4))
def median_with_its_gradient(x):
    return jnp.median(x), jnp.median(x, axis=0), grad(lambda x: jnp.sum(jnp.median(x, axis=1) ** 2))(x)


@sorting(X([-1, 0, 0, 2, 3.5]), X([-2, 0, 1, 3.5, 4]))
def search_sorted_on_both_sides(a, v):
    return jnp.searchsorted(a, v), jnp.searchsorted(a, v, side="right")


@sorting(F(5), F(5))
def associative_scan_of_affine_maps(a, b):
    compose = lambda l, r: (l[0] * r[0], l[1] * r[0] + r[1])
    f = lambda a, b: lax.associative_scan(compose, (a, b))
    return f(a, b), grad(lambda a: jnp.sum(f(a, b)[1]))(a), lax.associative_scan(compose, (a, b), reverse=True)


# ---- second order

second = partial(program, "second order")


def rosenbrock(x):
    return jnp.sum(2 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


@second(F(4), F(4))
def hessian_times_vector(x, v):
    return jvp(grad(rosenbrock), (x,), (v,))


@second(F(4), F(4))
def hessian_times_vector_by_reverse_over_reverse(x, v):
    return grad(lambda x: jnp.vdot(grad(rosenbrock)(x), v))(x)


@second(F(4), F(4))
def hessian_times_vector_by_reverse_over_forward(x, v):
    return grad(lambda x: jvp(rosenbrock, (x,), (v,))[1])(x)


@second(F(2, 3), F(3), F(2, 3), F(3), F(4, 2))
def hessian_times_a_tree(w, b, dw, db, x):
    loss = lambda p: jnp.sum(jnp.tanh(x @ p["w"] + p["b"]) ** 2)
    return jvp(grad(loss), ({"w": w, "b": b},), ({"w": dw, "b": db},))[1]


@second(P(2))
def newton_step(x):
    f = lambda x: jnp.sum(jnp.exp(x)) + jnp.sum(x**4) + x[0] * x[1]
    g, h = grad(f)(x), hessian(f)(x)
    det = h[0, 0] * h[1, 1] - h[0, 1] * h[1, 0]
    return x - jnp.stack([h[1, 1] * g[0] - h[0, 1] * g[1], h[0, 0] * g[1] - h[1, 0] * g[0]]) / det


@second(P())
def newton_iterations_for_a_root(x):
    f = lambda x: x**3 - 2
    return lax.fori_loop(0, 5, lambda _, x: x - f(x) / grad(f)(x), x)


@second(F(5, 3), F(3))
def natural_gradient(x, w):
    loss = lambda w, x: jnp.sum(jnp.sin(x * w)) ** 2
    g = vmap(grad(loss), in_axes=(None, 0))(w, x)
    return jnp.mean(g, axis=0) / (jnp.mean(g * g, axis=0) + 0.125)


@second(F(3))
def laplacian_in_three_ways(x):
    f = lambda x: jnp.sin(x[0]) * x[1] ** 2 + jnp.exp(x[2] * 0.5) * x[0]
    along = lambda v: jvp(lambda x: jvp(f, (x,), (v,))[1], (x,), (v,))[1]
    by_columns = vmap(lambda v: jnp.vdot(v, jvp(grad(f), (x,), (v,))[1]))(jnp.eye(3))
    return jnp.trace(hessian(f)(x)), jnp.sum(vmap(along)(jnp.eye(3))), jnp.sum(by_columns)


@second(F(3), F(3))
def gauss_newton_times_vector(x, v):
    y, pullback = vjp(twist, x)
    _, t = jvp(twist, (x,), (v,))
    return pullback(t * y)


@second(F(3, 4))
def curvature_along_the_gradient(x):
    f = lambda x: jax.nn.logsumexp(jnp.sin(x) * 2)
    return vmap(lambda x: jnp.vdot(grad(f)(x), jvp(grad(f), (x,), (grad(f)(x),))[1]))(x)


@second(F(3))
def hessian_of_logsumexp(x):
    return hessian(lambda x: jax.nn.logsumexp(x * x))(x)


@second(F(2), F(2))
def taylor_coefficients_of_a_line(x, v):
    along = lambda s: jnp.sum(jnp.sin(x + s * v) * jnp.exp(x * s * 0.5))
    d1 = grad(along)
    d2 = grad(d1)
    zero = jnp.zeros_like(x[0])
    return along(zero), d1(zero), d2(zero) / 2, grad(d2)(zero) / 6


# ---- implicit differentiation

implicit = partial(program, "implicit")


def fixed_point_by(iterate):
    @jax.custom_vjp
    def solve(a):
        return iterate(lambda x: jnp.cos(a * x) * 0.5, jnp.zeros_like(a))

    def backward(r, ct):
        a, x = r
        _, pull = vjp(lambda a, x: jnp.cos(a * x) * 0.5, a, x)
        u = iterate(lambda u: ct + pull(u)[1], ct)
        return (pull(u)[0],)

    solve.defvjp(lambda a: ((x := solve(a)), (a, x)), backward)
    return solve


fixed = lambda f, x: lax.fori_loop(0, 40, lambda _, x: f(x), x)


@implicit(F(3, low=-1, high=1))
def grad_of_a_fixed_point(a):
    solve = fixed_point_by(fixed)
    return solve(a), grad(lambda a: jnp.sum(solve(a) ** 2))(a)


@implicit(F(3, low=-1, high=1))
def vmap_of_grad_of_a_fixed_point(a):
    return vmap(grad(fixed_point_by(fixed)))(a)


@implicit(P(3))
def implicit_square_root(a):
    @jax.custom_jvp
    def root(a):
        return lax.fori_loop(0, 12, lambda _, x: 0.5 * (x + a / x), a + 1)

    @root.defjvp
    def _(primals, tangents):
        x = root(primals[0])
        return x, tangents[0] / (2 * x)

    return root(a), vmap(grad(root))(a), vmap(grad(grad(root)))(a)


def conjugate_gradients(multiply, b):
    def step(s):
        x, r, p, n = s
        mp = multiply(p)
        alpha = jnp.vdot(r, r) / jnp.vdot(p, mp)
        q = r - alpha * mp
        return x + alpha * p, q, q + jnp.vdot(q, q) / jnp.vdot(r, r) * p, n + 1

    more = lambda s: (s[3] < 3) & (jnp.vdot(s[1], s[1]) > 2.0**-40)
    return lax.while_loop(more, step, (jnp.zeros_like(b), b, b, jnp.int32(0)))[0]


@implicit(F(3, 3, low=-1, high=1), F(3))
def linear_solve_by_conjugate_gradients(m, b):
    return conjugate_gradients(lambda x: m.T @ (m @ x) + 2 * x, b)


@implicit(F(3, 3, low=-1, high=1), F(3))
def grad_of_a_linear_solve(m, b):
    times = lambda m, x: m.T @ (m @ x) + 2 * x

    @jax.custom_vjp
    def solve(m, b):
        return conjugate_gradients(partial(times, m), b)

    def backward(r, ct):
        m, x = r
        u = conjugate_gradients(partial(times, m), ct)
        (cm,) = vjp(lambda m: -times(m, x), m)[1](u)
        return cm, u

    solve.defvjp(lambda m, b: ((x := solve(m, b)), (m, x)), backward)
    return grad(lambda m, b: jnp.sum(jnp.sin(solve(m, b))), argnums=(0, 1))(m, b)


# ---- gradients of single examples

single = partial(program, "per example")


def mlp_loss(p, x, y):
    h = jnp.tanh(x @ p["w1"] + p["b1"])
    return jnp.mean((h @ p["w2"] - y) ** 2)


MLP = (F(2, 3), F(3), F(3, 1), F(4, 2), F(4, 1))
mlp_params = lambda w1, b1, w2: {"w1": w1, "b1": b1, "w2": w2}
examples = lambda f: vmap(f, in_axes=(None, 0, 0))


@single(*MLP)
def gradients_of_single_examples(w1, b1, w2, x, y):
    return examples(grad(mlp_loss))(mlp_params(w1, b1, w2), x, y)


@single(*MLP)
def norms_of_gradients(w1, b1, w2, x, y):
    norm = lambda g: jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(g)))
    return examples(lambda p, x, y: norm(grad(mlp_loss)(p, x, y)))(mlp_params(w1, b1, w2), x, y)


@single(*MLP)
def mean_of_clipped_gradients(w1, b1, w2, x, y):
    def clipped(p, x, y):
        g = grad(mlp_loss)(p, x, y)
        size = jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(g)))
        return jax.tree.map(lambda leaf: leaf / jnp.maximum(1, size), g)

    return jax.tree.map(partial(jnp.mean, axis=0), examples(clipped)(mlp_params(w1, b1, w2), x, y))


@single(*MLP)
def variance_of_gradients(w1, b1, w2, x, y):
    return jax.tree.map(partial(jnp.var, axis=0), examples(grad(mlp_loss))(mlp_params(w1, b1, w2), x, y))


@single(*MLP)
def losses_and_their_tangents(w1, b1, w2, x, y):
    p = mlp_params(w1, b1, w2)
    t = jax.tree.map(jnp.sin, p)
    return examples(lambda p, x, y: jvp(lambda p: mlp_loss(p, x, y), (p,), (t,)))(p, x, y)


# ---- steps inside of a loss

maml = partial(program, "maml")


def task_loss(p, x, y):
    return jnp.mean((jnp.sin(x * p["a"]) + p["b"] - y) ** 2)


def adapted(p, x, y, loss=task_loss):
    return jax.tree.map(lambda v, g: v - 0.25 * g, p, grad(loss)(p, x, y))


TASK = (F(), F(), F(4), F(4))


@maml(*TASK)
def grad_through_a_step(a, b, x, y):
    return jax.value_and_grad(lambda p: task_loss(adapted(p, x, y), x[::-1], y))({"a": a, "b": b})


@maml(*TASK)
def grad_through_two_steps(a, b, x, y):
    return grad(lambda p: task_loss(adapted(adapted(p, x, y), x, y), y, x))({"a": a, "b": b})


@maml(*TASK)
def first_order_grad_through_a_step(a, b, x, y):
    first = lambda p: jax.tree.map(lambda v, g: v - 0.25 * lax.stop_gradient(g), p, grad(task_loss)(p, x, y))
    return grad(lambda p: task_loss(first(p), y, x))({"a": a, "b": b})


@maml(F(), F(), F(3, 4), F(3, 4))
def grad_through_steps_of_several_tasks(a, b, x, y):
    def outer(p):
        steps = lambda x, y: lax.scan(lambda p, _: (adapted(p, x, y), None), p, None, length=2)[0]
        return jnp.mean(vmap(lambda x, y: task_loss(steps(x, y), y, x))(x, y))

    return grad(outer)({"a": a, "b": b})


@maml(P(), F(4), F(4))
def grad_of_a_learning_rate(rate, x, y):
    p = {"a": x[0], "b": y[0]}
    step = lambda rate: jax.tree.map(lambda v, g: v - rate * g, p, grad(task_loss)(p, x, y))
    return grad(lambda rate: task_loss(step(rate), x, y))(rate)


# ---- networks

networks = partial(program, "networks")


def layer_norm(x, g, b):
    return (x - jnp.mean(x, -1, keepdims=True)) / jnp.sqrt(jnp.var(x, -1, keepdims=True) + 2.0**-10) * g + b


@networks(F(2, 4), F(4), F(4))
def layer_norm_with_its_gradients(x, g, b):
    w = jnp.arange(8).reshape(2, 4) / 8
    return layer_norm(x, g, b), grad(lambda *a: jnp.sum(layer_norm(*a) * w), argnums=(0, 1, 2))(x, g, b)


@networks(F(3, 4), F(3, 4), F(3, 4))
def causal_attention(q, k, v):
    def attend(q, k, v):
        scores = jnp.where(jnp.tril(jnp.ones((3, 3), bool)), q @ k.T / 2, -jnp.inf)
        return jax.nn.softmax(scores) @ v

    return attend(q, k, v), grad(lambda *a: jnp.sum(attend(*a) ** 2), argnums=(0, 1, 2))(q, k, v)


@networks(F(2, 3, 2), F(2, 3, 2))
def vmap_of_attention_over_heads(q, k):
    attend = lambda q, k: jax.nn.softmax(q @ k.T) @ k
    return vmap(attend, in_axes=1, out_axes=1)(q, k), vmap(grad(lambda q, k: jnp.sum(attend(q, k) ** 3)))(q, k)


GRU = (F(2, 6, low=-1, high=1), F(2, 6, low=-1, high=1), F(6), F(3, 2), F(2))


def gru(u, w, b, xs, h):
    def step(h, x):
        a, c = x @ u + b, h @ w
        r, z = jax.nn.sigmoid(a[:2] + c[:2]), jax.nn.sigmoid(a[2:4] + c[2:4])
        n = jnp.tanh(a[4:] + r * c[4:])
        h = (1 - z) * n + z * h
        return h, h

    return lax.scan(step, h, xs)


@networks(*GRU)
def recurrent_network_by_scan(u, w, b, xs, h):
    return gru(u, w, b, xs, h)


@networks(*GRU)
def grad_of_a_recurrent_network(u, w, b, xs, h):
    return grad(lambda *a: jnp.sum(gru(*a)[1] ** 2), argnums=(0, 1, 2, 3, 4))(u, w, b, xs, h)


@networks(F(6, 2), F(3, 2, 3))
def convolution_by_windows(x, w):
    def conv(x, w):
        windows = jnp.stack([x[k : k + 4] for k in range(3)], axis=1)
        return jnp.einsum("tki,kio->to", windows, w)

    return conv(x, w), grad(lambda x, w: jnp.sum(conv(x, w) ** 2), argnums=(0, 1))(x, w)


@networks(F(4, 4), F(2, 2))
def convolution_of_images(x, w):
    def conv(x, w):
        padded = jnp.pad(x, ((0, 1), (0, 1)))
        return sum(w[i, j] * padded[i : i + 4, j : j + 4] for i in range(2) for j in range(2))

    return conv(x, w), grad(lambda w: jnp.sum(conv(x, w) ** 2))(w)


@networks(F(3, 4), X([2, 0, 3], np.int32))
def cross_entropy_with_its_gradient(x, labels):
    def loss(x):
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(x), labels[:, None], axis=1))

    return jax.value_and_grad(loss)(x)


@networks(F(3, 4), X([2, 0, 3], np.int32))
def smoothed_cross_entropy(x, labels):
    target = jax.nn.one_hot(labels, 4) * 0.875 + 0.125 / 4
    return jax.value_and_grad(lambda x: -jnp.mean(jnp.sum(target * jax.nn.log_softmax(x), -1)))(x)


@networks(F(3, 4), F(3, 4))
def rotary_positions(q, k):
    def rotate(x):
        angle = jnp.outer(jnp.arange(3.0), jnp.exp(-2.0 * jnp.arange(2.0)))
        c, s = jnp.cos(angle), jnp.sin(angle)
        a, b = x[:, :2], x[:, 2:]
        return jnp.concatenate([a * c - b * s, a * s + b * c], axis=1)

    scores = lambda q, k: rotate(q) @ rotate(k).T
    return scores(q, k), grad(lambda q: jnp.sum(scores(q, k) ** 2))(q)


@networks(F(3, 3), F(3, 4), F(4))
def gelu_network(x, w, b):
    f = lambda w, b: jnp.sum(jax.nn.gelu(x @ w + b, approximate=True) ** 2)
    return jax.value_and_grad(f, argnums=(0, 1))(w, b)


@networks(F(12, low=-4, high=4))
def activations(x):
    fs = [jax.nn.silu, jax.nn.softplus, jax.nn.elu, jax.nn.selu, jax.nn.celu, jax.nn.leaky_relu, jax.nn.relu6]
    fs += [jax.nn.hard_tanh, jax.nn.mish, jax.nn.soft_sign, jax.nn.squareplus, jax.nn.log_sigmoid]
    f = lambda x: jnp.stack([f(x[k]) for k, f in enumerate(fs)])
    return f(x), grad(lambda x: jnp.sum(f(x)))(x)


@networks(F(6, low=-3, high=3))
def gelu_both_ways(x):
    f = lambda x: jnp.stack([jax.nn.gelu(x, approximate=True), jax.nn.gelu(x, approximate=False)])
    return f(x), jax.vmap(grad(lambda x: jnp.sum(f(x))))(x)


@networks(F(3, 4))
def gated_linear_unit(x):
    return jax.nn.glu(x), grad(lambda x: jnp.sum(jax.nn.glu(x, axis=1) ** 2))(x)


@networks(F(4, 3), F(3))
def batch_norm_with_its_gradient(x, g):
    f = lambda x: (x - jnp.mean(x, 0)) / jnp.sqrt(jnp.var(x, 0) + 2.0**-8) * g
    return f(x), grad(lambda x: jnp.sum(f(x) ** 3))(x)


@networks(F(5, 2), F(2, 5), X([3, 1, 3, 0], np.int32))
def a_language_model_of_bigrams(e, u, tokens):
    def loss(p):
        logits = jnp.tanh(p["e"][tokens[:-1]]) @ p["u"]
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits), tokens[1:, None], axis=-1))

    return jax.value_and_grad(loss)({"e": e, "u": u})


@networks(F(3, 2), F(3, 2))
def contrastive_loss(x, y):
    def loss(x, y):
        unit = lambda v: v / jnp.linalg.norm(v, axis=-1, keepdims=True)
        return -jnp.mean(jnp.diagonal(jax.nn.log_softmax(unit(x) @ unit(y).T * 4)))

    return jax.value_and_grad(loss, argnums=(0, 1))(x, y)


# ---- random numbers

chance = partial(program, "random")
f32 = jnp.float32


@chance(K())
def random_uniform(k):
    return rnd.uniform(k, (2, 3), f32), rnd.uniform(k, (5,), f32, minval=-1, maxval=3)


@chance(K(11))
def random_bits(k):
    return rnd.bits(k, (5,), jnp.uint32), rnd.bits(k, (), jnp.uint32)


@chance(K(3))
def random_splits(k):
    a, b, c = rnd.split(k, 3)
    return a, rnd.split(b), rnd.uniform(c, (2,), f32)


@chance(K(3))
def random_folds(k):
    return [rnd.fold_in(k, n) for n in (0, 1, 4294967295)], rnd.fold_in(rnd.fold_in(k, 1), 2)


@chance(K(5))
def vmap_of_uniform_over_keys(k):
    return vmap(lambda k: rnd.uniform(k, (3,), f32))(rnd.split(k, 3))


@chance(K(5), X([0, 1, 2, 3], np.int32))
def vmap_of_fold_in(k, n):
    return vmap(lambda n: rnd.uniform(rnd.fold_in(k, n), (), f32))(n)


@chance(K(9))
def random_walk_by_scan(k):
    def step(c, _):
        k, x = c
        k, own = rnd.split(k)
        x = x + rnd.randint(own, (), 0, 2, jnp.int32) * 2 - 1
        return (k, x), x

    return lax.scan(step, (k, jnp.int32(0)), None, length=6)


@chance(K(13))
def random_integers(k):
    return rnd.randint(k, (6,), -3, 4, jnp.int32), rnd.randint(k, (4,), 0, 1000000, jnp.int32)


@chance(K(17))
def random_permutations(k):
    return rnd.permutation(k, 7), rnd.permutation(k, jnp.arange(6, dtype=jnp.int32).reshape(3, 2))


@chance(K(19), X([[0.5, 1.5, -2], [3, 4, 5]]))
def random_permutation_of_an_axis(k, x):
    return rnd.permutation(k, x.astype(f32), axis=1)


@chance(K(23))
def random_bernoulli(k):
    return rnd.bernoulli(k, jnp.asarray(0.25, f32), (8,)), rnd.bernoulli(k, jnp.asarray(0.5, f32), (2, 2))


@chance(K(29))
def random_normal(k):
    return rnd.normal(k, (6,), f32)


@chance(K(31), X([[0.5, 1.5, -2], [3, 4, 5]]))
def random_categorical(k, logits):
    return rnd.categorical(k, logits.astype(f32)), rnd.categorical(k, logits[0].astype(f32), shape=(5,))


@chance(K(37))
def random_gumbel_and_exponential(k):
    return rnd.gumbel(k, (4,), f32), rnd.exponential(k, (4,), f32)


@chance(K(41))
def random_truncated_normal(k):
    return rnd.truncated_normal(k, jnp.asarray(-1, f32), jnp.asarray(2, f32), (5,), f32)


@chance(K(43))
def random_choice(k):
    p = jnp.array([0.5, 0.125, 0.125, 0.25], f32)
    return rnd.choice(k, 5, (4,)), rnd.choice(k, 4, (5,), p=p), rnd.choice(k, 5, (3,), replace=False)


@chance(K(47), F(4), F())
def grad_of_dropout(k, x, w):
    x, w = x.astype(f32), w.astype(f32)
    keep = rnd.bernoulli(k, jnp.asarray(0.5, f32), (4,))
    return grad(lambda w: jnp.sum(jnp.where(keep, x * w * 2, 0) ** 2))(w)


# ---- the surface of numpy

surface = partial(program, "numpy")


@surface(F(4), F(4))
def where_with_its_gradients(x, y):
    return grad(lambda x, y: jnp.sum(jnp.where(x > y, x * y, jnp.sin(x))), argnums=(0, 1))(x, y)


@surface(X([-2, -1, -0.5, 0, 1, 1.5]))
def clip_with_its_gradient(x):
    return jnp.clip(x, -1, 1), grad(lambda x: jnp.sum(jnp.clip(x, -1, 1) * x))(x), jnp.clip(x, max=0.5)


@surface(F(2, 3))
def pad_with_its_gradient(x):
    f = lambda x: jnp.pad(x, ((1, 0), (0, 2)), constant_values=0.5)
    return f(x), grad(lambda x: jnp.sum(f(x) ** 2))(x)


@surface(F(3, 4))
def roll_of_axes(x):
    return jnp.roll(x, 1, axis=0), jnp.roll(x, -3, axis=1), jnp.roll(x, 5), grad(lambda x: jnp.sum(jnp.roll(x, 2, axis=1) * x))(x)


@surface(F(3, 4))
def triangles_with_their_gradients(x):
    return jnp.tril(x), jnp.triu(x, 1), grad(lambda x: jnp.sum(jnp.tril(x, -1) ** 2 + jnp.triu(x) ** 3))(x)


@surface(F(2, 3))
def repeats_with_their_gradients(x):
    f = lambda x: (jnp.tile(x, (2, 2)), jnp.repeat(x, 2, axis=1))
    return f(x), grad(lambda x: sum(jnp.sum(jnp.sin(y * jnp.arange(y.shape[1]))) for y in f(x)))(x)


@surface(F(2, 3), F(2, 3))
def joins_and_splits(x, y):
    f = lambda x, y: jnp.concatenate([x, jnp.sin(y)], axis=1)
    a, b, c = jnp.split(f(x, y), 3, axis=1)
    d, e = jnp.split(f(x, y), [1], axis=1)
    return a * c - b, d, e[:, ::2], grad(lambda x: jnp.sum(jnp.split(f(x, y), [4], axis=1)[0] ** 2))(x)


@surface(F(3, 4))
def norms_with_their_gradients(x):
    f = lambda x: jnp.linalg.norm(x) + jnp.sum(jnp.linalg.norm(x, axis=1)) + jnp.sum(jnp.linalg.norm(x, ord=1, axis=0))
    return f(x), jnp.linalg.norm(x, ord=jnp.inf, axis=1), grad(f)(x)


@surface(F(3, 4))
def moments_with_their_gradients(x):
    return jnp.var(x), jnp.std(x, axis=1, ddof=1), grad(lambda x: jnp.sum(jnp.std(x, axis=0)) + jnp.var(x, ddof=1) ** 2)(x)


@surface(F(3), F(2))
def grids(x, y):
    a, b = jnp.meshgrid(x, y)
    c, _ = jnp.meshgrid(x, y, indexing="ij")
    return a * b, c, jnp.linspace(0, 1, 5), jnp.arange(2.0, 8.0, 1.5), jnp.eye(2, 3, k=1)


@surface(F(5), P(5))
def averages(x, w):
    return jnp.average(x, weights=w), grad(lambda x, w: jnp.average(x, weights=w) ** 2, argnums=(0, 1))(x, w), jnp.ptp(x)


@surface(F(2, 3), X([[1.5, 0, -2], [0, 0, 3]]))
def products_with_their_gradients(x, z):
    f = lambda x: jnp.sum(jnp.prod(x, axis=1))
    return jnp.prod(x), grad(f)(x), grad(f)(z), grad(jnp.prod)(x)


@surface(X([[1, 3, 3], [2, 2, 2]]))
def ties_share_the_gradient(x):
    return grad(lambda x: jnp.sum(jnp.max(x, axis=1) ** 2))(x), grad(lambda x: jnp.sum(jnp.min(x, axis=0)))(x), grad(jnp.max)(x)


@surface(F(2, 3))
def turns_of_a_matrix(x):
    return jnp.rot90(x), jnp.rot90(x, 2), jnp.flip(x, 0), jnp.swapaxes(x, 0, 1), jnp.ravel(x), jnp.diff(x, axis=1)


@surface(F(3, 3), F(3))
def diagonals_with_their_gradients(x, v):
    return jnp.diag(v), jnp.diag(x, 1), jnp.trace(x), grad(lambda v: jnp.sum((jnp.diag(v) @ x) ** 2))(v), jnp.diagonal(x, -1)


@surface(X([1, np.nan, -2, 3.5]))
def reductions_without_nan(x):
    return jnp.nansum(x), jnp.nanmean(x), jnp.nanmax(x), jnp.nanmin(x), grad(lambda x: jnp.nansum(x * x))(x), jnp.nan_to_num(x)


@surface(F(4), F(4))
def functions_of_two_arguments_with_their_gradients(x, y):
    f = lambda x, y: jnp.logaddexp(x, y) + jnp.hypot(x, y) * jnp.arctan2(x, y) + jnp.logaddexp2(x, 2 * y) + jnp.copysign(x, y)
    return f(x, y), grad(lambda x, y: jnp.sum(f(x, y)), argnums=(0, 1))(x, y)


@surface(F(5), X([2, -0.5, 1.5, -1, 0.75]))
def remainders_with_their_gradients(x, y):
    f = lambda x, y: jnp.mod(x, y) * 2 + lax.rem(x, y)
    return f(x, y), jnp.floor_divide(x, y), grad(lambda x, y: jnp.sum(f(x, y) ** 2), argnums=(0, 1))(x, y)


@surface(X([7, -7, 8, -9, 0], np.int32), X([2, 2, -3, -4, 5], np.int32))
def remainders_of_integers(x, y):
    return jnp.mod(x, y), lax.rem(x, y), jnp.floor_divide(x, y), x // y * y + x % y


@surface(P(4), F(4))
def powers_with_their_gradients(x, y):
    return x**y, grad(lambda x, y: jnp.sum(x**y), argnums=(0, 1))(x, y), jnp.cbrt(x), jnp.exp2(y), jnp.log2(x) + jnp.log10(x)


@surface(F(5, low=-1, high=1))
def inverse_functions_with_their_gradients(x):
    f = lambda x: jnp.arcsin(x) + jnp.arccos(x) * jnp.arctan(x) + jnp.arcsinh(x) + jnp.arctanh(x) + jnp.arccosh(x + 2.5)
    return f(x), grad(lambda x: jnp.sum(f(x)))(x)


@surface(F(5))
def hyperbolic_functions_with_their_gradients(x):
    f = lambda x: jnp.sinh(x) + jnp.cosh(x) * jnp.tan(x * 0.5) + jnp.expm1(x)
    return f(x), grad(lambda x: jnp.sum(f(x)))(x)


@surface(F(5, low=-0.75, high=0.75))
def special_functions_with_their_gradients(x):
    f = lambda x: lax.erf(x) + lax.erf_inv(x) + lax.lgamma(x + 2.5) + lax.erfc(x)
    return f(x), grad(lambda x: jnp.sum(f(x)))(x), lax.digamma(x + 2.5)


@surface(B(3, 4), F(3, 4))
def logic(b, x):
    c = x > 0
    return b & c, b ^ c, jnp.logical_or(b, ~c), jnp.any(b, axis=0), jnp.all(c, axis=1), jnp.count_nonzero(b), jnp.sum(c, axis=0)


@surface(X([5, -9, 1 << 20, 0], np.int32), X([1, 3, 4, 31], np.int32))
def bits_of_integers(x, n):
    whole = x.view(jnp.uint32)
    return x & 7, x | n, x ^ n, x << n, x >> n, lax.shift_right_logical(x, n), lax.population_count(x), lax.clz(whole)


@surface(F(3, 4))
def where_the_extremes_are(x):
    return jnp.argmax(x, axis=1), jnp.argmin(x, axis=0), jnp.argmax(x), x == jnp.max(x)


@surface(F(3, 1), F(4))
def broadcasting_with_its_gradients(x, y):
    f = lambda x, y: (x + y) * x - jnp.broadcast_to(y, (3, 4)) ** 2
    return grad(lambda x, y: jnp.sum(f(x, y)), argnums=(0, 1))(x, y)


# ---- what runs them


def compute():
    """The leaves of every program, as numpy arrays."""
    results = {}
    for name, (_, f, inputs) in PROGRAMS.items():
        wide = [x.astype(np.float64) if X64 and x.dtype == np.float32 else x for x in inputs]
        results[name] = [np.asarray(leaf) for leaf in jax.tree.leaves(jax.jit(f)(*wide))]
    return results


def narrow(x):
    """Integers as they are without 64-bit types."""
    return x.astype({np.dtype(np.int64): np.int32, np.dtype(np.uint64): np.uint32}.get(x.dtype, x.dtype))


def main():
    words = [a for a in sys.argv[1:] if not a.startswith("--")]
    if "--x64" in sys.argv:
        np.savez(words[0], **{f"{n} {k}": y for n, ys in compute().items() for k, y in enumerate(ys)})
        return
    if words:
        for name in [n for n in PROGRAMS if not any(w in n for w in words)]:
            del PROGRAMS[name]
        for name, ys in compute().items():
            print(name, *ys, sep="\n")
        return
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "x64.npz"
        other = subprocess.Popen([sys.executable, __file__, "--x64", str(path)])
        single_precision = compute()
        assert other.wait() == 0
        double = dict(np.load(path))
    entries = []
    for name, (group, _, inputs) in PROGRAMS.items():
        out, wide = [narrow(y) for y in single_precision[name]], []
        for k, y in enumerate(out):
            z = narrow(double[f"{name} {k}"])
            assert z.shape == y.shape, name
            if y.dtype == np.float32 and z.dtype == np.float64:
                gap = np.max(np.abs(y - z), initial=0, where=np.isfinite(z))
                largest = np.max(np.abs(z), initial=1, where=np.isfinite(z))
                if gap > 1e-6 * largest:
                    print(f"{name} {k}: float32 is off by {gap / largest:.1e} of the largest")
                wide.append(scalars(z))
            else:
                assert z.dtype == y.dtype and (group == "random" or np.array_equal(y, z, equal_nan=True)), name
        entry = {"name": name, "group": group, "in": [array(x) for x in inputs], "out": [array(y) for y in out]}
        entries.append({**entry, "out64": wide} if wide else entry)
    about = "small programs of JAX; out are leaves in float32, out64 the floats among them in float64"
    write("programs.json", {"about": about, "versions": versions("jax", "jaxlib", "numpy"), "programs": entries})


if __name__ == "__main__":
    main()
