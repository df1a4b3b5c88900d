//! Spikes as exact integers: the types in the program, and equality with arithmetic that does not round spikes; gradients in bf16.

use crate::evaluate::{check_close, execute};
use spiq::config::ModelConfig;
use spiq::network::Network;
use spiq::quant::{Gradients, Mode, Numerics, linear_only_rules, weights_only_rules};
use spiq::random::Key;
use spiq::{Array, DType, Function, TensorType};

const MODEL: &str = r#"layers = [
    { type = "Linear", in_features = 10, out_features = 14, use_bias = false },
    { type = "LIF", hidden_shape = 14, activation = { type = "triangular" } },
    { type = "Linear", in_features = 14, out_features = 9 },
    { type = "LIF", hidden_shape = 9, activation = { type = "triangular" } },
    { type = "Linear", in_features = 9, out_features = 4 },
    { type = "LI", layer_shape = 4 },
]"#;

const X: [usize; 3] = [12, 3, 10];

fn network(weights: &str, activations: Option<&str>) -> Network {
    let rules = match activations {
        Some(activations) => linear_only_rules(weights, activations),
        None => weights_only_rules(weights),
    };
    Network::new(ModelConfig::parse(MODEL, "test").expect("a model"), rules).expect("a network")
}

fn spikes(dtype: DType) -> Array {
    let values = Key::new(5).bernoulli(X.iter().product(), 0.3).into_iter().map(|s| f64::from(u8::from(s)));
    Array::from_f64(TensorType::new(dtype, X), &values.collect::<Vec<_>>()).expect("spikes")
}

/// Loss and gradients, or outputs in PTQ, with parameters of seed 3.
fn results(network: &Network, mode: Mode, x: &Array) -> Vec<Array> {
    let forward = network.forward(x.ty(), mode).expect("a forward pass");
    let params = network.init(3);
    let labels = Array::new([3], [0, 3, 1]).expect("labels");
    match mode {
        Mode::Ptq => execute(&forward.function, &params.values().chain([x]).collect::<Vec<_>>()),
        Mode::Qat => {
            let gradient = forward.gradient().expect("a gradient");
            execute(&gradient, &params.values().chain([x, &labels]).collect::<Vec<_>>())
        }
    }
}

/// With exact spikes, only the weights are rounded, so integer products equal float products with the same weights, for every type that
/// can hold 0 and 1.
#[test]
fn exact_activations_change_no_number() {
    for (weights, activations, mode) in
        [("int8", "int8", Mode::Qat), ("int4", "int2", Mode::Qat), ("int8", "int8", Mode::Ptq)]
    {
        let whole = results(&network(weights, None), mode, &spikes(DType::F32));
        let exact = results(&network(weights, Some(activations)), mode, &spikes(DType::Pred));
        for (i, (got, want)) in exact.iter().zip(&whole).enumerate() {
            check_close(&format!("{weights} x {activations}, {mode:?}, result {i}"), got, want, 1e-5);
        }
    }
}

#[test]
fn spikes_may_come_as_booleans_bytes_or_floats() {
    let network = network("int8", Some("int8")).with_numerics(Numerics::Qwix);
    let floats = results(&network, Mode::Qat, &spikes(DType::F32));
    for dtype in [DType::Pred, DType::S8] {
        for (got, want) in results(&network, Mode::Qat, &spikes(dtype)).iter().zip(&floats) {
            assert!(got == want, "{dtype}");
        }
    }
}

#[track_caller]
fn scales(network: &Network, dtype: DType) -> Vec<String> {
    let quantized = network.quantized(&TensorType::new(dtype, X), Mode::Qat).expect("quantizes");
    quantized.report.rows.iter().map(|row| row.sides[0].scale.clone()).collect()
}

