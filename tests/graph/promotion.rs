//! Results outside the range of an element type: promoted as in JAX, or refused with their source line; and sums of integer products
//! beyond s32.

use crate::evaluate::{evaluate, execute};
use spiq::config::RuleConfig;
use spiq::quant::{Mode, Numerics, Rules, quantize};
use spiq::{Array, ConvDims, Convolution, DType, Tensor, TensorType, trace, vjp};

/// The error of a formula of one tensor.
#[track_caller]
fn refused(dtype: DType, f: fn(&Tensor) -> Tensor, words: &str) {
    let error = trace(&[("x", TensorType::new(dtype, [2]))], |x| vec![f(&x[0])]).expect_err("a wrong formula");
    let text = error.to_string();
    assert!(text.contains(words) && text.contains("tests/graph/promotion.rs"), "{text}");
}

#[track_caller]
fn gives(dtype: DType, x: &[f64], f: fn(&Tensor) -> Tensor, wanted: (DType, &[f64])) {
    let x = Array::from_f64(TensorType::new(dtype, [x.len()]), x).unwrap();
    let y = evaluate(&[&x], |x| vec![f(&x[0])]).remove(0);
    assert_eq!((y.dtype(), y.to_f64().as_slice()), wanted);
}

/// Every integer type combined with numbers: a number in its range takes the type, others are refused.
#[test]
fn a_number_beside_integers_is_one_of_theirs() {
    let integers = DType::ALL.iter().copied().filter(|dtype| dtype.is_integer());
    for dtype in integers {
        let (low, high) = dtype.integer_range().unwrap();
        for number in [0.5, f64::NAN, f64::INFINITY, high as f64 * 2.0 + 2.0, low as f64 - high as f64 - 2.0] {
            let result = trace(&[("x", TensorType::new(dtype, [2]))], |x| vec![x[0].maximum(number)]);
            let text = result.expect_err("no number of this type").to_string();
            assert!(text.contains(&format!("{number} is not representable in {dtype}")), "{text}");
        }
        for number in [0.0, 1.0, low as f64] {
            let result = trace(&[("x", TensorType::new(dtype, [2]))], |x| vec![x[0].maximum(number), x[0].eq(number)]);
            assert_eq!(result.unwrap().result_types()[0].dtype, dtype);
        }
    }
    refused(
        DType::S32,
        |x| x + 0.5,
        "0.5 is not representable in s32; convert the tensor first, for example with convert(DType::F32)",
    );
    refused(DType::S32, |x| 0.5 * x, "0.5 is not representable in s32");
    refused(DType::S32, |x| x.gt(0.5), "0.5 is not representable in s32");
    refused(DType::S32, |x| x.clamp(0.0, 0.5), "0.5 is not representable in s32");
    refused(DType::Pred, |x| x.mul(2.0), "2 is not representable in pred");
    gives(DType::S32, &[7.0, -7.0], |x| x * 3.0 - 1.0, (DType::S32, &[20.0, -22.0]));
    gives(DType::BF16, &[1.0, 2.0], |x| x + 0.3, (DType::BF16, &[1.296_875, 2.296_875]));
}

#[test]
fn arithmetic_with_a_number_does_not_wrap() {
    refused(DType::U8, |x| x - 2.0, "u8[2] may range from -2 to 253 here, which overflows u8");
    refused(DType::U8, |x| 2.0 - x, "-253 to 2");
    refused(DType::U8, |x| x + 1.0, "1 to 256");
    refused(DType::S8, |x| x * 2.0, "-256 to 254");
    refused(DType::U32, |x| x - 1.0, "overflows u32");
    // If the operand's known range rules an overflow out, nothing is refused.
    gives(DType::U8, &[200.0, 3.0], |x| x.minimum(100.0) * 2.0, (DType::U8, &[200.0, 6.0]));
    gives(DType::F32, &[2.0, 0.0], |x| x.gt(1.0).convert(DType::S8) - 1.0, (DType::S8, &[0.0, -1.0]));
    // Hashes require 32-bit wrapping.
    gives(DType::U32, &[4_294_967_295.0, 0.0], |x| x + 1.0, (DType::U32, &[0.0, 1.0]));
}

