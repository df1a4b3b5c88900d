"""Random numbers: every draw is a function of a key, on the host and in a compiled program."""
import jax
import jax.numpy as jnp


@jax.jit
def in_program(key, logits):
    mask, classes = jax.random.split(key)
    return jax.random.bernoulli(mask, 0.3, (2, 4)), jax.random.categorical(classes, logits, shape=(6,))


def run():
    root = jax.random.key(42)
    keys = jax.random.split(root, 5)
    return {
        "bits": jax.random.bits(keys[0], (4,)),
        "fold_in": jax.random.key_data(jax.random.fold_in(root, 7)),
        "in_program": in_program(keys[4], jnp.array([0.0, 1.0, 2.0])),
        "normal": jax.random.normal(keys[1], (2, 3)),
        "permutation": jax.random.permutation(keys[2], 10),
        "randint": jax.random.randint(keys[3], (5,), -3, 4),
    }


if __name__ == "__main__":
    print(run())
