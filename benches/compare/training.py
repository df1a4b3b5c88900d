"""Seconds from the start of a process to a test accuracy, compilation included: `spiq train` beside Spyx."""

import os
import re
import subprocess
import tempfile
import time
from pathlib import Path

from networks import dense

HERE = Path(__file__).resolve().parent
DIGITS = HERE.parent.parent / "data" / "digits.safetensors"
ACCURACY = re.compile(r"test accuracy +([\d.]+) %")
# A run that has not reached the accuracy by then has failed.
LONGEST = 200.0
# A run that compiles its programs instead of reading them from its cache.
COLD = {"SPIQ_NO_CACHE": "1"}
COMPILED = "compiled before"


def end_to_end(task, until, python, spiq, rounds):
    """Rows of (side, median seconds, epochs), of all rounds in alternation."""
    with tempfile.TemporaryDirectory() as scratch:
        commands = {"digits": digits, "speech": speech}[task](until, python, spiq, Path(scratch))
        found = {side: [] for side in commands}
        for side, (command, variables) in commands.items():
            if side.endswith(COMPILED):
                seconds_until(until, [part.replace("OUT", str(Path(scratch) / "first")) for part in command], variables)
        for turn in range(rounds):
            for side, (command, variables) in commands.items():
                out = Path(scratch) / f"{turn}-{len(found[side])}-{side}"
                found[side].append(seconds_until(until, [part.replace("OUT", str(out)) for part in command], variables))
    for side, runs in found.items():
        times = sorted(runs, key=lambda run: run[0] if run[0] is not None else LONGEST)
        yield side, *times[len(times) // 2]


def digits(until, python, spiq, _):
    train = [str(spiq), "train", "--recipe", "spyx", "--epochs", "40", "--out", "OUT"]
    return sides(until, python, train, DIGITS) | {
        "spiq int8, the recipe digits": ([str(spiq), "train", "--out", "OUT"], COLD)}


def speech(until, python, spiq, scratch):
    """The LIF network on frames of 14 ms; Spyx has no counterpart of the recipe `speech`."""
    frames, model = scratch / "speech.safetensors", scratch / "model.toml"
    convert = [spiq, "data", "convert", "speech", "--output", frames, "--bins", "64", "--dt", "0.014"]
    subprocess.run(convert, check=True, capture_output=True)
    model.write_text(dense(64, 32, 140, 128, 10).toml())
    train = [str(spiq), "train", "--data", str(frames), "--model", str(model), "--optimizer", "adam", "--learning-rate",
             "4e-3", "--schedule", "cosine", "--batch-size", "32", "--epochs", "40", "--out", "OUT"]
    own = [str(spiq), "train", "--recipe", "speech", "--out", "OUT"]
    return sides(until, python, train, frames) | {"spiq int8, the recipe speech": (own, COLD)}


def sides(until, python, train, data):
    theirs = [str(python), str(HERE / "spyx_training.py"), "--data", str(data), "--until", str(until)]
    cpu = {"JAX_PLATFORMS": "cpu"}
    return {
        "Spyx fp32": ([*theirs, "--rules", "fp32"], cpu),
        "Spyx + qwix int8": (theirs, cpu),
        "spiq fp32": ([*train, "--rules", "none"], COLD),
        "spiq int8": ([*train, "--rules", "int8"], COLD),
        f"spiq int8, {COMPILED}": ([*train, "--rules", "int8"], {}),
    }


def seconds_until(until, command, variables):
    """(seconds, epochs) to the first test with this accuracy; seconds are None if there is none. Ends the process then."""
    started, epochs = time.perf_counter(), 0
    with subprocess.Popen(command, env=os.environ | variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        for line in process.stdout:
            found = ACCURACY.search(line)
            if not line.startswith("epoch") or not found:
                continue
            epochs += 1
            now = time.perf_counter() - started
            if float(found[1]) / 100 >= until or now > LONGEST:
                process.kill()
                return (now if float(found[1]) / 100 >= until else None), epochs
    return None, epochs
