//! Low-precision gradients, stochastic rounding and averaged ranges compared with qwix, and cases in which qwix fails.

use std::collections::BTreeMap;

use crate::evaluate::{check_close, evaluate, execute};
use crate::reference::{Case, Reference};
use serde_json::Value;
use spiq::config::{ModelConfig, RuleConfig, TileSize};
use spiq::network::{Forward, MODEL_KEY, NOISE_KEY, Network};
use spiq::nn::{Axes, integral_crossentropy};
use spiq::optim::{GradientTransformation, adam, apply_updates};
use spiq::quant::{Mode, Numerics, Quantized, Rules, quantize};
use spiq::random::{GraphKey, Key};
use spiq::signature::Role;
use spiq::{Array, ConvDims, Convolution, DType, Function, Tensor, TensorType, scan, trace, value_and_grad, vjp};

fn text(case: &Case, name: &str) -> Option<String> {
    case.get(name).as_str().map(str::to_owned)
}

fn tile(value: &Value) -> Option<TileSize> {
    let elements = value.as_u64().map(|n| TileSize::Elements(n as usize));
    elements.or_else(|| value.as_f64().map(TileSize::Fraction))
}

fn axes(value: &Value) -> Option<Vec<i64>> {
    Some(value.as_array()?.iter().map(|axis| axis.as_i64().expect("an axis")).collect())
}

fn rule(case: &Case) -> RuleConfig {
    let default = RuleConfig::default();
    let method = |name: &str, otherwise: String| text(case, name).unwrap_or(otherwise);
    RuleConfig {
        weight_qtype: text(case, "weight_qtype"),
        act_qtype: text(case, "act_qtype"),
        weight_calibration_method: method("weight_calibration_method", default.weight_calibration_method.clone()),
        act_calibration_method: text(case, "act_calibration_method"),
        tile_size: tile(case.get("tile_size")),
        act_static_scale: case.get("act_static_scale").as_bool(),
        act_batch_axes: axes(case.get("act_batch_axes")).unwrap_or(default.act_batch_axes.clone()),
        disable_channelwise_axes: case.get("disable_channelwise_axes").as_bool().unwrap_or(false),
        bwd_qtype: text(case, "bwd_qtype"),
        bwd_calibration_method: method("bwd_calibration_method", default.bwd_calibration_method.clone()),
        bwd_weight_grad_tile_size: tile(case.get("bwd_weight_grad_tile_size")),
        bwd_stochastic_rounding: text(case, "bwd_stochastic_rounding"),
        channelwise_noise_axes: axes(case.get("channelwise_noise_axes"))
            .unwrap_or(default.channelwise_noise_axes.clone()),
        ..default
    }
}

/// y = product(x, w), quantized with a rule.
fn quantized(rule: RuleConfig, x: &Array, w: &Array, product: impl FnOnce(&[Tensor]) -> Tensor) -> Quantized {
    quantized_as(Numerics::Qwix, rule, x, w, product)
}

fn quantized_as(
    numerics: Numerics,
    rule: RuleConfig,
    x: &Array,
    w: &Array,
    product: impl FnOnce(&[Tensor]) -> Tensor,
) -> Quantized {
    let inputs = [("x", x.ty().clone()), ("w", w.ty().clone())];
    let plain = trace(&inputs, |a| vec![product(a)]).expect("a product");
    let rules = Rules::new(&[rule]).expect("a rule");
    quantize(&plain, &rules, Mode::Qat, numerics, |name| name == "w").expect("quantizes")
}

/// Checks that nearly all elements are equal: a value at the boundary between two integers may round to the other.
#[track_caller]
fn check_nearly_all(what: &str, got: &Array, want: &Array) {
    assert_eq!(got.ty(), want.ty(), "{what}");
    let (got, want) = (got.to_f64(), want.to_f64());
    let size = want.iter().fold(1e-30f64, |m, v| m.max(v.abs()));
    let same = got.iter().zip(&want).filter(|(g, w)| (*g - *w).abs() <= 1e-5 * size).count();
    assert!(same as f64 >= 0.999 * want.len() as f64, "{what}: only {same} of {} elements agree", want.len());
}

