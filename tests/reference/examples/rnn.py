"""A recurrent network over time by scan, trained to add up its inputs."""
import jax
import jax.numpy as jnp
import optax


def forward(params, xs):
    def step(h, x):
        h = jnp.tanh(x @ params["input"] + h @ params["hidden"] + params["bias"])
        return h, h @ params["output"]

    return jax.lax.scan(step, jnp.zeros((xs.shape[1], 16)), xs)[1]


def loss(params, xs, ys):
    error = forward(params, xs) - ys
    return (error * error).mean()


def run():
    keys = jax.random.split(jax.random.key(0), 4)
    init, shapes = jax.nn.initializers.lecun_normal(), {"hidden": (16, 16), "input": (1, 16), "output": (16, 1)}
    params = {"bias": jnp.zeros(16)} | {name: init(k, shape) for k, (name, shape) in zip(keys, shapes.items())}
    xs = jax.random.uniform(keys[3], (20, 8, 1), minval=-0.2, maxval=0.2)
    ys = jnp.cumsum(xs, axis=0)
    optimizer = optax.adam(5e-3)

    @jax.jit
    def step(params, state):
        value, grads = jax.value_and_grad(loss)(params, xs, ys)
        updates, state = optimizer.update(grads, state)
        return optax.apply_updates(params, updates), state, value

    state, losses = optimizer.init(params), []
    for _ in range(30):
        params, state, value = step(params, state)
        losses.append(value)
    return params, losses


if __name__ == "__main__":
    print(run())
