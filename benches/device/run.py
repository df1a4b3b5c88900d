#!/usr/bin/env python3
"""Tests and benchmarks spiq on an accelerator; writes a table and a JSON file.

    python3 run.py --device cuda --out DIR [--budget SECONDS] [--only STEP,…] [--small]
    python3 run.py --device cpu --reference DIR        writes the CPU's results, with which other devices are compared

`cargo xtask device` builds the folder that contains this file: the release binary `spiq`, the test program, the CPU's results
in `reference`, wheels of Spyx in `wheels`. Each step has a time limit; a step that fails or times out is reported, and
the script continues. Only Python's standard library is needed; the comparisons with JAX and Spyx report if those are missing.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import measure
import parity

HERE = Path(__file__).resolve().parent


class Context:
    """The context of every step: device, sizes, paths, time left."""

    def __init__(self, arguments):
        self.device, self.small = arguments.device, arguments.small
        self.shapes = arguments.shapes.split(",") if arguments.shapes else None
        self.out = Path(arguments.out or tempfile.mkdtemp(prefix="spiq-device-")).resolve()
        self.out.mkdir(parents=True, exist_ok=True)
        self.scratch = Path(tempfile.mkdtemp(prefix="spiq-device-"))
        self.end = time.monotonic() + arguments.budget
        self.log = open(self.out / "log.txt", "a", encoding="utf-8")
        self.binaries = unpacked(HERE / "binaries.tar.xz", self.scratch)
        self.spiq = arguments.spiq or str(self.binaries / "spiq")
        self.reference = Path(arguments.reference or HERE / "reference").resolve()
        # During the comparison, several processes share the card.
        self.environment = os.environ | {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "SPIQ_CACHE_DIR": str(self.scratch / "cache")}
        if self.device == "cpu":
            self.environment.pop("SPIQ_CACHE_DIR")

    def program(self, name):
        """A program of the folder, or of the build that the command given with --spiq belongs to."""
        beside = self.binaries / name
        return beside if beside.exists() else Path(self.spiq).parent / name

    def left(self):
        return self.end - time.monotonic()

    def run(self, command, limit, variables=None, check=True, partly=False):
        """Returns a command's output, with `partly` also that of one that took too long. Its errors go to the log."""
        limit = max(1.0, min(limit, self.left()))
        environment = self.environment | (variables or {})
        started = time.monotonic()
        try:
            done = subprocess.run([str(part) for part in command], env=environment, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, timeout=limit, cwd=self.scratch, text=True, errors="replace")
        except subprocess.TimeoutExpired as late:
            self.note(command, started, "timeout", as_text(late.stdout), as_text(late.stderr))
            if partly:
                return as_text(late.stdout)
            raise RuntimeError(f"stopped after {limit:.0f} s: {Path(str(command[0])).name}") from None
        self.note(command, started, done.returncode, done.stdout, done.stderr)
        if check and done.returncode != 0:
            last = [line for line in done.stderr.strip().splitlines() if line.strip()][-3:]
            raise RuntimeError(f"exit code {done.returncode}: {' / '.join(last)[:600]}")
        return done.stdout

    def note(self, command, started, code, out, err):
        seconds = time.monotonic() - started
        self.log.write(f"\n$ {' '.join(map(str, command))}\n[{code}, {seconds:.1f} s]\n{clipped(out)}\n{clipped(err)}\n")
        self.log.flush()


def unpacked(archive, folder):
    """The folder of the binaries, which are shipped compressed."""
    if archive.exists():
        with tarfile.open(archive) as packed:
            packed.extractall(folder / "bin", filter="data")
    return folder / "bin"


def as_text(text):
    return text.decode(errors="replace") if isinstance(text, bytes) else text or ""


def clipped(text, most=20000):
    text = text or ""
    return text if len(text) <= most else f"{text[:most // 2]}\n… {len(text) - most} characters left out …\n{text[-most // 2:]}"


# Steps: each takes the context and returns a dictionary for the results.


def machine(context):
    """The card, the driver, the packages and the plugin."""
    found = {"python": sys.version.split()[0], "cores": os.cpu_count()}
    if shutil.which("nvidia-smi"):
        query = "name,driver_version,memory.total,clocks.sm,clocks.mem,power.limit,temperature.gpu"
        found["card"] = context.run(["nvidia-smi", f"--query-gpu={query}", "--format=csv"], 20).strip().splitlines()[-1]
    for package in ("jax", "jaxlib", "torch", "triton"):
        found[package] = measure.version(package)
    found["spiq"] = context.run([context.spiq, "--version"], 20).strip()
    found["doctor"] = context.run([context.spiq, "doctor"], 40, check=False)
    return found


def libraries(context):
    """The shared libraries that a client opens, as reported by the dynamic linker."""
    folder = context.scratch / "linker"
    folder.mkdir()
    command = [context.spiq, "bench", "--device", context.device, "--shape", "2,2,4,4,2", "--modes", "fp32", "--runs", "1",
               "--seconds", "0.01"]
    context.run(command, 60, {"LD_DEBUG": "libs", "LD_DEBUG_OUTPUT": str(folder / "libs")})
    opened, missing = set(), set()
    for file in folder.iterdir():
        for line in file.read_text(errors="replace").splitlines():
            if called := re.search(r"calling init: (\S+)", line):
                opened.add(called.group(1))
            if sought := re.search(r"find library=(\S+)", line):
                missing.add(sought.group(1))
    missing -= {Path(path).name for path in opened}
    system = ("/lib/", "/usr/lib/x86_64-linux-gnu/libc", "/lib64/")
    return {"opened": sorted(path for path in opened if not path.startswith(system)), "not found": sorted(missing)}


