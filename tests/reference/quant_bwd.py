"""Reference values of quantized gradients and static scales from qwix: `python quant_bwd.py` writes quant_bwd.safetensors.

README.md documents its contents. Needs the packages of requirements.txt, like generate.py.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import qwix
from flax import nnx
from generate import INT8, Cases, Network, parameters, prefixed, train
from jax.random import PRNGKey
from qwix._src.core import stochastic_rounding

FP8 = {"weight_qtype": "float8_e4m3fn", "act_qtype": "float8_e4m3fn"}
BWD = INT8 | {"bwd_qtype": "int8"}
KEY = 7


def noise(cases):
    """Noise of stochastic rounding for a key."""
    for number, (method, shape, axes) in enumerate(
        (
            ("uniform", (5, 7), (0,)),
            ("uniform", (3, 5, 7), (0, 1)),
            ("low_bit_uniform", (5, 7), (0,)),
            ("low_bit_uniform", (3, 5, 7), (1, 2)),
        )
    ):
        function = stochastic_rounding.get_noise_fn(method, PRNGKey(KEY), axes)
        arguments = {"method": method, "seed": KEY, "shape": shape, "axes": axes}
        cases.add(f"noise/{number}", arguments, out=function(shape))


def operands(rng):
    """x [.., I], w [I, O], weights of the outputs [.., O]."""
    given = {}
    for name, shape in {"bi": (6, 12), "tbi": (2, 6, 12)}.items():
        arrays = {
            "x": rng.normal(size=shape),
            "w": rng.normal(size=(12, 5)) / np.sqrt(12),
            "g": rng.normal(size=(*shape[:-1], 5)),
        }
        given[name] = {key: jnp.asarray(array, jnp.float32) for key, array in arrays.items()}
    return given


DOTS = (
    BWD,
    {"weight_qtype": "int8", "bwd_qtype": "int8"},
    INT8 | {"bwd_qtype": "int4"},
    INT8 | {"bwd_qtype": "int2"},
    {"weight_qtype": "int8", "bwd_qtype": "float8_e5m2"},
    FP8 | {"bwd_qtype": "float8_e5m2"},
    BWD | {"bwd_calibration_method": "absmax,0.8"},
    BWD | {"bwd_calibration_method": "rms,3"},
    BWD | {"bwd_calibration_method": "minmax"},
    BWD | {"bwd_weight_grad_tile_size": 3},
    BWD | {"bwd_weight_grad_tile_size": 0.5},
    BWD | {"disable_channelwise_axes": True},
    BWD | {"tile_size": 4},
    BWD | {"act_calibration_method": "absmax,0.8", "weight_calibration_method": "absmax,0.8"},
    BWD | {"act_calibration_method": "fixed,-1.5,1.5"},
    BWD | {"bwd_stochastic_rounding": "uniform"},
    BWD | {"bwd_stochastic_rounding": "low_bit_uniform", "channelwise_noise_axes": (0, 1)},
    INT8 | {"bwd_qtype": "int4", "bwd_stochastic_rounding": "uniform", "channelwise_noise_axes": (1,)},
)


def quantized(layer, rule, *inputs):
    jax.clear_caches()
    random = {"rngs": nnx.Rngs(0)} if "bwd_stochastic_rounding" in rule else {}
    layer = qwix.quantize_model(layer, qwix.QtProvider([qwix.QtRule(**rule)]), *inputs, **random)
    if random:
        # A fresh stream, so that the first operation draws the first key of PRNGKey(KEY).
        for _, module in nnx.iter_modules(layer):
            module.qwix_rngs = nnx.data(nnx.Rngs(stochastic_rounding=KEY))
    return layer


def gradients(layer, x, weights):
    y, dx, dw = gradient_step(layer, x, weights)
    return {"y": y, "dx": dx, "dw": dw}


@nnx.jit
def gradient_step(layer, x, weights):
    """y, and the gradients of sum(y * weights). The layer draws keys and stores statistics."""

    def weighted(layer, x):
        y = layer(x)
        return jnp.sum(y * weights), y

    argnums = (nnx.DiffState(0, nnx.Param), 1)
    (_, y), (dw, dx) = nnx.value_and_grad(weighted, argnums=argnums, has_aux=True)(layer, x)
    return y, dx, dw["kernel"][...]


def dots(cases):
    given = operands(np.random.default_rng(0))
    for name, arrays in given.items():
        cases.add(f"given/{name}", {}, **arrays)
    for number, rule in enumerate(DOTS):
        for name, arrays in given.items():
            layer = quantized(linear(arrays["w"]), rule, arrays["x"])
            cases.add(f"dot/{number}/{name}", {"operands": name} | rule, **gradients(layer, arrays["x"], arrays["g"]))


def linear(kernel):
    layer = nnx.Linear(*kernel.shape, use_bias=False, rngs=nnx.Rngs(0))
    layer.kernel = nnx.Param(kernel)
    return layer


# qwix raises an error here for gradients of a type other than the operands', and for feature groups.
CONVS = (
    BWD,
    INT8,
    {"weight_qtype": "int8", "bwd_qtype": "int8"},
    FP8 | {"bwd_qtype": "float8_e4m3fn"},
    BWD | {"bwd_calibration_method": "absmax,0.8"},
    BWD | {"disable_channelwise_axes": True},
    BWD | {"act_calibration_method": "absmax,0.8"},
    BWD | {"bwd_stochastic_rounding": "uniform"},
)
GEOMETRY = (
    {"strides": (1, 1), "padding": "SAME"},
    {"strides": (2, 1), "padding": "VALID"},
)


def convs(cases):
    rng = np.random.default_rng(1)
    for number, geometry in enumerate(GEOMETRY):
        layer = nnx.Conv(4, 6, (3, 2), use_bias=False, rngs=nnx.Rngs(number), **geometry)
        x = jnp.asarray(rng.normal(size=(3, 5, 6, 4)), jnp.float32)
        g = jnp.asarray(rng.normal(size=layer(x).shape), jnp.float32)
        name = f"conv_{number}"
        cases.add(f"given/{name}", {}, x=x, w=layer.kernel[...], g=g)
        for n, rule in enumerate(CONVS if number == 0 else CONVS[:1]):
            result = gradients(quantized(nnx.clone(layer), rule, x), x, g)
            cases.add(f"conv/{n}/{number}", {"operands": name} | geometry | rule, **result)


STATIC = (
    INT8 | {"act_static_scale": True},
    INT8 | {"act_static_scale": True, "act_calibration_method": "minmax"},
    INT8 | {"act_static_scale": True, "act_batch_axes": (0, 1)},
    INT8 | {"act_static_scale": True, "act_calibration_method": "absmax,0.8"},
    INT8 | {"act_static_scale": True, "tile_size": 4},
    BWD | {"act_static_scale": True},
)


def static(cases):
    """A layer called on four batches: its statistics after each, and a fifth call that does not update them."""
    rng = np.random.default_rng(2)
    w = jnp.asarray(rng.normal(size=(12, 5)) / np.sqrt(12), jnp.float32)
    x = jnp.asarray(rng.normal(size=(5, 2, 6, 12)) * np.array([1, 2, 0.5, 3, 2]).reshape(5, 1, 1, 1), jnp.float32)
    g = jnp.asarray(rng.normal(size=(2, 6, 5)), jnp.float32)
    cases.add("given/static", {}, x=x, w=w, g=g)
    for number, rule in enumerate(STATIC):
        cases.add(f"static/{number}", rule, **static_steps(rule, w, x, g))


def static_steps(rule, w, x, g):
    layer = quantized(linear(w), rule, x[0])

    rows = []
    for n, batch in enumerate(x):
        layer.set_attributes(disable_quant_stats_update=n == len(x) - 1)
        y, dx, dw = gradient_step(layer, batch, g)
        rows.append({"y": y, "dx": dx, "dw": dw} | layer.dot_general0_lhs.get_value())
    return {name: jnp.stack([row[name] for row in rows]) for name in rows[0]}


def training(cases):
    """30 steps of a small network: with Spyx's scan over time, and called step by step for statistics."""
    rng = np.random.default_rng(3)
    x = jnp.asarray(rng.random((6, 4, 12)) < 0.5, jnp.float32)
    targets = jnp.asarray([3, 0, 4, 1])
    cases.add("given/training", {}, x=x, targets=targets)
    cases.add("training/params", {}, **parameters(Network(4, (12, 16, 5))))
    for number, rule in enumerate((BWD, {"weight_qtype": "int8", "bwd_qtype": "int8"})):
        model = quantized(Network(4, (12, 16, 5)), rule, x)
        losses = train(model, optax.adam(1e-2), x, targets, 30)
        cases.add(f"training/{number}", rule, losses=losses, **prefixed("trained", parameters(model)))
    for name, rule in (("static", STATIC[0]), ("static_bwd", STATIC[5])):
        core = Network(4, (12, 16, 5)).core
        core = quantized(core, rule, x[0], core.initial_state(4))
        losses = train(Stepped(core), optax.adam(1e-2), x, targets, 30)
        stats = {f"{i}/{key}": value for i in (0, 2) for key, value in core.layers[i].dot_general0_lhs.get_value().items()}
        trained = prefixed("trained/core", parameters(core))
        cases.add(f"training/{name}", rule, losses=losses, **prefixed("stats", stats), **trained)


class Stepped(nnx.Module):
    """A core called once per step: inside a scan, qwix can neither store statistics nor draw keys."""

    def __init__(self, core):
        self.core = core

    def __call__(self, x):
        state, traces = self.core.initial_state(x.shape[1]), []
        for now in x:
            y, state = self.core(now, state)
            traces.append(y)
        return jnp.stack(traces, 1)


if __name__ == "__main__":
    cases = Cases()
    for topic in (noise, dots, convs, static, training):
        topic(cases)
    path = Path(__file__).with_suffix(".safetensors")
    cases.write(path)
    print(f"{path.name}: {len(cases.arrays)} arrays, {path.stat().st_size} bytes")
