//! Host tensors: constants of a graph, inputs and outputs of programs.

use std::fmt;
use std::sync::Arc;

use half::{bf16, f16};

use crate::types::dtype::{DType, Kind};
use crate::types::minifloat;
use crate::types::tensor_type::TensorType;

/// A Rust type whose values are elements of a tensor.
pub trait Element: Copy + fmt::Debug + PartialEq + Send + Sync + 'static {
    /// The corresponding element type.
    const DTYPE: DType;
    /// Appends the value's bytes in native order.
    fn write(self, bytes: &mut Vec<u8>);
    /// Reads a value back from exactly [`DType::host_bytes`] bytes.
    fn read(bytes: &[u8]) -> Self;
}

macro_rules! elements {
    ($($rust:ty => $dtype:ident),* $(,)?) => {$(
        impl Element for $rust {
            const DTYPE: DType = DType::$dtype;
            fn write(self, bytes: &mut Vec<u8>) {
                bytes.extend_from_slice(&self.to_ne_bytes());
            }
            fn read(bytes: &[u8]) -> Self {
                <$rust>::from_ne_bytes(bytes.try_into().expect("one element's bytes"))
            }
        }
    )*};
}

elements! {
    i8 => S8, i16 => S16, i32 => S32, i64 => S64, u8 => U8, u16 => U16, u32 => U32, u64 => U64,
    bf16 => BF16, f16 => F16, f32 => F32, f64 => F64,
}

impl Element for bool {
    const DTYPE: DType = DType::Pred;
    fn write(self, bytes: &mut Vec<u8>) {
        bytes.push(u8::from(self));
    }
    fn read(bytes: &[u8]) -> Self {
        bytes[0] != 0
    }
}

/// Why an [`Array`] cannot be created or read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ArrayError {
    /// The number of elements or bytes does not match the shape.
    Count {
        /// The number that the shape requires.
        wanted: usize,
        /// The number given.
        got: usize,
    },
    /// Values were requested in another element type.
    DType {
        /// The array's element type.
        have: DType,
        /// The requested type.
        asked: DType,
    },
}

impl fmt::Display for ArrayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ArrayError::Count { wanted, got } => write!(f, "the shape needs {wanted}, but {got} were given"),
            ArrayError::DType { have, asked } => write!(f, "the array holds {have}, not {asked}"),
        }
    }
}

impl std::error::Error for ArrayError {}

/// A dense tensor in host memory, row-major, cheap to clone.
///
/// Elements narrower than a byte take a byte each (as PJRT's host buffers do); `pred` is one byte, 0 or 1.
///
/// ```
/// use spiq_hlo::{Array, DType};
/// let a = Array::new([2, 2], vec![1.0f32, 2.0, 3.0, 4.0])?;
/// assert_eq!(a.ty().to_string(), "f32[2,2]");
/// assert_eq!(a.to_vec::<f32>()?, [1.0, 2.0, 3.0, 4.0]);
/// # Ok::<(), spiq_hlo::ArrayError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Array {
    ty: TensorType,
    bytes: Arc<[u8]>,
}

impl Array {
    /// An array of `dims` from its elements in row-major order.
    ///
    /// # Errors
    /// [`ArrayError::Count`] when the number of values is not the product of `dims`.
    pub fn new<T: Element>(dims: impl Into<Vec<usize>>, values: impl AsRef<[T]>) -> Result<Array, ArrayError> {
        let (ty, values) = (TensorType::new(T::DTYPE, dims), values.as_ref());
        if ty.count() != values.len() {
            return Err(ArrayError::Count { wanted: ty.count(), got: values.len() });
        }
        let mut bytes = Vec::with_capacity(ty.count() * ty.dtype.host_bytes());
        values.iter().for_each(|v| v.write(&mut bytes));
        Ok(Array { ty, bytes: bytes.into() })
    }

    /// A scalar.
    pub fn scalar<T: Element>(value: T) -> Array {
        Array::new([], [value]).expect("one value for a scalar")
    }

    /// An array from host bytes, native byte order.
    ///
    /// # Errors
    /// [`ArrayError::Count`] when the number of bytes does not match the type.
    pub fn from_bytes(ty: TensorType, bytes: impl Into<Arc<[u8]>>) -> Result<Array, ArrayError> {
        let (wanted, bytes) = (ty.count() * ty.dtype.host_bytes(), bytes.into());
        if wanted != bytes.len() {
            return Err(ArrayError::Count { wanted, got: bytes.len() });
        }
        Ok(Array { ty, bytes })
    }

    /// An array of any element type from `f64` values: rounded to nearest even for floats, truncated and saturated for integers, `!= 0` for
    /// `pred`.
    ///
    /// # Errors
    /// [`ArrayError::Count`] when the number of values does not match the type.
    pub fn from_f64(ty: TensorType, values: &[f64]) -> Result<Array, ArrayError> {
        if ty.count() != values.len() {
            return Err(ArrayError::Count { wanted: ty.count(), got: values.len() });
        }
        let mut bytes = Vec::with_capacity(ty.count() * ty.dtype.host_bytes());
        values.iter().for_each(|&v| write_f64(ty.dtype, v, &mut bytes));
        Ok(Array { ty, bytes: bytes.into() })
    }

    /// An array of zeros.
    pub fn zeros(ty: TensorType) -> Array {
        let values = vec![0.0; ty.count()];
        Array::from_f64(ty, &values).expect("as many zeros as elements")
    }

