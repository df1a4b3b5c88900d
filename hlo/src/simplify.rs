//! Removes what is not read and what is there twice. Knows no particular op.

use std::collections::HashMap;

use crate::function::{Function, Node, Value};

impl Function {
    /// The function without nodes that no result needs, and with equal nodes merged.
    pub fn simplify(&self) -> Function {
        let merged = self.merge_equal();
        let inputs: Vec<(Value, String)> =
            merged.inputs.iter().enumerate().map(|(i, name)| (merged.input(i), name.clone())).collect();
        Function::extract(&merged.nodes, &inputs, &merged.results)
    }

    /// Common subexpressions: a node equal to an earlier one gives way to it.
    fn merge_equal(&self) -> Function {
        let mut stands_for: Vec<usize> = (0..self.nodes.len()).collect();
        let mut seen: HashMap<String, usize> = HashMap::new();
        let mut nodes = Vec::with_capacity(self.nodes.len());
        for (index, node) in self.nodes.iter().enumerate() {
            let operands: Vec<Value> = node.operands.iter().map(|v| Value { node: stands_for[v.node], ..*v }).collect();
            if node.op.is_pure_data() {
                stands_for[index] = *seen.entry(key(node, &operands)).or_insert(index);
            }
            nodes.push(Node { operands, ..node.clone() });
        }
        let results = self.results.iter().map(|v| Value { node: stands_for[v.node], ..*v }).collect();
        Function { nodes, inputs: self.inputs.clone(), results }
    }
}

/// Equal for nodes that compute the same.
///
/// The printed attributes alone do not tell a sum from an or, whose difference is in their regions.
fn key(node: &Node, operands: &[Value]) -> String {
    format!("{} {:?} {:?} {:?} {:?}", node.op.name(), node.op, node.op.attrs(), node.types, operands)
}
