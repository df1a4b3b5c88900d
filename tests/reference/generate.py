"""Reference numbers from JAX, Flax, optax, Spyx and qwix, so that the tests need no Python.

    python3.11 -m venv venv
    venv/bin/pip install -r requirements.txt
    venv/bin/python generate.py             # every file
    venv/bin/python generate.py random init # only these

Writes NAME.safetensors beside this script. README.md says what is in them. Nothing here depends on the time or the
machine's name, but the last bits of floats depend on the processor that XLA compiles for.
"""

import json
import os
import sys
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.numpy as jnp
import numpy as np
import optax
import qwix
import spyx
import spyx.nn as snn
from flax import nnx
from jax.random import PRNGKey
from safetensors.numpy import save_file


class Cases:
    """Arrays under `case/name`, and each case's arguments as JSON."""

    def __init__(self):
        self.arrays, self.arguments = {}, {}

    def add(self, case, arguments=None, **arrays):
        self.arguments[case] = arguments or {}
        self.arrays |= {f"{case}/{name}": plain(array) for name, array in arrays.items()}

    def each(self, kind, function, table):
        """One case `kind/0`, `kind/1`, ... for each row of arguments."""
        for number, arguments in enumerate(table):
            self.add(f"{kind}/{number}", arguments, out=function(**arguments))

    def write(self, path):
        # One metadata entry only: safetensors writes several in random order.
        save_file(self.arrays, path, metadata={"cases": json.dumps(self.arguments)})


def plain(array):
    """f32, i32 or u32; a 64-bit integer becomes [..., 2]: high word, low word."""
    array = np.asarray(array)
    if array.dtype in (np.int64, np.uint64):
        bits = array.astype(np.uint64)
        return np.stack([bits >> np.uint64(32), bits & np.uint64(0xFFFFFFFF)], -1).astype(np.uint32)
    if jnp.issubdtype(array.dtype, jnp.floating):
        return np.ascontiguousarray(array, np.float32)
    unsigned = jnp.issubdtype(array.dtype, jnp.unsignedinteger)
    return np.ascontiguousarray(array.astype(np.uint32 if unsigned else np.int32))


def parameters(model):
    """Path such as `core/layers/0/kernel` -> array."""
    return {"/".join(map(str, path)): leaf[...] for path, leaf in nnx.to_flat_state(nnx.state(model, nnx.Param))}


# Random numbers


def random(cases):
    assert jax.config.jax_threefry_partitionable
    seeds = [{"seed": s} for s in (0, 1, 42, 2**31 - 1, 2**32 - 1, -1, 2**32 + 5, 3 - 2**40, 2**63 - 1)]
    cases.each("key", PRNGKey, seeds)
    random_keys(cases)
    random_floats(cases)
    random_integers(cases)
    with jax.enable_x64(True):
        cases.each("key_x64", PRNGKey, seeds)
        random_wide(cases)
    random_streams(cases)


def random_keys(cases):
    cases.each(
        "split",
        lambda seed, num: jax.random.split(PRNGKey(seed), tuple(num) if isinstance(num, list) else num),
        [{"seed": s, "num": n} for s, n in ((0, 2), (42, 1), (42, 5), (7, [2, 3]), (1, 130))],
    )
    cases.each(
        "fold_in",
        lambda seed, data: jax.random.fold_in(PRNGKey(seed), np.uint32(data)),
        [{"seed": s, "data": d} for s, d in ((0, 0), (0, 1), (42, 7), (42, 2**31), (5, 2**32 - 1))],
    )
    cases.each(
        "bits",
        lambda seed, shape, dtype: jax.random.bits(PRNGKey(seed), shape, dtype),
        [
            {"seed": i, "shape": shape, "dtype": dtype}
            for dtype in ("uint8", "uint16", "uint32")
            for i, shape in enumerate(([], [1], [7], [3, 5], [2, 3, 4], [0, 3]))
        ],
    )


