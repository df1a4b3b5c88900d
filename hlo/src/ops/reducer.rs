//! Binary functions that reductions over axes and windows apply.

use crate::graph::error::Violation;
use crate::graph::function::Function;
use crate::graph::tensor::Tensor;
use crate::graph::trace::Graph;
use crate::types::dtype::{DType, Kind};
use crate::types::tensor_type::TensorType;

/// The binary function of a reduction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Reducer {
    Sum,
    Product,
    Max,
    /// The larger magnitude, starting from 0: `reduce_absmax`, a custom operation that reads its operand once. Its initial value is not an
    /// identity (0 with x gives |x|), and a compiler may omit it if there is nothing to combine; so it requires two elements or more.
    AbsMax,
    Min,
    And,
    Or,
}

impl Reducer {
    /// Its name for code that computes it elsewhere.
    pub(super) fn name(self) -> &'static str {
        match self {
            Reducer::Sum => "sum",
            Reducer::Product => "product",
            Reducer::Max => "max",
            Reducer::AbsMax => "absmax",
            Reducer::Min => "min",
            Reducer::And => "and",
            Reducer::Or => "or",
        }
    }

    /// Whether it accepts elements of this type: bitwise reductions need integers or booleans, magnitudes need a signed type.
    pub(super) fn check(self, ty: &TensorType) -> Result<(), Violation> {
        let kind = ty.dtype.kind();
        let wanted = match self {
            Reducer::And | Reducer::Or => (kind != Kind::Float).then_some(()).ok_or("integers or booleans"),
            Reducer::AbsMax => matches!(kind, Kind::Signed | Kind::Float).then_some(()).ok_or("signed numbers"),
            _ => Ok(()),
        };
        wanted.map_err(|wanted| Violation::new("C6", format!("requires {wanted}, got {ty}")))
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

    /// The identity element: a reduction starts from it, and padding consists of it. For [`AbsMax`](Reducer::AbsMax), the identity among
    /// magnitudes.
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

    /// The binary function as a printable region.
    pub(super) fn region(self, dtype: DType) -> Function {
        let graph = Graph::new();
        let scalar = TensorType::scalar(dtype);
        let (a, b) = (graph.input("", scalar.clone()), graph.input("", scalar));
        graph.finish(&[self.combine(&a, &b)]).expect("a reducer fits its element type")
    }
}

/// The smallest and the largest value of an element type, infinities if it has them. Like JAX, which starts a maximum of the other
/// floats from their most negative number.
fn extremes(dtype: DType) -> (f64, f64) {
    match (dtype.integer_range(), dtype) {
        (Some((low, high)), _) => (low as f64, high as f64),
        (None, DType::F8E4M3FN) => (-448.0, 448.0),
        (None, DType::F4E2M1FN) => (-6.0, 6.0),
        (None, DType::F8E8M0FNU) => (2f64.powi(-127), 2f64.powi(127)),
        (None, _) => (f64::NEG_INFINITY, f64::INFINITY),
    }
}
