//! Maps operation names to tensor methods.

use spiq::{ConvDims, Convolution, DotDims, Graph, Tensor, TensorType, einsum};
use spiq_hlo::{Axes, Window, WindowDims, concatenate, sort};

use super::attributes::Attributes;
use super::elementwise::{binary, unary};

/// Applies an operation.
pub fn apply(graph: &Graph, name: &str, x: &[Tensor], a: &Attributes) -> Vec<Tensor> {
    if name == "sort_many" {
        return sort(&x.iter().collect::<Vec<_>>(), a.axis(), a.size("keys"));
    }
    vec![one(graph, name, x, a).unwrap_or_else(|| panic!("no operation {name}"))]
}

fn one(graph: &Graph, name: &str, x: &[Tensor], a: &Attributes) -> Option<Tensor> {
    let simple = match (x, a.find("number")) {
        ([x], Some(number)) => binary(name, x, number.as_f64().expect("a number")),
        ([x], None) => unary(name, x),
        ([x, y], _) => binary(name, x, y),
        _ => None,
    };
    simple.or_else(|| made(graph, name, a)).or_else(|| moved(name, x, a)).or_else(|| summed(name, x, a))
}

fn made(graph: &Graph, name: &str, a: &Attributes) -> Option<Tensor> {
    let ty = || TensorType::new(a.dtype("dtype"), a.sizes("dims"));
    Some(match name {
        "iota" => graph.iota(ty(), a.size("dimension")),
        "full" => graph.full(ty(), a.number("value")),
        _ => return None,
    })
}

fn moved(name: &str, x: &[Tensor], a: &Attributes) -> Option<Tensor> {
    let first = x.first()?;
    Some(match name {
        "full_like" => first.full_like(a.number("value")),
        "select" => first.select(&x[1], &x[2]),
        "clamp" => first.clamp(&x[1], &x[2]),
        "clamp_numbers" => first.clamp(a.number("low"), a.number("high")),
        "convert" => first.convert(a.dtype("dtype")),
        "bitcast_convert" => first.bitcast_convert(a.dtype("dtype")),
        "reshape" => first.reshape(&a.sizes("dims")),
        "transpose" => first.transpose(&a.sizes("permutation")),
        "broadcast_in_dim" => first.broadcast_in_dim(&a.sizes("dims"), &a.sizes("axes")),
        "broadcast_to" => first.broadcast_to(&a.sizes("dims")),
        "expand_dims" => first.expand_dims(a.axis()),
        "slice" => first.slice(&a.sizes("start"), &a.sizes("limit"), &a.sizes("stride")),
        "slice_axis" => first.slice_axis(a.axis(), a.size("start"), a.size("limit")),
        "index_axis" => first.index_axis(a.axis(), a.size("index")),
        "reverse" => first.reverse(&a.sizes("axes")),
        "concatenate" => concatenate(&x.iter().collect::<Vec<_>>(), a.axis()),
        "pad" => padded(x, a),
        "dynamic_slice" => first.dynamic_slice(&x[1..], &a.sizes("sizes")),
        "dynamic_update_slice" => first.dynamic_update_slice(&x[1], &x[2..]),
        "sort" => first.sort(a.axis()),
        "argsort" => first.argsort(a.axis()),
        "gather" => first.gather(&x[1], &windows(a), &a.sizes("sizes")),
        "scatter" => first.scatter(&x[1], &x[2], &windows(a)),
        "take" => first.take_clipped(&x[1], a.axis()),
        _ => return None,
    })
}

fn summed(name: &str, x: &[Tensor], a: &Attributes) -> Option<Tensor> {
    let first = x.first()?;
    Some(match name {
        "reduce_sum" => first.reduce_sum(a.sizes("axes")),
        "reduce_product" => first.reduce_product(a.sizes("axes")),
        "reduce_mean" => first.reduce_mean(a.sizes("axes")),
        "reduce_max" => first.reduce_max(a.sizes("axes")),
        "reduce_min" => first.reduce_min(a.sizes("axes")),
        "reduce_absmax" => first.reduce_absmax(a.sizes("axes")),
        "reduce_and" => first.reduce_and(a.sizes("axes")),
        "reduce_or" => first.reduce_or(a.sizes("axes")),
        "log_softmax" => first.log_softmax(a.axis()),
        "argmax" => first.argmax(a.axis()),
        "reduce_window_sum" => first.reduce_window_sum(&window(a)),
        "reduce_window_max" => first.reduce_window_max(&window(a)),
        "dot" => first.dot(&x[1]),
        "dot_general" => first.dot_general(&x[1], &dot_dims(a), a.dtype("out")),
        "einsum" => einsum(a.text("subscripts"), first, &x[1]),
        "convolution" => first.convolution(&x[1], &convolution(a)),
        "scatter_add" => first.scatter_add(&x[1], &x[2], &windows(a)),
        _ => return None,
    })
}

fn padded(x: &[Tensor], a: &Attributes) -> Tensor {
    let (low, high, interior) = (a.signed("low"), a.signed("high"), a.sizes("interior"));
    match x.get(1) {
        Some(value) => x[0].pad(value, &low, &high, &interior),
        None => x[0].pad(a.number("value"), &low, &high, &interior),
    }
}

fn window(a: &Attributes) -> Window {
    Window {
        sizes: a.sizes("sizes"),
        strides: a.sizes("strides"),
        base_dilations: a.sizes("base_dilations"),
        window_dilations: a.sizes("window_dilations"),
        padding: a.pairs("padding"),
    }
}

fn windows(a: &Attributes) -> WindowDims {
    WindowDims {
        window: a.sizes("window"),
        collapsed: a.sizes("collapsed"),
        operand_batch: a.sizes("operand_batch"),
        indices_batch: a.sizes("indices_batch"),
        start: a.sizes("start"),
        index_axis: a.size("index_axis"),
    }
}

fn dot_dims(a: &Attributes) -> DotDims {
    DotDims {
        lhs_batch: a.sizes("lhs_batch"),
        rhs_batch: a.sizes("rhs_batch"),
        lhs_contract: a.sizes("lhs_contract"),
        rhs_contract: a.sizes("rhs_contract"),
    }
}

fn convolution(a: &Attributes) -> Convolution {
    let axes = |name| {
        let a = a.nest(name);
        Axes { outer: a.size("outer"), feature: a.size("feature"), window: a.sizes("window") }
    };
    let dims = ConvDims { input: axes("input"), kernel: axes("kernel"), output: axes("output") };
    Convolution {
        strides: a.sizes("strides"),
        padding: a.pairs("padding"),
        input_dilation: a.sizes("input_dilation"),
        kernel_dilation: a.sizes("kernel_dilation"),
        groups: a.size("groups"),
        ..Convolution::new(dims, a.dtype("out"))
    }
}