/// Checks equality to within 1e-4 of the largest.
#[track_caller]
fn check_gradient(what: &str, got: &Array, want: &Array) {
    assert_eq!(got.ty(), want.ty(), "{what}");
    let (got, want) = (got.to_f64(), want.to_f64());
    let size = want.iter().fold(1e-30f64, |m, v| m.max(v.abs()));
    let off = got.iter().zip(&want).fold(0.0f64, |m, (g, w)| m.max((g - w).abs())) / size;
    assert!(off <= 1e-4, "{what}: off by {off:e}");
}

#[test]
fn noise_has_qwixs_bits() {
    let file = Reference::load("quant_bwd");
    let mut ran = 0;
    for case in file.cases("noise") {
        let (key, shape) = (Key::new(case.int("seed")), case.shape("shape"));
        let axes = axes(case.get("axes")).expect("axes");
        let method = text(&case, "method").expect("a method");
        let got = evaluate(&[&key.to_array()], |k| {
            vec![spiq::quant::rounding_noise(&GraphKey::new(&k[0]), &method, &axes, &shape).expect("noise")]
        });
        assert_eq!(&got[0], case.array("out"), "{}", case.name);
        ran += 1;
    }
    assert_eq!(ran, 4);
}

fn check_product(case: &Case, quantized: &Quantized, [x, w, g]: [&Array; 3]) {
    let key = Key::new(7).to_array();
    let mut inputs = vec![x, w];
    inputs.extend(quantized.noise_key.then_some(&key));
    inputs.push(g);
    let got = execute(&gradients_of(&quantized.function, 2), &inputs);
    check_nearly_all(&format!("{} y", case.name), &got[0], case.array("y"));
    check_gradient(&format!("{} dx", case.name), &got[1], case.array("dx"));
    check_gradient(&format!("{} dw", case.name), &got[2], case.array("dw"));
}

#[test]
fn gradients_of_dot_products_agree_with_qwix() {
    let file = Reference::load("quant_bwd");
    let mut ran = 0;
    for case in file.cases("dot") {
        let given = file.case(&format!("given/{}", case.get("operands").as_str().expect("a name")));
        let [x, w, g] = ["x", "w", "g"].map(|name| given.array(name));
        let quantized = quantized(rule(&case), x, w, |a| a[0].dot(&a[1]));
        check_product(&case, &quantized, [x, w, g]);
        ran += 1;
    }
    assert!(ran >= 32, "only {ran} cases ran");
}

fn convolution(case: &Case, x: &Array, w: &Array) -> Convolution {
    let strides: Vec<usize> = case.shape("strides");
    let groups = case.get("feature_group_count").as_u64().unwrap_or(1) as usize;
    let conv = Convolution { strides, groups, ..Convolution::new(ConvDims::features_last(4), DType::F32) };
    match case.get("padding").as_str() {
        Some("SAME") => conv.same_padding(x.dims(), w.dims()),
        _ => conv,
    }
}

#[test]
fn gradients_of_convolutions_agree_with_qwix() {
    let file = Reference::load("quant_bwd");
    let mut ran = 0;
    for case in file.cases("conv") {
        let given = file.case(&format!("given/{}", case.get("operands").as_str().expect("a name")));
        let [x, w, g] = ["x", "w", "g"].map(|name| given.array(name));
        let conv = convolution(&case, x, w);
        let quantized = quantized(rule(&case), x, w, |a| a[0].convolution(&a[1], &conv));
        check_product(&case, &quantized, [x, w, g]);
        ran += 1;
    }
    assert!(ran >= 8, "only {ran} cases ran");
}

#[test]
fn ranges_are_averaged_over_calls_as_in_qwix() {
    let file = Reference::load("quant_bwd");
    let given = file.case("given/static");
    let [xs, w, g] = ["x", "w", "g"].map(|name| given.array(name));
    let row = |array: &Array, i: usize| evaluate(&[array], |a| vec![a[0].index_axis(0, i)]).remove(0);
    let mut ran = 0;
    for case in file.cases("static") {
        let quantized = quantized(rule(&case), &row(xs, 0), w, |a| a[0].dot(&a[1]));
        let sums = quantized.function.sums();
        let keep = gradients_of(&quantized.function.keep_sums().expect("state"), 2);
        let read = gradients_of(&quantized.function.read_sums().expect("state"), 2);
        let mut state: Vec<Array> = sums.iter().map(|(_, ty)| Array::zeros(ty.clone())).collect();
        for step in 0..xs.dims()[0] {
            let last = step + 1 == xs.dims()[0];
            let x = row(xs, step);
            let inputs: Vec<&Array> = [&x, w].into_iter().chain(&state).chain([g]).collect();
            let mut got = execute(if last { &read } else { &keep }, &inputs);
            let (dw, dx) = (got.pop().expect("dw"), got.pop().expect("dx"));
            let what = |name: &str| format!("{} call {step} {name}", case.name);
            check_nearly_all(&what("y"), &got[0], &row(case.array("y"), step));
            check_gradient(&what("dx"), &dx, &row(case.array("dx"), step));
            check_gradient(&what("dw"), &dw, &row(case.array("dw"), step));
            if !last {
                state = got.split_off(1);
            }
            for ((name, _), value) in sums.iter().zip(&state) {
                let label = name.strip_prefix("quant_stats/dot_general0_lhs/").expect("a path as qwix's");
                check_close(&what(label), value, &row(case.array(label), step), 1e-6);
            }
        }
        ran += 1;
    }
    assert!(ran >= 5, "only {ran} cases ran");
}

