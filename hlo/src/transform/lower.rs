//! From our constructs to StableHLO's: scans become loops, custom gradients their forward function. Knows no particular
//! op; each lowers itself.

use crate::graph::error::GraphErrors;
use crate::graph::function::{Function, Rewrite};
use crate::graph::op::Op;
use crate::graph::tensor::Tensor;
use crate::graph::trace::Graph;
use crate::types::tensor_type::TensorType;

impl Function {
    /// The same function in StableHLO's operations alone.
    ///
    /// # Errors
    /// None for a function that was traced without errors.
    pub fn lower(&self) -> Result<Function, GraphErrors> {
        let loops = self.lower_to_loops()?;
        if loops.every_op(&|op, types| op.is_stablehlo(types)) {
            return Ok(loops);
        }
        // What nobody reads of a loop must go while the loop still says what it carries: after the custom gradients, which
        // name operands that only their way back reads.
        loops.simplify().transform(&mut |node, operands| node.op.lower(operands))?.lower()
    }

    /// The same function in StableHLO's operations and loops that still say what they carry.
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

    /// Whether something holds for every operation with the types of its operands, in bodies too.
    fn every_op(&self, holds: &dyn Fn(&dyn Op, &[TensorType]) -> bool) -> bool {
        self.nodes.iter().all(|node| {
            let operands: Vec<TensorType> = node.operands.iter().map(|&v| self.ty(v).clone()).collect();
            holds(node.op.as_ref(), &operands) && node.op.regions(&operands).iter().all(|body| body.every_op(holds))
        })
    }

    /// The function with each node replaced by what `rewrite` records for it (`None` keeps it), bodies included.
    ///
    /// # Errors
    /// Those of what `rewrite` records.
    pub fn transform(&self, rewrite: &mut Rewrite) -> Result<Function, GraphErrors> {
        let graph = Graph::new();
        let inputs: Vec<Tensor> =
            self.inputs.iter().zip(self.input_types()).map(|(name, ty)| graph.input(name.as_str(), ty)).collect();
        let results = self.rewrite(&graph, &inputs, rewrite);
        graph.finish(&results)
    }
}
