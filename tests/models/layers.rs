//! Neurons and layers of a model file compared with those of Spyx and flax: initial values, outputs, gradients, training; deliberate
//! differences; refusals.

use std::collections::BTreeMap;

use crate::evaluate::{check_close, evaluate, execute};
use crate::fit::train;
use crate::reference::{Case, Reference};
use serde_json::Value;
use spiq::config::{ModelConfig, RuleConfig};
use spiq::network::{Network, Pass};
use spiq::nn::{
    self, ActivityRegularization, Axes, Axis, Layer, Lif, Linear, Padding, PopulationCode, PsuLif, Run, Sequential,
    Surrogate, huber_loss, silence_reg, sparsity_reg, sparsity_reg_with,
};
use spiq::optim::adam;
use spiq::quant::{Mode, Numerics, linear_only_rules};
use spiq::random::{Key, Rngs};
use spiq::signature::Role;
use spiq::{Array, DType, Tensor, TensorType, trace, value_and_grad};
use spiq_hlo::concatenate;

const LAYERS: &str = "layers";
const SPIKING: &str = "spiking";

/// A JSON value as TOML.
fn toml(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let parts: Vec<String> = map.iter().map(|(key, value)| format!("{key} = {}", toml(value))).collect();
            format!("{{ {} }}", parts.join(", "))
        }
        other => other.to_string(),
    }
}

/// The TOML table of a case's layer, without arguments that only a parameter can hold.
pub(super) fn table(case: &Case<'_>) -> String {
    let Value::Object(arguments) = case.arguments() else { panic!("{} has arguments", case.name) };
    let is_list = |key: &str, value: &Value| ["alpha", "beta", "gamma"].contains(&key) && value.is_array();
    let given = arguments.iter().filter(|(key, value)| *key != "seed" && !is_list(key, value));
    let lines: Vec<String> = given.map(|(key, value)| format!("{key} = {}", toml(value))).collect();
    format!("[[layers]]\n{}\n", lines.join("\n"))
}

pub(super) fn config(text: &str) -> ModelConfig {
    ModelConfig::parse(text, "test").unwrap_or_else(|e| panic!("{e}\n{text}"))
}

pub(super) fn letters(rank: usize) -> String {
    Axis::of_rank(rank).iter().map(|axis| axis.letter().to_string()).collect::<Vec<_>>().join(" ")
}

/// A case's parameters, stored by name, under their paths in a model of one layer.
pub(super) fn parameters_of(case: &Case<'_>, model: &Sequential) -> BTreeMap<String, Array> {
    let at = |path: String| {
        let name = path.rsplit('/').next().expect("a path").to_owned();
        (path, case.array(&name).clone())
    };
    model.parameter_types().into_keys().map(at).collect()
}

/// Outputs of a run, its last states along the last axis, and the gradients of the weighted outputs and all states with respect to x,
/// then to the parameters.
pub(super) fn run_with_gradients(
    model: &Sequential,
    params: &BTreeMap<String, Array>,
    x: &Array,
    weights: &Array,
) -> Vec<Array> {
    let paths: Vec<String> = params.keys().cloned().collect();
    let inputs: Vec<&Array> = params.values().chain([x, weights]).collect();
    evaluate(&inputs, |values| {
        let named: BTreeMap<String, Tensor> = paths.iter().cloned().zip(values.iter().cloned()).collect();
        let (x, weights) = (&values[paths.len()], &values[paths.len() + 1]);
        let ((_, (traces, state)), (grads, dx)) = value_and_grad(&(named, x.clone()), |(params, x)| {
            let (traces, state) = nn::run(model, params, &x.named(&letters(x.rank())));
            // The potential comes first, as in Spyx.
            let state: Vec<Tensor> = state.into_values().rev().collect();
            let sum = state.iter().fold((traces.tensor() * weights).sum(), |sum, state| sum + state.sum());
            (sum, (traces.into_tensor(), state))
        });
        let state = match state.as_slice() {
            [] => Vec::new(),
            parts => vec![concatenate(&parts.iter().collect::<Vec<_>>(), -1)],
        };
        [vec![traces], state, vec![dx], grads.into_values().collect()].concat()
    })
}

