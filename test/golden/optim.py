"""Optimiser trajectories and learning-rate factors -> optim.json

(a) DecoupledLionW in numpy float32, straight from its four steps (decay by the
    ratio lr_t / lr_0, sign of the interpolated momentum, step, momentum), and
    checked against optax.lion where there is no decay;
(b) optax.adamw, sgd (with and without momentum) and clip_by_global_norm;
(c) transformers' get_cosine_schedule_with_warmup, as float64 factors.

Lion turns a sum that is zero up to rounding into a full step, so the gradients
are checked to keep that sum either exactly zero or well away from it.

Run: python optim.py
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
from transformers import get_cosine_schedule_with_warmup

from common import array, scalar, versions, write

jax.config.update("jax_platforms", "cpu")
F = np.float32
STEPS = 6


def tree(values):
    return {name: array(np.asarray(leaf, F)) for name, leaf in values.items()}


def problem():
    """Two leaves and six gradients; multiples of 1/128, some exactly zero."""
    rng = np.random.default_rng(7)

    def draw(shape, scale):
        return (rng.integers(-128 * scale, 128 * scale + 1, shape) / 128).astype(F)

    params = {"w": draw((2, 3), 2), "b": draw((4,), 1)}
    grads = [{"w": draw((2, 3), 1), "b": draw((4,), 2)} for _ in range(STEPS)]
    for g in grads:
        g["b"][2] = 0  # a leaf that never gets a gradient: sign(0) = 0
    return params, grads


def lion(params, grads, lr, b1, b2, wd):
    """lr: one rate per step. The first is lr_0 unless it is given as (rates, lr_0)."""
    rates, first = lr
    p = {k: v.copy() for k, v in params.items()}
    m = {k: np.zeros_like(v) for k, v in params.items()}
    history = []
    for rate, grad in zip(rates, grads):
        for k, g in grad.items():
            if wd != 0:
                ratio = rate / first if first != 0 else 1.0
                p[k] = p[k] * F(1 - ratio * wd)
            blend = m[k] + F(1 - b1) * (g - m[k])
            assert ((blend == 0) | (np.abs(blend) > 1e-4)).all(), blend
            p[k] = p[k] - F(rate) * np.sign(blend)
            m[k] = m[k] + F(1 - b2) * (g - m[k])
            assert p[k].dtype == m[k].dtype == F
        history.append({"params": tree(p), "momentum": tree(m)})
    return history


def optax_run(tx, params, grads):
    p = {k: jnp.asarray(v) for k, v in params.items()}
    state = tx.init(p)
    history = []
    for grad in grads:
        updates, state = tx.update({k: jnp.asarray(v) for k, v in grad.items()}, state, p)
        p = optax.apply_updates(p, updates)
        history.append(tree(p))
    return history


def lion_cases(params, grads):
    warm = [0.0, 0.25, 0.5, 1.0, 0.75, 0.25]
    cases = [
        {"name": "plain", "lr": 5e-4, "b1": 0.9, "b2": 0.95, "weight_decay": 0.0, "factors": [1.0] * STEPS},
        {
            "name": "class default betas",
            "lr": 0.01,
            "b1": 0.9,
            "b2": 0.99,
            "weight_decay": 0.0,
            "factors": [1.0] * STEPS,
        },
        {"name": "decay", "lr": 0.01, "b1": 0.9, "b2": 0.95, "weight_decay": 0.125, "factors": [1.0] * STEPS},
        {"name": "schedule", "lr": 0.01, "b1": 0.9, "b2": 0.95, "weight_decay": 0.0, "factors": warm},
        {
            "name": "schedule and decay",
            "lr": 0.01,
            "b1": 0.9,
            "b2": 0.95,
            "weight_decay": 0.125,
            "factors": warm,
        },
    ]
    for case in cases:
        rates = [case["lr"] * f for f in case["factors"]]
        case["steps"] = lion(params, grads, (rates, case["lr"]), case["b1"], case["b2"], case["weight_decay"])
        if case["weight_decay"] == 0:
            table = jnp.array(rates, jnp.float32)
            tx = optax.lion(lambda n: table[n], b1=case["b1"], b2=case["b2"], weight_decay=0.0)
            for ours, theirs in zip(case["steps"], optax_run(tx, params, grads)):
                for k in params:
                    a, b = np.array(ours["params"][k]["data"], F), np.array(theirs[k]["data"], F)
                    assert np.abs(a - b).max() < 3e-7, (case["name"], k, a, b)
    return cases


def first_step():
    """The worked example: one step from p=[1,-1,0], g=[.5,-.2,0]."""
    out = lion(
        {"p": np.array([1, -1, 0], F)}, [{"p": np.array([0.5, -0.2, 0], F)}], ([5e-4], 5e-4), 0.9, 0.95, 0
    )
    assert np.allclose(out[0]["params"]["p"]["data"], [0.9995, -0.9995, 0])
    assert np.allclose(out[0]["momentum"]["p"]["data"], [0.025, -0.01, 0])
    start = {"params": tree({"p": [1, -1, 0]}), "grads": tree({"p": [0.5, -0.2, 0]})}
    return {**start, "lr": 5e-4, "b1": 0.9, "b2": 0.95, "after": out[0]}


def optax_cases(params, grads):
    decay = [1.0, 0.5, 0.25, 0.125, 0.0625, 0.03125]
    table = jnp.array([0.125 * f for f in decay], jnp.float32)
    cases = [
        ("adamw", {"lr": 0.01, "b1": 0.9, "b2": 0.999, "eps": 1e-8, "weight_decay": 1e-4}, optax.adamw(0.01)),
        (
            "adamw",
            {"lr": 0.125, "b1": 0.8, "b2": 0.95, "eps": 1e-6, "weight_decay": 0.125},
            optax.adamw(0.125, b1=0.8, b2=0.95, eps=1e-6, weight_decay=0.125),
        ),
        (
            "adamw",
            {"lr": 0.125, "factors": decay, "b1": 0.9, "b2": 0.999, "eps": 1e-8, "weight_decay": 0.0},
            optax.adamw(lambda n: table[n], weight_decay=0.0),
        ),
        ("sgd", {"lr": 0.125}, optax.sgd(0.125)),
        ("sgd", {"lr": 0.125, "momentum": 0.875}, optax.sgd(0.125, momentum=0.875)),
        (
            "sgd",
            {"lr": 0.125, "momentum": 0.875, "nesterov": True},
            optax.sgd(0.125, momentum=0.875, nesterov=True),
        ),
        ("sgd", {"lr": 0.125, "clip": 1.0}, optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(0.125))),
        (
            "lion",
            {"lr": 0.01, "b1": 0.9, "b2": 0.95, "clip": 1.0},
            optax.chain(optax.clip_by_global_norm(1.0), optax.lion(0.01, b1=0.9, b2=0.95, weight_decay=0.0)),
        ),
    ]
    return [{"name": name, **options, "steps": optax_run(tx, params, grads)} for name, options, tx in cases]


def clip_cases():
    cases = []
    for grad, limit in [
        ({"w": [3.0, 0.0], "b": [4.0]}, 1.0),
        ({"w": [3.0, 0.0], "b": [4.0]}, 5.0),
        ({"w": [3.0, 0.0], "b": [4.0]}, 10.0),
        ({"w": [0.0, 0.0], "b": [0.0]}, 1.0),
        ({"w": [1e18, 0.0], "b": [-1e18]}, 1.0),
        ({"w": [1e20, 0.0], "b": [-1e20]}, 1.0),
        ({"w": [float("inf"), 1.0], "b": [1.0]}, 1.0),
        ({"w": [float("nan"), 1.0], "b": [1.0]}, 1.0),
    ]:
        g = {k: jnp.array(v, jnp.float32) for k, v in grad.items()}
        tx = optax.clip_by_global_norm(limit)
        out, _ = tx.update(g, tx.init(g))
        norm = scalar(np.float32(optax.global_norm(g)))
        cases.append({"max_norm": limit, "grads": tree(g), "norm": norm, "clipped": tree(out)})
    return cases


def schedule_cases():
    cases = []
    for total, warmup, steps in [
        (4632, 464, [0, 1, 2, 232, 463, 464, 465, 1000, 2316, 4000, 4630, 4631, 4632]),
        (16456, 1646, [0, 1, 1646, 1647, 8228, 16455, 16456]),
        (10, 0, list(range(12))),
        (10, 3, list(range(12))),
        (6, 1, list(range(7))),
        (5, 5, list(range(7))),
    ]:
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        factor = get_cosine_schedule_with_warmup(optimizer, warmup, total).lr_lambdas[0]
        cases.append(
            {"total": total, "warmup": warmup, "steps": steps, "factors": [float(factor(s)) for s in steps]}
        )
    return cases


def main():
    params, grads = problem()
    write(
        "optim.json",
        {
            "about": "optimiser trajectories in float32; schedule factors in float64. Step n uses rate lr * factors[n].",
            "versions": versions("jax", "optax", "numpy", "torch", "transformers"),
            "params": tree(params),
            "grads": [tree(g) for g in grads],
            "decoupled_lion": lion_cases(params, grads),
            "decoupled_lion_first_step": first_step(),
            "optax": optax_cases(params, grads),
            "clip_by_global_norm": clip_cases(),
            "cosine_with_warmup": schedule_cases(),
        },
    )


if __name__ == "__main__":
    main()
