//! Lowering to StableHLO: scans become `while` loops, custom gradients become their forward function. Each op lowers itself.

use crate::graph::error::GraphErrors;
use crate::graph::function::{Function, Rewrite};
use crate::graph::op::Op;
use crate::graph::tensor::Tensor;
use crate::graph::trace::Graph;
use crate::types::tensor_type::TensorType;

impl Function {
    /// The same function in StableHLO operations only.
    ///
    /// # Errors
    /// None for a function that was traced without errors.
    pub fn lower(&self) -> Result<Function, GraphErrors> {
        let loops = self.lower_to_loops()?;
        if loops.every_op(&|op, types| op.is_stablehlo(types)) {
            return Ok(loops);
        }
        // Unused results of a loop must be removed while it is still a scan with known carries, and after custom gradients are lowered:
        // they have operands that only their backward pass reads.
        loops.simplify().transform(&mut |node, operands| node.op.lower(operands))?.lower()
    }

    /// The same function in StableHLO operations and scans.
    ///
    /// # Errors
    /// None for a function that was traced without errors.
    pub fn lower_to_loops(&self) -> Result<Function, GraphErrors> {
        if self.every_op(&|op, types| op.is_stablehlo(types) || op.lowers_last(types)) {
            return Ok(self.clone());
        }
        let lower = |op: &dyn Op, operands: &[Tensor]| {
            let types: Vec<TensorType> = operands.iter().map(|t| t.ty().clone()).collect();
            if op.lowers_last(&types) { None } else { op.lower(operands) }
        };
        let lowered = self.simplify().transform(&mut |node, operands| lower(node.op.as_ref(), operands))?;
        lowered.lower_to_loops()
    }

    /// Whether a predicate holds for every operation with its operand types, also in bodies.
    fn every_op(&self, holds: &dyn Fn(&dyn Op, &[TensorType]) -> bool) -> bool {
        self.nodes.iter().all(|node| {
            let operands: Vec<TensorType> = node.operands.iter().map(|&v| self.ty(v).clone()).collect();
            holds(node.op.as_ref(), &operands) && node.op.regions(&operands).iter().all(|body| body.every_op(holds))
        })
    }

    /// Replaces each node, also in bodies, by what `rewrite` records for it (`None` keeps the node).
    ///
    /// # Errors
    /// Those of `rewrite`.
    pub fn transform(&self, rewrite: &mut Rewrite) -> Result<Function, GraphErrors> {
        let graph = Graph::new();
        let inputs: Vec<Tensor> =
            self.inputs.iter().zip(self.input_types()).map(|(name, ty)| graph.input(name.as_str(), ty)).collect();
        let results = self.rewrite(&graph, &inputs, rewrite);
        graph.finish(&results)
    }
}
