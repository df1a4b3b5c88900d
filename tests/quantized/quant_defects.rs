//! Defects of qwix 0.1.8 and Spyx 1.0.0 that are fixed here, one test each; and this library's additional types and methods.

use crate::evaluate::{check_close, execute};
use spiq::config::{ModelConfig, RuleConfig};
use spiq::network::Network;
use spiq::quant::{
    Mode, Numerics, QType, Quantized, Rules, binary_activation_error, bitnet_ternary_rules, linear_only_rules,
    quantize, spiking_feedforward_rules, weights_only_rules,
};
use spiq::random::Key;
use spiq::{Array, ConvDims, Convolution, DType, Function, Result, Tensor, TensorType, trace, vjp};

fn f32s(dims: impl Into<Vec<usize>>) -> TensorType {
    TensorType::new(DType::F32, dims)
}

fn normal(seed: i64, dims: &[usize]) -> Array {
    Array::new(dims, Key::new(seed).normal(dims.iter().product())).expect("as many values as elements")
}

/// A product of x and w, with rules that treat w as the weight.
fn with_rules(
    product: impl Fn(&Tensor, &Tensor) -> Tensor,
    operands: [&Array; 2],
    rules: &[RuleConfig],
) -> Result<Quantized> {
    let inputs = ["x", "w"].into_iter().zip(operands.map(|array| array.ty().clone())).collect::<Vec<_>>();
    let plain = trace(&inputs, |a| vec![product(&a[0], &a[1])]).expect("it fits");
    quantize(&plain, &Rules::new(rules)?, Mode::Qat, Numerics::Exact, |name| name == "w")
}

fn dot(x: &Tensor, w: &Tensor) -> Tensor {
    x.dot(w)
}

fn conv(groups: usize) -> impl Fn(&Tensor, &Tensor) -> Tensor {
    move |x, w| {
        let plain = Convolution::new(ConvDims::features_last(x.rank()), DType::F32);
        x.convolution(w, &Convolution { groups, ..plain })
    }
}

/// The dequantized values of a rounded weight [n, m], with a scale per column.
#[track_caller]
fn rounded(w: &Array, qtype: &str, method: &str) -> Array {
    rounded_each(w, &[(qtype, method.to_owned())]).remove(0)
}

/// The same for several types and methods in one program.
#[track_caller]
fn rounded_each(w: &Array, how: &[(&str, String)]) -> Vec<Array> {
    let size = w.dims()[0];
    let ones: Vec<f32> = (0..size * size).map(|i| f32::from(u8::from(i % (size + 1) == 0))).collect();
    let eye = Array::new([size, size], ones).expect("a square");
    let one = |(qtype, method): &(&str, String)| {
        let rule = RuleConfig { weight_calibration_method: method.clone(), ..weights_only_rules(qtype).remove(0) };
        with_rules(dot, [&eye, w], &[rule]).expect("quantizes").function
    };
    let functions: Vec<Function> = how.iter().map(one).collect();
    let inputs = [("x", eye.ty().clone()), ("w", w.ty().clone())];
    let all = trace(&inputs, |a| functions.iter().flat_map(|f| f.call(a[0].graph(), a)).collect());
    execute(&all.expect("it fits"), &[&eye, w])
}

fn column(array: &Array, column: usize) -> Vec<f64> {
    array.to_f64().into_iter().skip(column).step_by(array.dims()[1]).collect()
}

fn squared_error(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum()
}

/// Gradients of the sum of a function's results with respect to all its inputs.
fn gradients(function: &Function, inputs: &[&Array]) -> Vec<Array> {
    let names = function.input_names().iter().map(String::as_str);
    let types: Vec<_> = names.zip(function.input_types()).collect();
    let gradient = trace(&types, |a| {
        let y = function.call(a[0].graph(), a);
        vjp(&y, &[Some(y[0].full_like(1.0))], a)
    });
    execute(&gradient.expect("a gradient"), inputs)
}

// Types

#[test]
fn int1_is_the_sign_times_the_mean_magnitude() {
    // qwix: zeros.
    let w = Array::new([4, 2], [0.5f32, 0.0, -1.5, 0.0, 1.0, 0.0, -1.0, 0.0]).expect("an array");
    assert_eq!(rounded(&w, "int1", "absmax").to_f64(), [1.0, 0.0, -1.0, 0.0, 1.0, 0.0, -1.0, 0.0]);
}

