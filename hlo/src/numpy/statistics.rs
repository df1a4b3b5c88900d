//! Variance and standard deviation.

use crate::graph::axes::{ReductionAxes, keepdims};
use crate::graph::tensor::Tensor;
use crate::ops::promotion;
use crate::ops::sample::Sample;
use crate::types::dtype::DType;

impl Tensor {
    /// The variance over `axes`: the sum of squared differences from the mean, divided by the number of elements less `ddof`
    /// (0: of the population, 1: the unbiased estimate). Of integers it is f32. JAX: `jnp.var`.
    #[track_caller]
    pub fn var(&self, axes: impl ReductionAxes, ddof: usize) -> Tensor {
        let x = self.convert(promotion::averaged(self.dtype()));
        let centered = &x - x.reduce_mean(keepdims(&axes));
        let count = self.count_over(&axes) as f64 - ddof as f64;
        (&centered * &centered).reduce_sum(&axes) / count
    }

    /// The standard deviation over `axes`: the square root of [`var`](Tensor::var). JAX: `jnp.std`.
    #[track_caller]
    pub fn std(&self, axes: impl ReductionAxes, ddof: usize) -> Tensor {
        self.var(axes, ddof).sqrt()
    }
}

pub(crate) fn samples() -> Vec<Sample> {
    vec![
        Sample::new("var", |x| vec![x[0].var(-1, 1)]).input(DType::F64, [3, 5], -1.0, 1.0),
        Sample::new("std", |x| vec![x[0].std(keepdims(0), 0) * &x[0]]).input(DType::F64, [3, 5], -1.0, 1.0),
    ]
}
