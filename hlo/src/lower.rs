//! From our constructs to StableHLO's: scans become loops, custom gradients their forward function. Knows no particular
//! op; each lowers itself.

use crate::error::GraphErrors;
use crate::function::{Function, Rewrite};
use crate::graph::Graph;
use crate::op::Op;
use crate::tensor::Tensor;
use crate::types::TensorType;

impl Function {
    /// The same function in StableHLO's operations alone.
    ///
    /// # Errors
    /// None for a function that was traced without errors.
    pub fn lower(&self) -> Result<Function, GraphErrors> {
        // What nobody reads of a loop must go while the loop still says what it carries: after the custom gradients, which
        // name operands that only their way back reads.
        let simple = self.simplify();
        let wait = !simple.every_op(&|op| op.is_stablehlo() || op.lowers_last());
        let lower = |op: &dyn Op, operands: &[Tensor]| if wait && op.lowers_last() { None } else { op.lower(operands) };
        let lowered = simple.transform(&mut |node, operands| lower(node.op.as_ref(), operands))?;
        if lowered.every_op(&|op| op.is_stablehlo()) { Ok(lowered) } else { lowered.lower() }
    }

    /// Whether something holds for every operation, in bodies too.
    fn every_op(&self, holds: &dyn Fn(&dyn Op) -> bool) -> bool {
        self.nodes.iter().all(|node| {
            let operands: Vec<TensorType> = node.operands.iter().map(|&v| self.ty(v).clone()).collect();
            holds(node.op.as_ref()) && node.op.regions(&operands).iter().all(|body| body.every_op(holds))
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
