//! Runs the instructions of a function on tensors. Values are numbered in order of definition; an inner function can refer to those
//! before it, then to its own parameters.

use spiq::{Graph, Tensor};

use super::program::{Instruction, Program};
use super::{operations, transforms};

/// The values in scope of a function.
#[derive(Clone)]
pub struct Frame {
    pub graph: Graph,
    inputs: Vec<Tensor>,
    values: Vec<Tensor>,
}

impl Frame {
    pub fn new(graph: &Graph, inputs: Vec<Tensor>) -> Frame {
        Frame { graph: graph.clone(), inputs, values: Vec::new() }
    }

    /// -1 is the first input, -2 the second.
    fn at(&self, reference: i64) -> Tensor {
        if reference < 0 { self.inputs[!reference as usize].clone() } else { self.values[reference as usize].clone() }
    }

    /// Calls a function nested in this one.
    pub fn call(&self, body: &Program, arguments: &[Tensor]) -> Vec<Tensor> {
        let mut inner = self.clone();
        inner.values.extend_from_slice(arguments);
        body.code.iter().for_each(|instruction| inner.step(instruction));
        body.results.iter().map(|&r| inner.at(r)).collect()
    }

    fn step(&mut self, instruction: &Instruction) {
        let Instruction { name, operands, attributes } = instruction;
        let operands: Vec<Tensor> = operands.iter().map(|&r| self.at(r)).collect();
        let results = transforms::apply(self, name, &operands, attributes)
            .unwrap_or_else(|| operations::apply(&self.graph, name, &operands, attributes));
        self.values.extend(results);
    }
}
