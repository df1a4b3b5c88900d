"""The digits recipe on JAX, Spyx and qwix: its run time and accuracy.

    venv/bin/python digits_recipe.py --data digits.safetensors --seed 0 [--rules int8|int8_weights|int4_weights|fp32] [--train N]

T 32, 64-128-128-10 LIF (triangular) and LI, adam(2e-3), batch 64, 20 epochs, a Bernoulli rate code of image / 16.
The first 1437 images train, or N of them; the last 360 test.
"""

import argparse
import os
import time

os.environ.setdefault("JAX_PLATFORMS", "cpu")
CLOCKS = [("begin", time.perf_counter(), time.process_time())]

import jax
import jax.numpy as jnp
import optax
import qwix
import spyx
from flax import nnx
from generate import INT8, Network
from safetensors.numpy import load_file

TIMES, BATCH, EPOCHS, TRAIN = 32, 64, 20, 1437
RULES = {
    "int8": INT8,
    "int8_weights": {"weight_qtype": "int8"},
    "int4_weights": {"weight_qtype": "int4"},
    "int4_int8": {**INT8, "weight_qtype": "int4"},
    "fp32": None,
}


def clock(name):
    CLOCKS.append((name, time.perf_counter(), time.process_time()))


def encode(key, images):
    """Spikes [T, B, C] with a rate given by each pixel."""
    return jax.random.bernoulli(key, images / 16, (TIMES, *images.shape)).astype(jnp.float32)


def compiled(graph, optimizer):
    """The training step and the accuracy, each as a single program."""

    def step(params, state, key, images, labels):
        def loss(params):
            return spyx.fn.integral_crossentropy()(nnx.merge(graph, params)(encode(key, images)), labels)

        value, grads = jax.value_and_grad(loss)(params)
        updates, state = optimizer.update(grads, state, params)
        return optax.apply_updates(params, updates), state, value

    def accuracy(params, key, images, labels):
        return spyx.fn.integral_accuracy()(nnx.merge(graph, params)(encode(key, images)), labels)[0]

    return jax.jit(step, donate_argnums=(0, 1)), jax.jit(accuracy)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rules", choices=RULES, default="int8")
    parser.add_argument("--train", type=int, default=TRAIN)
    arguments = parser.parse_args()

    data = load_file(arguments.data)
    images, labels = jnp.asarray(data["images"], jnp.float32), jnp.asarray(data["labels"], jnp.int32)
    model = Network(arguments.seed, (64, 128, 128, 10))
    if rule := RULES[arguments.rules]:
        example = jnp.zeros((TIMES, BATCH, 64))
        model = spyx.quant.quantize(model, example, rules=[qwix.QuantizationRule(**rule)])
    graph, params = nnx.split(model, nnx.Param)
    # LI's beta is initially weakly typed: without this, the second and third step would recompile.
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), params)
    optimizer = optax.adam(2e-3)
    state = optimizer.init(params)
    step, accuracy = compiled(graph, optimizer)

    key = jax.random.PRNGKey(arguments.seed)
    steps = 0
    clock("start")
    for epoch in range(EPOCHS):
        order = jax.random.permutation(jax.random.fold_in(key, epoch), arguments.train)
        for begin in range(0, arguments.train - BATCH + 1, BATCH):
            batch = order[begin : begin + BATCH]
            step_key = jax.random.fold_in(key, EPOCHS + steps)
            params, state, loss = step(params, state, step_key, images[batch], labels[batch])
            steps += 1
            if steps == 1:
                loss.block_until_ready()
                clock("first step")
    loss.block_until_ready()
    clock(f"other {steps - 1} steps")
    test = accuracy(params, jax.random.PRNGKey(arguments.seed + 1000), images[TRAIN:], labels[TRAIN:]).item()
    clock("test")
    print(f"{arguments.rules} seed {arguments.seed}: test accuracy {test:.4f}, last loss {loss.item():.4f}")
    print("seconds (of processor):")
    for (_, wall, processor), (name, later, used) in zip(CLOCKS, CLOCKS[1:], strict=False):
        print(f"  {name:16} {later - wall:6.2f} ({used - processor:.2f})")
    print(f"  {'all':16} {later - CLOCKS[0][1]:6.2f} ({used:.2f})")


if __name__ == "__main__":
    main()
