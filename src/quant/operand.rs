//! A side of a product: the operand, and its quantized form where a rule asked for one. Knows nothing of the product.

use spiq_hlo::{DType, Tensor};

use super::calibration::Method;
use super::qtensor::QTensor;
use super::rounding::{as_float, levels};

/// A side of a product.
#[derive(Clone)]
pub(crate) struct Operand {
    pub(crate) original: Tensor,
    /// The quantized form, and the method that its range came from.
    pub(crate) quantized: Option<(QTensor, Method)>,
    /// Whether it is computed from weights alone.
    pub(crate) is_weight: bool,
}

impl Operand {
    /// The quantized form.
    pub(crate) fn q(&self) -> Option<&QTensor> {
        self.quantized.as_ref().map(|(q, _)| q)
    }

    /// The same operand, its original read from elsewhere: the parameter of a body that has to stay closed.
    pub(crate) fn read_from(&self, original: &Tensor) -> Operand {
        Operand { original: original.clone(), ..self.clone() }
    }

    /// The same operand, its quantized form a constant to differentiation.
    pub(crate) fn held(&self) -> Operand {
        Operand { quantized: self.quantized.as_ref().map(|(q, method)| (q.held(), *method)), ..self.clone() }
    }

    /// What the product sees: the rounded values, or the operand itself where it is not quantized.
    pub(crate) fn dequantized(&self) -> Tensor {
        self.q().map_or_else(|| self.original.clone(), QTensor::dequantize)
    }

    /// The operand as it was before rounding. One that needed none is read as it is kept, in a byte an element: booleans and integers
    /// as they are.
    pub(crate) fn unrounded(&self) -> Tensor {
        match self.q() {
            Some(q) if q.is_exact && matches!(q.values.dtype(), DType::Pred | DType::S8) => q.values.clone(),
            Some(q) if q.is_exact => levels(&q.values, q.qtype, as_float(&self.original).dtype()),
            _ => self.original.clone(),
        }
    }

    /// A gradient, cut where the original lay outside the represented range. Booleans have none.
    pub(crate) fn masked(&self, gradient: Tensor) -> Tensor {
        match &self.quantized {
            _ if !self.original.dtype().is_float() => self.original.zeros_like(),
            Some((q, method)) if method.clips() && q.qtype.cuts_gradients() => q.mask(&gradient, &self.original),
            _ => gradient,
        }
    }
}