    /// Element type and shape.
    pub fn ty(&self) -> &TensorType {
        &self.ty
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        self.ty.dtype
    }

    /// Size of each axis.
    pub fn dims(&self) -> &[usize] {
        &self.ty.dims
    }

    /// Host bytes, native byte order, row-major.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The elements in row-major order.
    ///
    /// # Errors
    /// [`ArrayError::DType`] when `T` is not the array's element type.
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>, ArrayError> {
        if T::DTYPE != self.dtype() {
            return Err(ArrayError::DType { have: self.dtype(), asked: T::DTYPE });
        }
        Ok(self.bytes.chunks_exact(T::DTYPE.host_bytes()).map(T::read).collect())
    }

    /// The only element of an array.
    ///
    /// # Errors
    /// [`ArrayError::Count`] for another number of elements, [`ArrayError::DType`] for another element type.
    pub fn item<T: Element>(&self) -> Result<T, ArrayError> {
        match self.to_vec::<T>()?.as_slice() {
            [only] => Ok(*only),
            more => Err(ArrayError::Count { wanted: 1, got: more.len() }),
        }
    }

    /// The elements as `f64`, for every element type (64-bit integers may round).
    pub fn to_f64(&self) -> Vec<f64> {
        self.bytes.chunks_exact(self.dtype().host_bytes()).map(|b| read_f64(self.dtype(), b)).collect()
    }

    /// The same elements with another shape.
    ///
    /// # Errors
    /// [`ArrayError::Count`] when the number of elements differs.
    pub fn reshape(&self, dims: impl Into<Vec<usize>>) -> Result<Array, ArrayError> {
        let ty = self.ty.with_dims(dims);
        if ty.count() != self.ty.count() {
            return Err(ArrayError::Count { wanted: ty.count(), got: self.ty.count() });
        }
        Ok(Array { ty, bytes: self.bytes.clone() })
    }
}

/// A vector.
impl<T: Element> From<Vec<T>> for Array {
    fn from(values: Vec<T>) -> Array {
        Array::new([values.len()], values).expect("as many values as elements")
    }
}

/// A vector.
impl<T: Element, const N: usize> From<[T; N]> for Array {
    fn from(values: [T; N]) -> Array {
        Array::new([N], values).expect("as many values as elements")
    }
}

fn write_f64(dtype: DType, value: f64, bytes: &mut Vec<u8>) {
    match dtype {
        DType::BF16 => bf16::from_f64(value).write(bytes),
        DType::F16 => f16::from_f64(value).write(bytes),
        DType::F32 => (value as f32).write(bytes),
        DType::F64 => value.write(bytes),
        DType::Pred => (value != 0.0).write(bytes),
        _ if dtype.is_integer() => {
            let (low, high) = dtype.integer_range().expect("an integer type has a range");
            let clamped = (value as i128).clamp(low, high);
            bytes.extend_from_slice(&clamped.to_le_bytes()[..dtype.host_bytes()]);
        }
        _ => bytes.push(minifloat::encode(dtype, value).expect("a small float")),
    }
}

fn read_f64(dtype: DType, bytes: &[u8]) -> f64 {
    match (dtype, dtype.kind()) {
        (DType::BF16, _) => bf16::read(bytes).to_f64(),
        (DType::F16, _) => f16::read(bytes).to_f64(),
        (DType::F32, _) => f64::from(f32::read(bytes)),
        (DType::F64, _) => f64::read(bytes),
        (_, Kind::Float) => minifloat::decode(dtype, bytes[0]).expect("a small float"),
        (_, Kind::Pred) => f64::from(bytes[0]),
        (_, kind) => {
            // Sign-extends from the element's width: the upper bits of a sub-byte element are unspecified.
            let mut wide = [0u8; 16];
            wide[..bytes.len()].copy_from_slice(bytes);
            let spare = 128 - dtype.bits() as u32;
            let shifted = i128::from_le_bytes(wide) << spare;
            if kind == Kind::Signed { (shifted >> spare) as f64 } else { ((shifted as u128) >> spare) as f64 }
        }
    }
}

/// Elements that `Debug` prints.
const SHOWN: usize = 16;

impl fmt::Debug for Array {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: Vec<f64> = self.to_f64().into_iter().take(SHOWN).collect();
        let more = if self.ty.count() > SHOWN { ", …" } else { "" };
        let list: Vec<String> = shown.iter().map(f64::to_string).collect();
        write!(f, "{} [{}{more}]", self.ty, list.join(", "))
    }
}

#[cfg(feature = "ndarray")]
mod with_ndarray {
    use super::{Array, ArrayError, Element};

    impl<T: Element, D: ndarray::Dimension> From<ndarray::Array<T, D>> for Array {
        fn from(array: ndarray::Array<T, D>) -> Array {
            let values: Vec<T> = array.iter().copied().collect();
            Array::new(array.shape(), values).expect("an ndarray has as many elements as its shape")
        }
    }

    impl Array {
        /// The array as an `ndarray` of the same shape.
        ///
        /// # Errors
        /// [`ArrayError::DType`] when `T` is not the array's element type.
        pub fn to_ndarray<T: Element>(&self) -> Result<ndarray::ArrayD<T>, ArrayError> {
            let values = self.to_vec::<T>()?;
            Ok(ndarray::ArrayD::from_shape_vec(self.dims(), values).expect("the shape fits its own elements"))
        }
    }
}
