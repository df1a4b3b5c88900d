"""Linear regression by gradient descent."""
import jax
import jax.numpy as jnp


def loss(w, x, y):
    error = x @ w["slope"] + w["offset"] - y
    return (error * error).mean()


@jax.jit
def step(w, x, y):
    value, slope = jax.value_and_grad(loss)(w, x, y)
    return jax.tree.map(lambda p, g: p - 0.1 * g, w, slope), value


def run():
    inputs, noise = jax.random.split(jax.random.key(0))
    x = jax.random.normal(inputs, (64, 3))
    y = x @ jnp.array([1.0, -2.0, 3.0]) + 0.5 + 0.1 * jax.random.normal(noise, (64,))
    w, losses = {"slope": jnp.zeros(3), "offset": jnp.zeros(())}, []
    for _ in range(50):
        w, value = step(w, x, y)
        losses.append(value)
    return w, losses


if __name__ == "__main__":
    print(run())
