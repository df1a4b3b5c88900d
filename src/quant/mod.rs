//! Quantization as a graph transform: rules select operations, operands are rounded, gradients pass straight through. Invariant: does not
//! depend on neurons.

mod axes;
mod backward;
mod backward_rule;
mod bfloat16;
mod calibration;
mod conv;
mod dot;
mod exact;
mod noise;
mod numerics;
mod operand;
mod presets;
mod product;
mod qtensor;
mod qtype;
mod reference;
mod refusal;
mod report;
mod rounding;
mod rule;
mod rules;
mod spread;
mod statistics;
mod stored;
mod straight_through;
mod sums;
mod transform;

pub use bfloat16::{Precision, products_in_bf16};
pub use calibration::Method;
pub use noise::rounding_noise;
pub use numerics::{Arithmetic, Gradients, Numerics};
pub use presets::{
    binary_activation_error, bitnet_ternary_rules, linear_only_rules, spiking_feedforward_rules, weights_only_rules,
};
pub use qtype::QType;
pub use report::{OperandReport, Report, Row};
pub use rules::Rules;
pub(crate) use spread::Spread;
pub(crate) use statistics::{check_counted, is_statistic, missing};
pub use stored::{Stored, StoredWeight, split_stored};
pub use transform::{Mode, Quantized, quantize};
pub(crate) use transform::{NOISE_KEY, quantize_with};
