"""Reference values from JAX, Flax, optax, Spyx and qwix, so that the tests need no Python.

    python3.11 -m venv venv
    venv/bin/pip install -r requirements.txt
    venv/bin/python generate.py             # every file
    venv/bin/python generate.py random init # only these

Writes NAME.safetensors beside this script. README.md documents their contents. Nothing here depends on the time or the
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
        """Adds a case `kind/0`, `kind/1`, ... for each row of arguments."""
        for number, arguments in enumerate(table):
            self.add(f"{kind}/{number}", arguments, out=function(**arguments))

    def write(self, path):
        # A single metadata entry: safetensors writes several in random order.
        save_file(self.arrays, path, metadata={"cases": json.dumps(self.arguments)})


def plain(array):
    """f32, i32 or u32; a 64-bit integer becomes [..., 2]: high word, low word."""
    array = np.asarray(array)
    if array.dtype in (np.int64, np.uint64):
        bits = array.astype(np.uint64)
        return np.stack([bits >> np.uint64(32), bits & np.uint64(0xFFFFFFFF)], -1).astype(np.uint32)
    if jnp.issubdtype(array.dtype, jnp.floating):
        return np.array(array, np.float32, order="C")
    unsigned = jnp.issubdtype(array.dtype, jnp.unsignedinteger)
    return np.array(array, np.uint32 if unsigned else np.int32, order="C")


def parameters(model):
    """Path such as `core/layers/0/kernel` -> array."""
    return {"/".join(map(str, path)): leaf[...] for path, leaf in nnx.to_flat_state(nnx.state(model, nnx.Param))}


# Random numbers


def random_numbers(cases):
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
            for s, shape, low, high in (
                (0, [7], -2.0, 2.0),
                (42, [3, 5], -2.0, 2.0),
                (1, [513], -2.0, 2.0),
                (2, [9], -1.0, 0.5),
            )
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
        # One round of sorting up to 1625, then two.
        [
            {"seed": s, "n": n}
            for s, n in ((0, 1), (0, 2), (1, 7), (42, 10), (3, 100), (4, 1437), (5, 1625), (5, 1626), (6, 2000))
        ],
    )
    cases.each(
        "permutation_array",
        lambda seed, shape, axis, independent: jax.random.permutation(
            PRNGKey(seed), jnp.arange(np.prod(shape)).reshape(shape), axis, independent
        ),
        [
            {"seed": s, "shape": shape, "axis": axis, "independent": independent}
            for s, shape, axis, independent in (
                (0, [6], 0, False),
                (1, [5, 3], 0, False),
                (1, [5, 3], 1, False),
                (2, [5, 4], 0, True),
            )
        ],
    )


def random_wide(cases):
    """64-bit integers, which JAX only supports with jax_enable_x64."""
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


def initial_values(cases):
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
    initial_neurons(cases)
    for seed in (0, 1):
        cases.add(f"tutorial/seed{seed}", {"seed": seed}, **parameters(tutorial_network(seed)))


def initial_neurons(cases):
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


NEURON_SIZES = TIMES, BATCH, UNITS = 12, 3, 5
BETAS = [-0.25, 0.0, 0.7, 1.0, 1.5]  # clipped to [0, 1]; at the ends half of the gradient passes


def neurons(cases):
    table = (
        {"type": "LIF", "activation": {"type": "triangular"}},
        {"type": "LIF", "activation": {"type": "superspike"}, "beta": 0.9, "threshold": 0.5},
        {"type": "LIF", "activation": {"type": "arctan", "k": 1.5}, "beta": BETAS},
        {"type": "LIF", "activation": {"type": "boxcar"}, "beta": 1.3},
        {"type": "LIF", "activation": {"type": "tanh"}, "beta": -0.1},
        {"type": "IF", "activation": {"type": "triangular", "k": 1.0}},
        {"type": "IF", "activation": {"type": "boxcar"}, "threshold": 0.75},
        {"type": "LI"},
        {"type": "LI", "beta": 0.5},
        {"type": "LI", "beta": BETAS},
    )
    for number, arguments in enumerate(table):
        cases.add(f"neuron/{number}", arguments, **run_neuron(np.random.default_rng(number), **arguments))


def run_neuron(rng, type, activation=None, beta=None, **threshold):
    spike = {"activation": make_surrogate(**activation)} if activation else {}
    layer = getattr(snn, type)((UNITS,), **spike, **threshold, rngs=nnx.Rngs(0))
    if beta is not None:
        layer.beta = nnx.Param(jnp.asarray(beta, jnp.float32))
    model, parameters = nnx.split(layer, nnx.Param)
    weights = jnp.asarray(rng.normal(size=NEURON_SIZES), jnp.float32)

    def weighted(parameters, x, state):
        outputs, final = snn.run(nnx.merge(model, parameters), x, state)
        return jnp.sum(outputs * weights), (outputs, final)

    x = jnp.asarray(rng.normal(0.3, 0.8, NEURON_SIZES), jnp.float32)
    state = jnp.asarray(rng.normal(0, 0.5, (BATCH, UNITS)), jnp.float32)
    gradient = jax.jit(jax.value_and_grad(weighted, (0, 1, 2), has_aux=True))
    (_, (outputs, final)), (d_parameters, d_x, d_state) = gradient(parameters, x, state)
    if type != "LI":
        check_margin(x, state, getattr(layer, "beta", nnx.Param(jnp.ones(())))[...], layer.threshold)
    betas = {"beta": parameters["beta"][...], "d_beta": d_parameters["beta"][...]} if type != "IF" else {}
    return betas | {
        "input": x,
        "initial_state": state,
        "weights": weights,
        "outputs": outputs,
        "final_state": final,
        "d_input": d_x,
        "d_initial_state": d_state,
    }


def make_surrogate(type, **arguments):
    return getattr(spyx.axn, type)(**arguments)


def check_margin(x, state, beta, threshold):
    """Whether no potential is so near the threshold that rounding could decide about a spike."""
    beta, potential = np.clip(np.float64(beta), 0, 1), np.float64(state)
    for now in np.float64(x):
        assert np.abs(potential - threshold).min() > 1e-4
        potential = beta * potential + now - (potential > threshold) * threshold


def losses(cases):
    rng = np.random.default_rng(0)
    traces = {1: rng.normal(size=(4, 6, 5)), 0: rng.normal(size=(6, 4, 5))}  # [B, T, C] and [T, B, C]
    targets = jnp.asarray([3, 0, 4, 1])
    table = (
        ("integral_crossentropy", {}),
        ("integral_crossentropy", {"smoothing": 0.0}),
        ("integral_crossentropy", {"smoothing": 0.1, "time_axis": 0}),
        ("mse_spikerate", {}),
        ("mse_spikerate", {"sparsity": 0.5, "smoothing": 0.1}),
        ("mse_spikerate", {"sparsity": 0.1, "time_axis": 0}),
    )
    for number, (name, arguments) in enumerate(table):
        loss = getattr(spyx.fn, name)(**arguments)
        x = jnp.asarray(traces[arguments.get("time_axis", 1)], jnp.float32)
        value, gradient = jax.value_and_grad(loss)(x, targets)
        case = {"type": name} | arguments
        cases.add(f"loss/{number}", case, traces=x, targets=targets, value=value, gradient=gradient)
    ties = np.round(traces[1])
    ties[2] = 0
    for number, (axis, x) in enumerate(((1, traces[1]), (0, traces[0]), (1, ties))):
        x = jnp.asarray(x, jnp.float32)
        value, predictions = spyx.fn.integral_accuracy(axis)(x, targets)
        cases.add(
            f"accuracy/{number}", {"time_axis": axis}, traces=x, targets=targets, value=value, predictions=predictions
        )


# Optimizers


def optimizers(cases):
    steps = 20
    rng = np.random.default_rng(0)
    params = {"w": rng.normal(size=(3, 4)), "b": rng.normal(size=4)}
    # Global norms both above and below 1.
    scales = 0.15 * np.exp(rng.normal(size=(steps, 1, 1)))
    grads = {"w": scales * rng.normal(size=(steps, 3, 4)), "b": scales[:, 0] * rng.normal(size=(steps, 4))}
    params, grads = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), (params, grads))
    cases.add(
        "given", {}, **{f"params/{k}": v for k, v in params.items()}, **{f"grads/{k}": v for k, v in grads.items()}
    )
    adam = {"name": "adam", "learning_rate": 0.01}
    cosine = {"name": "cosine_decay_schedule", "init_value": 0.1, "decay_steps": 15, "alpha": 0.1}
    warmup = {
        "name": "warmup_cosine_decay_schedule",
        "init_value": 0.0,
        "peak_value": 0.1,
        "warmup_steps": 5,
        "decay_steps": 18,
    }
    table = (
        {"name": "sgd", "learning_rate": 0.1},
        {"name": "sgd", "learning_rate": 0.1, "momentum": 0.9},
        {"name": "sgd", "learning_rate": 0.1, "momentum": 0.9, "nesterov": True},
        adam,
        {"name": "adam", "learning_rate": 0.01, "b1": 0.8, "b2": 0.95, "eps": 1e-3, "eps_root": 1e-4},
        {"name": "adam", "learning_rate": 0.01, "nesterov": True},
        {"name": "adamw", "learning_rate": 0.01},
        {"name": "adamw", "learning_rate": 0.01, "weight_decay": 0.1},
        {"name": "lion", "learning_rate": 0.01},
        {"name": "lion", "learning_rate": 0.01, "b1": 0.8, "b2": 0.95, "weight_decay": 0.1},
        {"name": "chain", "parts": [{"name": "clip_by_global_norm", "max_norm": 1.0}, adam]},
        {
            "name": "chain",
            "parts": [{"name": "clip_by_global_norm", "max_norm": 1.0}, {"name": "sgd", "learning_rate": 0.1}],
        },
        {"name": "adam", "learning_rate": cosine},
        {"name": "sgd", "learning_rate": warmup, "momentum": 0.9},
    )
    for number, description in enumerate(table):
        cases.add(f"optimizer/{number}", description, **optimize(build(description), params, grads))
    schedules(cases, cosine, warmup)


def schedules(cases, cosine, warmup):
    table = (
        cosine,
        {"name": "cosine_decay_schedule", "init_value": 0.5, "decay_steps": 10, "exponent": 2.0},
        warmup,
        {**warmup, "init_value": 0.01, "end_value": 0.02},
    )
    for number, description in enumerate(table):
        schedule = jax.jit(build(description))
        cases.add(
            f"schedule/{number}", description, values=jnp.stack([schedule(jnp.int32(step)) for step in range(25)])
        )


def build(description):
    """An optax optimizer or schedule from its name, arguments and, for chain, parts."""
    if not isinstance(description, dict):
        return description
    arguments = {key: build(value) for key, value in description.items() if key not in ("name", "parts")}
    return getattr(optax, description["name"])(*map(build, description.get("parts", ())), **arguments)


def optimize(optimizer, params, grads):
    def step(carry, grads):
        params, state = carry
        updates, state = optimizer.update(grads, state, params)
        params = optax.apply_updates(params, updates)
        return (params, state), params

    _, history = jax.jit(lambda: jax.lax.scan(step, (params, optimizer.init(params)), grads))()
    return {f"params/{name}": values for name, values in history.items()}


# Quantized dot products

INT8 = {"weight_qtype": "int8", "act_qtype": "int8"}


def dot_products(cases):
    rng = np.random.default_rng(0)
    given = dot_operands(rng)
    for name, arrays in given.items():
        cases.add(f"given/{name}", {}, **arrays)
    quantize_cases(cases, given)
    table = (
        INT8,
        {"weight_qtype": "int8"},
        {"weight_qtype": "int4"},
        {"weight_qtype": "int4", "act_qtype": "int8"},
        {"weight_qtype": "int2", "act_qtype": "int8"},
        INT8 | {"weight_calibration_method": "absmax,0.8", "act_calibration_method": "absmax,0.8"},
        INT8 | {"act_calibration_method": "minmax"},
        INT8 | {"weight_calibration_method": "rms,3", "act_calibration_method": "rms,2"},
        INT8 | {"act_calibration_method": "fixed,-1.5,1.5"},
        INT8 | {"act_calibration_method": "fixed,-0.5,2"},
        INT8 | {"tile_size": 8},
        {"weight_qtype": "int4", "tile_size": 8},
        INT8 | {"disable_channelwise_axes": True},
        INT8 | {"bwd_qtype": "int8"},
    )
    for number, rule in enumerate(table):
        for operands in ("bi", "tbi", "spikes"):
            dot_case(cases, f"dot/{number}/{operands}", rule, operands, given[operands])
    for number, rule in enumerate((INT8 | {"tile_size": 128}, {"weight_qtype": "int4", "tile_size": 128})):
        dot_case(cases, f"dot/{len(table) + number}/long", rule, "long", given["long"])


def dot_operands(rng):
    """x [.., I], w [I, O], weights of the outputs [.., O]; one row of zeros in x and one column of zeros in w."""
    shapes = {"bi": (5, 24), "tbi": (3, 5, 24), "spikes": (3, 5, 24), "long": (2, 256)}
    given = {}
    for name, shape in shapes.items():
        x = rng.normal(size=shape) if name != "spikes" else rng.random(shape) < 0.3
        w = rng.normal(size=(shape[-1], 7)) / np.sqrt(shape[-1])
        g = rng.normal(size=(*shape[:-1], 7))
        x[(0,) * (len(shape) - 1)] = 0
        w[:, 2] = 0
        given[name] = {key: jnp.asarray(a, jnp.float32) for key, a in (("x", x), ("w", w), ("g", g))}
    return given


def quantize_cases(cases, given):
    scaled = [INT8["act_qtype"], "int2", "int3", "int4", "int5", "int6", "int7", "nf4"]
    table = [{"array": "x", "qtype": qtype, "channelwise_axes": [0]} for qtype in scaled]
    table += [
        {"array": array, "qtype": qtype, "channelwise_axes": axes}
        for array, qtype, axes in (("w", "int8", [1]), ("w", "int4", [1]), ("x", "int8", []))
    ]
    table += [
        {"array": "x", "qtype": qtype, "channelwise_axes": [0], "calibration_method": method}
        for qtype in ("int8", "int4")
        for method in ("absmax,0.8", "minmax", "minmax,0.9", "rms,2", "fixed,-1.5,1.5", "fixed,-0.5,2")
    ]
    table += [
        {"array": "x", "qtype": qtype, "channelwise_axes": [0], "tiled_axes": {"1": tile}}
        for qtype, tile in (("int8", 8), ("int4", 8), ("int8", 0.25))
    ]
    for number, arguments in enumerate(table):
        cases.add(f"quantize/{number}", arguments, **both(quantizer(**arguments), given["bi"][arguments["array"]]))


def quantizer(array, tiled_axes=None, **arguments):
    tiled_axes = {int(axis): tile for axis, tile in (tiled_axes or {}).items()}

    def quantize(x):
        q = qwix.quantize(x, tiled_axes=tiled_axes, **arguments)
        points = {} if q.zero_point is None else {"zero_point": q.zero_point.astype(jnp.int32)}
        return {"qvalue": q.qvalue.astype(jnp.int32), "scale": q.scale, "dequantized": qwix.dequantize(q)} | points

    return quantize


def dot_case(cases, case, rule, operands, given):
    """A Linear layer without bias under qwix QAT: y, and the gradients of sum(y * g)."""
    layer = nnx.Linear(*given["w"].shape, use_bias=False, rngs=nnx.Rngs(0))
    layer.kernel = nnx.Param(given["w"])
    jax.clear_caches()
    layer = qwix.quantize_model(layer, qwix.QtProvider([qwix.QtRule(**rule)]), given["x"])
    model, parameters = nnx.split(layer, nnx.Param)

    def weighted(parameters, x):
        y = nnx.merge(model, parameters)(x)
        return jnp.sum(y * given["g"]), y

    def gradient(parameters, x):
        (_, y), (dw, dx) = jax.value_and_grad(weighted, (0, 1), has_aux=True)(parameters, x)
        return {"y": y, "dx": dx, "dw": dw["kernel"][...]}

    cases.add(case, {"operands": operands} | rule, **both(gradient, parameters, given["x"]))


def both(function, *arguments):
    """The results of the compiled function; if op-by-op execution gives other bits, those as NAME_eager."""
    jax.clear_caches()
    compiled = jax.jit(function)(*arguments)
    jax.clear_caches()
    eager = function(*arguments)
    return compiled | {f"{k}_eager": v for k, v in eager.items() if not np.array_equal(v, compiled[k])}


# Whole models

WEIGHTS4 = {"weight_qtype": "int4"}
READOUT = INT8 | {"module_path": ".*layers/4"}


def quantized(model, x, **rule):
    """qwix QAT. Clears caches, since an earlier model's compiled functions would hide the new one's operations."""
    jax.clear_caches()
    return spyx.quant.quantize(model, x, rules=[qwix.QuantizationRule(**rule)])


def tutorial(cases):
    """The Spyx tutorial on quantization-aware training: its model, keys and data."""
    x = spike_train(0)
    train_x = spike_train(1)
    targets = jax.random.randint(PRNGKey(2), (8,), 0, 10)
    cases.add("given", {}, sample_x=x, x=train_x, targets=targets)
    cases.add("params", {"seed": 0}, **parameters(tutorial_network(0)))
    full = outputs(tutorial_network(0), x)
    cases.add("fp32", {}, outputs=full)
    for case, rule, published in (
        ("int8", INT8, 0.2541166841983795),
        ("int4_weights", WEIGHTS4, 0.2949596643447876),
        ("readout", READOUT, 0.002592414617538452),
    ):
        result = outputs(quantized(tutorial_network(0), x, **rule), x)
        difference = jnp.max(jnp.abs(result - full))
        assert float(difference) == published, (case, float(difference))
        cases.add(case, rule, outputs=result, difference=difference)
    model = quantized(tutorial_network(0), x, **INT8)
    history = train(model, optax.lion(1e-3), train_x, targets, 50)
    arguments = {"optimizer": "lion", "learning_rate": 1e-3} | INT8
    cases.add("training", arguments, losses=history, **prefixed("params", parameters(model)))


def spike_train(seed):
    return (jax.random.uniform(PRNGKey(seed), (16, 8, 32)) < 0.2).astype(jnp.float32)


def outputs(model, x):
    return nnx.jit(lambda model, x: model(x))(model, x)


def prefixed(prefix, arrays):
    return {f"{prefix}/{name}": array for name, array in arrays.items()}


def loss_of(model, x, targets):
    return spyx.fn.integral_crossentropy()(model(x), targets)


def train(model, transform, x, targets, steps):
    optimizer = nnx.Optimizer(model, transform, wrt=nnx.Param)

    @nnx.jit
    def step(model, optimizer, x, targets):
        loss, grads = nnx.value_and_grad(loss_of)(model, x, targets)
        optimizer.update(model, grads)
        return loss

    return jnp.stack([step(model, optimizer, x, targets) for _ in range(steps)])


def small_model(cases):
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.random((6, 4, 12)) < 0.5, jnp.float32)
    targets = jnp.asarray([3, 0, 4, 1])
    cases.add("given", {"time_axis": 1}, x=x, targets=targets)
    cases.add("params", {}, **parameters(small_network()))
    for case, rule in (
        ("fp32", None),
        ("int8", INT8),
        ("int8_weights", {"weight_qtype": "int8"}),
        ("int4_weights", WEIGHTS4),
    ):
        model = quantized(small_network(), x, **rule) if rule else small_network()
        result = {"outputs": outputs(model, x)}
        result["loss"], grads = nnx.jit(nnx.value_and_grad(loss_of))(model, x, targets)
        result["losses"] = train(model, optax.adam(1e-2), x, targets, 10)
        trained = prefixed("trained", parameters(model))
        cases.add(case, rule, **result, **prefixed("grads", parameters(grads)), **trained)


def small_network():
    """12-16-5 with nonzero biases, unlike Flax's initial ones, so that a missing bias shows."""
    model = Network(3, (12, 16, 5), use_bias=True)
    rng = np.random.default_rng(1)
    for layer in model.core.layers:
        if isinstance(layer, nnx.Linear):
            layer.bias[...] = jnp.asarray(rng.normal(0.2, 0.2, layer.out_features), jnp.float32)
    return model


TOPICS = {
    "random": random_numbers,
    "init": initial_values,
    "surrogates": surrogates,
    "neurons": neurons,
    "losses": losses,
    "optim": optimizers,
    "qdot": dot_products,
    "tutorial": tutorial,
    "model": small_model,
}


def main(names):
    for name in names or TOPICS:
        cases = Cases()
        TOPICS[name](cases)
        path = Path(__file__).with_name(f"{name}.safetensors")
        cases.write(path)
        print(f"{path.name}: {len(cases.arrays)} arrays, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
