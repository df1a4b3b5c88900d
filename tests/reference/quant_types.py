"""Reference values of qwix for every quantized type, calibration method and product layout.

    venv/bin/python quant_types.py

Writes quant_types.safetensors beside this script; README.md documents its contents. The products are qwix's own, called like its
QtProvider does. One thing is patched: integers below 8 bits are stored in int8, since XLA:CPU refuses products of
int4 with int4, and JAX convolutions of int4 with int8. The values are the same.
"""

from pathlib import Path

from generate import Cases

import jax
import jax.numpy as jnp
import numpy as np
from qwix._src.core import conv_general_qt, dot_general_qt, numerics, qarray

convert_to = numerics.convert_to


def in_int8(x, qtype, noise_fn=None):
    q = convert_to(x, qtype, noise_fn)
    return q.astype(jnp.int8) if q.dtype == jnp.int4 else q


numerics.convert_to = in_int8

INTEGERS = [f"int{bits}" for bits in range(2, 9)]
PLAIN = [*INTEGERS, "nf4", "float8_e4m3fn", "float8_e5m2"]
SHIFTED = ["int4", "int8"]
TILED = {"mxfp8": 32, "mxfp4": 32, "nvfp4": 16}
SYMMETRIC = ["absmax", "absmax,0.8", "rms,1.5", "fixed,1.5"]
ASYMMETRIC = ["minmax", "minmax,0.9", "fixed,-0.5,2"]

DOTS = {
    # dimension_numbers: ((lhs contracting, rhs contracting), (lhs batch, rhs batch)).
    "dot": ([3, 8], [8, 2], (((1,), (0,)), ((), ()))),
    "batched": ([2, 3, 4, 2], [4, 2, 2, 3], (((2, 3), (0, 2)), ((0,), (1,)))),
    "wide": ([2, 64], [64, 2], (((1,), (0,)), ((), ()))),
    "long": ([2, 256], [256, 2], (((1,), (0,)), ((), ()))),
}

CONVS = {
    "conv1d": (
        [2, 6, 2],
        [3, 2, 3],
        {"window_strides": (1,), "padding": ((1, 1),), "dimension_numbers": ("NWC", "WIO", "NWC")},
    ),
    "strided": (
        [2, 5, 4, 2],
        [2, 2, 2, 3],
        {
            "window_strides": (2, 1),
            "padding": ((1, 0), (0, 1)),
            "rhs_dilation": (1, 2),
            "dimension_numbers": ("NHWC", "HWIO", "NHWC"),
        },
    ),
    "grouped": (
        [2, 5, 4, 4],
        [2, 2, 2, 4],
        {
            "window_strides": (2, 1),
            "padding": ((1, 0), (0, 1)),
            "rhs_dilation": (1, 2),
            "feature_group_count": 2,
            "dimension_numbers": ("NHWC", "HWIO", "NHWC"),
        },
    ),
    "transposed": (
        [2, 3, 2],
        [3, 2, 3],
        {
            "window_strides": (1,),
            "padding": ((2, 1),),
            "lhs_dilation": (2,),
            "dimension_numbers": ("NWC", "WIO", "NWC"),
        },
    ),
}


def qtype_of(name):
    return getattr(jnp, name) if name.startswith("float8") or name in ("int4", "int8") else name


def given(rng, shapes, out):
    x, w = (rng.standard_normal(shape).astype(np.float32) for shape in shapes)
    # A scale of only zeros, and one small row. They show at the first and second index of the batch.
    x[0, ..., 0] = 0
    x.reshape(x.shape[0], -1)[1] *= 0.01
    return {"x": x, "w": w, "g": rng.standard_normal(out).astype(np.float32)}


def run(function, x, w, g, gradient=True):
    """The compiled product and the gradients of sum(y * g)."""
    if not gradient:
        return {"y": jax.jit(function)(x, w)}

    def weighted(x, w):
        y = function(x, w)
        return jnp.sum(y * g), y

    (_, y), (dx, dw) = jax.jit(jax.value_and_grad(weighted, (0, 1), has_aux=True))(x, w)
    return {"y": y, "dx": dx, "dw": dw}


