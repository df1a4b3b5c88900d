"""A custom loss: the focal loss, which weighs down examples that are classified well, with a penalty on large weights."""
import jax
import jax.numpy as jnp
import optax


def focal(logits, labels, gamma):
    log_p = jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=1)[:, 0]
    return -((1.0 - jnp.exp(log_p)) ** gamma * log_p).mean()


def loss(w, x, labels):
    return focal(x @ w, labels, 2.0) + 1e-3 * (w * w).sum()


def run():
    keys = jax.random.split(jax.random.key(0))
    x, labels = jax.random.normal(keys[0], (48, 6)), jax.random.randint(keys[1], (48,), 0, 3)
    w, optimizer = jnp.zeros((6, 3)), optax.sgd(0.5)
    state = optimizer.init(w)

    @jax.jit
    def step(w, state):
        value, grads = jax.value_and_grad(loss)(w, x, labels)
        updates, state = optimizer.update(grads, state)
        return optax.apply_updates(w, updates), state, value

    losses = []
    for _ in range(25):
        w, state, value = step(w, state)
        losses.append(value)
    return w, losses


if __name__ == "__main__":
    print(run())
