"""What both sides run with: Python environments, installed on first use, spiq's command, and this machine's name."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PINS = ROOT / "tests" / "reference" / "requirements.txt"
# Units of the processor that decide what its integers and bf16 can reach.
UNITS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16")


def spyx():
    """An interpreter with the pinned packages."""
    return environment("spyx-venv", sys.executable, ["-r", PINS])


def newest_jax():
    """An interpreter with the newest JAX, which may need a newer Python than the pinned packages."""
    python = sys.executable
    if sys.version_info < (3, 12):
        names = (shutil.which(f"python3.{minor}") for minor in (14, 13, 12))
        python = next(filter(None, names), python)
    return environment("jax-venv", python, ["--upgrade", "jax", "jaxlib"])


def torch():
    """An interpreter with PyTorch, snnTorch and Norse."""
    return environment("torch-venv", sys.executable, ["torch", "snntorch", "norse"])


def environment(name, python, packages):
    folder = ROOT / "target" / name
    own, done = folder / "bin" / "python", folder / "installed"
    if not done.exists():
        subprocess.run([python, "-m", "venv", folder], check=True)
        subprocess.run([own, "-m", "pip", "install", "--quiet", *packages], check=True)
        done.touch()
    return own


def version(python, package):
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    return subprocess.run([python, "-c", code], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def built():
    """The command, after building it."""
    subprocess.run(["cargo", "build", "--release", "--quiet"], cwd=ROOT, check=True)
    return ROOT / "target" / "release" / "spiq"


def machine():
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    entry = lambda key: next((line.split(":", 1)[1].strip() for line in lines if line.startswith(key)), "")
    units = [unit for unit in UNITS if unit in entry("flags").split()]
    amx = "AMX" if "amx_int8" in units else "no AMX"
    return f"{os.cpu_count()} cores of {entry('model name') or 'this processor'} ({', '.join(units)}; {amx})"
