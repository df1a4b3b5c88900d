"""Reference values for the spiking neurons and layers beyond those of generate.py, from Spyx, flax and qwix.

    venv/bin/python layers.py                 # both files
    venv/bin/python layers.py layers spiking  # the same

Writes layers.safetensors and spiking.safetensors beside this script. README.md documents their contents.
"""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import spyx
import spyx.nn as snn
from flax import nnx
from jax.random import PRNGKey

from generate import BETAS, INT8, Cases, loss_of, make_surrogate, outputs, parameters, prefixed, quantized

TIMES, BATCH, UNITS = 10, 3, 5
TRIANGULAR = {"type": "triangular"}


# Neurons


def neurons(cases):
    table = (
        {"type": "ALIF"},
        {"type": "ALIF", "beta": 0.9, "gamma": 0.8, "threshold": 0.5, "activation": {"type": "arctan"}},
        {"type": "ALIF", "beta": BETAS, "gamma": BETAS[::-1], "activation": TRIANGULAR},
        {"type": "CuBaLIF", "activation": TRIANGULAR},
        {"type": "CuBaLIF", "alpha": 0.6, "beta": 0.8, "threshold": 0.7},
        {"type": "CuBaLIF", "alpha": BETAS, "beta": BETAS[::-1], "activation": TRIANGULAR},
        {"type": "RIF", "activation": TRIANGULAR},
        {"type": "RIF", "threshold": 0.75},
        {"type": "RLIF", "activation": TRIANGULAR},
        {"type": "RLIF", "beta": 0.9},
        {"type": "RLIF", "beta": BETAS, "activation": TRIANGULAR},
        {"type": "RCuBaLIF", "activation": TRIANGULAR},
        {"type": "RCuBaLIF", "alpha": 0.6, "beta": 0.8, "threshold": 0.7},
        {"type": "PSU_LIF", "activation": TRIANGULAR},
        {"type": "PSU_LIF", "beta": 0.9, "threshold": 0.7},
        {"type": "PSU_LIF", "beta": BETAS, "activation": TRIANGULAR},
    )
    for number, arguments in enumerate(table):
        seeds = (run_neuron(seed, **arguments) for seed in range(number, 1000))
        cases.add(f"neuron/{number}", arguments, **next(filter(None, seeds)))
    for number, kind in enumerate(("LIF", "IF", "ALIF", "CuBaLIF", "RIF", "RLIF", "RCuBaLIF", "PSU_LIF")):
        seeds = (train_neuron(seed, kind) for seed in range(1000))
        cases.add(f"training/{number}", {"type": kind}, **next(filter(None, seeds)))


def make_neuron(kind, rngs, activation=None, **arguments):
    """A layer of 5 units; lists are set after construction, since Spyx only accepts scalars."""
    spike = {"activation": make_surrogate(**activation)} if activation else {}
    scalars = {name: value for name, value in arguments.items() if not isinstance(value, list)}
    layer = getattr(snn, kind)((UNITS,), **spike, **scalars, rngs=rngs)
    for name, value in arguments.items():
        if isinstance(value, list):
            setattr(layer, name, nnx.Param(jnp.asarray(value, jnp.float32)))
    return layer


