//! Static integer ranges of values. These tests execute nothing.

use spiq_hlo::{DType, Graph, Range, Tensor, TensorType, Window, concatenate, custom_vjp, scan, trace};

/// Traces `f` on v f32[4,6] and b pred[4,6], and compares the range of its result.
#[track_caller]
fn check(f: impl FnOnce(&Tensor, &Tensor) -> Tensor, expected: Option<(i64, i64)>) {
    let graph = Graph::new();
    let v = graph.input("v", TensorType::new(DType::F32, [4, 6]));
    let b = graph.input("b", TensorType::new(DType::Pred, [4, 6]));
    let y = f(&v, &b);
    assert_eq!(y.range().map(|r| (r.low, r.high)), expected);
    graph.finish(&[y]).unwrap_or_else(|e| panic!("{e}"));
}

fn spike(v: &Tensor) -> Tensor {
    let step = |v: &Tensor| v.gt(0.0).convert(v.dtype());
    custom_vjp("spike", v, step, |v: &Tensor, _: &Tensor, ct: &Tensor| ct * (1.0 - v.abs()).maximum(0.0))
}

#[test]
fn spikes_are_zero_or_one() {
    check(|v, _| spike(&(v - 1.0)), Some((0, 1)));
    check(|v, _| v.clone(), None);
    check(|_, b| b.convert(DType::F32), Some((0, 1)));
}

#[test]
fn layout_keeps_a_range() {
    check(
        |_, b| b.reshape(&[8, 3]).t().broadcast_to(&[5, 3, 8]).slice_axis(0, 1, 3).convert(DType::BF16),
        Some((0, 1)),
    );
    check(|_, b| concatenate(&[&b.convert(DType::S8), &b.convert(DType::S8).full_like(7.0)], 0), Some((0, 7)));
    check(|v, b| concatenate(&[v, &b.convert(DType::F32)], 0), None);
    check(|_, b| b.convert(DType::F32).pad(-2.0, &[1, 0], &[0, 0], &[0, 0]), Some((-2, 1)));
}

#[test]
fn sums_and_products_widen_it() {
    check(|_, b| b.convert(DType::F32).reduce_sum([0, 1]), Some((0, 24)));
    check(|_, b| b.convert(DType::F32) * 3.0 - b.convert(DType::F32), Some((-1, 3)));
    check(|_, b| b.convert(DType::F32) * 0.5, None);
    check(|_, b| -(b.convert(DType::F32).reduce_max([0])), Some((-1, 0)));
    check(|_, b| b.convert(DType::F32).reduce_window_sum(&Window::new([2, 2])), Some((0, 4)));
    check(|v, b| b.select(&spike(v), &v.full_like(-4.0)), Some((-4, 1)));
}

/// A sum that overflows the element type wraps, and one that the type cannot represent exactly is rounded.
#[test]
fn what_a_type_cannot_hold_is_not_known() {
    check(|_, b| b.convert(DType::S8) * 100.0 + b.convert(DType::S8) * 100.0, Some((-128, 127)));
    check(|_, b| b.convert(DType::BF16) * 200.0 + b.convert(DType::BF16) * 200.0, None);
    check(|_, b| (b.convert(DType::F32) * 300.0).convert(DType::S8), Some((-128, 127)));
}

#[test]
fn slices_of_a_sequence_are_as_the_sequence() {
    check(
        |_, b| {
            let start = b.convert(DType::F32).reduce_sum([0, 1]);
            let (_, y) = scan(&start, b, |c: Tensor, x: Tensor| {
                assert_eq!((x.range(), c.range()), (Some(Range { low: 0, high: 1 }), None));
                (c, x.convert(DType::F32) * 2.0)
            });
            y
        },
        Some((0, 2)),
    );
}

/// The last spikes are carried: every step stays within [0, 1]. A count grows in each step, so its range is dropped.
#[test]
fn carries_are_known_where_steps_stay_within_the_start() {
    let run = |v: &Tensor| {
        let zero = v.index_axis(0, 0).zeros_like();
        scan(&(zero.clone(), zero), v, |(last, count): (Tensor, Tensor), v: Tensor| {
            let now = spike(&v);
            ((now, &count + &last), (last, count))
        })
    };
    check(|v, _| run(v).1.0, Some((0, 1)));
    check(|v, _| run(v).0.0, Some((0, 1)));
    check(|v, _| run(v).1.1, None);
}

/// A transform sees the ranges of the values it rewrites, in loops and in custom gradients.
#[test]
fn a_rewrite_is_told_of_spikes() {
    let inputs = [("x", TensorType::new(DType::F32, [5, 2, 3])), ("w", TensorType::new(DType::F32, [3, 3]))];
    let function = trace(&inputs, |x| {
        let start = x[0].index_axis(0, 0).zeros_like();
        let (_, y) = scan(&(start.clone(), start), &x[0], |(v, fired): (Tensor, Tensor), row: Tensor| {
            let v = v * 0.9 + row.dot(&x[1]) + fired.dot(&x[1]);
            let fired = spike(&(&v - 1.0));
            ((v, fired.clone()), fired)
        });
        vec![y]
    });
    let mut seen = Vec::new();
    let rewritten = function.unwrap_or_else(|e| panic!("{e}")).transform(&mut |node, operands| {
        if node.op.name() == "dot_general" {
            seen.push(operands[0].range().map(|r| (r.low, r.high)));
        }
        None
    });
    rewritten.unwrap_or_else(|e| panic!("{e}")).verify().unwrap();
    assert_eq!(seen, [None, Some((0, 1))]);
}

/// Conclusions from a carry's range would be wrong in the new loop.
#[test]
fn a_rewrite_that_leaves_a_carrys_range_is_refused() {
    let function = trace(&[("x", TensorType::new(DType::F32, [5, 3]))], |x| {
        vec![
            scan(&x[0].index_axis(0, 0).zeros_like(), &x[0], |last: Tensor, row: Tensor| {
                (row.gt(0.0).convert(DType::F32), last)
            })
            .1,
        ]
    });
    let rewritten = function.unwrap_or_else(|e| panic!("{e}")).transform(&mut |node, operands| {
        (node.op.name() == "convert").then(|| vec![operands[0].convert(DType::F32) * 0.5])
    });
    let message = rewritten.map(drop).unwrap_err().to_string();
    assert!(message.contains("a rewrite moves the carry f32[3] out of its previous range"), "{message}");
}
