//! Invalid calls: the error message of each constraint; each test is named after its constraint.

use expect_test::{Expect, expect};
use spiq_hlo::{
    Array, ConvDims, Convolution, Cotangents, DType, DotDims, Graph, Infer, Op, Reverse, Tensor, TensorType, Window,
    WindowDims, associative_scan, checkpoint, concatenate, custom_vjp, einsum, grad, scan, scan_checkpointed, sort,
    switch, trace, vjp, vmap, while_loop,
};

/// Runs `build` on x f32[8,32], i s32[4], p pred[8] and s f32[], and compares the errors without line numbers.
#[track_caller]
fn check(build: impl FnOnce(&[Tensor]) -> Vec<Tensor>, expected: Expect) {
    let inputs = [
        ("x", TensorType::new(DType::F32, [8, 32])),
        ("i", TensorType::new(DType::S32, [4])),
        ("p", TensorType::new(DType::Pred, [8])),
        ("s", TensorType::scalar(DType::F32)),
    ];
    let text = match trace(&inputs, build) {
        Ok(function) => format!("no error, but {:?}", function.result_types()),
        Err(errors) => errors.to_string(),
    };
    expected.assert_eq(&without_numbers(&text));
}

/// Replaces `errors.rs:12:34` by `errors.rs:_`, so that tests can move.
fn without_numbers(text: &str) -> String {
    let (mut kept, mut rest) = (String::new(), text);
    while let Some(at) = rest.find("errors.rs:") {
        let after = at + "errors.rs:".len();
        kept.push_str(&rest[..after]);
        kept.push('_');
        rest = rest[after..].trim_start_matches(|c: char| c.is_ascii_digit() || c == ':');
    }
    kept + rest
}

fn dims(lhs_batch: &[usize], rhs_batch: &[usize], lhs_contract: &[usize], rhs_contract: &[usize]) -> DotDims {
    let [lhs_batch, rhs_batch, lhs_contract, rhs_contract] =
        [lhs_batch, rhs_batch, lhs_contract, rhs_contract].map(<[usize]>::to_vec);
    DotDims { lhs_batch, rhs_batch, lhs_contract, rhs_contract }
}

/// The product of x with itself along these axes.
#[track_caller]
fn check_dot(dims: DotDims, expected: Expect) {
    check(|x| vec![x[0].dot_general(&x[0], &dims, DType::F32)], expected);
}

/// Windows of x at i, with changed dimension numbers.
#[track_caller]
fn check_gather(change: impl FnOnce(&mut WindowDims), sizes: &[usize], expected: Expect) {
    let mut dims =
        WindowDims { window: vec![1], collapsed: vec![0], start: vec![0], index_axis: 1, ..WindowDims::default() };
    change(&mut dims);
    check(|x| vec![x[0].gather(&x[1], &dims, sizes)], expected);
}

/// Updates of this shape added to x at i, with changed dimension numbers.
#[track_caller]
fn check_scatter(change: impl FnOnce(&mut WindowDims), updates: &[usize], expected: Expect) {
    let mut dims =
        WindowDims { window: vec![1], collapsed: vec![0], start: vec![0], index_axis: 1, ..WindowDims::default() };
    change(&mut dims);
    check(|x| vec![x[0].scatter_add(&x[1], &x[3].broadcast_to(updates), &dims)], expected);
}

