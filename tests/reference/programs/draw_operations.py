"""How operands and attributes of each operation are drawn."""

import numpy as np

from programs.draw import DRAWS, draws
from programs.values import BITS, UNSIGNED, Type

EVERYWHERE = ("exp_m1", "logistic", "tanh", "cbrt", "sin", "cos", "floor", "ceil", "round_nearest_even", "round_nearest_afz")


@draws(*EVERYWHERE, "exp", "tan", "is_finite", "stop_gradient", "identity", "optimization_barrier")
def unary(region, name):
    region.emit(name, [region.float()])


@draws("log", "log1p", "sqrt", "rsqrt")
def positive(region, name):
    x = region.float()
    if region.chance(0.7):
        [size] = region.emit("abs", [x])
        [x] = region.emit("add", [size], {"number": 0.25})
    region.emit(name, [x])


@draws("abs", "negate", "sign")
def signed(region, name):
    region.emit(name, [region.number()])


@draws("not")
def complement(region, name):
    region.emit(name, [region.some([*region.program.integers, "pred"])])


@draws("popcnt", "count_leading_zeros")
def bits(region, name):
    region.emit(name, [region.some(region.program.integers)])


def takes_numbers(ty, name):
    """The library refuses arithmetic with a number if an integer type might overflow."""
    return ty.is_float or (ty.dtype in ("s32", "s64") if name in ("add", "sub", "mul") else ty.is_integer)


def both(region, name, x):
    """Two tensors, or a tensor and a number."""
    ty = region.type(x)
    if region.chance(0.25) and takes_numbers(ty, name):
        number = region.pick([0.5, 2, -1.5, 3, 0, -1, 1] if ty.is_float else [2, 3, 1, 0, 7])
        region.emit(name, [x], {"number": number})
    else:
        region.emit(name, [x, region.beside(ty)])


@draws("add", "mul", "maximum", "minimum", "eq", "ne", "ge", "gt", "le", "lt")
def of_any(region, name):
    both(region, name, region.any())


@draws("sub")
def of_numbers(region, name):
    both(region, name, region.number())


@draws("div", "rem")
def quotient(region, name):
    x = region.number()
    region.emit(name, [x, region.beside(region.type(x))])


@draws("atan2")
def angle(region, name):
    x = region.float()
    region.emit(name, [x, region.beside(region.type(x))])


@draws("pow")
def power(region, name):
    x = region.float()
    if region.chance(0.4):
        region.emit(name, [x], {"number": region.pick([2.0, 3.0, 0.5, -1.0, 0.0, 1.0, 1.5])})
        return
    if region.chance(0.6):
        [x] = region.emit("abs", [x])
    region.emit(name, [x, region.beside(region.type(x))])


@draws("and", "or", "xor")
def bitwise(region, name):
    x = region.some([*region.program.integers, "pred"])
    region.emit(name, [x, region.beside(region.type(x))])


@draws("shift_left", "shift_right_logical", "shift_right_arithmetic")
def shift(region, name):
    x = region.some(region.program.integers)
    region.emit(name, [x, region.beside(region.type(x))])


@draws("select")
def select(region, name):
    x = region.any()
    y = region.beside(region.type(x))
    dims = np.broadcast_shapes(region.type(x).dims, region.type(y).dims)
    flags = region.find(lambda ty: ty.dtype == "pred" and ty.dims == dims)
    if flags is None:
        [flags] = region.emit("gt", [x, y]) if region.type(x).is_float else [region.like(Type("pred", dims))]
    region.emit(name, [flags, x, y])


@draws("clamp")
def clamp(region, name):
    x = region.number()
    ty = region.type(x)
    if region.chance(0.5):
        low, high = region.pick([(0, 1), (1, 4), (2, 2)] if not ty.is_float else [(-0.5, 0.75), (0.0, 1.0), (-1.0, -0.25)])
        region.emit("clamp_numbers", [x], {"low": low, "high": high})
    else:
        dims = ty.dims if region.chance(0.6) else ()
        # The limits are broadcast to the clamped operand.
        region.emit(name, [region.like(Type(ty.dtype, dims)), x, region.like(Type(ty.dtype, dims))])


