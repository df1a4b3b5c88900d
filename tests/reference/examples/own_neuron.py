"""A custom neuron with a custom surrogate gradient, in a network whose products a rule quantizes to int8."""
import jax
import jax.numpy as jnp
import optax
import spyx
from flax import nnx

spike = spyx.axn.custom(lambda x: 1.0 / (1.0 + (3.0 * x) ** 2))


class Adaptive(nnx.Module):
    def __init__(self, units):
        self.units, self.beta = units, nnx.Param(jnp.full((units,), 0.9))

    def initial_state(self, batch):
        return jnp.zeros((batch, self.units)), jnp.zeros((batch, self.units))

    def __call__(self, x, state):
        v, threshold = state
        s = spike(v - 1.0 - threshold)
        return s, (self.beta[...] * v + x - s, 0.9 * threshold + 0.3 * s)


class Net(nnx.Module):
    def __init__(self, rngs):
        first, last = (nnx.Linear(*size, use_bias=False, rngs=rngs) for size in ((12, 24), (24, 4)))
        self.core = spyx.nn.Sequential(first, Adaptive(24), last, spyx.nn.LI((4,), beta=0.8, rngs=rngs))

    def __call__(self, x):
        return spyx.nn.run(self.core, x)[0]


def run():
    keys = jax.random.split(jax.random.key(1))
    x, labels = jax.random.bernoulli(keys[0], 0.3, (20, 16, 12)), jax.random.randint(keys[1], (16,), 0, 4)
    x = x.astype(jnp.float32)
    model = spyx.quant.quantize(Net(nnx.Rngs(0)), x, rules=spyx.quant.linear_only_rules("int8", "int8"))
    graph, params = nnx.split(model, nnx.Param)
    loss = spyx.fn.integral_crossentropy(time_axis=0)
    optimizer = optax.adam(5e-3)

    @jax.jit
    def step(params, state):
        value, grads = jax.value_and_grad(lambda p: loss(nnx.merge(graph, p)(x), labels))(params)
        updates, state = optimizer.update(grads, state)
        return optax.apply_updates(params, updates), state, value

    state, losses = optimizer.init(params), []
    for _ in range(10):  # later, single spikes depend on rounding
        params, state, value = step(params, state)
        losses.append(value)
    return {"/".join(map(str, path)): leaf[...] for path, leaf in nnx.to_flat_state(params)}, losses


if __name__ == "__main__":
    print(run())
