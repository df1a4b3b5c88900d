#!/usr/bin/env python3
"""Compares spiq with Spyx and qwix on this machine: milliseconds of a training step and a forward pass, and speed-ups.

    python3 benches/compare_spyx.py [--shapes S,M,L,X] [--rounds 3] [--device cpu] [--python VENV/bin/python] [--spiq FILE]

Both sides train Linear LIF Linear LIF Linear LI (no bias, triangular surrogate) with lion 1e-3 and integral cross-entropy, on
inputs that spike with probability 0.1 and stay on the device. Each round runs Spyx in full precision, Spyx quantized by qwix,
and `spiq bench`, one after the other, each in a separate process, because what qwix quantizes depends on earlier compilations
in the process. The results are medians over the rounds. Without --python the packages of tests/reference/requirements.txt are
installed into a virtual environment in the folder target; without --spiq the command is built first.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SHAPES = {
    "S": (16, 8, 32, 64, 10),
    "M": (128, 64, 128, 128, 20),
    "L": (96, 128, 700, 1024, 20),
    "X": (100, 256, 700, 512, 20),
}
# Target speed-ups: of the step over Spyx fp32, of the forward pass over Spyx fp32 and Spyx int8. They were set on a machine with AMX.
WANTED = {"S": (12, 10, 12), "M": (5, 4, 4), "L": (8, 10, 4), "X": (6, 8, 4)}
# Units of the processor that decide what its integers and bf16 can reach.
UNITS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16")
SECONDS = 5.0


def main():
    arguments = parse()
    if arguments.worker:
        shape = tuple(map(int, arguments.shape.split(",")))
        print(json.dumps(measure_spyx(arguments.worker, shape, arguments.seconds)))
        return
    python = arguments.python or environment()
    spiq = arguments.spiq or build()
    print(f"{machine()}, device {arguments.device}; {arguments.rounds} rounds\n", flush=True)
    rows = {}
    for name in arguments.shapes.split(","):
        rows[name] = measure(name, python, spiq, arguments)
        print(f"{name} done", file=sys.stderr)
    print(table(rows))


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", default=",".join(SHAPES), help="some of S,M,L,X [default: all]")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu", help="cpu or cuda; the other side then needs JAX for CUDA (--python)")
    parser.add_argument("--python", help="an interpreter with the packages already installed")
    parser.add_argument("--spiq", help="an already built command")
    parser.add_argument("--modes", help="modes of spiq bench [default: all that the device supports]")
    parser.add_argument("--worker", choices=("fp32", "int8"), help=argparse.SUPPRESS)
    parser.add_argument("--shape", help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, default=SECONDS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if unknown := set(arguments.shapes.split(",")) - set(SHAPES):
        parser.error(f"unknown shapes {sorted(unknown)}; there are {','.join(SHAPES)}")
    return arguments


# Runs both sides as subprocesses


def environment():
    """An interpreter with the pinned packages, which are installed on first use."""
    folder = ROOT / "target" / "spyx-venv"
    python = folder / "bin" / "python"
    done = folder / "installed"
    if not done.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        pins = ROOT / "tests" / "reference" / "requirements.txt"
        subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", pins], check=True)
        done.touch()
    return python


def build():
    subprocess.run(["cargo", "build", "--release", "--quiet"], cwd=ROOT, check=True)
    return ROOT / "target" / "release" / "spiq"


def measure(name, python, spiq, arguments):
    """Medians over the rounds: {"spyx fp32": (step, forward), "int8": …}, in milliseconds."""
    shape = ",".join(map(str, SHAPES[name]))
    rounds = {}
    for _ in range(arguments.rounds):
        for rules in ("fp32", "int8"):
            command = [python, __file__, "--worker", rules, "--shape", shape]
            figures = run(command, {"JAX_PLATFORMS": arguments.device})
            rounds.setdefault(f"spyx {rules}", []).append(figures)
        command = [spiq, "bench", "--shape", shape, "--device", arguments.device, "--json"]
        command += ["--modes", arguments.modes] if arguments.modes else []
        for mode in run(command, {})["modes"]:
            rounds.setdefault(mode["mode"], []).append((mode["train_step_ms"], mode["forward_ms"]))
    return {side: tuple(map(statistics.median, zip(*figures))) for side, figures in rounds.items()}


def run(command, variables):
    """Parses a command's output as JSON."""
    done = subprocess.run(command, env=os.environ | variables, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def machine():
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    entry = lambda key: next((line.split(":", 1)[1].strip() for line in lines if line.startswith(key)), "")
    units = [unit for unit in UNITS if unit in entry("flags").split()]
    amx = "" if "amx_int8" in units else "; no AMX"
    return f"{os.cpu_count()} cores of {entry('model name') or 'this processor'} ({', '.join(units)}{amx})"


def table(rows):
    """Markdown: a row per shape, a column per side, then the speed-ups."""
    sides = list(dict.fromkeys(side for row in rows.values() for side in row))
    title = {"spyx fp32": "Spyx fp32", "spyx int8": "Spyx + qwix int8"}
    head = ["shape", *(title.get(side, f"spiq {side}") for side in sides)]
    lines = [head + ["step: speed-up over Spyx fp32 (target)", "forward: speed-up over Spyx fp32 (target)", "forward: speed-up over Spyx int8 (target)"]]
    for name, row in rows.items():
        cells = [f"{step:.2f} / {forward:.2f}" for step, forward in (row[side] for side in sides)]
        lines.append([f"{name} {','.join(map(str, SHAPES[name]))}", *cells, *ratios(row, WANTED[name])])
    lines.insert(1, ["---"] * len(lines[0]))
    note = "Milliseconds, training step / forward pass. Each speed-up is that of spiq's fastest mode, which is named after it.\n\n"
    return note + "\n".join(f"| {' | '.join(line)} |" for line in lines)


def ratios(row, wanted):
    ours = {side: figures for side, figures in row.items() if not side.startswith("spyx")}
    fastest = [min(ours, key=lambda side: ours[side][what]) for what in (0, 1)]
    full, int8 = row["spyx fp32"], row["spyx int8"]
    pairs = [(full, 0), (full, 1), (int8, 1)]
    for (theirs, what), least in zip(pairs, wanted):
        mode = fastest[what]
        asked = f" ({least})" if least else ""
        yield f"{theirs[what] / ours[mode][what]:.2f}{asked}, {mode}"


# The Spyx side, in a separate process


def measure_spyx(rules, shape, seconds):
    """Milliseconds of a training step and a forward pass, written as a user of Spyx would."""
    import jax
    import jax.numpy as jnp

    stand_in_for_hijax()
    sys.path.append(str(Path(__file__).resolve().parent / "device"))
    import optax
    import spyx
    from flax import nnx
    from timing import in_turn

    times, batch, inputs, hidden, classes = shape
    x = jax.random.bernoulli(jax.random.PRNGKey(1), 0.1, (times, batch, inputs)).astype(jnp.float32)
    labels = jax.random.randint(jax.random.PRNGKey(2), (batch,), 0, classes)
    model = spyx_network(inputs, hidden, classes)
    if rules == "int8":
        model = spyx.quant.quantize(model, x)
    graph, params = nnx.split(model, nnx.Param)
    # LI's beta is initially weakly typed: without this, the second and third step would recompile.
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), params)
    optimizer = optax.lion(1e-3)

    def step(params, state, x, labels):
        def loss(params):
            return spyx.fn.integral_crossentropy()(nnx.merge(graph, params)(x), labels)

        value, grads = jax.value_and_grad(loss)(params)
        updates, state = optimizer.update(grads, state, params)
        return optax.apply_updates(params, updates), state, value

    step = jax.jit(step, donate_argnums=(0, 1))
    forward = jax.jit(lambda params, x: nnx.merge(graph, params)(x))
    kept = jax.tree.map(jnp.copy, params)
    training = [params, optimizer.init(params), None]

    def one_step():
        training[:] = step(*training[:2], x, labels)
        jax.block_until_ready(training)

    return in_turn([one_step, lambda: forward(kept, x).block_until_ready()], seconds)