def dot(dimension_numbers, qtypes, methods, tile_size=None, channelwise=True):
    config = dot_general_qt.DotGeneralQtConfig(
        lhs_qtype=qtypes[0] and qtype_of(qtypes[0]),
        rhs_qtype=qtypes[1] and qtype_of(qtypes[1]),
        lhs_calibration_method=methods[0],
        rhs_calibration_method=methods[1],
        tile_size=tile_size,
        lhs_disable_channelwise_axes=not channelwise,
        rhs_disable_channelwise_axes=not channelwise,
        use_original_residuals=True,
    )
    return lambda x, w: dot_general_qt.dot_general_qt(x, w, dimension_numbers, config)


def conv(geometry, qtypes, methods, channelwise=True):
    config = conv_general_qt.ConvGeneralQtConfig(
        lhs_qtype=qtypes[0] and qtype_of(qtypes[0]),
        rhs_qtype=qtypes[1] and qtype_of(qtypes[1]),
        lhs_calibration_method=methods[0],
        rhs_calibration_method=methods[1],
        lhs_disable_channelwise_axes=not channelwise,
        rhs_disable_channelwise_axes=not channelwise,
    )
    order = ("window_strides", "padding", "lhs_dilation", "rhs_dilation", "dimension_numbers", "feature_group_count")

    def function(x, w):
        numbers = jax.lax.conv_dimension_numbers(x.shape, w.shape, geometry["dimension_numbers"])
        arguments = {"lhs_dilation": None, "rhs_dilation": None, "feature_group_count": 1} | geometry
        arguments["dimension_numbers"] = numbers
        return conv_general_qt.conv_general_qt(x, w, config, *(arguments[name] for name in order))

    return function


def rows(methods=SYMMETRIC, shifted=ASYMMETRIC):
    """Calibration methods with the types that support them: (activations', weights'), types."""
    yield from (((method, method), PLAIN) for method in methods)
    yield from (((method, "absmax"), SHIFTED) for method in shifted)


def arguments(qtypes, methods, **more):
    act, weight = methods
    return {"qtypes": qtypes, "act_calibration_method": act, "weight_calibration_method": weight} | more


def stack(results, *names):
    return {name: jnp.stack([result[name] for result in results]) for name in names}


def dots(cases, operands):
    def add(case, layout, pairs, methods, **more):
        _, _, numbers = DOTS[layout]
        results = [run(dot(numbers, pair, methods, **more), **operands[layout]) for pair in pairs]
        for result in results:
            # Straight-through: clipping depends only on the range, not on the type.
            np.testing.assert_array_equal(result["dx"], results[0]["dx"])
            np.testing.assert_array_equal(result["dw"], results[0]["dw"])
        grads = {} if layout == "long" else {name: results[0][name] for name in ("dx", "dw")}
        cases.add(f"dot/{case}", arguments(pairs, methods, operands=layout, **more), **stack(results, "y"), **grads)

    def same(types):
        return [[t, t] for t in types]

    for number, (methods, types) in enumerate(rows()):
        add(f"plain/{number}", "dot", same(types), methods)
    for number, (methods, types) in enumerate(rows(["absmax", "rms,1.5"], ["minmax"])):
        add(f"batched/{number}", "batched", same(types), methods)
    for number, (methods, types) in enumerate(rows(["absmax", "absmax,0.8"], ["minmax"])):
        add(f"tiled/{number}", "dot", same(types), methods, tile_size=4)
        add(f"fraction/{number}", "batched", same(types), methods, tile_size=0.5)
    for number, (methods, types) in enumerate(rows(["absmax"], ["minmax"])):
        add(f"whole/{number}", "dot", same(types), methods, channelwise=False)
        add(f"large_tiles/{number}", "long", same(types), methods, tile_size=128)
    for qtype, tile in TILED.items():
        for number, method in enumerate(("absmax", "rms,1.5")):
            add(f"{qtype}/{number}", "wide", same([qtype]), (method, method), tile_size=tile)
    mixed = [[None, "int4"], [None, "int8"], [None, "nf4"], [None, "float8_e4m3fn"], ["int8", "int4"]]
    mixed += [["int8", "float8_e4m3fn"], ["float8_e5m2", "float8_e4m3fn"], ["nf4", "int8"], ["int8", "int2"]]
    add("mixed", "dot", mixed, ("absmax", "absmax"))


