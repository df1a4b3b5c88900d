#!/usr/bin/env python3
"""Milliseconds of a training step and a forward pass of a network in Spyx, written as its users would, quantized by qwix in int8.

    python3 spyx_networks.py --network NAME [--modes fp32,int8]

What qwix quantizes depends on earlier compilations in the process, so that each mode should have its own process.
"""

import timing
import worker
from networks import DENSITY

MODES = ("fp32", "int8")


def measure(network, rules, arguments):
    import jax
    import jax.numpy as jnp

    stand_in_for_hijax()
    import optax
    import spyx
    from flax import nnx

    x = jax.random.bernoulli(jax.random.PRNGKey(1), DENSITY, network.x).astype(jnp.float32)
    labels = jax.random.randint(jax.random.PRNGKey(2), (network.batch,), 0, network.classes)
    model = spyx_network(network.layers)
    if rules == "int8":
        model = spyx.quant.quantize(model, x)
    graph, params = nnx.split(model, nnx.Param)
    # LI's beta is initially weakly typed: without this, the second and third step would recompile.
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), params)
    optimizer = optax.lion(1e-3)

    def step(params, state, x, labels):
        def loss(params):
            return spyx.fn.integral_crossentropy()(nnx.merge(graph, params)(x), labels)

        value, grads = jax.value_and_grad(loss)(params)
        updates, state = optimizer.update(grads, state, params)
        return optax.apply_updates(params, updates), state, value

    step = jax.jit(step, donate_argnums=(0, 1))
    forward = jax.jit(lambda params, x: nnx.merge(graph, params)(x))
    kept = jax.tree.map(jnp.copy, params)
    training = [params, optimizer.init(params), None]

    def one_step():
        training[:] = step(*training[:2], x, labels)
        return training

    return timing.of_jax([one_step, lambda: forward(kept, x)], arguments)


def stand_in_for_hijax():
    """Flax 0.12 refers to classes of an experimental JAX module that newer JAX has renamed, for a disabled feature."""
    try:
        from jax.experimental import hijax
    except ImportError:
        return

    class Absent:
        def __init__(self, *arguments, **named):
            pass

        def __init_subclass__(cls, **named):
            pass

        def __class_getitem__(cls, item):
            return cls

    hijax.__getattr__ = lambda name: type(name, (Absent,), {})


def spyx_network(layers):
    import jax.numpy as jnp
    import spyx
    import spyx.nn as snn
    from flax import nnx

    triangular = spyx.axn.triangular()
    make = {
        "linear": lambda rngs, a, b: nnx.Linear(a, b, use_bias=False, rngs=rngs),
        "conv": lambda rngs, a, b, size: nnx.Conv(a, b, (size, size), padding="VALID", use_bias=False, rngs=rngs),
        "max_pool": lambda _, size: lambda x: nnx.max_pool(x, (size, size), strides=(size, size)),
        "flatten": lambda _: snn.Flatten(),
        "lif": lambda rngs, shape: snn.LIF(shape, activation=triangular, rngs=rngs),
        "recurrent": lambda rngs, size: snn.RLIF((size,), activation=triangular, rngs=rngs),
        "li": lambda rngs, size: snn.LI((size,), rngs=rngs),
    }

    class Model(nnx.Module):
        def __init__(self):
            rngs = nnx.Rngs(0)
            self.core = snn.Sequential(*(make[kind](rngs, *sizes) for kind, *sizes in layers))

        def __call__(self, x):
            traces, _ = snn.run(self.core, x)
            return jnp.transpose(traces, (1, 0, 2))

    return Model()


if __name__ == "__main__":
    worker.run(__doc__, MODES, measure)
