//! Which elementwise operations a loop may have and still be one call of a kernel. What is not among them takes a whole loop
//! from the fast path, so it is said here with its reason.

use std::collections::BTreeMap;
use std::sync::Arc;

use spiq_hlo::{DType, Op, Tensor, TensorType, samples, scan, trace};

use crate::{calls, f32, traced};

/// Elementwise operations that no kernel computes, and why.
const SLOW: &[(&str, &str)] = &[
    ("atan2", FUNCTION),
    ("bitcast_convert", BITS),
    ("cbrt", FUNCTION),
    ("cosine", FUNCTION),
    ("count_leading_zeros", BITS),
    ("exponential_minus_one", FUNCTION),
    ("is_finite", "no neuron's step asks it; a comparison of the magnitude would be its lane"),
    ("log", FUNCTION),
    ("log_plus_one", FUNCTION),
    (
        "logistic",
        "composed of an exponential and a division it rounds elsewhere than XLA; its bits have not been matched",
    ),
    ("popcnt", BITS),
    ("power", FUNCTION),
    ("remainder", "a remainder is exact, and no instruction here gives that"),
    ("round_nearest_afz", "no neuron rounds so, and no instruction here does"),
    ("rsqrt", "a root and a division round twice; XLA's bits have not been matched"),
    ("shift_left", BITS),
    ("shift_right_arithmetic", BITS),
    ("shift_right_logical", BITS),
    ("sine", FUNCTION),
    ("tan", FUNCTION),
    ("tanh", FUNCTION),
];

const FUNCTION: &str = "XLA has an approximation of its own, whose bits no instruction here gives";
const BITS: &str = "it is of integers' bits, and lanes are f32";

/// Elementwise operations of the samples, one of each name, with the number of their operands.
fn elementwise() -> BTreeMap<&'static str, (Arc<dyn Op>, usize)> {
    // These say of themselves only that they compare or read bits.
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

/// Whether a loop with this operation in its step is one call of a kernel: on f32 or on booleans.
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

/// An operation without operands has no element type to look at: the loop stays with the compiler.
#[test]
fn a_loop_that_counts_its_lanes_stays_a_loop() {
    let function = traced(&[("x", f32(&[5, 8]))], |x| {
        let start = x[0].index_axis(0, 0).zeros_like();
        let step = |v: Tensor, row: Tensor| (v + &row + row.graph().iota(f32(&[8]), 0), ());
        vec![scan(&start, &x[0], step).0]
    });
    assert_eq!(calls(&function), []);
}
