//! How two elements become one, for reductions over axes and over windows. Knows neither.

use crate::dtype::{DType, Kind};
use crate::function::Function;
use crate::graph::Graph;
use crate::tensor::Tensor;
use crate::types::TensorType;

/// How two elements become one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Reducer {
    Sum,
    Product,
    Max,
    /// The larger magnitude, from 0 on: one pass over memory where `abs` and a maximum would be two.
    AbsMax,
    Min,
    And,
    Or,
}

impl Reducer {
    pub(super) fn combine(self, a: &Tensor, b: &Tensor) -> Tensor {
        match self {
            Reducer::Sum => a.add(b),
            Reducer::Product => a.mul(b),
            Reducer::Max => a.maximum(b),
            Reducer::AbsMax => a.abs().maximum(b.abs()),
            Reducer::Min => a.minimum(b),
            Reducer::And => a.and(b),
            Reducer::Or => a.or(b),
        }
    }

    /// The value that changes nothing.
    pub(super) fn neutral(self, dtype: DType) -> f64 {
        let (low, high) = match dtype.integer_range() {
            Some((low, high)) => (low as f64, high as f64),
            None => (f64::NEG_INFINITY, f64::INFINITY),
        };
        match self {
            Reducer::Sum | Reducer::Or | Reducer::AbsMax => 0.0,
            Reducer::Product => 1.0,
            Reducer::Max => low,
            Reducer::Min => high,
            Reducer::And => {
                if dtype.kind() == Kind::Unsigned {
                    high
                } else {
                    -1.0
                }
            }
        }
    }

    /// The printed function of two elements.
    pub(super) fn region(self, dtype: DType) -> Function {
        let graph = Graph::new();
        let scalar = TensorType::scalar(dtype);
        let (a, b) = (graph.input("", scalar.clone()), graph.input("", scalar));
        graph.finish(&[self.combine(&a, &b)]).expect("a reducer fits its element type")
    }
}
