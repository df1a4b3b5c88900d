"""Timings: `spiq bench`, the same networks in hand-written JAX and in Spyx on the same device, and the kernels of one step."""

import importlib.metadata
import json
import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
# Beside this file in the folder of `cargo xtask device`.
COMPARE = next(folder for folder in (HERE / "compare", HERE.parent / "compare") if folder.is_dir())
sys.path.append(str(COMPARE))

import networks  # noqa: E402: it lies in that folder

# T, B, IN, H, C. SHD is the network of Spyx's paper on the Spiking Heidelberg Digits.
SHAPES = {
    "L": "96,128,700,1024,20",
    "M": "128,64,128,128,20",
    "X": "100,256,700,512,20",
    "SHD": "256,64,128,128,20",
    "S": "16,8,32,64,10",
}
SMALL = {"tiny": "6,4,8,16,3"}
MODES = dict.fromkeys("LX", "fp32,bf16,int8,int8+bf16,fp8")
OTHER_MODES = "fp32,bf16,int8+bf16"
MODELS = ("conv", "recurrent")
PROFILED = ("int8+bf16",)


def version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def shapes(context):
    if context.small:
        return SMALL
    return {name: shape for name, shape in SHAPES.items() if name in (context.shapes or SHAPES)}


def each_shape(context, function):
    """A result for each shape; a failure is recorded with its reason and does not stop the others."""
    found = {}
    for name, shape in shapes(context).items():
        found[name] = attempted(lambda: function(name, shape))
        print(f"   {name}: {brief(found[name])}", flush=True)
    return found


def brief(found):
    if "failed" in found:
        return found["failed"][:300]
    return ", ".join(f"{mode} {ms[0]:.3f}/{ms[1]:.3f}" for mode, ms in found["ms"].items())


def bench(context, variables=None):
    """Milliseconds of a training step and a forward pass, and of both in a queue of calls: `spiq bench`."""
    def one(name, shape):
        modes = MODES.get(name, OTHER_MODES) if context.device != "cpu" else "fp32,int8+bf16"
        return timed(context, ["--shape", shape], modes, variables)

    return each_shape(context, one)


def models(context):
    """`spiq bench` of the networks that are not dense: convolutions, recurrent neurons."""
    found = {}
    for name in MODELS:
        found[name] = attempted(lambda: bench_of_model(context, name))
        print(f"   {name}: {brief(found[name])}", flush=True)
    return found


def bench_of_model(context, name):
    """Each arithmetic in its own process, so that one that does not compile does not hide the others."""
    network = networks.named(name)
    file = context.scratch / f"{name}.toml"
    file.write_text(network.toml())
    sizes = (2, 2) if context.small else (network.times, network.batch)
    figures, failures = {}, []
    for mode in ("fp32",) if context.small else ("fp32", "int8", "int8+bf16"):
        try:
            figures |= timed(context, ["--model", file, "--time-steps", sizes[0], "--batch-size", sizes[1]], mode)["ms"]
        except RuntimeError as failed:
            failures.append(f"{mode}: {failed}")
    if not figures:
        raise RuntimeError("; ".join(failures))
    return {"ms": figures, "failures": failures}


def timed(context, network, modes, variables=None):
    """The figures of `spiq bench`."""
    seconds, runs = ("0.01", "2") if context.small else ("0.5", "10")
    command = [context.spiq, "bench", "--device", context.device, *network, "--modes", modes, "--queued", "--json",
               "--seconds", seconds, "--runs", runs]
    report = json.loads(context.run(command, 150, variables))
    keys = ("train_step_ms", "forward_ms", "train_step_queued_ms", "forward_queued_ms")
    return {"ms": {mode["mode"]: [mode[key] for key in keys] for mode in report["modes"]}, "report": report}


def jax_written_by_hand(context):
    """The same networks in JAX: products over all steps at once, `lax.scan` for the neurons."""
    def one(name, shape):
        modes = "fp32,bf16,int8" if name in ("L", "X", "tiny") else "fp32,bf16"
        command = [sys.executable, COMPARE / "jax_networks.py", "--network", shape, "--modes", modes, "--queued"]
        return {"ms": milliseconds(context.run(command, 120, platform(context)))}

    found = each_shape(context, one)
    for name in () if context.small else MODELS:
        found[name] = attempted(lambda: one(name, name))
    return found


def attempted(function):
    try:
        return function()
    except (RuntimeError, ValueError, KeyError) as failed:
        return {"failed": str(failed)}


def spyx(context):
    """The same networks in Spyx, written as its users would."""
    wheels = sorted((HERE / "wheels").glob("*.whl")) if (HERE / "wheels").is_dir() else []
    variables = platform(context)
    if wheels:
        site = context.scratch / "site"
        command = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--no-compile", "--no-cache-dir",
                   "--target", site, *wheels]
        context.run(command, 60)
        variables["PYTHONPATH"] = f"{site}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"

    def one(name, shape):
        command = [sys.executable, COMPARE / "spyx_networks.py", "--network", shape, "--modes", "fp32", "--queued"]
        return {"ms": milliseconds(context.run(command, 120, variables))}

    return each_shape(context, one)


def milliseconds(output):
    """Step, forward pass, and both queued, of each mode, without the compile time."""
    return {mode: figures[:2] + figures[3:] for mode, figures in json.loads(output).items()}


