//! One side of a product: the operand, and its quantized form if a rule selects it.

use spiq_hlo::{DType, Tensor};

use super::calibration::Method;
use super::qtensor::QTensor;
use super::rounding::{as_float, levels};

/// One side of a product.
#[derive(Clone)]
pub(crate) struct Operand {
    pub(crate) original: Tensor,
    /// The quantized form, and the method that determined its range.
    pub(crate) quantized: Option<(QTensor, Method)>,
    /// Whether it is computed only from weights.
    pub(crate) is_weight: bool,
}

impl Operand {
    /// The quantized form.
    pub(crate) fn q(&self) -> Option<&QTensor> {
        self.quantized.as_ref().map(|(q, _)| q)
    }

    /// The same operand with another tensor as its original: a parameter of a body that must not capture.
    pub(crate) fn read_from(&self, original: &Tensor) -> Operand {
        Operand { original: original.clone(), ..self.clone() }
    }

    /// The same operand, with its quantized form constant under differentiation.
    pub(crate) fn held(&self) -> Operand {
        Operand { quantized: self.quantized.as_ref().map(|(q, method)| (q.held(), *method)), ..self.clone() }
    }

    /// The product's input: the rounded values, or the operand itself if it is not quantized.
    pub(crate) fn dequantized(&self) -> Tensor {
        self.q().map_or_else(|| self.original.clone(), QTensor::dequantize)
    }

    /// The operand before rounding. An exact one is read in its stored form, one byte per element: booleans and integers.
    pub(crate) fn unrounded(&self) -> Tensor {
        match self.q() {
            Some(q) if q.is_exact && matches!(q.values.dtype(), DType::Pred | DType::S8) => q.values.clone(),
            Some(q) if q.is_exact => levels(&q.values, q.qtype, as_float(&self.original).dtype()),
            _ => self.original.clone(),
        }
    }

    /// Masks a gradient where the original is outside the represented range. Booleans have no gradient.
    pub(crate) fn masked(&self, gradient: Tensor) -> Tensor {
        match &self.quantized {
            _ if !self.original.dtype().is_float() => self.original.zeros_like(),
            Some((q, method)) if method.clips() && q.qtype.cuts_gradients() => q.mask(&gradient, &self.original),
            _ => gradient,
        }
    }
}