def run_neuron(seed, type, **arguments):
    """A run with all gradients; None if rounding could decide about a spike."""
    rng = np.random.default_rng(seed)
    layer = make_neuron(type, nnx.Rngs(seed), **arguments)
    if hasattr(layer, "recurrent_w"):
        # Spyx's initial weights are too small to matter.
        layer.recurrent_w = nnx.Param(jnp.asarray(rng.normal(0, 0.5, (UNITS, UNITS)), jnp.float32))
    model, params = nnx.split(layer, nnx.Param)
    weights = jnp.asarray(rng.normal(size=(TIMES, BATCH, UNITS)), jnp.float32)
    x = jnp.asarray(rng.normal(0.3, 0.8, weights.shape), jnp.float32)

    def weighted(params, x):
        out, final = snn.run(nnx.merge(model, params), x)
        return jnp.sum(out * weights) + jnp.sum(final), (out, final)

    gradient = jax.jit(jax.value_and_grad(weighted, (0, 1), has_aux=True))
    (_, (out, final)), (d_params, d_x) = gradient(params, x)
    for change in (1 + 2e-5, 1 - 2e-5):
        if not np.array_equal(gradient(params, x * change)[0][1][0], out):
            return None
    named = {path[-1]: leaf[...] for path, leaf in nnx.to_flat_state(params)}
    grads = {f"d_{path[-1]}": leaf[...] for path, leaf in nnx.to_flat_state(d_params)}
    return named | grads | {"input": x, "weights": weights, "outputs": out, "final_state": final, "d_input": d_x}


class Network(nnx.Module):
    """Layers under `core`: [T, B, ...] -> [B, T, classes]."""

    def __init__(self, *layers):
        self.core = snn.Sequential(*layers)

    def __call__(self, x):
        return jnp.swapaxes(snn.run(self.core, x)[0], 0, 1)


def train_neuron(seed, kind):
    """30 steps of Linear, neurons, Linear, LI; None if rounding could change them."""

    def model():
        rngs = nnx.Rngs(seed)
        # Created first, so its parameters use the first keys.
        neuron = getattr(snn, kind)((8,), activation=make_surrogate(**TRIANGULAR), rngs=rngs)
        return Network(nnx.Linear(6, 8, rngs=rngs), neuron, nnx.Linear(8, 3, rngs=rngs), snn.LI((3,), rngs=rngs))

    rng = np.random.default_rng(seed)
    x = jnp.asarray(rng.random((8, 4, 6)) < 0.5, jnp.float32)
    return trained(model, x, jnp.asarray([2, 0, 1, 1]), {"seed": jnp.int32(seed)})


def trained(make, x, targets, more, rule=None):
    """Initial parameters, outputs, gradients, 30 losses and the last parameters; None if an input that differs in its last
    bits leads to different spikes."""

    gradient = nnx.jit(nnx.value_and_grad(loss_of))
    step = training_step()

    def run(model, x):
        result = {"outputs": outputs(model, x)}
        _, grads = gradient(model, x, targets)
        optimizer = nnx.Optimizer(model, optax.adam(1e-2), wrt=nnx.Param)
        result["losses"] = jnp.stack([step(model, optimizer, x, targets) for _ in range(30)])
        return result | prefixed("grads", parameters(grads)) | prefixed("trained", parameters(model))

    # All models first: quantization clears the caches of compiled functions.
    inputs = [x * change for change in (1, 1 + 1e-6, 1 - 1e-6)]
    models = [quantized(make(), x, **rule) if rule else make() for x in inputs]
    result, *others = [run(model, x) for model, x in zip(models, inputs)]
    largest = np.abs(result["losses"]).max()
    if any(np.abs(other["losses"] - result["losses"]).max() > 1e-4 * largest for other in others):
        return None
    return result | prefixed("params", parameters(make())) | more | {"x": x, "targets": targets}


def training_step():
    @nnx.jit
    def step(model, optimizer, x, targets):
        loss, grads = nnx.value_and_grad(loss_of)(model, x, targets)
        optimizer.update(model, grads)
        return loss

    return step


# Layers without state


class Pool(nnx.Module):
    """flax's pooling functions as a layer."""

    def __init__(self, function, arguments):
        self.function, self.arguments = function, arguments

    def __call__(self, x):
        given = {key: tuple(map(tuple_or_number, v)) if isinstance(v, list) else v for key, v in self.arguments.items()}
        return self.function(x, **given)


def tuple_or_number(value):
    return tuple(value) if isinstance(value, list) else value