def published(context):
    """The workloads that others publish: benches/published.rs and the same in hand-written JAX."""
    small = ["--small"] if context.small else []
    commands = {
        "spiq": [context.program("published"), "--device", context.device, *small],
        "jax": [sys.executable, COMPARE / "published.py", *small],
    }
    found = {}
    for side, command in commands.items():
        try:
            lines = context.run(command, 60, platform(context), check=False, partly=True).splitlines()
            found[side] = [json.loads(line) for line in lines if line.startswith("{")]
        except RuntimeError as failed:
            found[side] = [{"workload": "all", "size": 0, "mode": "", "failed": str(failed)}]
    return {"sides": found}


def platform(context):
    return {"JAX_PLATFORMS": context.device}


def profile(context):
    """Time and launches of each kernel in a training step of L, averaged over a few steps: `spiq bench --profile`."""
    shape = SMALL["tiny"] if context.small else SHAPES["L"]

    def one(mode):
        command = [context.spiq, "bench", "--device", context.device, "--shape", shape, "--modes", mode, "--profile", "--json",
                   "--seconds", "0.1", "--runs", "3"]
        measured = json.loads(context.run(command, 90))["modes"][0]
        return {"step_ms": measured["train_step_ms"], **measured["profile"]}

    found = {}
    # One process per mode, so that a crash of NVIDIA's profiler does not affect the others.
    for mode in PROFILED:
        found[mode] = attempted(lambda: one(mode))
        print(f"   {mode}: {found[mode].get('failed') or summary(found[mode])}", flush=True)
    return {"modes": found}


def summary(row):
    return (f"{row['launches']:g} launches, {row['ms']:.3f} ms of kernels in a step of {row['step_ms']:.3f} ms "
            f"(mean of {row['steps']} steps)")


STEPS = {"bench": bench, "models": models, "published": published, "jax": jax_written_by_hand, "spyx": spyx, "profile": profile}


# The table


def table(results):
    """The results as Markdown."""
    lines = [f"Card: {results.get('machine', {}).get('card', 'none')}", ""]
    lines += failures(results) + agreement(results.get("agreement", {})) + timings(results) + workloads(results) + kernels(results)
    return "\n".join(lines) + "\n"


def failures(results):
    failed = [(name, found["failed"]) for name, found in results.items() if "failed" in found]
    return [f"- {name} failed: {why}" for name, why in failed] + [""] * bool(failed)


def agreement(found):
    if "modes" not in found:
        return []
    lines = ["| mode | first loss off | last loss off | outputs off | within bound | outputs equal |", "|---|---|---|---|---|---|"]
    for mode, row in found["modes"].items():
        cells = [row["failed"][:200]] if "failed" in row else [
            f"{row['first loss off']:.1e}", f"{row['last loss off']:.1e}", f"{row['outputs off']:.1e}",
            "yes" if row["within bound"] else "NO", f"{100 * row['outputs equal']:.1f} %"]
        lines.append(f"| {mode} | {' | '.join(cells)} |")
    if isinstance(checked := found["tests"], dict):
        lines += ["", *checked.get("result", [f"tests failed: {checked.get('failed')}"])]
        lines += [f"- failed: {name}" for name in checked.get("failed tests", [])]
    return [*lines, ""]


def timings(results):
    sides = {side: found for side, found in results.items() if side in ("bench", "models", "jax", "spyx") or side.startswith("bench ")}
    rows = []
    for name in {name: None for found in sides.values() for name in found if name != "seconds"}:
        for side, found in sides.items():
            row = found.get(name)
            if not isinstance(row, dict):
                continue
            if "ms" not in row:
                rows.append(f"| {name} | {side} | {row['failed'][:120]} | | | | |")
                continue
            label = {"bench": "spiq", "models": "spiq"}.get(side, side)
            rows += [f"| {name} | {label} | {why[:120]} | | | | |" for why in row.get("failures", ())]
            rows += [f"| {name} | {label} | {mode} | {' | '.join(f'{each:.3f}' for each in ms)} |" for mode, ms in row["ms"].items()]
    head = ["| shape | | mode | step, ms | forward, ms | queued step | queued forward |", "|---|---|---|---|---|---|---|"]
    return [*head, *rows, ""] if rows else []


def workloads(results):
    rows = []
    for side, lines in results.get("published", {}).get("sides", {}).items():
        for line in lines:
            ms = line.get("ms", {})
            cells = [f"{ms[key]:.3f}" if key in ms else "" for key in ("forward", "both", "TFLOP/s")]
            rows.append(f"| {line['workload']} {line['size']} | {side} | {line['mode']} | {' | '.join(cells)} | {line.get('failed', '')[:120]} |")
    head = ["| workload | | mode | forward, ms | forward and gradient, ms | TFLOP/s | |", "|---|---|---|---|---|---|---|"]
    return [*head, *rows, ""] if rows else []


def kernels(results):
    lines = []
    for mode, row in results.get("profile", {}).get("modes", {}).items():
        if "failed" in row:
            lines += [f"- profile of {mode} failed: {row['failed'][:200]}", ""]
            continue
        lines += [f"{mode}, L: {summary(row)}", "", "| kernel | launches | ms | share |", "|---|---|---|---|"]
        lines += [f"| {kernel['name'][:80]} | {kernel['launches']:g} | {kernel['ms']:.4f} | {100 * kernel['share']:.1f} % |"
                  for kernel in row["operations"][:20]]
        lines += [*(f"- {warning}" for warning in row["warnings"]), ""]
    return lines
