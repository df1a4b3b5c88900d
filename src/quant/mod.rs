//! Quantization as a transform of the graph: rules choose operations, operands are rounded, gradients pass straight
//! through. Knows nothing of neurons.

mod calibration;
mod conv;
mod dot;
mod numerics;
mod operand;
mod product;
mod qtensor;
mod qtype;
mod report;
mod rule;
mod straight_through;
mod transform;

pub use calibration::Method;
pub use numerics::Numerics;
pub use qtype::QType;
pub use report::{Report, Row, Side};
pub use rule::{Rules, linear_only_rules, weights_only_rules};
pub use transform::{Mode, Quantized, quantize};
