//! Prefix scan of an associative function, in logarithmically many operations.

use crate::graph::error::Violation;
use crate::graph::tensor::Tensor;
use crate::graph::tree::{Tree, filled};
use crate::ops::sample::Sample;
use crate::ops::slice::concatenate;
use crate::types::dtype::DType;

/// Element `i` of the result is `f(… f(f(x[0], x[1]), x[2]) …, x[i])`, along axis 0 of every leaf of `xs`. JAX:
/// `lax.associative_scan`.
///
/// `f` must be associative. It combines many elements at once: it receives two nests of equal shapes, with elements along axis 0, and
/// combines them elementwise (the left one is earlier in the sequence, or later if `reverse` is set, which scans from the last element
/// to the first). `f` is recorded once or twice per halving of the sequence, so a sequence of `T` elements takes `2 log2(T)` operations
/// on ever fewer elements, where a [`scan`](crate::scan) takes `T` sequential steps. Results round as with another summation order.
/// Differentiable if `f` is.
///
/// # Errors
/// Recorded in the trace: leaves that differ in size along axis 0 or have no axes, an `f` that changes types.
///
/// # Panics
/// When `xs` has no leaf, because then there is no trace to record an error in.
///
/// Source: Blelloch 1990, "Prefix sums and their applications", in the recursion that JAX uses.
///
/// ```
/// use spiq_hlo::{associative_scan, trace, DType, Tensor, TensorType};
/// // A leaky integrator v[t] = beta v[t - 1] + x[t]: pairs (decay, input) compose to one such step.
/// let inputs = [("beta", TensorType::new(DType::F32, [8])), ("x", TensorType::new(DType::F32, [100, 8]))];
/// let f = trace(&inputs, |x| {
///     let steps = (x[0].broadcast_to(x[1].dims()), x[1].clone());
///     let compose = |(a, x): &(Tensor, Tensor), (b, y): &(Tensor, Tensor)| (a * b, x * b + y);
///     vec![associative_scan(&steps, false, compose).1]
/// })?;
/// assert_eq!(f.result_types()[0].to_string(), "f32[100,8]");
/// # Ok::<(), spiq_hlo::GraphErrors>(())
/// ```
#[track_caller]
pub fn associative_scan<X: Tree>(xs: &X, reverse: bool, f: impl Fn(&X, &X) -> X) -> X {
    let leaves = xs.leaves();
    if let Some(poison) = leaves.iter().find(|t| t.is_poison()) {
        return xs.map(|_| poison.clone());
    }
    let length = leaves[0].dims().first().copied();
    let Some(length) = length.filter(|n| leaves.iter().all(|t| t.dims().first() == Some(n))) else {
        let all: Vec<String> = leaves.iter().map(|t| t.ty().to_string()).collect();
        let message = format!("requires sequences of equal length along axis 0, got [{}]", all.join(", "));
        let poison = leaves[0].fail("associative_scan", Violation::new("", message));
        return xs.map(|_| poison.clone());
    };
    let turned = |t: &Tensor| if reverse { t.reverse(&[0]) } else { t.clone() };
    match prefixes(&xs.map(turned), length, &f) {
        Some(prefixes) => prefixes.map(turned),
        None => xs.map(|t| Tensor::poison(t.graph())),
    }
}

/// Combines neighbors and scans the results, half as many: these are every second prefix, and one element short of the remaining ones.
/// `None` if `f` failed.
#[track_caller]
fn prefixes<X: Tree>(xs: &X, length: usize, f: &impl Fn(&X, &X) -> X) -> Option<X> {
    if length < 2 {
        return Some(xs.map(Tensor::clone));
    }
    let pairs = combine(&every_second(xs, 0, length - 1), &every_second(xs, 1, length), f)?;
    let odd = prefixes(&pairs, length / 2, f)?;
    let first = xs.map(|t| t.slice_axis(0, 0, 1));
    if length == 2 {
        return Some(zip(&first, &odd, |first, odd| concatenate(&[first, odd], 0)));
    }
    let before = odd.map(|t| t.slice_axis(0, 0, (length - 1) / 2));
    let even = combine(&before, &every_second(xs, 2, length), f)?;
    let even = zip(&first, &even, |first, even| concatenate(&[first, even], 0));
    Some(zip(&even, &odd, interleave))
}

/// Elements `start`, `start + 2`, … below `limit` along axis 0.
#[track_caller]
fn every_second<X: Tree>(xs: &X, start: usize, limit: usize) -> X {
    xs.map(|t| {
        let (mut starts, mut limits, mut strides) = (vec![0; t.rank()], t.dims().to_vec(), vec![1; t.rank()]);
        (starts[0], limits[0], strides[0]) = (start, limit, 2);
        t.slice(&starts, &limits, &strides)
    })
}

/// `f` applied to two nests; `None` if it failed or changed the types.
#[track_caller]
fn combine<X: Tree>(a: &X, b: &X, f: &impl Fn(&X, &X) -> X) -> Option<X> {
    let y = f(a, b);
    let (before, after) = (a.leaves(), y.leaves());
    if after.iter().any(Tensor::is_poison) {
        return None;
    }
    let list = |leaves: &[Tensor]| leaves.iter().map(|t| t.ty().to_string()).collect::<Vec<_>>().join(", ");
    let (before_types, after_types) = (list(&before), list(&after));
    if before_types == after_types {
        return Some(y);
    }
    let message = format!("its function returns ({after_types}) for two ({before_types})");
    before[0].fail("associative_scan", Violation::new("", message));
    None
}

fn zip<X: Tree>(a: &X, b: &X, f: impl Fn(&Tensor, &Tensor) -> Tensor) -> X {
    let joined: Vec<Tensor> = a.leaves().iter().zip(&b.leaves()).map(|(a, b)| f(a, b)).collect();
    filled(a, &joined)
}

/// Interleaves the elements of both, `even` first; it may have one more.
#[track_caller]
fn interleave(even: &Tensor, odd: &Tensor) -> Tensor {
    let (pairs, inner) = (odd.dims()[0], &odd.dims()[1..]);
    let beside = |t: &Tensor| t.slice_axis(0, 0, pairs).expand_dims(1);
    let turns = concatenate(&[&beside(even), &beside(odd)], 1).reshape(&[&[2 * pairs], inner].concat());
    match even.dims()[0] > pairs {
        true => concatenate(&[&turns, &even.slice_axis(0, pairs, pairs + 1)], 0),
        false => turns,
    }
}

pub(crate) fn samples() -> Vec<Sample> {
    let f = DType::F64;
    let compose = |(a, x): &(Tensor, Tensor), (b, y): &(Tensor, Tensor)| (a * b, x * b + y);
    let integrate = move |x: &[Tensor]| {
        let (decay, sum) = associative_scan(&(x[0].clone(), x[1].clone()), false, compose);
        vec![decay, sum]
    };
    let back = move |x: &[Tensor]| vec![associative_scan(&(x[0].clone(), x[1].clone()), true, compose).1];
    vec![
        Sample::new("associative_scan", integrate).input(f, [7, 2], 0.2, 0.9).input(f, [7, 2], -1.0, 1.0),
        Sample::new("associative_scan against time", back).input(f, [6, 2], 0.2, 0.9).input(f, [6, 2], -1.0, 1.0),
    ]
}
