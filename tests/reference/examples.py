"""Reference numbers of the programs in examples/, computed by their JAX equivalents in tests/reference/examples/.

    venv/bin/python examples.py             # all
    venv/bin/python examples.py mlp rnn     # only these

Writes examples/NAME.safetensors; README.md says what is in it.
"""

import importlib.util
import sys
from pathlib import Path

import jax
import numpy as np
from safetensors.numpy import save_file

FOLDER = Path(__file__).parent / "examples"


def run(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    leaves = jax.tree_util.tree_leaves_with_path(module.run())
    return {jax.tree_util.keystr(p, simple=True, separator="/"): plain(leaf) for p, leaf in leaves}


def plain(leaf):
    return np.array(leaf, np.int32 if np.asarray(leaf).dtype == bool else None, order="C")


if __name__ == "__main__":
    # Before any example runs: the number of devices cannot change afterwards.
    jax.config.update("jax_num_cpu_devices", 2)
    chosen = sys.argv[1:] or sorted(path.stem for path in FOLDER.glob("*.py"))
    for name in chosen:
        save_file(run(FOLDER / f"{name}.py"), FOLDER / f"{name}.safetensors")
