"""A function with a custom gradient: a spike whose derivative is a smooth bump, and one neuron that fires."""
import jax
import jax.numpy as jnp


@jax.custom_vjp
def spike(v):
    return (v > 0).astype(v.dtype)


spike.defvjp(lambda v: (spike(v), v), lambda v, ct: (ct / (1.0 + (jnp.pi * v) ** 2),))


def count(decay, inputs):
    def step(v, x):
        v = decay * v + x
        s = spike(v - 1.0)
        return v - s, s

    return jax.lax.scan(step, jnp.zeros(()), inputs)[1].sum()


def run():
    inputs = jax.random.uniform(jax.random.key(0), (50,), minval=0.0, maxval=0.6)
    return jax.jit(jax.value_and_grad(count, argnums=(0, 1)))(0.9, inputs)


if __name__ == "__main__":
    print(run())