#[test]
fn neurons_are_spyx_neurons() {
    for case in Reference::load(SPIKING).cases("neuron") {
        let model = Sequential::from(&config(&(table(&case) + "hidden_shape = 5")));
        let params = parameters_of(&case, &model);
        let mut got = run_with_gradients(&model, &params, case.array("input"), case.array("weights")).into_iter();
        for name in ["outputs", "final_state", "d_input"] {
            let got = got.next().expect("a result");
            check_close(&format!("{} {name}", case.name), &got, case.array(name), 1e-5);
        }
        for (path, got) in params.keys().zip(got) {
            let name = path.rsplit('/').next().expect("a path");
            check_close(&format!("{} d_{name}", case.name), &got, case.array(&format!("d_{name}")), 1e-4);
        }
    }
}

#[test]
fn layers_without_state_are_those_of_flax_and_spyx() {
    for case in Reference::load(LAYERS).cases("layer") {
        let model = Sequential::from(&config(&table(&case)));
        let params = parameters_of(&case, &model);
        let one_step = |array: &Array| evaluate(&[array], |x| vec![x[0].expand_dims(0)]).remove(0);
        let (x, weights) = (one_step(case.array("input")), one_step(case.array("weights")));
        let got = run_with_gradients(&model, &params, &x, &weights);
        check_close(&format!("{} output", case.name), &got[0], &one_step(case.array("output")), 1e-5);
        check_close(&format!("{} d_input", case.name), &got[1], &one_step(case.array("d_input")), 1e-4);
        for (path, got) in params.keys().zip(&got[2..]) {
            let name = path.rsplit('/').next().expect("a path");
            check_close(&format!("{} d_{name}", case.name), got, case.array(&format!("d_{name}")), 1e-4);
        }
        if let Some(path) = params.keys().find(|path| path.ends_with("kernel")) {
            assert_eq!(&model.init(&mut Rngs::new(case.int("seed")))[path], case.array("kernel"), "{}", case.name);
        }
    }
}

/// The initial parameters of a case, by the network's paths.
pub(super) fn start_of(case: &Case<'_>, network: &Network) -> BTreeMap<String, Array> {
    let at = |path: String| (path.clone(), case.array(&format!("params/{path}")).clone());
    network.parameter_types().into_keys().map(at).collect()
}

/// Trains a case's model and compares with its reference training.
#[track_caller]
pub(super) fn check_training(case: &Case<'_>, network: &Network) {
    let start = start_of(case, network);
    let (x, targets) = (case.array("x"), case.array("targets"));
    let forward = network.forward(x.ty(), Mode::Qat).expect("a forward pass");
    let inputs: Vec<&Array> = start.values().chain([x]).collect();
    let traces = execute(&forward.function, &inputs).remove(0);
    let outputs = evaluate(&[&traces], |t| vec![t[0].transpose(&[1, 0, 2])]).remove(0);
    check_close(&format!("{} outputs", case.name), &outputs, case.array("outputs"), 1e-5);
    let (losses, grads, trained) = train(network, &start, (x, targets), &adam(0.01), 30);
    for (path, grad) in &grads {
        check_close(&format!("{} grads/{path}", case.name), grad, case.array(&format!("grads/{path}")), 1e-4);
    }
    for (step, (got, want)) in losses.iter().zip(case.array("losses").to_f64()).enumerate() {
        assert!((got - want).abs() < 1e-3 * want, "{} step {step}: {got} for {want}", case.name);
    }
    for (path, value) in &trained {
        check_close(&format!("{} trained/{path}", case.name), value, case.array(&format!("trained/{path}")), 1e-2);
    }
}

#[test]
fn networks_of_each_neuron_train_as_with_spyx() {
    for case in Reference::load(SPIKING).cases("training") {
        let kind = case.get("type").as_str().expect("a type");
        let neurons =
            format!("[[layers]]\ntype = '{kind}'\nhidden_shape = 8\nactivation = {{ type = 'triangular' }}\n");
        let linear = |inputs, outputs| {
            format!("[[layers]]\ntype = 'Linear'\nin_features = {inputs}\nout_features = {outputs}\n")
        };
        let rest = linear(8, 3) + "[[layers]]\ntype = 'LI'\nlayer_shape = 3";
        let network = Network::new(config(&(linear(6, 8) + &neurons + &rest)), vec![]).expect("a network");
        let start = start_of(&case, &network);
        // The reference creates the neurons first, so they draw the first keys.
        let seed = case.array("seed").to_f64()[0] as i64;
        let drawn = Sequential::from(&config(&(neurons + &linear(8, 3)))).init(&mut Rngs::new(seed));
        for (path, value) in drawn.iter().filter(|(path, _)| path.starts_with("core/layers/0/")) {
            assert_eq!(value, &start[&path.replace("layers/0", "layers/1")], "{} {path}", case.name);
        }
        check_training(&case, &network);
    }
}

