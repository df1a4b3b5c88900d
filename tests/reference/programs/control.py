"""Transforms and loops in JAX: operations that contain functions, and the interpreter of programs as data.

A program is a list of instructions `[operation, operands, attributes]`. Values are numbered in order of definition;
an inner function can refer to the values before it, then its own parameters, then its own values. Operand -1 is the first input, -2 the
second, and so on.
"""

import jax
from jax import lax

from programs.operations import OPERATIONS

TRANSFORMS = {}


def transform(function):
    TRANSFORMS[function.__name__.removesuffix("_")] = function
    return function


class Frame:
    """The values in scope of an inner function."""

    def __init__(self, values, inputs, noise):
        self.values, self.inputs, self.noise = values, inputs, noise

    def at(self, reference):
        return self.inputs[~reference] if reference < 0 else self.values[reference]

    def call(self, body, arguments):
        inner = Frame([*self.values, *arguments], self.inputs, self.noise)
        for name, operands, attributes in body["code"]:
            inner.step(name, operands, attributes)
        return tuple(inner.at(reference) for reference in body["results"])

    def step(self, name, operands, attributes):
        operands = [self.at(reference) for reference in operands]
        if name in TRANSFORMS:
            # A snapshot: JAX calls some functions later, when there are more values.
            now = Frame(list(self.values), self.inputs, self.noise)
            results = TRANSFORMS[name](operands, attributes, now)
        else:
            results = OPERATIONS[name](operands, attributes, self.noise)
        self.values.extend(results if isinstance(results, list | tuple) else [results])


def run(program, inputs, noise):
    """The results of a whole program."""
    return Frame([], inputs, noise).call(program, [])


@transform
def scan(x, a, frame):
    carries = a["carries"]

    def step(carry, slices):
        results = frame.call(a["body"], [*carry, *slices])
        return results[:carries], results[carries:]

    carry, stacked = lax.scan(step, tuple(x[:carries]), tuple(x[carries:]))
    return [*carry, *stacked]


TRANSFORMS["scan_checkpointed"] = scan


@transform
def while_(x, a, frame):
    return lax.while_loop(
        lambda state: frame.call(a["condition"], state)[0], lambda state: frame.call(a["body"], state), tuple(x)
    )


@transform
def switch(x, a, frame):
    return lax.switch(x[0], [lambda branch=branch: frame.call(branch, []) for branch in a["branches"]])


@transform
def vmap(x, a, frame):
    return jax.vmap(lambda *slices: frame.call(a["body"], slices))(*x)


@transform
def checkpoint(x, a, frame):
    return jax.checkpoint(lambda *inputs: frame.call(a["body"], inputs))(*x)


@transform
def grad(x, a, frame):
    return jax.grad(lambda *at: frame.call(a["body"], at)[0], tuple(range(len(x))))(*x)


@transform
def value_and_grad(x, a, frame):
    value, slopes = jax.value_and_grad(lambda *at: frame.call(a["body"], at)[0], tuple(range(len(x))))(*x)
    return [value, *slopes]


@transform
def vjp(x, a, frame):
    at, cotangents = x[: a["wrt"]], x[a["wrt"] :]
    outputs, back = jax.vjp(lambda *at: frame.call(a["body"], at), *at)
    return [*outputs, *back(tuple(cotangents))]


@transform
def custom_vjp(x, a, frame):
    function = jax.custom_vjp(lambda *inputs: frame.call(a["forward"], inputs))

    def forward(*inputs):
        outputs = frame.call(a["forward"], inputs)
        return outputs, (inputs, outputs)

    def backward(kept, cotangents):
        return frame.call(a["backward"], [*kept[0], *kept[1], *cotangents])

    function.defvjp(forward, backward)
    return function(*x)


@transform
def associative_scan(x, a, frame):
    return lax.associative_scan(lambda left, right: frame.call(a["body"], [*left, *right]), tuple(x), a["reverse"])