#[test]
fn ternary_has_three_levels_of_the_mean_magnitude() {
    // Spyx: int2, whose fourth level is -2.
    let w = normal(0, &[64, 3]);
    let got = rounded(&w, "ternary", "absmax");
    for index in 0..3 {
        let (given, values) = (column(&w, index), column(&got, index));
        let mean = given.iter().map(|v| v.abs()).sum::<f64>() / 64.0;
        for (v, q) in given.iter().zip(&values) {
            let wanted = (v / mean).round_ties_even().clamp(-1.0, 1.0) * mean;
            assert!((q - wanted).abs() < 1e-6, "{v}: {q}, want {wanted}");
        }
        assert!([-mean, 0.0, mean].iter().all(|level| values.iter().any(|q| (q - level).abs() < 1e-6)));
    }
    assert_eq!(bitnet_ternary_rules(Some("int8"))[0].weight_qtype.as_deref(), Some("ternary"));
}

#[test]
fn gradients_of_a_few_levels_pass_whole() {
    let (x, w) = (normal(0, &[3, 8]), normal(1, &[8, 2]));
    let plain = gradients(&with_rules(dot, [&x, &w], &[]).expect("as it is").function, &[&x, &w]);
    for qtype in ["int1", "ternary"] {
        let quantized = with_rules(dot, [&x, &w], &weights_only_rules(qtype)).expect("quantizes");
        let got = gradients(&quantized.function, &[&x, &w]);
        got.iter().zip(&plain).for_each(|(got, plain)| check_close(qtype, got, plain, 1e-6));
    }
}

#[test]
fn fp8_is_another_name_for_float8_e4m3fn() {
    // qwix: rejected, though Spyx's documentation offers it.
    let w = normal(0, &[16, 2]);
    assert_eq!(rounded(&w, "fp8", "absmax"), rounded(&w, "float8_e4m3fn", "absmax"));
}

#[test]
fn spikes_stay_what_they_are_as_binary() {
    // qwix: 1.0 becomes 0.99608 as int8, 0.667 as int2.
    let spikes =
        Array::new([5, 8], Key::new(0).bernoulli(40, 0.4).iter().map(|&s| f32::from(u8::from(s))).collect::<Vec<_>>());
    let (x, w) = (spikes.expect("an array"), normal(1, &[8, 3]));
    let weights = with_rules(dot, [&x, &w], &weights_only_rules("int8")).expect("quantizes");
    let both = with_rules(dot, [&x, &w], &linear_only_rules("int8", "binary")).expect("quantizes");
    assert_eq!(both.report.rows[0].became, "s8 x s8 -> s32");
    let [wanted, got] = [weights, both].map(|quantized| execute(&quantized.function, &[&x, &w]).remove(0));
    check_close("spikes", &got, &wanted, 1e-6);
    assert_eq!(binary_activation_error(&x, "int2").expect("an error"), 0.0);
}

#[test]
fn small_tiles_of_nvfp4_are_numbers() {
    // qwix: the scale rounds to 0, and 0 / 0 is NaN.
    let tiny: Vec<f32> = (0..16).map(|i| if i == 3 { 0.0 } else { 1e-4 * i as f32 }).collect();
    let got = rounded(&Array::new([16, 1], tiny).expect("an array"), "nvfp4", "absmax");
    assert!(got.to_f64().iter().all(|v| v.is_finite() && v.abs() < 0.01), "{got:?}");
}

#[test]
fn types_of_tiles_bring_their_tile_size() {
    let rules = |qtype: &str, tiles| RuleConfig { tile_size: tiles, ..weights_only_rules(qtype).remove(0) };
    let (x, w) = (normal(0, &[2, 64]), normal(1, &[64, 3]));
    let quantized = with_rules(dot, [&x, &w], &linear_only_rules("mxfp4", "mxfp8")).expect("quantizes");
    assert_eq!(quantized.report.rows[0].sides.clone().map(|side| side.scale), ["[2,2]", "[2,3]"]);
    let refusal = |rules: &[RuleConfig]| Rules::new(rules).expect_err("a refusal").to_string();
    assert_eq!(
        refusal(&[rules("nvfp4", Some(spiq::config::TileSize::Elements(32)))]),
        "rule 1: nvfp4 consists of tiles of 16, but the rule's tile_size, or its other type, makes them 32"
    );
    assert!(refusal(&linear_only_rules("mxfp8", "nvfp4")).contains("makes them 32"));
    let (x, w) = (normal(0, &[2, 5, 32]), normal(1, &[3, 32, 2]));
    let error = with_rules(conv(1), [&x, &w], &weights_only_rules("mxfp8")).expect_err("a refusal").to_string();
    assert!(error.contains("conv_general_dilated has no axis to cut into tiles"), "{error}");
}

