//! Whole networks compared with flax, Spyx and qwix: outputs, training through quantization, and splitting along time.

use std::collections::BTreeMap;

use crate::evaluate::{check_close, evaluate, execute};
use crate::fit::train;
use crate::reference::{Case, Reference};
use spiq::config::{ModelConfig, RuleConfig};
use spiq::network::Network;
use spiq::optim::{adam, lion};
use spiq::quant::{Mode, Numerics, quantize};
use spiq::{Array, DType, Function, TensorType, trace, value_and_grad};

/// Linear layers of these sizes with LIF (triangular) between them and LI at the end.
fn model(sizes: &[usize], use_bias: bool) -> ModelConfig {
    let mut text = String::from("name = \"core\"\n");
    for (i, pair) in sizes.windows(2).enumerate() {
        let (inputs, outputs) = (pair[0], pair[1]);
        text += &format!("[[layers]]\ntype = \"Linear\"\nin_features = {inputs}\nout_features = {outputs}\n");
        text += &format!("use_bias = {use_bias}\n[[layers]]\n");
        text += &match i + 2 < sizes.len() {
            true => format!("type = \"LIF\"\nhidden_shape = {outputs}\nactivation = {{ type = \"triangular\" }}\n"),
            false => format!("type = \"LI\"\nlayer_shape = {outputs}\n"),
        };
    }
    ModelConfig::parse(&text, "test").expect("a model")
}

fn rules(case: &Case) -> Vec<RuleConfig> {
    let text = |name: &str| case.get(name).as_str().map(str::to_owned);
    let Some(weight) = text("weight_qtype") else { return Vec::new() };
    let default = RuleConfig::default();
    vec![RuleConfig {
        module_path: text("module_path").unwrap_or(default.module_path.clone()),
        weight_qtype: Some(weight),
        act_qtype: text("act_qtype"),
        ..default
    }]
}

fn params(file: &Reference, case: &str, network: &Network) -> BTreeMap<String, Array> {
    let case = file.case(case);
    let at = |path: &String| case.array(path).clone();
    network.parameter_types().keys().map(|path| (path.clone(), at(path))).collect()
}

fn outputs(network: &Network, params: &BTreeMap<String, Array>, x: &Array, mode: Mode) -> Array {
    let forward = network.forward(x.ty(), mode).expect("a forward pass");
    let inputs: Vec<&Array> = params.values().chain([x]).collect();
    transposed(&execute(&forward.function, &inputs)[0])
}

/// Transposes [T, B, C] to [B, T, C].
fn transposed(traces: &Array) -> Array {
    evaluate(&[traces], |t| vec![t[0].transpose(&[1, 0, 2])]).remove(0)
}

/// Checks that nearly all elements are equal: a value at the boundary between two integers may round to the other.
#[track_caller]
fn check_nearly_all(what: &str, got: &Array, want: &Array) {
    assert_eq!(got.ty(), want.ty(), "{what}");
    let (got, want) = (got.to_f64(), want.to_f64());
    let same = got.iter().zip(&want).filter(|(g, w)| (*g - *w).abs() <= 1e-5 * w.abs().max(1.0)).count();
    assert!(same as f64 >= 0.999 * want.len() as f64, "{what}: only {same} of {} elements agree", want.len());
}

#[test]
fn the_tutorials_outputs_are_those_of_the_python_stack() {
    let file = Reference::load("tutorial");
    let x = file.case("given").array("sample_x").clone();
    for name in ["fp32", "int8", "int4_weights", "readout"] {
        let case = file.case(name);
        let network = Network::new(model(&[32, 64, 64, 10], false), rules(&case))
            .expect("a network")
            .with_numerics(Numerics::Qwix);
        let start = params(&file, "params", &network);
        assert_eq!(start, network.init(0), "{name}: drawn parameters");
        for mode in [Mode::Qat, Mode::Ptq] {
            check_nearly_all(name, &outputs(&network, &start, &x, mode), case.array("outputs"));
        }
    }
}

#[test]
fn the_tutorials_training_follows_the_python_stack() {
    let file = Reference::load("tutorial");
    let (given, case) = (file.case("given"), file.case("training"));
    let network =
        Network::new(model(&[32, 64, 64, 10], false), rules(&case)).expect("a network").with_numerics(Numerics::Qwix);
    let start = params(&file, "params", &network);
    let batch = (given.array("x"), given.array("targets"));
    let (losses, _, _) = train(&network, &start, batch, &lion(1e-3), 50);
    let want = case.array("losses").to_f64();
    assert!((losses[0] - want[0]).abs() < 1e-4 * want[0], "step 0: {} for {}", losses[0], want[0]);
    for (step, (got, want)) in losses.iter().zip(&want).enumerate() {
        assert!((got - want).abs() < 1e-2 * want, "step {step}: {got} for {want}");
    }
}

