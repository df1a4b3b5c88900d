//! Activation functions and their relatives: relu, gelu, silu, softplus, softmax, log_softmax, logsumexp, one_hot.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

use crate::graph::axes::{ReductionAxes, keepdims};
use crate::graph::error::Violation;
use crate::graph::tensor::Tensor;
use crate::ops::gradient::custom_vjp;
use crate::ops::sample::Sample;
use crate::types::dtype::DType;
use crate::types::tensor_type::TensorType;

impl Tensor {
    /// `max(x, 0)`, with the derivative 0 at 0. JAX: `jax.nn.relu`.
    #[doc(alias = "rectifier")]
    #[track_caller]
    pub fn relu(&self) -> Tensor {
        // A select and not a maximum, whose derivative at 0 would be a half. NaN stays NaN.
        self.le(0.0).select(&self.zeros_like(), self)
    }

    /// `x sigmoid(x)`. JAX: `jax.nn.silu`.
    #[doc(alias = "swish")]
    #[track_caller]
    pub fn silu(&self) -> Tensor {
        self * self.logistic()
    }

    /// `log(1 + e^x)`, without overflow. JAX: `jax.nn.softplus`.
    #[track_caller]
    pub fn softplus(&self) -> Tensor {
        // The derivatives of maximum and abs at 0 do not add up to the right one.
        let value = |x: &Tensor| x.maximum(0.0) + x.abs().negate().exp().log1p();
        custom_vjp("softplus", self, value, |x: &Tensor, _: &Tensor, ct: &Tensor| ct * x.logistic())
    }

    /// The Gaussian error linear unit in its approximation by tanh, which is JAX's default. JAX: `jax.nn.gelu`.
    ///
    /// Source: Hendrycks and Gimpel 2016, "Gaussian Error Linear Units", section 2.
    #[track_caller]
    pub fn gelu(&self) -> Tensor {
        let cubed = self * (self * self);
        let inner = (self + cubed * 0.044715) * (2.0 / PI).sqrt();
        self * ((inner.tanh() + 1.0) * 0.5)
    }

    /// `x Φ(x)` with the normal distribution's Φ. JAX: `jax.nn.gelu(approximate=False)`.
    #[track_caller]
    pub fn gelu_exact(&self) -> Tensor {
        self * 0.5 * (self.negate() * FRAC_1_SQRT_2).erfc()
    }

    /// `e^x / sum(e^x)` over `axes`, without overflow. JAX: `jax.nn.softmax`.
    #[track_caller]
    pub fn softmax(&self, axes: impl ReductionAxes) -> Tensor {
        let unnormalized = (self - self.reduce_max(keepdims(&axes)).stop_gradient()).exp();
        let total = unnormalized.reduce_sum(keepdims(&axes));
        unnormalized / total
    }

    /// `x - log(sum(exp(x)))` along `axis` (negative: counted from the end), without overflow.
    #[track_caller]
    pub fn log_softmax(&self, axis: isize) -> Tensor {
        let axis = match self.axis(axis) {
            Ok(axis) => axis,
            Err(violation) => return self.fail("log_softmax", violation),
        };
        let shifted = self - self.reduce_max(keepdims(axis)).stop_gradient();
        let total = shifted.exp().reduce_sum(axis).log().expand_dims(axis as isize);
        shifted - total
    }

    /// `log(sum(e^x))` over `axes`, without overflow. JAX: `jax.nn.logsumexp`.
    #[track_caller]
    pub fn logsumexp(&self, axes: impl ReductionAxes) -> Tensor {
        let peak = self.reduce_max(keepdims(&axes));
        let peak = peak.is_finite().select(&peak, &peak.zeros_like()).stop_gradient();
        let total = (self - &peak).exp().reduce_sum(&axes);
        let peak = if axes.keeps_dims() { peak } else { peak.reshape(total.dims()) };
        total.log() + peak
    }

    /// An axis of size `classes` at the end, with 1 where its index is this integer and 0 elsewhere: all 0 for an integer that is no class.
    /// JAX: `jax.nn.one_hot`.
    ///
    /// ```
    /// use spiq_hlo::{DType, TensorType, trace};
    /// let f = trace(&[("labels", TensorType::new(DType::S32, [32]))], |x| vec![x[0].one_hot(10, DType::F32)])?;
    /// assert_eq!(f.result_types()[0].to_string(), "f32[32,10]");
    /// # Ok::<(), spiq_hlo::GraphErrors>(())
    /// ```
    ///
    /// # Errors
    /// Recorded in the trace: labels that are not integers, or of a type that cannot count the classes.
    #[track_caller]
    pub fn one_hot(&self, classes: usize, dtype: DType) -> Tensor {
        if !self.dtype().is_integer() && !self.is_poison() {
            let message =
                format!("labels are integers, not {}; convert them first, as with convert(DType::S32)", self.ty());
            return self.fail("one_hot", Violation::new("", message));
        }
        let dims = [self.dims(), &[classes]].concat();
        let index = self.graph().iota(TensorType::new(self.dtype(), dims), self.rank());
        self.expand_dims(-1).eq(index).convert(dtype)
    }
}

pub(crate) fn samples() -> Vec<Sample> {
    let f = DType::F64;
    let of = |name: &'static str, function: fn(&Tensor) -> Tensor| {
        Sample::new(name, move |x| vec![function(&x[0])]).input(f, [7], -2.0, 2.0)
    };
    vec![
        of("relu", Tensor::relu),
        of("silu", Tensor::silu),
        of("softplus", Tensor::softplus),
        of("gelu", Tensor::gelu),
        of("gelu_exact", Tensor::gelu_exact),
        Sample::new("log_softmax", |x| vec![x[0].log_softmax(-1) * &x[0]]).input(f, [2, 5], -1.0, 1.0),
        Sample::new("softmax", |x| vec![x[0].softmax(-1) * &x[0]]).input(f, [2, 5], -1.0, 1.0),
        Sample::new("logsumexp", |x| vec![x[0].logsumexp(0)]).input(f, [4, 2], -1.0, 1.0),
        Sample::new("one_hot", |x| vec![x[0].one_hot(4, DType::F64)]).input(DType::S32, [3], -1.0, 4.0),
    ]
}
