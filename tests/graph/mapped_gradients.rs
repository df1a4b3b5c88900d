//! Gradients of an operand shared by all slices of a `vmap`: the sum over slices is computed within the operation.

use crate::run::Program;
use spiq::{Array, DType, Tensor, TensorType, grad, trace, vmap};
use spiq_hlo::{Axes, ConvDims, Convolution, Function, custom_vjp};

/// Number of slices in each test.
const SLICES: usize = 3;

/// The gradient with respect to the kernel of all slices' convolutions, by a mapped reverse rule.
fn of_kernel(conv: &Convolution, slices: &[usize], kernel: &[usize]) -> Function {
    let types = [("x", slices), ("k", kernel)].map(|(name, dims)| (name, TensorType::new(DType::F32, dims)));
    let weighted = |y: &Tensor| (y * y.mul(0.5)).sum();
    let of_slice = |x: &Tensor, k: &Tensor| {
        let forward = |(x, k): &(Tensor, Tensor)| x.convolution(k, conv);
        let rule = |(x, k): &(Tensor, Tensor), _: &Tensor, ct: &Tensor| {
            (conv.input_cotangent(ct, x, k, DType::F32), conv.kernel_cotangent(ct, x, k, DType::F32))
        };
        custom_vjp("convolved", &(x.clone(), k.clone()), forward, rule)
    };
    let gradient = |x: &[Tensor]| grad(&x[1], |k| weighted(&vmap(&x[0], |x: Tensor| of_slice(&x, k))));
    trace(&types, |x| vec![gradient(x)]).expect("it traces")
}

/// The same gradient computed slice by slice.
fn slice_by_slice(conv: &Convolution, slices: &[usize], kernel: &[usize]) -> Function {
    let types = [("x", slices), ("k", kernel)].map(|(name, dims)| (name, TensorType::new(DType::F32, dims)));
    let slice = |x: &Tensor, i: usize| x.slice_axis(0, i, i + 1).reshape(&slices[1..]);
    let of = |x: &Tensor, i: usize, k: &Tensor| {
        let y = slice(x, i).convolution(k, conv);
        (&y * y.mul(0.5)).sum()
    };
    let loss = |x: &Tensor, k: &Tensor| (1..SLICES).fold(of(x, 0, k), |sum, i| sum + of(x, i, k));
    trace(&types, |x| vec![grad(&x[1], |k| loss(&x[0], k))]).expect("it traces")
}

/// Small whole numbers, whose sums are exact in any order.
fn numbers(dims: &[usize], seed: usize) -> Array {
    let count: usize = dims.iter().product();
    let values: Vec<f32> = (0..count).map(|i| ((i * 7 + seed * 5 + i / 3) % 9) as f32 - 4.0).collect();
    Array::new(dims, values).expect("as many as the shape has")
}

#[test]
fn a_convolutions_slices_are_added_up_in_one_convolution() {
    let odd = ConvDims {
        input: Axes { outer: 2, feature: 0, window: vec![1] },
        kernel: Axes { outer: 0, feature: 2, window: vec![1] },
        output: Axes { outer: 1, feature: 2, window: vec![0] },
    };
    let last = Convolution::new(ConvDims::features_last(3), DType::F32);
    let cases = [
        (Convolution { strides: vec![2], ..last.clone() }, vec![SLICES, 4, 9, 2], vec![3, 2, 5], true),
        (
            Convolution { padding: vec![(1, 2)], kernel_dilation: vec![2], ..last.clone() },
            vec![SLICES, 2, 7, 1],
            vec![3, 1, 2],
            true,
        ),
        (
            Convolution { strides: vec![2], ..Convolution::new(odd, DType::F32) },
            vec![SLICES, 3, 8, 2],
            vec![4, 3, 3],
            true,
        ),
        // A convolution with its own groups is not merged.
        (Convolution { groups: 2, ..last }, vec![SLICES, 2, 6, 4], vec![3, 2, 6], false),
    ];
    for (conv, slices, kernel, in_one) in cases {
        let function = of_kernel(&conv, &slices, &kernel);
        let groups = format!("feature_group_count = {} : i64", SLICES * conv.groups);
        let text = function
            .lower()
            .expect("it is lowered")
            .simplify()
            .stablehlo("gradient", &spiq_hlo::PrintOptions::default());
        assert_eq!(!text.contains(&groups), in_one, "{text}");
        let inputs = [numbers(&slices, 1), numbers(&kernel, 2)];
        let run = |function: &Function| {
            Program::unoptimized(function).and_then(|program| program.run(&inputs)).expect("it runs")
        };
        let wanted = run(&slice_by_slice(&conv, &slices, &kernel));
        assert_eq!(run(&function)[0].to_f64(), wanted[0].to_f64(), "{conv:?}");
        assert!(wanted[0].to_f64().iter().any(|value| *value != 0.0));
    }
}