/// If all products are of integers, nothing depends on the order of a sum. (Neurons depend on whether a product is rounded before it is
/// added, as on a CPU without fused multiply-add.)
#[test]
fn outputs_in_int8_have_qwixs_bits() {
    #[cfg(target_arch = "x86_64")]
    if !std::arch::is_x86_feature_detected!("fma") {
        eprintln!("not compared: this processor rounds products before it adds them");
        return;
    }
    for (file, sizes, bias, x) in
        [("tutorial", &[32, 64, 64, 10][..], false, "sample_x"), ("model", &[12, 16, 5], true, "x")]
    {
        let file = Reference::load(file);
        let (case, x) = (file.case("int8"), file.case("given").array(x).clone());
        let network = Network::new(model(sizes, bias), rules(&case)).expect("a network").with_numerics(Numerics::Qwix);
        let start = params(&file, "params", &network);
        for mode in [Mode::Qat, Mode::Ptq] {
            assert_eq!(outputs(&network, &start, &x, mode), *case.array("outputs"), "{sizes:?} {mode:?}");
        }
    }
}

#[test]
fn a_small_quantized_model_agrees_in_outputs_gradients_and_training() {
    let file = Reference::load("model");
    let given = file.case("given");
    let (x, targets) = (given.array("x"), given.array("targets"));
    for name in ["fp32", "int8", "int8_weights", "int4_weights"] {
        let case = file.case(name);
        let network =
            Network::new(model(&[12, 16, 5], true), rules(&case)).expect("a network").with_numerics(Numerics::Qwix);
        let start = params(&file, "params", &network);
        check_nearly_all(name, &outputs(&network, &start, x, Mode::Qat), case.array("outputs"));
        let (losses, grads, trained) = train(&network, &start, (x, targets), &adam(0.01), 10);
        for (path, grad) in &grads {
            check_close(&format!("{name} grads/{path}"), grad, case.array(&format!("grads/{path}")), 1e-4);
        }
        for (step, (got, want)) in losses.iter().zip(case.array("losses").to_f64()).enumerate() {
            assert!((got - want).abs() < 1e-4 * want, "{name} step {step}: {got} for {want}");
        }
        for (path, value) in &trained {
            check_close(&format!("{name} trained/{path}"), value, case.array(&format!("trained/{path}")), 1e-3);
        }
    }
}

/// Loss and gradients of a network whose scan is split into tiles of `tile` steps.
fn loss_and_grads(network: &Network, tile: usize, x: &TensorType) -> Function {
    let traced = network.trace(x).expect("a trace");
    let is_weight = |name: &str| name != "x";
    let quantized = match network.rules() {
        rules if rules.is_empty() => traced,
        rules => quantize(&traced, rules, Mode::Qat, Numerics::Qwix, is_weight).expect("quantizes").function,
    };
    let cut = quantized.split_time(tile).expect("cuts");
    cut.verify().expect("a sound function");
    let types = cut.input_types();
    let inputs: Vec<(&str, TensorType)> = types.iter().map(|ty| ("", ty.clone())).collect();
    let function = trace(&inputs, |values| {
        let ((loss, traces), grads) = value_and_grad(&values.to_vec(), |values| {
            let traces = cut.call(values[0].graph(), values).swap_remove(0);
            let weights = traces.graph().iota(traces.ty().clone(), 0) + traces.graph().iota(traces.ty().clone(), 2);
            ((&traces * &weights * 0.1).sin().sum(), traces)
        });
        [vec![loss, traces], grads].concat()
    });
    let function = function.expect("a gradient");
    function.verify().expect("a sound gradient");
    function
}

#[test]
fn cutting_along_time_changes_no_output_and_no_gradient() {
    let x = TensorType::new(DType::F32, [12, 3, 10]);
    let spikes: Vec<f32> =
        spiq::random::Key::new(5).bernoulli(x.count(), 0.3).into_iter().map(|s| f32::from(u8::from(s))).collect();
    let data = Array::new(x.dims.clone(), spikes).expect("spikes");
    for rules in [vec![], spiq::quant::linear_only_rules("int8", "int8"), spiq::quant::weights_only_rules("int4")] {
        let network = Network::new(model(&[10, 14, 9, 4], true), rules).expect("a network");
        let start = network.init(3);
        let inputs: Vec<&Array> = start.values().chain([&data]).collect();
        let plain = execute(&loss_and_grads(&network, 1, &x), &inputs);
        // 5 does not divide 12, so it counts as 4; 100 is clamped to the whole length.
        for tile in [2, 4, 5, 6, 12, 100] {
            let cut = execute(&loss_and_grads(&network, tile, &x), &inputs);
            for (i, (got, want)) in cut.iter().zip(&plain).enumerate() {
                check_close(&format!("tile {tile}, result {i}"), got, want, 1e-5);
            }
        }
    }
}

#[test]
fn a_cut_network_has_its_dots_outside_of_all_loops() {
    let x = TensorType::new(DType::F32, [12, 3, 10]);
    let network = Network::new(model(&[10, 14, 4], false), vec![]).expect("a network");
    let forward = network.forward(&x, Mode::Ptq).expect("a forward pass");
    let count = |name: &str| forward.function.nodes().iter().filter(|n| n.op.name() == name).count();
    assert_eq!((count("dot_general"), count("scan")), (2, 2));
    assert_eq!(network.trace(&x).expect("a trace").nodes().iter().filter(|n| n.op.name() == "scan").count(), 1);
}
