"""A convolutional network for small images."""
import jax
import jax.numpy as jnp
import optax


def conv(x, kernel, bias):
    y = jax.lax.conv_general_dilated(x, kernel, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    return jax.nn.relu(y + bias)


def loss(params, x, labels):
    for layer in params["conv"]:
        x = conv(x, layer["kernel"], layer["bias"])
    logits = x.mean(axis=(1, 2)) @ params["head"]
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def run():
    init, keys = jax.nn.initializers.lecun_normal(), jax.random.split(jax.random.key(0), 5)
    layer = lambda key, m, n: {"kernel": init(key, (3, 3, m, n)), "bias": jnp.zeros(n)}
    params = {"conv": [layer(keys[0], 1, 8), layer(keys[1], 8, 16)], "head": init(keys[2], (16, 4))}
    x, labels = jax.random.normal(keys[3], (16, 12, 12, 1)), jax.random.randint(keys[4], (16,), 0, 4)
    optimizer = optax.adam(3e-3)

    @jax.jit
    def step(params, state):
        value, grads = jax.value_and_grad(loss)(params, x, labels)
        updates, state = optimizer.update(grads, state)
        return optax.apply_updates(params, updates), state, value

    state, losses = optimizer.init(params), []
    for _ in range(20):
        params, state, value = step(params, state)
        losses.append(value)
    return params["head"], losses


if __name__ == "__main__":
    print(run())
