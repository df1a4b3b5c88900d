//! Axes and indices as NumPy counts them: negative ones from the end.

use crate::graph::error::Violation;
use crate::graph::tensor::Tensor;

/// An integer that names an axis or an index along one. Negative: counted from the end.
pub trait Index: Copy {
    /// The number as `i128`, which holds every index.
    fn number(self) -> i128;
}

macro_rules! index {
    ($($integer:ty)*) => {$(
        impl Index for $integer {
            fn number(self) -> i128 {
                self as i128
            }
        }

        impl ReductionAxes for $integer {
            fn numbers(&self) -> Vec<i128> {
                vec![self.number()]
            }
        }
    )*};
}

index! { i32 i64 isize u32 u64 usize }

/// The axes of a reduction: one, or several in a slice, an array or a `Vec`. Negative: counted from the end.
/// [`keepdims`] leaves each reduced axis in the result, with size 1.
///
/// ```
/// use spiq_hlo::{DType, TensorType, keepdims, trace};
/// let f = trace(&[("x", TensorType::new(DType::F32, [2, 3, 5]))], |x| {
///     let x = &x[0];
///     vec![x.reduce_sum(1), x.reduce_sum([0, -1]), x / x.reduce_max(keepdims(-1))]
/// })?;
/// assert_eq!(f.result_types().iter().map(|ty| ty.to_string()).collect::<Vec<_>>(), ["f32[2,5]", "f32[3]", "f32[2,3,5]"]);
/// # Ok::<(), spiq_hlo::GraphErrors>(())
/// ```
pub trait ReductionAxes {
    /// The axes as the caller named them.
    fn numbers(&self) -> Vec<i128>;
    /// Whether the result keeps the reduced axes, with size 1.
    fn keeps_dims(&self) -> bool {
        false
    }
}

impl<I: Index> ReductionAxes for [I] {
    fn numbers(&self) -> Vec<i128> {
        self.iter().map(|axis| axis.number()).collect()
    }
}

impl<I: Index, const N: usize> ReductionAxes for [I; N] {
    fn numbers(&self) -> Vec<i128> {
        self[..].numbers()
    }
}

impl<I: Index> ReductionAxes for Vec<I> {
    fn numbers(&self) -> Vec<i128> {
        self[..].numbers()
    }
}

impl<A: ReductionAxes + ?Sized> ReductionAxes for &A {
    fn numbers(&self) -> Vec<i128> {
        (**self).numbers()
    }
    fn keeps_dims(&self) -> bool {
        (**self).keeps_dims()
    }
}

/// Axes that stay in the result of a reduction, with size 1. See [`keepdims`].
#[derive(Clone, Copy, Debug)]
pub struct Keepdims<A>(A);

impl<A: ReductionAxes> ReductionAxes for Keepdims<A> {
    fn numbers(&self) -> Vec<i128> {
        self.0.numbers()
    }
    fn keeps_dims(&self) -> bool {
        true
    }
}

/// Reduces over `axes` and keeps them in the result, with size 1, so that it broadcasts against the operand. NumPy: `keepdims=True`.
pub fn keepdims<A: ReductionAxes>(axes: A) -> Keepdims<A> {
    Keepdims(axes)
}

impl Tensor {
    /// The axis that `axis` names: counted from the end where it is negative, as in numpy.
    ///
    /// # Errors
    /// Names the axis and the type where there is no such axis.
    pub(crate) fn axis(&self, axis: impl Index) -> Result<usize, Violation> {
        let number = axis.number();
        from_end(number, self.rank())
            .filter(|axis| *axis < self.rank())
            .ok_or_else(|| Violation::new("", format!("axis {number} is not an axis of {}", self.ty())))
    }

    /// The axes that `axes` names. Those beyond the last axis stay as they are: the operation refuses them.
    ///
    /// # Errors
    /// Names an axis that counts from the end to before the first one.
    pub(crate) fn reduced(&self, axes: &impl ReductionAxes) -> Result<Vec<usize>, Violation> {
        let found = |number: i128| {
            let missing = || Violation::new("C4", format!("axis {number} is not an axis of {}", self.ty()));
            from_end(number, self.rank()).ok_or_else(missing)
        };
        axes.numbers().into_iter().map(found).collect()
    }
}

/// The place that `number` names among `count`: counted from the end where it is negative. `None` before the first.
pub(crate) fn from_end(number: i128, count: usize) -> Option<usize> {
    let place = if number < 0 { number + count as i128 } else { number };
    usize::try_from(place).ok()
}
