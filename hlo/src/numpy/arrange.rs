//! Functions that rearrange elements: stack, split, squeeze, roll, tile, repeat, flip, tril, triu, arange.

use crate::graph::axes::{Index, ReductionAxes};
use crate::graph::error::Violation;
use crate::graph::tensor::Tensor;
use crate::graph::trace::Graph;
use crate::ops::sample::Sample;
use crate::ops::slice::concatenate;
use crate::types::array::Array;
use crate::types::dtype::DType;
use crate::types::tensor_type::TensorType;

/// Tensors of one type along a new axis (negative: counted from the end of the result). JAX: `jnp.stack`.
///
/// # Panics
/// When `parts` is empty: there is no trace to keep an error in.
///
/// ```
/// use spiq_hlo::{DType, TensorType, stack, trace};
/// let f = trace(&[("x", TensorType::new(DType::F32, [3]))], |x| vec![stack(&[&x[0], &x[0]], 0), stack(&[&x[0]], -1)])?;
/// assert_eq!(f.result_types().iter().map(|ty| ty.to_string()).collect::<Vec<_>>(), ["f32[2,3]", "f32[3,1]"]);
/// # Ok::<(), spiq_hlo::GraphErrors>(())
/// ```
#[track_caller]
pub fn stack(parts: &[&Tensor], axis: isize) -> Tensor {
    let first = parts[0];
    if let Some(other) = parts.iter().find(|part| part.ty() != first.ty() && !part.is_poison()) {
        let message = format!("stacks tensors of one type, got {} and {}", first.ty(), other.ty());
        return first.fail("stack", Violation::new("", message));
    }
    let mut grown = Vec::with_capacity(parts.len());
    for part in parts {
        grown.push(part.expand_dims(axis));
    }
    concatenate(&grown.iter().collect::<Vec<_>>(), axis)
}

impl Graph {
    /// The integers or numbers from `start` in steps of `step`, as many as stay before `stop`. JAX: `jnp.arange`.
    ///
    /// # Errors
    /// Recorded in the trace: a step of 0, numbers that the type does not hold.
    #[track_caller]
    pub fn arange(&self, dtype: DType, start: f64, stop: f64, step: f64) -> Tensor {
        let count = ((stop - start) / step).ceil();
        if step == 0.0 || !count.is_finite() {
            return self.fail("arange", Violation::new("", format!("{start} to {stop} in steps of {step} has no end")));
        }
        let values: Vec<f64> = (0..count.max(0.0) as usize).map(|n| start + n as f64 * step).collect();
        match Array::from_f64(TensorType::new(dtype, [values.len()]), &values) {
            Ok(values) => self.constant(&values),
            Err(error) => self.fail("arange", Violation::new("", error.to_string())),
        }
    }
}

impl Tensor {
    /// The tensor cut into `sections` parts of one size along `axis`. JAX: `jnp.split` with a number.
    ///
    /// # Errors
    /// Recorded in the trace, with as many wrong tensors as sections: an axis that does not divide.
    #[track_caller]
    pub fn split(&self, sections: usize, axis: isize) -> Vec<Tensor> {
        let size = self.axis(axis).map(|axis| self.dims()[axis]);
        let size = match size {
            Ok(size) if sections > 0 && size % sections == 0 => size / sections,
            Ok(size) => {
                let message = format!(
                    "axis {axis} of {} has {size} elements, which {sections} sections do not divide",
                    self.ty()
                );
                return vec![self.fail("split", Violation::new("", message)); sections.max(1)];
            }
            Err(violation) => return vec![self.fail("split", violation); sections.max(1)],
        };
        let mut parts = Vec::with_capacity(sections);
        for section in 0..sections {
            parts.push(self.slice_axis(axis, section * size, (section + 1) * size));
        }
        parts
    }

    /// The tensor cut before each of the indices `at` along `axis`. JAX: `jnp.split` with indices.
    #[track_caller]
    #[doc(alias = "array_split")]
    pub fn split_at(&self, at: &[usize], axis: isize) -> Vec<Tensor> {
        let size = match self.axis(axis) {
            Ok(axis) => self.dims()[axis],
            Err(violation) => return vec![self.fail("split_at", violation); at.len() + 1],
        };
        let mut parts = Vec::with_capacity(at.len() + 1);
        let mut start = 0;
        for &limit in at.iter().chain([&size]) {
            let limit = limit.min(size);
            parts.push(self.slice_axis(axis, start.min(limit), limit));
            start = limit;
        }
        parts
    }

    /// The tensor without `axes`, which have size 1. JAX: `jnp.squeeze`.
    ///
    /// # Errors
    /// Recorded in the trace: an axis of another size, no such axis.
    #[track_caller]
    pub fn squeeze(&self, axes: impl ReductionAxes) -> Tensor {
        let axes = match self.reduced(&axes) {
            Ok(axes) => axes,
            Err(violation) => return self.fail("squeeze", violation),
        };
        if let Some(axis) = axes.iter().find(|axis| self.dims().get(**axis) != Some(&1)) {
            let message = format!("axis {axis} of {} does not have size 1", self.ty());
            return self.fail("squeeze", Violation::new("", message));
        }
        let kept = (0..self.rank()).filter(|axis| !axes.contains(axis));
        self.reshape(&kept.map(|axis| self.dims()[axis]).collect::<Vec<_>>())
    }

