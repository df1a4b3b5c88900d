//! Removes what is not read and what is there twice, in bodies too. Knows no particular op.

use std::collections::{HashMap, HashSet};

use crate::graph::function::{Function, Node, Value};
use crate::graph::op::Narrowed;

impl Function {
    /// The function without what no result needs, and with equal nodes merged. Bodies are simplified too, and loops lose
    /// the carries, sequences and outputs that nobody reads.
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

    /// Common subexpressions: a node equal to an earlier one gives way to it.
    fn merge_equal(&self) -> Function {
        let mut stands_for: Vec<usize> = (0..self.nodes.len()).collect();
        let mut seen: HashMap<(&str, Vec<Value>), Vec<usize>> = HashMap::new();
        let mut nodes = Vec::with_capacity(self.nodes.len());
        for (index, node) in self.nodes.iter().enumerate() {
            let operands: Vec<Value> = node.operands.iter().map(|v| Value { node: stands_for[v.node], ..*v }).collect();
            if node.op.is_pure_data() {
                // Few operations of one name have the same operands, so they are compared one by one.
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

    /// Drops what no result needs: whole nodes, and parts of those that can be narrowed.
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

    /// What is needed of each node, parameters whole; `None` for nodes that are not needed.
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
