//! An independent check of a finished function.

use crate::graph::function::{Function, Parameter, Value};
use crate::types::tensor_type::TensorType;

impl Function {
    /// Checks that every node follows its operands, that its types match shape inference, and that results exist, also in bodies.
    ///
    /// # Errors
    /// One sentence about the first invalid node. A function that was traced without errors passes.
    pub fn verify(&self) -> Result<(), String> {
        for index in 0..self.nodes.len() {
            self.verify_node(index).map_err(|e| format!("node {index} ({}): {e}", self.nodes[index].op.name()))?;
        }
        match self.results.iter().find(|v| !self.has(**v, self.nodes.len())) {
            Some(value) => Err(format!("result {value:?} does not exist")),
            None => Ok(()),
        }
    }

    fn has(&self, value: Value, before: usize) -> bool {
        value.node < before && value.output < self.nodes[value.node].types.len()
    }

    fn verify_node(&self, index: usize) -> Result<(), String> {
        let node = &self.nodes[index];
        let is_parameter = node.op.downcast::<Parameter>().is_some();
        if is_parameter != (index < self.inputs.len()) {
            return Err("parameters must precede all other nodes".to_owned());
        }
        if is_parameter {
            return Ok(());
        }
        if let Some(value) = node.operands.iter().find(|v| !self.has(**v, index)) {
            return Err(format!("operand {value:?} does not come before it"));
        }
        let operands: Vec<TensorType> = node.operands.iter().map(|&v| self.ty(v).clone()).collect();
        let types = node.op.infer(&operands).map_err(|v| format!("{} [{}]", v.message, v.constraint))?;
        if types != node.types {
            return Err(format!("its types are {:?}, but inference returns {types:?}", node.types));
        }
        node.op.regions(&operands).iter().try_for_each(Function::verify)
    }
}
