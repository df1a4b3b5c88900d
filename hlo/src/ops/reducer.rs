//! How two elements become one, for reductions over axes and over windows. Knows neither.

use crate::graph::error::Violation;
use crate::graph::function::Function;
use crate::graph::tensor::Tensor;
use crate::graph::trace::Graph;
use crate::types::dtype::{DType, Kind};
use crate::types::tensor_type::TensorType;

/// How two elements become one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Reducer {
    Sum,
    Product,
    Max,
    /// The larger magnitude, from 0 on: the operation `reduce_absmax`, one of ours, which reads its operand once. Its start is
    /// no identity (0 beside x gives |x|), and a compiler may leave the start out where there is nothing to combine; so it is for
    /// two elements or more.
    AbsMax,
    Min,
    And,
    Or,
}

impl Reducer {
    /// Whether it reduces elements of this type: bits are of integers and booleans, magnitudes of what has a sign.
    pub(super) fn check(self, ty: &TensorType) -> Result<(), Violation> {
        let kind = ty.dtype.kind();
        let wanted = match self {
            Reducer::And | Reducer::Or => (kind != Kind::Float).then_some(()).ok_or("integers or booleans"),
            Reducer::AbsMax => matches!(kind, Kind::Signed | Kind::Float).then_some(()).ok_or("numbers with a sign"),
            _ => Ok(()),
        };
        wanted.map_err(|wanted| Violation::new("C6", format!("wants {wanted}, got {ty}")))
    }

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

    /// The value that changes nothing beside any other: a reduction starts from it, and padding consists of it. For
    /// [`AbsMax`](Reducer::AbsMax), that beside magnitudes.
    pub(super) fn neutral(self, dtype: DType) -> f64 {
        let (low, high) = extremes(dtype);
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

/// The smallest and the largest value of an element type: infinities, where it has them. As JAX, which starts a maximum of
/// the others from their most negative number.
fn extremes(dtype: DType) -> (f64, f64) {
    match (dtype.integer_range(), dtype) {
        (Some((low, high)), _) => (low as f64, high as f64),
        (None, DType::F8E4M3FN) => (-448.0, 448.0),
        (None, DType::F4E2M1FN) => (-6.0, 6.0),
        (None, DType::F8E8M0FNU) => (2f64.powi(-127), 2f64.powi(127)),
        (None, _) => (f64::NEG_INFINITY, f64::INFINITY),
    }
}
