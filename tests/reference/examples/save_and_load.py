"""A training that is saved, loaded and continued, with the same result as without the interruption."""
import os
import tempfile

import jax
import jax.numpy as jnp
import optax
from safetensors.numpy import load_file, save_file

optimizer = optax.adam(0.05)


def loss(params, x, y):
    error = jnp.tanh(x @ params["kernel"] + params["bias"]) - y
    return (error * error).mean()


@jax.jit
def step(params, state, x, y):
    value, grads = jax.value_and_grad(loss)(params, x, y)
    updates, state = optimizer.update(grads, state, params)
    return optax.apply_updates(params, updates), state, value


def save(path, tree):
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    save_file({jax.tree_util.keystr(p, simple=True, separator="/"): jax.device_get(leaf) for p, leaf in leaves}, path)


def load(path, like):
    found = load_file(path)
    name = lambda p: jax.tree_util.keystr(p, simple=True, separator="/")
    return jax.tree_util.tree_map_with_path(lambda p, _: jnp.asarray(found[name(p)]), like)


def run():
    keys = jax.random.split(jax.random.key(0))
    x, y = jax.random.normal(keys[0], (32, 4)), jax.random.uniform(keys[1], (32, 2))
    params = {"kernel": jnp.zeros((4, 2)), "bias": jnp.zeros(2)}
    state = optimizer.init(params)
    for _ in range(10):
        params, state, _ = step(params, state, x, y)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "checkpoint.safetensors")
        save(path, (params, state))
        params, state = load(path, (params, state))
    for _ in range(10):
        params, state, value = step(params, state, x, y)
    return params, value


if __name__ == "__main__":
    print(run())
