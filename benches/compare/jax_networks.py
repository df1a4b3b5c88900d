#!/usr/bin/env python3
"""Milliseconds of a training step and a forward pass of a network, in hand-optimized JAX.

    python3 jax_networks.py --network NAME [--modes fp32,bf16,int8] [--unroll 1]

Each layer is one product over all time steps and one `lax.scan` over its neurons, whose backward pass is written by hand: it keeps the
potentials only, and one scan in reverse computes all gradients. Inputs are booleans on the device; spikes are kept for the weight
gradients as booleans (fp32) or bf16. In bf16, the operands of all products are bf16, summed in f32. In int8, weights are rounded to s8
with a scale per output (straight-through gradient), spikes are s8, and products are s8 x s8 -> s32; the backward pass uses the products of
bf16.
"""

from functools import partial

import jax
import jax.numpy as jnp
import timing
import worker
from networks import DENSITY

MODES = ("fp32", "bf16", "int8")


# Products, of [T, B, …] with weights


def contract(x, w, sums=jnp.float32):
    return jax.lax.dot_general(x, w, (((x.ndim - 1,), (0,)), ((), ())), preferred_element_type=sums)


def convolve(x, w):
    """Windows inside the image, without padding."""
    images = x.reshape(-1, *x.shape[2:])
    form = ("NHWC", "HWIO", "NHWC")
    y = jax.lax.conv_general_dilated(images, w, (1, 1), "VALID", dimension_numbers=form, preferred_element_type=jnp.float32)
    return y.reshape(*x.shape[:2], *y.shape[1:])


def product_in(mode, operation):
    """`contract` or `convolve` in an arithmetic."""
    narrow = jnp.float32 if mode == "fp32" else jnp.bfloat16
    kept_as = jnp.bool if mode == "fp32" else narrow

    def in_int8(x, w):
        scale = jnp.max(jnp.abs(w), axis=tuple(range(w.ndim - 1))) / 127.0
        levels = jnp.round(w / scale)
        if operation is contract:
            return contract(x.astype(jnp.int8), levels.astype(jnp.int8), jnp.int32).astype(jnp.float32) * scale
        # XLA's CPU compiler has no fast convolution of integers; bf16 holds these levels exactly.
        return convolve(x.astype(narrow), levels.astype(narrow)) * scale

    @jax.custom_vjp
    def product(x, w):
        return in_int8(x, w) if mode == "int8" else operation(x.astype(narrow), w.astype(narrow))

    def forward(x, w):
        return product(x, w), (x.astype(kept_as), w.astype(narrow))

    def backward(kept, g):
        x, w = kept
        x, g = x.astype(narrow), g.astype(narrow)
        if operation is contract:
            back = jax.lax.dot_general(g, w, (((2,), (1,)), ((), ())), preferred_element_type=jnp.float32)
            weights = jax.lax.dot_general(x, g, (((0, 1), (0, 1)), ((), ())), preferred_element_type=jnp.float32)
            return back, weights
        by_x, by_w = (jax.linear_transpose(f, a) for f, a in ((lambda x: operation(x, w), x), (lambda w: operation(x, w), w)))
        # The transposed convolution has the type of its operand.
        g = g.astype(jnp.float32)
        return by_x(g)[0].astype(jnp.float32), by_w(g)[0].astype(jnp.float32)

    product.defvjp(forward, backward)
    return product


# Neurons, of [T, B, …]


def surrogate(v):
    return jnp.maximum(0.0, 1.0 - 2.0 * jnp.abs(v - 1.0))


def neurons(unroll, recurrent):
    """LIF: `s = v > 1`, then `v = beta v + x - s`, plus `s @ w` for recurrent neurons."""
    scan = partial(jax.lax.scan, unroll=unroll)

    def potentials(beta, w, x):
        def step(v, x):
            s = (v > 1.0).astype(jnp.float32)
            return beta * v + x - s + (s @ w if recurrent else 0.0), v

        return scan(step, jnp.zeros_like(x[0]), x)[1]

    @jax.custom_vjp
    def lif(beta, w, x):
        return (potentials(beta, w, x) > 1.0).astype(jnp.float32)

    def forward(beta, w, x):
        v = potentials(beta, w, x)
        return (v > 1.0).astype(jnp.float32), (beta, w, v)

    def backward(kept, g):
        beta, w, potentials = kept

        def step(carry, now):
            # The gradients with respect to the next potential and to the decay.
            (after, decay), (v, g) = carry, now
            spikes = g - after + (after @ w.T if recurrent else 0.0)
            return (beta * after + spikes * surrogate(v), decay + after * v), after

        start = jnp.zeros_like(g[0])
        (_, decay), x = scan(step, (start, start), (potentials, g), reverse=True)
        s = (potentials > 1.0).astype(jnp.float32)
        weights = jax.lax.dot_general(s, x, (((0, 1), (0, 1)), ((), ()))) if recurrent else None
        return decay.sum(0), weights, x

    lif.defvjp(forward, backward)
    return lif