@draws("convert")
def convert(region, name):
    program = region.program
    to = region.pick([*program.floats, *program.floats, *program.integers, "pred"])
    region.emit(name, [region.any()], {"dtype": to})


@draws("bitcast_convert")
def bitcast(region, name):
    program = region.program
    x = region.number()
    same = [d for d in [*program.floats, *program.integers] if BITS[d] == BITS[region.type(x).dtype]]
    region.emit(name, [x], {"dtype": region.pick(same)})


@draws("iota")
def iota(region, name):
    dims = region.dims(1, 3)
    dtype = region.pick([region.program.float, region.pick(region.program.integers)])
    region.emit(name, [], {"dtype": dtype, "dims": dims, "dimension": int(region.rng.integers(len(dims)))})


@draws("full")
def full(region, name):
    region.emit(name, [], {"dtype": region.program.float, "dims": region.dims(), "value": region.pick([0.5, -2.0, 0.1])})


@draws("full_like")
def full_like(region, name):
    region.emit(name, [region.number()], {"value": region.pick([1, 2, 3])})


@draws("reshape")
def reshape(region, name):
    x = region.any()
    dims = region.type(x).dims
    count = int(np.prod(dims))
    options = [(count,), (1, count), (count, 1), dims[::-1], (1, *dims)]
    options += [(a, count // a) for a in (2, 3) if count and count % a == 0]
    region.emit(name, [x], {"dims": region.pick(options)})


@draws("transpose")
def transpose(region, name):
    x = region.any(low=2)
    region.emit(name, [x], {"permutation": [int(a) for a in region.rng.permutation(region.type(x).rank)]})


@draws("broadcast_in_dim")
def broadcast_in_dim(region, name):
    x = region.any(high=2)
    dims = region.type(x).dims
    out = list(region.dims(len(dims), 3))
    axes = [int(a) for a in region.rng.choice(len(out), len(dims), replace=False)]
    for axis, size in zip(axes, dims):
        out[axis] = out[axis] if size == 1 else size
    region.emit(name, [x], {"dims": out, "axes": sorted(axes) if sorted(axes) == axes or not region.chance(0.5) else axes})


@draws("broadcast_to")
def broadcast_to(region, name):
    x = region.any(high=2)
    region.emit(name, [x], {"dims": [int(region.rng.choice(region.program.sizes)), *region.type(x).dims]})


@draws("expand_dims")
def expand_dims(region, name):
    x = region.any(high=2)
    rank = region.type(x).rank
    region.emit(name, [x], {"axis": int(region.rng.integers(-rank - 1, rank + 1))})


@draws("t")
def swap(region, name):
    region.emit(name, [region.any(low=2)])


@draws("slice")
def slices(region, name):
    x = region.any(low=1)
    dims = region.type(x).dims
    start = [int(region.rng.integers(0, d + 1)) for d in dims]
    limit = [int(region.rng.integers(s, d + 1)) for s, d in zip(start, dims)]
    region.emit(name, [x], {"start": start, "limit": limit, "stride": [int(region.rng.integers(1, 4)) for _ in dims]})


@draws("slice_axis")
def slice_axis(region, name):
    x = region.any(low=1)
    axis = region.axis(region.type(x).rank)
    size = region.type(x).dims[axis]
    start = int(region.rng.integers(0, size + 1))
    region.emit(name, [x], {"axis": axis, "start": start, "limit": int(region.rng.integers(start, size + 1))})


@draws("index_axis")
def index_axis(region, name):
    x = region.any(low=1, fits=lambda ty: 0 not in ty.dims)
    axis = region.axis(region.type(x).rank)
    region.emit(name, [x], {"axis": axis, "index": int(region.rng.integers(region.type(x).dims[axis]))})


@draws("pad")
def pad(region, name):
    x = region.any()
    ty = region.type(x)
    drawn = lambda low, high: [int(region.rng.integers(low, high)) for _ in ty.dims]
    attributes = {"low": drawn(-1, 3), "high": drawn(-1, 3), "interior": drawn(0, 3)}
    operands = [x, region.like(Type(ty.dtype, ()))]
    if region.chance(0.4):
        attributes["value"] = 1
        operands.pop()
    region.emit(name, operands, attributes)


@draws("reverse")
def reverse(region, name):
    x = region.any(low=1)
    region.emit(name, [x], {"axes": region.axes(region.type(x).rank, 1)})


@draws("concatenate")
def concatenate(region, name):
    x = region.any(low=1)
    ty = region.type(x)
    axis = region.axis(ty.rank)
    other = list(ty.dims)
    other[axis] = int(region.rng.choice(region.program.sizes))
    parts = [x, region.like(Type(ty.dtype, tuple(other)))]
    region.emit(name, parts if region.chance(0.6) else [*parts[::-1], x], {"axis": axis})


def starts(region, dims, sizes):
    """Indices inside and beyond the end; rarely negative, which JAX counts from the end."""
    places = [int(region.rng.integers(-1 if region.chance(0.03) else 0, d - s + 2)) for d, s in zip(dims, sizes)]
    return [region.program.input(Type("s32", ()), np.int32(place)) for place in places]


@draws("dynamic_slice")
def dynamic_slice(region, name):
    x = region.any(low=1)
    dims = region.type(x).dims
    sizes = [int(region.rng.integers(0 if region.chance(0.1) else min(1, d), d + 1)) for d in dims]
    region.emit(name, [x, *starts(region, dims, sizes)], {"sizes": sizes})


@draws("dynamic_update_slice")
def dynamic_update_slice(region, name):
    x = region.any(low=1)
    ty = region.type(x)
    sizes = [int(region.rng.integers(min(1, d), d + 1)) for d in ty.dims]
    region.emit(name, [x, region.like(Type(ty.dtype, tuple(sizes))), *starts(region, ty.dims, sizes)])


@draws("sort", "argsort")
def sort(region, name):
    x = region.number(low=1)
    region.emit(name, [x], {"axis": region.axis(region.type(x).rank)})


@draws("argmax")
def argmax(region, name):
    x = region.number(low=1, fits=lambda ty: 0 not in ty.dims)
    region.emit(name, [x], {"axis": region.axis(region.type(x).rank)})


@draws("sort_many")
def sort_many(region, name):
    x = region.number(low=1)
    ty = region.type(x)
    others = [region.like(Type(region.pick([ty.dtype, region.program.float, "s32"]), ty.dims)) for _ in range(2)]
    region.emit(name, [x, *others], {"axis": region.axis(ty.rank), "keys": int(region.rng.integers(1, 4))})


@draws("reduce_sum", "reduce_max", "reduce_min", "reduce_absmax", "reduce_mean", "reduce_product")
def reduce(region, name):
    signed = lambda ty: name != "reduce_absmax" or ty.dtype not in UNSIGNED
    full = lambda ty: name != "reduce_mean" or 0 not in ty.dims
    x = region.number(low=1, fits=lambda ty: signed(ty) and full(ty))
    region.emit(name, [x], {"axes": region.axes(region.type(x).rank, 1)})


@draws("sum", "mean")
def reduce_all(region, name):
    region.emit(name, [region.number(low=1, fits=lambda ty: name == "sum" or 0 not in ty.dims)])


@draws("reduce_and", "reduce_or")
def reduce_bits(region, name):
    x = region.some(["pred", "pred", "s32", "u8"], low=1)
    region.emit(name, [x], {"axes": region.axes(region.type(x).rank, 1)})


@draws("log_softmax")
def log_softmax(region, name):
    x = region.float(low=1)
    region.emit(name, [x], {"axis": region.axis(region.type(x).rank)})


@draws("reduce_window_sum", "reduce_window_max")
def reduce_window(region, name):
    x = region.number(low=1)
    rank = region.type(x).rank
    drawn = lambda low, high: [int(region.rng.integers(low, high)) for _ in range(rank)]
    ones = [1] * rank
    dilated = region.chance(0.3)
    attributes = {
        "sizes": drawn(1, 4),
        "strides": drawn(1, 3),
        "base_dilations": drawn(1, 3) if dilated else ones,
        "window_dilations": drawn(1, 3) if dilated else ones,
        "padding": [[int(region.rng.integers(0, 3)), int(region.rng.integers(0, 3))] for _ in range(rank)],
    }
    region.emit(name, [x], attributes)


# Sums of products of these may overflow their type, so the library requires a wider one.
NARROW = ("s8", "s16", "u8", "u16")


@draws("dot")
def dot(region, name):
    x = region.number(low=1, fits=lambda ty: ty.dtype not in NARROW)
    ty = region.type(x)
    region.emit(name, [x, region.like(Type(ty.dtype, (ty.dims[-1], *region.dims(0, 2))))])


@draws("dot_general")
def dot_general(region, name):
    x = region.number(low=1)
    ty = region.type(x)
    order = [int(a) for a in region.rng.permutation(ty.rank)]
    batches = int(region.rng.integers(0, min(2, ty.rank) + 1))
    contracted = int(region.rng.integers(0, ty.rank - batches + 1))
    lhs_batch, lhs_contract = order[:batches], order[batches : batches + contracted]
    paired = [*lhs_batch, *lhs_contract]
    free = list(region.dims(0, min(2, 4 - len(paired))))
    place = [int(a) for a in region.rng.permutation(len(paired) + len(free))]
    rhs = [0] * len(place)
    for at, size in zip(place, [*(ty.dims[a] for a in paired), *free]):
        rhs[at] = size
    attributes = {
        "lhs_batch": lhs_batch, "lhs_contract": lhs_contract,
        "rhs_batch": place[:batches], "rhs_contract": place[batches : len(paired)],
        "out": {"s8": "s32", "s16": "s32", "u8": "u32", "u16": "u32"}.get(ty.dtype, ty.dtype),
    }  # fmt: skip
    region.emit(name, [x, region.like(Type(ty.dtype, tuple(rhs)))], attributes)


@draws("einsum")
def einsum(region, name):
    subscripts = region.pick(["bij,bjk->kbi", "...i,ij", "iik,jk->j", "ij,jk->k", "i,j->ji", "ij,ij->", "ba,bc->ac", "ii,i->i"])
    size = {letter: int(region.rng.choice(region.program.sizes)) for letter in "abcijk"}
    left, right = subscripts.split("->")[0].split(",")
    dims = lambda names: tuple(size[c] for c in names.replace("...", ""))
    more = region.dims(0, 2) if "..." in left else ()
    dtype = region.program.float
    operands = [region.like(Type(dtype, (*more, *dims(left)))), region.like(Type(dtype, dims(right)))]
    region.emit(name, operands, {"subscripts": subscripts})


@draws("convolution")
def convolution(region, name):
    rng = region.rng
    spatial = int(rng.integers(1, 3))
    drawn = lambda low, high: [int(rng.integers(low, high)) for _ in range(spatial)]

    def axes():
        order = [int(a) for a in rng.permutation(spatial + 2)]
        return {"outer": order[0], "feature": order[1], "window": order[2:]}

    def dims(axes, outer, feature, window):
        sizes = [0] * (spatial + 2)
        for at, size in zip([axes["outer"], axes["feature"], *axes["window"]], [outer, feature, *window]):
            sizes[at] = size
        return tuple(sizes)

    groups, per_group, outputs = (int(rng.integers(1, 3)) for _ in range(3))
    attributes = {
        "input": axes(), "kernel": axes(), "output": axes(),
        "strides": drawn(1, 3), "input_dilation": drawn(1, 3), "kernel_dilation": drawn(1, 3),
        "padding": [[int(rng.integers(0, 3)), int(rng.integers(0, 3))] for _ in range(spatial)],
        "groups": groups, "out": region.program.float,
    }  # fmt: skip
    dtype, batch = region.program.float, int(rng.integers(1, 3))
    x = dims(attributes["input"], batch, groups * per_group, drawn(2, 5))
    kernel = dims(attributes["kernel"], groups * outputs, per_group, drawn(1, 4))
    region.emit(name, [region.like(Type(dtype, x)), region.like(Type(dtype, kernel))], attributes)


def windows(region, ty):
    """Windows of a matrix at index vectors; slices along one axis; a pairing of rows."""
    kind = region.pick(["windows", "paired", "rows"])
    places = int(region.rng.integers(1, 4))
    none = {"window": [], "collapsed": [], "operand_batch": [], "indices_batch": [], "start": []}
    if kind == "windows":
        sizes = [int(region.rng.integers(1, d + 1)) for d in ty.dims]
        dims = none | {"window": list(range(1, ty.rank + 1)), "start": list(range(ty.rank)), "index_axis": 1}
        return dims, sizes, (places, ty.rank), (places, *sizes)
    if kind == "paired" and ty.rank >= 2:
        kept = list(ty.dims[2:])
        dims = none | {
            "window": list(range(2, ty.rank)), "collapsed": [1], "operand_batch": [0], "indices_batch": [0],
            "start": [1], "index_axis": 2,
        }  # fmt: skip
        return dims, [1, 1, *kept], (ty.dims[0], places, 1), (ty.dims[0], places, *kept)
    kept = list(ty.dims[1:])
    dims = none | {"window": list(range(1, ty.rank)), "collapsed": [0], "start": [0], "index_axis": 1}
    return dims, [1, *kept], (places,), (places, *kept)


@draws("gather")
def gather(region, name):
    x = region.any(low=1, fits=lambda ty: 0 not in ty.dims)
    dims, sizes, indices, _ = windows(region, region.type(x))
    region.emit(name, [x, region.index(indices, 3)], dims | {"sizes": sizes})


@draws("scatter_add")
def scatter_add(region, name):
    x = region.number(low=1, fits=lambda ty: 0 not in ty.dims)
    ty = region.type(x)
    dims, _, indices, updates = windows(region, ty)
    region.emit(name, [x, region.index(indices, 3), region.like(Type(ty.dtype, updates))], dims)


@draws("scatter")
def scatter(region, name):
    x = region.any(low=1, fits=lambda ty: 0 not in ty.dims)
    ty = region.type(x)
    count = int(region.rng.integers(1, min(3, ty.dims[0] + 2) + 1))
    # Distinct indices: duplicate writes are undefined.
    places = (region.rng.permutation(ty.dims[0] + 2)[:count] - 1).astype(np.int32)
    dims = {"window": list(range(1, ty.rank)), "collapsed": [0], "operand_batch": [], "indices_batch": [], "start": [0]}
    indices = region.program.input(Type("s32", (count,)), places)
    region.emit(name, [x, indices, region.like(Type(ty.dtype, (count, *ty.dims[1:])))], dims | {"index_axis": 1})


@draws("take")
def take(region, name):
    x = region.any(low=1, fits=lambda ty: 0 not in ty.dims)
    axis = region.axis(region.type(x).rank)
    region.emit(name, [x, region.index(region.dims(0, 2), region.type(x).dims[axis])], {"axis": axis})


OPERATIONS = tuple(DRAWS)