#[test]
fn sums_and_means_have_room() {
    let all: [(DType, DType, f64); 5] = [
        (DType::S8, DType::S32, 127.0),
        (DType::S16, DType::S32, 32_767.0),
        (DType::U8, DType::U32, 255.0),
        (DType::U16, DType::U32, 65_535.0),
        (DType::Pred, DType::S32, 1.0),
    ];
    for (narrow, wide, largest) in all {
        let x = Array::from_f64(TensorType::new(narrow, [2, 300]), &[largest; 600]).unwrap();
        let window = spiq_hlo::Window::new([1, 300]);
        let out = evaluate(&[&x], |x| {
            vec![
                x[0].reduce_sum([1]),
                x[0].sum(),
                x[0].reduce_window_sum(&window),
                x[0].reduce_mean([1]),
                x[0].mean(),
                x[0].slice_axis(1, 0, 2).reduce_product([1]),
            ]
        });
        for (i, wanted) in [300.0 * largest, 600.0 * largest, 300.0 * largest].into_iter().enumerate() {
            assert_eq!((out[i].dtype(), out[i].to_f64()[0]), (wide, wanted), "{narrow}");
        }
        for mean in &out[3..5] {
            assert_eq!((mean.dtype(), mean.to_f64()[0]), (DType::F32, largest), "{narrow}");
        }
        // 65 535² is the one product that 32 bits cannot hold, as in JAX.
        let product = if narrow == DType::U16 { 4_294_836_225.0 } else { largest * largest };
        assert_eq!((out[5].dtype(), out[5].to_f64()[0]), (wide, product), "{narrow}");
    }
    gives(DType::S32, &[1.0, 2.0], Tensor::mean, (DType::F32, &[1.5]));
}

#[test]
fn sums_of_products_name_their_type() {
    refused(DType::S8, |x| x.dot(x), "sums of products of s8[2] and s8[2] may overflow s8");
    refused(DType::U8, |x| spiq::einsum("i,i->", x, x), "specify the type of the sums");
    gives(DType::S32, &[3.0, 4.0], |x| x.dot(x), (DType::S32, &[25.0]));
    refused(DType::U8, |x| x.graph().iota(TensorType::new(DType::U8, [300]), 0), "u8 cannot represent the index 299");
}

fn int8(backward: bool, method: &str) -> RuleConfig {
    RuleConfig {
        weight_qtype: Some("int8".to_owned()),
        act_qtype: Some("int8".to_owned()),
        act_calibration_method: Some(method.to_owned()),
        bwd_qtype: backward.then(|| "int8".to_owned()),
        ..RuleConfig::default()
    }
}

fn ones(dims: &[usize]) -> Array {
    Array::new(dims, vec![1f32; dims.iter().product()]).unwrap()
}

fn convolution(x: &Tensor, w: &Tensor) -> Tensor {
    x.convolution(w, &Convolution::new(ConvDims::features_last(x.rank()), DType::F32))
}

type Product = fn(&Tensor, &Tensor) -> Tensor;

/// The quantized product of ones, and its gradients for a cotangent of ones: result, dx, dw.
fn products(product: Product, dims: [&[usize]; 2], rule: &RuleConfig, mode: Mode, numerics: Numerics) -> Vec<f64> {
    let operands = dims.map(ones);
    let inputs: Vec<_> = ["x", "w"].into_iter().zip(operands.iter().map(|a| a.ty().clone())).collect();
    let plain = trace(&inputs, |a| vec![product(&a[0], &a[1])]).unwrap();
    let rules = Rules::new(std::slice::from_ref(rule)).unwrap();
    let quantized = quantize(&plain, &rules, mode, numerics, |name| name == "w").unwrap().function;
    let all = trace(&inputs, |a| {
        let y = quantized.call(a[0].graph(), a);
        if mode == Mode::Ptq {
            return y;
        }
        let ct = y[0].full_like(1.0);
        let gradients = vjp(&y, &[Some(ct)], a);
        [y, gradients].concat()
    })
    .unwrap();
    execute(&all, &operands.each_ref()).iter().map(|result| result.to_f64()[0]).collect()
}

