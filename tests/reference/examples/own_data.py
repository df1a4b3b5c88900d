"""Custom data: two spirals, shuffled in every epoch, in batches, with the accuracy on held-out points."""
import jax
import jax.numpy as jnp
import numpy as np
import optax


def spirals(n):
    t = np.arange(n, dtype=np.float32) / n
    arm = np.arange(n) % 2
    angle = 6.0 * t + np.pi * arm
    return np.stack([t * np.cos(angle), t * np.sin(angle)], 1).astype(np.float32), arm.astype(np.int32)


def forward(params, x):
    return jnp.tanh(jnp.tanh(3.0 * x @ params["first"]) @ params["second"]) @ params["third"]


def loss(params, x, labels):
    return optax.softmax_cross_entropy_with_integer_labels(forward(params, x), labels).mean()


def run():
    x, labels = spirals(240)
    train, test = np.arange(240) % 6 != 0, np.arange(240) % 6 == 0
    keys, init = jax.random.split(jax.random.key(0), 4), jax.nn.initializers.lecun_normal()
    params = {"first": init(keys[0], (2, 32)), "second": init(keys[1], (32, 32)), "third": init(keys[2], (32, 2))}
    optimizer = optax.adam(1e-2)

    @jax.jit
    def step(params, state, x, labels):
        value, grads = jax.value_and_grad(loss)(params, x, labels)
        updates, state = optimizer.update(grads, state)
        return optax.apply_updates(params, updates), state, value

    state, losses, (xs, ys) = optimizer.init(params), [], (x[train], labels[train])
    for epoch in range(30):
        order = jax.random.permutation(jax.random.fold_in(keys[3], epoch), 200).reshape(5, 40)
        for batch in order:
            params, state, value = step(params, state, xs[batch], ys[batch])
        losses.append(value)
    accuracy = (forward(params, x[test]).argmax(-1) == labels[test]).mean()
    return losses, accuracy


if __name__ == "__main__":
    print(run())
