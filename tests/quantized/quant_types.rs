//! Every quantized type, calibration method and product layout compared with qwix, forward and backward.

use crate::evaluate::execute;
use crate::reference::{Case, Reference};
use serde_json::Value;
use spiq::config::{RuleConfig, TileSize};
use spiq::quant::{Mode, Numerics, Rules, quantize};
use spiq::{Array, ConvDims, Convolution, DType, DotDims, Function, Tensor, trace, vjp};

fn list(value: &Value) -> Vec<usize> {
    value.as_array().expect("a list").iter().map(|v| v.as_u64().expect("a size") as usize).collect()
}

fn pairs(value: &Value) -> Vec<(i64, i64)> {
    let pair = |v: &Value| (v[0].as_i64().expect("a number"), v[1].as_i64().expect("a number"));
    value.as_array().expect("a list").iter().map(pair).collect()
}

/// The product of the reference's operands, as specified by the case `given/NAME`.
fn product(given: &Case, x: &Tensor, w: &Tensor) -> Tensor {
    let numbers = given.get("dimension_numbers");
    if numbers[0][0].is_array() {
        let dims = DotDims {
            lhs_contract: list(&numbers[0][0]),
            rhs_contract: list(&numbers[0][1]),
            lhs_batch: list(&numbers[1][0]),
            rhs_batch: list(&numbers[1][1]),
        };
        return x.dot_general(w, &dims, DType::F32);
    }
    let plain = Convolution::new(ConvDims::features_last(x.rank()), DType::F32);
    let dilation = |name: &str, default: &[usize]| match given.get(name) {
        Value::Null => default.to_vec(),
        value => list(value),
    };
    let conv = Convolution {
        strides: list(given.get("window_strides")),
        padding: pairs(given.get("padding")),
        input_dilation: dilation("lhs_dilation", &plain.input_dilation),
        kernel_dilation: dilation("rhs_dilation", &plain.kernel_dilation),
        groups: given.get("feature_group_count").as_u64().unwrap_or(1) as usize,
        ..plain
    };
    x.convolution(w, &conv)
}

/// A case's rule for one of its pairs of types, of activations and weights.
fn rule(case: &Case, qtypes: &Value) -> RuleConfig {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    RuleConfig {
        weight_qtype: text(&qtypes[1]),
        act_qtype: text(&qtypes[0]),
        weight_calibration_method: text(case.get("weight_calibration_method")).expect("a method"),
        act_calibration_method: text(case.get("act_calibration_method")).filter(|_| !qtypes[0].is_null()),
        tile_size: case.get("tile_size").as_f64().map(|size| match size < 1.0 {
            true => TileSize::Fraction(size),
            false => TileSize::Elements(size as usize),
        }),
        disable_channelwise_axes: case.get("channelwise").as_bool() == Some(false),
        ..RuleConfig::default()
    }
}

/// The quantized product and its gradients of sum(y · g), for each pair of types in one program: y, dx, dw, y, ….
fn program(given: &Case, rules: &[RuleConfig]) -> Function {
    let [x, w, g] = ["x", "w", "g"].map(|name| given.array(name).ty().clone());
    let plain = trace(&[("x", x.clone()), ("w", w.clone())], |a| vec![product(given, &a[0], &a[1])]).expect("it fits");
    let quantized: Vec<Function> = rules
        .iter()
        .map(|rule| {
            let rules = Rules::new(std::slice::from_ref(rule)).expect("a rule");
            quantize(&plain, &rules, Mode::Qat, Numerics::Qwix, |name| name == "w").expect("quantizes").function
        })
        .collect();
    let both = trace(&[("x", x), ("w", w), ("g", g)], |a| {
        let one = |function: &Function| {
            let y = function.call(a[0].graph(), &a[..2]);
            let grads = vjp(&y, &[Some(a[2].clone())], &a[..2]);
            [y, grads].concat()
        };
        quantized.iter().flat_map(one).collect()
    });
    both.expect("a gradient")
}

/// Part `index` of `count` equal parts.
fn part(array: &Array, index: usize, count: usize) -> Vec<f64> {
    let values = array.to_f64();
    let size = values.len() / count;
    values[index * size..(index + 1) * size].to_vec()
}

/// The largest difference, relative to the largest value.
fn difference(got: &[f64], wanted: &[f64]) -> f64 {
    assert_eq!(got.len(), wanted.len());
    let size = wanted.iter().fold(1e-30f64, |m, v| m.max(v.abs()));
    got.iter().zip(wanted).fold(0.0f64, |m, (a, b)| if (a - b).is_nan() { f64::NAN } else { m.max((a - b).abs()) })
        / size
}

