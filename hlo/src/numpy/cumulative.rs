//! Cumulative sums and products.

use crate::graph::tensor::Tensor;
use crate::ops::promotion;
use crate::ops::sample::Sample;
use crate::scan::associative::associative_scan;
use crate::types::dtype::DType;

impl Tensor {
    /// The sum of the elements up to each one along `axis`, in the type of a sum. JAX: `jnp.cumsum`.
    ///
    /// Sums floats in the order of [`associative_scan`]; JAX on CPU uses another order, so the last bits may differ.
    #[track_caller]
    pub fn cumsum(&self, axis: isize) -> Tensor {
        self.convert(promotion::summed(self.dtype())).cumulative("cumsum", axis, |a, b| a + b)
    }

    /// The product of the elements up to each one along `axis`, in the type of a sum. JAX: `jnp.cumprod`.
    #[track_caller]
    pub fn cumprod(&self, axis: isize) -> Tensor {
        self.convert(promotion::summed(self.dtype())).cumulative("cumprod", axis, |a, b| a * b)
    }

    /// The largest element up to each one along `axis`. JAX: `lax.cummax`.
    #[track_caller]
    pub fn cummax(&self, axis: isize) -> Tensor {
        self.cumulative("cummax", axis, |a, b| a.maximum(b))
    }

    /// The smallest element up to each one along `axis`. JAX: `lax.cummin`.
    #[track_caller]
    pub fn cummin(&self, axis: isize) -> Tensor {
        self.cumulative("cummin", axis, |a, b| a.minimum(b))
    }

    #[track_caller]
    fn cumulative(&self, name: &str, axis: isize, combine: fn(&Tensor, &Tensor) -> Tensor) -> Tensor {
        if let Err(violation) = self.axis(axis) {
            return self.fail(name, violation);
        }
        associative_scan(&self.move_axis(axis, 0), false, combine).move_axis(0, axis)
    }
}

pub(crate) fn samples() -> Vec<Sample> {
    let sample = |name: &'static str, function: fn(&Tensor) -> Tensor| {
        Sample::new(name, move |x| vec![function(&x[0]) * &x[0]]).input(DType::F64, [3, 5], 0.5, 2.0)
    };
    vec![
        sample("cumsum", |x| x.cumsum(1)),
        sample("cumprod", |x| x.cumprod(-1)),
        sample("cummax", |x| x.cummax(0)),
        sample("cummin", |x| x.cummin(1)),
    ]
}
