//! From our constructs to StableHLO's: scans become loops, custom gradients their forward function. Knows no particular
//! op; each lowers itself.

use crate::error::GraphErrors;
use crate::function::{Function, Rewrite};
use crate::graph::Graph;
use crate::tensor::Tensor;
use crate::types::TensorType;

impl Function {
    /// The same function in StableHLO's operations alone.
    ///
    /// # Errors
    /// None for a function that was traced without errors.
    pub fn lower(&self) -> Result<Function, GraphErrors> {
        // What nobody reads of a loop must go while the loop still says what it carries.
        let lowered = self.simplify().transform(&mut |node, operands| node.op.lower(operands))?;
        if lowered.is_stablehlo() { Ok(lowered) } else { lowered.lower() }
    }

    /// Whether every operation, in bodies too, is one of StableHLO's.
    fn is_stablehlo(&self) -> bool {
        self.nodes.iter().all(|node| {
            let operands: Vec<TensorType> = node.operands.iter().map(|&v| self.ty(v).clone()).collect();
            node.op.is_stablehlo() && node.op.regions(&operands).iter().all(Function::is_stablehlo)
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
