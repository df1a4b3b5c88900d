//! Derivatives of vectors: Jacobians and Hessians, and products with Hessians.

use crate::graph::tensor::Tensor;
use crate::transform::autodiff::{grad, vjp};
use crate::transform::vmap::vmap;

/// The derivative of each element of `f(at)` by each element of `at`, by one reverse pass that is mapped over the elements of the
/// result. JAX: `jax.jacrev`.
///
/// Shape: that of `f(at)`, then that of `at`.
///
/// ```
/// use spiq_hlo::{jacobian, trace, DType, TensorType};
/// let x = TensorType::new(DType::F32, [3]);
/// let f = trace(&[("x", x)], |x| vec![jacobian(&x[0], |x| x.cumsum(0).slice_axis(0, 0, 2))])?;
/// assert_eq!(f.result_types()[0].to_string(), "f32[2,3]");
/// # Ok::<(), spiq_hlo::GraphErrors>(())
/// ```
#[track_caller]
#[doc(alias = "jacrev")]
pub fn jacobian(at: &Tensor, f: impl FnOnce(&Tensor) -> Tensor) -> Tensor {
    let fresh = at.identity();
    let value = f(&fresh);
    if value.is_poison() || fresh.is_poison() {
        return if value.is_poison() { value } else { fresh };
    }
    let count: usize = value.dims().iter().product();
    let places = value.graph().iota(value.ty().with_dims([count]), 0);
    let units = places.expand_dims(1).eq(&places).convert(value.dtype());
    let dims = value.dims().to_vec();
    let rows = vmap(&units, |unit| {
        let ct = unit.reshape(&dims);
        vjp(std::slice::from_ref(&value), &[Some(ct)], std::slice::from_ref(&fresh)).swap_remove(0)
    });
    rows.reshape(&[&dims, at.dims()].concat())
}

/// The second derivatives of a scalar function. JAX: `jax.hessian`.
///
/// Shape: that of `at`, twice.
///
/// ```
/// use spiq_hlo::{hessian, trace, DType, TensorType};
/// let x = TensorType::new(DType::F32, [3]);
/// let f = trace(&[("x", x)], |x| vec![hessian(&x[0], |x| (x * x * x).sum())])?;
/// assert_eq!(f.result_types()[0].to_string(), "f32[3,3]");
/// # Ok::<(), spiq_hlo::GraphErrors>(())
/// ```
#[track_caller]
pub fn hessian(at: &Tensor, f: impl FnOnce(&Tensor) -> Tensor) -> Tensor {
    jacobian(at, |x| grad(x, f))
}
