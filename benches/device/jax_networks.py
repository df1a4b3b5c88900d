#!/usr/bin/env python3
"""Milliseconds of a training step and a forward pass of the networks of `spiq bench`, in hand-optimized JAX.

    python3 jax_networks.py --shape T,B,IN,H,C [--modes fp32,bf16,int8]

Each layer is one product over all time steps and one `lax.scan` over its neurons; spikes are booleans on the device. In bf16, the
operands of all products are bf16, summed in f32. In int8, weights are rounded to s8 with a scale per output (straight-through
gradient), spikes are s8, and products are s8 x s8 -> s32; the backward pass uses the products of bf16.
"""

import argparse
import json

import jax
import jax.numpy as jnp
from timing import in_turn

SECONDS = 0.5


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", required=True)
    parser.add_argument("--modes", default="fp32,bf16,int8")
    arguments = parser.parse_args()
    shape = tuple(map(int, arguments.shape.split(",")))
    print(json.dumps({mode: measure(shape, mode) for mode in arguments.modes.split(",")}))


@jax.custom_vjp
def spike(v):
    return (v > 0).astype(jnp.float32)


def spike_forward(v):
    return spike(v), v


def spike_backward(v, g):
    return (g * jnp.maximum(0.0, 1.0 - 2.0 * jnp.abs(v)),)


spike.defvjp(spike_forward, spike_backward)


def contract(x, w):
    return jax.lax.dot_general(x, w, (((x.ndim - 1,), (0,)), ((), ())), preferred_element_type=jnp.float32)


@jax.custom_vjp
def product_in_bf16(x, w):
    return contract(x.astype(jnp.bfloat16), w.astype(jnp.bfloat16))


def bf16_forward(x, w):
    return product_in_bf16(x, w), (x.astype(jnp.bfloat16), w.astype(jnp.bfloat16))


def bf16_backward(kept, g):
    x, w = kept
    g = g.astype(jnp.bfloat16)
    back = jax.lax.dot_general(g, w, (((2,), (1,)), ((), ())), preferred_element_type=jnp.float32)
    weights = jax.lax.dot_general(x, g, (((0, 1), (0, 1)), ((), ())), preferred_element_type=jnp.float32)
    return back, weights


product_in_bf16.defvjp(bf16_forward, bf16_backward)


@jax.custom_vjp
def product_in_int8(x, w):
    scale = jnp.max(jnp.abs(w), axis=0, keepdims=True) / 127.0
    levels = jnp.round(w / scale).astype(jnp.int8)
    sums = jax.lax.dot_general(x.astype(jnp.int8), levels, (((2,), (0,)), ((), ())), preferred_element_type=jnp.int32)
    return sums.astype(jnp.float32) * scale[0]


def int8_forward(x, w):
    return product_in_int8(x, w), (x.astype(jnp.bfloat16), w.astype(jnp.bfloat16))


product_in_int8.defvjp(int8_forward, bf16_backward)

PRODUCTS = {"fp32": contract, "bf16": product_in_bf16, "int8": product_in_int8}


def lif(beta, x):
    def step(v, x):
        s = spike(v - 1.0)
        return beta * v + x - jax.lax.stop_gradient(s), s

    return jax.lax.scan(step, jnp.zeros_like(x[0]), x)[1]


def li(beta, x):
    def step(v, x):
        return beta * v + x, v

    return jax.lax.scan(step, jnp.zeros_like(x[0]), x)[1]


def network(params, x, product):
    x = x.astype(jnp.float32)
    x = lif(params["b1"], product(x, params["w1"]))
    x = lif(params["b2"], product(x, params["w2"]))
    return li(params["b3"], product(x, params["w3"]))


def initial(shape):
    _, _, inputs, hidden, classes = shape
    keys = jax.random.split(jax.random.PRNGKey(0), 3)
    kernel = lambda key, a, b: jax.random.normal(key, (a, b)) / a ** 0.5
    return {"w1": kernel(keys[0], inputs, hidden), "w2": kernel(keys[1], hidden, hidden), "w3": kernel(keys[2], hidden, classes),
            "b1": jnp.full(hidden, 0.9), "b2": jnp.full(hidden, 0.9), "b3": jnp.full(classes, 0.9)}


def lion(grads, momentum, params, rate=1e-3, b1=0.9, b2=0.99, decay=1e-3):
    """optax.lion with its defaults."""
    update = lambda m, g, p: p - rate * (jnp.sign(b1 * m + (1 - b1) * g) + decay * p)
    return jax.tree.map(update, momentum, grads, params), jax.tree.map(lambda m, g: b2 * m + (1 - b2) * g, momentum, grads)


def integral_crossentropy(traces, labels, smoothing=0.3):
    """Spyx's loss: cross-entropy of the sum over time, with smoothed labels."""
    classes = traces.shape[-1]
    wanted = jax.nn.one_hot(labels, classes) * (1 - smoothing) + smoothing / classes
    return -jnp.mean(jnp.sum(wanted * jax.nn.log_softmax(jnp.sum(traces, axis=0)), axis=-1))


def measure(shape, mode):
    times, batch, inputs, _, classes = shape
    product = PRODUCTS[mode]
    x = jax.random.bernoulli(jax.random.PRNGKey(1), 0.1, (times, batch, inputs))
    labels = jax.random.randint(jax.random.PRNGKey(2), (batch,), 0, classes)

    def step(params, momentum, x, labels):
        loss = lambda params: integral_crossentropy(network(params, x, product), labels)
        value, grads = jax.value_and_grad(loss)(params)
        params, momentum = lion(grads, momentum, params)
        return params, momentum, value

    params = initial(shape)
    kept = jax.tree.map(jnp.copy, params)
    step = jax.jit(step, donate_argnums=(0, 1))
    forward = jax.jit(lambda params, x: network(params, x, product))
    training = [params, jax.tree.map(jnp.zeros_like, params), None]

    def one_step():
        training[:] = step(*training[:2], x, labels)
        jax.block_until_ready(training)

    return in_turn([one_step, lambda: forward(kept, x).block_until_ready()], SECONDS)


if __name__ == "__main__":
    main()