    /// The elements shifted by `shift` along `axis`: what leaves at the end comes in at the start. JAX: `jnp.roll`.
    #[track_caller]
    pub fn roll(&self, shift: isize, axis: isize) -> Tensor {
        let size = match self.axis(axis) {
            Ok(axis) => self.dims()[axis],
            Err(violation) => return self.fail("roll", violation),
        };
        let cut = if size == 0 { 0 } else { shift.rem_euclid(size as isize) as usize };
        match cut {
            0 => self.clone(),
            _ => {
                let [front, back] = [self.slice_axis(axis, size - cut, size), self.slice_axis(axis, 0, size - cut)];
                concatenate(&[&front, &back], axis)
            }
        }
    }

    /// The tensor repeated `repeats[i]` times along axis `i`, matched from the last axis. JAX: `jnp.tile`.
    #[track_caller]
    pub fn tile(&self, repeats: &[usize]) -> Tensor {
        let rank = self.rank().max(repeats.len());
        let padded = |given: &[usize]| [vec![1; rank - given.len()], given.to_vec()].concat();
        let (dims, repeats) = (padded(self.dims()), padded(repeats));
        // Each axis as (repeats, size).
        let pairs: Vec<usize> = repeats.iter().zip(&dims).flat_map(|(repeat, size)| [*repeat, *size]).collect();
        let sizes: Vec<usize> = (0..rank).map(|axis| 2 * axis + 1).collect();
        let product: Vec<usize> = repeats.iter().zip(&dims).map(|(repeat, size)| repeat * size).collect();
        self.reshape(&dims).broadcast_in_dim(&pairs, &sizes).reshape(&product)
    }

    /// Each element `repeats` times in a row along `axis`. JAX: `jnp.repeat`.
    #[track_caller]
    #[doc(alias = "repeat_interleave")]
    pub fn repeat(&self, repeats: usize, axis: isize) -> Tensor {
        let axis = match self.axis(axis) {
            Ok(axis) => axis,
            Err(violation) => return self.fail("repeat", violation),
        };
        let mut dims = self.dims().to_vec();
        dims.insert(axis + 1, repeats);
        let axes: Vec<usize> = (0..self.rank()).map(|from| if from <= axis { from } else { from + 1 }).collect();
        let repeated = self.broadcast_in_dim(&dims, &axes);
        let size = dims.remove(axis + 1);
        dims[axis] *= size;
        repeated.reshape(&dims)
    }

    /// The elements in reverse order along `axes`. JAX: `jnp.flip`.
    #[track_caller]
    #[doc(alias = "rev")]
    pub fn flip(&self, axes: impl ReductionAxes) -> Tensor {
        match self.reduced(&axes) {
            Ok(axes) => self.reverse(&axes),
            Err(violation) => self.fail("flip", violation),
        }
    }

    /// The lower triangle of the last two axes, up to the diagonal `k` (0: the main one, 1: the one above it); zero elsewhere. JAX:
    /// `jnp.tril`.
    #[track_caller]
    pub fn tril(&self, k: impl Index) -> Tensor {
        self.triangle("tril", k.number(), |place, diagonal| place.le(diagonal))
    }

    /// The upper triangle of the last two axes, from the diagonal `k` on; zero elsewhere. JAX: `jnp.triu`.
    #[track_caller]
    pub fn triu(&self, k: impl Index) -> Tensor {
        self.triangle("triu", k.number(), |place, diagonal| place.ge(diagonal))
    }

    /// The elements whose diagonal, column minus row, is kept.
    #[track_caller]
    fn triangle(&self, name: &str, k: i128, kept: fn(&Tensor, f64) -> Tensor) -> Tensor {
        if self.rank() < 2 {
            return self.fail(name, Violation::new("", format!("{} is not a matrix", self.ty())));
        }
        let matrix = TensorType::new(DType::S32, &self.dims()[self.rank() - 2..]);
        let diagonal = self.graph().iota(matrix.clone(), 1) - self.graph().iota(matrix, 0);
        // Beyond every diagonal of a matrix whose sizes fit s32.
        let k = k.clamp(i32::MIN.into(), i32::MAX.into()) as f64;
        kept(&diagonal, k).broadcast_to(self.dims()).select(self, &self.zeros_like())
    }
}

pub(crate) fn samples() -> Vec<Sample> {
    let f = DType::F64;
    let sample = |name: &'static str, function: fn(&Tensor) -> Tensor| {
        Sample::new(name, move |x| {
            let y = function(&x[0]);
            let weights = y.graph().iota(TensorType::new(DType::F64, [y.ty().count()]), 0).reshape(y.dims());
            vec![y * weights]
        })
        .input(f, [4, 3], -1.0, 1.0)
    };
    vec![
        sample("stack", |x| stack(&[x, &x.exp()], -2)),
        sample("split", |x| {
            let halves = x.split(2, 0);
            &halves[0] * halves[1].exp()
        }),
        sample("split_at", |x| x.split_at(&[1, 3], 0).swap_remove(1)),
        sample("squeeze", |x| x.slice_axis(1, 1, 2).squeeze(-1)),
        sample("roll", |x| x.roll(-1, 0)),
        sample("tile", |x| x.tile(&[2, 1, 3])),
        sample("repeat", |x| x.repeat(3, 0)),
        sample("flip", |x| x.flip([0, -1])),
        sample("tril", |x| x.tril(-1)),
        sample("triu", |x| x.triu(1)),
        sample("arange", |x| x.graph().arange(DType::F64, 0.5, 3.5, 1.0) * x),
    ]
}
