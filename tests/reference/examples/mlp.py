"""A multilayer perceptron, trained by Adam with gradient clipping and a learning rate that warms up and decays."""
import jax
import jax.numpy as jnp
import optax


def forward(layers, x):
    for layer in layers[:-1]:
        x = jax.nn.relu(x @ layer["kernel"] + layer["bias"])
    return x @ layers[-1]["kernel"] + layers[-1]["bias"]


def loss(layers, x, labels):
    return optax.softmax_cross_entropy_with_integer_labels(forward(layers, x), labels).mean()


def init(key, sizes):
    lecun_normal = jax.nn.initializers.lecun_normal()
    keys = jax.random.split(key, len(sizes) - 1)
    shapes = zip(keys, sizes, sizes[1:])
    return [{"kernel": lecun_normal(k, (m, n)), "bias": jnp.zeros(n)} for k, m, n in shapes]


def run():
    schedule = optax.warmup_cosine_decay_schedule(0.0, 1e-2, warmup_steps=5, decay_steps=40)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(schedule))
    weights, data, classes = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(data, (64, 8))
    labels = jax.random.randint(classes, (64,), 0, 4)
    params = init(weights, [8, 32, 32, 4])
    state = optimizer.init(params)

    @jax.jit
    def step(params, state):
        value, grads = jax.value_and_grad(loss)(params, x, labels)
        updates, state = optimizer.update(grads, state, params)
        return optax.apply_updates(params, updates), state, value

    losses = []
    for _ in range(40):
        params, state, value = step(params, state)
        losses.append(value)
    return params, losses


if __name__ == "__main__":
    print(run())