/// The convolutional network of the reference.
const CONVOLUTIONAL: &str = "
[[layers]]
type = 'Conv'
in_features = 1
out_features = 4
kernel_size = [3, 3]
[[layers]]
type = 'LIF'
hidden_shape = [6, 6, 4]
activation = { type = 'triangular' }
[[layers]]
type = 'SumPool'
window_shape = 2
strides = 2
padding = 'VALID'
[[layers]]
type = 'Conv'
in_features = 4
out_features = 6
kernel_size = [2, 2]
strides = 2
padding = 'VALID'
use_bias = false
[[layers]]
type = 'LIF'
hidden_shape = [1, 1, 6]
activation = { type = 'triangular' }
[[layers]]
type = 'Flatten'
[[layers]]
type = 'Linear'
in_features = 6
out_features = 3
[[layers]]
type = 'LI'
layer_shape = 3
";

#[test]
fn a_convolutional_network_trains_as_with_spyx_and_qwix() {
    for case in Reference::load(LAYERS).cases("conv") {
        let text = |name: &str| case.get(name).as_str().map(str::to_owned);
        let rule =
            RuleConfig { weight_qtype: text("weight_qtype"), act_qtype: text("act_qtype"), ..RuleConfig::default() };
        let rules = if rule.weight_qtype.is_some() { vec![rule] } else { vec![] };
        let network = Network::new(config(CONVOLUTIONAL), rules).expect("a network").with_numerics(Numerics::Qwix);
        assert_eq!(network.init(case.int("seed")), start_of(&case, &network), "{}", case.name);
        check_training(&case, &network);
    }
}

#[test]
fn dropout_draws_flax_masks_and_only_in_training() {
    for case in Reference::load(LAYERS).cases("dropout") {
        let model = Sequential::from(&config(&(table(&case) + "type = 'Dropout'")));
        let key = Key::new(case.int("seed")).to_array();
        let none = BTreeMap::new();
        let got = evaluate(&[case.array("input"), &key], |x| {
            let input = x[0].named("T B C");
            let trained = Run::new(&model, &none).training(&x[1]).on(&input).traces.into_tensor();
            vec![trained, nn::run(&model, &none, &input).0.into_tensor()]
        });
        check_close(case.name, &got[0], case.array("output"), 1e-6);
        assert_eq!(&got[1], case.array("input"), "{}", case.name);
    }
}

#[test]
fn every_dropout_of_a_model_draws_a_mask_of_its_own() {
    let model = config(&"[[layers]]\ntype = 'Dropout'\nrate = 0.5\n".repeat(2));
    let (x, key) = (Array::new([3, 2, 200], vec![1f32; 1200]).expect("ones"), Key::new(1).to_array());
    let got = evaluate(&[&x, &key], |x| {
        let none = BTreeMap::new();
        vec![Run::new(&Sequential::from(&model), &none).training(&x[1]).on(&x[0].named("T B C")).traces.into_tensor()]
    });
    let values = got[0].to_f64();
    assert!(values.iter().all(|v| *v == 0.0 || *v == 4.0));
    let kept = values.iter().filter(|v| **v > 0.0).count();
    assert!((240..360).contains(&kept), "a quarter of 1200 stays, not {kept}");
    assert_ne!(values[..400], values[400..800], "each step draws anew");
}

