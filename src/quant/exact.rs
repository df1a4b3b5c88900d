//! Operands that need no rounding: integers that the quantized type represents exactly.

use spiq_hlo::{DType, Range, Tensor};

use super::calibration;
use super::qtensor::QTensor;
use super::qtype::QType;
use super::rounding::{as_float, round_to};

impl QTensor {
    /// `x` in `qtype` with scale 1, if its elements are known to be integers that the type represents: spikes, and sums of a few of them.
    /// It needs no calibration or rounding. Booleans stay booleans; products accept them.
    ///
    /// Other values go behind a barrier, because a comparison or conversion that a compiler fuses into a product keeps it from using
    /// integer units (on TPU).
    pub(crate) fn exact(x: &Tensor, qtype: QType) -> Option<QTensor> {
        let range = x.range().filter(|range| qtype.holds(*range))?;
        let values = match qtype.is_uniform() {
            true if x.dtype() == DType::Pred => x.clone(),
            true => x.convert(qtype.storage()).optimization_barrier(),
            // Stored values are level indices, not the values themselves.
            false => round_to(&as_float(x), qtype).optimization_barrier(),
        };
        let values = values.stop_gradient();
        let ones = as_float(x).ty().with_dims(vec![1; x.rank()]);
        let largest = range.magnitudes().map_or(0, |r| r.high) as f64;
        let limit = calibration::Range::Symmetric(x.graph().full(ones.clone(), largest));
        Some(QTensor {
            values,
            scale: x.graph().full(ones, 1.0),
            zero_point: None,
            range: limit,
            qtype,
            tiles: None,
            is_exact: true,
        })
    }
}

impl QType {
    /// Whether the type represents each of these integers.
    fn holds(self, range: Range) -> bool {
        let (low, high) = match self {
            // A spike is already one bit.
            QType::Int1 => (0, 1),
            QType::Int(_) | QType::Nf4 | QType::Ternary | QType::Binary => {
                let (low, high) = self.range();
                (low as i64, high as i64)
            }
            // Integers up to 2^(mantissa bits + 1); larger ones have gaps (4-bit floats have no 5).
            QType::E4m3fn | QType::Mxfp8 => (-16, 16),
            QType::E5m2 => (-8, 8),
            QType::Mxfp4 | QType::Nvfp4 => (-4, 4),
        };
        range.is_within(Range { low, high })
    }
}
