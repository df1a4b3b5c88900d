//! Quantized dot products, forward and backward, compared with qwix; the choices of rules; refusals.

use crate::device::cpu;
use crate::reference::{Case, Reference};
use serde_json::Value;
use spiq::config::{RuleConfig, TileSize};
use spiq::pjrt::{Client, Input};
use spiq::quant::{Mode, Numerics, Rules, linear_only_rules, quantize, weights_only_rules};
use spiq::{Array, ConvDims, Convolution, DType, Function, Program, Tensor, TensorType, scan, trace, vjp};

fn run(client: &Client, function: &Function, inputs: &[&Array]) -> Vec<Array> {
    let program = Program::named("test").compile(client, function).expect("compiles");
    let buffers: Vec<_> = inputs.iter().map(|a| client.to_device(a).expect("a buffer")).collect();
    let outputs = program.execute(buffers.iter().map(Input::Borrow).collect()).expect("runs");
    outputs.iter().map(|b| b.to_array().expect("an array")).collect()
}

fn rule(case: &Case) -> RuleConfig {
    let text = |name: &str| case.get(name).as_str().map(str::to_owned);
    let default = RuleConfig::default();
    RuleConfig {
        weight_qtype: text("weight_qtype"),
        act_qtype: text("act_qtype"),
        weight_calibration_method: text("weight_calibration_method")
            .unwrap_or(default.weight_calibration_method.clone()),
        act_calibration_method: text("act_calibration_method"),
        tile_size: match case.get("tile_size") {
            Value::Number(n) => n.as_u64().map(|n| TileSize::Elements(n as usize)),
            _ => None,
        },
        disable_channelwise_axes: case.get("disable_channelwise_axes").as_bool().unwrap_or(false),
        ..default
    }
}

/// The largest difference, relative to the largest value.
fn difference(got: &Array, wanted: &Array) -> f64 {
    assert_eq!(got.ty(), wanted.ty());
    let (got, wanted) = (got.to_f64(), wanted.to_f64());
    let size = wanted.iter().fold(1e-30f64, |m, v| m.max(v.abs()));
    got.iter().zip(&wanted).fold(0.0f64, |m, (a, b)| m.max((a - b).abs())) / size
}

#[test]
fn dot_products_agree_with_qwix_forward_and_backward() {
    let (client, file) = (cpu(), Reference::load("qdot"));
    let given = |name: &str, array: &str| {
        let case = file.cases("given").find(|c| c.name == format!("given/{name}")).expect("given operands");
        case.array(array).clone()
    };
    let supported = |case: &Case| case.get("bwd_qtype").is_null();
    let mut ran = 0;
    for case in file.cases("dot").filter(supported) {
        let operands = case.get("operands").as_str().expect("a name");
        let [x, w, g] = ["x", "w", "g"].map(|name| given(operands, name));
        let inputs = [("x", x.ty().clone()), ("w", w.ty().clone())];
        let plain = trace(&inputs, |a| vec![a[0].dot(&a[1])]).expect("a dot product");
        let rules = Rules::new(&[rule(&case)]).expect("a rule");
        let quantized = quantize(&plain, &rules, Mode::Qat, Numerics::Qwix, |name| name == "w").expect("quantizes");
        let inputs = [("x", x.ty().clone()), ("w", w.ty().clone()), ("g", g.ty().clone())];
        let both = trace(&inputs, |a| {
            let y = quantized.function.call(a[0].graph(), &a[..2]);
            let grads = vjp(&y, &[Some(a[2].clone())], &a[..2]);
            [y, grads].concat()
        });
        let got = run(client, &both.expect("a gradient"), &[&x, &w, &g]);
        for (array, name) in got.iter().zip(["y", "dx", "dw"]) {
            let off = difference(array, case.array(name));
            assert!(off < 1e-6, "{} {name}: off by {off:e}", case.name);
        }
        ran += 1;
    }
    assert!(ran >= 38, "only {ran} cases ran");
}

fn f32s(dims: impl Into<Vec<usize>>) -> TensorType {
    TensorType::new(DType::F32, dims)
}

/// Two layers over time: [T 4, B 2, 3] to 5 units with a state, then to 2.
fn network() -> Function {
    let inputs = [("a/kernel", f32s([3, 5])), ("b/kernel", f32s([5, 2])), ("x", f32s([4, 2, 3]))];
    trace(&inputs, |p| {
        let graph = p[0].graph();
        let start = graph.zeros(f32s([2, 5]));
        let (_, y) = scan(&start, &p[2], |v: Tensor, x: Tensor| {
            let current = graph.scope("a", || x.dot(&p[0]));
            let v = v * 0.9 + current;
            let y = graph.scope("b", || v.dot(&p[1]));
            (v, y)
        });
        vec![y]
    })
    .expect("a network")
}

fn is_kernel(name: &str) -> bool {
    name.ends_with("kernel")
}

#[test]
fn weights_are_quantized_once_outside_of_the_loop() {
    let rules = Rules::new(&linear_only_rules("int8", "int8")).expect("rules");
    let quantized = quantize(&network(), &rules, Mode::Ptq, Numerics::Qwix, is_kernel).expect("quantizes");
    let count = |f: &Function, name: &str| f.nodes().iter().filter(|n| n.op.name() == name).count();
    assert_eq!(count(&quantized.function, "round_nearest_even"), 2, "one rounding a weight stands outside of the scan");
    assert_eq!(count(&quantized.function, "scan"), 1);
    let shown = quantized.report.to_string();
    assert!(shown.contains("act f32[2,3] -> int8, scale [2,1]"), "{shown}");
    assert!(shown.contains("weight f32[3,5] -> int8, scale [1,5]"), "{shown}");
    assert!(shown.contains("s8 x s8 -> s32"), "{shown}");
}