/// 12-16-5 without biases, LIF (triangular) between and LI at the end.
const MODEL: &str = r#"
name = "core"
layers = [
    { type = "Linear", in_features = 12, out_features = 16, use_bias = false },
    { type = "LIF", hidden_shape = 16, activation = { type = "triangular" } },
    { type = "Linear", in_features = 16, out_features = 5, use_bias = false },
    { type = "LI", layer_shape = 5 },
]
"#;

/// Maps parameters, Adam's state, statistics, x and labels to the next values of the first three, and the loss.
fn train_step(network: &Network, optimizer: &dyn GradientTransformation, x: &TensorType) -> (Forward, Function) {
    let training = network.training(x).expect("a training pass");
    let params = network.parameter_types();
    let (slots, seen) = (optimizer.state_types(&params), training.signature.types(Role::Statistic));
    let kept = params.iter().chain(&slots).chain(&seen);
    let labels = TensorType::new(DType::S32, [x.dims[1]]);
    let inputs: Vec<(&str, TensorType)> =
        kept.map(|(path, ty)| (path.as_str(), ty.clone())).chain([("x", x.clone()), ("y", labels)]).collect();
    let by_path = |types: &BTreeMap<String, TensorType>, tensors: &[Tensor]| -> BTreeMap<String, Tensor> {
        types.keys().cloned().zip(tensors.iter().cloned()).collect()
    };
    let step = trace(&inputs, |values| {
        let (now, rest) = values.split_at(params.len());
        let (old, rest) = rest.split_at(slots.len());
        let [statistics @ .., x, y] = rest else { unreachable!("two inputs follow the state") };
        let now = by_path(&params, now);
        let key = x.graph().zeros(TensorType::new(DType::U32, [2]));
        let mut beside = by_path(&seen, statistics);
        beside.extend([MODEL_KEY, NOISE_KEY].map(|name| (name.to_owned(), key.clone())));
        let ((loss, statistics), grads) = value_and_grad(&now, |params| {
            let given = beside.clone().into_iter().chain(params.clone()).collect();
            let pass = training.call(&given, x);
            let loss = integral_crossentropy(&pass.only(Role::Traces).named("T B C"), &y.named("B"));
            (loss, pass.of(Role::Statistic).into_values().collect::<Vec<_>>())
        });
        let (updates, new) = optimizer.update(&grads, &by_path(&slots, old), &now);
        let next = apply_updates(&now, &updates).into_values();
        next.chain(new.into_values()).chain(statistics).chain([loss]).collect()
    });
    (training, step.expect("a training step"))
}

