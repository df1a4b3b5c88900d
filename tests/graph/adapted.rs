//! Functions rewritten for compilers other than XLA's for CPUs compute the same.

use spiq::random::Key;
use spiq_hlo::{Array, ConvDims, Convolution, DType, Function, PrintOptions, TensorType, trace};

use crate::evaluate::execute;

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
        let rewritten = function.expect("maxima").with_maxima_of_magnitudes().expect("no errors");
        let got = execute(&rewritten, &[&x]);
        assert_eq!([got[0].to_f64(), got[1].to_f64()], [vec![3.0, 5.0], vec![3.0, 5.0, 4.0]]);
        let text = rewritten.stablehlo("maxima", &PrintOptions::default());
        assert_eq!(text.matches("stablehlo.abs").count(), 2, "outside the reductions only: {text}");
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
    // Sums of these fit f32, or only f64.
    for (dtype, most, features, name) in
        [(DType::S8, 127, 8, "bf16"), (DType::S8, 127, 512, "f64"), (DType::S32, 9000, 4, "f64")]
    {
        for (groups, strides) in [(1, [1, 1]), (2, [2, 1])] {
            let x = integers(dtype, &[4, 9, 7, features], most, 1);
            let kernel = integers(dtype, &[3, 3, features / groups, 6], most, 2);
            let whole = convolution(groups, strides, (&x, &kernel));
            let floats = whole.with_integer_convolutions_in_floats().expect("no errors");
            let text = floats.stablehlo("floats", &PrintOptions::default());
            if dtype == DType::S32 {
                assert!(!text.contains("f64"), "nothing is known of s32: {text}");
                continue;
            }
            assert!(text.contains(&format!("x{name}>, tensor<3x3x")), "{text}");
            // Plain sums: devices without this convolution run the test, too.
            assert_eq!(
                execute(&floats, &[&x, &kernel])[0],
                by_hand(&x, &kernel, groups, strides),
                "{name}, {groups} groups"
            );
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