def make_layer(type, rngs, **arguments):
    if type == "AvgPool":
        return Pool(nnx.avg_pool, arguments)
    if type == "MaxPool":
        return Pool(nnx.max_pool, arguments)
    tuples = {key: tuple(map(tuple_or_number, v)) if isinstance(v, list) else v for key, v in arguments.items()}
    if type in ("Conv", "LayerNorm"):
        return getattr(nnx, type)(**tuples, rngs=rngs)
    return getattr(snn, type)(**tuples)


def layers(cases):
    conv = {"type": "Conv", "in_features": 2, "out_features": 4, "kernel_size": [3, 2]}
    image, sequence = [5, 6, 2], [9, 2]
    table = (
        (image, conv),
        (image, conv | {"padding": "VALID", "use_bias": False}),
        (image, conv | {"strides": 2}),
        (image, conv | {"strides": [2, 1], "padding": [[1, 0], [0, 2]]}),
        (image, conv | {"padding": "CIRCULAR"}),
        (image, conv | {"padding": "REFLECT", "kernel_dilation": [1, 2]}),
        (image, conv | {"padding": 1, "feature_group_count": 2}),
        (image, conv | {"input_dilation": [2, 1], "kernel_dilation": 2, "padding": [[2, 1], [0, 3]]}),
        (sequence, conv | {"kernel_size": 3}),
        (sequence, conv | {"kernel_size": [4], "padding": "CAUSAL", "kernel_dilation": 2}),
        (sequence, conv | {"kernel_size": [4], "padding": "VALID", "strides": 3}),
        (image, {"type": "SumPool", "window_shape": 2, "strides": 2, "padding": "VALID"}),
        (image, {"type": "SumPool", "window_shape": [2, 3], "strides": [1, 2], "padding": "SAME"}),
        (image, {"type": "SumPool", "window_shape": 2, "strides": 1, "padding": "SAME", "channel_axis": 1}),
        (image, {"type": "AvgPool", "window_shape": [2, 2], "strides": [2, 2]}),
        (image, {"type": "AvgPool", "window_shape": [3, 2], "padding": "SAME"}),
        (image, {"type": "AvgPool", "window_shape": [3, 2], "padding": "SAME", "count_include_pad": False}),
        (image, {"type": "MaxPool", "window_shape": [2, 2], "strides": [2, 2]}),
        (image, {"type": "MaxPool", "window_shape": [3, 3], "strides": [1, 2], "padding": "SAME"}),
        (sequence, {"type": "MaxPool", "window_shape": [2], "padding": [[1, 0]]}),
        (image, {"type": "Flatten"}),
        ([7], {"type": "LayerNorm", "num_features": 7}),
        ([7], {"type": "LayerNorm", "num_features": 7, "use_bias": False, "epsilon": 0.1}),
        (image, {"type": "LayerNorm", "num_features": 2, "use_scale": False, "use_fast_variance": False}),
        (image, {"type": "LayerNorm", "num_features": 2, "reduction_axes": [1, 2, 3]}),
        (image, {"type": "LayerNorm", "num_features": 6, "reduction_axes": [-2], "feature_axes": -2}),
    )
    for number, (sample, arguments) in enumerate(table):
        for spikes in (False, True):
            rng = np.random.default_rng(number)
            x = rng.random((2, *sample)) < 0.4 if spikes else rng.normal(size=(2, *sample))
            case = f"layer/{number}/{'spikes' if spikes else 'real'}"
            # Spikes have ties, which affect the gradient of a maximum.
            if spikes and "Pool" not in arguments["type"]:
                continue
            cases.add(case, arguments | {"seed": number}, **run_layer(rng, number, x, arguments))


