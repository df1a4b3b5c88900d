//! Dead code elimination and common subexpression elimination, also in bodies.

use std::collections::{HashMap, HashSet};

use crate::graph::function::{Function, Node, Value};
use crate::graph::op::Narrowed;

impl Function {
    /// Removes nodes that no result depends on and merges equal nodes, also in bodies. Loops lose unused carries, sequences and outputs.
    pub fn simplify(&self) -> Function {
        self.with_simple_bodies().merge_equal().prune()
    }

    fn with_simple_bodies(&self) -> Function {
        let simple = |node: &Node| Node {
            op: node.op.map_bodies(&|body| body.simplify()).unwrap_or_else(|| node.op.clone()),
            ..node.clone()
        };
        Function { nodes: self.nodes.iter().map(simple).collect(), ..self.clone() }
    }

    /// Common subexpression elimination: an earlier equal node replaces a later one.
    fn merge_equal(&self) -> Function {
        let mut stands_for: Vec<usize> = (0..self.nodes.len()).collect();
        let mut seen: HashMap<(&str, Vec<Value>), Vec<usize>> = HashMap::new();
        let mut nodes = Vec::with_capacity(self.nodes.len());
        for (index, node) in self.nodes.iter().enumerate() {
            let operands: Vec<Value> = node.operands.iter().map(|v| Value { node: stands_for[v.node], ..*v }).collect();
            if node.op.is_pure_data() {
                // Few operations with the same name have the same operands, so a linear comparison is enough.
                let alike = seen.entry((node.op.name(), operands.clone())).or_default();
                match alike.iter().find(|&&earlier| *node.op == *self.nodes[earlier].op) {
                    Some(&earlier) => stands_for[index] = earlier,
                    None => alike.push(index),
                }
            }
            nodes.push(Node { operands, ..node.clone() });
        }
        let results = self.results.iter().map(|v| Value { node: stands_for[v.node], ..*v }).collect();
        Function { nodes, inputs: self.inputs.clone(), results }
    }

    /// Dead code elimination: drops unused nodes and narrows those that can be narrowed.
    fn prune(&self) -> Function {
        let kept = self.needed_parts();
        let mut stands_for: HashMap<Value, Value> = HashMap::new();
        let mut nodes: Vec<Node> = Vec::new();
        for (index, part) in kept.into_iter().enumerate() {
            let Some(part) = part else { continue };
            let (node, at) = (&self.nodes[index], nodes.len());
            for (output, &old) in part.outputs.iter().enumerate() {
                stands_for.insert(Value { node: index, output: old }, Value { node: at, output });
            }
            let operands = part.operands.iter().map(|&i| stands_for[&node.operands[i]]).collect();
            let types = part.outputs.iter().map(|&i| node.types[i].clone()).collect();
            nodes.push(Node { op: part.op, operands, types, ..node.clone() });
        }
        let results = self.results.iter().map(|v| stands_for[v]).collect();
        Function { nodes, inputs: self.inputs.clone(), results }
    }

    /// The used part of each node, parameters whole; `None` for unused nodes.
    fn needed_parts(&self) -> Vec<Option<Narrowed>> {
        let mut read: HashSet<Value> = self.results.iter().copied().collect();
        let mut parts: Vec<Option<Narrowed>> = (0..self.nodes.len()).map(|_| None).collect();
        for (index, node) in self.nodes.iter().enumerate().rev() {
            let flags: Vec<bool> =
                (0..node.types.len()).map(|output| read.contains(&Value { node: index, output })).collect();
            if index >= self.inputs.len() && !flags.contains(&true) {
                continue;
            }
            let part = node.op.narrow(&flags).unwrap_or_else(|| Narrowed {
                op: node.op.clone(),
                operands: (0..node.operands.len()).collect(),
                outputs: (0..node.types.len()).collect(),
            });
            read.extend(part.operands.iter().map(|&i| node.operands[i]));
            parts[index] = Some(part);
        }
        parts
    }
}
