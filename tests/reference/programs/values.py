"""Types and random inputs: ordinary numbers, and special values of operations."""

from typing import NamedTuple

import ml_dtypes
import numpy as np

from programs.operations import DTYPES

FLOATS = ("f32", "bf16", "f16", "f64")
SIGNED = ("s8", "s16", "s32", "s64")
UNSIGNED = ("u8", "u16", "u32", "u64")
WIDE = ("f64", "s64", "u64")
BITS = {name: 8 if name == "pred" else int("".join(c for c in name if c.isdigit())) for name in DTYPES}


class Type(NamedTuple):
    """An element type, by the library's name, and the size of each axis."""

    dtype: str
    dims: tuple

    @property
    def rank(self):
        return len(self.dims)

    @property
    def is_float(self):
        return self.dtype in FLOATS

    @property
    def is_integer(self):
        return self.dtype in SIGNED + UNSIGNED


def numpy_type(dtype):
    return np.dtype(ml_dtypes.bfloat16) if dtype == "bf16" else np.dtype(DTYPES[dtype])


def special(dtype):
    """Special values: kinks, jumps and limits of functions."""
    kind = numpy_type(dtype)
    if dtype in FLOATS:
        info = ml_dtypes.finfo(kind)
        ends = [info.max, info.min, info.tiny, info.smallest_subnormal, -info.smallest_subnormal, info.eps]
        plain = [0.0, -0.0, 1, -1, 2, -2, 0.5, -0.5, 1.5, 2.5, -2.5, 3, np.inf, -np.inf, np.nan]
        return np.array([*plain, *(float(end) for end in ends)]).astype(kind)
    if dtype == "pred":
        return np.array([False, True])
    info = np.iinfo(kind)
    bits = BITS[dtype]
    return np.array([v for v in (0, 1, 2, 3, 5, bits - 1, bits, bits + 1, info.max, info.min, -1) if info.min <= v], kind)


def ordinary(rng, ty):
    kind = numpy_type(ty.dtype)
    if ty.dtype == "pred":
        return rng.integers(0, 2, ty.dims).astype(bool)
    if ty.is_float:
        # Halves and quarters coincide with each other and with whole numbers more often than random ones.
        fine = rng.normal(size=ty.dims) * 1.5
        coarse = rng.integers(-6, 7, ty.dims) / 4
        return np.where(rng.random(ty.dims) < 0.3, coarse, fine).astype(kind)
    low, high = (0, 12) if ty.dtype in UNSIGNED else (-8, 9)
    return rng.integers(low, high, ty.dims).astype(kind)


def numbers(rng, ty, share, huge=True):
    """Random values, of which a fraction are special."""
    values, options = ordinary(rng, ty), special(ty.dtype)
    if ty.is_float and not huge:
        options = options[~(np.isfinite(options) & (np.abs(options) > 9))]
    chosen = rng.random(ty.dims) < share
    return np.where(chosen, rng.choice(options, ty.dims), values).astype(numpy_type(ty.dtype))
