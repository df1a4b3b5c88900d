"""Data-parallel training on two devices: each computes the gradient of half of the batch."""
import jax

jax.config.update("jax_num_cpu_devices", 2)
import jax.numpy as jnp


@jax.jit
def value_and_grad(w, x, y):
    def loss(w):
        error = jnp.tanh(x @ w) - y
        return (error * error).mean()

    return jax.value_and_grad(loss)(w)


@jax.jit
def mean(a, b):
    return jax.tree.map(lambda a, b: (a + b) / 2.0, a, b)


@jax.jit
def descend(w, slope):
    return w - 0.5 * slope


def run():
    keys, (first, second) = jax.random.split(jax.random.key(0)), jax.devices()
    x, y = jax.random.normal(keys[0], (64, 3)), jax.random.uniform(keys[1], (64,), minval=-1.0, maxval=1.0)
    halves = [jax.device_put((x[:32], y[:32]), first), jax.device_put((x[32:], y[32:]), second)]
    w, losses = jax.device_put(jnp.zeros(3), first), []
    for _ in range(10):
        one = value_and_grad(w, *halves[0])
        other = value_and_grad(jax.device_put(w, second), *halves[1])
        value, slope = mean(one, jax.device_put(other, first))
        w = descend(w, slope)
        losses.append(value)
    return w, losses


if __name__ == "__main__":
    print(run())
