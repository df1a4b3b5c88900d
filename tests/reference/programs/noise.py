"""Simulated rounding of another compiler: every inexact result and gradient is off by an ulp or a few, in a random direction.

Another compiler fuses a product with a sum, adds in another order, or uses another polynomial for exp. Running a program several
times with such noise shows how far that may move each of its numbers; numbers that never change are exact.
"""

import jax
import jax.numpy as jnp
import numpy as np

NARROW = ("bfloat16", "float16")


def is_float(x):
    return jnp.issubdtype(x.dtype, jnp.floating)


@jax.custom_jvp
def tilt(x, factor):
    """The identity, with its gradient scaled by a factor."""
    return x


@tilt.defjvp
def _tilt(primals, tangents):
    (x, factor), (dx, _) = primals, tangents
    return x, dx * factor


class Silent:
    """No noise."""

    def off(self, x, ulps):
        return x

    def slope(self, x):
        return x

    def curve(self, f, rule, x, ulps):
        return f(x)


class Noise:
    """Noise in directions given by a seed, a traced number."""

    def __init__(self, seed):
        self.seed = seed
        self.count = 0

    def factor(self, x, ulps):
        self.count += 1
        place = np.arange(max(x.size, 1), dtype=np.uint32)[: x.size].reshape(x.shape) * np.uint32(2654435761)
        word = (jnp.asarray(place) ^ jnp.uint32(self.count * 40503)) * jnp.uint32(0x9E3779B1) ^ self.seed
        for shift, factor in ((15, 0x85EBCA77), (13, 0xC2B2AE3D), (16, 0x27D4EB2F)):
            word = (word ^ (word >> shift)) * jnp.uint32(factor)
        step = jnp.asarray(ulps * float(jnp.finfo(x.dtype).eps), x.dtype)
        one = jnp.asarray(1, x.dtype)
        return jnp.where((word >> 31) == 0, one + step, one - step)

    def off(self, x, ulps):
        """A result with an error of up to `ulps`; compilers may round 16-bit values less often than the program."""
        if not is_float(x):
            return x
        ulps = max(ulps, 1) if x.dtype.name in NARROW else ulps
        if ulps == 0:
            return x
        moved = x * self.factor(x, ulps)
        return jnp.where(jnp.isfinite(moved) == jnp.isfinite(x), moved, x)

    def slope(self, x):
        """The same value; sums of cotangents are also rounded."""
        return tilt(x, self.factor(x, 1)) if is_float(x) else x

    def curve(self, f, rule, x, ulps):
        """A function whose derivative is computed from its rounded value."""

        @jax.custom_jvp
        def noisy(x, factor):
            return f(x) * factor

        @noisy.defjvp
        def _noisy(primals, tangents):
            y = noisy(*primals)
            return y, tangents[0] * rule(y, primals[0])

        return noisy(x, self.factor(x, max(ulps, 1)))
