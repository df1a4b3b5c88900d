//! Layers, surrogates and runs over time compared with those of Spyx and flax, and the errors for wrong axes and shapes.

use std::collections::BTreeMap;

use crate::evaluate::{check_close, evaluate, execute};
use crate::reference::{Case, Reference};
use serde_json::Value;
use spiq::nn::{self, Axes, If, Layer, Li, Lif, Linear, Sequential, Surrogate};
use spiq::optim::{GradientTransformation, adam, apply_updates};
use spiq::random::Rngs;
use spiq::{Array, DType, TensorType};
use spiq_hlo::{Function, Tensor, trace, value_and_grad, vjp};

/// A case's surrogate.
fn surrogate(description: &Value) -> Surrogate {
    let number = |name: &str, default: f64| description.get(name).and_then(Value::as_f64).unwrap_or(default);
    match description["type"].as_str().expect("a type") {
        "tanh" => Surrogate::Tanh { k: number("k", 1.0) },
        "boxcar" => Surrogate::Boxcar { width: number("width", 2.0), height: number("height", 0.5) },
        "triangular" => Surrogate::Triangular { k: number("k", 2.0) },
        "arctan" => Surrogate::Arctan { k: number("k", 2.0) },
        _ => Surrogate::Superspike { k: number("k", 25.0) },
    }
}

#[test]
fn surrogates_are_spyx_surrogates() {
    for case in Reference::load("surrogates").cases("surrogate") {
        let surrogate = surrogate(&serde_json::json!({
            "type": case.get("type"), "k": case.get("k"), "width": case.get("width"), "height": case.get("height"),
        }));
        let got = evaluate(&[case.array("x")], |x| {
            let y = surrogate.spike(&x[0]);
            let gradient = vjp(std::slice::from_ref(&y), &[Some(y.full_like(1.0))], x);
            vec![y, gradient[0].clone()]
        });
        assert_eq!(&got[0], case.array("forward"), "{}", case.name);
        check_close(case.name, &got[1], case.array("gradient"), 1e-6);
    }
}

#[test]
fn defaults_are_spyx_defaults() {
    let shown =
        [Surrogate::tanh(), Surrogate::boxcar(), Surrogate::triangular(), Surrogate::arctan(), Surrogate::default()];
    let text = format!("{shown:?}");
    assert_eq!(text, "[tanh(k 1), boxcar(width 2, height 0.5), triangular(k 2), arctan(k 2), superspike(k 25)]");
}

#[test]
fn a_custom_surrogate_is_used() {
    let x = Array::new([4], [-2.0f32, -0.5, 0.5, 3.0]).unwrap();
    let cubic = Surrogate::custom(|x| x * x * x);
    let got = evaluate(&[&x], |x| {
        let y = cubic.spike(&x[0]);
        let gradient = vjp(std::slice::from_ref(&y), &[Some(y.full_like(2.0))], x);
        vec![y, gradient[0].clone()]
    });
    assert_eq!(got[0].to_f64(), [0.0, 0.0, 1.0, 1.0]);
    assert_eq!(got[1].to_f64(), [-16.0, -0.25, 0.25, 54.0]);
}

/// The layer of a `neurons` case.
fn neuron(case: &Case<'_>) -> Box<dyn Layer> {
    let threshold = case.get("threshold").as_f64().unwrap_or(1.0);
    // Only selects a shared beta: its value is set below, and training may move it outside [0, 1].
    let beta = case.get("beta").as_f64().map(|beta| beta.clamp(0.0, 1.0));
    match case.get("type").as_str().expect("a type") {
        "LIF" => Lif { threshold, beta, activation: surrogate(case.get("activation")), ..Lif::new([5]) }.into(),
        "IF" => If { threshold, activation: surrogate(case.get("activation")), ..If::new([5]) }.into(),
        _ => Li { beta, ..Li::new([5]) }.into(),
    }
}

#[test]
fn neurons_are_spyx_neurons() {
    for case in Reference::load("neurons").cases("neuron") {
        let model = Sequential::new("core", [neuron(&case)]);
        let mut inputs = vec![case.array("input"), case.array("initial_state"), case.array("weights")];
        let trained = !model.parameters().is_empty();
        if trained {
            inputs.push(case.array("beta"));
        }
        let got = evaluate(&inputs, |x| {
            let params: BTreeMap<String, Tensor> =
                x[3..].iter().map(|beta| ("core/layers/0/beta".to_owned(), beta.clone())).collect();
            let state = BTreeMap::from([("core/layers/0/potential".to_owned(), x[1].clone())]);
            let at = (params, state, x[0].clone());
            let ((_, aux), gradient) = value_and_grad(&at, |(params, state, input)| {
                let (traces, last) = nn::run_from(&model, params, state, &input.named("T B C"));
                ((traces.tensor() * &x[2]).sum(), (traces.into_tensor(), last))
            });
            let (traces, last) = aux;
            let (d_params, d_state, d_input) = gradient;
            let states = last.into_values().chain(d_state.into_values());
            [traces].into_iter().chain(states).chain([d_input]).chain(d_params.into_values()).collect()
        });
        let names = ["outputs", "final_state", "d_initial_state", "d_input", "d_beta"];
        assert_eq!(got.len(), if trained { 5 } else { 4 });
        for (name, got) in names.iter().zip(&got) {
            check_close(&format!("{}/{name}", case.name), got, case.array(name), 1e-6);
        }
    }
}

