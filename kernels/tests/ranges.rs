//! The ranges of a loop's results are preserved by its kernel.

use spiq_hlo::{DType, Tensor, scan};
use spiq_kernels::call_kernels;

use crate::{f32, traced};

/// A loop around a loop that becomes a kernel: the carry's constant range of 0 also holds for the kernel's result.
#[test]
fn a_kernels_results_are_as_known_as_the_loops() {
    let f = traced(&[("x", f32(&[2, 3]))], |x| {
        let start = x[0].graph().scalar(DType::F32, 0.0);
        let inner = |v: Tensor, x: &Tensor| scan(&v, x, |v, x| (v.zeros_like(), v + x));
        vec![scan(&start, &x[0], |v, x| inner(v, &x)).1]
    });
    let f = call_kernels(&f).unwrap_or_else(|e| panic!("{e}"));
    let mut calls = 0;
    f.each_node(&mut |node, _| calls += usize::from(node.op.name() == "custom_call"));
    assert_eq!(calls, 1);
}
