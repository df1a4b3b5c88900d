//! Fuses a masked product into the loop that reads it: a step's sums are computed where they are used, and their sequence is never
//! stored in memory.

use std::sync::Arc;

use spiq_hlo::{CustomCall, Function, Node, Value};

use crate::contract::call::KernelCall;
use crate::contract::fused_product::FusedProduct;
use crate::contract::lane_program::LaneProgram;
use crate::contract::masked_product::MaskedProduct;

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
    let KernelCall::Loop(program, _) = KernelCall::of(node.op.as_ref())? else { return None };
    let (mut operands, mut pairs, mut products) = (Vec::new(), Vec::new(), Vec::new());
    let first_slice = program.consts.len() + program.carries.len();
    for (at, value) in node.operands.iter().enumerate() {
        let product =
            at.checked_sub(first_slice).and_then(|slice| Some((slice, product_behind(function, *value, &program)?)));
        match product {
            Some((slice, (MaskedProduct { columns, width, .. }, given))) => {
                products.push(FusedProduct { slice, columns, width });
                pairs.extend(given);
            }
            None => operands.push(*value),
        }
    }
    if pairs.is_empty() {
        return None;
    }
    let config = KernelCall::Loop(program, products).config();
    // Calls are recorded for one runtime, after all transforms that map functions.
    let call = node.op.downcast::<CustomCall>()?.clone();
    let op = Arc::new(CustomCall { config, map: |_, _| None, ..call });
    Some(Node { op, operands: [operands, pairs].concat(), ..node.clone() })
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

fn readers(function: &Function, value: Value) -> usize {
    let read = function.nodes().iter().flat_map(|node| &node.operands).chain(function.results());
    read.filter(|read| **read == value).count()
}
