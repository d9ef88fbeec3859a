"""The public functions of jax, jax.numpy, jax.lax, jax.nn, jax.random, jax.numpy.linalg and jax.tree -> names.json

Classes (dtypes, configurations) are left out, but for the two decorators that are classes. `docs/numpy.md` says of each name
what it is here.

Run: python names.py
"""

import inspect

import jax
import jax.numpy as jnp

from common import versions, write

MODULES = {
    "jnp": jnp,
    "jnp.linalg": jnp.linalg,
    "lax": jax.lax,
    "nn": jax.nn,
    "random": jax.random,
    "jax": jax,
    "tree": jax.tree,
}
DECORATORS = {"custom_jvp", "custom_vjp"}


def functions(module):
    members = ((name, getattr(module, name)) for name in sorted(dir(module)) if not name.startswith("_"))
    return [
        name
        for name, member in members
        if callable(member) and (name in DECORATORS or not inspect.isclass(member))
    ]


write("names.json", {"versions": versions("jax"), **{key: functions(module) for key, module in MODULES.items()}})