def convs(cases, operands):
    def add(case, layout, pairs, methods, **more):
        geometry = CONVS[layout][2]
        # qwix's backward pass fails with groups.
        gradient = "feature_group_count" not in geometry
        results = [run(conv(geometry, pair, methods, **more), **operands[layout], gradient=gradient) for pair in pairs]
        cases.add(f"conv/{case}", arguments(pairs, methods, operands=layout, **more), **stack(results, *results[0]))

    # qwix multiplies the level indices of stored nf4 values: a bug, so nf4 on both sides is omitted.
    for number, (methods, types) in enumerate(rows(["absmax", "rms,1.5"], ["minmax"])):
        types = [t for t in types if t != "nf4"]
        add(f"conv1d/{number}", "conv1d", [[t, t] for t in types], methods)
    some = [["int8", "int8"], ["int8", "int4"], ["float8_e4m3fn", "float8_e4m3fn"], [None, "int8"], [None, "nf4"]]
    for layout in ("strided", "grouped", "transposed"):
        add(layout, layout, some, ("absmax", "absmax"))
    add("whole", "conv1d", [["int8", "int8"]], ("absmax", "absmax"), channelwise=False)


def arrays(cases, x, wide):
    """quantize and dequantize, with a scale per index of the first axis."""

    def add(case, array, qtypes, method, **more):
        def one(qtype):
            def quantize(array):
                tiles = {int(axis): size for axis, size in more.get("tiled_axes", {}).items()}
                q = qarray.quantize_api(
                    array, qtype_of(qtype), channelwise_axes=[0], calibration_method=method, tiled_axes=tiles
                )
                points = {} if q.zero_point is None else {"zero_point": q.zero_point.astype(jnp.float32)}
                values = q.qvalue.astype(jnp.float32)
                return {"values": values, "scale": q.scale, "dequantized": qarray.dequantize(q)} | points

            return jax.jit(quantize)(array)

        results = [one(qtype) for qtype in qtypes]
        cases.add(f"quantize/{case}", {"qtypes": qtypes, "method": method} | more, x=array, **stack(results, *results[0]))

    for number, method in enumerate(SYMMETRIC):
        add(f"symmetric/{number}", x, PLAIN, method)
    for number, method in enumerate(ASYMMETRIC):
        add(f"asymmetric/{number}", x, SHIFTED, method)
    add("tiled", x, PLAIN, "absmax", tiled_axes={"1": 4})
    for qtype, tile in TILED.items():
        add(qtype, wide, [qtype], "absmax", tiled_axes={"1": tile})


def main():
    rng, cases = np.random.default_rng(0), Cases()
    operands = {}
    for name, (x, w, numbers) in DOTS.items():
        out = jax.eval_shape(lambda x, w: jax.lax.dot_general(x, w, numbers), jnp.zeros(x), jnp.zeros(w)).shape
        operands[name] = given(rng, (x, w), out)
        cases.add(f"given/{name}", {"dimension_numbers": numbers}, **operands[name])
    for name, (x, w, geometry) in CONVS.items():
        out = jax.eval_shape(conv(geometry, (None, None), ("absmax", "absmax")), jnp.zeros(x), jnp.zeros(w)).shape
        operands[name] = given(rng, (x, w), out)
        cases.add(f"given/{name}", geometry, **operands[name])
    arrays(cases, operands["dot"]["x"], operands["wide"]["x"])
    dots(cases, operands)
    convs(cases, operands)
    path = Path(__file__).with_name("quant_types.safetensors")
    cases.write(path)
    print(f"{path.name}: {len(cases.arrays)} arrays, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
