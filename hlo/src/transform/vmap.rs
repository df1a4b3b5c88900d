//! `vmap`: maps a function over an additional leading axis.

use crate::graph::batch::{Mapped, call_mapped};
use crate::graph::error::Violation;
use crate::graph::tensor::Tensor;
use crate::graph::tree::{Tree, filled};

/// Maps `f` over axis 0 of every leaf of `xs`. JAX: `jax.vmap`.
///
/// `f` receives slices without that axis; its results have it as their leading axis. Values that `f` captures from the surrounding
/// trace are not mapped.
///
/// # Errors
/// Recorded in the trace: leaves that differ in size along axis 0, an operation without a batching rule.
///
/// # Panics
/// When `xs` has no leaf, because then there is no trace to record in.
#[track_caller]
pub fn vmap<X: Tree, Y: Tree>(xs: &X, f: impl FnOnce(X) -> Y) -> Y {
    let leaves = xs.leaves();
    let graph = leaves.first().expect("vmap maps over at least one tensor").graph().clone();
    let sizes: Vec<Option<usize>> = leaves.iter().map(|t| t.dims().first().copied()).collect();
    let poison = leaves.iter().find(|t| t.is_poison()).cloned();
    let size = sizes[0].filter(|_| sizes.iter().all(|s| *s == sizes[0]));
    let (Some(size), None) = (size, &poison) else {
        let all: Vec<String> = leaves.iter().map(|t| t.ty().to_string()).collect();
        let message = format!("requires axis 0 to have the same size in all inputs, got [{}]", all.join(", "));
        let poison = match poison {
            Some(poison) => poison,
            None => graph.fail("vmap", Violation::new("", message)),
        };
        return f(xs.map(|_| poison.clone())).map(|_| poison.clone());
    };
    let mut template = None;
    let closed = graph.body(|inner| {
        let slice = |t: &Tensor| inner.input_among(t, t.ty().with_dims(&t.dims()[1..]));
        let y = f(filled(xs, &leaves.iter().map(slice).collect::<Vec<_>>()));
        let closed = inner.close(&y.leaves());
        template = Some(y);
        closed
    });
    let y = template.expect("the function is always traced");
    let Some((function, captures)) = closed else { return y.map(|_| Tensor::poison(&graph)) };
    let mapped: Vec<bool> = captures.iter().map(|_| false).chain(leaves.iter().map(|_| true)).collect();
    let results = call_mapped(&function, &graph, &[captures, leaves].concat(), &mapped, size);
    filled(&y, &results.into_iter().map(|result| Mapped::wide(size, result)).collect::<Vec<_>>())
}
