"""A data set in NumPy's archive, with the element orders that NumPy may store.

    venv/bin/python npz.py

Writes arrays.npz beside this script; README.md says what is in it.
"""

from pathlib import Path

import numpy as np

inputs = (np.arange(4 * 3 * 5) % 2).reshape(4, 3, 5)
np.savez_compressed(
    Path(__file__).with_name("arrays.npz"),
    inputs=np.asfortranarray(inputs.astype(bool)),
    labels=np.array([0, 2, 1, 2], ">i8"),
    train=np.int64(3),
)