#[test]
fn thirty_training_steps_follow_qwix() {
    let file = Reference::load("quant_bwd");
    let given = file.case("given/training");
    let (x, labels) = (given.array("x"), given.array("targets"));
    // A negative gradient of the largest magnitude is at the boundary between -127 and -128: the last bit decides, after which Adam and
    // spikes make the runs diverge. Until that step they agree; afterwards they stay close.
    for (name, same, near) in [("0", 30, 0.0), ("1", 10, 0.1), ("static", 30, 0.0), ("static_bwd", 2, 0.01)] {
        let case = file.case(&format!("training/{name}"));
        let config = ModelConfig::parse(MODEL, "test").expect("a model");
        let network = Network::new(config, vec![rule(&case)]).expect("a network").with_numerics(Numerics::Qwix);
        let optimizer = adam(1e-2);
        let (training, step) = train_step(&network, &optimizer, x.ty());
        let start = file.case("training/params");
        let params = network.parameter_types();
        let slots = optimizer.init(&params);
        let seen = training.signature.types(Role::Statistic);
        let zeros = seen.values().map(|ty| Array::zeros(ty.clone()));
        let mut state: Vec<Array> =
            params.keys().map(|path| start.array(path).clone()).chain(slots.into_values()).chain(zeros).collect();
        let wanted = case.array("losses").to_f64();
        for (step_number, wanted) in wanted.iter().enumerate() {
            let inputs: Vec<&Array> = state.iter().chain([x, labels]).collect();
            let mut out = execute(&step, &inputs);
            let loss = out.pop().expect("a loss").to_f64()[0];
            let off = (loss - wanted).abs() / wanted;
            let tolerance = if step_number < same { 1e-5 } else { near };
            assert!(off < tolerance, "{} step {step_number}: {loss} for {wanted}", case.name);
            state = out;
        }
        for (path, got) in seen.keys().zip(&state[state.len() - seen.len()..]) {
            let (layer, label) = (&path["quant_stats/core/layers/".len()..][..1], path.rsplit('/').next());
            let wanted = case.array(&format!("stats/{layer}/{}", label.expect("a label")));
            check_close(path, got, wanted, 1e-2);
        }
        let statistics = if name.starts_with("static") { 4 } else { 0 };
        assert_eq!(seen.len(), statistics, "{name}");
    }
}

/// Two layers over time, [T 4, B 2, 3] to 5 units with a state, then to 2; the second reads the updated state of the first.
fn looped() -> Function {
    let f32s = |dims: &[usize]| TensorType::new(DType::F32, dims);
    let inputs = [("x", f32s(&[4, 2, 3])), ("a/kernel", f32s(&[3, 5])), ("b/kernel", f32s(&[5, 2]))];
    trace(&inputs, |p| {
        let graph = p[0].graph();
        let start = graph.zeros(f32s(&[2, 5]));
        let (_, y) = scan(&start, &p[0], |v: Tensor, x: Tensor| {
            let v = v * 0.9 + graph.scope("a", || x.dot(&p[1]));
            let y = graph.scope("b", || v.dot(&p[2]));
            (v, y)
        });
        vec![y]
    })
    .expect("a network")
}

fn all_of_it() -> RuleConfig {
    RuleConfig {
        weight_qtype: Some("int8".into()),
        act_qtype: Some("int8".into()),
        act_static_scale: Some(true),
        bwd_qtype: Some("int8".into()),
        bwd_stochastic_rounding: Some("uniform".into()),
        ..RuleConfig::default()
    }
}

fn some(dims: &[usize], seed: i64) -> Array {
    let count = dims.iter().product();
    Array::new(dims, Key::new(seed).uniform(count, -1.0, 1.0)).expect("as many as the shape has")
}

/// qwix can neither store statistics nor draw keys inside a scan ("cannot mutate from a different trace level").
#[test]
fn statistics_and_noise_work_in_a_loop_and_cutting_it_changes_nothing() {
    let rules = Rules::new(&[all_of_it()]).expect("a rule");
    let is_kernel = |name: &str| name.ends_with("kernel");
    let quantized = quantize(&looped(), &rules, Mode::Qat, Numerics::Qwix, is_kernel).expect("quantizes");
    assert!(quantized.noise_key);
    let whole = quantized.function.keep_sums().expect("state");
    let (x, a, b, g) = (some(&[4, 2, 3], 0), some(&[3, 5], 1), some(&[5, 2], 2), some(&[4, 2, 2], 3));
    let run = |tile: usize, key: i64| {
        let cut = whole.split_time(tile).expect("cuts");
        let gradients = gradients_of(&cut, 3);
        let zeros: Vec<Array> = quantized.function.sums().into_iter().map(|(_, ty)| Array::zeros(ty)).collect();
        let key = Key::new(key).to_array();
        let inputs: Vec<&Array> = [&x, &a, &b, &key].into_iter().chain(&zeros).chain([&g]).collect();
        execute(&gradients, &inputs)
    };
    let plain = run(1, 7);
    for tile in [2, 4] {
        let cut = run(tile, 7);
        for (i, (got, want)) in cut.iter().zip(&plain).enumerate() {
            check_close(&format!("tile {tile}, result {i}"), got, want, 1e-5);
        }
    }
    assert_eq!(run(4, 7), run(4, 7), "the same key gives the same bits");
    let other = run(4, 8);
    assert_eq!(plain[0], other[0], "the forward pass draws nothing");
    assert_ne!(plain.last(), other.last(), "another key rounds otherwise");
    let names: Vec<String> = quantized.function.sums().into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        [
            "quant_stats/a/dot_general0_lhs/count",
            "quant_stats/a/dot_general0_lhs/sum_of_absmax",
            "quant_stats/b/dot_general0_lhs/count",
            "quant_stats/b/dot_general0_lhs/sum_of_absmax",
        ]
    );
    assert_eq!(plain[1].to_f64(), [4.0], "a step of the loop is a call");
}

