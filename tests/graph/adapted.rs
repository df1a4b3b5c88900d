//! Programs rewritten for NVIDIA cards compute the same; here they run on the test device.

use spiq::compile::{Destination, Program, Stage};
use spiq::pjrt::{CompileOptions, Input, Platform};
use spiq::random::Key;
use spiq_hlo::{Array, ConvDims, Convolution, DType, DotDims, Function, TensorType, trace};

use crate::device::client;

/// The text for a card, without kernels, and its results.
fn on_a_card(function: &Function, inputs: &[&Array]) -> (String, Vec<Array>) {
    let program = Program::named("adapted");
    let destination = Destination::ahead(Platform::Cuda).without_kernels();
    let text = program.pipeline(function, destination).text(Stage::Stablehlo, false).expect("a text");
    let executable = client().compile(&text, &CompileOptions::default()).expect("a program");
    let inputs: Vec<_> = inputs.iter().map(|array| client().to_device(array).expect("a buffer")).collect();
    let outputs = executable.execute(inputs.iter().map(Input::Borrow).collect()).expect("a run");
    (text, outputs.iter().map(|output| output.to_array().expect("an array")).collect())
}

fn array(dtype: DType, dims: &[usize], values: &[f64]) -> Array {
    Array::from_f64(TensorType::new(dtype, dims), values).expect("a value for each element")
}

fn integers(dtype: DType, dims: &[usize], most: i32, seed: i64) -> Array {
    let values = Key::new(seed).randint::<i32>(dims.iter().product(), i128::from(-most), i128::from(most) + 1);
    array(dtype, dims, &values.into_iter().map(f64::from).collect::<Vec<_>>())
}

#[test]
fn a_largest_magnitude_may_be_that_of_the_first_element() {
    for dtype in [DType::S32, DType::F32] {
        let x = array(dtype, &[2, 3], &[-3.0, 1.0, -2.0, 0.0, -5.0, 4.0]);
        let function = trace(&[("x", x.ty().clone())], |x| vec![x[0].reduce_absmax([1]), x[0].reduce_absmax([0])]);
        let (text, got) = on_a_card(&function.expect("maxima"), &[&x]);
        assert_eq!([got[0].to_f64(), got[1].to_f64()], [vec![3.0, 5.0], vec![3.0, 5.0, 4.0]]);
        assert_eq!(text.matches("stablehlo.abs").count(), 1, "outside the reductions only: {text}");
    }
}

/// A convolution of images [4, 9, 7, features] with a window of 3 x 3.
fn convolution(groups: usize, strides: [usize; 2], (x, kernel): (&Array, &Array)) -> Function {
    let conv = Convolution {
        groups,
        strides: strides.to_vec(),
        padding: vec![(1, 1), (0, 2)],
        ..Convolution::new(ConvDims::features_last(4), DType::S32)
    };
    let inputs = [("x", x.ty().clone()), ("kernel", kernel.ty().clone())];
    trace(&inputs, |x| vec![x[0].convolution(&x[1], &conv)]).expect("a convolution")
}

#[test]
fn convolutions_of_integers_have_the_same_sums_in_floats() {
    // Sums of the first fit f32; those of the second only f64.
    for (features, name) in [(8, "bf16"), (512, "f64")] {
        for (groups, strides) in [(1, [1, 1]), (2, [2, 1])] {
            let x = integers(DType::S8, &[4, 9, 7, features], 127, 1);
            let kernel = integers(DType::S8, &[3, 3, features / groups, 6], 127, 2);
            let (text, got) = on_a_card(&convolution(groups, strides, (&x, &kernel)), &[&x, &kernel]);
            assert!(text.contains(&format!("x{name}>, tensor<3x3x")), "{text}");
            assert_eq!(got[0], by_hand(&x, &kernel, groups, strides), "{name}, {groups} groups");
        }
    }
}

fn by_hand(x: &Array, kernel: &Array, groups: usize, strides: [usize; 2]) -> Array {
    let (xs, ks) = (x.to_f64(), kernel.to_f64());
    let ([_, height, width, features], [_, _, inputs, outputs]) = (four(x), four(kernel));
    let (rows, columns) = ((height + 2 - 3) / strides[0] + 1, (width + 2 - 3) / strides[1] + 1);
    let mut sums = Vec::new();
    for n in 0..4 {
        for place in 0..rows * columns * outputs {
            let (row, column, output) = (place / outputs / columns, place / outputs % columns, place % outputs);
            let mut sum = 0.0;
            for tap in 0..9 * inputs {
                let (i, j, input) = (tap / inputs / 3, tap / inputs % 3, tap % inputs);
                let feature = output / (outputs / groups) * inputs + input;
                let (Some(y), z) = ((row * strides[0] + i).checked_sub(1), column * strides[1] + j) else { continue };
                if y < height && z < width {
                    sum += xs[((n * height + y) * width + z) * features + feature] * ks[tap * outputs + output];
                }
            }
            sums.push(sum);
        }
    }
    array(DType::S32, &[4, rows, columns, outputs], &sums)
}

fn four(array: &Array) -> [usize; 4] {
    array.ty().dims[..].try_into().expect("four axes")
}

#[test]
fn small_quotients_are_correctly_rounded() {
    let numbers: Vec<f64> = Key::new(3).uniform(512, 1e-3, 1e3).into_iter().map(f64::from).collect();
    let special = [0.0, -0.0, 1.0, f64::INFINITY, f64::NAN, 1e38, -7.5, f64::from(f32::MIN_POSITIVE)];
    let values: Vec<f64> = numbers.into_iter().chain(special).collect();
    let turned: Vec<f64> = values.iter().rev().copied().collect();
    let [a, b] = [&values, &turned].map(|values| array(DType::F32, &[values.len()], values));
    let inputs = [("a", a.ty().clone()), ("b", b.ty().clone())];
    let function = trace(&inputs, |x| vec![&x[0] / &x[1]]).expect("a quotient");
    let (text, got) = on_a_card(&function, &[&a, &b]);
    assert!(text.contains("f64"), "{text}");
    let floats = |array: &Array| array.to_vec::<f32>().expect("f32");
    for ((got, a), b) in floats(&got[0]).into_iter().zip(floats(&a)).zip(floats(&b)) {
        let want = a / b;
        // XLA's CPU compiler flushes results that are denormal.
        assert!(want.is_subnormal() || got == want || (got.is_nan() && want.is_nan()), "{a} / {b}: {got}, want {want}");
    }
}

#[test]
fn products_are_padded_to_rows_of_sixteen_bytes() {
    for (inner, padded) in [(70, Some(80)), (64, None), (20, None)] {
        let (a, b) = (integers(DType::S8, &[5, inner], 127, 4), integers(DType::S8, &[inner, 3], 127, 5));
        let inputs = [("a", a.ty().clone()), ("b", b.ty().clone())];
        let function = trace(&inputs, |x| vec![x[0].dot_general(&x[1], &DotDims::matmul(2), DType::S32)]);
        let (text, got) = on_a_card(&function.expect("a product"), &[&a, &b]);
        assert_eq!(text.contains("stablehlo.pad"), padded.is_some(), "{text}");
        assert!(text.contains(&format!("tensor<5x{}xi8>", padded.unwrap_or(inner))), "{text}");
        let (a, b) = (a.to_f64(), b.to_f64());
        let sum = |place: usize| (0..inner).map(|k| a[place / 3 * inner + k] * b[k * 3 + place % 3]).sum::<f64>();
        assert_eq!(got[0].to_f64(), (0..15).map(sum).collect::<Vec<_>>());
    }
}
