//! Takes a product with spikes into the loop that reads it: a step's sums are used where they are made, and the sequence of
//! them is never in memory. Knows both calls, and not what they compute.

use std::sync::Arc;

use crate::elementwise_scan::ELEMENTWISE_SCAN;
use crate::graph::error::GraphErrors;
use crate::graph::function::{Function, Node, Value};
use crate::lane_program::LaneProgram;
use crate::ops::custom_call::CustomCall;
use crate::spike_product::SpikeProduct;

/// The configuration of an [`ELEMENTWISE_SCAN`] that computes products: for each, the number of the slice that is its rows, the columns of its
/// spikes and the columns of its matrix. Such a slice is no operand; behind all others come spikes and matrix of each product.
pub const SCAN_PRODUCTS: &str = "products";

impl Function {
    /// The same function with what a runtime's kernels compute in calls of them: [products with spikes](Function::call_spike_products),
    /// [elementwise loops](Function::call_elementwise_scans), and products that only such a loop reads in the loop.
    ///
    /// # Errors
    /// None for a function that was traced without errors.
    pub fn call_kernels(&self) -> Result<Function, GraphErrors> {
        Ok(self.call_spike_products()?.call_elementwise_scans()?.simplify().products_in_scans())
    }

    fn products_in_scans(&self) -> Function {
        let mut nodes: Vec<Node> = self
            .nodes
            .iter()
            .map(|node| {
                let op = node.op.map_bodies(&Function::products_in_scans).unwrap_or_else(|| node.op.clone());
                Node { op, ..node.clone() }
            })
            .collect();
        for node in &mut nodes {
            if let Some(whole) = self.with_products(node) {
                *node = whole;
            }
        }
        Function { nodes, ..self.clone() }.simplify()
    }

    /// The loop with the products that only it reads, if there are such.
    fn with_products(&self, node: &Node) -> Option<Node> {
        let call = node.op.downcast::<CustomCall>().filter(|call| call.target == ELEMENTWISE_SCAN)?;
        let program = LaneProgram::decode(&call.config[0].1)?;
        let (mut operands, mut pairs, mut config) = (Vec::new(), Vec::new(), Vec::new());
        let first_slice = program.consts.len() + program.carries.len();
        for (at, value) in node.operands.iter().enumerate() {
            let product =
                at.checked_sub(first_slice).and_then(|slice| Some((slice, self.product_behind(*value, &program)?)));
            match product {
                Some((slice, (product, given))) => {
                    config.extend([slice, product.columns, product.width].map(|n| n as i64));
                    pairs.extend(given);
                }
                None => operands.push(*value),
            }
        }
        if pairs.is_empty() {
            return None;
        }
        let config = vec![call.config[0].clone(), (SCAN_PRODUCTS, config)];
        // Calls are recorded for one runtime, after everything that maps functions.
        let op = Arc::new(CustomCall { config, map: |_, _| None, ..call.clone() });
        Some(Node { op, operands: [operands, pairs].concat(), ..node.clone() })
    }

    /// The product whose rows are a loop's rows, and its operands, if nothing else reads it.
    fn product_behind(&self, value: Value, program: &LaneProgram) -> Option<(SpikeProduct, Vec<Value>)> {
        let only = |value: Value| self.readers(value) == 1;
        let node = &self.nodes[value.node];
        let source = if node.op.name() == "reshape" { node.operands[0] } else { value };
        let node = &self.nodes[source.node];
        let product = SpikeProduct::called_by(node.op.as_ref())?;
        let fits = !product.over_rows
            && product.rows * product.width == program.steps * program.lanes
            && program.lanes.is_multiple_of(product.width);
        (fits && only(value) && only(source)).then(|| (product, node.operands.clone()))
    }

    fn readers(&self, value: Value) -> usize {
        self.nodes.iter().flat_map(|node| &node.operands).chain(&self.results).filter(|read| **read == value).count()
    }
}