#[test]
fn the_first_matching_rule_decides() {
    let mut off = RuleConfig { module_path: "a".into(), ..RuleConfig::default() };
    off.op_names = vec!["dot_general".into()];
    let rules = [vec![off], linear_only_rules("int8", "int8")].concat();
    let quantized = quantize(&network(), &Rules::new(&rules).expect("rules"), Mode::Qat, Numerics::Qwix, is_kernel)
        .expect("quantizes");
    let rows = &quantized.report.rows;
    assert_eq!((rows[0].path.as_str(), rows[0].rule, rows[0].became.as_str()), ("a", Some(1), "unchanged"));
    assert_eq!((rows[1].path.as_str(), rows[1].rule), ("b", Some(2)));
}

#[track_caller]
fn refused(rules: &[RuleConfig], expected: &str) {
    let outcome = Rules::new(rules).and_then(|r| quantize(&network(), &r, Mode::Qat, Numerics::Qwix, is_kernel));
    assert_eq!(outcome.expect_err("a refusal").to_string(), expected);
}

#[test]
fn rules_that_decide_on_nothing_are_refused() {
    let named = |path: &str| RuleConfig {
        module_path: path.into(),
        weight_qtype: Some("int8".into()),
        ..RuleConfig::default()
    };
    refused(
        &[named("aa")],
        "rule 1 (module_path `aa`) matches no operation; the nearest path is `a` (paths with operations to quantize: a, b); correct it, or leave it \
         out with --allow-unmatched",
    );
    refused(
        &[named(".*"), named("b")],
        "rule 2 (module_path `b`) is never reached: rule 1 comes first and matches all its operations; put it before that one, \
         remove it, or accept it with --allow-unmatched",
    );
}

#[test]
fn unknown_and_impossible_rules_are_refused() {
    let with = |f: &dyn Fn(&mut RuleConfig)| {
        let mut rule = weights_only_rules("int8").remove(0);
        f(&mut rule);
        [rule]
    };
    refused(
        &with(&|r| r.weight_qtype = Some("itn8".into())),
        "rule 1: unknown quantized type `itn8`; did you mean `int8`? (known: int1, int2, int3, int4, int5, int6, int7, \
         int8, nf4, float8_e4m3fn, float8_e5m2, mxfp8, mxfp4, nvfp4, ternary, binary)",
    );
    refused(
        &with(&|r| r.weight_calibration_method = "rms".into()),
        "rule 1: calibration method `rms`: needs a factor, as in `rms,7`",
    );
    refused(
        &with(&|r| r.op_names = vec!["conv".into()]),
        "rule 1: op_names: operation `conv` cannot be quantized (known: dot_general, conv_general_dilated, einsum)",
    );
    refused(
        &with(&|r| (r.weight_qtype, r.weight_calibration_method) = (Some("int5".into()), "minmax".into())),
        "rule 1: int5 has no zero point, so use a symmetric method like absmax",
    );
}

#[test]
fn an_axis_that_tiles_do_not_fit_is_refused_with_its_place() {
    let rule = RuleConfig { tile_size: Some(TileSize::Elements(4)), ..weights_only_rules("int8").remove(0) };
    let rules = Rules::new(&[rule]).expect("a rule");
    let error = quantize(&network(), &rules, Mode::Qat, Numerics::Qwix, is_kernel).expect_err("a refusal").to_string();
    assert!(error.contains("f32[3,5]: an axis of size 3 cannot be cut into tiles of 4"), "{error}");
    assert!(error.contains("tests/quantized/quant.rs"), "{error}");
}

/// `conv_general_dilated` of x [1, 6, 2] and a kernel [3, 2, 4].
fn convolution() -> Function {
    let inputs = [("x", f32s([1, 6, 2])), ("k", f32s([3, 2, 4]))];
    let conv = Convolution::new(ConvDims::features_last(3), DType::F32);
    trace(&inputs, |a| vec![a[0].graph().scope("core/layers/0", || a[0].convolution(&a[1], &conv))]).expect("it fits")
}

#[test]
fn convolutions_are_quantized_along_the_batch_and_the_output_features() {
    let rules = Rules::new(&linear_only_rules("int4", "int8")).expect("rules");
    let quantized = quantize(&convolution(), &rules, Mode::Ptq, Numerics::Qwix, |name| name == "k").expect("quantizes");
    let shown = quantized.report.to_string();
    let row = "core/layers/0  conv_general_dilated  1     act f32[1,6,2] -> int8, scale [1,1,1]  \
               weight f32[3,2,4] -> int4, scale [1,1,4]  s8 x s8 -> s32  native s8";
    assert!(shown.contains(row), "{shown}");
}

#[test]
fn a_convolution_has_no_tiles() {
    let rule = RuleConfig { tile_size: Some(TileSize::Elements(2)), ..weights_only_rules("int8").remove(0) };
    let rules = Rules::new(&[rule]).expect("a rule");
    let error = quantize(&convolution(), &rules, Mode::Qat, Numerics::Qwix, |name| name == "k").expect_err("a refusal");
    let wanted = "conv_general_dilated has no axis to cut into tiles; leave tile_size out of its rule";
    assert!(error.to_string().contains(wanted), "{error}");
}
