"""How functions and operands of each transform are drawn."""

from programs.draw import DRAWS, NoFit, draws
from programs.draw_operations import OPERATIONS
from programs.values import Type

DEEPEST = 3


def fill(region, count, focus=None):
    """Draws instructions, including the one in focus."""
    at = int(region.rng.integers(count)) if focus else -1
    for number in range(count):
        names = [focus] if number == at else [region.pick(choices(region)) for _ in range(20)]
        for name in names:
            before = len(region.code), len(region.types)
            try:
                DRAWS[name](region)
                break
            except NoFit:
                del region.code[before[0] :], region.types[before[1] :]
                if name == focus:
                    raise


def choices(region):
    if region.depth < DEEPEST and region.chance(0.2):
        return [name for name in DRAWS if name not in OPERATIONS]
    return OPERATIONS


def results(region, count, keep=lambda ty: True):
    """The unread values, at least one."""
    unused = [r for r in region.unused() if keep(region.type(r))]
    if not unused:
        unused = [r for r in range(region.first, len(region.types)) if keep(region.type(r))][-1:]
    if not unused:
        raise NoFit("nothing to return")
    return unused[-count:]


def scalar(region, dtype):
    """A scalar that depends on every unread value of this type: their weighted sum."""
    total = None
    for value in results(region, 3, lambda ty: ty.dtype == dtype):
        [part] = region.emit("sum", [value]) if region.type(value).rank else [value]
        [total] = [part] if total is None else region.emit("add", [total, part])
    return total


def again(region, value):
    """A value of this type and shape that depends on the drawn values: the next carry."""
    ty = region.type(value)
    made = [r for r in region.unused() if region.type(r) == ty]
    if made:
        return made[-1]
    fits = lambda o: o.dtype == ty.dtype and o.rank <= ty.rank and all(
        a in (b, 1) for a, b in zip(o.dims[::-1], ty.dims[::-1])
    )
    other = region.find(fits)
    [new] = region.emit(region.pick(["add", "mul", "sub", "maximum"]), [value, other if other is not None else value])
    return new


def floats(region, count, low=0, high=2):
    return [region.float(low=low, high=high) for _ in range(int(region.rng.integers(1, count + 1)))]


@draws("grad", "value_and_grad")
def gradient(region, name):
    dtype = region.program.float
    x = [region.some((dtype,)) for _ in range(int(region.rng.integers(1, 3)))]
    inner = region.inside([region.type(r) for r in x])
    fill(inner, int(region.rng.integers(1, 5)))
    # Makes the value depend on the differentiated inputs, whatever was drawn.
    for i in range(len(x)):
        inner.emit("sin", [inner.first + i])
    region.emit(name, x, {"body": inner.body([scalar(inner, dtype)])})


@draws("vjp")
def pullback(region, name):
    x = floats(region, 2)
    inner = region.inside([region.type(r) for r in x])
    fill(inner, int(region.rng.integers(1, 5)))
    outputs = results(inner, 2, lambda ty: ty.is_float)
    cotangents = [region.like(inner.type(r)) for r in outputs]
    region.emit(name, [*x, *cotangents], {"wrt": len(x), "body": inner.body(outputs)})


@draws("vmap")
def mapped(region, name):
    x = [region.any(low=1)]
    size = region.type(x[0]).dims[0]
    if region.chance(0.5):
        x.append(region.like(Type(region.program.float, (size, *region.dims(0, 1)))))
    inner = region.inside([Type(t.dtype, t.dims[1:]) for t in map(region.type, x)])
    fill(inner, int(region.rng.integers(1, 5)))
    region.emit(name, x, {"body": inner.body(results(inner, 2))})


