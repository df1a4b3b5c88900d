//! Fuses a product into the loop that reads it: a step's sums are computed where they are used, and their sequence is never stored in
//! memory. Masked products are fused, and products that the loop needs only in part.

use std::sync::Arc;

use spiq_hlo::{CustomCall, DType, DotGeneral, Function, Node, Value};

use crate::contract::call::KernelCall;
use crate::contract::fused_product::{FusedProduct, Left};
use crate::contract::lane_program::LaneProgram;
use crate::contract::masked_product::MaskedProduct;

use super::needed::needed;

/// Fuses each product that only one loop reads into that loop.
pub fn products_in_scans(function: &Function) -> Function {
    let within = |node: &Node| Node {
        op: node.op.map_bodies(&products_in_scans).unwrap_or_else(|| node.op.clone()),
        ..node.clone()
    };
    let mut nodes: Vec<Node> = function.nodes().iter().map(within).collect();
    for node in &mut nodes {
        if let Some(whole) = with_products(function, node) {
            *node = whole;
        }
    }
    Function::from_parts(nodes, function.input_names().to_vec(), function.results().to_vec()).simplify()
}

/// The loop with the products that only it reads, if there are any.
fn with_products(function: &Function, node: &Node) -> Option<Node> {
    let KernelCall::Loop(mut program, before) = KernelCall::of(node.op.as_ref())? else { return None };
    let (mut operands, mut pairs, mut products) = (Vec::new(), Vec::new(), Vec::<FusedProduct>::new());
    let first_slice = program.consts.len() + program.carries.len();
    // A product that is fused already is the last sequence, and its factors the last operands.
    let count: usize = before.iter().map(FusedProduct::operands).sum();
    let (read, factors) = node.operands.split_at(node.operands.len().checked_sub(count)?);
    for (at, value) in read.iter().enumerate() {
        let slice = at.checked_sub(first_slice);
        if let Some((slice, (product, given))) =
            slice.and_then(|at| Some((at, product_behind(function, *value, &program)?)))
        {
            products.push(FusedProduct { slice, columns: product.columns, width: product.width, left: Left::Mask });
            pairs.extend(given);
            continue;
        }
        // One sampled product for each loop: for a second one, the instructions might need another order.
        let is_first = products.iter().chain(&before).all(|product| product.left == Left::Mask);
        let sampled = slice.filter(|_| is_first).and_then(|at| sampled_behind(function, *value, &program, at));
        match sampled {
            Some((reordered, product, given)) => {
                program = reordered;
                products.push(product);
                pairs.extend(given);
            }
            None => operands.push(*value),
        }
    }
    if pairs.is_empty() {
        return None;
    }
    let config = KernelCall::Loop(program, [products, before].concat()).config();
    // Calls are recorded for one runtime, after all transforms that map functions.
    let call = node.op.downcast::<CustomCall>()?.clone();
    let op = Arc::new(CustomCall { config, map: |_, _| None, ..call });
    Some(Node { op, operands: [&operands[..], &pairs, factors].concat(), ..node.clone() })
}

/// The product whose rows a loop reads as a sequence, and its operands, if it has no other reader.
fn product_behind(function: &Function, value: Value, program: &LaneProgram) -> Option<(MaskedProduct, Vec<Value>)> {
    let only = |value: Value| readers(function, value) == 1;
    let node = &function.nodes()[value.node];
    let source = if node.op.name() == "reshape" { node.operands[0] } else { value };
    let node = &function.nodes()[source.node];
    let KernelCall::Product(product) = KernelCall::of(node.op.as_ref())? else { return None };
    let fits = !product.over_rows
        && product.rows * product.width == program.steps * program.lanes
        && program.lanes.is_multiple_of(product.width);
    (fits && only(value) && only(source)).then(|| (product, node.operands.clone()))
}

/// Multiplications below which a product is left to the compiler: storing it costs nothing, and its bits stay the compiler's.
const SMALL: usize = 1 << 16;

/// The dense product whose rows a loop reads as a sequence but needs only in part, and its operands, if it has no other reader; and the
/// loop with its instructions in the order that the fused product requires.
fn sampled_behind(
    function: &Function,
    value: Value,
    program: &LaneProgram,
    slice: usize,
) -> Option<(LaneProgram, FusedProduct, Vec<Value>)> {
    let node = &function.nodes()[value.node];
    let dims = &node.op.downcast::<DotGeneral>()?.dims;
    let [left, right] = [node.operands[0], node.operands[1]].map(|operand| function.ty(operand));
    let rows_of_both = dims.lhs_batch.is_empty()
        && right.rank() == 2
        && left.rank().checked_sub(1).is_some_and(|last| dims.lhs_contract == [last])
        && dims.rhs_contract == [1];
    let types = left.dtype == right.dtype && matches!(left.dtype, DType::F32 | DType::BF16);
    let width = right.dims[0];
    let fits = rows_of_both
        && types
        && function.ty(value).dtype == DType::F32
        && program.slices[slice] == DType::F32
        && width > 0
        && program.lanes.is_multiple_of(width)
        && program.steps.saturating_mul(program.lanes).saturating_mul(right.dims[1]) >= SMALL;
    if !fits || readers(function, value) != 1 {
        return None;
    }
    let (program, result) = needed(program, slice)?;
    let product = FusedProduct { slice, columns: right.dims[1], width, left: Left::Sampled(result) };
    Some((program, product, node.operands.clone()))
}

fn readers(function: &Function, value: Value) -> usize {
    let read = function.nodes().iter().flat_map(|node| &node.operands).chain(function.results());
    read.filter(|read| **read == value).count()
}
