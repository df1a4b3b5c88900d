//! Convolutions and pooling of spikes in kernels, compared with XLA's own code.

use super::kernels::{calls, compare, f32, random, spikes, whole};
use crate::device::cpu;
use spiq::{ConvDims, Convolution, DType, Function, Program, TensorType, Window, scan, trace, vjp};

const CONVOLUTION: &str = "spiq_sparse_convolution";

/// A convolution of spikes with its gradients with respect to the spikes and the kernel, for a cotangent that a loop computes.
fn with_gradients(conv: &Convolution, x: &TensorType, k: &TensorType, y: &[usize]) -> Function {
    let inputs = [("x", f32(&x.dims)), ("k", k.clone()), ("ct", f32(y))];
    trace(&inputs, |t| {
        let spikes = t[0].ne(0.0).convert(DType::F32);
        let out = spikes.convolution(&t[1], conv);
        let start = t[2].index_axis(0, 0).zeros_like();
        let ct = scan(&start, &t[2], |sum, row| (&sum * 0.5 + row, sum)).1;
        let gradients = vjp(std::slice::from_ref(&out), &[Some(ct)], &[spikes, t[1].clone()]);
        [vec![out], gradients].concat()
    })
    .unwrap()
}

/// Strides, padding, dilation, one and two axes: whole numbers, whose sums are exact in f32.
#[test]
fn convolutions_of_spikes_and_their_gradients_are_sums() {
    let square = || Convolution::new(ConvDims::features_last(4), DType::F32);
    let (x, k) = (f32(&[5, 9, 11, 3]), f32(&[3, 2, 3, 12]));
    let cases = [
        ("plain", square()),
        ("same size", square().same_padding(&x.dims, &k.dims)),
        ("strides", Convolution { strides: vec![2, 3], padding: vec![(1, 0), (2, 2)], ..square() }),
        ("dilated", Convolution { kernel_dilation: vec![2, 3], ..square() }),
        ("cropped", Convolution { padding: vec![(-1, -2), (0, -1)], ..square() }),
    ];
    for (name, conv) in cases {
        println!("{name}");
        let shape = trace(&[("x", x.clone()), ("k", k.clone())], |t| vec![t[0].convolution(&t[1], &conv)]).unwrap();
        let y = shape.result_types().swap_remove(0);
        let function = with_gradients(&conv, &x, &k, &y.dims);
        assert_eq!(calls(cpu(), &function, CONVOLUTION), 3, "{name}");
        compare(cpu(), &function, &[spikes(1, &x, 0.2), whole(2, &k), whole(3, &y)], 0.0);
    }
    let (x, k) = (f32(&[4, 50, 2]), f32(&[7, 2, 5]));
    let row = Convolution { strides: vec![2], ..Convolution::new(ConvDims::features_last(3), DType::F32) };
    let function = with_gradients(&row, &x, &k, &[4, 22, 5]);
    assert_eq!(calls(cpu(), &function, CONVOLUTION), 3);
    compare(cpu(), &function, &[spikes(1, &x, 0.2), whole(2, &k), whole(3, &f32(&[4, 22, 5]))], 0.0);
}

/// Fractions are added in another order.
#[test]
fn sums_of_fractions_are_close() {
    let conv = Convolution::new(ConvDims::features_last(4), DType::F32);
    let (x, k, y) = (f32(&[6, 12, 12, 8]), f32(&[5, 5, 8, 16]), f32(&[6, 8, 8, 16]));
    let function = with_gradients(&conv, &x, &k, &y.dims);
    let inputs = [spikes(1, &x, 0.3), random(2, &k, -1.0, 1.0), random(3, &y, -1.0, 1.0)];
    compare(cpu(), &function, &inputs, 2e-6);
}

