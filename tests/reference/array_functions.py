"""Reference numbers of JAX for the functions of jax.numpy and jax.nn that are made of operations, and their slopes.

    venv/bin/python array_functions.py

Writes array_functions.safetensors beside this script; README.md says what is in it.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax, random

from generate import Cases

MATRIX = (4, 6)
POINTS = np.array([-6.0, -3.0, -1.5, -1.0, -0.5, -0.125, -0.0, 0.0, 1e-4, 0.25, 0.75, 1.0, 1.25, 2.0, 2.5, 4.0, 9.5, 14.0], np.float32)

# Elementwise, at POINTS.
POINTWISE = {
    "relu": jax.nn.relu,
    "silu": jax.nn.silu,
    "softplus": jax.nn.softplus,
    "gelu": jax.nn.gelu,
    "gelu_exact": lambda x: jax.nn.gelu(x, approximate=False),
    "erf": lax.erf,
    "erfc": lax.erfc,
}
# Of a matrix.
WHOLE = {
    "softmax -1": lambda x: jax.nn.softmax(x, -1),
    "softmax 0": lambda x: jax.nn.softmax(x, 0),
    "softmax all": lambda x: jax.nn.softmax(x, (0, 1)),
    "logsumexp -1": lambda x: jax.nn.logsumexp(x, -1),
    "logsumexp keepdims": lambda x: jax.nn.logsumexp(x, (0, 1), keepdims=True),
    "var": lambda x: jnp.var(x, 0),
    "var ddof": lambda x: jnp.var(x, -1, ddof=1, keepdims=True),
    "std": lambda x: jnp.std(x, (0, 1)),
    "sum keepdims": lambda x: jnp.sum(x, -2, keepdims=True),
    "cumsum": lambda x: jnp.cumsum(x, -1),
    "cumprod": lambda x: jnp.cumprod(x, 0),
    "cummax": lambda x: lax.cummax(x, 1),
    "cummin": lambda x: lax.cummin(x, 0),
    "stack": lambda x: jnp.stack([x, 2 * x], -1),
    "split": lambda x: jnp.split(x, 3, 1)[1],
    "split_at": lambda x: jnp.split(x, [1, 4], -1)[1],
    "squeeze": lambda x: jnp.squeeze(x[None, :, :, None], (0, -1)),
    "swapaxes": lambda x: jnp.swapaxes(x, 0, -1),
    "roll": lambda x: jnp.roll(x, 7, 0),
    "roll back": lambda x: jnp.roll(x, -2, -1),
    "tile": lambda x: jnp.tile(x, (2, 1, 3)),
    "repeat": lambda x: jnp.repeat(x, 3, 0),
    "flip": lambda x: jnp.flip(x, -1),
    "tril": lambda x: jnp.tril(x, -1),
    "triu": lambda x: jnp.triu(x, 2),
    "arange": lambda x: jnp.arange(0.5, 6.5, 1.0) * x,
    "top_k": lambda x: lax.top_k(x, 3)[0],
    "take": lambda x: jnp.take(x, jnp.array([0, -1, 3, -6]), 1),
    "take_along_axis": lambda x: jnp.take_along_axis(x, jnp.array([[0, -1], [5, 2], [-6, 3], [1, 1]]), 1),
}
# Integers of a matrix with ties.
INTEGERS = {
    "argmax": lambda x: jnp.argmax(x, 1),
    "argmin": lambda x: jnp.argmin(x, 0),
    "top_k indices": lambda x: lax.top_k(x, 4)[1],
    "one_hot": lambda x: jax.nn.one_hot(x.astype(jnp.int32), 3, dtype=jnp.int32),
    "cumsum of bytes": lambda x: jnp.cumsum(x.astype(jnp.int8), 1),
    "take beyond": lambda x: jnp.take_along_axis(x.astype(jnp.int32), jnp.full((4, 1), 6), 1),
}


def slope(f, x):
    """The cotangent of `x`, for a weight of 1, 2, ... of each element of the result."""
    y, back = jax.vjp(f, x)
    return back((1.0 + jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape))[0]


def main():
    cases = Cases()
    x = jnp.asarray(np.random.default_rng(0).normal(size=MATRIX).astype(np.float32))
    ties = jnp.asarray(np.random.default_rng(1).integers(-1, 4, MATRIX).astype(np.float32))
    for name, f in POINTWISE.items():
        cases.add(name, x=POINTS, value=jax.jit(f)(POINTS), slope=jax.jit(lambda x: slope(f, x))(POINTS))
    for name, f in WHOLE.items():
        cases.add(name, x=x, value=jax.jit(f)(x), slope=jax.jit(lambda x: slope(f, x))(x))
    for name, f in INTEGERS.items():
        cases.add(name, x=ties, value=jax.jit(f)(ties))
    key = random.key(7)
    logits = jnp.log(jnp.array([0.1, 0.2, 0.3, 0.4]))
    p = jnp.array([0.1, 0.2, 0.3, 0.4], jnp.float32)
    cases.add(
        "random",
        gumbel=random.gumbel(key, (3, 5)),
        exponential=random.exponential(key, (3, 5)),
        categorical=random.categorical(key, logits, shape=(64,)),
        choice=random.choice(key, 10, (12,)),
        choice_p=random.choice(key, 4, (12,), p=p),
        without=random.choice(key, 10, (6,), replace=False),
        without_p=random.choice(key, 4, (3,), replace=False, p=p),
        logits=logits,
        p=p,
    )
    path = Path(__file__).with_name("array_functions.safetensors")
    cases.write(path)
    print(f"{path.name}: {len(cases.arrays)} arrays, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
