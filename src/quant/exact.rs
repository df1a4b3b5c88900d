//! Operands that need no rounding: integers that the quantized type holds as they are. Knows nothing of products.

use spiq_hlo::{Range, Tensor};

use super::calibration;
use super::qtensor::QTensor;
use super::qtype::QType;

impl QTensor {
    /// `x` in `qtype` with scale 1, where its elements are known to be integers that the type holds: spikes, and sums of a
    /// few of them. Nothing is measured and nothing is rounded.
    ///
    /// The values stand behind a barrier, since a comparison or conversion that a compiler fuses into a product keeps it
    /// from the integer units (on TPU).
    pub(crate) fn exact(x: &Tensor, qtype: QType) -> Option<QTensor> {
        let range = x.range().filter(|range| qtype.holds(*range))?;
        let values = x.convert(qtype.storage()).optimization_barrier().stop_gradient();
        let ones = x.ty().with_dims(vec![1; x.rank()]);
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
    /// Whether each of these integers is a value of the type.
    fn holds(self, range: Range) -> bool {
        let (low, high) = self.range();
        range.is_exact_in(self.storage()) && low <= range.low as f64 && range.high as f64 <= high
    }
}
