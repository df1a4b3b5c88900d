"""The gradient of each example of a batch, clipped one by one, as in differentially private training."""
import jax
import jax.numpy as jnp


def loss(w, x, y):
    error = jnp.tanh(x @ w) - y
    return error * error


@jax.jit
def clipped(w, x, y):
    grads = jax.vmap(jax.grad(loss), in_axes=(None, 0, 0))(w, x, y)
    norms = jnp.sqrt((grads * grads).sum(axis=1, keepdims=True))
    return grads, (grads * jnp.minimum(1.0, 0.5 / norms)).mean(axis=0)


def run():
    keys = jax.random.split(jax.random.key(0), 3)
    w, x = jax.random.normal(keys[0], (5,)), jax.random.normal(keys[1], (8, 5))
    y = jax.random.uniform(keys[2], (8,), minval=-1.0, maxval=1.0)
    return clipped(w, x, y)


if __name__ == "__main__":
    print(run())
