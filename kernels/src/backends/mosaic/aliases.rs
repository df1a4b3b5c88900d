//! Lets sequences that a kernel writes take the memory of sequences that it reads: a gradient that of the cotangent it is computed from.
//!
//! A kernel reads a block before it writes the same one, so this is always correct. Where an operand is read again later, the compiler
//! copies it first; therefore only operands without other readers are given away.

use std::collections::HashMap;
use std::sync::Arc;

use spiq_hlo::{Function, Node, Op, Value};

use super::call::MosaicCall;

/// The function with aliases in its calls.
pub(super) fn with_aliases(function: &Function) -> Function {
    let readers = readers(function);
    let change = |node: &Node| -> Arc<dyn Op> {
        match node.op.downcast::<MosaicCall>() {
            Some(call) => Arc::new(call.with_aliases(|operand| is_free(function, node.operands[operand], &readers))),
            None => node.op.map_bodies(&with_aliases).unwrap_or_else(|| node.op.clone()),
        }
    };
    let nodes = function.nodes().iter().map(|node| Node { op: change(node), ..node.clone() }).collect();
    Function::from_parts(nodes, function.input_names().to_vec(), function.results().to_vec())
}

/// How often each value is read.
fn readers(function: &Function) -> HashMap<Value, usize> {
    let mut readers = HashMap::new();
    let read = function.nodes().iter().flat_map(|node| &node.operands);
    read.chain(function.results()).for_each(|value| *readers.entry(*value).or_default() += 1);
    readers
}

/// Whether a value is computed for one reader only. A reshape does not compute anything.
fn is_free(function: &Function, value: Value, readers: &HashMap<Value, usize>) -> bool {
    let node = &function.nodes()[value.node];
    let computed = !node.operands.is_empty() && node.op.name() != "broadcast_in_dim";
    readers[&value] == 1 && computed && (node.op.name() != "reshape" || is_free(function, node.operands[0], readers))
}