def random_floats(cases):
    cases.each(
        "uniform",
        lambda seed, shape, minval, maxval: jax.random.uniform(PRNGKey(seed), shape, minval=minval, maxval=maxval),
        [
            {"seed": s, "shape": shape, "minval": low, "maxval": high}
            for s, shape, low, high in (
                (0, [], 0.0, 1.0),
                (42, [7], 0.0, 1.0),
                (1, [3, 5], -2.5, 3.0),
                (2, [2, 3, 4], 1e-3, 1e-2),
                (3, [257], -1.0, 1.0),
            )
        ],
    )
    cases.each(
        "normal",
        lambda seed, shape: jax.random.normal(PRNGKey(seed), shape),
        [{"seed": s, "shape": shape} for s, shape in ((0, []), (42, [7]), (1, [3, 5]), (2, [2, 3, 4]), (3, [513]))],
    )
    cases.each(
        "truncated_normal",
        lambda seed, shape, lower, upper: jax.random.truncated_normal(PRNGKey(seed), lower, upper, shape),
        [
            {"seed": s, "shape": shape, "lower": low, "upper": high}
            for s, shape, low, high in ((0, [7], -2.0, 2.0), (42, [3, 5], -2.0, 2.0), (1, [513], -2.0, 2.0), (2, [9], -1.0, 0.5))
        ],
    )
    cases.each(
        "bernoulli",
        lambda seed, p, shape: jax.random.bernoulli(PRNGKey(seed), jnp.float32(p), shape),
        [
            {"seed": s, "p": p, "shape": shape}
            for s, p, shape in ((0, 0.5, [7]), (42, 0.2, [3, 5]), (1, [0.0, 0.25, 0.5, 0.75, 1.0], [20, 5]))
        ],
    )


def random_integers(cases):
    wide = {"int32": np.int32, "uint32": np.uint32}

    def randint(seed, shape, minval, maxval, dtype):
        bound = wide.get(dtype, np.int32)
        return jax.random.randint(PRNGKey(seed), shape, bound(minval), bound(maxval), dtype)

    cases.each(
        "randint",
        randint,
        [
            {"seed": s, "shape": shape, "minval": low, "maxval": high, "dtype": dtype}
            for s, shape, low, high, dtype in (
                (2, [8], 0, 10, "int32"),
                (0, [], 0, 3, "int32"),
                (42, [3, 5], -5, 5, "int32"),
                (1, [7], 0, 2**31 - 1, "int32"),
                (1, [7], -(2**31), 2**31 - 1, "int32"),
                (3, [4], 5, 5, "int32"),
                (3, [4], 5, -5, "int32"),
                (4, [9], 0, 65537, "int32"),
                (5, [9], 0, 256, "uint8"),
                (6, [9], -128, 128, "int8"),
                (6, [9], -300, 300, "int8"),
                (7, [9], 0, 1000, "int16"),
                (8, [9], 0, 65536, "uint16"),
                (9, [9], 0, 2**32 - 1, "uint32"),
                (9, [9], 3, 3_000_000_000, "uint32"),
            )
        ],
    )
    cases.each(
        "permutation",
        lambda seed, n: jax.random.permutation(PRNGKey(seed), n),
        # Up to 1625 one round of sorting, then two.
        [{"seed": s, "n": n} for s, n in ((0, 1), (0, 2), (1, 7), (42, 10), (3, 100), (4, 1437), (5, 1625), (5, 1626), (6, 2000))],
    )
    cases.each(
        "permutation_array",
        lambda seed, shape, axis, independent: jax.random.permutation(
            PRNGKey(seed), jnp.arange(np.prod(shape)).reshape(shape), axis, independent
        ),
        [
            {"seed": s, "shape": shape, "axis": axis, "independent": independent}
            for s, shape, axis, independent in ((0, [6], 0, False), (1, [5, 3], 0, False), (1, [5, 3], 1, False), (2, [5, 4], 0, True))
        ],
    )


def random_wide(cases):
    """64-bit integers, which JAX has only with jax_enable_x64."""
    cases.each(
        "bits_x64",
        lambda seed, shape: jax.random.bits(PRNGKey(seed), shape, "uint64"),
        [{"seed": s, "shape": shape} for s, shape in ((0, [7]), (2**32 + 5, [2, 3]))],
    )
    cases.each(
        "randint_x64",
        lambda seed, shape, minval, maxval: jax.random.randint(PRNGKey(seed), shape, minval, maxval, "int64"),
        [
            {"seed": s, "shape": shape, "minval": low, "maxval": high}
            for s, shape, low, high in ((0, [7], 0, 10), (1, [2, 3], -(2**40), 2**62))
        ],
    )


def random_streams(cases):
    """Keys drawn in turn from flax nnx.Rngs; "" is rngs() itself."""
    for number, (seeds, calls) in enumerate(
        (
            ({"default": 0}, ["params", "params", "", "dropout", "params"]),
            ({"params": 0, "dropout": 1}, ["params", "dropout", "params", "dropout", "params"]),
            ({"default": 7, "params": 3}, ["params", "", "dropout", "params", "noise", ""]),
        )
    ):
        rngs = nnx.Rngs(**seeds)
        keys = [jax.random.key_data(getattr(rngs, name)() if name else rngs()) for name in calls]
        cases.add(f"rngs/{number}", {"seeds": seeds, "calls": calls}, out=jnp.stack(keys))