#[test]
fn regularizers_are_spyx_regularizers() {
    for case in Reference::load(LAYERS).cases("regularizer") {
        let limit = case.get("limit").as_f64().expect("a limit");
        let got = evaluate(&[case.array("a"), case.array("b")], |x| {
            let ((value, ()), grads) = value_and_grad(&x.to_vec(), |counts| {
                let value = match case.get("type").as_str() {
                    Some("silence_reg") => silence_reg(counts, limit),
                    _ => sparsity_reg(counts, limit),
                };
                (value, ())
            });
            [vec![value], grads].concat()
        });
        for (got, name) in got.iter().zip(["value", "d_a", "d_b"]) {
            check_close(&format!("{} {name}", case.name), got, case.array(name), 1e-5);
        }
        let counts = [case.array("a"), case.array("b")];
        let own = evaluate(&counts, |x| {
            vec![sparsity_reg_with(&x.to_vec(), limit, huber_loss) - sparsity_reg(&x.to_vec(), limit)]
        });
        assert_eq!(own[0].to_f64(), [0.0]);
    }
}

#[test]
fn activity_is_counted_over_time_and_passed_on() {
    let model = Sequential::new("core", [ActivityRegularization::new([2]).into()]);
    let x = Array::new([3, 1, 2], [1f32, 0.0, 1.0, 1.0, 1.0, 0.0]).expect("spikes");
    let got = evaluate(&[&x], |x| {
        let (traces, mut state) = nn::run(&model, &BTreeMap::new(), &x[0].named("T B C"));
        vec![traces.into_tensor(), state.remove("core/layers/0/spike_count").expect("a count")]
    });
    assert_eq!(got[0], x);
    assert_eq!(got[1].to_f64(), [3.0, 1.0]);
}

/// Spyx's PopulationCode returns one number per unit of a class, and mixes the samples of a batch.
#[test]
fn a_population_code_has_an_output_for_each_class_of_each_sample() {
    for case in Reference::load(LAYERS).cases("population") {
        let classes = case.int("num_classes") as usize;
        let model = Sequential::new("core", [PopulationCode::new(classes).into()]);
        let got = evaluate(&[case.array("input")], |x| {
            let (traces, _) = nn::run(&model, &BTreeMap::new(), &x[0].expand_dims(0).named("T B C"));
            vec![traces.tensor().index_axis(0, 0)]
        });
        assert_eq!(&got[0], case.array("output"));
        assert_eq!(got[0].dims(), [2, classes]);
    }
}

/// The default derivative of Spyx's `custom` is the distance itself, contrary to its documentation of 1. There is no default here: the
/// given derivative is used.
#[test]
fn a_straight_through_surrogate_is_what_it_says() {
    let x = Array::new([3], [-0.5f32, 0.25, 3.0]).expect("distances");
    let got = evaluate(&[&x], |x| {
        let ((_, ()), gradient) =
            value_and_grad(&x[0], |x| (Surrogate::custom(|x| x.full_like(1.0)).spike(x).sum(), ()));
        vec![gradient]
    });
    assert_eq!(got[0].to_f64(), [1.0, 1.0, 1.0]);
}

/// Spyx confuses time and batch if T = B. Here axes have names, so both orders give the same loss.
#[test]
fn time_and_batch_of_one_size_are_told_apart() {
    let (traces, labels) = (Key::new(3).normal(4 * 4 * 3), Array::new([4], [0, 2, 1, 1]).expect("labels"));
    let traces = Array::new([4, 4, 3], traces).expect("traces");
    let got = evaluate(&[&traces, &labels], |x| {
        let labels = x[1].named("B");
        let time_first = nn::integral_crossentropy(&x[0].named("T B C"), &labels);
        let turned = nn::integral_crossentropy(&x[0].transpose(&[1, 0, 2]).named("B T C"), &labels);
        vec![time_first, turned, nn::integral_crossentropy(&x[0].named("B T C"), &labels)]
    });
    assert_eq!(got[0], got[1]);
    assert_ne!(got[0], got[2]);
}

