"""Random programs in JAX, the reference of differential tests: `python differential.py` writes differential.safetensors.

README.md documents its contents. Needs the packages of requirements.txt, like generate.py.
"""

import json
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import jax
import numpy as np
from programs import draw_transforms
from programs.control import run
from programs.draw import DRAWS, NoFit, Program, Region, bodies
from programs.noise import Noise, Silent
from safetensors.numpy import save_file

PROGRAMS = 500
NOISES = range(1, 7)
# The largest relative rounding error at which a number is still worth comparing.
WORTH = {"float64": 1e-9, "float32": 1e-3, "bfloat16": 0.25, "float16": 0.1}


SLOPES = {"vjp", "grad", "value_and_grad"}
SUMS = {"sum", "mean", "reduce_sum", "reduce_mean", "reduce_window_sum", "dot", "dot_general", "einsum", "convolution"}


def renumbered(body, of):
    """A function with renumbered references."""

    def attributes(given):
        changed = dict(given)
        for key, value in given.items():
            if isinstance(value, dict) and "code" in value:
                changed[key] = renumbered(value, of)
            elif key == "branches":
                changed[key] = [renumbered(branch, of) for branch in value]
        return changed

    code = [[name, [of(r) for r in operands], attributes(given)] for name, operands, given in body["code"]]
    return {"code": code, "results": [of(r) for r in body["results"]]}


def differentiated(program, body, types, only_slopes=False):
    """The pullback of a whole program with respect to its float inputs, and the types of its results."""
    kept = [i for i, ty in enumerate(types) if ty.is_float]
    wrt = [i for i, ty in enumerate(program.types) if ty.is_float]
    if not kept or not wrt:
        raise NoFit("no floats")
    body = body | {"results": [body["results"][i] for i in kept]}
    inner = renumbered(body, lambda r: r + len(wrt) if r >= 0 else wrt.index(~r) if ~r in wrt else r)
    share, program.share = program.share, 0
    cotangents = [program.input(types[i]) for i in kept]
    program.share = share
    call = ["vjp", [*(~i for i in wrt), *cotangents], {"wrt": len(wrt), "body": inner}]
    first = len(kept) if only_slopes else 0
    results = range(first, len(kept) + len(wrt))
    all_types = [*(types[i] for i in kept), *(program.types[i] for i in wrt)]
    return {"code": [call], "results": list(results)}, all_types[first:]


def drawn(rng, focus, wide):
    """A program with its inputs."""
    if rng.random() < 0.4 and focus in draw_transforms.OPERATIONS:
        # One operation at special values, with all its gradients.
        program = Program(rng, 0.5, [0, 1, 7] if rng.random() < 0.2 else [2, 5, 9], wide)
        count = 1
    else:
        sizes = [0, 1, 2, 3] if rng.random() < 0.15 else [1, 2, 3, 4]
        program = Program(rng, rng.choice([0, 0, 0.1]), sizes, wide)
        count = int(rng.integers(3, 12))
    # Whether a sum of the largest numbers is finite depends on its order.
    program.huge = focus not in SUMS
    region = Region(program)
    draw_transforms.fill(region, count, focus)
    outputs = draw_transforms.results(region, 4)
    body, types = region.body(outputs), [region.type(r) for r in outputs]
    # Only values have a meaningful sign of zero; a zero gradient may be a sum of zeros or of nothing.
    signed = 0 if SLOPES & set(used(body)) else len(types)
    order = rng.choice([0, 1, 2], p=[0.35, 0.5, 0.15])
    if order > 0:
        signed = min(signed, sum(ty.is_float for ty in types)) if order == 1 else 0
        body, types = differentiated(program, body, types, only_slopes=order == 2)
    if order > 1:
        body, types = differentiated(program, body, types)
    return body, program.inputs, signed


def within(wanted, moved):
    """How far noise moves each number; None if the change is more than rounding."""
    if wanted.dtype.kind not in "fV":
        return np.zeros(wanted.shape, np.float32) if all(np.array_equal(wanted, m) for m in moved) else None
    exact = wanted.astype(np.float64)
    others = [m.astype(np.float64) for m in moved]
    finite = np.isfinite(exact)
    for other in others:
        if not np.array_equal(np.where(finite, 0, exact), np.where(np.isfinite(other), 0, other), equal_nan=True):
            return None
    spread = np.max([np.where(finite, np.abs(np.where(finite, m, 0) - np.where(finite, exact, 0)), 0) for m in others], axis=0)
    size = np.abs(np.where(finite, exact, 0))
    if np.any(spread > WORTH[wanted.dtype.name] * np.maximum(size, np.mean(size) if size.size else 0)):
        return None
    return np.asarray(2 * spread, np.float64 if wanted.dtype == np.float64 else np.float32)


def evaluated(body, inputs, wide, signed):
    """The results with their tolerances; None if they depend too much on rounding."""
    with jax.enable_x64(wide):
        wanted = [np.asarray(y) for y in jax.jit(lambda *x: run(body, x, Silent()))(*inputs)]
        noisy = jax.jit(lambda seed, *x: run(body, x, Noise(seed)))
        moved = [[np.asarray(y) for y in noisy(np.uint32(seed * 7919), *inputs)] for seed in NOISES]
    limits = [within(y, [run_[i] for run_ in moved]) for i, y in enumerate(wanted)]
    if any(limit is None for limit in limits):
        return None
    for y, limit in list(zip(wanted, limits))[signed:]:
        if y.dtype.kind in "fV":
            limit[y == 0] = np.maximum(limit[y == 0], np.finfo(np.float32).tiny)
    return list(zip(wanted, limits))


def is_dull(results, inputs):
    """Whether finite inputs give only non-finite results."""
    finite = lambda arrays: np.mean([1, *(np.mean(np.isfinite(a.astype(np.float64))) for a in arrays if a.size)])
    return finite([y for y, _ in results]) < (0.9 if finite(inputs) == 1 else 0.3)


def program(number):
    """The program with this number, drawn until it is worth testing."""
    names = tuple(DRAWS)
    for attempt in range(200):
        rng = np.random.default_rng([number, attempt])
        wide = rng.random() < 0.25
        try:
            with jax.enable_x64(wide):
                body, inputs, signed = drawn(rng, names[number % len(names)], wide)
            results = evaluated(body, inputs, wide, signed)
        except (NoFit, TypeError, ValueError, NotImplementedError, AssertionError, IndexError):
            continue
        if results and not is_dull(results, inputs):
            return body, inputs, results
    raise RuntimeError(f"no program {number} of {names[number % len(names)]}")


def used(body):
    for name, _, attributes in body["code"]:
        yield name
        for inner in bodies(attributes):
            yield from used(inner)


def main(count=PROGRAMS):
    cases, arrays, counts = {}, {}, Counter()
    workers = ProcessPoolExecutor(mp_context=get_context("spawn"))
    for number, (body, inputs, results) in enumerate(workers.map(program, range(count))):
        case = f"program/{number:03}"
        cases[case] = body | {"inputs": len(inputs)}
        counts.update(set(used(body)))
        for i, x in enumerate(inputs):
            arrays[f"{case}/input/{i}"] = x
        for i, (y, limit) in enumerate(results):
            arrays[f"{case}/result/{i}"] = y
            if np.any(limit):
                arrays[f"{case}/within/{i}"] = limit
    path = Path(__file__).with_name("differential.safetensors")
    save_file(arrays, path, metadata={"cases": json.dumps(cases, separators=(",", ":"))})
    print(path.stat().st_size, "bytes;", {name: counts[name] for name in sorted(counts, key=counts.get)})


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