def li(beta, x, unroll):
    def step(v, x):
        return beta * v + x, v

    return jax.lax.scan(step, jnp.zeros_like(x[0]), x, unroll=unroll)[1]


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def max_pool(x, size):
    return max_pool_forward(x, size)[0]


def corners(x, size):
    """The elements of each window, one array per place in it."""
    height, width = (length // size * size for length in x.shape[2:4])
    return [x[:, :, i:height:size, j:width:size] for i in range(size) for j in range(size)]


def max_pool_forward(x, size):
    parts = corners(x, size)
    largest = parts[0]
    for part in parts[1:]:
        largest = jnp.maximum(largest, part)
    return largest, (x.astype(bool), largest.astype(bool))


def max_pool_backward(size, kept, g):
    """The gradient goes to the first element that is the largest; elements are spikes."""
    x, largest = kept
    free, parts = jnp.ones_like(largest), []
    for part in corners(x, size):
        hit = free & (part == largest)
        free &= ~hit
        parts.append(jnp.where(hit, g, 0.0))
    times, batch, height, width, channels = g.shape
    # [row in the window, column in it, T, B, row of windows, column of windows, C] to the order of the image.
    rows = jnp.stack(parts).reshape(size, size, *g.shape).transpose(2, 3, 4, 0, 5, 1, 6)
    whole = rows.reshape(times, batch, height * size, width * size, channels)
    return (jnp.pad(whole, [(0, have - got) for have, got in zip(x.shape, whole.shape)]),)


max_pool.defvjp(max_pool_forward, max_pool_backward)


# The network and its training


def forward_pass(layers, mode, unroll):
    dense, image = product_in(mode, contract), product_in(mode, convolve)
    lif, recurrent = neurons(unroll, False), neurons(unroll, True)
    apply = {
        "linear": lambda p, x, *_: dense(x, p["w"]),
        "conv": lambda p, x, *_: image(x, p["w"]),
        "lif": lambda p, x, *_: lif(p["beta"], None, x),
        "recurrent": lambda p, x, *_: recurrent(p["beta"], p["w"], x),
        "li": lambda p, x, *_: li(p["beta"], x, unroll),
        "max_pool": lambda _, x, size: max_pool(x, size),
        "flatten": lambda _, x: x.reshape(*x.shape[:2], -1),
    }

    def forward(params, x):
        x = x.astype(jnp.float32)
        for p, (kind, *sizes) in zip(params, layers):
            x = apply[kind](p, x, *sizes)
        return x

    return forward


def initial(layers):
    keys = jax.random.split(jax.random.PRNGKey(0), len(layers))

    def weights(key, *shape):
        inputs = 1
        for size in shape[:-1]:
            inputs *= size
        return jax.random.normal(key, shape) / inputs**0.5

    make = {
        "linear": lambda key, a, b: {"w": weights(key, a, b)},
        "conv": lambda key, a, b, size: {"w": weights(key, size, size, a, b)},
        "lif": lambda _, shape: {"beta": jnp.full(shape, 0.5)},
        "recurrent": lambda key, size: {"beta": jnp.full(size, 0.5), "w": 0.01 * weights(key, size, size)},
        "li": lambda _, size: {"beta": jnp.full(size, 0.8)},
    }
    return [make[kind](key, *sizes) if kind in make else {} for key, (kind, *sizes) in zip(keys, layers)]


def lion(grads, momentum, params, rate=1e-3, b1=0.9, b2=0.99, decay=1e-3):
    """optax.lion with its defaults."""
    update = lambda m, g, p: p - rate * (jnp.sign(b1 * m + (1 - b1) * g) + decay * p)
    return jax.tree.map(update, momentum, grads, params), jax.tree.map(lambda m, g: b2 * m + (1 - b2) * g, momentum, grads)


def integral_crossentropy(traces, labels, smoothing=0.3):
    """Spyx's loss: cross-entropy of the sum over time, with smoothed labels."""
    classes = traces.shape[-1]
    targets = jax.nn.one_hot(labels, classes) * (1 - smoothing) + smoothing / classes
    return -jnp.mean(jnp.sum(targets * jax.nn.log_softmax(jnp.sum(traces, axis=0)), axis=-1))


def measure(network, mode, arguments):
    forward = forward_pass(network.layers, mode, arguments.unroll)
    x = jax.random.bernoulli(jax.random.PRNGKey(1), DENSITY, network.x)
    labels = jax.random.randint(jax.random.PRNGKey(2), (network.batch,), 0, network.classes)

    def step(params, momentum, x, labels):
        loss = lambda params: integral_crossentropy(forward(params, x), labels)
        value, grads = jax.value_and_grad(loss)(params)
        params, momentum = lion(grads, momentum, params)
        return params, momentum, value

    params = initial(network.layers)
    kept = jax.tree.map(jnp.copy, params)
    step, forward = jax.jit(step, donate_argnums=(0, 1)), jax.jit(forward)
    training = [params, jax.tree.map(jnp.zeros_like, params), None]

    def one_step():
        training[:] = step(*training[:2], x, labels)
        return training

    return timing.of_jax([one_step, lambda: forward(kept, x)], arguments)


if __name__ == "__main__":
    worker.run(__doc__, MODES, measure)