/// All results of a function, then the gradients of its first result with respect to its first `count` parameters, given the result's
/// cotangent.
fn gradients_of(function: &Function, count: usize) -> Function {
    let ct = ("g", function.result_types()[0].clone());
    let inputs: Vec<(&str, TensorType)> =
        function.input_names().iter().map(String::as_str).zip(function.input_types()).chain([ct]).collect();
    trace(&inputs, |a| {
        let (g, a) = a.split_last().expect("a cotangent");
        let results = function.call(g.graph(), a);
        let grads = vjp(&results[..1], &[Some(g.clone())], &a[..count]);
        [results, grads].concat()
    })
    .expect("a gradient")
}

/// The gradients of x and w under a rule, and the full-precision gradients at the rounded operands.
fn both_gradients(rule: RuleConfig, x: &Array, w: &Array, product: impl Fn(&[Tensor]) -> Tensor) -> [Vec<Array>; 2] {
    let quantized = quantized_as(Numerics::Exact, rule, x, w, &product);
    let inputs = [("x", x.ty().clone()), ("w", w.ty().clone())];
    let plain = trace(&inputs, |a| vec![product(a)]).expect("a product");
    let g = some(&plain.result_types()[0].dims, 5);
    [&quantized.function, &plain].map(|function| execute(&gradients_of(function, 2), &[x, w, &g])[1..].to_vec())
}

#[track_caller]
fn check_about(what: &str, [got, want]: [Vec<Array>; 2], tolerance: f64) {
    for (got, want) in got.iter().zip(&want) {
        let (got, want) = (got.to_f64(), want.to_f64());
        let size = want.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        let off = got.iter().zip(&want).fold(0.0f64, |m, (g, w)| m.max((g - w).abs())) / size;
        assert!(off > 0.0, "{what}: nothing was rounded");
        assert!(off <= tolerance, "{what}: off by {off:e} of the largest");
    }
}

/// qwix asserts, or ignores the zero point; gradients of finely rounded operands must be close to the plain ones.
#[test]
fn types_that_qwix_asserts_on_have_gradients() {
    let (x, w) = (some(&[6, 12], 0), some(&[12, 5], 1));
    let base = RuleConfig { bwd_qtype: Some("int8".into()), ..RuleConfig::default() };
    let with = |weight: &str, act: &str| RuleConfig {
        weight_qtype: Some(weight.into()),
        act_qtype: Some(act.into()),
        ..base.clone()
    };
    let dot = |a: &[Tensor]| a[0].dot(&a[1]);
    check_about("int7", both_gradients(with("int7", "int7"), &x, &w, dot), 0.03);
    check_about("int5", both_gradients(with("int5", "int5"), &x, &w, dot), 0.1);
    check_about("nf4", both_gradients(with("nf4", "int8"), &x, &w, dot), 0.25);
    check_about("ternary", both_gradients(with("ternary", "int8"), &x, &w, dot), 0.8);
    check_about("int2", both_gradients(with("int2", "int2"), &x, &w, dot), 0.8);
    let shifted = RuleConfig { act_calibration_method: Some("minmax".into()), ..with("int8", "int8") };
    let positive = Array::new([6, 12], Key::new(0).uniform(72, 0.5, 1.5)).expect("72 numbers");
    check_about("a zero point", both_gradients(shifted.clone(), &positive, &w, dot), 0.03);

    let conv = Convolution::new(ConvDims::features_last(4), DType::F32);
    let (image, kernel) = (some(&[3, 5, 6, 4], 2), some(&[3, 2, 4, 6], 3));
    let convolved = |a: &[Tensor]| a[0].convolution(&a[1], &conv);
    let positive = Array::new([3, 5, 6, 4], Key::new(0).uniform(360, 0.5, 1.5)).expect("360 numbers");
    check_about("a convolution's zero point", both_gradients(shifted, &positive, &kernel, convolved), 0.03);
    for (qtype, tolerance) in [("int4", 0.15), ("float8_e5m2", 0.15)] {
        let rule = RuleConfig { bwd_qtype: Some(qtype.into()), ..with("int8", "int8") };
        check_about(qtype, both_gradients(rule, &image, &kernel, convolved), tolerance);
    }
    // StableHLO convolutions require equal element types, and these are three operands of two types.
    let floats = RuleConfig { bwd_qtype: Some("float8_e5m2".into()), ..with("float8_e4m3fn", "float8_e5m2") };
    check_about("floats of 8 bits", both_gradients(floats, &image, &kernel, convolved), 0.15);
    let grouped = Convolution { groups: 2, ..conv.clone() };
    let kernel = some(&[3, 2, 2, 6], 4);
    let convolved = |a: &[Tensor]| a[0].convolution(&a[1], &grouped);
    check_about("groups", both_gradients(with("int8", "int8"), &image, &kernel, convolved), 0.03);
}