// Products

#[test]
fn int4_times_int4_runs() {
    // qwix: XLA:CPU crashes.
    let (x, w) = (normal(0, &[3, 16]), normal(1, &[16, 2]));
    let both = with_rules(dot, [&x, &w], &linear_only_rules("int4", "int4")).expect("quantizes");
    assert_eq!(both.report.rows[0].became, "s8 x s8 -> s32");
    let got = execute(&both.function, &[&x, &w]).remove(0);
    // The product of the dequantized operands.
    let (x, w) = (rounded_rows(&x, "int4"), rounded(&w, "int4", "absmax"));
    let plain = with_rules(dot, [&x, &w], &[]).expect("as it is");
    check_close("int4 x int4", &got, &execute(&plain.function, &[&x, &w])[0], 1e-5);
}

#[test]
fn convolutions_take_int4_weights_with_and_without_int8_activations() {
    // qwix: both fail.
    let (x, w) = (normal(0, &[2, 7, 3]), normal(1, &[3, 3, 4]));
    let run =
        |rules: &[RuleConfig]| execute(&with_rules(conv(1), [&x, &w], rules).expect("quantizes").function, &[&x, &w]);
    let (w4, w4a8) = (run(&weights_only_rules("int4")), run(&linear_only_rules("int4", "int8")));
    check_close("W4A8 against W4", &w4a8[0], &w4[0], 0.02);
    check_close("W4 against full precision", &w4[0], &run(&[])[0], 0.5);
    assert_ne!(w4[0], run(&[])[0]);
}

#[test]
fn gradients_of_convolutions_pass_straight_through_in_groups_too() {
    // qwix: computed at the rounded operands, and a failure with groups.
    let (x, w) = (normal(0, &[2, 7, 4]), normal(1, &[3, 2, 6]));
    let run =
        |rules: &[RuleConfig]| gradients(&with_rules(conv(2), [&x, &w], rules).expect("quantizes").function, &[&x, &w]);
    let (got, plain) = (run(&linear_only_rules("int4", "int8")), run(&[]));
    got.iter().zip(&plain).for_each(|(got, plain)| check_close("gradient", got, plain, 1e-5));
}

#[test]
fn the_report_tells_native_products_from_emulated_ones() {
    let (x, w) = (normal(0, &[3, 64]), normal(1, &[64, 2]));
    let unit = |rules: &[RuleConfig]| with_rules(dot, [&x, &w], rules).expect("quantizes").report.rows.remove(0).unit;
    assert_eq!(unit(&linear_only_rules("int2", "int8")), "native s8");
    assert_eq!(unit(&linear_only_rules("ternary", "binary")), "native s8");
    assert_eq!(unit(&linear_only_rules("fp8", "fp8")), "emulated: widened f8E4M3FN");
    assert_eq!(unit(&linear_only_rules("mxfp4", "mxfp4")), "emulated: dequantized f32");
    assert_eq!(unit(&linear_only_rules("nf4", "int8")), "emulated: dequantized f32");
    assert_eq!(unit(&weights_only_rules("int8")), "emulated: dequantized f32");
    assert_eq!(unit(&[RuleConfig::default()]), "native f32");
}

/// A matrix, rounded with a scale per row.
fn rounded_rows(x: &Array, qtype: &str) -> Array {
    turned(&rounded(&turned(x), qtype, "absmax"))
}

fn turned(array: &Array) -> Array {
    let values: Vec<f64> = (0..array.dims()[1]).flat_map(|c| column(array, c)).collect();
    Array::from_f64(f32s([array.dims()[1], array.dims()[0]]), &values).expect("as many")
}

