"""Random programs, drawn instruction by instruction: each operation defines its operands."""

import jax
import numpy as np

from programs.control import Frame
from programs.noise import Silent
from programs.operations import DTYPES, NAMES
from programs.values import FLOATS, SIGNED, UNSIGNED, WIDE, Type, numbers

DRAWS = {}


class NoFit(Exception):
    """An operation finds no operands, or JAX refuses it."""


def draws(*names):
    def register(function):
        for name in names:
            DRAWS[name] = lambda region, name=name: function(region, name)
        return function

    return register


class Program:
    """The types and inputs of a program, drawn once."""

    def __init__(self, rng, share, sizes, wide):
        self.rng, self.share, self.sizes, self.wide = rng, share, sizes, wide
        allowed = lambda names: [name for name in names if wide or name not in WIDE]
        self.float = rng.choice(allowed(FLOATS), p=[0.25, 0.1, 0.05, 0.6] if wide else [0.6, 0.25, 0.15])
        self.floats, self.integers = allowed(FLOATS), allowed(SIGNED + UNSIGNED)
        self.inputs, self.types, self.huge = [], [], True

    def input(self, ty, values=None):
        """Adds an input and returns a reference to it."""
        self.types.append(ty)
        self.inputs.append(np.asarray(numbers(self.rng, ty, self.share, self.huge) if values is None else values))
        return ~(len(self.inputs) - 1)


class Region:
    """A function under construction: the values in scope, and the instructions so far."""

    def __init__(self, program, outer=(), parameters=(), depth=0):
        self.program, self.rng, self.depth = program, program.rng, depth
        self.types = [*outer, *parameters]
        self.own = range(len(outer), len(outer) + len(parameters))
        self.first = len(outer)
        self.code = []
        self.read = set()

    def chance(self, p):
        return self.rng.random() < p

    def pick(self, options):
        return options[self.rng.integers(len(options))]

    def type(self, reference):
        return self.program.types[~reference] if reference < 0 else self.types[reference]

    def emit(self, name, operands, attributes=None):
        """Adds an instruction and returns references to its results, whose types JAX infers."""
        attributes = attributes or {}
        struct = lambda ty: jax.ShapeDtypeStruct(ty.dims, DTYPES[ty.dtype])
        before = len(self.types)

        def results(values, inputs):
            frame = Frame(list(values), list(inputs), Silent())
            frame.step(name, operands, attributes)
            return tuple(frame.values[before:])

        try:
            structs = [struct(ty) for ty in self.types], [struct(ty) for ty in self.program.types]
            made = jax.eval_shape(results, *structs)
        except (TypeError, ValueError, NotImplementedError, AssertionError, IndexError) as error:
            raise NoFit(f"{name}: {error}") from error
        self.read.update(operands, (r for r in references(attributes) if r < before))
        self.types.extend(Type(NAMES[s.dtype.name], tuple(s.shape)) for s in made)
        self.code.append([name, [int(r) for r in operands], attributes])
        return list(range(before, len(self.types)))

    def find(self, fits):
        """A value that fits, preferably a recent one."""
        own = [i for i, ty in enumerate(self.types) if fits(ty)]
        inputs = [~i for i, ty in enumerate(self.program.types) if fits(ty)]
        if own and self.chance(0.75):
            return own[-1] if self.chance(0.5) else self.pick(own)
        if own or inputs:
            return self.pick([*own, *inputs])
        return None

    def dims(self, low=0, high=3):
        return tuple(int(self.rng.choice(self.program.sizes)) for _ in range(self.rng.integers(low, high + 1)))

    def some(self, dtypes, fits=lambda ty: True, low=0, high=3):
        """A value of one of these types; a new input if there is none."""
        found = self.find(lambda ty: ty.dtype in dtypes and low <= ty.rank <= high and fits(ty))
        if found is not None and self.chance(0.9):
            return found
        for _ in range(20):
            preferred = self.program.float in dtypes and self.chance(0.7)
            ty = Type(self.program.float if preferred else self.pick(list(dtypes)), self.dims(low, high))
            if fits(ty):
                return self.program.input(ty)
        raise NoFit("no type fits")

    def float(self, **which):
        # Mostly of the program's own type.
        main = self.program.float
        return self.some((main,) if self.chance(0.9) else self.program.floats, **which)

    def number(self, **which):
        if self.chance(0.75):
            return self.float(**which)
        return self.some(self.program.integers, **which)

    def any(self, **which):
        return self.number(**which) if self.chance(0.9) else self.some(("pred",), **which)

    def like(self, ty):
        """A value of exactly this type."""
        found = self.find(lambda other: other == ty)
        return found if found is not None and self.chance(0.7) else self.program.input(ty)

    def beside(self, ty):
        """A value that broadcasts with one of this type."""
        if self.chance(0.5):
            return self.like(ty)
        fits = lambda o: o.dtype == ty.dtype and all(a == b or 1 in (a, b) for a, b in zip(o.dims[::-1], ty.dims[::-1]))
        found = self.find(fits)
        if found is not None and self.chance(0.6):
            return found
        dims = ty.dims[self.rng.integers(len(ty.dims) + 1) :]
        return self.program.input(Type(ty.dtype, tuple(1 if self.chance(0.3) else d for d in dims)))

    def index(self, dims, high):
        """Integers around 0..high."""
        values = self.rng.integers(-1, high + 2, dims)
        return self.program.input(Type("s32", tuple(dims)), values.astype(np.int32))

    def axes(self, rank, least=0):
        count = int(self.rng.integers(min(least, rank), rank + 1))
        return sorted(int(a) for a in self.rng.choice(rank, count, replace=False))

    def axis(self, rank):
        return int(self.rng.integers(-rank, rank))

    def inside(self, parameters):
        return Region(self.program, self.types, parameters, self.depth + 1)

    def unused(self):
        """Values that this function has computed and nothing has read."""
        made = range(self.first + len(self.own), len(self.types))
        return [i for i in made if i not in self.read]

    def body(self, results):
        return {"code": self.code, "results": [int(r) for r in results]}


def bodies(attributes):
    """The functions in an instruction."""
    for value in attributes.values():
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, dict) and "code" in item:
                yield item


def references(attributes):
    """The values read by an instruction's functions."""
    for body in bodies(attributes):
        yield from body["results"]
        for _, operands, inner in body["code"]:
            yield from operands
            yield from references(inner)
