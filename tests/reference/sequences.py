"""Reference values for the layers that see the whole sequence: BatchNorm, Delay, DelayedLinear.

    venv/bin/python sequences.py

Writes sequences.safetensors beside this script. README.md documents its contents.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import spyx.nn as snn
from flax import nnx
from jax.random import PRNGKey

from generate import Cases, loss_of, make_surrogate, parameters, prefixed

TIMES, BATCH = 6, 3


def drawn(rng, shape, mean=0.0, deviation=1.0):
    return jnp.asarray(rng.normal(mean, deviation, shape), jnp.float32)


# BatchNorm


def batch_norms(cases):
    table = (
        ([5], {}),
        ([3, 4, 5], {}),
        ([5], {"use_fast_variance": False}),
        ([3, 4, 5], {"use_fast_variance": False, "momentum": 0.5}),
        ([5], {"use_scale": False}),
        ([5], {"use_bias": False, "epsilon": 0.1}),
        ([5], {"use_scale": False, "use_bias": False, "momentum": 0.0}),
        ([5], {"time_steps": TIMES}),
        ([3, 4, 5], {"time_steps": TIMES, "use_fast_variance": False, "use_scale": False, "momentum": 0.9}),
    )
    for number, (sample, arguments) in enumerate(table):
        arguments = {"type": "BatchNorm", "num_features": sample[-1]} | arguments
        cases.add(f"batch_norm/{number}", arguments, **batch_norm(np.random.default_rng(number), sample, arguments))


def batch_norm(rng, sample, arguments):
    """Output and gradients with batch statistics (`train_…`) and with running ones (`test_…`), and the next running ones."""
    given = {key: value for key, value in arguments.items() if key not in ("type", "time_steps")}
    steps = arguments.get("time_steps")
    dims = (steps, sample[-1]) if steps else (sample[-1],)
    x = drawn(rng, (TIMES, BATCH, *sample), 0.5, 2.0)
    weights = drawn(rng, x.shape)
    params = {"scale": drawn(rng, dims, 1, 0.3), "bias": drawn(rng, dims, 0, 0.5)}
    params = {name: value for name, value in params.items() if given.get(f"use_{name}", True)}
    running = {"mean": drawn(rng, dims, 0.3, 0.5), "var": jnp.abs(drawn(rng, dims, 2, 0.5))}

    def one(params, running, x, use_running_average):
        layer = nnx.BatchNorm(**given, use_running_average=use_running_average, rngs=nnx.Rngs(0))
        for name, value in (params | running).items():
            getattr(layer, name)[...] = value
        return layer(x), {"mean": layer.mean[...], "var": layer.var[...]}

    def layer(params, running, x, use_running_average):
        if not steps:
            return one(params, running, x, use_running_average)
        # One flax layer per time step.
        at = lambda arrays, step: {name: value[step] for name, value in arrays.items()}
        each = [one(at(params, t), at(running, t), x[t], use_running_average) for t in range(steps)]
        stacked = lambda *parts: jnp.stack(parts)
        return stacked(*[y for y, _ in each]), jax.tree.map(stacked, *[now for _, now in each])

    def weighted(params, x, use_running_average):
        y, now = layer(params, running, x, use_running_average)
        return jnp.sum(y * weights), (y, now)

    gradient = jax.jit(jax.value_and_grad(weighted, (0, 1), has_aux=True), static_argnums=2)
    result = params | running | {"input": x, "weights": weights}
    for name, use_running_average in (("train", False), ("test", True)):
        (_, (y, now)), (d_params, d_x) = gradient(params, x, use_running_average)
        result |= {f"{name}_output": y, f"{name}_d_input": d_x}
        result |= {f"{name}_d_{path}": value for path, value in d_params.items()}
        if not use_running_average:
            result |= {f"next_{path}": value for path, value in now.items()}
    return result


# Synaptic delays


def dcls_kernel(weight, position, sigma, size):
    """`ConstructKernel1d.forward_vgauss` of DCLS: weight, position [out, in, count] to kernels [out, in, size]."""
    position = position + size // 2
    sigma = jnp.abs(sigma) + 0.27
    index = jnp.arange(size, dtype=jnp.float32)[:, None, None, None]
    x = (index - position) / sigma
    x = jnp.exp(-0.5 * x**2)
    x = x / (x.sum(0) + 1e-7)
    return (x * weight).sum(-1).transpose(1, 2, 0)


def dcls_triangle(weight, position, size):
    """`forward_v1`, used for testing a trained network, with rounded positions."""
    position = position + size // 2
    index = jnp.arange(size, dtype=jnp.float32)[:, None, None, None]
    x = jax.nn.relu(1 - jnp.abs(index - position))
    x = x / (x.sum(0) + 1e-7)
    return (x * weight).sum(-1).transpose(1, 2, 0)


def convolved(x, kernel, left, right):
    """Like `SnnDelays.forward`: pads x [T, B, in] and correlates it with kernels [out, in, size], as PyTorch's conv1d."""
    padded = jnp.pad(x.transpose(1, 2, 0), ((0, 0), (0, 0), (left, right)))
    y = jax.lax.conv_general_dilated(
        padded, kernel, (1,), "VALID", dimension_numbers=("NCH", "OIH", "NCH"), precision="highest"
    )
    return y.transpose(2, 0, 1)