/// Number of elements, and of those that agree to 1e-5 of the largest.
#[derive(Default)]
struct Agreement {
    all: usize,
    equal: usize,
}

impl Agreement {
    fn count(&mut self, name: &str, got: &[f64], wanted: &[f64]) {
        assert_eq!(got.len(), wanted.len(), "{name}");
        let size = wanted.iter().fold(1e-30f64, |m, v| m.max(v.abs()));
        let equal = got.iter().zip(wanted).filter(|(a, b)| (*a - *b).abs() <= 1e-5 * size).count();
        if equal < got.len() {
            println!("{name}: {} of {} differ: {got:?} {wanted:?}", got.len() - equal, got.len());
        }
        self.all += got.len();
        self.equal += equal;
    }

    fn check(&self, at_least: usize) {
        assert!(self.all >= at_least, "only {} elements were compared", self.all);
        let part = self.equal as f64 / self.all as f64;
        assert!(part >= 0.999, "{} of {} elements agree", self.equal, self.all);
    }
}

fn products_agree(kind: &str, at_least: usize) {
    let file = Reference::load("quant_types");
    let mut forward = Agreement::default();
    for case in file.cases(kind) {
        let given = file.case(&format!("given/{}", case.get("operands").as_str().expect("a name")));
        let qtypes = case.get("qtypes").as_array().expect("pairs of types");
        let rules: Vec<RuleConfig> = qtypes.iter().map(|pair| rule(&case, pair)).collect();
        let got = execute(&program(&given, &rules), &["x", "w", "g"].map(|name| given.array(name)));
        for (index, (pair, results)) in qtypes.iter().zip(got.chunks(3)).enumerate() {
            let name = format!("{} {pair}", case.name);
            forward.count(&name, &results[0].to_f64(), &part(case.array("y"), index, qtypes.len()));
            for (array, grad) in results[1..].iter().zip(["dx", "dw"]) {
                let Some(wanted) = case.find(grad) else { continue };
                // Dot products have the same gradient for all types; convolutions one per type.
                let shared = wanted.dims().len() == array.dims().len();
                let wanted = if shared { wanted.to_f64() } else { part(wanted, index, qtypes.len()) };
                let off = difference(&array.to_f64(), &wanted);
                assert!(off < 1e-4, "{name} {grad}: off by {off:e}");
            }
        }
    }
    forward.check(at_least);
}

#[test]
fn dot_products_of_every_type_agree_with_qwix() {
    products_agree("dot", 1300);
}

#[test]
fn convolutions_of_every_type_agree_with_qwix() {
    products_agree("conv", 1000);
}

#[test]
fn rounded_values_of_every_type_agree_with_qwix() {
    let file = Reference::load("quant_types");
    let mut values = Agreement::default();
    for case in file.cases("quantize") {
        let qtypes = case.get("qtypes").as_array().expect("types");
        let x = case.array("x");
        // A product with the identity matrix returns the dequantized operand.
        let size = x.dims()[1];
        let ones: Vec<f32> = (0..size * size).map(|i| f32::from(u8::from(i % (size + 1) == 0))).collect();
        let eye = Array::new([size, size], ones).expect("a square");
        let plain =
            trace(&[("x", x.ty().clone()), ("eye", eye.ty().clone())], |a| vec![a[0].dot(&a[1])]).expect("it fits");
        let rounded = |qtype: &Value| {
            let rule = RuleConfig {
                weight_qtype: qtype.as_str().map(str::to_owned),
                weight_calibration_method: case.get("method").as_str().expect("a method").into(),
                tile_size: case.get("tiled_axes")["1"].as_u64().map(|size| TileSize::Elements(size as usize)),
                ..RuleConfig::default()
            };
            let rules = Rules::new(&[rule]).expect("a rule");
            quantize(&plain, &rules, Mode::Ptq, Numerics::Qwix, |name| name == "x").expect("quantizes").function
        };
        let functions: Vec<Function> = qtypes.iter().map(rounded).collect();
        let inputs = [("x", x.ty().clone()), ("eye", eye.ty().clone())];
        let all =
            trace(&inputs, |a| functions.iter().flat_map(|f| f.call(a[0].graph(), a)).collect()).expect("it fits");
        for (index, (got, qtype)) in execute(&all, &[x, &eye]).iter().zip(qtypes).enumerate() {
            let wanted = part(case.array("dequantized"), index, qtypes.len());
            values.count(&format!("{} {qtype}", case.name), &got.to_f64(), &wanted);
        }
    }
    values.check(1200);
}
