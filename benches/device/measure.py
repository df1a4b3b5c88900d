"""Timings: `spiq bench`, the same networks in hand-written JAX and in Spyx on the same device, and the kernels of one step."""

import importlib.metadata
import json
import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
# Beside this file in the folder of `cargo xtask device`.
COMPARE = next(folder for folder in (HERE / "compare", HERE.parent / "compare") if folder.is_dir())

# T, B, IN, H, C. SHD is the network of Spyx's paper on the Spiking Heidelberg Digits.
SHAPES = {
    "L": "96,128,700,1024,20",
    "M": "128,64,128,128,20",
    "X": "100,256,700,512,20",
    "SHD": "256,64,128,128,20",
    "S": "16,8,32,64,10",
}
SMALL = {"tiny": "6,4,8,16,3"}
MODES = {"L": "fp32,bf16,int8,int8+bf16,fp8", "X": "fp32,bf16,int8+bf16"}
OTHER_MODES = "fp32,bf16"
PROFILED = ("int8+bf16", "fp8")


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
        try:
            found[name] = function(name, shape)
        except (RuntimeError, ValueError, KeyError) as failed:
            found[name] = {"failed": str(failed)}
        print(f"   {name}: {brief(found[name])}", flush=True)
    return found


def brief(found):
    if "failed" in found:
        return found["failed"][:300]
    return ", ".join(f"{mode} {step:.3f}/{forward:.3f}" for mode, (step, forward) in found["ms"].items())


def bench(context, variables=None):
    """Milliseconds of a training step and a forward pass: `spiq bench`."""
    def one(name, shape):
        seconds, runs = ("0.01", "2") if context.small else ("0.5", "10")
        modes = MODES.get(name, OTHER_MODES) if context.device != "cpu" else "fp32,int8+bf16"
        command = [context.spiq, "bench", "--device", context.device, "--shape", shape, "--modes", modes, "--json",
                   "--seconds", seconds, "--runs", runs]
        report = json.loads(context.run(command, 150, variables))
        figures = {mode["mode"]: (mode["train_step_ms"], mode["forward_ms"]) for mode in report["modes"]}
        return {"ms": figures, "report": report}

    return each_shape(context, one)


def jax_written_by_hand(context):
    """The same networks in JAX: products over all steps at once, `lax.scan` for the neurons."""
    def one(name, shape):
        modes = "fp32,bf16,int8" if name in ("L", "tiny") else "fp32,bf16"
        command = [sys.executable, COMPARE / "jax_networks.py", "--network", shape, "--modes", modes]
        return {"ms": milliseconds(context.run(command, 120, platform(context)))}

    return each_shape(context, one)


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
        command = [sys.executable, COMPARE / "spyx_networks.py", "--network", shape, "--modes", "fp32"]
        return {"ms": milliseconds(context.run(command, 120, variables))}

    return each_shape(context, one)


def milliseconds(output):
    """Step and forward pass of each mode, without the compile time."""
    return {mode: figures[:2] for mode, figures in json.loads(output).items()}


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
        try:
            found[mode] = one(mode)
        except (RuntimeError, ValueError, KeyError) as failed:
            found[mode] = {"failed": str(failed)}
        print(f"   {mode}: {found[mode].get('failed') or summary(found[mode])}", flush=True)
    return {"modes": found}


def summary(row):
    return (f"{row['launches']:g} launches, {row['ms']:.3f} ms of kernels in a step of {row['step_ms']:.3f} ms "
            f"(mean of {row['steps']} steps)")


STEPS = {"bench": bench, "jax": jax_written_by_hand, "spyx": spyx, "profile": profile}


# The table


def table(results):
    """The results as Markdown."""
    lines = [f"Card: {results.get('machine', {}).get('card', 'none')}", ""]
    lines += failures(results) + agreement(results.get("agreement", {})) + timings(results) + kernels(results)
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
    return [*lines, ""]


def timings(results):
    sides = {side: found for side, found in results.items() if side in ("bench", "jax", "spyx") or side.startswith("bench ")}
    rows = []
    for name in {name: None for found in sides.values() for name in found if name != "seconds"}:
        for side, found in sides.items():
            row = found.get(name)
            if not isinstance(row, dict):
                continue
            if "ms" not in row:
                rows.append(f"| {name} | {side} | {row['failed'][:120]} | | |")
                continue
            label = {"bench": "spiq"}.get(side, side)
            rows += [f"| {name} | {label} | {mode} | {step:.3f} | {forward:.3f} |" for mode, (step, forward) in row["ms"].items()]
    return ["| shape | | mode | step, ms | forward, ms |", "|---|---|---|---|---|", *rows, ""] if rows else []


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