@draws("scan", "scan_checkpointed")
def loop(region, name):
    init = [region.number(high=2)]
    xs = [region.any(low=1)]
    length = region.type(xs[0]).dims[0]
    if region.chance(0.4):
        init.append(region.float(high=2))
    if region.chance(0.4):
        xs.append(region.like(Type(region.program.float, (length, *region.dims(0, 1)))))
    slices = [Type(t.dtype, t.dims[1:]) for t in map(region.type, xs)]
    inner = region.inside([*map(region.type, init), *slices])
    fill(inner, int(region.rng.integers(1, 5)))
    carries = [again(inner, inner.first + i) for i in range(len(init))]
    attributes = {"carries": len(init), "body": inner.body([*carries, *results(inner, 2)])}
    if name == "scan_checkpointed":
        attributes["segment"] = int(region.rng.integers(1, 4))
    region.emit(name, [*init, *xs], attributes)


@draws("while")
def while_loop(region, name):
    """A loop with a counter beside the state; the counter or the state ends it."""
    count = region.like(Type("s32", ()))
    state = [region.number(high=2) for _ in range(int(region.rng.integers(1, 3)))]
    types = [Type("s32", ()), *map(region.type, state)]
    [start] = region.emit("clamp_numbers", [count], {"low": -1, "high": 3})
    condition = region.inside(types)
    [below] = condition.emit("lt", [condition.first], {"number": 4})
    if region.type(state[0]).is_float and region.chance(0.5):
        [total] = condition.emit("sum", [condition.first + 1]) if types[1].rank else [condition.first + 1]
        [small] = condition.emit("lt", [total], {"number": 3.0})
        [below] = condition.emit("and", [below, small])
    inner = region.inside(types)
    fill(inner, int(region.rng.integers(1, 4)))
    after = [again(inner, inner.first + 1 + i) for i in range(len(state))]
    [next_count] = inner.emit("add", [inner.first], {"number": 1})
    attributes = {"condition": condition.body([below]), "body": inner.body([next_count, *after])}
    region.emit(name, [start, *state], attributes)


@draws("switch")
def switch(region, name):
    index = region.index((), 2)
    ty = region.type(region.float())
    branches = []
    for _ in range(int(region.rng.integers(1, 4))):
        inner = region.inside([])
        fill(inner, int(region.rng.integers(1, 4)))
        made = [r for r in inner.unused() if inner.type(r) == ty]
        if made:
            result = made[-1]
        else:
            [result] = inner.emit(region.pick(["sin", "tanh", "negate"]), [region.like(ty)])
        branches.append(inner.body([result]))
    region.emit(name, [index], {"branches": branches})


@draws("checkpoint")
def checkpoint(region, name):
    x = floats(region, 2)
    inner = region.inside([region.type(r) for r in x])
    fill(inner, int(region.rng.integers(2, 5)))
    region.emit(name, x, {"body": inner.body(results(inner, 2))})


@draws("associative_scan")
def prefixes(region, name):
    x = region.float(low=1)
    ty = region.type(x)
    single = region.chance(0.6)
    operands = [x] if single else [region.like(ty), x]
    inner = region.inside([region.type(r) for r in [*operands, *operands]])
    at = inner.first
    if single:
        body = inner.body(inner.emit(region.pick(["add", "mul", "maximum", "minimum"]), [at, at + 1]))
    else:
        [decay] = inner.emit("mul", [at, at + 2])
        [old] = inner.emit("mul", [at + 1, at + 2])
        [new] = inner.emit("add", [old, at + 3])
        body = inner.body([decay, new])
    region.emit(name, operands, {"reverse": region.chance(0.4), "body": body})


@draws("custom_vjp")
def custom(region, name):
    """A function, and a gradient that is not its own but has the right types."""
    x = floats(region, 2)
    types = [region.type(r) for r in x]
    forward = region.inside(types)
    made = [forward.emit(region.pick(["sin", "floor", "sign", "tanh"]), [forward.first + i])[0] for i in range(len(x))]
    backward = region.inside([*types, *types, *types])
    count = len(x)
    slopes = []
    for i in range(count):
        [size] = backward.emit(region.pick(["cos", "abs", "logistic"]), [backward.first + region.pick([i, count + i])])
        slopes += backward.emit("mul", [backward.first + 2 * count + i, size])
    region.emit(name, x, {"forward": forward.body(made), "backward": backward.body(slopes)})
