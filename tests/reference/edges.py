"""Reference values of JAX for derivatives at the edges of functions: zeros, ties, poles, infinities, NaN; of first and second order, and
in a branch that a select does not take.

    venv/bin/python edges.py

Writes edges.safetensors beside this script; README.md documents its contents.
"""

import itertools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from generate import Cases
from nests import add

jax.config.update("jax_enable_x64", True)

POINTS = (0.0, -0.0, 1.0, -1.0, 0.5, -2.0, 3.0, np.inf, -np.inf, np.nan)

ONE = {
    "abs": lax.abs,
    "sqrt": lax.sqrt,
    "rsqrt": lax.rsqrt,
    "cbrt": lax.cbrt,
    "log": lax.log,
    "log1p": lax.log1p,
    "exp": lax.exp,
    "expm1": lax.expm1,
    "logistic": lax.logistic,
    "tanh": lax.tanh,
    "tan": lax.tan,
    "sin": lax.sin,
    "cos": lax.cos,
    "sign": lax.sign,
    "floor": lax.floor,
    "ceil": lax.ceil,
    "round_nearest_even": lambda x: lax.round(x, lax.RoundingMethod.TO_NEAREST_EVEN),
    "negate": lax.neg,
    # A power with a whole-number exponent that is not a tensor.
    **{f"power {n}": (lambda n: lambda x: x**n)(n) for n in (-1, 0, 1, 2, 3)},
}
TWO = {
    "add": lax.add,
    "sub": lax.sub,
    "mul": lax.mul,
    "div": lax.div,
    "pow": lax.pow,
    "rem": lax.rem,
    "maximum": lax.max,
    "minimum": lax.min,
    "atan2": lax.atan2,
}
LIMITS = ((-1.0, 1.0), (0.0, 0.0), (1.0, -1.0), (-np.inf, np.inf), (0.0, np.inf))
ROWS = (
    (2.0, 0.0, 3.0, 4.0),
    (0.0, 0.0, 3.0, 4.0),
    (0.0, -0.0, 0.0, 4.0),
    (0.0, 0.0, 0.0, 0.0),
    (1.5, -2.0, 3.0, 0.5),
    (2.0, 2.0, -2.0, 1.0),
    (-3.0, 3.0, 3.0, -3.0),
    (np.inf, 0.0, 1.0, 2.0),
    (np.inf, np.inf, 1.0, -np.inf),
    (np.nan, 1.0, 2.0, 3.0),
)
OVER = {
    "reduce_product": jnp.prod,
    "reduce_max": jnp.max,
    "reduce_min": jnp.min,
    "reduce_absmax": lambda x: jnp.max(jnp.abs(x)),
    "reduce_sum": jnp.sum,
    "log_softmax": jax.nn.log_softmax,
    "sort": jnp.sort,
    "window_max": lambda x: lax.reduce_window(x, -jnp.inf, lax.max, (2,), (1,), "VALID"),
    "window_sum": lambda x: lax.reduce_window(x, 0.0, lax.add, (2,), (1,), "VALID"),
}


def slopes(f, at):
    """Cotangents of the operands, with weights 1, 2, ... for the elements of the result."""
    y, back = jax.vjp(f, *at)
    return back((1.0 + jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape))


def derivatives(f, at):
    """`d0`, `d1`, ...; their own gradients as `d0_1`, ...; `not_taken`: gradients through a select that takes the other branch."""
    arrays = {f"d{i}": slope for i, slope in enumerate(slopes(f, at))}
    for i in range(len(at)):
        second = slopes(lambda *at: slopes(f, at)[i], at)
        arrays |= {f"d{i}_{j}": slope for j, slope in enumerate(second)}
    other = lambda *at: jnp.where(False, f(*at), 0.0)
    return arrays | {f"not_taken{i}": slope for i, slope in enumerate(slopes(other, at))}


def main():
    cases = Cases()

    def case(name, f, *at):
        at = [jnp.array(x) for x in at]
        given = {f"x{i}": x for i, x in enumerate(at)}
        add(cases, name, value=f(*at), **given, **derivatives(f, at))

    for name, f in ONE.items():
        case(f"one/{name}", f, POINTS)
    for name, f in TWO.items():
        case(f"two/{name}", f, *zip(*itertools.product(POINTS, repeat=2)))
    points = [(low, x, high) for low, high in LIMITS for x in POINTS]
    case("three/clamp", lax.clamp, *zip(*points))
    for name, f in OVER.items():
        case(f"over/{name}", jax.vmap(f), ROWS)
    path = Path(__file__).with_name("edges.safetensors")
    cases.write(path)
    print(f"{path.name}: {len(cases.arrays)} arrays, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
