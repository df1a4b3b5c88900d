"""A transformer of two blocks that learns to repeat a sequence of tokens."""
import jax
import jax.numpy as jnp
import optax

HEADS, WIDTH, LENGTH, TOKENS = 2, 16, 12, 11


def norm(x):
    return (x - x.mean(-1, keepdims=True)) * jax.lax.rsqrt(x.var(-1, keepdims=True) + 1e-5)


def attention(block, x):
    q, k, v = (jnp.swapaxes(y.reshape(*x.shape[:2], HEADS, -1), 1, 2) for y in jnp.split(x @ block["qkv"], 3, -1))
    scores = jnp.einsum("bhqd,bhkd->bhqk", q, k) * (WIDTH // HEADS) ** -0.5
    causal = jnp.tril(jnp.ones((LENGTH, LENGTH))) > 0
    y = jnp.einsum("bhqk,bhkd->bhqd", jax.nn.softmax(jnp.where(causal, scores, -1e9)), v)
    return jnp.swapaxes(y, 1, 2).reshape(x.shape) @ block["out"]


def loss(params, tokens):
    x = params["embed"][tokens[:, :-1]] + params["position"]
    for block in params["blocks"]:
        x = x + attention(block, norm(x))
        x = x + jax.nn.gelu(norm(x) @ block["up"]) @ block["down"]
    logits = norm(x) @ params["embed"].T
    return optax.softmax_cross_entropy_with_integer_labels(logits, tokens[:, 1:]).mean()


def init(key):
    keys = jax.random.split(key, 5)
    w = lambda key, *shape: jax.nn.initializers.lecun_normal()(key, shape)
    shapes = {"down": (4 * WIDTH, WIDTH), "out": (WIDTH, WIDTH), "qkv": (WIDTH, 3 * WIDTH), "up": (WIDTH, 4 * WIDTH)}
    block = lambda key: {name: w(k, *shape) for k, (name, shape) in zip(jax.random.split(key, 4), shapes.items())}
    embed, position = w(keys[0], TOKENS, WIDTH), w(keys[1], LENGTH, WIDTH)
    return {"blocks": [block(keys[2]), block(keys[3])], "embed": embed, "position": position}, keys[4]


def run():
    params, key = init(jax.random.key(0))
    half = jax.random.randint(key, (8, 7), 0, TOKENS)
    tokens = jnp.concatenate([half, half], axis=1)[:, : LENGTH + 1]
    optimizer = optax.adamw(3e-3)

    @jax.jit
    def step(params, state):
        value, grads = jax.value_and_grad(loss)(params, tokens)
        updates, state = optimizer.update(grads, state, params)
        return optax.apply_updates(params, updates), state, value

    state, losses = optimizer.init(params), []
    for _ in range(20):
        params, state, value = step(params, state)
        losses.append(value)
    return params["position"], losses


if __name__ == "__main__":
    print(run())