/// 127 · 127 · K exceeds s32 from K = 133 145 on.
const WIDE: usize = 134_000;

#[track_caller]
fn about(got: f64, wanted: f64) {
    assert!((got / wanted - 1.0).abs() < 0.01, "{got}, not {wanted}");
}

#[test]
fn sums_of_many_integer_products_are_right() {
    let wide = WIDE as f64;
    for (mode, method) in [(Mode::Qat, "absmax"), (Mode::Ptq, "absmax"), (Mode::Ptq, "minmax"), (Mode::Qat, "minmax")] {
        let rule = int8(false, method);
        let dot = products(Tensor::dot, [&[1, WIDE], &[WIDE, 1]], &rule, mode, Numerics::Exact);
        about(dot[0], wide);
        let conv = products(convolution, [&[1, 1, WIDE / 2], &[1, WIDE / 2, 1]], &rule, mode, Numerics::Exact);
        about(conv[0], wide / 2.0);
        let conv = products(convolution, [&[1, 2, WIDE / 2], &[2, WIDE / 2, 1]], &rule, mode, Numerics::Exact);
        about(conv[0], wide);
    }
    // qwix 0.1.8 on JAX wraps to this number, and so do its numerics here.
    let rule = int8(false, "absmax");
    let wrapped = products(Tensor::dot, [&[1, WIDE], &[WIDE, 1]], &rule, Mode::Ptq, Numerics::Qwix)[0];
    assert!((wrapped + 131_253.0).abs() < 1.0, "{wrapped}");
}

#[test]
fn gradients_sum_over_many_too() {
    let (wide, rule) = (WIDE as f64, int8(true, "absmax"));
    let dot = products(Tensor::dot, [&[WIDE, 1], &[1, 1]], &rule, Mode::Qat, Numerics::Exact);
    about(dot[2], wide);
    let dot = products(Tensor::dot, [&[1, 1], &[1, WIDE]], &rule, Mode::Qat, Numerics::Exact);
    about(dot[1], wide);
    // 200 images of 30 x 30, and that many features.
    let conv = products(convolution, [&[200, 30, 30, 1], &[1, 1, 1, 1]], &rule, Mode::Qat, Numerics::Exact);
    about(conv[2], 180_000.0);
    let conv = products(convolution, [&[1, 1, 1], &[1, 1, WIDE]], &rule, Mode::Qat, Numerics::Exact);
    about(conv[1], wide);
}

/// Spikes and counts have a proven range, which allows many more of them.
#[test]
fn a_window_that_no_part_fits_is_refused() {
    let inputs =
        [("x", TensorType::new(DType::F32, [1, 400, 400, 1])), ("w", TensorType::new(DType::F32, [400, 400, 1, 1]))];
    let rules = Rules::new(&[int8(false, "absmax")]).unwrap();
    let plain = trace(&inputs, |a| vec![convolution(&a[0], &a[1])]).unwrap();
    let error = quantize(&plain, &rules, Mode::Ptq, Numerics::Exact, |name| name == "w").expect_err("too many");
    let text = error.to_string();
    assert!(
        text.contains("sums of 160000 products of these integers may overflow s32, which is safe for 131071"),
        "{text}"
    );
    let spikes = trace(&inputs, |a| vec![convolution(&a[0].gt(0.5).convert(DType::F32), &a[1])]).unwrap();
    let quantized = quantize(&spikes, &rules, Mode::Ptq, Numerics::Exact, |name| name == "w").unwrap().function;
    about(execute(&quantized, &[&ones(&[1, 400, 400, 1]), &ones(&[400, 400, 1, 1])])[0].to_f64()[0], 160_000.0);
}