fn tutorial(seed: i64) -> BTreeMap<String, Array> {
    let lif = || Lif { activation: Surrogate::triangular(), ..Lif::new([64]) };
    let linear = |inputs, outputs| Linear::new(inputs, outputs).without_bias();
    let layers = [
        linear(32, 64).into(),
        lif().into(),
        linear(64, 64).into(),
        lif().into(),
        linear(64, 10).into(),
        Li::new([10]).into(),
    ];
    Sequential::new("core", layers).init(&mut Rngs::new(seed))
}

#[test]
fn initial_values_are_those_of_flax_bit_for_bit() {
    let file = Reference::load("init");
    for case in file.cases("tutorial") {
        let params = tutorial(if case.name == "tutorial/seed0" { 0 } else { 1 });
        assert_eq!(params.len(), 6);
        params.iter().for_each(|(path, array)| assert_eq!(array, case.array(path), "{}/{path}", case.name));
    }
    for case in file.cases("linear") {
        let layer = Linear {
            in_features: case.int("in_features") as usize,
            out_features: case.int("out_features") as usize,
            use_bias: case.get("use_bias").as_bool().unwrap_or(true),
        };
        check_init(&case, layer.into());
    }
    for case in file.cases("neuron") {
        let (shape, beta) = (case.shape("shape"), case.get("beta").as_f64());
        check_init(
            &case,
            match case.get("type").as_str().expect("a type") {
                "LIF" => Lif { beta, ..Lif::new(shape) }.into(),
                "IF" => If::new(shape).into(),
                _ => Li { beta, ..Li::new(shape) }.into(),
            },
        );
    }
}

#[track_caller]
fn check_init(case: &Case<'_>, layer: Box<dyn Layer>) {
    let model = Sequential::new("core", [layer]);
    let params = model.init(&mut Rngs::new(case.int("seed")));
    for parameter in model.parameters() {
        let name = parameter.name.strip_prefix("layers/0/").expect("the layer's path");
        assert_eq!(&params[&format!("core/{}", parameter.name)], case.array(name), "{}/{name}", case.name);
    }
}

#[test]
fn a_nested_model_draws_in_the_order_of_its_layers() {
    let inner = || Sequential::new("inner", [Linear::new(4, 3).into(), Lif::new([3]).into()]);
    let nested = Sequential::new("core", [inner().into(), Linear::new(3, 2).into()]);
    let flat = Sequential::new("core", [Linear::new(4, 3).into(), Lif::new([3]).into(), Linear::new(3, 2).into()]);
    let (nested, flat) = (nested.init(&mut Rngs::new(0)), flat.init(&mut Rngs::new(0)));
    assert_eq!(nested["core/layers/0/layers/1/beta"], flat["core/layers/1/beta"]);
    assert_eq!(nested["core/layers/1/kernel"], flat["core/layers/2/kernel"]);
}

