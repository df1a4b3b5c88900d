#!/usr/bin/env python3
"""Trains Linear LIF Linear LIF Linear LI of 128 neurons in Spyx, quantized by qwix in int8, until a test accuracy is reached.

    python3 spyx_training.py --data FILE.safetensors --until 0.94 [--rules int8|fp32]

With `images` (the digits): T 32, rate-coded in each step, adam 2e-3, batch 64. With `inputs` (frames from `spiq data convert`): adam with
a cosine from 4e-3, batch 32. Prints one line per epoch, as `spiq train` does.
"""

import argparse

import jax
import jax.numpy as jnp
from networks import dense
from safetensors import safe_open
from spyx_networks import spyx_network, stand_in_for_hijax

TIMES, HIDDEN, DIGITS_FOR_TRAINING = 32, 128, 1437


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--until", type=float, required=True)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--rules", choices=("int8", "fp32"), default="int8")
    parser.add_argument("--seed", type=int, default=0)
    train(parser.parse_args())


def train(arguments):
    stand_in_for_hijax()
    import optax
    import spyx
    from flax import nnx

    samples, labels, first_test, encode = load(arguments.data)
    images = encode is not None
    batch = 64 if images else 32
    steps = arguments.epochs * (first_test // batch)
    optimizer = optax.adam(2e-3 if images else optax.cosine_decay_schedule(4e-3, steps))
    encode = encode or (lambda key, frames: jnp.swapaxes(frames, 0, 1).astype(jnp.float32))
    key = jax.random.PRNGKey(arguments.seed)
    example = jax.eval_shape(encode, key, samples[:batch])
    model = spyx_network(dense(*example.shape, HIDDEN, 10).layers)
    if arguments.rules == "int8":
        model = spyx.quant.quantize(model, jnp.zeros(example.shape))
    graph, params = nnx.split(model, nnx.Param)
    # LI's beta is initially weakly typed: without this, the second and third step would recompile.
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), params)
    state = optimizer.init(params)

    def step(params, state, key, rows):
        def loss(params):
            return spyx.fn.integral_crossentropy()(nnx.merge(graph, params)(encode(key, samples[rows])), labels[rows])

        value, grads = jax.value_and_grad(loss)(params)
        updates, state = optimizer.update(grads, state, params)
        return optax.apply_updates(params, updates), state, value

    def accuracy(params, key):
        return spyx.fn.integral_accuracy()(nnx.merge(graph, params)(encode(key, samples[first_test:])), labels[first_test:])[0]

    step, accuracy = jax.jit(step, donate_argnums=(0, 1)), jax.jit(accuracy)
    for epoch in range(arguments.epochs):
        epoch_key = jax.random.fold_in(key, epoch)
        order = jax.random.permutation(epoch_key, first_test)
        for begin in range(0, first_test - batch + 1, batch):
            params, state, loss = step(params, state, jax.random.fold_in(epoch_key, begin), order[begin : begin + batch])
        found = accuracy(params, jax.random.PRNGKey(arguments.seed + 1000)).item()
        print(f"epoch {epoch + 1:3}  loss {loss.item():.4f}  test accuracy {100 * found:.2f} %", flush=True)
        if found >= arguments.until:
            break


def load(path):
    """Samples and labels on the device, the number of training samples, and the encoder of images."""
    with safe_open(path, "numpy") as file:
        images = "images" in file.keys()
        samples, labels = (jnp.asarray(file.get_tensor(name)) for name in ("images" if images else "inputs", "labels"))
        first_test = DIGITS_FOR_TRAINING if images else int(file.metadata()["train"])
    labels = labels.astype(jnp.int32)
    if not images:
        return samples, labels, first_test, None

    def rate(key, images):
        return jax.random.bernoulli(key, images / 16, (TIMES, *images.shape)).astype(jnp.float32)

    return samples.astype(jnp.float32), labels, first_test, rate


if __name__ == "__main__":
    main()
