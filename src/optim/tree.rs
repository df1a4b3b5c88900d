//! Arithmetic on maps of tensors: zip by path, moments, norms, step counts.

use std::collections::BTreeMap;

use spiq_hlo::{DType, Tensor, TensorType, Violation};

use crate::by_path::Tensors;

/// The path of the step count.
pub(super) const COUNT: &str = "count";

pub(super) fn count_type() -> (String, TensorType) {
    (COUNT.to_owned(), TensorType::scalar(DType::S32))
}

/// The entries of `map`, with `folder` prepended to their paths.
pub(super) fn under<T: Clone>(folder: &str, map: &BTreeMap<String, T>) -> BTreeMap<String, T> {
    map.iter().map(|(path, value)| (join(folder, path), value.clone())).collect()
}

/// The entries of `map` under `folder`, with the folder removed from their paths.
pub(super) fn of_folder<T: Clone>(folder: &str, map: &BTreeMap<String, T>) -> BTreeMap<String, T> {
    let folder = format!("{folder}/");
    map.iter().filter_map(|(path, value)| Some((path.strip_prefix(&folder)?.to_owned(), value.clone()))).collect()
}

fn join(folder: &str, path: &str) -> String {
    if folder.is_empty() { path.to_owned() } else { format!("{folder}/{path}") }
}

/// Applies `f` to each tensor in `left` and the one in `right` under the same path in `folder`.
///
/// A tensor that is missing there or has another type is an error of `op`.
#[track_caller]
pub(super) fn zip(
    op: &str,
    left: &Tensors,
    right: &Tensors,
    folder: &str,
    mut f: impl FnMut(&Tensor, &Tensor) -> Tensor,
) -> Tensors {
    let mut out = Tensors::new();
    for (path, a) in left {
        let there = join(folder, path);
        let b = match right.get(&there) {
            _ if a.is_poison() => a.clone(),
            Some(b) if b.is_poison() || b.ty() == a.ty() => b.clone(),
            Some(b) => fail(op, a, format!("{path} {} and {there} {} differ in type", a.ty(), b.ty())),
            None => fail(op, a, format!("{there} is missing, for {path} of type {}", a.ty())),
        };
        out.insert(path.clone(), f(a, &b));
    }
    out
}

#[track_caller]
fn fail(op: &str, near: &Tensor, message: String) -> Tensor {
    near.graph().fail(op, Violation::new("", message))
}

/// Applies `f` to each tensor.
pub(super) fn map(tensors: &Tensors, mut f: impl FnMut(&Tensor) -> Tensor) -> Tensors {
    tensors.iter().map(|(path, t)| (path.clone(), f(t))).collect()
}

/// The next moving average of the gradients: `(1 - decay) g + decay m`, `m` under `folder`.
#[track_caller]
pub(super) fn moment(op: &str, grads: &Tensors, state: &Tensors, folder: &str, decay: f64) -> Tensors {
    zip(op, grads, state, folder, |g, m| (1.0 - decay) * g + decay * m)
}

/// Moving averages after `count` steps, corrected for the bias from starting at zero.
pub(super) fn unbiased(moments: &Tensors, decay: f64, count: &Tensor) -> Tensors {
    let steps = count.convert(DType::F32);
    let weight = 1.0 - steps.full_like(decay).pow(&steps);
    map(moments, |m| m / weight.convert(m.dtype()))
}

/// The step count of a state, s32. `None` if there is no tensor to record an error on.
#[track_caller]
pub(super) fn count(op: &str, grads: &Tensors, state: &Tensors) -> Option<Tensor> {
    match state.get(COUNT) {
        Some(count) if count.is_poison() || *count.ty() == count_type().1 => Some(count.clone()),
        Some(count) => Some(fail(op, count, format!("the state's {COUNT} is {}, not s32[]", count.ty()))),
        None => grads.values().next().map(|g| fail(op, g, format!("{COUNT} is missing from the state"))),
    }
}

/// The next count; it saturates at the largest s32.
pub(super) fn increment(count: &Tensor) -> Tensor {
    count.minimum(f64::from(i32::MAX - 1)) + 1.0
}

/// The square root of the sum of all squares, an f32 scalar; `None` for no tensors. Source: `optax.global_norm`.
///
/// ```
/// use std::collections::BTreeMap;
/// use spiq::optim::global_norm;
/// use spiq_hlo::{DType, TensorType, trace};
/// trace(&[("w", TensorType::new(DType::F32, [4]))], |x| {
///     vec![global_norm(&BTreeMap::from([("w".to_owned(), x[0].clone())])).expect("one tensor")]
/// })?;
/// # Ok::<(), spiq_hlo::GraphErrors>(())
/// ```
pub fn global_norm(tensors: &BTreeMap<String, Tensor>) -> Option<Tensor> {
    let squares = tensors.values().map(|t| (t * t).sum().convert(DType::F32));
    squares.reduce(|a, b| a + b).map(|sum| sum.sqrt())
}