def position_of(delay, max_delay):
    """Delays [in, out] as positions [out, in, 1]: the last lag of the kernel minus the delay."""
    return (max_delay - delay - (max_delay + 1) // 2).T[..., None]


def delayed(kernel, delay, sigma, max_delay, extra, x):
    kernels = dcls_kernel(kernel.T[..., None], position_of(delay, max_delay), sigma, max_delay + 1)
    return convolved(x, kernels, max_delay, extra)


def delayed_at_test(kernel, delay, max_delay, extra, x):
    position = position_of(jnp.round(delay), max_delay)
    return convolved(x, dcls_triangle(kernel.T[..., None], position, max_delay + 1), max_delay, extra)


def delayed_linears(cases):
    table = (
        {"in_features": 4, "out_features": 5, "max_delay": 6},
        {"in_features": 4, "out_features": 5, "max_delay": 6, "sigma": 0.23},
        {"in_features": 4, "out_features": 3, "max_delay": 5, "extra_steps": 3, "sigma": 1.5},
        {"in_features": 3, "out_features": 4, "max_delay": 12, "extra_steps": 6},
        {"in_features": 3, "out_features": 4, "max_delay": 4, "use_bias": True, "sigma": 0.9},
        {"in_features": 3, "out_features": 2, "max_delay": 1, "sigma": 0.4},
    )
    for number, arguments in enumerate(table):
        rng = np.random.default_rng(number)
        inputs, units, most = (arguments[name] for name in ("in_features", "out_features", "max_delay"))
        extra = arguments.get("extra_steps", 0)
        sigma = arguments.get("sigma", most // 2)
        delay = rng.uniform(0, most, (inputs, units))
        # At the limits, and between whole steps.
        delay.flat[:3] = 0, most, 0.5 + most // 2
        given = {"kernel": drawn(rng, (inputs, units)), "delay": jnp.asarray(delay, jnp.float32)}
        if arguments.get("use_bias"):
            given["bias"] = drawn(rng, (units,))
        x = drawn(rng, (9, BATCH, inputs))
        weights = drawn(rng, (9 + extra, BATCH, units))

        def weighted(given, x):
            y = delayed(given["kernel"], given["delay"], sigma, most, extra, x) + given.get("bias", 0)
            return jnp.sum(y * weights), y

        (_, y), (grads, d_x) = jax.jit(jax.value_and_grad(weighted, (0, 1), has_aux=True))(given, x)
        # `SnnDelays.decrease_sig`; its epoch is a step here.
        alpha = (0.23 / (most // 2 or 0.23)) ** (1 / 1000)
        test = delayed_at_test(given["kernel"], given["delay"], most, extra, x) + given.get("bias", 0)
        shown = {"type": "DelayedLinear"} | {name: value for name, value in arguments.items() if name != "sigma"}
        results = {"input": x, "weights": weights, "sigma": sigma, "next_sigma": max(sigma * alpha, 0.23), "output": y}
        results |= {"d_input": d_x, "test_output": test} | {f"d_{name}": grad for name, grad in grads.items()}
        cases.add(f"delayed_linear/{number}", shown, **given, **floats(results))
    decay = [12.0]
    while len(decay) < 41:
        # The source stops at a given epoch, here the 37th of 150.
        decay.append(decay[-1] * (0.23 / 12) ** (1 / 37) if len(decay) - 1 < 37 and decay[-1] > 0.23 else decay[-1])
    cases.add("sigma", {"sigma_start": 12.0, "sigma_steps": 37}, values=jnp.asarray(decay))


def floats(results):
    return {name: jnp.asarray(value, jnp.float32) for name, value in results.items()}


# Axonal delays


def delays(cases):
    table = (
        {"channels": 5, "max_delay": 3},
        {"channels": 7, "max_delay": 10},
        {"channels": 4, "max_delay": 1},
        {"channels": 6, "max_delay": 16, "learn": False},
    )
    for number, arguments in enumerate(table):
        rng = np.random.default_rng(number)
        channels, most = arguments["channels"], arguments["max_delay"]
        delay = rng.uniform(0, most, channels).astype(np.float32)
        delay[:3] = 0, most, 0.5
        x = rng.normal(size=(8, BATCH, channels)).astype(np.float32)
        weights = rng.normal(size=x.shape).astype(np.float32)

        def at(x, time, channel):
            return x[time, :, channel] if time >= 0 else np.zeros(BATCH, np.float32)

        y, d_x, d_delay = np.zeros_like(x), np.zeros_like(x), np.zeros_like(delay)
        for c in range(channels):
            # Half to even, as in IEEE 754.
            whole, floor = int(np.round(delay[c])), int(np.floor(delay[c]))
            part = delay[c] - np.float32(floor)
            for t in range(len(x)):
                y[t, :, c] = at(x, t - whole, c)
                # Linear interpolation between both neighbours: (1 - part) x(t - floor) + part x(t - floor - 1).
                near, far = (t - floor, 1 - part), (t - floor - 1, part)
                if not arguments.get("learn", True):
                    near, far = (t - whole, np.float32(1)), (-1, 0)
                for time, share in (near, far):
                    if time >= 0:
                        d_x[time, :, c] += share * weights[t, :, c]
                if arguments.get("learn", True):
                    d_delay[c] += np.sum(weights[t, :, c] * (at(x, far[0], c) - at(x, near[0], c)))
        result = {"input": x, "weights": weights, "output": y, "d_input": d_x, "delay": delay, "d_delay": d_delay}
        cases.add(f"delay/{number}", {"type": "Delay"} | arguments, **result)


# Initial values


def initial(cases):
    for number, (seed, shape) in enumerate(((0, [24, 8]), (1, [7]), (42, [3, 5, 6]), (3, [140, 2]))):
        out = jax.nn.initializers.he_uniform()(PRNGKey(seed), shape) if len(shape) > 1 else None
        # JAX refuses a single axis; spiq treats it as one input.
        out = jax.nn.initializers.he_uniform()(PRNGKey(seed), [1, *shape])[0] if out is None else out
        cases.add(f"he_uniform/{number}", {"seed": seed, "shape": shape}, out=out)
    for number, (seed, shape, most) in enumerate(((0, [24, 8], 24), (1, [7, 3], 1), (5, [13, 4], 25))):
        rngs = nnx.Rngs(seed)
        given = {"in_features": shape[0], "out_features": shape[1], "max_delay": most}
        kernel, delay = DelayedLinear.drawn(*shape, most, rngs)
        cases.add(f"drawn/{number}", {"type": "DelayedLinear", "seed": seed} | given, kernel=kernel, delay=delay)
        delay = jax.random.uniform(nnx.Rngs(seed).params(), (shape[0],), jnp.float32, 0, most)
        cases.add(
            f"drawn/delay{number}", {"type": "Delay", "seed": seed, "channels": shape[0], "max_delay": most}, delay=delay
        )


# A network


class DelayedLinear(nnx.Module):
    """The formulas of DCLS as a flax layer, whose sigma shrinks with each call."""

    def __init__(self, inputs, units, max_delay, sigma_steps, rngs):
        kernel, delay = self.drawn(inputs, units, max_delay, rngs)
        self.kernel, self.delay = nnx.Param(kernel), nnx.Param(delay)
        self.sigma = nnx.BatchStat(jnp.float32(max_delay // 2))
        self.max_delay, self.alpha = max_delay, (0.23 / (max_delay // 2)) ** (1 / sigma_steps)

    @staticmethod
    def drawn(inputs, units, max_delay, rngs):
        kernel = jax.nn.initializers.he_uniform()(rngs.params(), (inputs, units))
        return kernel, jax.random.uniform(rngs.params(), (inputs, units), jnp.float32, 0, max_delay)

    def __call__(self, x):
        y = delayed(self.kernel[...], self.delay[...], self.sigma[...], self.max_delay, 0, x)
        self.sigma[...] = jnp.maximum(self.sigma[...] * self.alpha, 0.23)
        return y


class Core(nnx.Module):
    def __init__(self, layers):
        self.layers = nnx.List(layers)


class Network(nnx.Module):
    """Layers under `core`: [T, B, C] -> [B, T, classes]."""

    def __init__(self, *layers):
        self.core = Core(layers)

    def __call__(self, x):
        for layer in self.core.layers:
            x = snn.run(layer, x)[0] if hasattr(layer, "initial_state") else layer(x)
        return jnp.swapaxes(x, 0, 1)


def network(seed):
    rngs = nnx.Rngs(seed)
    spike = make_surrogate("triangular")
    return Network(
        # The gradient of a bias before BatchNorm is only rounding noise, which Adam would scale up.
        nnx.Linear(6, 8, use_bias=False, rngs=rngs),
        nnx.BatchNorm(8, momentum=0.9, rngs=rngs),
        snn.LIF((8,), activation=spike, rngs=rngs),
        DelayedLinear(8, 8, 4, 20, rngs),
        nnx.BatchNorm(8, momentum=0.9, use_fast_variance=False, rngs=rngs),
        snn.LIF((8,), activation=spike, rngs=rngs),
        nnx.Linear(8, 3, rngs=rngs),
        snn.LI((3,), rngs=rngs),
    )


def statistics(model):
    flat = nnx.to_flat_state(nnx.state(model, nnx.BatchStat))
    return {"/".join(map(str, path)): leaf[...] for path, leaf in flat}


def trained(seed, change):
    """Thirty steps on one batch: losses, the first gradients, final parameters and running statistics."""
    rng = np.random.default_rng(seed)
    x = jnp.asarray(rng.random((10, 5, 6)) < 0.5, jnp.float32)
    targets = jnp.asarray([2, 0, 1, 1, 0])
    model = network(seed)
    result = {"x": x, "targets": targets} | prefixed("params", parameters(model) | statistics(model))
    optimizer = nnx.Optimizer(model, optax.adam(0.02), wrt=nnx.Param)

    @nnx.jit
    def step(model, optimizer, x):
        loss, grads = nnx.value_and_grad(loss_of)(model, x, targets)
        optimizer.update(model, grads)
        delay = model.core.layers[3].delay
        # `clamp_parameters` of DCLS.
        delay[...] = jnp.clip(delay[...], 0, 4)
        return loss, parameters(grads)

    losses = []
    for number in range(30):
        loss, grads = step(model, optimizer, x * change)
        losses.append(loss)
        if number == 0:
            result |= prefixed("grads", grads)
    result["losses"] = jnp.stack(losses)
    return result | prefixed("trained", parameters(model) | statistics(model))


def training(cases):
    """The first seed for which an input that differs in its last bits gives the same result."""
    for seed in range(1000):
        result, *others = [trained(seed, change) for change in (1, 1 + 1e-6, 1 - 1e-6)]
        far = max(np.abs(other["losses"] - result["losses"]).max() for other in others)
        if far < 1e-4 * np.abs(result["losses"]).max():
            break
    delay = np.asarray(result["trained/core/layers/3/delay"])
    assert ((delay == 0) | (delay == 4)).any(), "no delay reached its limit"
    assert result["losses"][-1] < 0.7 * result["losses"][0]
    cases.add("training", {"seed": seed}, **result)


def main():
    cases = Cases()
    for topic in (batch_norms, delayed_linears, delays, initial, training):
        topic(cases)
    path = Path(__file__).with_name("sequences.safetensors")
    cases.write(path)
    print(f"{path.name}: {len(cases.arrays)} arrays, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