/// Spyx multiplies the spikes of a layer with two axes as a batch of matrices. Here every neuron is connected to every other.
#[test]
fn recurrent_layers_of_two_axes_are_those_of_one_axis_reshaped() {
    let run = |shape: &[usize]| {
        let text = format!("[[layers]]\ntype = 'RLIF'\nhidden_shape = {shape:?}\nbeta = 0.9\nthreshold = 0.3");
        let model = Sequential::from(&config(&text));
        let weights = Array::new([shape, shape].concat(), Key::new(1).normal(36)).expect("weights");
        let x = Array::new([&[8, 2], shape].concat(), Key::new(2).uniform(8 * 2 * 6, 0.0, 1.0)).expect("inputs");
        let got = evaluate(&[&weights, &x], |x| {
            let beta = x[0].graph().scalar(DType::F32, 0.9);
            let params = [("core/layers/0/beta", beta), ("core/layers/0/recurrent_w", x[0].clone())];
            let params = params.map(|(path, value)| (path.to_owned(), value)).into();
            vec![nn::run(&model, &params, &x[1].named(&letters(x[1].rank()))).0.tensor().reshape(&[8, 2, 6])]
        });
        got[0].to_f64()
    };
    let flat = run(&[6]);
    assert_eq!(flat, run(&[2, 3]));
    assert!(flat.contains(&1.0) && flat.contains(&0.0));
}

#[test]
fn a_neuron_without_reset_gives_the_same_all_at_once() {
    for case in Reference::load(SPIKING).cases("neuron").filter(|case| case.get("type") == "PSU_LIF") {
        let threshold = case.get("threshold").as_f64().unwrap_or(1.0);
        let activation = match case.get("activation").is_null() {
            true => Surrogate::default(),
            false => Surrogate::triangular(),
        };
        let beta = case.get("beta").as_f64();
        let neuron = PsuLif { beta, threshold, activation, ..PsuLif::new([5]) };
        let inputs = [case.array("beta"), case.array("input"), case.array("weights")];
        let got = evaluate(&inputs, |x| {
            let at = (x[0].clone(), x[1].clone());
            let ((_, spikes), grads) = value_and_grad(&at, |(beta, input)| {
                let spikes = neuron.parallel(beta, input);
                ((&spikes * &x[2]).sum(), spikes)
            });
            vec![spikes, grads.0, grads.1]
        });
        assert_eq!(&got[0], case.array("outputs"), "{}", case.name);
        let model = Sequential::new("core", [neuron.into()]);
        let stepwise = evaluate(&inputs, |x| {
            let at = (x[0].clone(), x[1].clone());
            let ((_, ()), grads) = value_and_grad(&at, |(beta, input)| {
                let params = BTreeMap::from([("core/layers/0/beta".to_owned(), beta.clone())]);
                ((nn::run(&model, &params, &input.named("T B C")).0.tensor() * &x[2]).sum(), ())
            });
            vec![grads.0, grads.1]
        });
        check_close(&format!("{} d_beta", case.name), &got[1], &stepwise[0], 1e-4);
        check_close(&format!("{} d_input", case.name), &got[2], &stepwise[1], 1e-4);
    }
}

#[test]
fn convolutions_and_pools_stand_outside_of_all_loops() {
    let text = CONVOLUTIONAL.to_owned()
        + "[[layers]]\ntype = 'RLIF'\nhidden_shape = 3\n[[layers]]\ntype = 'Dropout'\nrate = 0.25";
    for rules in [vec![], linear_only_rules("int8", "int8")] {
        let network = Network::new(config(&text), rules).expect("a network");
        let x = TensorType::new(DType::F32, [6, 2, 6, 6, 1]);
        let pass = Pass { training: true, spike_rates: true, ..Mode::Qat.into() };
        let plain = network.forward_in_tiles(&x, pass, 1).expect("a pass");
        let whole = network.forward(&x, pass).expect("a pass");
        let outside = |name: &str| whole.function.nodes().iter().filter(|n| n.op.name() == name).count();
        assert_eq!((outside("reduce_window"), outside("scan")), (1, 4), "{:?}", network.rules());
        let rates = whole.signature.results().iter().filter(|port| port.role == Role::SpikeRate);
        let rates: Vec<&str> = rates.map(|port| port.name.as_str()).collect();
        assert_eq!(rates, ["core/layers/1", "core/layers/4", "core/layers/8"]);
        let params = network.init(2);
        let spikes = Key::new(5).bernoulli(x.count(), 0.5).into_iter().map(|s| f32::from(u8::from(s)));
        let data = Array::new(x.dims.clone(), spikes.collect::<Vec<f32>>()).expect("spikes");
        let key = Key::new(9).to_array();
        let inputs: Vec<&Array> = params.values().chain([&key, &data]).collect();
        let wanted = execute(&plain.function, &inputs);
        for tile in [2, 3, 6] {
            let cut = network.forward_in_tiles(&x, pass, tile).expect("a pass");
            for (i, (got, want)) in execute(&cut.function, &inputs).iter().zip(&wanted).enumerate() {
                check_close(&format!("tile {tile}, result {i}"), got, want, 1e-5);
            }
        }
    }
}

