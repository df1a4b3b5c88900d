//! The type of a tensor: an element type and a shape.

use std::fmt;

use crate::types::dtype::DType;

/// Element type and dimensions of a tensor; printed as `f32[8,32]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TensorType {
    /// Element type.
    pub dtype: DType,
    /// Size of each axis, outermost first. Empty for a scalar.
    pub dims: Vec<usize>,
}

impl TensorType {
    /// A type from its parts.
    pub fn new(dtype: DType, dims: impl Into<Vec<usize>>) -> TensorType {
        TensorType { dtype, dims: dims.into() }
    }

    /// The type of a scalar.
    pub fn scalar(dtype: DType) -> TensorType {
        TensorType::new(dtype, [])
    }

    /// Number of axes.
    pub fn rank(&self) -> usize {
        self.dims.len()
    }

    /// Number of elements.
    pub fn count(&self) -> usize {
        self.dims.iter().product()
    }

    /// Bytes on a device, where sub-byte elements are packed.
    pub fn device_bytes(&self) -> usize {
        (self.count() * self.dtype.bits()).div_ceil(8)
    }

    /// The same shape with another element type.
    pub fn with_dtype(&self, dtype: DType) -> TensorType {
        TensorType::new(dtype, self.dims.clone())
    }

    /// The same element type with another shape.
    pub fn with_dims(&self, dims: impl Into<Vec<usize>>) -> TensorType {
        TensorType::new(self.dtype, dims)
    }

    /// MLIR's spelling, for example `tensor<8x32xf32>`.
    pub fn mlir(&self) -> String {
        let mut text = String::from("tensor<");
        for dim in &self.dims {
            text.push_str(&dim.to_string());
            text.push('x');
        }
        text.push_str(self.dtype.mlir());
        text.push('>');
        text
    }
}

impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[", self.dtype)?;
        for (i, dim) in self.dims.iter().enumerate() {
            write!(f, "{}{dim}", if i == 0 { "" } else { "," })?;
        }
        f.write_str("]")
    }
}