def run_layer(rng, seed, x, arguments):
    layer = make_layer(rngs=nnx.Rngs(seed), **arguments)
    kernel = {"kernel": layer.kernel[...]} if hasattr(layer, "kernel") else {}
    for name in ("bias", "scale"):
        if getattr(layer, name, None) is not None:
            setattr(layer, name, nnx.Param(jnp.asarray(rng.normal(1, 0.3, getattr(layer, name).shape), jnp.float32)))
    model, params = nnx.split(layer, nnx.Param)
    x = jnp.asarray(x, jnp.float32)
    weights = jnp.asarray(rng.normal(size=jax.eval_shape(layer, x).shape), jnp.float32)

    def weighted(params, x):
        y = nnx.merge(model, params)(x)
        return jnp.sum(y * weights), y

    (_, y), (d_params, d_x) = jax.jit(jax.value_and_grad(weighted, (0, 1), has_aux=True))(params, x)
    named = {path[-1]: leaf[...] for path, leaf in nnx.to_flat_state(params)}
    grads = {f"d_{path[-1]}": leaf[...] for path, leaf in nnx.to_flat_state(d_params)}
    return named | kernel | grads | {"input": x, "weights": weights, "output": y, "d_input": d_x}


def others(cases):
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.random((2, 12)) < 0.5, jnp.float32)
    # The argument is actually the number of units per class, and the batch is mixed in.
    cases.add("population/0", {"num_classes": 3}, input=x, output=snn.PopulationCode(4)(x).reshape(2, 3))
    x = jnp.asarray(rng.normal(size=(4, 3, 6)), jnp.float32)
    for number, arguments in enumerate(({"rate": 0.3}, {"rate": 0.8, "broadcast_dims": [-1]}, {"rate": 1.0})):
        layer = nnx.Dropout(arguments["rate"], broadcast_dims=arguments.get("broadcast_dims", ()))
        keys = [jax.random.fold_in(jax.random.fold_in(PRNGKey(7), t), 0) for t in range(len(x))]
        out = jnp.stack([layer(x, deterministic=False, rngs=key) for x, key in zip(x, keys)])
        cases.add(f"dropout/{number}", arguments | {"seed": 7}, input=x, output=out)
    counts = [jnp.asarray(rng.poisson(3, shape), jnp.float32) for shape in ((4, 6), (4, 3, 2))]
    for number, (name, limit) in enumerate((("silence_reg", 3.3), ("sparsity_reg", 2.9), ("sparsity_reg", 0.5))):
        value, grads = jax.value_and_grad(getattr(spyx.fn, name)(limit))(counts)
        given = dict(zip(("a", "b"), counts)) | dict(zip(("d_a", "d_b"), grads))
        cases.add(f"regularizer/{number}", {"type": name, "limit": limit}, value=value, **given)


# A convolutional network


def convolutional(cases):
    def make(seed):
        spike = make_surrogate(**TRIANGULAR)
        rngs = nnx.Rngs(seed)
        return Network(
            nnx.Conv(1, 4, (3, 3), rngs=rngs),
            snn.LIF((6, 6, 4), activation=spike, rngs=rngs),
            snn.SumPool(2, 2, "VALID"),
            nnx.Conv(4, 6, (2, 2), strides=2, padding="VALID", use_bias=False, rngs=rngs),
            snn.LIF((1, 1, 6), activation=spike, rngs=rngs),
            snn.Flatten(),
            nnx.Linear(6, 3, rngs=rngs),
            snn.LI((3,), rngs=rngs),
        )

    for case, rule in (("fp32", None), ("int8", INT8)):
        for seed in range(1000):
            x = jnp.asarray(np.random.default_rng(seed).random((6, 4, 6, 6, 1)) < 0.5, jnp.float32)
            result = trained(lambda: make(seed), x, jnp.asarray([2, 0, 1, 1]), {}, rule)
            if result:
                break
        cases.add(f"conv/{case}", (rule or {}) | {"seed": seed}, **result)


FILES = {"layers": (layers, others, convolutional), "spiking": (neurons,)}


def main(names):
    for name in names or FILES:
        cases = Cases()
        for topic in FILES[name]:
            topic(cases)
        path = Path(__file__).with_name(f"{name}.safetensors")
        cases.write(path)
        print(f"{path.name}: {len(cases.arrays)} arrays, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
