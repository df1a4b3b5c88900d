//! Runs a traced formula on the test device and compares arrays.

use spiq::pjrt::Input;
use spiq::{Array, Function, Program, Tensor, TensorType, trace};

use crate::device::client;

/// The results of `f` for these inputs.
#[track_caller]
pub fn evaluate(inputs: &[&Array], f: impl FnOnce(&[Tensor]) -> Vec<Tensor>) -> Vec<Array> {
    let types: Vec<(&str, TensorType)> = inputs.iter().map(|a| ("", a.ty().clone())).collect();
    execute(&trace(&types, f).unwrap_or_else(|e| panic!("{e}")), inputs)
}

/// The results of a function for these inputs.
#[track_caller]
pub fn execute(function: &Function, inputs: &[&Array]) -> Vec<Array> {
    let program = Program::named("test").compile(client(), function).unwrap_or_else(|e| panic!("{e}"));
    let buffers: Vec<_> = inputs.iter().map(|a| client().to_device(a).expect("a buffer")).collect();
    let outputs = program.execute(buffers.iter().map(Input::Borrow).collect()).expect("a run");
    outputs.iter().map(|b| b.to_array().expect("an array")).collect()
}

/// Checks equality to within `tolerance` of the larger of an element and the array's mean magnitude.
#[track_caller]
pub fn check_close(what: &str, got: &Array, want: &Array, tolerance: f64) {
    assert_eq!(got.ty(), want.ty(), "{what}");
    let (got, want) = (got.to_f64(), want.to_f64());
    let mean = want.iter().map(|w| w.abs()).sum::<f64>() / want.len().max(1) as f64;
    for (i, (g, w)) in got.iter().zip(&want).enumerate() {
        let error = (g - w).abs() / w.abs().max(mean).max(f64::MIN_POSITIVE);
        assert!(error <= tolerance, "{what}[{i}]: {g}, want {w}, off by {error:e}");
    }
}
