"""Reference values for GroupNorm, RMSNorm, Embed, and convolutions and pools over channels, from flax and Spyx.

    venv/bin/python norms.py

Writes norms.safetensors beside this script. README.md documents its contents.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import spyx.nn as snn
from flax import nnx

from generate import Cases, make_surrogate
from layers import TRIANGULAR, Network, trained


def make_layer(type, rngs, **arguments):
    return getattr(nnx, type)(**{key: tuple(v) if isinstance(v, list) else v for key, v in arguments.items()}, rngs=rngs)


def layers(cases):
    image = [5, 6, 12]
    table = (
        ([12], {"type": "GroupNorm", "num_features": 12, "num_groups": 4}),
        ([128], {"type": "GroupNorm", "num_features": 128}),
        ([12], {"type": "GroupNorm", "num_features": 12, "group_size": 3, "use_bias": False, "epsilon": 0.1}),
        (image, {"type": "GroupNorm", "num_features": 12, "num_groups": 3}),
        (image, {"type": "GroupNorm", "num_features": 12, "num_groups": 1, "use_scale": False}),
        (image, {"type": "GroupNorm", "num_features": 12, "num_groups": 12, "use_fast_variance": False}),
        ([9, 12], {"type": "GroupNorm", "num_features": 12, "num_groups": 6, "reduction_axes": [-2, -1]}),
        ([7], {"type": "RMSNorm", "num_features": 7}),
        ([7], {"type": "RMSNorm", "num_features": 7, "use_scale": False, "epsilon": 0.1}),
        (image, {"type": "RMSNorm", "num_features": 12, "reduction_axes": [1, 2, 3]}),
        (image, {"type": "RMSNorm", "num_features": 6, "reduction_axes": [-2], "feature_axes": [-2]}),
    )
    for number, (sample, arguments) in enumerate(table):
        rng = np.random.default_rng(number)
        # A nonzero mean, which GroupNorm removes and RMSNorm does not.
        x = jnp.asarray(rng.normal(0.7, 1.5, (2, *sample)), jnp.float32)
        cases.add(f"layer/{number}", arguments | {"seed": number}, **run_layer(rng, number, x, arguments))


def run_layer(rng, seed, x, arguments):
    given = dict(arguments)
    if "group_size" in given:
        given["num_groups"] = None
    layer = make_layer(rngs=nnx.Rngs(seed), **given)
    for name in ("bias", "scale"):
        if getattr(layer, name, None) is not None:
            setattr(layer, name, nnx.Param(jnp.asarray(rng.normal(1, 0.3, getattr(layer, name).shape), jnp.float32)))
    return gradients(layer, x, rng)


def gradients(layer, x, rng):
    """Outputs, and the gradients of their weighted sum; without x if it is integers."""
    model, params = nnx.split(layer, nnx.Param)
    weights = jnp.asarray(rng.normal(size=jax.eval_shape(layer, x).shape), jnp.float32)

    def weighted(params, x):
        y = nnx.merge(model, params)(x)
        return jnp.sum(y * weights), y

    by = (0,) if jnp.issubdtype(x.dtype, jnp.integer) else (0, 1)
    (_, y), grads = jax.jit(jax.value_and_grad(weighted, by, has_aux=True))(params, x)
    named = {path[-1]: leaf[...] for path, leaf in nnx.to_flat_state(params)}
    of = {f"d_{path[-1]}": leaf[...] for path, leaf in nnx.to_flat_state(grads[0])}
    d_x = {"d_input": grads[1]} if len(by) == 2 else {}
    return named | of | d_x | {"input": x.astype(jnp.float32), "weights": weights, "output": y}


def embeddings(cases):
    """Embeddings, including tokens counted from the end and out of range; the parameter is the initial one."""
    for number, (arguments, tokens) in enumerate((
        ({"num_embeddings": 5, "features": 3}, [[0, 4], [1, 1]]),
        ({"num_embeddings": 5, "features": 3}, [[-1, -5], [2, 3]]),
        ({"num_embeddings": 1, "features": 4}, [[0], [7]]),
        ({"num_embeddings": 300, "features": 7}, [[299, 0, 150], [128, 255, 256]]),
    )):
        layer = nnx.Embed(**arguments, rngs=nnx.Rngs(number))
        rng = np.random.default_rng(number)
        cases.add(f"embed/{number}", arguments | {"type": "Embed", "seed": number}, **gradients(layer, jnp.asarray(tokens), rng))
    layer = nnx.Embed(5, 3, rngs=nnx.Rngs(0))
    assert bool(jnp.isnan(layer(jnp.asarray([5, -6]))).all())


class Of(nnx.Module):
    """A function as a layer."""

    def __init__(self, function):
        self.function = function

    def __call__(self, x):
        return self.function(x)


class Tokens(nnx.Embed):
    """An embedding whose tokens are stored as real numbers."""

    def __call__(self, x):
        return super().__call__(x.astype(jnp.int32))


def networks(cases):
    """Thirty steps of a network over channels as a sequence, and of a network on tokens."""

    def channels(seed):
        rngs, spike = nnx.Rngs(seed), make_surrogate(**TRIANGULAR)
        return Network(
            Of(lambda x: x.reshape(x.shape[0], -1, 1)),
            nnx.Conv(1, 4, (5,), strides=2, use_bias=False, rngs=rngs),
            nnx.GroupNorm(4, num_groups=2, rngs=rngs),
            snn.LIF((10, 4), activation=spike, rngs=rngs),
            Of(lambda x: nnx.avg_pool(x, (2,), strides=(2,))),
            nnx.RMSNorm(4, rngs=rngs),
            snn.Flatten(),
            nnx.Linear(20, 3, rngs=rngs),
            snn.LI((3,), rngs=rngs),
        )

    def tokens(seed):
        rngs, spike = nnx.Rngs(seed), make_surrogate(**TRIANGULAR)
        return Network(
            Tokens(11, 8, rngs=rngs),
            snn.Flatten(),
            snn.LIF((16,), activation=spike, rngs=rngs),
            nnx.Linear(16, 3, rngs=rngs),
            snn.LI((3,), rngs=rngs),
        )

    def spikes(seed):
        return np.random.default_rng(seed).random((6, 4, 20)) < 0.5

    def words(seed):
        # Plus one half, so that an input that differs in its last bits is the same token.
        return np.random.default_rng(seed).integers(0, 11, (6, 4, 2)) + 0.5

    for number, (make, draw) in enumerate(((channels, spikes), (tokens, words))):
        for seed in range(1000):
            x = jnp.asarray(draw(seed), jnp.float32)
            result = trained(lambda: make(seed), x, jnp.asarray([2, 0, 1, 1]), {})
            if result:
                break
        cases.add(f"network/{number}", {"name": make.__name__, "seed": seed}, **result | {"x": jnp.floor(x)})


def main():
    cases = Cases()
    for topic in (layers, embeddings, networks):
        topic(cases)
    path = Path(__file__).with_name("norms.safetensors")
    cases.write(path)
    print(f"{path.name}: {len(cases.arrays)} arrays, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
