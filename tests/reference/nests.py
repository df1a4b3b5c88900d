"""Reference values of JAX for nested transforms that use outer values at every level.

    venv/bin/python nests.py

Writes nests.safetensors beside this script; README.md documents its contents. `run` corresponds to `run` in tests/graph/nest/mod.rs.
"""

import itertools
import random
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from generate import Cases

jax.config.update("jax_enable_x64", True)

KINDS = ("grad", "vjp", "vmap", "scan", "while", "switch", "checkpoint", "custom_vjp", "jit")
DIFFERENTIATE = ("grad", "vjp", "custom_vjp")


def mix(x, y):
    return jnp.sin(x * y) + x * 0.5


def leaf(scope):
    n = len(scope)
    return jnp.tanh(scope[n - 1] * scope[n - 2]) + scope[0] * scope[n // 2]


def replaced(scope, places, values):
    scope = list(scope)
    for place, value in zip(places, values):
        scope[place] = value
    return [*scope, mix(scope[places[0]], scope[places[1]])]


def custom(f):
    @jax.custom_vjp
    def function(*scope):
        return f(list(scope))

    def backward(scope, ct):
        return jax.vjp(lambda *scope: f(list(scope)), *scope)[1](ct)

    function.defvjp(lambda *scope: (f(list(scope)), scope), backward)
    return function


def run(levels, scope):
    if not levels:
        return leaf(scope)
    (kind, i, j), rest = levels[0], levels[1:]
    i, j = i % len(scope), j % len(scope)
    outer = mix(scope[i], scope[j])
    scope = [*scope, outer]
    x, y = scope[i], scope[j]

    def inner(scope):
        return run(rest, scope)

    if kind == "grad":
        return jnp.sin(jax.grad(lambda p: jnp.sum(inner(replaced(scope, (i, i), (p, p))) * y))(x)) + outer
    if kind == "vjp":
        p, q = jax.vjp(lambda p, q: inner(replaced(scope, (i, j), (p, q))), x, y)[1](outer)
        return jnp.sin(q) if i == j else jnp.sin(p) + q
    if kind == "vmap":
        rows = jax.vmap(lambda v: inner([*scope, v]))(jnp.stack([x, y, outer]))
        return rows[0] - rows[1] * 0.5 + rows[2] * 0.25
    if kind == "scan":

        def step(c, x):
            result = inner([*scope, c, x])
            return c * 0.5 + jnp.sin(result), result * x

        last, results = lax.scan(step, x, jnp.stack([y, outer]))
        return last + jnp.sum(results, 0) * 0.5
    if kind == "while":
        step = lambda state: (state[0] + 1, jnp.sin(inner([*scope, state[1]])) + state[1] * 0.25)
        return lax.while_loop(lambda state: state[0] < 2, step, (0, x))[1]
    if kind == "switch":
        index = (jnp.sum(x) > jnp.sum(y)).astype(jnp.int32)
        return lax.switch(index, [lambda: inner(scope), lambda: jnp.sin(inner([*scope, outer * 2.0]))])
    if kind == "checkpoint":
        return jax.checkpoint(lambda p: inner(replaced(scope, (i, i), (p, p))))(x)
    if kind == "custom_vjp":
        return custom(lambda scope: inner(replaced(scope, (i, j), (scope[i], scope[j]))))(*scope)
    return jax.jit(lambda *scope: inner(list(scope)))(*scope)


def allowed(kinds):
    """Whether no `while` is differentiated from outside."""
    first = next((n for n, kind in enumerate(kinds) if kind in DIFFERENTIATE), len(kinds))
    return "while" not in kinds[first:]


def nests():
    """All nests of one and two levels; some of three and four."""
    draw = random.Random(0)
    deep = [tuple(draw.choice(KINDS) for _ in range(depth)) for depth in (3, 4) for _ in range(100)]
    some = [kinds for kinds in deep if allowed(kinds)]
    for kinds in [*itertools.product(KINDS, repeat=1), *itertools.product(KINDS, repeat=2), *some]:
        if allowed(kinds):
            yield [[kind, draw.randrange(8), draw.randrange(8)] for kind in kinds]


def add(cases, name, arguments=None, **arrays):
    cases.arguments[name] = arguments or {}
    cases.arrays |= {f"{name}/{array}": np.array(value, np.float64) for array, value in arrays.items()}


def main():
    cases, rng = Cases(), np.random.default_rng(0)
    given = {name: rng.uniform(-1.2, 1.2, 3) for name in "abw"}
    add(cases, "given", **given)
    inputs = [jnp.array(value) for value in given.values()]
    for number, levels in enumerate(nests()):
        # Called eagerly: not even the outermost level is compiled as a whole.
        arrays = {"value": run(levels, inputs)}
        if all(kind != "while" for kind, *_ in levels):
            gradient = jax.grad(lambda inputs: jnp.sum(run(levels, inputs)))(inputs)
            arrays |= dict(zip(("da", "db", "dw"), gradient))
        assert all(np.isfinite(value).all() for value in arrays.values()), levels
        add(cases, f"nest/{number}", {"levels": levels}, **arrays)
    path = Path(__file__).with_name("nests.safetensors")
    cases.write(path)
    print(f"{path.name}: {len(cases.arguments) - 1} nests, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
