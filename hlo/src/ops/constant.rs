//! Operations without operands: constants and iota.

use std::sync::Arc;

use crate::graph::error::Violation;
use crate::graph::op::{Cotangents, Infer, Op, Reverse};
use crate::graph::range::{Range, Ranges};
use crate::graph::shard::Split;
use crate::graph::tensor::Tensor;
use crate::graph::trace::Graph;
use crate::ops::promotion;
use crate::ops::sample::Sample;
use crate::print::literal;
use crate::types::array::Array;
use crate::types::dtype::DType;
use crate::types::tensor_type::TensorType;

/// A constant: `value` itself, or the scalar `value` broadcast to `ty`.
#[derive(Debug, PartialEq)]
pub struct Constant {
    /// The type of the result.
    pub ty: TensorType,
    /// All elements, or a scalar to broadcast.
    pub value: Array,
}

impl Op for Constant {
    fn name(&self) -> &'static str {
        "constant"
    }
    fn infer(&self, _: &[TensorType]) -> Infer {
        Ok(vec![self.ty.clone()])
    }
    fn attrs(&self) -> Vec<(&'static str, String)> {
        vec![("value", format!("{} : {}", literal::dense(&self.value), self.ty.mlir()))]
    }
    fn vjp(&self, _: &Reverse) -> Cotangents {
        Vec::new()
    }
    fn for_part(&self, _: Split, dims: &[usize]) -> Option<Arc<dyn Op>> {
        let part = || Constant { ty: self.ty.with_dims(dims), value: self.value.clone() };
        self.value.dims().is_empty().then(|| Arc::new(part()) as Arc<dyn Op>)
    }
    fn range(&self, _: &Ranges) -> Vec<Option<Range>> {
        let integer = |v: f64| (v.fract() == 0.0 && v.abs() <= f64::from(i32::MAX)).then_some(v as i64);
        let integers: Option<Vec<i64>> = self.value.to_f64().into_iter().map(integer).collect();
        vec![integers.and_then(Range::spanning)]
    }
}

#[derive(Debug, PartialEq)]
struct Iota {
    ty: TensorType,
    dimension: usize,
}

impl Op for Iota {
    fn name(&self) -> &'static str {
        "iota"
    }
    fn infer(&self, _: &[TensorType]) -> Infer {
        if self.dimension >= self.ty.rank() {
            return Err(Violation::new("C1", format!("axis {} is not an axis of {}", self.dimension, self.ty)));
        }
        let last = self.ty.dims[self.dimension].saturating_sub(1);
        if self.ty.dtype.is_integer() && self.ty.dtype.integer_range().is_some_and(|(_, high)| last as i128 > high) {
            return Err(Violation::new("", format!("{} cannot represent the index {last}", self.ty.dtype)));
        }
        Ok(vec![self.ty.clone()])
    }
    fn attrs(&self) -> Vec<(&'static str, String)> {
        vec![("iota_dimension", format!("{} : i64", self.dimension))]
    }
    fn vjp(&self, _: &Reverse) -> Cotangents {
        Vec::new()
    }
    fn range(&self, _: &Ranges) -> Vec<Option<Range>> {
        vec![Range::spanning([0, self.ty.dims[self.dimension].saturating_sub(1) as i64])]
    }
}

impl Graph {
    /// A constant from host memory. Spec: constant.
    #[track_caller]
    pub fn constant(&self, value: &Array) -> Tensor {
        self.apply(Constant { ty: value.ty().clone(), value: value.clone() }, &[])
    }

    /// A constant tensor of one number, rounded to the element type. Spec: constant.
    #[track_caller]
    #[doc(alias = "fill")]
    pub fn full(&self, ty: TensorType, value: f64) -> Tensor {
        let scalar = TensorType::scalar(ty.dtype);
        let value = Array::from_f64(scalar, &[value]).expect("one value for a scalar");
        self.apply(Constant { ty, value }, &[])
    }

    /// A scalar constant.
    #[track_caller]
    pub fn scalar(&self, dtype: DType, value: f64) -> Tensor {
        self.full(TensorType::scalar(dtype), value)
    }

    /// A constant tensor of zeros.
    #[track_caller]
    pub fn zeros(&self, ty: TensorType) -> Tensor {
        self.full(ty, 0.0)
    }

    /// A tensor whose elements are their index along `dimension`. Spec: iota.
    #[track_caller]
    pub fn iota(&self, ty: TensorType, dimension: usize) -> Tensor {
        self.apply(Iota { ty, dimension }, &[])
    }
}

impl Tensor {
    /// A tensor of this type filled with one number.
    #[track_caller]
    pub fn full_like(&self, value: f64) -> Tensor {
        self.graph().full(self.ty().clone(), value)
    }

    /// A tensor of this type filled with zeros.
    #[track_caller]
    pub fn zeros_like(&self) -> Tensor {
        self.full_like(0.0)
    }
}

/// An operand next to a tensor: another tensor, or a number, which takes the tensor's element type. A number that an integer type
/// cannot represent (for example a fraction) is an error.
pub trait Operand {
    /// The operand as a tensor; a number becomes a constant of `tensor`'s type.
    #[track_caller]
    fn beside(&self, tensor: &Tensor) -> Tensor;
}

impl Operand for Tensor {
    fn beside(&self, _: &Tensor) -> Tensor {
        self.clone()
    }
}

impl Operand for &Tensor {
    fn beside(&self, _: &Tensor) -> Tensor {
        (*self).clone()
    }
}

macro_rules! operands {
    ($($number:ty)*) => {$(
        impl Operand for $number {
            #[track_caller]
            fn beside(&self, tensor: &Tensor) -> Tensor {
                let number = *self as f64;
                if number.fract() == 0.0 && number.abs() > EXACT && number as i128 != *self as i128 {
                    let message = format!("{self} is beyond 2^53, up to which numbers beside a tensor are exact; use Graph::constant");
                    return tensor.fail("number", Violation::new("", message));
                }
                match promotion::holds(tensor.dtype(), number) {
                    Ok(()) => tensor.full_like(number),
                    Err(violation) => tensor.fail("number", violation),
                }
            }
        }
    )*};
}

/// Up to this magnitude f64 holds every integer.
const EXACT: f64 = (1i64 << 53) as f64;

operands! { f64 f32 i8 i16 i32 i64 isize u8 u16 u32 u64 usize }

pub(crate) fn samples() -> Vec<Sample> {
    let ramp = Array::new([2, 2], [1.0f64, -0.5, 0.25, f64::MIN_POSITIVE]).expect("four values");
    vec![
        Sample::new("constant", move |x| vec![&x[0] * x[0].graph().constant(&ramp)]).input(
            DType::F64,
            [2, 2],
            -1.0,
            1.0,
        ),
        Sample::new("iota", |x| vec![&x[0] * x[0].graph().iota(x[0].ty().clone(), 1)]).input(
            DType::F64,
            [2, 3],
            -1.0,
            1.0,
        ),
    ]
}
