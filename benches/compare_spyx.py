#!/usr/bin/env python3
"""Compares spiq on this machine with Spyx and qwix, hand-written JAX, snnTorch and Norse: milliseconds of a training step and a forward
pass with speed-ups, and seconds to a test accuracy.

    python3 benches/compare_spyx.py [--networks S,M,L,X,conv,recurrent] [--rounds 3] [--peers snntorch,norse] [--device cpu]
    python3 benches/compare_spyx.py --networks '' --train digits,speech

All sides train the same networks (`compare/networks.py`), with a triangular surrogate, lion 1e-3 and integral cross-entropy, on inputs
that spike with probability 0.1 and stay on the device. Each round runs all sides one after the other, each in a separate process, because
what qwix quantizes depends on earlier compilations in the process. The results are medians over the rounds. Without --python the packages
of tests/reference/requirements.txt, without --jax-python the newest JAX and without --torch-python the peers are installed into virtual
environments in the folder target; without --spiq the command is built first.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

COMPARE = Path(__file__).resolve().parent / "compare"
sys.path.insert(0, str(COMPARE))

import environments
import training
from networks import NAMES, SHAPES, named
from table import seconds_table, table

PEERS = {"snntorch": "snnTorch", "norse": "Norse"}


def main():
    arguments = parse()
    python = arguments.python or environments.spyx()
    spiq = arguments.spiq or environments.built()
    sides = [lambda name: spyx(name, "fp32", python, arguments), lambda name: spyx(name, "int8", python, arguments)]
    versions = [f"Spyx on jaxlib {environments.version(python, 'jaxlib')}"]
    if jax := optional("hand-written JAX", arguments.jax_python, environments.newest_jax) if arguments.networks else None:
        sides.append(lambda name: hand_written(name, jax, arguments))
        versions.append(f"hand-written JAX on jaxlib {environments.version(jax, 'jaxlib')}")
    if arguments.peers and (torch := optional("snnTorch and Norse", arguments.torch_python, environments.torch)):
        sides.append(lambda name: peers(name, torch, arguments))
        versions.append(f"torch {environments.version(torch, 'torch')}")
    sides.append(lambda name: ours(name, spiq, arguments))
    print(f"{environments.machine()}, device {arguments.device}; {', '.join(versions)}; {arguments.rounds} rounds\n", flush=True)
    if rows := {name: measure(name, sides, arguments.rounds) for name in arguments.networks}:
        print(table(rows), flush=True)
    for task in arguments.train:
        found = list(training.end_to_end(task, arguments.until, python, spiq, arguments.rounds))
        print("\n" + seconds_table(task, arguments.until, found), flush=True)


def parse():
    listed = lambda text: [part for part in text.split(",") if part]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", "--shapes", type=listed, default=list(SHAPES), help=f"some of {','.join(NAMES)} [default: {','.join(SHAPES)}]")
    parser.add_argument("--train", type=listed, default=[], help="also seconds to an accuracy: some of digits,speech")
    parser.add_argument("--until", type=float, default=0.94, help="the test accuracy of --train")
    parser.add_argument("--peers", type=listed, default=[], help=f"some of {','.join(PEERS)}, on the CPU")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="least measuring time for each side and mode")
    parser.add_argument("--runs", type=int, default=10, help="least number of runs for each side and mode")
    parser.add_argument("--limit", type=float, default=600.0, help="seconds after which a process is ended and its side left out")
    parser.add_argument("--device", default="cpu", help="cpu or cuda; the JAX sides then need JAX for CUDA (--python, --jax-python)")
    parser.add_argument("--python", help="an interpreter with Spyx and qwix")
    parser.add_argument("--jax-python", help="an interpreter with the newest JAX")
    parser.add_argument("--torch-python", help="an interpreter with PyTorch, snnTorch and Norse")
    parser.add_argument("--spiq", help="an already built command")
    parser.add_argument("--modes", help="modes of spiq bench [default: all that the device supports]")
    arguments = parser.parse_args()
    for flag, known in (("networks", NAMES), ("peers", PEERS), ("train", ("digits", "speech"))):
        if unknown := set(getattr(arguments, flag)) - set(known):
            parser.error(f"unknown {flag} {sorted(unknown)}; there are {','.join(known)}")
    return arguments


def optional(side, given, install):
    """The interpreter of a side, or None with a message if it cannot be installed."""
    try:
        return given or install()
    except (subprocess.CalledProcessError, OSError) as failed:
        print(f"SKIPPED: {side}: {failed}", file=sys.stderr)
        return None


def measure(name, sides, rounds):
    """Medians over the rounds: {"Spyx fp32": (step, forward), "spiq int8": …}, in milliseconds."""
    found = {}
    for _ in range(rounds):
        for side in sides:
            for mode, figures in tried(side, name).items():
                found.setdefault(mode, []).append(figures)
    medians = {mode: tuple(map(statistics.median, zip(*(row[:2] for row in figures)))) for mode, figures in found.items()}
    print(f"{name}: {json.dumps(medians)}", file=sys.stderr, flush=True)
    return medians


def tried(side, name):
    try:
        return side(name)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as failed:
        print(f"SKIPPED: {name}: {failed}", file=sys.stderr, flush=True)
        return {}


# The sides: {name of a column: (step, forward)}


def spyx(name, mode, python, arguments):
    title = {"fp32": "Spyx fp32", "int8": "Spyx + qwix int8"}[mode]
    return {title: worker("spyx_networks.py", name, mode, python, arguments)[mode]}


def hand_written(name, python, arguments):
    """The faster of two ways to compile the loops over time: one step and four steps in an iteration."""
    ways = [worker("jax_networks.py", name, "fp32,bf16,int8", python, arguments, "--unroll", unroll) for unroll in ("1", "4")]
    return {f"JAX {mode}": [min(times) for times in zip(*(way[mode] for way in ways))] for mode in ways[0]}


def peers(name, python, arguments):
    return {PEERS[peer]: worker("torch_networks.py", name, peer, python, arguments)[peer] for peer in arguments.peers}


def worker(script, name, modes, python, arguments, *flags):
    command = [python, COMPARE / script, "--network", name, "--modes", modes, *least(arguments), *flags]
    return run(command, {"JAX_PLATFORMS": arguments.device}, arguments.limit)


def least(arguments):
    return ["--seconds", str(arguments.seconds), "--runs", str(arguments.runs)]


def ours(name, spiq, arguments):
    common = ["--device", arguments.device, *least(arguments), "--json"]
    common += ["--modes", arguments.modes] if arguments.modes else []
    if name in SHAPES:
        report = run([spiq, "bench", "--shape", ",".join(map(str, SHAPES[name])), *common], {}, arguments.limit)
    else:
        network = named(name)
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as model:
            model.write(network.toml())
            model.flush()
            sizes = ["--time-steps", str(network.times), "--batch-size", str(network.batch)]
            report = run([spiq, "bench", "--model", model.name, *sizes, *common], {}, arguments.limit)
    return {f"spiq {mode['mode']}": (mode["train_step_ms"], mode["forward_ms"]) for mode in report["modes"]}


def run(command, variables, limit):
    """Parses a command's output as JSON."""
    done = subprocess.run(command, env=os.environ | variables, stdout=subprocess.PIPE, check=True, timeout=limit)
    return json.loads(done.stdout)


if __name__ == "__main__":
    main()
