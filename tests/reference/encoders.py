"""Encodes values with snnTorch and Spyx: python encoders.py writes encoders.safetensors

Names are those of spiq's encoders with their arguments. `x/…` are images, bytes of which 255 counts as 1; `v/…` values over time.
"""

import importlib.util
import pathlib
import sys
import types

import jax.numpy as jnp
import numpy as np
from safetensors.numpy import save_file
from spyx import data as spyx

STEPS = 20


class Tensor(np.ndarray):
    """The tensor interface that spikegen.py uses."""

    device = None

    def unsqueeze(self, axis):
        return np.expand_dims(self, axis)

    def long(self):
        return self.astype(np.int64)

    def size(self):
        return self.shape

    def scatter(self, axis, index, value):
        out = self.copy()
        np.put_along_axis(out, np.asarray(index), value, axis)
        return out


def tensor(array):
    return np.asarray(array, np.float32).view(Tensor)


def spikegen():
    """snnTorch's own spikegen.py, with the few PyTorch functions it calls replaced by numpy in f32 (PyTorch takes a gigabyte)."""
    torch = types.ModuleType("torch")
    torch.float = np.float32
    for name in ("min", "max", "round", "log"):
        setattr(torch, name, lambda x, of=getattr(np, name): tensor(of(x)))
    torch.clamp = lambda x, low: np.maximum(x, np.float32(low))
    torch.clamp_max = lambda x, high: np.minimum(x, np.float32(high))
    torch.zeros = lambda size, dtype, device: tensor(np.zeros(size))
    torch.zeros_like, torch.ones_like = np.zeros_like, np.ones_like
    torch.cat = np.concatenate
    before, sys.modules["torch"] = sys.modules.get("torch"), torch
    path = pathlib.Path(importlib.util.find_spec("spyx").origin).parents[1] / "snntorch/spikegen.py"
    spec = importlib.util.spec_from_file_location("spikegen", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if before is None:
        del sys.modules["torch"]
    return module


def main():
    snntorch = spikegen()
    images = np.arange(256, dtype=np.uint8)[None]
    x = tensor(images) / np.float32(255)
    arrays = {"images": images}
    latency = [
        ("Latency(linear = true, normalize = true)", dict(linear=True, normalize=True)),
        ("Latency(linear = true, normalize = true, clip = true, threshold = 0.2)",
         dict(linear=True, normalize=True, clip=True, threshold=0.2)),
        ("Latency(linear = true, tau = 7.5, first_spike_time = 3)", dict(linear=True, tau=7.5, first_spike_time=3)),
        ("Latency(normalize = true)", dict(normalize=True)),
        ("Latency(normalize = true, threshold = 0.3, first_spike_time = 2)",
         dict(normalize=True, threshold=0.3, first_spike_time=2)),
        ("Latency(tau = 5)", dict(tau=5)),
        ("Latency(tau = 5, clip = true, threshold = 0.1)", dict(tau=5, clip=True, threshold=0.1)),
        ("Latency", dict()),
    ]
    for name, arguments in latency:
        arrays[f"x/{name}"] = np.asarray(snntorch.latency(x, num_steps=STEPS, bypass=True, **arguments)).astype(np.int8)
    arrays["x/spyx latency_code"] = np.asarray(spyx.latency_code(STEPS)(np.asarray(x))).astype(np.int8)
    for name, arguments in [
        ("Angle(neuron_count = 7)", (7, 0.0, 1.0)),
        ("Angle(neuron_count = 10, min_val = 0.1, max_val = 0.7)", (10, 0.1, 0.7)),
    ]:
        arrays[f"x/{name}"] = np.asarray(spyx.angle_code(*arguments)(np.asarray(x))).astype(np.int8)
    r = np.random.default_rng(0)
    values = np.cumsum(r.normal(0, 0.15, (2, STEPS, 9)), axis=1).astype(np.float32)
    values[0, :, 0] = np.arange(STEPS) * np.float32(0.125)  # changes equal to the threshold
    arrays["values"] = values
    time_first = tensor(values.swapaxes(0, 1))
    for name, arguments in [
        ("Delta", dict()),
        ("Delta(threshold = 0.125)", dict(threshold=0.125)),
        ("Delta(threshold = 0.125, padding = true)", dict(threshold=0.125, padding=True)),
        ("Delta(threshold = 0.1, off_spike = true)", dict(threshold=0.1, off_spike=True)),
    ]:
        arrays[f"v/{name}"] = np.asarray(snntorch.delta(time_first, **arguments)).astype(np.int8)
    name = "Angle(neuron_count = 5, min_val = -1, max_val = 1)"
    arrays[f"v/{name}"] = np.asarray(spyx.angle_code(5, -1.0, 1.0)(jnp.asarray(values.swapaxes(0, 1)))).astype(np.int8)
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()},
              pathlib.Path(__file__).parent / "encoders.safetensors")


main()