#[test]
fn add_c1() {
    check(
        |x| vec![x[0].add(&x[1])],
        expect!["add: f32[8,32] and s32[4] do not broadcast together --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn add_c1_element_types() {
    check(
        |x| vec![x[0].add(x[0].convert(DType::F64))],
        expect!["add: operands differ in type: f32[8,32] and f64[8,32] [C1] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn exponential_i1() {
    check(
        |x| vec![x[1].exp()],
        expect!["exponential: requires floating-point elements, got s32[4] [I1] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn negate_i1() {
    check(|x| vec![x[2].negate()], expect!["negate: requires numbers, got pred[8] [I1] --> hlo/tests/errors.rs:_"]);
}

#[test]
fn and_i1() {
    check(
        |x| vec![x[0].and(&x[0])],
        expect!["and: requires integers or booleans, got f32[8,32] [I1] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn is_finite_i1() {
    check(
        |x| vec![x[1].is_finite()],
        expect!["is_finite: requires floating-point elements, got s32[4] [I1] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn compare_c1() {
    check(
        |x| vec![x[0].eq(x[0].convert(DType::F64))],
        expect!["compare: operands differ in type: f32[8,32] and f64[8,32] [C1] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn select_i1() {
    check(
        |x| vec![x[1].select(&x[1], &x[1])],
        expect!["select: the predicate s32[4] does not hold booleans [I1] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn select_c2() {
    check(
        |x| vec![x[2].select(&x[0].index_axis(1, 0), &x[2])],
        expect!["select: the choices differ in type: f32[8] and pred[8] [C2] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn clamp_c3() {
    check(
        |x| vec![x[0].clamp(x[1].index_axis(0, 0), 1.0)],
        expect!["clamp: operands differ in type: s32[8,32], f32[8,32] and f32[8,32] [C3] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn bitcast_convert_c1() {
    check(
        |x| vec![x[0].bitcast_convert(DType::S8)],
        expect!["bitcast_convert: f32[8,32] has no s8 elements of the same width [C1] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn iota_c1() {
    check(
        |x| vec![x[0].graph().iota(TensorType::new(DType::S32, [3]), 1)],
        expect!["iota: axis 1 is not an axis of s32[3] [C1] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn reshape_c2() {
    check(
        |x| vec![x[0].reshape(&[8, 31])],
        expect!["reshape: f32[8,32] and f32[8,31] differ in number of elements [C2] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn transpose_c2() {
    check(
        |x| vec![x[0].transpose(&[0, 0])],
        expect!["transpose: [0, 0] does not permute the axes of f32[8,32] [C2] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn broadcast_in_dim_c2() {
    check(
        |x| vec![x[0].broadcast_in_dim(&[8, 32], &[0])],
        expect!["broadcast_in_dim: 1 axes are given for f32[8,32] [C2] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn broadcast_in_dim_c3() {
    check(
        |x| vec![x[1].broadcast_in_dim(&[4], &[1])],
        expect!["broadcast_in_dim: axis 1 is not an axis of s32[4] [C3] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn broadcast_in_dim_c4() {
    check(
        |x| vec![x[0].broadcast_in_dim(&[8, 32], &[1, 1])],
        expect!["broadcast_in_dim: [1, 1] names an axis of f32[8,32] twice [C4] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn broadcast_in_dim_c5() {
    check(
        |x| vec![x[0].broadcast_in_dim(&[8, 33], &[0, 1])],
        expect![
            "broadcast_in_dim: f32[8,32] does not broadcast to f32[8,33] along [0, 1] [C5] --> hlo/tests/errors.rs:_"
        ],
    );
}

#[test]
fn broadcast_to_a_smaller_shape() {
    check(
        |x| vec![x[0].broadcast_to(&[32])],
        expect!["broadcast_to: f32[8,32] does not broadcast to f32[32] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn expand_dims_beyond_the_rank() {
    check(
        |x| vec![x[0].expand_dims(3)],
        expect!["expand_dims: axis 3 is out of range for f32[8,32] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn t_of_a_vector() {
    check(|x| vec![x[1].t()], expect!["t: s32[4] has fewer than two axes --> hlo/tests/errors.rs:_"]);
}

#[test]
fn slice_c2() {
    check(
        |x| vec![x[0].slice(&[0], &[1], &[1])],
        expect!["slice: [0] to [1] does not have one entry per axis of f32[8,32] [C2] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn slice_c3() {
    check(
        |x| vec![x[0].slice_axis(1, 30, 33)],
        expect!["slice: 30..33 along axis 1 is not inside f32[8,32] [C3] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn slice_c4() {
    check(
        |x| vec![x[1].slice(&[0], &[4], &[0])],
        expect!["slice: the stride along axis 0 of s32[4] is 0 [C4] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn pad_c1() {
    check(
        |x| vec![x[0].pad(&x[1], &[0, 0], &[0, 0], &[0, 0])],
        expect!["pad: the padding value s32[4] does not fit f32[8,32] [C1] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn pad_c2() {
    check(
        |x| vec![x[0].pad(0.0, &[0], &[0, 0], &[0, 0])],
        expect!["pad: the padding does not have one entry per axis of f32[8,32] [C2] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn pad_c4() {
    check(
        |x| vec![x[1].pad(0.0, &[-5], &[0], &[0])],
        expect!["pad: axis 0 of s32[4] would have size -1 [C4] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn concatenate_c2() {
    check(
        |x| vec![concatenate(&[&x[0], &x[0].transpose(&[1, 0])], 0)],
        expect!["concatenate: f32[8,32] and f32[32,8] do not join along axis 0 [C2] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn concatenate_along_no_axis() {
    check(
        |x| vec![concatenate(&[&x[0], &x[0]], 2)],
        expect!["concatenate: axis 2 is not an axis of f32[8,32] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn reverse_c3() {
    check(
        |x| vec![x[0].reverse(&[2])],
        expect!["reverse: axis 2 is not an axis of f32[8,32] [C3] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn dynamic_slice_c2() {
    check(
        |x| vec![x[0].dynamic_slice(&[x[1].index_axis(0, 0)], &[1, 1])],
        expect!["dynamic_slice: 1 start indices are given for f32[8,32] [C2] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn dynamic_slice_c3() {
    check(
        |x| vec![x[1].dynamic_slice(&[x[3].clone()], &[1])],
        expect![
            "dynamic_slice: a start index of s32[4] is f32[], not an integer scalar [C3] --> hlo/tests/errors.rs:_"
        ],
    );
}

#[test]
fn dynamic_slice_c4() {
    check(
        |x| vec![x[1].dynamic_slice(&[x[1].index_axis(0, 0)], &[5])],
        expect!["dynamic_slice: a slice of [5] does not fit into s32[4] [C4] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn dynamic_update_slice_c6() {
    check(
        |x| vec![x[1].dynamic_update_slice(&x[0], &[x[1].index_axis(0, 0)])],
        expect!["dynamic_update_slice: the update f32[8,32] does not fit into s32[4] [C6] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn slice_axis_beyond_the_rank() {
    check(
        |x| vec![x[0].slice_axis(-3, 0, 1)],
        expect!["slice: axis -3 is not an axis of f32[8,32] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn axes_that_are_swapped_or_moved_exist() {
    check(
        |x| vec![x[0].swap_axes(0, 2)],
        expect!["swap_axes: axis 2 is not an axis of f32[8,32] --> hlo/tests/errors.rs:_"],
    );
    check(
        |x| vec![x[0].move_axis(-3, 0).t()],
        expect!["move_axis: axis -3 is not an axis of f32[8,32] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn reduce_c4() {
    check(
        |x| vec![x[0].reduce_sum([2])],
        expect!["reduce: axis 2 is not an axis of f32[8,32] [C4] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn reduce_c6() {
    check(
        |x| vec![x[0].reduce_and([1])],
        expect!["reduce: requires integers or booleans, got f32[8,32] [C6] --> hlo/tests/errors.rs:_"],
    );
    check(
        |x| vec![x[0].gt(0.0).reduce_absmax([1])],
        expect!["reduce: requires signed numbers, got pred[8,32] [C6] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn reduce_c5() {
    check(
        |x| vec![x[0].reduce_max([1, 1])],
        expect!["reduce: [1, 1] names an axis of f32[8,32] twice [C5] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn dot_general_c1() {
    check_dot(
        dims(&[0], &[], &[1], &[1]),
        expect!["dot_general: batches [0] of lhs f32[8,32] with [] of rhs f32[8,32] [C1] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn dot_general_c2() {
    check_dot(
        dims(&[], &[], &[1], &[]),
        expect!["dot_general: contracts [1] of lhs f32[8,32] with [] of rhs f32[8,32] [C2] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn dot_general_c3() {
    check_dot(
        dims(&[0], &[0], &[0], &[1]),
        expect!["dot_general: [0, 0] names an axis of f32[8,32] twice [C3] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn dot_general_c4() {
    check_dot(
        dims(&[0], &[1], &[1], &[1]),
        expect!["dot_general: [1, 1] names an axis of f32[8,32] twice [C4] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn dot_general_c5() {
    check_dot(
        dims(&[2], &[0], &[], &[]),
        expect!["dot_general: axis 2 is not an axis of f32[8,32] [C5] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn dot_general_c6() {
    check_dot(
        dims(&[], &[], &[2], &[0]),
        expect!["dot_general: axis 2 is not an axis of f32[8,32] [C6] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn dot_general_c7() {
    check_dot(
        dims(&[0], &[2], &[], &[]),
        expect!["dot_general: axis 2 is not an axis of f32[8,32] [C7] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn dot_general_c8() {
    check_dot(
        dims(&[], &[], &[0], &[2]),
        expect!["dot_general: axis 2 is not an axis of f32[8,32] [C8] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn dot_general_c9() {
    check_dot(
        dims(&[0], &[1], &[], &[]),
        expect!["dot_general: lhs f32[8,32] and rhs f32[8,32] pair 8 with 32 [C9] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn dot_general_c10() {
    check(
        |x| vec![x[0].dot(&x[0])],
        expect!["dot_general: lhs f32[8,32] and rhs f32[8,32] contract 32 with 8 [C10] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn dot_general_c13() {
    check(
        |x| vec![x[0].dot(&x[0].t().convert(DType::S32))],
        expect!["dot_general: lhs f32[8,32] and rhs s32[32,8] mix floats and integers [C13] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn gather_i2() {
    check(
        |x| vec![x[0].take_clipped(&x[3], 0)],
        expect!["gather: the indices are f32[], not integers [I2] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn gather_c1() {
    check_gather(
        |d| d.collapsed = vec![],
        &[1, 32],
        expect!["gather: the dimension numbers cover 1 axes of f32[8,32] [C1] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn gather_c2() {
    check_gather(
        |d| d.index_axis = 2,
        &[1, 32],
        expect!["gather: axis 2 is not an axis of s32[4] [C2] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn gather_c3() {
    check_gather(
        |d| d.index_axis = 0,
        &[1, 32],
        expect!["gather: [0] is addressed by 4 components [C3] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn gather_c4() {
    check_gather(
        |d| (d.window, d.collapsed) = (vec![1, 0], vec![]),
        &[1, 32],
        expect!["gather: [1, 0] does not ascend [C4] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn gather_c5() {
    check_gather(
        |d| d.window = vec![2],
        &[1, 32],
        expect!["gather: [2] are not all below 2 [C5] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn gather_c6() {
    check_gather(
        |d| (d.window, d.collapsed) = (vec![], vec![0, 0]),
        &[1, 32],
        expect!["gather: [0, 0] names an axis of f32[8,32] twice [C6] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn gather_c7() {
    check_gather(
        |d| (d.window, d.collapsed) = (vec![], vec![1, 0]),
        &[1, 1],
        expect!["gather: [1, 0] does not ascend [C7] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn gather_c8() {
    check_gather(
        |d| d.collapsed = vec![2],
        &[1, 32],
        expect!["gather: [2] are not all axes of f32[8,32] [C8] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn gather_c9() {
    check_gather(
        |_| (),
        &[2, 32],
        expect!["gather: a window of [2, 32] drops axis 0 of f32[8,32] [C9] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn gather_c10() {
    check_gather(
        |d| (d.window, d.collapsed, d.operand_batch) = (vec![], vec![], vec![1, 0]),
        &[1, 1],
        expect!["gather: [1, 0] does not ascend [C10] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn gather_c11() {
    check_gather(
        |d| (d.collapsed, d.operand_batch) = (vec![], vec![2]),
        &[1, 1],
        expect!["gather: [2] are not all axes of f32[8,32] [C11] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn gather_c12() {
    let dims = WindowDims {
        window: vec![1],
        operand_batch: vec![0],
        indices_batch: vec![0],
        start: vec![1],
        index_axis: 1,
        ..WindowDims::default()
    };
    check(
        |x| vec![x[0].slice_axis(0, 0, 4).gather(&x[1], &dims, &[2, 1])],
        expect!["gather: a window of [2, 1] drops axis 0 of f32[4,32] [C12] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn gather_c13() {
    check_gather(
        |d| d.indices_batch = vec![0, 0],
        &[1, 32],
        expect!["gather: [0, 0] names an axis of s32[4] twice [C13] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn gather_c14() {
    check_gather(
        |d| d.indices_batch = vec![2],
        &[1, 32],
        expect!["gather: [2] are not all axes of s32[4] [C14] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn gather_c15() {
    check_gather(
        |d| (d.index_axis, d.indices_batch, d.start) = (0, vec![0], vec![0, 0, 0, 0]),
        &[1, 32],
        expect!["gather: [0] contains the axis of the components [C15] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn gather_c16() {
    check_gather(
        |d| d.indices_batch = vec![0],
        &[1, 32],
        expect!["gather: [] pairs with [0] [C16] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn gather_c17() {
    check_gather(
        |d| (d.collapsed, d.operand_batch, d.indices_batch, d.start) = (vec![], vec![0], vec![0], vec![1]),
        &[1, 1],
        expect!["gather: [0] of f32[8,32] pairs with [0] of s32[4] [C17] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn gather_c18() {
    check_gather(
        |d| (d.index_axis, d.start) = (0, vec![0, 1, 0, 1]),
        &[1, 32],
        expect!["gather: [0, 1, 0, 1] names an axis of f32[8,32] twice [C18] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn gather_c19() {
    check_gather(
        |d| d.start = vec![2],
        &[1, 32],
        expect!["gather: [2] are not all axes of f32[8,32] [C19] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn gather_c20() {
    check_gather(
        |_| (),
        &[1],
        expect![
            "gather: the window sizes [1] do not have one entry per axis of f32[8,32] [C20] --> hlo/tests/errors.rs:_"
        ],
    );
}

#[test]
fn gather_c21() {
    check_gather(
        |_| (),
        &[1, 33],
        expect!["gather: a window of [1, 33] does not fit into f32[8,32] [C21] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn scatter_c2() {
    check_scatter(
        |d| d.collapsed = vec![],
        &[4, 32],
        expect!["scatter: the dimension numbers cover 1 axes of f32[8,32] [C2] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn scatter_c7() {
    check_scatter(
        |d| (d.window, d.collapsed) = (vec![1, 0], vec![]),
        &[4, 32],
        expect!["scatter: [1, 0] does not ascend [C7] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn scatter_c8() {
    check_scatter(
        |d| d.window = vec![2],
        &[4, 32],
        expect!["scatter: [2] are not all below 2 [C8] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn scatter_c9() {
    check_scatter(
        |d| (d.window, d.collapsed) = (vec![], vec![0, 0]),
        &[4, 32],
        expect!["scatter: [0, 0] names an axis of f32[8,32] twice [C9] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn scatter_c10() {
    check_scatter(
        |d| (d.window, d.collapsed) = (vec![], vec![1, 0]),
        &[4, 32],
        expect!["scatter: [1, 0] does not ascend [C10] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn scatter_c11() {
    check_scatter(
        |d| d.collapsed = vec![2],
        &[4, 32],
        expect!["scatter: [2] are not all axes of f32[8,32] [C11] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn scatter_c16() {
    check_scatter(
        |d| (d.index_axis, d.indices_batch, d.start) = (0, vec![0], vec![0, 0, 0, 0]),
        &[4, 32],
        expect!["scatter: [0] contains the axis of the components [C16] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn scatter_c19() {
    check_scatter(
        |d| d.index_axis = 0,
        &[4, 32],
        expect!["scatter: [0] is addressed by 4 components [C19] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn scatter_c21() {
    check_scatter(
        |d| d.start = vec![2],
        &[4, 32],
        expect!["scatter: [2] are not all axes of f32[8,32] [C21] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn scatter_c22() {
    check_scatter(
        |d| d.index_axis = 2,
        &[4, 32],
        expect!["scatter: axis 2 is not an axis of s32[4] [C22] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn scatter_c4() {
    check_scatter(
        |_| (),
        &[5, 32],
        expect![
            "scatter: the updates f32[5,32] do not match windows of f32[8,32] at [4] positions [C4] --> hlo/tests/errors.rs:_"
        ],
    );
}

#[test]
fn scatter_c4_window() {
    check_scatter(
        |_| (),
        &[4, 33],
        expect![
            "scatter: the updates f32[4,33] do not match windows of f32[8,32] at [4] positions [C4] --> hlo/tests/errors.rs:_"
        ],
    );
}

#[test]
fn scatter_c6() {
    check(
        |x| {
            let dims = WindowDims {
                window: vec![1],
                collapsed: vec![0],
                start: vec![0],
                index_axis: 1,
                ..WindowDims::default()
            };
            vec![x[0].scatter(&x[1], &x[1], &dims)]
        },
        expect!["scatter: the updates s32[4] differ from f32[8,32] in element type [C6] --> hlo/tests/errors.rs:_"],
    );
}

/// x as [2, 4, 32] convolved with a kernel [1, 32, 2], with changed parameters.
#[track_caller]
fn check_convolution(change: impl FnOnce(&mut Convolution), expected: Expect) {
    let mut convolution = Convolution::new(ConvDims::features_last(3), DType::F32);
    change(&mut convolution);
    let kernel = TensorType::new(DType::F32, [1, 32, 2]);
    check(|x| vec![x[0].reshape(&[2, 4, 32]).convolution(&x[0].graph().zeros(kernel), &convolution)], expected);
}

#[test]
fn convolution_c1() {
    let convolution = Convolution::new(ConvDims::features_last(2), DType::F32);
    check(
        |x| vec![x[0].convolution(&x[1], &convolution)],
        expect!["convolution: the input f32[8,32] and the kernel s32[4] differ in rank [C1] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn convolution_c27() {
    let convolution = Convolution::new(ConvDims::features_last(2), DType::F32);
    check(
        |x| vec![x[0].convolution(&x[0].t().convert(DType::S8), &convolution)],
        expect![
            "convolution: the input f32[8,32] and the kernel s8[32,8] differ in element type [C27] --> hlo/tests/errors.rs:_"
        ],
    );
}

#[test]
fn convolutions_of_scalars_are_refused() {
    let convolution = Convolution::new(ConvDims::features_last(0), DType::F32).same_padding(&[], &[]);
    check(
        |x| vec![x[3].convolution(&x[3], &convolution)],
        expect!["convolution: the input f32[] and the kernel f32[] differ in rank [C1] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn convolution_c2() {
    check_convolution(
        |c| c.strides = vec![],
        expect!["convolution: [] are the strides of 1 axes [C2] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn convolution_c3() {
    check_convolution(
        |c| c.strides = vec![0],
        expect!["convolution: [0] are the strides of 1 axes [C3] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn convolution_c4() {
    check_convolution(|c| c.padding = vec![], expect!["convolution: [] pads 1 axes [C4] --> hlo/tests/errors.rs:_"]);
}

#[test]
fn convolution_c5() {
    check_convolution(
        |c| c.input_dilation = vec![1, 1],
        expect!["convolution: [1, 1] are the input's dilations of 1 axes [C5] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn convolution_c6() {
    check_convolution(
        |c| c.input_dilation = vec![0],
        expect!["convolution: [0] are the input's dilations of 1 axes [C6] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn convolution_c7() {
    check_convolution(
        |c| c.kernel_dilation = vec![],
        expect!["convolution: [] are the kernel's dilations of 1 axes [C7] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn convolution_c8() {
    check_convolution(
        |c| c.kernel_dilation = vec![0],
        expect!["convolution: [0] are the kernel's dilations of 1 axes [C8] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn convolution_c11() {
    check_convolution(
        |c| c.groups = 3,
        expect!["convolution: 32 features of f32[2,4,32] do not divide into 3 groups [C11] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn convolution_c12() {
    check_convolution(
        |c| c.dims.input.window = vec![],
        expect!["convolution: [] are the input's window of 1 axes [C12] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn convolution_c13() {
    check_convolution(
        |c| c.dims.input.feature = 0,
        expect!["convolution: [0, 0, 1] are not the axes of f32[2,4,32] [C13] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn convolution_c14() {
    check_convolution(
        |c| c.groups = 2,
        expect![
            "convolution: 32 input features of f32[1,32,2] do not match 32 features of f32[2,4,32] in 2 groups [C14] --> hlo/tests/errors.rs:_"
        ],
    );
}

#[test]
fn convolution_c16() {
    let convolution = Convolution { groups: 2, ..Convolution::new(ConvDims::features_last(3), DType::F32) };
    let kernel = TensorType::new(DType::F32, [1, 16, 3]);
    check(
        |x| vec![x[0].reshape(&[2, 4, 32]).convolution(&x[0].graph().zeros(kernel), &convolution)],
        expect![
            "convolution: 3 output features of f32[1,16,3] do not divide into 2 groups [C16] --> hlo/tests/errors.rs:_"
        ],
    );
}

#[test]
fn convolution_c17() {
    check_convolution(
        |c| c.dims.kernel.window = vec![0, 1],
        expect!["convolution: [0, 1] are the kernel's window of 1 axes [C17] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn convolution_c18() {
    check_convolution(
        |c| c.dims.kernel.outer = 3,
        expect!["convolution: [3, 1, 0] are not the axes of f32[1,32,2] [C18] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn convolution_c19() {
    check_convolution(
        |c| c.dims.output.window = vec![],
        expect!["convolution: [] are the result's window of 1 axes [C19] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn convolution_c20() {
    check_convolution(
        |c| c.dims.output.outer = 2,
        expect!["convolution: [2, 2, 1] are not 3 axes [C20] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn convolution_c21() {
    check_convolution(
        |c| c.groups = 0,
        expect!["convolution: the number of feature groups is 0 [C21] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn sort_c3() {
    check(
        |x| sort(&[&x[0], &x[1]], 0, 1),
        expect!["sort: f32[8,32] and s32[4] differ in shape [C3] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn sort_c4() {
    check(|x| vec![x[0].argsort(2)], expect!["argsort: axis 2 is not an axis of f32[8,32] --> hlo/tests/errors.rs:_"]);
}

#[test]
fn sort_without_keys() {
    check(|x| sort(&[&x[0]], 0, 0), expect!["sort: 0 of 1 operands are keys --> hlo/tests/errors.rs:_"]);
}

#[test]
fn while_c1() {
    check(
        |x| vec![while_loop(&x[3], |s| s.clone(), |s| s)],
        expect!["while: the condition returns (f32[]), not one pred[] [C1] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn while_c2() {
    check(
        |x| vec![while_loop(&x[3], |s| s.lt(9.0), |s| s.convert(DType::F64))],
        expect!["while: a part of the state changes type from f32[] to f64[] [C2] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn case_i1() {
    check(
        |x| vec![switch(&x[3], vec![Box::new(|| x[0].clone())])],
        expect!["case: the index is f32[], not s32[] [I1] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn case_c3() {
    check(
        |x| vec![switch(&x[1].index_axis(0, 0), vec![Box::new(|| x[0].clone()), Box::new(|| x[1].clone())])],
        expect!["case: branches return different types: (f32[8,32]) and (s32[4]) [C3] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn while_has_no_reverse_rule() {
    check(
        |x| vec![grad(&x[3], |s| while_loop(s, |s| s.lt(9.0), |s| s * 2.0))],
        expect![
            "while: has no reverse rule, because its number of steps is known only at run time; use scan --> hlo/tests/errors.rs:_"
        ],
    );
}

/// A user-defined operation with only the required methods.
#[derive(Debug, PartialEq)]
struct Foreign;

impl Op for Foreign {
    fn name(&self) -> &'static str {
        "foreign"
    }
    fn infer(&self, operands: &[TensorType]) -> Infer {
        Ok(operands.to_vec())
    }
    fn vjp(&self, _: &Reverse) -> Cotangents {
        vec![None]
    }
}

#[test]
fn vmap_over_an_operation_without_a_rule() {
    check(
        |x| vec![vmap(&x[0], |row: Tensor| row.graph().apply(Foreign, &[&row]))],
        expect!["foreign: has no batching rule, so vmap cannot map it --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn vmap_over_different_sizes() {
    check(
        |x| vec![vmap(&(x[0].clone(), x[1].clone()), |(a, _): (Tensor, Tensor)| a)],
        expect![
            "vmap: requires axis 0 to have the same size in all inputs, got [f32[8,32], s32[4]] --> hlo/tests/errors.rs:_"
        ],
    );
}

#[test]
fn scan_over_different_lengths() {
    check(
        |x| vec![scan(&x[3], &(x[0].clone(), x[1].clone()), |c, (a, _)| (c, a)).1],
        expect![
            "scan: requires sequences of equal length along axis 0, got [f32[8,32], s32[4]] --> hlo/tests/errors.rs:_"
        ],
    );
}

#[test]
fn associative_scan_over_different_lengths() {
    check(
        |x| vec![associative_scan(&(x[0].clone(), x[1].clone()), false, |a, _| a.clone()).1],
        expect![
            "associative_scan: requires sequences of equal length along axis 0, got [f32[8,32], s32[4]] --> hlo/tests/errors.rs:_"
        ],
    );
}

#[test]
fn associative_scan_whose_function_changes_type() {
    check(
        |x| vec![associative_scan(&x[0], false, |a, _| a.reduce_sum([0]))],
        expect!["associative_scan: its function returns (f32[32]) for two (f32[4,32]) --> hlo/tests/errors.rs:_"],
    );
    check(
        |x| vec![associative_scan(&vec![x[0].clone(), x[0].clone()], false, |a, _| a[..1].to_vec()).swap_remove(1)],
        expect![
            "associative_scan: its function returns (f32[4,32]) for two (f32[4,32], f32[4,32]) --> hlo/tests/errors.rs:_"
        ],
    );
}

#[test]
fn associative_scan_whose_function_fails() {
    check(
        |x| vec![associative_scan(&x[0], false, |a, b| a.dot(b))],
        expect!["dot_general: lhs f32[4,32] and rhs f32[4,32] contract 32 with 4 [C10] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn scan_whose_carry_changes_type() {
    check(
        |x| vec![scan(&x[3], &x[0], |c, x| (x, c)).0],
        expect!["scan: a carry changes type from f32[] to f32[32] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn scan_in_segments_of_no_steps() {
    check(
        |x| vec![scan_checkpointed(&x[3], &x[0], Some(0), |c, x| (&c + x.sum(), c)).0],
        expect!["scan_checkpointed: a segment must have at least 1 step, got 0 --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn errors_inside_a_checkpoint_show_the_line_in_it() {
    check(
        |x| vec![checkpoint(&x[0], |x: &Tensor| x.dot(x))],
        expect!["dot_general: lhs f32[8,32] and rhs f32[8,32] contract 32 with 8 [C10] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn scan_over_a_scalar() {
    check(
        |x| vec![scan(&x[1], &x[3], |c, x| (c, x)).0],
        expect!["scan: requires sequences of equal length along axis 0, got [f32[]] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn grad_of_a_vector() {
    check(
        |x| vec![grad(&x[0], |x| x * 2.0)],
        expect![
            "grad: requires a float scalar to differentiate, got f32[8,32]; sum or average it --> hlo/tests/errors.rs:_"
        ],
    );
}

#[test]
fn vjp_with_a_wrong_cotangent() {
    check(
        |x| vjp(&[x[0].exp()], &[Some(x[3].clone())], &[x[0].clone()]),
        expect!["vjp: the cotangent f32[] does not fit the output f32[8,32] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn custom_vjp_with_a_wrong_cotangent() {
    check(
        |x| vec![custom_vjp("half", &x[0], |x: &Tensor| x * 0.5, |_: &Tensor, _: &Tensor, ct: &Tensor| ct.sum())],
        expect!["half: the backward function returns f32[] as the cotangent of f32[8,32] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn errors_inside_a_scan_show_the_line_in_its_body() {
    check(
        |x| {
            let step = |c: Tensor, row: Tensor| (&c + row.dot(&x[1]).sum(), c);
            vec![scan(&x[3], &x[0], step).0]
        },
        expect!["dot_general: lhs f32[32] and rhs s32[4] contract 32 with 4 [C10] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn errors_show_the_module() {
    check(
        |x| {
            let graph = x[0].graph();
            vec![graph.scope("core", || graph.scope("layers/2", || x[0].dot(&x[0])))]
        },
        expect![
            "dot_general: lhs f32[8,32] and rhs f32[8,32] contract 32 with 8 [C10] --> hlo/tests/errors.rs:_ (core/layers/2)"
        ],
    );
}

#[test]
fn all_errors_come_back_and_poison_adds_none() {
    check(
        |x| {
            let poison = x[0].dot(&x[0]);
            let (_, after) = scan(&poison, &x[0], |c, x| (&c + &x, x));
            let after = switch(&x[1].index_axis(0, 0), vec![Box::new(|| &after + 1.0), Box::new(|| x[0].exp())]);
            let after = vmap(&(after, x[0].clone()), |(a, b): (Tensor, Tensor)| a * b);
            let after = while_loop(&after, |a| a.sum().lt(1.0), |a| a * 2.0);
            let after =
                custom_vjp("twice", &after, |x: &Tensor| x * 2.0, |_: &Tensor, _: &Tensor, ct: &Tensor| ct * 2.0);
            let gradient = grad(&x[0], |x| (x * &after).sum());
            let sorted = sort(&[&gradient, &x[0]], 0, 1);
            vec![concatenate(&[&sorted[0], &sorted[1]], 0).take(&x[1], 0), x[1].exp(), x[0].log_softmax(5)]
        },
        expect![[r#"
            dot_general: lhs f32[8,32] and rhs f32[8,32] contract 32 with 8 [C10] --> hlo/tests/errors.rs:_
            exponential: requires floating-point elements, got s32[4] [I1] --> hlo/tests/errors.rs:_
            log_softmax: axis 5 is not an axis of f32[8,32] --> hlo/tests/errors.rs:_"#]],
    );
}

/// The backward function returns no cotangent for it, so its gradient would silently be zero.
#[test]
fn what_a_custom_gradient_reads_from_outside_is_not_differentiated() {
    let scaled = |x: &Tensor, w: &Tensor| {
        custom_vjp("scaled", x, |x: &Tensor| x * w, |_: &Tensor, _: &Tensor, ct: &Tensor| ct * w)
    };
    check(
        |x| vec![grad(&x[0], |w| scaled(&x[0].exp(), &w.exp()).sum())],
        expect![
            "scaled: its forward function captures f32[8,32], for which its backward function returns no cotangent; make it an input, or a constant with stop_gradient --> hlo/tests/errors.rs:_"
        ],
    );
    check(
        |x| vec![grad(&x[3], |w| scan(&x[3], &x[0], |c, row| (scaled(&c, w), row)).0.sum())],
        expect![
            "scan: its body has no derivative: scaled: its forward function captures f32[], for which its backward function returns no cotangent; make it an input, or a constant with stop_gradient --> hlo/tests/errors.rs:_ --> hlo/tests/errors.rs:_"
        ],
    );
    // Allowed: differentiation by inputs only, a constant, a tensor that only the backward function reads.
    let sound = trace(&[("x", TensorType::new(DType::F32, [8])), ("w", TensorType::new(DType::F32, [8]))], |x| {
        let by_input = grad(&x[0], |y| scaled(y, &x[1].exp()).sum());
        let of_constant = grad(&x[1], |w| scaled(&x[0], &w.exp().stop_gradient()).sum());
        let of_levels = grad(&x[1], |w| scaled(&x[0], &w.round_nearest_even()).sum());
        let backward = grad(&x[1], |w| {
            custom_vjp("half", &x[0], |x: &Tensor| x * 0.5, |_: &Tensor, _: &Tensor, ct: &Tensor| ct * w).sum()
        });
        vec![by_input, of_constant, of_levels, backward]
    });
    assert_eq!(sound.map(|f| f.results().len()).map_err(|e| e.to_string()), Ok(4));
}

#[test]
fn a_tensor_of_another_trace_is_refused() {
    let other = Graph::new();
    let stranger = other.input("stranger", TensorType::new(DType::F32, [8, 32]));
    check(
        |x| vec![&x[0] * &stranger],
        expect!["multiply: an operand f32[8,32] belongs to another trace --> hlo/tests/errors.rs:_"],
    );
    check(
        |x| vec![x[0].clone(), stranger.clone()],
        expect!["return: an operand f32[8,32] belongs to another trace --> hlo/tests/errors.rs:_"],
    );
    check(
        |x| vec![scan(&x[3], &x[0], |c, row| (c, &row * &stranger)).1],
        expect!["multiply: an operand f32[8,32] belongs to another trace --> hlo/tests/errors.rs:_"],
    );
}

/// A tensor of a finished body belongs to no trace in progress.
#[test]
fn a_tensor_of_an_ended_body_is_refused() {
    check(
        |x| {
            let mut kept = None;
            let (_, rows) = scan(&x[3], &x[0], |c, row| {
                kept = Some(row.clone());
                (c, row)
            });
            vec![rows * kept.expect("traced")]
        },
        expect!["return: an operand f32[8,32] belongs to another trace --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn strangers_among_the_results_of_bodies_are_refused() {
    let other = Graph::new();
    let stranger = other.input("stranger", TensorType::new(DType::F32, [8, 32]));
    check(
        |x| vec![scan(&x[3], &x[0], |_, row| (stranger.clone(), row)).1],
        expect!["return: an operand f32[8,32] belongs to another trace --> hlo/tests/errors.rs:_"],
    );
    check(
        |x| vec![scan(&x[3], &x[0], |c, _| (c, stranger.clone())).1],
        expect!["return: an operand f32[8,32] belongs to another trace --> hlo/tests/errors.rs:_"],
    );
    check(
        |x| vec![while_loop(&x[3], |s| s.lt(9.0), |_| stranger.clone())],
        expect!["return: an operand f32[8,32] belongs to another trace --> hlo/tests/errors.rs:_"],
    );
    check(
        |x| vec![switch(&x[1].index_axis(0, 0), vec![Box::new(|| stranger.clone())])],
        expect!["return: an operand f32[8,32] belongs to another trace --> hlo/tests/errors.rs:_"],
    );
    check(
        |x| vec![vmap(&x[0], |_: Tensor| stranger.clone())],
        expect!["return: an operand f32[8,32] belongs to another trace --> hlo/tests/errors.rs:_"],
    );
    check(
        |x| {
            vec![custom_vjp(
                "odd",
                &x[0],
                |_: &Tensor| stranger.clone(),
                |_: &Tensor, _: &Tensor, ct: &Tensor| ct.clone(),
            )]
        },
        expect!["return: an operand f32[8,32] belongs to another trace --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn poison_of_another_trace_is_no_silent_result() {
    let other = Graph::new();
    let poison = other.input("x", TensorType::new(DType::S32, [2])).exp();
    check(
        |_| vec![poison.clone()],
        expect!["return: a result comes from an invalid call in another trace --> hlo/tests/errors.rs:_"],
    );
    check(
        |x| vec![&x[3] + &poison],
        expect!["return: a result comes from an invalid call in another trace --> hlo/tests/errors.rs:_"],
    );
}

/// Constants can be copied into any trace.
#[test]
fn a_constant_of_another_trace_is_taken() {
    let other = Graph::new();
    let half = other.constant(&Array::scalar(0.5f32));
    check(|x| vec![&x[3] * &half], expect![["no error, but [TensorType { dtype: F32, dims: [] }]"]]);
}

/// The window sums of x, with a changed window.
#[track_caller]
fn check_window(change: impl FnOnce(&mut Window), expected: Expect) {
    let mut window = Window::new([2, 2]);
    change(&mut window);
    check(|x| vec![x[0].reduce_window_sum(&window)], expected);
}

#[test]
fn reduce_window_c4() {
    check_window(
        |w| w.sizes = vec![1],
        expect![
            "reduce_window: [1] are the sizes of the window for the axes of f32[8,32] [C4] --> hlo/tests/errors.rs:_"
        ],
    );
}

#[test]
fn reduce_window_c5() {
    check_window(
        |w| w.sizes[1] = 0,
        expect![
            "reduce_window: [2, 0] are the sizes of the window for the axes of f32[8,32] [C5] --> hlo/tests/errors.rs:_"
        ],
    );
}

#[test]
fn reduce_window_c6() {
    check_window(
        |w| w.strides = vec![],
        expect!["reduce_window: [] are the strides for the axes of f32[8,32] [C6] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn reduce_window_c7() {
    check_window(
        |w| w.strides[0] = 0,
        expect!["reduce_window: [0, 1] are the strides for the axes of f32[8,32] [C7] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn reduce_window_c8() {
    check_window(
        |w| w.base_dilations = vec![1],
        expect!["reduce_window: [1] are the dilations for the axes of f32[8,32] [C8] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn reduce_window_c9() {
    check_window(
        |w| w.base_dilations[1] = 0,
        expect!["reduce_window: [1, 0] are the dilations for the axes of f32[8,32] [C9] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn reduce_window_c10() {
    check_window(
        |w| w.window_dilations = vec![1, 1, 1],
        expect![
            "reduce_window: [1, 1, 1] are the dilations of the window for the axes of f32[8,32] [C10] --> hlo/tests/errors.rs:_"
        ],
    );
}

#[test]
fn reduce_window_c11() {
    check_window(
        |w| w.window_dilations[0] = 0,
        expect![
            "reduce_window: [0, 1] are the dilations of the window for the axes of f32[8,32] [C11] --> hlo/tests/errors.rs:_"
        ],
    );
}

#[test]
fn reduce_window_c12() {
    check_window(
        |w| w.padding = vec![(0, 0)],
        expect!["reduce_window: [(0, 0)] is the padding for the axes of f32[8,32] [C12] --> hlo/tests/errors.rs:_"],
    );
}

#[test]
fn a_window_larger_than_its_tensor_has_no_place() {
    let f = trace(&[("x", TensorType::new(DType::F32, [2, 3]))], |x| {
        let window = Window::new([1, 4]);
        let y = x[0].reduce_window_max(&window);
        vec![grad(&x[0], |x| x.reduce_window_max(&window).sum()), y]
    });
    let types: Vec<String> = f.expect("a function").result_types().iter().map(TensorType::to_string).collect();
    assert_eq!(types, ["f32[2,3]", "f32[2,0]"]);
}

#[test]
fn subscripts_that_do_not_fit_are_refused() {
    check(
        |x| {
            let each =
                ["ij", "ij,jk,kl", "ijk,ij", "ij,...", "i2,ij", "ij,jk->im", "ij,kl->ii", "ij,ji", "ii,i", "i..j,j"];
            each.map(|subscripts| einsum(subscripts, &x[0], &x[0])).to_vec()
        },
        expect![[r#"
            einsum: `ij`: expected the subscripts of two operands, separated by one comma --> hlo/tests/errors.rs:_
            einsum: `ij,jk,kl`: expected the subscripts of two operands, separated by one comma --> hlo/tests/errors.rs:_
            einsum: `ijk,ij`: `ijk` names 3 axes, but f32[8,32] has 2 --> hlo/tests/errors.rs:_
            einsum: `i2,ij`: `2` is not a letter --> hlo/tests/errors.rs:_
            einsum: `ij,jk->im`: no operand has the axis `m` of the result --> hlo/tests/errors.rs:_
            einsum: `ij,kl->ii`: the result names an axis twice --> hlo/tests/errors.rs:_
            einsum: `ij,ji`: the axis `i` of f32[8,32] and f32[8,32] has sizes 8 and 32 --> hlo/tests/errors.rs:_
            einsum: `ii,i`: `i` names 1 axes, but f32[8,32] has 2 --> hlo/tests/errors.rs:_
            einsum: `i..j,j`: `i..j` names 4 axes, but f32[8,32] has 2 --> hlo/tests/errors.rs:_"#]],
    );
}