# Initial values


def init(cases):
    for number, (seed, inputs, outputs, use_bias) in enumerate(
        ((0, 32, 64, False), (1, 5, 3, True), (42, 1, 7, True), (7, 64, 10, True))
    ):
        layer = nnx.Linear(inputs, outputs, use_bias=use_bias, rngs=nnx.Rngs(seed))
        arguments = {"seed": seed, "in_features": inputs, "out_features": outputs, "use_bias": use_bias}
        cases.add(f"linear/{number}", arguments, **parameters(layer))
    cases.each(
        "lecun_normal",
        lambda seed, shape: nnx.initializers.lecun_normal()(PRNGKey(seed), tuple(shape)),
        [{"seed": s, "shape": shape} for s, shape in ((0, [3, 4]), (42, [17, 5]), (1, [3, 3, 2, 4]))],
    )
    init_neurons(cases)
    for seed in (0, 1):
        cases.add(f"tutorial/seed{seed}", {"seed": seed}, **parameters(tutorial_network(seed)))


def init_neurons(cases):
    for number, (kind, shape, beta) in enumerate(
        (
            ("LIF", [64], {}),
            ("LIF", [4, 3], {}),
            ("LIF", [5], {"beta": 0.9}),
            ("LI", [10], {}),
            ("LI", [10], {"beta": 0.5}),
            ("IF", [5], {}),
        )
    ):
        layer = getattr(snn, kind)(tuple(shape), **beta, rngs=nnx.Rngs(number))
        cases.add(f"neuron/{number}", {"type": kind, "seed": number, "shape": shape} | beta, **parameters(layer))


# Models


class Network(nnx.Module):
    """Linear, LIF, Linear, LIF, ..., Linear, LI: [T, B, inputs] -> [B, T, outputs]."""

    def __init__(self, seed, sizes, use_bias=False):
        rngs = nnx.Rngs(seed)
        layers = []
        for inputs, outputs in zip(sizes[:-2], sizes[1:-1]):
            layers.append(nnx.Linear(inputs, outputs, use_bias=use_bias, rngs=rngs))
            layers.append(snn.LIF((outputs,), activation=spyx.axn.triangular(), rngs=rngs))
        layers.append(nnx.Linear(*sizes[-2:], use_bias=use_bias, rngs=rngs))
        layers.append(snn.LI(sizes[-1:], rngs=rngs))
        self.core = snn.Sequential(*layers)

    def __call__(self, x):
        traces, _ = snn.run(self.core, x)
        return jnp.transpose(traces, (1, 0, 2))


def tutorial_network(seed):
    return Network(seed, (32, 64, 64, 10))


# Neurons and losses


def surrogates(cases):
    edges = [0.0, 1e-38, 1e-7, 1e-3, 0.1, 0.25, 0.5, 1.0, 1 / 0.7, 2.0, 3.0, 40.0, 100.0]
    near = [np.nextafter(np.float32(e), np.float32(d)) for e in (0.5, 1.0) for d in (0, 2)]
    half = np.concatenate([edges, near, np.linspace(0.013, 2.2, 48)]).astype(np.float32)
    x = jnp.asarray(np.concatenate([-half, half]))
    for number, (name, arguments) in enumerate(
        (
            ("tanh", {}),
            ("tanh", {"k": 2.5}),
            ("boxcar", {}),
            ("boxcar", {"width": 1.0, "height": 1.5}),
            ("triangular", {}),
            ("triangular", {"k": 0.7}),
            ("arctan", {}),
            ("arctan", {"k": 5.0}),
            ("superspike", {}),
            ("superspike", {"k": 10.0}),
        )
    ):
        spike = getattr(spyx.axn, name)(**arguments)
        forward, backward = jax.vjp(spike, x)
        (gradient,) = backward(jnp.ones_like(x))
        cases.add(f"surrogate/{number}", {"type": name} | arguments, x=x, forward=forward, gradient=gradient)


TOPICS = {topic.__name__: topic for topic in (random, init, surrogates)}


def main(names):
    for name in names or TOPICS:
        cases = Cases()
        TOPICS[name](cases)
        path = Path(__file__).with_name(f"{name}.safetensors")
        cases.write(path)
        print(f"{path.name}: {len(cases.arrays)} arrays, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
