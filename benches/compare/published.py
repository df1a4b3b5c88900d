#!/usr/bin/env python3
"""The workloads of benches/published.rs in hand-written JAX: prints a line of JSON per workload and arithmetic.

    python3 published.py [--small]

The neurons are those of jax_networks.py: one `lax.scan` forward, one in reverse.
"""

import json
import statistics
import sys
import time
from functools import partial

import jax
import jax.numpy as jnp
from jax_networks import contract, neurons, product_in

RUNS = 15


def median(function, *arguments):
    times = []
    for _ in range(RUNS + 2):
        start = time.perf_counter()
        jax.block_until_ready(function(*arguments))
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times[2:])


def report(workload, size, mode, measure):
    line = {"workload": workload, "size": size, "mode": mode}
    try:
        line["ms"] = measure()
    except Exception as error:  # noqa: BLE001: too little memory, a missing type: the other workloads go on
        line["failed"] = str(error)[:300]
    print(json.dumps(line), flush=True)


def product(size, mode):
    narrow, sums = {
        "f32": (jnp.float32, jnp.float32),
        "bf16": (jnp.bfloat16, jnp.float32),
        "s8": (jnp.int8, jnp.int32),
        "f8E4M3FN": (jnp.float8_e4m3fn, jnp.float32),
    }[mode]
    keys = jax.random.split(jax.random.PRNGKey(0), 2)
    if mode == "s8":
        a, b = (jax.random.randint(key, (size, size), -100, 100, jnp.int8) for key in keys)
    else:
        a, b = (jax.random.normal(key, (size, size)).astype(narrow) for key in keys)
    ms = median(jax.jit(partial(contract, sums=sums)), a, b)
    return {"forward": ms, "TFLOP/s": 2 * size**3 / (1e9 * ms)}


def network(times, batch, size, mode):
    dense, lif = product_in(mode, contract), neurons(1, False)
    x = jax.random.uniform(jax.random.PRNGKey(0), (times, batch, size), maxval=2.0)
    params = {"w": jax.random.normal(jax.random.PRNGKey(1), (size, size)) / size**0.5, "beta": jnp.full(size, 0.5)}

    def loss(params, x):
        return lif(params["beta"], None, dense(x, params["w"])).sum()

    return {"forward": median(jax.jit(loss), params, x), "both": median(jax.jit(jax.value_and_grad(loss)), params, x)}


def neurons_alone(dims):
    lif, beta = neurons(1, False), jnp.full(dims[2], 0.5)
    x, g = (jax.random.uniform(jax.random.PRNGKey(i), dims, jnp.bfloat16, maxval=2.0) for i in range(2))

    def forward(x):
        return lif(beta, None, x.astype(jnp.float32)).astype(jnp.bfloat16)

    def both(x, g):
        spikes, back = jax.vjp(forward, x)
        return spikes, back(g)[0]

    return {"forward": median(jax.jit(forward), x), "both": median(jax.jit(both), x, g)}


def main():
    small = "--small" in sys.argv
    for size in [64] if small else [8192]:
        for mode in ("f32", "bf16", "s8", "f8E4M3FN"):
            report("product", size, mode, lambda: product(size, mode))
    times, batch = (4, 2) if small else (500, 16)
    for size in [32] if small else [4096, 16384]:
        for mode in ("fp32", "bf16"):
            report("network", size, mode, lambda: network(times, batch, size, mode))
    sizes = (4, 2, 32) if small else (32, 64, 65536)
    report("lif", sizes[2], "bf16", lambda: neurons_alone(sizes))


if __name__ == "__main__":
    main()