#[test]
fn every_type_multiplies_what_its_values_stand_for() {
    // qwix: nf4 convolutions with nf4 multiply the level indices.
    let (x, w) = (normal(0, &[2, 64]), normal(1, &[64, 3]));
    let (image, kernel) = (normal(2, &[2, 6, 3]), normal(3, &[4, 3, 5]));
    for qtype in QType::ALL {
        let name = qtype.to_string();
        let check = |product: &dyn Fn(&Tensor, &Tensor) -> Tensor, given: [&Array; 2], rounded: [&Array; 2]| {
            let quantized = with_rules(product, given, &linear_only_rules(&name, &name)).expect("quantizes");
            let plain = with_rules(product, rounded, &[]).expect("as it is");
            let wanted = execute(&plain.function, &rounded);
            check_close(&name, &execute(&quantized.function, &given)[0], &wanted[0], 1e-5);
        };
        check(&dot, [&x, &w], [&rounded_rows(&x, &name), &rounded(&w, &name, "absmax")]);
        if qtype.tile().is_some() {
            continue;
        }
        let shaped = |array: Array, like: &Array| array.reshape(like.dims()).expect("as many");
        let flat = |array: &Array, dims: [usize; 2]| array.reshape(dims).expect("as many");
        let rounded_image = shaped(rounded_rows(&flat(&image, [2, 18]), &name), &image);
        let rounded_kernel = shaped(rounded(&flat(&kernel, [12, 5]), &name, "absmax"), &kernel);
        check(&conv(1), [&image, &kernel], [&rounded_image, &rounded_kernel]);
    }
}

#[test]
fn every_type_takes_every_method_or_says_why_not() {
    let methods =
        ["absmax", "absmax,0.8", "minmax", "rms,2", "fixed,2", "fixed,-1,2", "absmean,2", "percentile,95", "mse"];
    let w = normal(0, &[64, 2]);
    for qtype in QType::ALL.map(|qtype| qtype.to_string()) {
        let rule = |method: &str| RuleConfig {
            weight_calibration_method: method.into(),
            ..weights_only_rules(&qtype).remove(0)
        };
        let (taken, refused): (Vec<&str>, Vec<&str>) = methods.iter().partition(|m| Rules::new(&[rule(m)]).is_ok());
        for method in refused {
            let error = Rules::new(&[rule(method)]).expect_err("refused").to_string();
            assert!(error.contains("has no zero point") || error.contains("has no range"), "{error}");
        }
        let how: Vec<(&str, String)> = taken.iter().map(|method| (qtype.as_str(), (*method).to_owned())).collect();
        for (method, got) in taken.iter().zip(rounded_each(&w, &how)) {
            let values = got.to_f64();
            assert!(values.iter().all(|v| v.is_finite()), "{qtype} {method}");
            // If the range suits the type, most of the signal remains; binary keeps the positive half.
            let most = squared_error(&values, &w.to_f64()) < 0.9 * squared_error(&[0.0; 128], &w.to_f64());
            assert!(most || !["absmax", "mse"].contains(method), "{qtype} {method}");
        }
        assert!(!taken.is_empty());
    }
}

// Weights and rules

#[test]
fn an_activation_of_a_weights_shape_is_an_activation() {
    // qwix: `lhs and rhs cannot be both weights`.
    let (x, w) = (normal(0, &[8, 8]), normal(1, &[8, 8]));
    let row = with_rules(dot, [&x, &w], &linear_only_rules("int4", "int8")).expect("quantizes").report.rows.remove(0);
    assert_eq!(row.sides.clone().map(|side| side.is_weight), [false, true]);
    assert_eq!(row.sides.map(|side| side.qtype), [Some("int8".to_owned()), Some("int4".to_owned())]);
}

#[test]
fn two_weights_of_one_shape_are_weights() {
    // qwix: both are treated as activations.
    let inputs = [("x", f32s([3, 8])), ("v", f32s([8, 8])), ("w", f32s([8, 8]))];
    let plain = trace(&inputs, |a| vec![a[0].dot(&a[1]).dot(&a[2])]).expect("it fits");
    let rules = Rules::new(&linear_only_rules("int4", "int8")).expect("rules");
    let quantized = quantize(&plain, &rules, Mode::Qat, Numerics::Exact, |name| name != "x").expect("quantizes");
    assert!(quantized.report.rows.iter().all(|row| row.sides[1].is_weight && !row.sides[0].is_weight));
}

const MODEL: &str = r#"name = "core"
layers = [{ type = "Linear", in_features = 4, out_features = 3 }, { type = "LI", layer_shape = 3 }]"#;