/// Integers exactly, and bf16 in f32.
#[test]
fn narrow_kernels_are_summed_as_wide_numbers() {
    for (dtype, out) in [(DType::S8, DType::S32), (DType::BF16, DType::F32)] {
        let (x, k) = (f32(&[3, 8, 8, 4]), TensorType::new(dtype, [3, 3, 4, 9]));
        let conv = Convolution::new(ConvDims::features_last(4), out);
        let function = trace(&[("x", x.clone()), ("k", k.clone())], |t| {
            vec![t[0].ne(0.0).convert(dtype).convolution(&t[1], &conv)]
        });
        let function = function.unwrap();
        assert_eq!(calls(cpu(), &function, CONVOLUTION), 1);
        compare(cpu(), &function, &[spikes(1, &x, 0.4), whole(2, &k)], 0.0);
    }
}

/// Other numbers than spikes and the gradients of neurons, groups of features, and three axes.
#[test]
fn other_convolutions_are_left_alone() {
    let (x, k) = (f32(&[2, 6, 6, 4]), f32(&[3, 3, 4, 4]));
    let conv = Convolution::new(ConvDims::features_last(4), DType::F32);
    let dense = trace(&[("x", x.clone()), ("k", k)], |t| vec![t[0].convolution(&t[1], &conv)]).unwrap();
    let types = [("x", x.clone()), ("k", f32(&[3, 3, 4, 4])), ("ct", f32(&[2, 4, 4, 4]))];
    let gradient = trace(&types, |t| {
        let out = t[0].convolution(&t[1], &conv);
        vjp(std::slice::from_ref(&out), &[Some(t[2].clone())], &t[..1])
    });
    let (apart, groups) = (f32(&[3, 3, 2, 4]), Convolution { groups: 2, ..conv.clone() });
    let grouped =
        trace(&[("x", x), ("k", apart)], |t| vec![t[0].ne(0.0).convert(DType::F32).convolution(&t[1], &groups)]);
    let (x, k) = (f32(&[2, 4, 4, 4, 2]), f32(&[2, 2, 2, 2, 3]));
    let conv = Convolution::new(ConvDims::features_last(5), DType::F32);
    let cubes = trace(&[("x", x), ("k", k)], |t| vec![t[0].ne(0.0).convert(DType::F32).convolution(&t[1], &conv)]);
    for function in [dense, gradient.unwrap(), grouped.unwrap(), cubes.unwrap()] {
        assert_eq!(calls(cpu(), &function, CONVOLUTION), 0);
    }
}

/// Pooled spikes between two convolutions, with the gradient of the first kernel: maxima are computed in bytes.
#[test]
fn spikes_are_pooled_in_bytes() {
    let conv = Convolution::new(ConvDims::features_last(4), DType::F32);
    // The gradient of overlapping windows also reads the maximum itself.
    for (name, in_numbers, window) in [
        ("side by side", 0, Window { strides: vec![1, 2, 2, 1], ..Window::new([1, 2, 2, 1]) }),
        ("overlapping", 1, Window { strides: vec![1, 2, 1, 1], ..Window::new([1, 3, 2, 1]) }),
    ] {
        println!("{name}");
        let (x, k) = (f32(&[3, 9, 11, 4]), f32(&[2, 2, 4, 5]));
        let function = trace(&[("x", x.clone()), ("k", k.clone())], |t| {
            let spikes = t[0].gt(0.5).convert(DType::F32);
            let out = spikes.reduce_window_max(&window).convolution(&t[1], &conv);
            let ct = &out * 0.5 + 1.0;
            let gradients = vjp(std::slice::from_ref(&out), &[Some(ct)], &[spikes, t[1].clone()]);
            [vec![out], gradients].concat()
        })
        .unwrap();
        let text = Program::named("kernel").text_for(cpu(), &function).unwrap();
        assert_eq!(text.matches("stablehlo.reduce_window").count(), in_numbers, "{name}");
        compare(cpu(), &function, &[random(1, &x, 0.0, 0.8), whole(2, &k)], 1e-6);
    }
}
