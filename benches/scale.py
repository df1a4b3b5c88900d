#!/usr/bin/env python3
"""Time and memory of `spiq` as a network, a data set or the number of devices grows, beside Spyx: compile time, training step, peak memory.

    python3 benches/scale.py [--python VENV/bin/python] [--spiq FILE] [--limit 40] [--picture FILE.svg]
                             [--only T,B,H,depth,devices,cores,samples]

One size at a time grows from the network T 64, B 16, 64 inputs, two hidden layers of 64, 10 classes; fp32. Compile time is that of forward
pass and training step together, without a cache. A process of Spyx that takes longer than the limit is left out. Flags compile time that
grows faster than the depth, or with T.

CPU devices share the cores that a single device uses alone, so more of them cannot be faster: the times show what dividing a step costs.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "compare"))

import environments
from growth import picture
from networks import dense

BASE = {"T": 64, "B": 16, "IN": 64, "H": 64, "C": 10, "depth": 2}
GROWTH = {"T": (16, 64, 256, 1024, 4096), "B": (4, 16, 64, 256), "H": (32, 128, 512), "depth": (2, 4, 8, 16, 32)}
# The network for cores and devices is larger, so that there is something to divide.
LARGER = {"T": 128, "B": 64, "H": 256}
CORES = (1, 2)
DEVICES = (1, 2, 4)
SAMPLES = (1_000, 10_000, 100_000)
# Allowed exponents of compile time in a size: measurements of seconds vary by a tenth.
ALLOWED = {"depth": 1.1, "T": 0.1}
STEPS = 100


def main():
    arguments = parse()
    spiq = arguments.spiq or environments.built()
    python = arguments.python or environments.spyx()
    print(f"{environments.machine()}; Spyx on jaxlib {environments.version(python, 'jaxlib')}\n", flush=True)
    drawn = {}
    for size in (size for size in GROWTH if size in arguments.only):
        drawn[size] = grown(size, spiq, python, arguments.limit)
    if "devices" in arguments.only:
        drawn["devices"] = by_devices(spiq, arguments.limit)
    if arguments.picture:
        arguments.picture.write_text(picture(drawn, f"{os.cpu_count()} cores"))
    if "cores" in arguments.only:
        by_cores(spiq, python, arguments.limit)
    if "samples" in arguments.only:
        by_samples(spiq)


def parse():
    everything = [*GROWTH, "devices", "cores", "samples"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", help="an interpreter with Spyx and qwix")
    parser.add_argument("--spiq", help="an already built command")
    parser.add_argument("--limit", type=float, default=40.0, help="seconds after which a process is ended")
    parser.add_argument("--picture", type=Path, help="an SVG file to write")
    parser.add_argument("--only", type=lambda text: text.split(","), default=everything, help=f"some of {','.join(everything)}")
    return parser.parse_args()


HEAD = "compile, s | step, ms | forward, ms | peak memory, MB | Spyx: compile, s | step, ms | forward, ms | peak memory, MB"


def head(first):
    print(f"| {first} | {HEAD} |\n|{'---|' * 9}", flush=True)


def grown(size, spiq, python, limit):
    """Prints the table of a size; returns its rows: (value, spiq's cells, Spyx's cells)."""
    head(size)
    rows = []
    for value in GROWTH[size]:
        sizes = BASE | {size: value}
        rows.append((value, bench(spiq, sizes, limit), spyx(python, sizes, limit)))
        print(f"| {value} | {cells(rows[-1][1])} | {cells(rows[-1][2])} |", flush=True)
    compiled = {value: ours[0] for value, ours, _ in rows if ours}
    print(f"\n{judged(size, compiled)}" if size in ALLOWED else "", end="\n\n", flush=True)
    return rows


def judged(size, compiled):
    """The exponent of compile time from the first to the last size."""
    (least, first), (most, last) = min(compiled.items()), max(compiled.items())
    exponent = math.log(last / first) / math.log(most / least)
    verdict = "as allowed" if exponent <= ALLOWED[size] else "TOO FAST"
    return f"Compile time grows as {size}^{exponent:.2f} from {least} to {most} (allowed: {ALLOWED[size]}): {verdict}."


def by_cores(spiq, python, limit):
    head("cores")
    sizes = BASE | LARGER
    for cores in CORES:
        pinned = ["taskset", "-c", ",".join(map(str, range(cores)))]
        print(f"| {cores} | {cells(bench(spiq, sizes, limit, pinned))} | {cells(spyx(python, sizes, limit, pinned))} |", flush=True)
    print(f"\nWith {', '.join(f'{name} {value}' for name, value in sizes.items())}.\n", flush=True)


def by_devices(spiq, limit):
    """Prints the table of devices; returns its rows."""
    print("| devices | compile, s | step, ms | forward, ms | peak memory, MB |\n|---|---|---|---|---|", flush=True)
    sizes, rows = BASE | LARGER, []
    for devices in DEVICES:
        rows.append((devices, bench(spiq, sizes, limit, devices=devices), None))
        print(f"| {devices} | {cells(rows[-1][1])} |", flush=True)
    print(f"\nWith {', '.join(f'{name} {value}' for name, value in sizes.items())}.\n", flush=True)
    return rows


def by_samples(spiq):
    """Training of the base network on synthetic recordings; the number of steps stays the same, so that only the data grow."""
    print("| samples | data make, s | training, s | peak memory, MB |\n|---|---|---|---|", flush=True)
    for samples in SAMPLES:
        with tempfile.TemporaryDirectory() as scratch:
            data, model, out = (Path(scratch) / name for name in ("made.h5", "model.toml", "run"))
            model.write_text(network(BASE).toml())
            make = [spiq, "data", "make", "--output", data, "--samples", samples, "--train", samples - 200, "--events", 200, "--channels", 64]
            making = measured([*make, "--classes", BASE["C"]], {}, None)[1]
            train = [spiq, "train", "--data", data, "--model", model, "--bins", 64, "--batch-size", 16, "--steps", STEPS, "--out", out]
            _, seconds, megabytes = measured(train, {}, None)
            print(f"| {samples} | {making:.1f} | {seconds:.1f} | {megabytes:.0f} |", flush=True)
    print(f"\n{STEPS} steps, with {BASE['C']} classes of 200 events per sample and 200 test samples.\n", flush=True)


def network(sizes):
    return dense(*(sizes[name] for name in ("T", "B", "IN", "H", "C", "depth")))


def bench(spiq, sizes, limit, pinned=(), devices=1):
    """(compile seconds, step ms, forward ms, peak MB) of `spiq bench`; None if it takes too long."""
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as model:
        model.write(network(sizes).toml())
        model.flush()
        command = [spiq, "bench", "--model", model.name, "--time-steps", sizes["T"], "--batch-size", sizes["B"]]
        command += ["--devices", devices, "--modes", "fp32", "--seconds", 0.3, "--runs", 3, "--json"]
        done = measured([*pinned, *command], {}, limit)
    if not done:
        return None
    mode = json.loads(done[0])["modes"][0]
    return (mode["forward_compile_ms"] + mode["train_step_compile_ms"]) / 1e3, mode["train_step_ms"], mode["forward_ms"], done[2]


def spyx(python, sizes, limit, pinned=()):
    """The same of Spyx."""
    shape = ",".join(str(sizes[name]) for name in ("T", "B", "IN", "H", "C", "depth"))
    command = [python, HERE / "compare" / "spyx_networks.py", "--network", shape, "--modes", "fp32", "--seconds", 0.3, "--runs", 3]
    done = measured([*pinned, *command], {"JAX_PLATFORMS": "cpu"}, limit)
    if not done:
        return None
    step, forward, compiled = json.loads(done[0])["fp32"]
    return compiled, step, forward, done[2]


def cells(found):
    if not found:
        return "– | – | – | –"
    compiled, step, forward, megabytes = found
    return f"{compiled:.2f} | {step:.2f} | {forward:.2f} | {megabytes:.0f}"


def measured(command, variables, limit):
    """(output, seconds, peak memory in MB) of a process; None if it takes longer than the limit."""
    started = time.perf_counter()
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(list(map(str, command)), env=os.environ | variables, stdout=output, stderr=errors)
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            seconds = time.perf_counter() - started
            if pid:
                break
            if limit and seconds > limit:
                process.kill()
                os.wait4(process.pid, 0)
                return None
            time.sleep(0.01)
        # The process is reaped; subprocess must not wait for it.
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            errors.seek(0)
            sys.exit(f"{' '.join(map(str, command))} failed:\n{errors.read()}")
        output.seek(0)
        return output.read(), seconds, usage.ru_maxrss / 1e3


if __name__ == "__main__":
    main()