fn quantized_model(rules: Vec<RuleConfig>) -> Result<Quantized> {
    Network::new(ModelConfig::parse(MODEL, "model.toml")?, rules)?.quantized(&f32s([5, 2, 4]), Mode::Qat)
}

#[test]
fn a_rule_that_names_a_class_of_layers_is_refused() {
    // qwix: no error, and nothing is quantized.
    let named = RuleConfig { module_path: ".*Linear.*".into(), ..weights_only_rules("int8").remove(0) };
    let error = quantized_model(vec![named]).expect_err("a refusal").to_string();
    assert!(error.contains("matches no operation") && error.contains("core/layers/0"), "{error}");
}

#[test]
fn what_is_quantized_does_not_depend_on_what_was_before() {
    // qwix: jit's cache hides operations that the process has run before.
    let once = |rules| quantized_model(rules).expect("quantizes");
    let first = once(linear_only_rules("int8", "int8"));
    for rules in [vec![], weights_only_rules("int4"), spiking_feedforward_rules("nf4")] {
        once(rules);
        let again = once(linear_only_rules("int8", "int8"));
        assert_eq!(again.report, first.report);
        let text = |quantized: &Quantized| quantized.function.stablehlo("core", &Default::default());
        assert_eq!(text(&again), text(&first));
    }
}

// Additional calibration methods

#[test]
fn a_percentile_leaves_the_outermost_values_out() {
    // Magnitudes 0 … 100: 90.5 percent are below 90.5.
    let values: Vec<f32> = (0..=100).map(|i| if i % 2 == 0 { i as f32 } else { -(i as f32) }).collect();
    let w = Array::new([101, 1], values).expect("an array");
    let got = rounded(&w, "int8", "percentile,90.5").to_f64();
    let scale = 90.5 / 127.5;
    let wanted = w.to_f64().into_iter().map(|v| (v / scale).round_ties_even().clamp(-128.0, 127.0) * scale);
    got.iter().zip(wanted).for_each(|(got, wanted)| assert!((got - wanted).abs() < 1e-4, "{got}, want {wanted}"));
    assert_eq!(rounded(&w, "int8", "percentile,100"), rounded(&w, "int8", "absmax"));
}

#[test]
fn mse_errs_least_of_the_ranges_it_tries() {
    let w = normal(0, &[256, 2]);
    for qtype in ["int4", "nf4", "ternary"] {
        let methods = (2..20).map(|k| format!("absmax,{}", f64::from(k) / 20.0)).chain(["mse".to_owned()]);
        let each = rounded_each(&w, &methods.map(|method| (qtype, method)).collect::<Vec<_>>());
        for index in 0..2 {
            let error = |array: &Array| squared_error(&column(array, index), &column(&w, index));
            let least = each[..18].iter().map(error).fold(f64::INFINITY, f64::min);
            assert!(error(&each[18]) <= least * 1.0001, "{qtype}: {} over {least}", error(&each[18]));
        }
    }
}

#[test]
fn absmean_ranges_are_multiples_of_the_mean_magnitude() {
    let w = Array::new([4, 1], [1.0f32, -2.0, 3.0, -10.0]).expect("an array");
    let scale = 2.0 * 4.0 / 127.5;
    let wanted = w.to_f64().into_iter().map(|v| (v / scale).round_ties_even().clamp(-128.0, 127.0) * scale);
    let got = rounded(&w, "int8", "absmean,2").to_f64();
    got.iter().zip(wanted).for_each(|(got, wanted)| assert!((got - wanted).abs() < 1e-5, "{got}, want {wanted}"));
}

#[test]
fn methods_that_mean_nothing_are_refused() {
    let refusal = |qtype: &str, method: &str| {
        let rule = RuleConfig { weight_calibration_method: method.into(), ..weights_only_rules(qtype).remove(0) };
        Rules::new(&[rule]).expect_err("a refusal").to_string()
    };
    assert_eq!(
        refusal("int8", "percentile"),
        "rule 1: calibration method `percentile`: needs a percentage above 0 and up to 100, as in `percentile,99.9`"
    );
    assert_eq!(refusal("int8", "mse,2"), "rule 1: calibration method `mse,2`: takes no argument");
    assert_eq!(
        refusal("binary", "rms,2"),
        "rule 1: binary has no range to calibrate, so leave its calibration method out"
    );
}
