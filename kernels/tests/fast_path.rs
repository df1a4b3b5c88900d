//! The elementwise operations that a kernel loop can contain. Any other operation takes its whole loop off the fast path, so each is
//! listed here with the reason.

use std::collections::BTreeMap;
use std::sync::Arc;

use spiq_hlo::{DType, Op, Tensor, TensorType, samples, scan, trace};

use crate::{calls, f32, traced};

/// Elementwise operations that no kernel computes, with the reason.
const SLOW: &[(&str, &str)] = &[
    ("atan2", FUNCTION),
    ("bitcast_convert", BITS),
    ("cbrt", FUNCTION),
    ("cosine", FUNCTION),
    ("count_leading_zeros", BITS),
    ("exponential_minus_one", FUNCTION),
    ("is_finite", "no neuron uses it; it could be a comparison of the magnitude"),
    ("log", FUNCTION),
    ("log_plus_one", FUNCTION),
    ("logistic", "an exponential and a division would round at other places than XLA; its bits have not been matched"),
    ("popcnt", BITS),
    ("power", FUNCTION),
    ("remainder", "a remainder is exact, and no instruction computes one"),
    ("round_nearest_afz", "no neuron and no instruction rounds this way"),
    ("rsqrt", "a root and a division round twice; XLA's bits have not been matched"),
    ("shift_left", BITS),
    ("shift_right_arithmetic", BITS),
    ("shift_right_logical", BITS),
    ("sine", FUNCTION),
    ("tan", FUNCTION),
    ("tanh", FUNCTION),
];

const FUNCTION: &str = "XLA uses its own approximation, whose bits no instruction reproduces";
const BITS: &str = "it operates on the bits of integers, and lanes are f32";

/// The elementwise operations in samples, one per name, with their number of operands.
fn elementwise() -> BTreeMap<&'static str, (Arc<dyn Op>, usize)> {
    // These do not report `is_elementwise`.
    const ALSO: [&str; 4] = ["compare", "is_finite", "bitcast_convert", "optimization_barrier"];
    let mut found = BTreeMap::new();
    for sample in samples() {
        let inputs: Vec<(&str, TensorType)> = sample.inputs.iter().map(|(ty, _)| ("x", ty.clone())).collect();
        let function = trace(&inputs, |x| (sample.build)(x)).unwrap_or_else(|e| panic!("{}: {e}", sample.name));
        function.each_node(&mut |node, operands| {
            let name = node.op.name();
            if node.op.is_elementwise() || node.op.is_choice() || ALSO.contains(&name) {
                found.entry(name).or_insert((node.op.clone(), operands.len()));
            }
        });
    }
    found
}

/// Whether a loop with this operation in its step becomes one kernel call, on f32 or on booleans.
fn is_fast(op: &Arc<dyn Op>, operands: usize) -> bool {
    [DType::F32, DType::Pred].into_iter().any(|dtype| {
        let condition = op.is_choice();
        let traced = trace(&[("x", TensorType::new(DType::F32, [5, 8]))], |x| {
            let start = x[0].index_axis(0, 0).zeros_like();
            let step = |v: Tensor, row: Tensor| {
                let of = |i: usize| match (dtype, i) {
                    (_, 0) if condition => row.gt(0.0),
                    (DType::Pred, i) => row.gt(i as f64),
                    (_, i) => &row + i as f64,
                };
                let y = row.graph().record(op.clone(), &(0..operands).map(of).collect::<Vec<_>>()).swap_remove(0);
                (v + y.convert(DType::F32), ())
            };
            vec![scan(&start, &x[0], step).0]
        });
        traced.is_ok_and(|function| calls(&function).len() == 1)
    })
}

#[test]
fn what_is_off_the_fast_path_says_why() {
    let all = elementwise();
    assert!(all.len() > 40, "{:?}", all.keys());
    let slow: Vec<&str> = all.iter().filter(|(_, (op, count))| !is_fast(op, *count)).map(|(name, _)| *name).collect();
    let said: Vec<&str> = SLOW.iter().map(|(name, _)| *name).collect();
    assert_eq!(slow, said, "operations without a lane, and those of which the reason is written here");
}

/// An operation without operands has no operand type to check, so the loop is left to XLA.
#[test]
fn a_loop_that_counts_its_lanes_stays_a_loop() {
    let function = traced(&[("x", f32(&[5, 8]))], |x| {
        let start = x[0].index_axis(0, 0).zeros_like();
        let step = |v: Tensor, row: Tensor| (v + &row + row.graph().iota(f32(&[8]), 0), ());
        vec![scan(&start, &x[0], step).0]
    });
    assert_eq!(calls(&function), []);
}