/// qwix ignores `bwd_stochastic_rounding` for convolutions, and so does `Numerics::Qwix`.
#[test]
fn gradients_of_convolutions_are_rounded_at_random_where_numerics_are_exact() {
    let (x, w, g) = (some(&[3, 5, 6, 4], 0), some(&[3, 2, 4, 6], 1), some(&[3, 3, 5, 6], 2));
    let conv = Convolution::new(ConvDims::features_last(4), DType::F32);
    let rule = RuleConfig { act_static_scale: None, ..all_of_it() };
    for (numerics, differs) in [(Numerics::Exact, true), (Numerics::Qwix, false)] {
        let quantized = quantized_as(numerics, rule.clone(), &x, &w, |a| a[0].convolution(&a[1], &conv));
        let function = gradients_of(&quantized.function, 2);
        let [a, b] = [1, 2].map(|seed| execute(&function, &[&x, &w, &Key::new(seed).to_array(), &g]));
        assert_eq!(a[0], b[0], "{numerics}: the forward pass draws nothing");
        assert_eq!((a[1] != b[1], a[2] != b[2]), (differs, differs), "{numerics}");
    }
}

#[test]
fn what_would_do_nothing_or_cannot_be_done_is_refused() {
    let refused = |change: &dyn Fn(&mut RuleConfig)| {
        let mut rule = RuleConfig { weight_qtype: Some("int8".into()), ..RuleConfig::default() };
        change(&mut rule);
        Rules::new(&[rule]).expect_err("a refusal").to_string()
    };
    assert_eq!(
        refused(&|rule| rule.bwd_stochastic_rounding = Some("uniform".into())),
        "rule 1: bwd_stochastic_rounding needs a bwd_qtype, the type of the gradients"
    );
    assert_eq!(
        refused(&|rule| {
            rule.bwd_qtype = Some("float8_e5m2".into());
            rule.bwd_stochastic_rounding = Some("uniform".into());
        }),
        "rule 1: bwd_stochastic_rounding rounds integers; leave it out for float8_e5m2, which rounds to the nearest"
    );
    assert_eq!(
        refused(&|rule| rule.bwd_weight_grad_tile_size = Some(TileSize::Elements(8))),
        "rule 1: bwd_weight_grad_tile_size needs a bwd_qtype, the type of the gradients"
    );
    assert_eq!(
        refused(&|rule| rule.act_static_scale = Some(true)),
        "rule 1: act_static_scale needs an act_qtype, the type of the activations"
    );
    assert_eq!(
        refused(&|rule| rule.bwd_qtype = Some("mxfp8".into())),
        "rule 1: bwd_qtype: gradients in mxfp8 are not supported; use an integer, float8_e4m3fn or float8_e5m2"
    );
    let rule = RuleConfig { act_batch_axes: vec![2], ..all_of_it() };
    let rules = Rules::new(&[rule]).expect("a rule");
    let is_kernel = |name: &str| name.ends_with("kernel");
    let error = quantize(&looped(), &rules, Mode::Qat, Numerics::Qwix, is_kernel).expect_err("a refusal").to_string();
    assert!(error.contains("f32[2,3]: act_batch_axes names axis 2, but the tensor has rank 2"), "{error}");
}
