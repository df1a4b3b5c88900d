//! Printed functions with the programs of their kernels.

use spiq_hlo::{Tensor, scan};
use spiq_kernels::{BACKENDS, backend, describe};

use crate::{f32, traced};

#[test]
fn each_back_end_shows_the_program_of_its_call() {
    let function = traced(&[("x", f32(&[5, 8]))], |x| {
        let start = x[0].index_axis(0, 0).zeros_like();
        vec![scan(&start, &x[0], |v: Tensor, row: Tensor| (v * 0.5 + row, ())).0]
    });
    assert!(!describe(&function).contains("loop of"));
    for backend in BACKENDS {
        let called = backend.call(&function).unwrap_or_else(|e| panic!("{e}"));
        let text = describe(&called);
        assert!(text.contains("  // loop of 5 steps, 8 lanes, forward\n"), "{}: {text}", backend.name());
        assert!(text.contains("  //   r0 = multiply_add(s0, 0.5, x0)\n"), "{}: {text}", backend.name());
        assert!(!text.contains("backend_config") && !text.contains("array<i64"), "{}: {text}", backend.name());
    }
}

#[test]
fn each_back_end_says_why_a_loop_remains() {
    let dims = [("x", f32(&[5, 2, 8])), ("w", f32(&[8, 8]))];
    let function = traced(&dims, |x| {
        let start = x[0].index_axis(0, 0).zeros_like();
        let recurrent = scan(&start, &x[0], |v: Tensor, row: Tensor| (v.dot(&x[1]) + row, ())).0;
        let elementwise = scan(&start, &x[0], |v: Tensor, row: Tensor| (v * 0.5 + row, ())).0;
        let sine = scan(&start, &x[0], |v: Tensor, row: Tensor| (v.sin() + row, ())).0;
        vec![recurrent, elementwise, sine]
    });
    for backend in BACKENDS {
        let called = backend.call(&function).unwrap_or_else(|e| panic!("{e}"));
        let reasons: Vec<String> = backend.remaining(&called).into_iter().map(|(_, reason)| reason).collect();
        let want = ["its step reads f32[2,8] besides f32[8,8]", "its step contains sine of f32[2,8]"];
        assert_eq!(reasons, want, "{}", backend.name());
    }
}

#[test]
fn a_platform_has_one_back_end_at_most() {
    let platforms: Vec<&str> = BACKENDS.iter().flat_map(|backend| backend.platforms()).copied().collect();
    for platform in &platforms {
        assert_eq!(platforms.iter().filter(|other| *other == platform).count(), 1, "{platform}");
        assert!(backend(platform).is_some());
    }
    assert_eq!(platforms, ["cpu", "cuda", "tpu"]);
}
