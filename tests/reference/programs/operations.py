"""The JAX equivalent of each library operation: maps operands, attributes and noise to one result or a list of results."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

DTYPES = {
    "pred": "bool", "s8": "int8", "s16": "int16", "s32": "int32", "s64": "int64",
    "u8": "uint8", "u16": "uint16", "u32": "uint32", "u64": "uint64",
    "bf16": "bfloat16", "f16": "float16", "f32": "float32", "f64": "float64",
}  # fmt: skip
NAMES = {jax_name: name for name, jax_name in DTYPES.items()}

OPERATIONS = {}


def operation(name):
    def register(function):
        OPERATIONS[name] = function
        return function

    return register


def pair(x, a):
    """Both operands, broadcast; a number stays a Python scalar, so JAX decides the types."""
    if "number" in a:
        return x[0], a["number"]
    return jnp.broadcast_arrays(x[0], x[1])


def unary(name, function, ulps=0):
    OPERATIONS[name] = lambda x, a, n: n.off(function(n.slope(x[0])), ulps)


def curve(name, function, rule, ulps):
    OPERATIONS[name] = lambda x, a, n: n.curve(function, rule, n.slope(x[0]), ulps)


def binary(name, function, numbers, ulps=0):
    """With a number instead of the second operand, the `jnp` function decides the types."""

    def apply(x, a, n):
        if "number" in a:
            return n.off(numbers(n.slope(x[0]), a["number"]), ulps)
        return n.off(function(*(n.slope(v) for v in pair(x, a))), ulps)

    OPERATIONS[name] = apply


for name, function in {
    "abs": lax.abs, "negate": lax.neg, "sign": lax.sign, "floor": lax.floor, "ceil": lax.ceil,
    "round_nearest_even": lambda x: lax.round(x, lax.RoundingMethod.TO_NEAREST_EVEN),
    "round_nearest_afz": lambda x: lax.round(x, lax.RoundingMethod.AWAY_FROM_ZERO),
    "not": lax.bitwise_not, "popcnt": lax.population_count, "count_leading_zeros": lax.clz,
    "is_finite": lax.is_finite, "stop_gradient": lax.stop_gradient, "identity": lambda x: x,
    "optimization_barrier": lax.optimization_barrier,
}.items():  # fmt: skip
    unary(name, function)

for name in ("log", "log1p", "sin", "cos"):
    unary(name, getattr(lax, name), 4)

curve("exp", lax.exp, lambda y, x: y, 4)
curve("exp_m1", lax.expm1, lambda y, x: y + 1, 4)
curve("logistic", lax.logistic, lambda y, x: y * (1 - y), 4)
curve("tanh", lax.tanh, lambda y, x: (1 - y) * (1 + y), 4)
curve("tan", lax.tan, lambda y, x: 1 + y * y, 4)
curve("sqrt", lax.sqrt, lambda y, x: 0.5 / y, 4)
curve("rsqrt", lax.rsqrt, lambda y, x: -0.5 * (y / x), 4)
curve("cbrt", lax.cbrt, lambda y, x: jnp.asarray(1 / 3, y.dtype) * lax.integer_pow(y, -2), 4)


def numeric(function, boolean):
    """For booleans, a sum is an or, a product is an and."""
    return lambda x, y: boolean(x, y) if x.dtype == bool else function(x, y)


def power(x, y):
    return lax.pow(x, y) if jnp.issubdtype(x.dtype, jnp.floating) else jnp.power(x, y)


def whole_division(x, y):
    return lax.div(x, y) if jnp.issubdtype(x.dtype, jnp.integer) and isinstance(y, int) else jnp.divide(x, y)


binary("add", numeric(lax.add, lax.bitwise_or), jnp.add)
binary("sub", lax.sub, jnp.subtract)
binary("mul", numeric(lax.mul, lax.bitwise_and), jnp.multiply, 1)
binary("div", lax.div, jnp.divide, 1)
binary("maximum", lax.max, jnp.maximum)
binary("minimum", lax.min, jnp.minimum)
binary("pow", power, jnp.power, 8)
binary("rem", lax.rem, lax.rem)
binary("atan2", lax.atan2, jnp.arctan2, 4)
binary("and", lax.bitwise_and, jnp.bitwise_and)
binary("or", lax.bitwise_or, jnp.bitwise_or)
binary("xor", lax.bitwise_xor, jnp.bitwise_xor)
binary("shift_left", lax.shift_left, jnp.left_shift)
binary("shift_right_logical", lax.shift_right_logical, lax.shift_right_logical)
binary("shift_right_arithmetic", lax.shift_right_arithmetic, jnp.right_shift)
for name in ("eq", "ne", "ge", "gt", "le", "lt"):
    numbers = {"ge": "greater_equal", "gt": "greater", "le": "less_equal", "lt": "less"}
    numbers |= {"eq": "equal", "ne": "not_equal"}
    binary(name, getattr(lax, name), getattr(jnp, numbers[name]))


@operation("select")
def select(x, a, n):
    yes, no = jnp.broadcast_arrays(n.slope(x[1]), n.slope(x[2]))
    return lax.select(jnp.broadcast_to(x[0], yes.shape), yes, no)


@operation("clamp")
def clamp(x, a, n):
    low, high = (n.slope(jnp.broadcast_to(v, x[0].shape)) for v in x[1:])
    return lax.clamp(low, n.slope(x[0]), high)


@operation("clamp_numbers")
def clamp_numbers(x, a, n):
    return lax.clamp(jnp.asarray(a["low"], x[0].dtype), n.slope(x[0]), jnp.asarray(a["high"], x[0].dtype))


@operation("convert")
def convert(x, a, n):
    return n.slope(lax.convert_element_type(n.slope(x[0]), DTYPES[a["dtype"]]))


@operation("bitcast_convert")
def bitcast_convert(x, a, n):
    return lax.bitcast_convert_type(x[0], DTYPES[a["dtype"]])


@operation("iota")
def iota(x, a, n):
    return lax.broadcasted_iota(DTYPES[a["dtype"]], a["dims"], a["dimension"])


@operation("full")
def full(x, a, n):
    return jnp.full(a["dims"], a["value"], DTYPES[a["dtype"]])


@operation("full_like")
def full_like(x, a, n):
    return jnp.full_like(x[0], a["value"])


MOVES = {
    "reshape": lambda x, a: lax.reshape(x, a["dims"]),
    "transpose": lambda x, a: lax.transpose(x, a["permutation"]),
    "broadcast_in_dim": lambda x, a: lax.broadcast_in_dim(x, a["dims"], a["axes"]),
    "broadcast_to": lambda x, a: jnp.broadcast_to(x, a["dims"]),
    "expand_dims": lambda x, a: jnp.expand_dims(x, a["axis"]),
    "t": lambda x, a: jnp.swapaxes(x, -1, -2),
    "slice": lambda x, a: lax.slice(x, a["start"], a["limit"], a["stride"]),
    "slice_axis": lambda x, a: lax.slice_in_dim(x, a["start"], a["limit"], axis=a["axis"]),
    "index_axis": lambda x, a: lax.index_in_dim(x, a["index"], a["axis"], keepdims=False),
    "reverse": lambda x, a: lax.rev(x, a["axes"]),
    "sort": lambda x, a: lax.sort(x, a["axis"] % x.ndim),
    "argsort": lambda x, a: jnp.argsort(x, a["axis"]).astype(jnp.int32),
    "argmax": lambda x, a: lax.argmax(x, a["axis"] % x.ndim, np.int32),
    "reduce_max": lambda x, a: lax.reduce_max(x, a["axes"]),
    "reduce_min": lambda x, a: lax.reduce_min(x, a["axes"]),
    "reduce_and": lambda x, a: lax.reduce_and(x, a["axes"]),
    "reduce_or": lambda x, a: lax.reduce_or(x, a["axes"]),
    # The maximum magnitude of no elements is 0.
    "reduce_absmax": lambda x, a: jnp.max(jnp.abs(x), axis=tuple(a["axes"]), initial=0),
}


def move(function):
    return lambda x, a, n: function(n.slope(x[0]), a)


for name, function in MOVES.items():
    OPERATIONS[name] = move(function)


@operation("concatenate")
def concatenate(x, a, n):
    return lax.concatenate([n.slope(v) for v in x], a["axis"] % x[0].ndim)


@operation("pad")
def pad(x, a, n):
    value = n.slope(x[1]) if "value" not in a else jnp.asarray(a["value"], x[0].dtype)
    return lax.pad(n.slope(x[0]), value, list(zip(a["low"], a["high"], a["interior"])))


@operation("dynamic_slice")
def dynamic_slice(x, a, n):
    return lax.dynamic_slice(n.slope(x[0]), x[1:], a["sizes"])


@operation("dynamic_update_slice")
def dynamic_update_slice(x, a, n):
    return lax.dynamic_update_slice(n.slope(x[0]), n.slope(x[1]), x[2:])


@operation("sort_many")
def sort_many(x, a, n):
    return list(lax.sort([n.slope(v) for v in x], a["axis"] % x[0].ndim, num_keys=a["keys"]))


def roomy(x):
    """The type in which JAX accumulates without 64-bit types: its default integer type if x has fewer bits."""
    if x.dtype.kind in "iu" and x.dtype.itemsize < 4:
        return np.int32 if x.dtype.kind == "i" else np.uint32
    return x.dtype


def reduction(name, function, ulps):
    """Sums of more than two elements depend on their order."""

    def apply(x, a, n):
        axes = a.get("axes", list(range(x[0].ndim)))
        many = np.prod([x[0].shape[axis] for axis in axes]) > 2
        return n.off(function(n.off(n.slope(x[0]), 1 if many else 0), tuple(axes)), ulps)

    OPERATIONS[name] = apply


def mean(x, axes):
    return jnp.mean(x, axes, dtype=x.dtype if jnp.issubdtype(x.dtype, jnp.floating) else jnp.float32)


def product(x, axes):
    return lax.reduce_prod(x.astype(roomy(x)), axes)


reduction("reduce_sum", lambda x, axes: jnp.sum(x, axes, dtype=roomy(x)), 0)
reduction("sum", lambda x, axes: jnp.sum(x, axes, dtype=roomy(x)), 0)
reduction("reduce_mean", mean, 1)
reduction("mean", mean, 1)
reduction("reduce_product", product, 1)


@operation("log_softmax")
def log_softmax(x, a, n):
    return n.off(jax.nn.log_softmax(n.off(n.slope(x[0]), 2), a["axis"]), 4)


def window(function, start, ulps):
    def apply(x, a, n):
        value = n.off(n.slope(x[0]), ulps)
        value = value.astype(roomy(value)) if function is lax.add else value
        start_value = np.asarray(start(value.dtype), value.dtype)
        padding = [tuple(p) for p in a["padding"]]
        strides, base, dilation = a["strides"], a["base_dilations"], a["window_dilations"]
        reduced = lax.reduce_window(value, start_value, function, a["sizes"], strides, padding, base, dilation)
        return n.off(reduced, 0) if ulps else reduced

    return apply


def least(dtype):
    return -np.inf if jnp.issubdtype(dtype, jnp.floating) else jnp.iinfo(dtype).min


OPERATIONS["reduce_window_sum"] = window(lax.add, lambda dtype: 0, 1)
OPERATIONS["reduce_window_max"] = window(lax.max, least, 0)


@operation("dot_general")
def dot_general(x, a, n):
    dims = ((a["lhs_contract"], a["rhs_contract"]), (a["lhs_batch"], a["rhs_batch"]))
    lhs, rhs = n.off(n.slope(x[0]), 2), n.slope(x[1])
    return n.off(lax.dot_general(lhs, rhs, dims, preferred_element_type=DTYPES[a["out"]]), 1)


@operation("dot")
def dot(x, a, n):
    lhs, rhs = n.off(n.slope(x[0]), 2), n.slope(x[1])
    return n.off(lax.dot_general(lhs, rhs, (((lhs.ndim - 1,), (0,)), ((), ()))), 1)


@operation("einsum")
def einsum(x, a, n):
    return n.off(jnp.einsum(a["subscripts"], n.off(n.slope(x[0]), 2), n.slope(x[1])), 1)


@operation("convolution")
def convolution(x, a, n):
    specs = [tuple([axes["outer"], axes["feature"], *axes["window"]]) for axes in (a["input"], a["kernel"], a["output"])]
    result = lax.conv_general_dilated(
        n.off(n.slope(x[0]), 2),
        n.slope(x[1]),
        a["strides"],
        [tuple(p) for p in a["padding"]],
        a["input_dilation"],
        a["kernel_dilation"],
        lax.ConvDimensionNumbers(*specs),
        a["groups"],
        preferred_element_type=DTYPES[a["out"]],
    )
    return n.off(result, 1)


def vectors(indices, a):
    """JAX stores the components of an index in the last axis."""
    return indices[..., None] if a["index_axis"] == indices.ndim else jnp.moveaxis(indices, a["index_axis"], -1)


@operation("gather")
def gather(x, a, n):
    numbers = lax.GatherDimensionNumbers(
        tuple(a["window"]), tuple(a["collapsed"]), tuple(a["start"]), tuple(a["operand_batch"]), tuple(a["indices_batch"])
    )
    return lax.gather(n.slope(x[0]), vectors(x[1], a), numbers, tuple(a["sizes"]), mode="clip")


def scattering(function, ulps):
    def apply(x, a, n):
        numbers = lax.ScatterDimensionNumbers(
            tuple(a["window"]), tuple(a["collapsed"]), tuple(a["start"]), tuple(a["operand_batch"]), tuple(a["indices_batch"])
        )
        updates = n.off(n.slope(x[2]), ulps)
        return function(n.slope(x[0]), vectors(x[1], a), updates, numbers, mode="drop")

    return apply


OPERATIONS["scatter_add"] = scattering(lax.scatter_add, 1)
OPERATIONS["scatter"] = scattering(lax.scatter, 0)


@operation("take")
def take(x, a, n):
    return jnp.take(n.slope(x[0]), x[1], a["axis"], mode="clip")