#[test]
fn spike_rates_are_means_over_neurons_and_steps() {
    let model = Sequential::new("core", [Lif { beta: Some(1.0), ..Lif::new([2]) }.into(), Linear::new(2, 1).into()]);
    let x = Array::new([4, 2, 2], [2f32, 0.0, 0.0, 0.0].repeat(4)).expect("inputs");
    let params = model.init(&mut Rngs::new(0));
    let got = evaluate(&[&x], |x| {
        let params = nn::constants(x[0].graph(), &params);
        let outcome = Run::new(&model, &params).with_spike_rates().on(&x[0].named("T B C"));
        assert_eq!(outcome.spike_rates.keys().collect::<Vec<_>>(), ["core/layers/0"]);
        outcome.spike_rates.into_values().collect()
    });
    // One of the first sample's two neurons fires at each step except the first.
    assert_eq!(got[0].to_f64(), [0.375, 0.0]);
}

/// The error of a model with these layers for a sample of this shape.
pub(super) fn misfit(layers: &str, sample: &[usize]) -> String {
    let network = Network::new(config(layers), vec![]).expect("a network");
    let x = TensorType::new(DType::F32, [&[4, 2], sample].concat());
    network.forward(&x, Mode::Qat).expect_err("a misfit").to_string()
}

#[test]
fn images_that_do_not_fit_are_refused_in_one_sentence() {
    let conv =
        "[[layers]]\ntype = 'Conv'\nin_features = 3\nout_features = 4\nkernel_size = [5, 5]\npadding = 'VALID'\n";
    let message = misfit(conv, &[4, 8, 3]);
    let wanted = "core/layers/0: Conv takes [?, ?, 3] with room for a window of 5 (padding Valid), got [4, 8, 3]";
    assert!(message.contains(wanted), "{message}");
    assert!(misfit(conv, &[8, 8, 2]).contains("Conv takes [?, ?, 3], got [8, 8, 2]"));
    let pool = conv.to_owned() + "[[layers]]\ntype = 'MaxPool'\nwindow_shape = 9\n";
    assert!(misfit(&pool, &[12, 12, 3]).contains("MaxPool takes images with room for a window of 9, got [8, 8, 4]"));
    let wide = conv.to_owned() + "[[layers]]\ntype = 'MaxPool'\nwindow_shape = 33\n";
    let message = ModelConfig::parse(&wide, "m.toml").expect_err("a window too large").to_string();
    assert!(
        message.contains("core/layers/1 (MaxPool) takes windows of up to 1024 elements, not 1089; pool twice"),
        "{message}"
    );
    let huge = conv.replace("out_features = 4", "out_features = 20000000");
    assert!(misfit(&huge, &[40, 40, 3]).contains("is too large"), "{}", misfit(&huge, &[40, 40, 3]));
}

#[test]
fn layers_used_without_a_file_are_checked_as_well() {
    let check = |layer: Box<dyn Layer>, message: &str| {
        let errors = trace(&[("x", TensorType::new(DType::F32, [2, 1, 6, 6, 2]))], |x| {
            vec![nn::run(&Sequential::new("core", [layer]), &BTreeMap::new(), &x[0].named("T B H W C")).0.into_tensor()]
        });
        let errors = errors.expect_err("an error").to_string();
        assert!(errors.contains(message), "{errors}");
    };
    check(nn::Conv::new(2, 3, [1, 1, 1]).into(), "has a `kernel_size` that is [1, 1, 1], but must be one or two sizes");
    check(nn::Conv { strides: vec![1, 0], ..nn::Conv::new(2, 3, [1, 1]) }.into(), "has a `strides` that is [1, 0]");
    check(nn::MaxPool { padding: Padding::Circular, ..nn::MaxPool::new([2]) }.into(), "a pool takes SAME, VALID");
    check(nn::Dropout::new(1.5).into(), "has a `rate` that is 1.5, but must be from 0 to 1");
    check(nn::AvgPool::new([]).into(), "has a `window_shape` that is []");
}