/// Only proven integers are used exactly: floats with unknown values have a scale per sample.
#[test]
fn what_may_be_anything_is_still_calibrated() {
    assert_eq!(scales(&network("int8", Some("int8")), DType::Pred), ["[1,1]"; 3]);
    assert_eq!(scales(&network("int8", Some("int8")), DType::S8), ["[1,1]"; 3]);
    assert_eq!(scales(&network("int8", Some("int8")), DType::F32), ["[3,1]", "[1,1]", "[1,1]"]);
    // A byte may exceed four bits.
    assert_eq!(scales(&network("int8", Some("int4")), DType::S8), ["[3,1]", "[1,1]", "[1,1]"]);
    let qwix = network("int8", Some("int8")).with_numerics(Numerics::Qwix);
    assert_eq!(scales(&qwix, DType::Pred), ["[3,1]"; 3]);
}

/// The sequences written by loops, by type.
fn written(function: &Function) -> Vec<String> {
    let of_node = |n: &spiq_hlo::Node| {
        let operands: Vec<TensorType> = n.operands.iter().map(|&v| function.ty(v).clone()).collect();
        let own = (n.op.name() == "dynamic_update_slice").then(|| n.types[0].to_string());
        own.into_iter().chain(n.op.regions(&operands).iter().flat_map(written)).collect::<Vec<_>>()
    };
    function.nodes().iter().flat_map(of_node).collect()
}

/// Neurons output spikes as bytes, which forward and backward products read; potentials are stored once.
#[test]
fn a_training_step_keeps_potentials_and_bytes() {
    let network = network("int8", Some("int8"));
    let forward = network.forward(&TensorType::new(DType::Pred, X), Mode::Qat).expect("a forward pass");
    let gradient = forward.gradient().expect("a gradient").lower().expect("lowers").simplify();
    let mut written = written(&gradient);
    written.sort_unstable();
    // Forward: a potential and spikes for each hidden layer, the readout's potential before and after each step. Backward: a cotangent
    // for each layer.
    let mut wanted: Vec<String> = [14, 14, 9, 9, 4, 4, 4].map(|n| format!("f32[12,3,{n}]")).into();
    wanted.extend(["s8[12,3,14]".to_owned(), "s8[12,3,9]".to_owned()]);
    wanted.sort_unstable();
    assert_eq!(written, wanted);
}

#[test]
fn gradients_in_bf16_are_close_to_those_in_f32() {
    let full = network("int8", Some("int8"));
    let narrow = full.clone().with_gradients(Gradients::Bf16);
    let (full, narrow) =
        (results(&full, Mode::Qat, &spikes(DType::Pred)), results(&narrow, Mode::Qat, &spikes(DType::Pred)));
    assert!(full[0] == narrow[0], "the loss is computed on the way forward");
    for (i, (got, want)) in narrow.iter().zip(&full).enumerate().skip(1) {
        check_close(&format!("gradient {i}"), got, want, 2e-2);
    }
    assert!(narrow[1] != full[1], "the gradient of the first kernel is not in bf16");
}

/// Operations without a matching rule also have narrow gradients.
#[test]
fn gradients_in_bf16_need_no_rules() {
    let network = Network::new(ModelConfig::parse(MODEL, "test").expect("a model"), vec![]).expect("a network");
    let full = results(&network, Mode::Qat, &spikes(DType::Pred));
    let narrow = results(&network.with_gradients(Gradients::Bf16), Mode::Qat, &spikes(DType::Pred));
    for (i, (got, want)) in narrow.iter().zip(&full).enumerate() {
        check_close(&format!("result {i}"), got, want, 2e-2);
    }
}

/// Tiles of any size, also with spikes as bytes and gradients in bf16. Sums of bf16 products are per tile, so the last digits of
/// gradients differ.
#[test]
fn cutting_along_time_changes_no_output() {
    let network = network("int8", Some("int8")).with_gradients(Gradients::Bf16);
    let x = spikes(DType::Pred);
    let plain = results(&network.clone().with_time_tile(Some(1)), Mode::Qat, &x);
    for tile in [4, 12] {
        let cut = results(&network.clone().with_time_tile(Some(tile)), Mode::Qat, &x);
        check_close(&format!("tile {tile}, loss"), &cut[0], &plain[0], 1e-6);
        for (i, (got, want)) in cut.iter().zip(&plain).enumerate().skip(1) {
            check_close(&format!("tile {tile}, gradient {i}"), got, want, 2e-2);
        }
    }
}