def smoke(context):
    """Training runs on the built-in digits: the whole recipe, then some steps of networks whose loops are no kernels, or that convolve in int8."""
    length = ["--steps", "20"] if context.small else []
    found = {"summary": trained(context, "smoke", length)}
    for name, layers in SMOKE.items():
        file = context.scratch / f"{name}.toml"
        file.write_text(layers)
        steps = "2" if context.small else "200"
        rules = "int8" if name == "convolution" else "none"
        found[name] = attempt(lambda: {"summary": trained(context, name, ["--model", file, "--rules", rules, "--steps", steps])})
    return found


def trained(context, name, flags):
    command = [context.spiq, "train", "--device", context.device, "--overwrite", "--out", context.scratch / name, *flags]
    return context.run(command, 120).strip().splitlines()[-14:]


READOUT = """
[[layers]]
type = "Linear"
in_features = {features}
out_features = 10
[[layers]]
type = "LI"
layer_shape = 10
"""
SMOKE = {
    "recurrent": """
[[layers]]
type = "Linear"
in_features = 64
out_features = 64
[[layers]]
type = "LIF"
hidden_shape = 64
recurrent = true
""" + READOUT.format(features=64),
    "convolution": """
[[layers]]
type = "Reshape"
shape = [8, 8, 1]
[[layers]]
type = "Conv"
in_features = 1
out_features = 4
kernel_size = [3, 3]
[[layers]]
type = "LIF"
hidden_shape = [8, 8, 4]
[[layers]]
type = "Flatten"
""" + READOUT.format(features=256),
}

# Tests that compute on the device: whole modules, and of the others those that cover most in little time.
TESTS = ("graph::adapted", "graph::reducers", "graph::nests::every", "graph::scans", "machine::triton::", "models::layers", "models::network",
         "quantized::quant::", "quantized::quant_backward", "quantized::quant_types", "quantized::quant_defects")


def tests(context):
    """Tests that compute on the device: operations and gradients, kernels, layers, quantization. Their output goes to tests.txt."""
    variables = {"SPIQ_TEST_DEVICE": context.device, "RUST_BACKTRACE": "0"}
    text = context.run([context.binaries / "tests", *TESTS, "--test-threads", "12"], 75, variables, check=False, partly=True)
    (context.out / "tests.txt").write_text(text)
    if " 0 passed; 0 failed" in text:
        raise RuntimeError("there are no such tests")
    failed = [line.split()[1] for line in text.splitlines() if line.startswith("test ") and line.endswith(" FAILED")]
    return {"result": [line for line in text.splitlines() if line.startswith("test result")], "failed tests": failed}


def agreement(context):
    """Compares losses and outputs of every mode with the CPU's; tests run at the same time."""
    with ThreadPoolExecutor(8) as pool:
        checks = pool.submit(attempt, lambda: tests(context)) if not context.small else None
        modes = parity.modes(context)
        rows = list(pool.map(lambda mode: attempt(lambda: parity.compare(context, mode)), modes))
    found = dict(zip(modes, rows))
    return {"modes": found, "tests": checks.result() if checks else "left out with --small"}


def attempt(function):
    try:
        return function()
    except (RuntimeError, OSError, ValueError, KeyError) as failed:
        return {"failed": str(failed)}


STEPS = {"machine": machine, "libraries": libraries, "smoke": smoke, "agreement": agreement}
STEPS |= {name: step for name, step in measure.STEPS.items()}


def main():
    arguments = parse()
    if arguments.reference and arguments.write:
        return parity.write(Context(arguments))
    context, results = Context(arguments), {}
    chosen = arguments.only.split(",") if arguments.only else list(STEPS)
    for name in chosen:
        started = time.monotonic()
        if context.left() < 5:
            results[name] = {"failed": "no time was left"}
        else:
            print(f"== {name} ({context.left():.0f} s left)", flush=True)
            results[name] = attempt(lambda: STEPS[name](context))
        results[name]["seconds"] = round(time.monotonic() - started, 1)
        (context.out / "results.json").write_text(json.dumps(results, indent=1))
    text = measure.table(results)
    (context.out / "table.md").write_text(text)
    print(text)


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="cpu, cuda or tpu")
    parser.add_argument("--out", help="folder of results [default: a temporary one]")
    parser.add_argument("--budget", type=float, default=480, help="total time limit in seconds")
    parser.add_argument("--only", help=f"some of {','.join(STEPS)}")
    parser.add_argument("--shapes", help=f"some of {','.join(measure.SHAPES)} [default: all]")
    parser.add_argument("--small", action="store_true", help="small shapes and few steps, to test the script itself")
    parser.add_argument("--spiq", help="the command [default: the one beside this file]")
    parser.add_argument("--reference", help="folder of the CPU's results")
    parser.add_argument("--write", action="store_true", help="write the CPU's results to --reference and exit")
    arguments = parser.parse_args()
    if unknown := set((arguments.only or "machine").split(",")) - set(STEPS):
        parser.error(f"unknown steps {sorted(unknown)}; there are {','.join(STEPS)}")
    return arguments


if __name__ == "__main__":
    main()
