//! Detects non-finite values of a step, inside the compiled step.

use std::collections::BTreeMap;

use spiq_hlo::{DType, Tensor};

use crate::by_path::Tensors;

/// Whether any of these tensors or the loss has an infinite or NaN element: pred[]. It reads only values that the step computes anyway, and
/// no kept value depends on it.
pub(super) fn any_broken(of: [&Tensors; 3], loss: &Tensor) -> Tensor {
    // A parameter and its gradient share one reduction, so that a GPU launches one kernel for both.
    let mut broken: BTreeMap<(&str, &[usize]), Tensor> = BTreeMap::new();
    for (path, tensor) in of.into_iter().flatten().filter(|(_, tensor)| tensor.dtype().is_float()) {
        let own = tensor.is_finite().not();
        let of_path = broken.entry((path, tensor.dims()));
        of_path.and_modify(|all| *all = all.or(own.clone())).or_insert(own);
    }
    broken.values().fold(not_finite(loss), |any, elements| any.or(anywhere(elements)))
}

/// Whether an element is infinite or NaN: pred[].
fn not_finite(tensor: &Tensor) -> Tensor {
    anywhere(&tensor.is_finite().not())
}

/// Whether an element is true: pred[].
fn anywhere(elements: &Tensor) -> Tensor {
    elements.reduce_or((0..elements.rank()).collect::<Vec<usize>>())
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
