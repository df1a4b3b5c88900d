//! Programs with kernel calls, compared with the files in `emit/`: the calls, and each kernel's program as text and encoded.
//! `UPDATE_EXPECT=1` rewrites them; review the diff.

use expect_test::expect_file;
use spiq_hlo::{DType, Function, GraphErrors, Tensor, TensorType, custom_vjp, scan, vjp};
use spiq_kernels::{KernelCall, call_elementwise_scans, call_kernels, describe};

use crate::{f32, traced};

#[track_caller]
fn show(name: &str, function: Result<Function, GraphErrors>) {
    let lowered = function.and_then(|f| f.lower()).unwrap_or_else(|e| panic!("{e}")).simplify();
    lowered.verify().unwrap_or_else(|e| panic!("{e}"));
    let mut encoded = String::from("\nencoded:\n");
    lowered.each_node(&mut |node, _| {
        for (key, words) in KernelCall::of(node.op.as_ref()).iter().flat_map(KernelCall::config) {
            encoded += &format!("  {key} {words:?}\n");
        }
    });
    let path = format!("{}/tests/emit/{name}.mlir", env!("CARGO_MANIFEST_DIR"));
    expect_file![path].assert_eq(&(describe(&lowered) + &encoded));
}

/// A step whose derivative is a triangle.
#[track_caller]
fn spike(v: &Tensor) -> Tensor {
    let step = |v: &Tensor| v.gt(0.0).convert(v.dtype());
    custom_vjp("spike", v, step, |v: &Tensor, _: &Tensor, ct: &Tensor| ct * (1.0 - v.abs()).maximum(0.0))
}

/// The loops that CPU kernels compute, with the kernels' programs.
#[test]
fn a_neuron_and_its_gradient_in_kernels() {
    let inputs = [("beta", f32(&[8, 6])), ("x", f32(&[16, 8, 6])), ("ct", f32(&[16, 8, 6]))];
    let function = traced(&inputs, |x| {
        let start = x[0].zeros_like();
        let step = |v: Tensor, row: Tensor| {
            let fired = spike(&(&v - 1.0));
            (&v * &x[0] + row - &fired, fired)
        };
        let spikes = scan(&start, &x[1], step).1;
        let grads = vjp(std::slice::from_ref(&spikes), &[Some(x[2].clone())], &x[..2]);
        [vec![spikes.reshape(&[128, 6]).convert(DType::S8)], grads].concat()
    });
    show("lif_kernel", call_elementwise_scans(&function));
}

/// A layer on spikes: its product is fused into the loop of its neurons, the gradient of its weights is a sum of rows.
#[test]
fn a_layer_and_its_gradient_in_kernels() {
    let inputs = [("s", TensorType::new(DType::Pred, [16, 8, 5])), ("w", f32(&[5, 6])), ("ct", f32(&[16, 8, 6]))];
    let function = traced(&inputs, |x| {
        let currents = x[0].dot(&x[1]);
        let start = x[2].graph().zeros(f32(&[8, 6]));
        let step = |v: Tensor, row: Tensor| {
            let fired = spike(&(&v - 1.0));
            (&v * 0.9 + row - &fired, fired)
        };
        let spikes = scan(&start, &currents, step).1;
        let grads = vjp(std::slice::from_ref(&spikes), &[Some(x[2].clone())], &x[1..2]);
        [vec![spikes], grads].concat()
    });
    show("layer_kernel", call_kernels(&function));
}
