//! Which inputs each result of a function depends on.

use crate::graph::function::Function;

/// For each result of `body`, which of its inputs it depends on.
pub(crate) fn dependence(body: &Function) -> Vec<Vec<bool>> {
    let inputs = body.inputs.len();
    let mut reach: Vec<Vec<bool>> = Vec::with_capacity(body.nodes.len());
    for (index, node) in body.nodes.iter().enumerate() {
        let mut from = vec![false; inputs];
        if index < inputs {
            from[index] = true;
        }
        for operand in &node.operands {
            from.iter_mut().zip(&reach[operand.node]).for_each(|(a, b)| *a |= b);
        }
        reach.push(from);
    }
    body.results.iter().map(|v| reach[v.node].clone()).collect()
}