def stand_in_for_hijax():
    """Flax 0.12 refers to classes of an experimental JAX module that newer JAX has renamed, for a disabled feature."""
    try:
        from jax.experimental import hijax
    except ImportError:
        return

    class Absent:
        def __init__(self, *arguments, **named):
            pass

        def __init_subclass__(cls, **named):
            pass

        def __class_getitem__(cls, item):
            return cls

    hijax.__getattr__ = lambda name: type(name, (Absent,), {})


def spyx_network(inputs, hidden, classes):
    import jax.numpy as jnp
    import spyx
    import spyx.nn as snn
    from flax import nnx

    class Network(nnx.Module):
        def __init__(self):
            rngs = nnx.Rngs(0)
            layers = []
            for before, after in ((inputs, hidden), (hidden, hidden)):
                layers.append(nnx.Linear(before, after, use_bias=False, rngs=rngs))
                layers.append(snn.LIF((after,), activation=spyx.axn.triangular(), rngs=rngs))
            layers.append(nnx.Linear(hidden, classes, use_bias=False, rngs=rngs))
            layers.append(snn.LI((classes,), rngs=rngs))
            self.core = snn.Sequential(*layers)

        def __call__(self, x):
            traces, _ = snn.run(self.core, x)
            return jnp.transpose(traces, (1, 0, 2))

    return Network()


if __name__ == "__main__":
    main()
