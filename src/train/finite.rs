//! Detects non-finite values of a step, inside the compiled step.

use spiq_hlo::{DType, Tensor};

use crate::by_path::Tensors;

/// Whether any of these tensors or the loss has an infinite or NaN element: pred[]. It reads only values that the step computes anyway, and
/// no kept value depends on it.
pub(super) fn any_broken(of: [&Tensors; 3], loss: &Tensor) -> Tensor {
    let tensors = of.into_iter().flat_map(Tensors::values).filter(|tensor| tensor.dtype().is_float());
    tensors.fold(not_finite(loss), |broken, tensor| broken.or(not_finite(tensor)))
}

/// Whether an element is infinite or NaN: pred[].
pub(super) fn not_finite(tensor: &Tensor) -> Tensor {
    let axes: Vec<usize> = (0..tensor.rank()).collect();
    tensor.is_finite().not().reduce_or(&axes)
}

/// 1 where an element is infinite or NaN, else 0: f32[].
pub(super) fn flag(tensor: &Tensor) -> Tensor {
    not_finite(tensor).convert(DType::F32)
}

/// The carry of a step: parameters, statistics, the optimizer's state.
type Carried = (Tensors, Tensors, Tensors);

/// The carry from before the step where `broken` (pred[]) is true, else the next one.
pub(super) fn choose(broken: &Tensor, before: &Carried, next: Carried) -> Carried {
    let each = |before: &Tensors, next: Tensors| -> Tensors {
        next.into_iter()
            .map(|(path, next)| {
                let kept = broken.select(&before[&path], &next);
                (path, kept)
            })
            .collect()
    };
    (each(&before.0, next.0), each(&before.1, next.1), each(&before.2, next.2))
}