/// One training step of the small network: maps parameters, optimizer state, x and labels to loss, outputs [B, T, C], gradients, and
/// the next parameters and state.
fn training_step(types: &BTreeMap<String, TensorType>, x: &Array, labels: &Array) -> Function {
    let lif = Lif { activation: Surrogate::triangular(), ..Lif::new([16]) };
    let layers = [Linear::new(12, 16).into(), lif.into(), Linear::new(16, 5).into(), Li::new([5]).into()];
    let model = Sequential::new("core", layers);
    assert_eq!(&model.parameter_types(), types);
    let optimizer = adam(0.01);
    let state = optimizer.state_types(types);
    let named = types.iter().chain(&state).map(|(path, ty)| (path.as_str(), ty.clone()));
    let inputs: Vec<(&str, TensorType)> =
        named.chain([("x", x.ty().clone()), ("labels", labels.ty().clone())]).collect();
    let traced = trace(&inputs, |v| {
        let params: BTreeMap<String, Tensor> = types.keys().cloned().zip(v.iter().cloned()).collect();
        let state = state.keys().cloned().zip(v[types.len()..].iter().cloned()).collect();
        let (x, labels) = (v[v.len() - 2].named("T B C"), v[v.len() - 1].named("B"));
        let ((loss, outputs), grads) = value_and_grad(&params, |p| {
            let (traces, _) = nn::run(&model, p, &x);
            (nn::integral_crossentropy(&traces, &labels), traces.to_axes("B T C").into_tensor())
        });
        let (updates, state) = optimizer.update(&grads, &state, &params);
        let params = apply_updates(&params, &updates);
        let next = params.into_values().chain(state.into_values());
        [loss, outputs].into_iter().chain(grads.into_values()).chain(next).collect()
    });
    traced.unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn a_network_trains_as_with_spyx() {
    let file = Reference::load("model");
    let (given, start, want) = (file.case("given"), file.case("params"), file.case("fp32"));
    let (x, labels) = (given.array("x"), given.array("targets"));
    let paths = [0, 1, 2, 3].map(|i| if i % 2 == 0 { vec!["bias", "kernel"] } else { vec!["beta"] });
    let paths: Vec<String> =
        (0..4).flat_map(|i| paths[i].iter().map(move |name| format!("core/layers/{i}/{name}"))).collect();
    let types: BTreeMap<String, TensorType> =
        paths.iter().map(|path| (path.clone(), start.array(path).ty().clone())).collect();
    let program = training_step(&types, x, labels);
    let mut values: Vec<Array> = paths.iter().map(|path| start.array(path).clone()).collect();
    values.extend(adam(0.01).init(&types).into_values());
    let mut losses = Vec::new();
    for step in 0..10 {
        let mut got = execute(&program, &values.iter().chain([x, labels]).collect::<Vec<_>>());
        losses.push(got[0].to_vec::<f32>().expect("a loss")[0]);
        if step == 0 {
            check_close("loss", &got[0], want.array("loss"), 1e-6);
            check_close("outputs", &got[1], want.array("outputs"), 1e-6);
            let grads = paths.iter().zip(&got[2..]);
            grads.for_each(|(path, got)| check_close(path, got, want.array(&format!("grads/{path}")), 1e-5));
        }
        values = got.split_off(2 + paths.len());
    }
    check_close("losses", &Array::new([10], losses).expect("ten losses"), want.array("losses"), 1e-5);
    for (path, got) in paths.iter().zip(&values) {
        check_close(path, got, want.array(&format!("trained/{path}")), 1e-4);
    }
}

/// Linear, LIF, Linear, LIF, Linear, LI on [T 16, B 8, 32].
fn network() -> Sequential {
    let layers = [
        Linear::new(32, 64).into(),
        Lif::new([64]).into(),
        Linear::new(64, 48).into(),
        Lif::new([48]).into(),
        Linear::new(48, 10).into(),
        Li::new([10]).into(),
    ];
    Sequential::new("core", layers)
}

/// Traces `f` of the network's parameters and an input of this shape.
fn traced(
    dims: &[usize],
    f: impl FnOnce(&BTreeMap<String, Tensor>, &Tensor) -> Vec<Tensor>,
) -> Result<Function, spiq_hlo::GraphErrors> {
    let types = network().parameter_types();
    let mut inputs: Vec<(&str, TensorType)> = types.iter().map(|(path, ty)| (path.as_str(), ty.clone())).collect();
    inputs.push(("x", TensorType::new(DType::F32, dims)));
    trace(&inputs, |x| {
        let params = types.keys().cloned().zip(x.iter().cloned()).collect();
        f(&params, &x[types.len()])
    })
}

/// The scans of a function, in order.
fn scans(function: &Function) -> Vec<&spiq_hlo::Node> {
    function.nodes().iter().filter(|n| n.op.name() == "scan").collect()
}

#[test]
fn every_operation_of_a_layer_is_recorded_under_its_path() {
    let f =
        traced(&[16, 8, 32], |params, x| vec![nn::run(&network(), params, &x.named("T B C")).0.into_tensor()]).unwrap();
    let scan = scans(&f)[0];
    let types: Vec<TensorType> = scan.operands.iter().map(|&v| f.ty(v).clone()).collect();
    let body = scan.op.regions(&types).remove(0);
    let scopes = |op: &str| -> Vec<String> {
        body.nodes().iter().filter(|n| n.op.name() == op).map(|n| n.scope.to_string()).collect()
    };
    assert_eq!(scopes("dot_general"), ["core/layers/0", "core/layers/2", "core/layers/4"]);
    assert_eq!(scopes("spike"), ["core/layers/1", "core/layers/3"]);
    // The clip of beta is loop-invariant, so it is hoisted out of the loop and keeps its layer's path.
    let clips: Vec<&str> = f.nodes().iter().filter(|n| n.op.name() == "minimum").map(|n| n.scope.as_ref()).collect();
    assert_eq!(clips, ["core/layers/1", "core/layers/3", "core/layers/5"]);
}

#[test]
fn a_neuron_layer_keeps_one_array_a_step_for_the_way_back() {
    let f = traced(&[16, 8, 32], |params, x| {
        let (_, grads) = value_and_grad(params, |p| {
            let (traces, _) = nn::run(&network(), p, &x.named("T B C"));
            (traces.tensor().sum(), ())
        });
        grads.into_values().collect()
    })
    .unwrap();
    let forward = scans(&f)[0];
    let stacked: Vec<String> =
        forward.types.iter().filter(|ty| ty.dims.first() == Some(&16)).map(|ty| ty.to_string()).collect();
    // The traces; in addition, the potentials of the three neuron layers at the start of each step.
    let mut wanted = vec!["f32[16,8,10]", "f32[16,8,64]", "f32[16,8,48]", "f32[16,8,10]"];
    let mut got: Vec<&str> = stacked.iter().map(String::as_str).collect();
    wanted.sort_unstable();
    got.sort_unstable();
    assert_eq!(got, wanted);
}

/// The single error of a run on an input of this shape with these axes.
#[track_caller]
fn check_error(dims: &[usize], names: &str, wanted: &str) {
    let errors =
        traced(dims, |params, x| vec![nn::run(&network(), params, &x.named(names)).0.into_tensor()]).unwrap_err();
    assert_eq!(errors.0.len(), 1, "{errors}");
    let error = &errors.0[0];
    assert_eq!(format!("{}: {}", error.op, error.violation.message), wanted);
    assert!(error.place.file().ends_with("tests/models/nn.rs"), "{}", error.place);
}

#[test]
fn wrong_axes_are_errors() {
    check_error(
        &[8, 16, 32],
        "B T C",
        "run: expects time first, then the batch: \"T B C\", got [B 8, T 16, C 32]; call .to_axes(\"T B C\")",
    );
    check_error(&[8, 32], "B C", "run: expects time first, then the batch: \"T B C\", got [B 8, C 32]");
    check_error(&[16, 8, 32], "T B", "named: \"T B\" names 2 axes, but f32[16,8,32] has 3");
    check_error(&[16, 8, 32], "T B B", "named: \"T B B\" names the axis B twice");
    check_error(
        &[16, 8, 32],
        "T B X",
        "named: \"T B X\": \"X\" is not an axis; the axes are T (Time), B (Batch), C (Channel), H (Height), W (Width)",
    );
}

#[test]
fn wrong_shapes_are_errors() {
    check_error(
        &[16, 8, 31],
        "T B C",
        "run: core/layers/0: Linear takes 32 features, got [31], from x [T 16, B 8, C 31]",
    );
    let model = Sequential::new("core", [Linear::new(32, 64).into(), Lif::new([10]).into()]);
    assert_eq!(model.output(&[32]).unwrap_err(), "layers/1: LIF takes [10], got [64]");
}

#[test]
fn missing_and_misshapen_parameters_are_errors() {
    let run = |change: &dyn Fn(&mut BTreeMap<String, Tensor>)| {
        let errors = traced(&[16, 8, 32], |params, x| {
            let mut params = params.clone();
            change(&mut params);
            vec![nn::run(&network(), &params, &x.named("T B C")).0.into_tensor()]
        });
        errors.unwrap_err().0[0].violation.message.clone()
    };
    let missing = run(&|params| drop(params.remove("core/layers/1/beta")));
    assert_eq!(missing, "there is no parameter core/layers/1/beta; the model expects f32[64]");
    let swapped = run(&|params| {
        let kernel = params["core/layers/0/kernel"].t();
        params.insert("core/layers/0/kernel".to_owned(), kernel);
    });
    assert_eq!(swapped, "the parameter core/layers/0/kernel is f32[64,32], but the model expects f32[32,64]");
}

#[test]
fn an_input_that_is_not_f32_is_an_error() {
    let errors = traced(&[16, 8, 32], |params, x| {
        vec![nn::run(&network(), params, &x.convert(DType::U8).named("T B C")).0.into_tensor()]
    });
    let message = "expects f32 elements, or spikes as pred or s8, got u8[16,8,32]; call .convert(DType::F32)";
    assert_eq!(errors.unwrap_err().0[0].violation.message, message);
}

#[test]
fn to_axes_transposes() {
    let f = traced(&[16, 8, 32], |_, x| vec![x.named("T B C").to_axes("C T B").into_tensor()]).unwrap();
    assert_eq!(f.result_types()[0].to_string(), "f32[32,16,8]");
    let wrong = traced(&[16, 8, 32], |_, x| vec![x.named("T B C").to_axes("B T").into_tensor()]).unwrap_err();
    let message = "[T 16, B 8, C 32] does not have the axes \"B T\"; give the same names in another order";
    assert_eq!(wrong.0[0].violation.message, message);
}
