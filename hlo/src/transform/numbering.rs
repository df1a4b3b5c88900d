//! Numbers each operation, so that compiled instructions can be traced back to it.

use std::cell::Cell;
use std::sync::Arc;

use crate::graph::function::{Function, Node};

impl Function {
    /// The same function with `#` and a unique number appended to each operation's module path, `core/layers/2#17`. In bodies the number
    /// consists of the loop's number, the body's and the operation's: `core#9.1.3`.
    ///
    /// Compilers keep the path as the operation's name through fusion.
    pub fn numbered(&self) -> Function {
        self.numbered_under("")
    }

    fn numbered_under(&self, prefix: &str) -> Function {
        let name = |(index, node): (usize, &Node)| {
            let number = format!("{prefix}{index}");
            let body = Cell::new(0);
            let inner = node.op.map_bodies(&|function| {
                body.set(body.get() + 1);
                function.numbered_under(&format!("{number}.{}.", body.get()))
            });
            let op = inner.unwrap_or_else(|| node.op.clone());
            Node { op, scope: Arc::from(format!("{}#{number}", node.scope)), ..node.clone() }
        };
        Function { nodes: self.nodes.iter().enumerate().map(name).collect(), ..self.clone() }
    }

    /// Calls `f` with each node, also in bodies, and the types of its operands.
    pub fn each_node(&self, f: &mut dyn FnMut(&Node, &[crate::TensorType])) {
        for node in &self.nodes {
            let operands: Vec<_> = node.operands.iter().map(|&v| self.ty(v).clone()).collect();
            f(node, &operands);
            node.op.regions(&operands).iter().for_each(|body| body.each_node(f));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{DType, TensorType, scan, trace};

    #[test]
    fn every_operation_has_a_number_of_its_own() {
        let function = trace(&[("x", TensorType::new(DType::F32, [4, 2]))], |x| {
            let start = x[0].index_axis(0, 0);
            vec![scan(&start, &x[0], |v, x| (&v * 0.5 + x, v)).1]
        });
        let numbered = function.expect("sound").lower().expect("sound").numbered();
        let mut paths = Vec::new();
        numbered.each_node(&mut |node, _| paths.push(node.scope.to_string()));
        let count = paths.len();
        paths.sort();
        paths.dedup();
        assert_eq!(paths.len(), count);
        assert!(paths.iter().any(|path| path.matches('.').count() == 2), "{paths:?}");
    }
}
