//! Fuses conversions of a scan's results into the scan.

use std::collections::HashMap;

use spiq_hlo::{DType, Function, Node, Op, Scan, Value};

use super::body::{program_of, stores};
use super::recurrent::has_recurrent_product;

/// Moves conversions of a scan's outputs into the scan, so that it writes the converted elements directly instead of wider ones that
/// are read again.
pub(super) fn convert_inside(function: &Function) -> Function {
    let inner = |node: &Node| Node {
        op: node.op.map_bodies(&convert_inside).unwrap_or_else(|| node.op.clone()),
        ..node.clone()
    };
    let mut nodes: Vec<Node> = function.nodes().iter().map(inner).collect();
    let mut stands_for: HashMap<Value, Value> = HashMap::new();
    let mut widened: HashMap<(Value, DType), Value> = HashMap::new();
    for index in 0..nodes.len() {
        if nodes[index].op.name() != "convert" {
            continue;
        }
        // The operand may be a conversion that is already inside.
        let now = |value: Value| stands_for.get(&value).copied().unwrap_or(value);
        let (value, reshape) = behind_reshape(&nodes, now(nodes[index].operands[0]));
        let value = now(value);
        let to = nodes[index].types[0].dtype;
        let known = widened.get(&(value, to)).copied();
        let Some(output) = known.or_else(|| widen(&mut nodes, value, index)) else { continue };
        widened.insert((value, to), output);
        match reshape {
            Some(reshape) => {
                nodes[index] = Node { op: nodes[reshape].op.clone(), operands: vec![output], ..nodes[index].clone() };
            }
            None => _ = stands_for.insert(Value { node: index, output: 0 }, output),
        }
    }
    let follow = |value: &mut Value| *value = stands_for.get(value).copied().unwrap_or(*value);
    nodes.iter_mut().flat_map(|node| &mut node.operands).for_each(follow);
    let mut results = function.results().to_vec();
    results.iter_mut().for_each(follow);
    Function::from_parts(nodes, function.input_names().to_vec(), results).simplify()
}

/// If `value` is a reshape, its operand and the reshape's node; otherwise `value`.
fn behind_reshape(nodes: &[Node], value: Value) -> (Value, Option<usize>) {
    match nodes[value.node].op.name() {
        "reshape" => (nodes[value.node].operands[0], Some(value.node)),
        _ => (value, None),
    }
}

/// Adds an output to a scan: one of its stacked outputs, converted like the node at `convert`. `None`: `value` is not from such a scan.
fn widen(nodes: &mut [Node], value: Value, convert: usize) -> Option<Value> {
    let (node, convert) = (nodes[value.node].clone(), nodes[convert].clone());
    let scan = node.op.downcast::<Scan>()?;
    let to = convert.types[0].dtype;
    let in_kernel = program_of(scan).is_ok() || has_recurrent_product(scan);
    if value.output < scan.carries() || !stores(to) || !in_kernel {
        return None;
    }
    let stacked = node.types[value.output].with_dtype(to);
    let op = scan.map_bodies(&|body| converting(body, value.output, &convert))?;
    nodes[value.node] = Node { op, types: [node.types.clone(), vec![stacked]].concat(), ..node.clone() };
    Some(Value { node: value.node, output: node.types.len() })
}

/// A body with an additional result: one of its results, converted like the node `convert`.
fn converting(body: &Function, result: usize, convert: &Node) -> Function {
    let (mut nodes, mut results) = (body.nodes().to_vec(), body.results().to_vec());
    let source = results[result];
    let types = vec![body.ty(source).with_dtype(convert.types[0].dtype)];
    results.push(Value { node: nodes.len(), output: 0 });
    nodes.push(Node { operands: vec![source], types, ..convert.clone() });
    Function::from_parts(nodes, body.input_names().to_vec(), results)
}
