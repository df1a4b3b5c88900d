//! This library's kernels compared with XLA's own code: loops of neurons over time, forward and backward, with every surrogate;
//! products with spikes.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::device::cpu;
use spiq::nn::{
    self, AdLif, Alif, Axes, Brf, CAdLif, CSiLif, CuBaLif, Fires, If, Layer, Li, Lif, RCuBaLif, Reset, Rf, RfSsm, Rlif,
    SeAdLif, Sequential, SiLif, Surrogate,
};
use spiq::pjrt::{Client, CompileOptions, Input};
use spiq::random::{Key, Rngs};
use spiq::{Array, DType, DotDims, Function, Program, Tensor, TensorType, scan, trace, vjp, vmap};

/// The names of the two kernels in a program.
const LOOP: &str = "spiq_elementwise_scan";
const PRODUCT: &str = "spiq_masked_product";

pub(super) fn f32(dims: &[usize]) -> TensorType {
    TensorType::new(DType::F32, dims)
}

pub(super) fn random(seed: i64, ty: &TensorType, low: f32, high: f32) -> Array {
    Array::new(ty.dims.clone(), Key::new(seed).uniform(ty.count(), low, high)).expect("as many values as elements")
}

/// The number of calls of a kernel in the program.
pub(super) fn calls(client: &Client, function: &Function, kernel: &str) -> usize {
    Program::named("kernel").text_for(client, function).unwrap().matches(kernel).count()
}

fn run(client: &Client, program: &Program, function: &Function, inputs: &[Array]) -> Vec<Array> {
    let program = Program { options: CompileOptions { cache: false, ..program.options.clone() }, ..program.clone() };
    let buffers: Vec<_> = inputs.iter().map(|array| client.to_device(array).unwrap()).collect();
    let outputs =
        program.compile(client, function).unwrap().execute(buffers.iter().map(Input::Borrow).collect()).unwrap();
    outputs.iter().map(|buffer| buffer.to_array().unwrap()).collect()
}

/// Runs the function with kernels and without, and checks that results differ by at most `tolerance` of the largest.
#[track_caller]
fn check(function: &Function, inputs: &[Array], kernels: usize, tolerance: f64) {
    let client = cpu();
    assert_eq!(calls(client, function, LOOP), kernels, "loops in kernels");
    compare(client, function, inputs, tolerance);
}

/// The same for products with spikes.
#[track_caller]
fn check_products(function: &Function, inputs: &[Array], products: usize, tolerance: f64) {
    let client = cpu();
    assert_eq!(calls(client, function, PRODUCT), products, "products with spikes in kernels");
    compare(client, function, inputs, tolerance);
}

#[track_caller]
pub(super) fn compare(client: &Client, function: &Function, inputs: &[Array], tolerance: f64) {
    let ours = run(client, &Program::named("kernel"), function, inputs);
    let theirs = run(client, &Program { without_kernels: true, ..Program::named("plain") }, function, inputs);
    for (i, (a, b)) in ours.iter().zip(&theirs).enumerate() {
        let (a, b) = (a.to_f64(), b.to_f64());
        let largest = b.iter().fold(0.0f64, |m, x| m.max(x.abs()));
        let off = a.iter().zip(&b).fold(0.0f64, |m, (a, b)| m.max((a - b).abs()));
        assert!(off <= tolerance * largest, "result {i} differs by {off:e}, the largest is {largest:e}");
        assert!(largest > 0.0, "result {i} is zero everywhere");
    }
}

/// One layer over time: outputs, and gradients of input and parameters for random cotangents.
fn gradient(layer: Box<dyn Layer>, dims: [usize; 3]) -> (Function, Vec<Array>) {
    let model = Sequential::new("core", [layer]);
    let params = model.init(&mut Rngs::new(1));
    let types: BTreeMap<String, TensorType> = model.parameter_types();
    let mut inputs: Vec<(&str, TensorType)> = types.iter().map(|(path, ty)| (path.as_str(), ty.clone())).collect();
    inputs.extend([("x", f32(&dims)), ("ct", f32(&dims))]);
    let function = trace(&inputs, |values| {
        let (given, ct) = (&values[..values.len() - 1], &values[values.len() - 1]);
        let params = types.keys().cloned().zip(given.iter().cloned()).collect();
        let traces = nn::run(&model, &params, &given[given.len() - 1].named("T B C")).0.into_tensor();
        let grads = vjp(std::slice::from_ref(&traces), &[Some(ct.clone())], given);
        [vec![traces], grads].concat()
    });
    let x = random(2, &f32(&dims), -0.5, 1.5);
    let ct = random(3, &f32(&dims), -1.0, 1.0);
    (function.unwrap(), params.into_values().chain([x, ct]).collect())
}

/// Wide enough for two threads, and not a multiple of any block or vector width.
const WIDE: [usize; 3] = [20, 37, 131];
const NARROW: [usize; 3] = [9, 2, 5];

#[test]
fn neurons_give_the_same_bits_forward_and_backward() {
    for dims in [NARROW, WIDE] {
        let h = dims[2];
        let triangular = Surrogate::triangular;
        let layers: Vec<Box<dyn Layer>> = vec![
            Lif { activation: triangular(), ..Lif::new([h]) }.into(),
            Lif { activation: triangular(), beta: Some(0.7), threshold: 0.8, ..Lif::new([h]) }.into(),
            If { activation: triangular(), ..If::new([h]) }.into(),
            Li::new([h]).into(),
            CuBaLif { activation: triangular(), ..CuBaLif::new([h]) }.into(),
            Alif { activation: triangular(), ..Alif::new([h]) }.into(),
        ];
        for layer in layers {
            let kind = layer.kind();
            println!("{kind} {dims:?}");
            let (function, inputs) = gradient(layer, dims);
            // In ALIF's gradient, XLA fuses the other one of two products into their sum.
            check(&function, &inputs, 2, if kind == "ALIF" { 1e-6 } else { 0.0 });
        }
    }
}

/// Neurons from papers, and their options. Computations on parameters alone are hoisted out of the loop.
#[test]
fn neurons_of_papers_and_options_run_in_kernels() {
    for dims in [NARROW, WIDE] {
        let h = dims[2];
        let lif = || Lif { activation: Surrogate::triangular(), threshold: 0.4, ..Lif::new([h]) };
        let layers: Vec<Box<dyn Layer>> = vec![
            Lif { reset: Reset::Zero, detach_reset: true, fires: Fires::After, ..lif() }.into(),
            Lif { reset: Reset::None, learn_threshold: true, decay_input: true, ..lif() }.into(),
            Lif { refractory: Some(2), fires: Fires::After, ..lif() }.into(),
            AdLif { threshold: 0.05, ..AdLif::new([h]) }.into(),
            CAdLif { threshold: 0.05, ..CAdLif::new([h]) }.into(),
            SiLif { threshold: 0.05, ..SiLif::new([h]) }.into(),
            CSiLif { threshold: 0.4, ..CSiLif::new([h]) }.into(),
            SeAdLif { threshold: 0.05, ..SeAdLif::new([h]) }.into(),
            SeAdLif { threshold: 0.05, symplectic: false, ..SeAdLif::new([h]) }.into(),
            Rf { threshold: 0.005, ..Rf::new([h]) }.into(),
            Brf { threshold: 0.005, ..Brf::new([h]) }.into(),
            RfSsm { threshold: 0.4, ..RfSsm::new([h]) }.into(),
        ];
        for layer in layers {
            println!("{layer:?} {dims:?}");
            let (function, inputs) = gradient(layer, dims);
            check(&function, &inputs, 2, 1e-5);
        }
    }
}

#[test]
fn surrogates_agree() {
    let all = [
        Surrogate::tanh(),
        Surrogate::boxcar(),
        Surrogate::triangular(),
        Surrogate::arctan(),
        Surrogate::superspike(),
        Surrogate::atan(),
        Surrogate::slayer(),
        Surrogate::double_gaussian(),
        Surrogate::custom(|v| v.full_like(1.0)),
    ];
    for activation in all {
        println!("{activation:?}");
        let (function, inputs) = gradient(Lif { activation, ..Lif::new([WIDE[2]]) }.into(), WIDE);
        // Exponentials round differently, and sums of gradients propagate the difference.
        check(&function, &inputs, 2, 1e-6);
    }
}

/// Permuted carries, boolean operations, and every type that is read and written.
#[test]
fn all_types_and_places_are_the_same() {
    let dims = [11, 3, 50];
    let types = [("x", DType::F32), ("n", DType::S32), ("q", DType::S8), ("h", DType::BF16), ("m", DType::Pred)];
    let inputs: Vec<(&str, TensorType)> =
        types.iter().map(|(name, dtype)| (*name, TensorType::new(*dtype, dims))).collect();
    let function = trace(&inputs, |x| {
        let start = x[0].index_axis(0, 0);
        let init = (start.clone(), &start * 2.0, start.zeros_like());
        let (last, y) = scan(&init, &x.to_vec(), |(a, b, c): (Tensor, Tensor, Tensor), x: Vec<Tensor>| {
            let number = x[1].convert(DType::F32) * 0.25 + x[2].convert(DType::F32) - x[3].convert(DType::F32);
            let large = a.gt(&b).or(x[4].not()).xor(c.le(0.5)).and(number.ne(1.0));
            let rounded = (&number / 3.0).convert(DType::BF16);
            let next = large.select(&x[0].abs(), &(&c + rounded.convert(DType::F32))).clamp(-3.0, 3.0);
            let whole = (&number * 40.0).convert(DType::S8);
            let more = number.floor() + x[0].ceil() - number.sign() + x[0].abs().sqrt() + x[0].round_nearest_even();
            ((b, a, next.clone()), vec![large, rounded, whole, next, more.minimum(&c)])
        });
        [vec![last.0, last.1, last.2], y].concat()
    })
    .unwrap();
    let values = |(i, (_, ty)): (usize, &(&str, TensorType))| {
        let drawn = Key::new(i as i64).uniform(ty.count(), -4.0, 4.0);
        let fit = |x: f32| match ty.dtype {
            DType::Pred => f64::from(u8::from(x > 0.0)),
            DType::F32 => f64::from(x),
            _ => f64::from(x.round()),
        };
        Array::from_f64(ty.clone(), &drawn.into_iter().map(fit).collect::<Vec<_>>()).unwrap()
    };
    let inputs: Vec<Array> = inputs.iter().enumerate().map(values).collect();
    check(&function, &inputs, 1, 0.0);
}

/// A conversion after a loop is fused into it; the unused f32 outputs are not written.
#[test]
fn spikes_are_written_as_they_are_read() {
    let dims = [12, 4, 33];
    let function = trace(&[("x", f32(&dims))], |x| {
        let start = x[0].index_axis(0, 0).zeros_like();
        let step = |v: Tensor, x: Tensor| {
            let fired = v.gt(1.0).convert(DType::F32);
            (&v * 0.5 + x - &fired, fired)
        };
        let (_, spikes) = scan(&start, &x[0], step);
        vec![spikes.convert(DType::S8), spikes.reshape(&[48, 33]).convert(DType::S8), spikes.convert(DType::BF16)]
    })
    .unwrap();
    let text = Program::named("kernel").text_for(cpu(), &function).unwrap();
    assert!(!text.contains("stablehlo.convert"), "{text}");
    assert!(!text.contains("tensor<12x4x33xf32>) -> (tensor<4x33xf32>, tensor<12x4x33xf32>"), "{text}");
    check(&function, &[random(5, &f32(&dims), 0.0, 1.5)], 1, 0.0);
}

/// Operations that are not elementwise, or not in f32, stay with XLA.
#[test]
fn other_loops_are_left_alone() {
    let recurrent = |x: &[Tensor]| {
        let start = x[0].index_axis(0, 0);
        vec![scan(&start, &x[0], |v: Tensor, x: Tensor| (v.dot(&v) * 0.1 + &x, v)).1]
    };
    let function = trace(&[("x", f32(&[4, 3, 3]))], recurrent).unwrap();
    check(&function, &[random(1, &f32(&[4, 3, 3]), 0.0, 1.0)], 0, 0.0);
    let wide = |x: &[Tensor]| vec![scan(&x[0].index_axis(0, 0), &x[0], |v: Tensor, x: Tensor| (v * 0.5 + &x, x)).0];
    let function = trace(&[("x", TensorType::new(DType::F64, [4, 3]))], wide).unwrap();
    assert_eq!(calls(cpu(), &function, LOOP), 0);
}

/// A compiled program that calls a kernel is cached and found like any other.
#[test]
fn a_program_with_a_kernel_is_serialized() {
    let client = cpu();
    let (function, inputs) = gradient(Lif::new([5]).into(), NARROW);
    // Compiled from source: the plugin cannot serialize a deserialized program.
    let options = CompileOptions { cache: false, ..CompileOptions::default() };
    let program = Program { options, ..Program::named("kept") }.compile(client, &function).unwrap();
    let again = client.deserialize(&program.serialize().unwrap()).unwrap();
    let results = |program: &spiq::pjrt::Executable| -> Vec<Array> {
        let buffers: Vec<_> = inputs.iter().map(|array| client.to_device(array).unwrap()).collect();
        let outputs = program.execute(buffers.iter().map(Input::Borrow).collect()).unwrap();
        outputs.iter().map(|buffer| buffer.to_array().unwrap()).collect()
    };
    assert_eq!(results(&again), results(&program));
}

/// Spikes with this probability as f32 zeros and ones, which a comparison in the function proves to be binary.
pub(super) fn spikes(seed: i64, ty: &TensorType, rate: f32) -> Array {
    let drawn = Key::new(seed).uniform(ty.count(), 0.0, 1.0);
    Array::new(ty.dims.clone(), drawn.into_iter().map(|x| f32::from(u8::from(x < rate))).collect::<Vec<_>>()).unwrap()
}

/// Whole numbers of a type; for s8, over its full range.
pub(super) fn whole(seed: i64, ty: &TensorType) -> Array {
    let values: Vec<f64> = Key::new(seed).bits8(ty.count()).into_iter().map(|byte| f64::from(byte as i8)).collect();
    Array::from_f64(ty.clone(), &values).unwrap()
}

/// Widths for all the parts of a row sum, rates from silence to all spikes, and sums beyond 16 bits.
#[test]
fn products_with_spikes_are_sums() {
    let (rows, columns) = (300, 70);
    for (width, rate) in [(1, 0.3), (20, 0.0), (20, 0.1), (131, 1.0), (300, 0.02)] {
        for (dtype, sum) in [(DType::S8, DType::S32), (DType::F32, DType::F32), (DType::BF16, DType::F32)] {
            let (forward, backward) = (TensorType::new(dtype, [columns, width]), TensorType::new(dtype, [rows, width]));
            let inputs = [("s", f32(&[rows, columns])), ("w", forward.clone()), ("y", backward.clone())];
            let function = trace(&inputs, |x| {
                let spikes = x[0].ne(0.0).convert(dtype);
                let over_rows = DotDims { lhs_contract: vec![0], rhs_contract: vec![0], ..DotDims::default() };
                let products =
                    [spikes.dot_general(&x[1], &DotDims::matmul(2), sum), spikes.dot_general(&x[2], &over_rows, sum)];
                // Plus one, so that elements without spikes are also checked.
                products.map(|product| product + 1.0).to_vec()
            })
            .unwrap();
            println!("{dtype} width {width} rate {rate}");
            let values = [spikes(1, &f32(&[rows, columns]), rate), whole(2, &forward), whole(3, &backward)];
            // Sums of whole numbers are also exact in f32.
            check_products(&function, &values, 2, 0.0);
        }
    }
    // Every sum is the minimum: 300 times -128.
    let inputs = [("s", f32(&[2, 300])), ("w", TensorType::new(DType::S8, [300, 130]))];
    let function =
        trace(&inputs, |x| vec![x[0].ne(0.0).convert(DType::S8).dot_general(&x[1], &DotDims::matmul(2), DType::S32)]);
    let all = Array::from_f64(inputs[1].1.clone(), &[-128.0; 39000]).unwrap();
    check_products(&function.unwrap(), &[spikes(1, &inputs[0].1, 1.0), all], 1, 0.0);
}

/// Sums of fractions are rounded in a different order.
#[test]
fn sums_of_fractions_are_close() {
    let inputs = [("s", f32(&[12, 25, 64])), ("w", f32(&[64, 48])), ("y", f32(&[12, 25, 48]))];
    let function = trace(&inputs, |x| {
        let spikes = x[0].ne(0.0).convert(DType::F32);
        let both = DotDims { lhs_contract: vec![0, 1], rhs_contract: vec![0, 1], ..DotDims::default() };
        vec![spikes.dot(&x[1]), spikes.dot_general(&x[2], &both, DType::F32)]
    });
    let values = [spikes(1, &inputs[0].1, 0.2), random(2, &inputs[1].1, -1.0, 1.0), random(3, &inputs[2].1, -1.0, 1.0)];
    check_products(&function.unwrap(), &values, 2, 1e-6);
}

/// Products read spikes as bytes, in the forward pass and for weight gradients: nothing is converted for a kernel, and without kernels
/// the results are bit-identical to those of converted spikes.
#[test]
fn spikes_are_read_as_bytes() {
    for (dtype, bytes) in
        [(DType::F32, false), (DType::F32, true), (DType::BF16, false), (DType::BF16, true), (DType::S8, false)]
    {
        let out = if dtype == DType::S8 { DType::S32 } else { DType::F32 };
        let types = [
            ("s", TensorType::new(DType::Pred, [6, 7, 9])),
            ("w", TensorType::new(dtype, [9, 17])),
            ("y", TensorType::new(dtype, [42, 17])),
        ];
        let products = |spikes: &Tensor, x: &[Tensor]| {
            let spikes = spikes.reshape(&[42, 9]);
            let gradient = DotDims { lhs_contract: vec![0], rhs_contract: vec![0], ..DotDims::default() };
            let sums = spikes.dot_general(&x[1], &DotDims::matmul(2), out);
            vec![sums, spikes.dot_general(&x[2], &gradient, out)]
        };
        let kept = |x: &Tensor| if bytes { x.convert(DType::S8).optimization_barrier() } else { x.clone() };
        let function = trace(&types, |x| products(&kept(&x[0]), x)).unwrap();
        let text = Program::named("kernel").text_for(cpu(), &function).unwrap();
        assert_eq!(text.matches("stablehlo.convert").count(), usize::from(bytes), "{text}");
        assert_eq!(text.matches(PRODUCT).count(), 2);
        let converted = trace(&types, |x| products(&x[0].convert(dtype), x)).unwrap();
        let drawn = Array::from_f64(types[0].1.clone(), &spikes(1, &types[0].1, 0.3).to_f64()).unwrap();
        let values = [drawn, whole(2, &types[1].1), whole(3, &types[2].1)];
        let plain = Program { without_kernels: true, ..Program::named("plain") };
        let [ours, theirs] = [&function, &converted].map(|function| run(cpu(), &plain, function, &values));
        assert_eq!(ours, theirs, "{dtype} bytes {bytes}");
        compare(cpu(), &function, &values, 0.0);
    }
}

/// A loop writes the bytes itself, also where its spikes become bf16 before.
#[test]
fn a_loop_writes_spikes_as_bytes() {
    for dtype in [DType::F32, DType::BF16] {
        let types = [("x", f32(&[6, 4, 16])), ("w", TensorType::new(dtype, [16, 8]))];
        let function = trace(&types, |x| {
            let start = x[0].graph().zeros(f32(&[4, 16]));
            let step = |v: Tensor, row: Tensor| {
                let spikes = v.gt(1.0).convert(DType::F32);
                (&v * 0.5 + row - &spikes, spikes)
            };
            let spikes = scan(&start, &x[0], step).1.convert(dtype).reshape(&[24, 16]);
            vec![spikes.dot_general(&x[1], &DotDims::matmul(2), DType::F32)]
        });
        let text = Program::named("kernel").text_for(cpu(), &function.unwrap()).unwrap();
        assert_eq!((text.matches("stablehlo.convert").count(), text.matches(PRODUCT).count()), (0, 1), "{text}");
    }
}

/// Products stay unchanged if the operand may have values other than 0 and 1, pairs other axes, or has its spikes on the right.
#[test]
fn other_products_are_left_alone() {
    let inputs = [("x", f32(&[5, 5])), ("w", f32(&[5, 5])), ("b", f32(&[3, 5, 5]))];
    let function = trace(&inputs, |x| {
        let spikes = x[0].ne(0.0).convert(DType::F32);
        let pairs = DotDims { lhs_batch: vec![0], rhs_batch: vec![0], lhs_contract: vec![2], rhs_contract: vec![1] };
        let many = x[2].ne(0.0).convert(DType::F32).dot_general(&x[2], &pairs, DType::F32);
        vec![x[0].dot(&x[1]), (&spikes + &spikes).dot(&x[1]), x[1].dot(&spikes), many]
    });
    assert_eq!(calls(cpu(), &function.unwrap(), PRODUCT), 0);
}

/// Spikes of a step, or of the one before, reach the other neurons of their row inside the loop: rows of all widths, in each element type; not
/// if the product is of something else.
#[test]
fn a_recurrent_product_is_computed_in_the_loop() {
    for [batch, width] in [[4, 33], [37, 131], [2, 1030], [64, 16]] {
        for (dtype, sum) in [(DType::S8, DType::S32), (DType::F32, DType::F32), (DType::BF16, DType::F32)] {
            for carried in [false, true] {
                let weights = TensorType::new(dtype, [width, width]);
                let inputs = [("x", f32(&[7, batch, width])), ("w", weights.clone())];
                let function = trace(&inputs, |x| {
                    let start = x[0].index_axis(0, 0).zeros_like();
                    let step = |(v, before): (Tensor, Tensor), row: Tensor| {
                        let fired = v.gt(1.0).convert(DType::F32);
                        let s = if carried { &before } else { &fired };
                        let sums = s.convert(dtype).dot_general(&x[1], &DotDims::matmul(2), sum).convert(DType::F32);
                        let v = &v * 0.5 + row + sums * 0.0625 - s;
                        ((v.clone(), fired), v)
                    };
                    vec![scan(&(start.clone(), start), &x[0], step).1]
                })
                .expect("a trace");
                println!("{dtype} [{batch}, {width}], carried: {carried}");
                let values = [random(1, &inputs[0].1, -0.5, 2.5), whole(2, &weights)];
                let text = Program::named("kernel").text_for(cpu(), &function).expect("a text");
                assert!(text.contains("products = array<i64: 1,"), "{text}");
                check_products(&function, &values, 0, 1e-6);
            }
        }
    }
    let types = [("x", f32(&[7, 4, 33])), ("w", f32(&[33, 33]))];
    let of_potentials = trace(&types, |x| {
        let step = |v: Tensor, row: Tensor| (&v * 0.5 + row + v.gt(1.0).convert(DType::F32) + v.dot(&x[1]), v);
        vec![scan(&x[0].index_axis(0, 0).zeros_like(), &x[0], step).1]
    });
    let values = [random(1, &types[0].1, -0.5, 2.5), random(2, &types[1].1, -0.1, 0.1)];
    check(&of_potentials.expect("a trace"), &values, 0, 1e-5);
}

/// Neurons that reach each other: forward and backward pass are one kernel each, and the gradient of their matrix is one product.
#[test]
fn recurrent_neurons_are_kernels_forward_and_backward() {
    for activation in [Surrogate::triangular(), Surrogate::boxcar(), Surrogate::superspike()] {
        for dims in [NARROW, WIDE] {
            let layers: [Box<dyn Layer>; 2] = [
                Rlif { activation: activation.clone(), ..Rlif::new([dims[2]]) }.into(),
                RCuBaLif { activation: activation.clone(), ..RCuBaLif::new([dims[2]]) }.into(),
            ];
            for layer in layers {
                println!("{} {activation:?} {dims:?}", layer.kind());
                let (function, inputs) = gradient(layer, dims);
                let text = Program::named("kernel").text_for(cpu(), &function).expect("a text");
                assert!(!text.contains("stablehlo.while") && !text.contains("stablehlo.dot_general"), "{text}");
                assert_eq!(text.matches(PRODUCT).count(), 1, "{text}");
                check(&function, &inputs, 2, 1e-4);
            }
        }
    }
}

/// The same for every other neuron with recurrent weights.
#[test]
fn all_neurons_with_recurrent_weights_are_kernels() {
    let (h, recurrent) = (NARROW[2], true);
    let activation = Surrogate::triangular;
    let layers: [Box<dyn Layer>; 11] = [
        Lif { recurrent, activation: activation(), refractory: Some(2), ..Lif::new([h]) }.into(),
        If { recurrent, activation: activation(), ..If::new([h]) }.into(),
        Alif { recurrent, activation: activation(), ..Alif::new([h]) }.into(),
        AdLif { recurrent, threshold: 0.05, ..AdLif::new([h]) }.into(),
        CAdLif { recurrent, threshold: 0.05, ..CAdLif::new([h]) }.into(),
        SiLif { recurrent, threshold: 0.05, ..SiLif::new([h]) }.into(),
        CSiLif { recurrent, threshold: 0.4, ..CSiLif::new([h]) }.into(),
        SeAdLif { recurrent, threshold: 0.05, ..SeAdLif::new([h]) }.into(),
        Rf { recurrent, threshold: 0.005, ..Rf::new([h]) }.into(),
        Brf { recurrent, threshold: 0.005, ..Brf::new([h]) }.into(),
        RfSsm { recurrent, threshold: 0.4, ..RfSsm::new([h]) }.into(),
    ];
    for layer in layers {
        println!("{}", layer.kind());
        let (function, inputs) = gradient(layer, NARROW);
        let text = Program::named("kernel").text_for(cpu(), &function).expect("a text");
        assert!(!text.contains("stablehlo.while") && !text.contains("stablehlo.dot_general"), "{text}");
        check(&function, &inputs, 2, 1e-4);
    }
}

/// A backward loop whose state reaches its row through a matrix in each step, multiplied by a window that is 0 at times or never.
fn passed_back(dtype: DType, in_part: bool, [steps, batch, width]: [usize; 3]) -> (Function, [TensorType; 2]) {
    let types = [f32(&[steps, batch, width]), TensorType::new(dtype, [width, width])];
    let function = trace(&[("v", types[0].clone()), ("w", types[1].clone())], |x| {
        let dims = DotDims { lhs_contract: vec![1], rhs_contract: vec![1], ..DotDims::default() };
        let step = |s: Tensor, v: Tensor| {
            let window = if in_part { (1.0 - (&v * 2.0).abs()).maximum(0.0) } else { 1.0 / (&v * &v + 1.0) };
            let heard = s.convert(dtype).dot_general(&x[1], &dims, DType::F32);
            let next = (heard * 0.3 + &v) * window + &s * 0.5;
            (next.clone(), next)
        };
        vec![scan(&x[0].graph().zeros(f32(&[batch, width])), &x[0], step).1]
    });
    (function.expect("a trace"), types)
}

/// Products of what a step leaves: rows of all widths, everywhere or in part, with windows that need little and most.
#[test]
fn what_a_step_leaves_reaches_its_row_in_the_loop() {
    for shape in [[5, 3, 5], [7, 37, 131], [4, 2, 1030], [6, 64, 16]] {
        for (dtype, tolerance) in [(DType::F32, 1e-5), (DType::BF16, 2e-2)] {
            for in_part in [false, true] {
                let (function, types) = passed_back(dtype, in_part, shape);
                for reach in [5.0, 0.6] {
                    println!("{dtype} {shape:?} in part: {in_part} {reach}");
                    let near = 1.0 / (shape[2] as f32).sqrt();
                    let weights = narrow(random(3, &f32(&types[1].dims), -near, near), dtype);
                    // A sum on the border of two bf16 numbers is rounded to one or the other.
                    check(&function, &[random(1, &types[0], -reach, reach), weights], 1, tolerance);
                }
            }
        }
    }
}

/// Products read only by a loop are computed inside it, scaled and shifted: rows of all widths, on either side of a tile boundary, in
/// each element type, forward and backward in time.
#[test]
fn a_product_that_a_loop_reads_is_computed_in_it() {
    for [steps, batch, inputs, width] in [[9, 2, 5, 7], [6, 37, 70, 131], [3, 1, 40, 9000], [4, 3, 300, 3000]] {
        for (dtype, sum) in [(DType::S8, DType::S32), (DType::F32, DType::F32), (DType::BF16, DType::F32)] {
            let weights = TensorType::new(dtype, [inputs, width]);
            let types = [("s", f32(&[steps, batch, inputs])), ("w", weights.clone()), ("b", f32(&[width]))];
            let function = trace(&types, |x| {
                let spikes = x[0].ne(0.0).convert(dtype);
                let sums = spikes.dot_general(&x[1], &DotDims::matmul(3), sum).convert(DType::F32);
                let currents = sums * 0.25 + x[2].broadcast_in_dim(&[steps, batch, width], &[2]);
                let start = x[0].graph().zeros(f32(&[batch, width]));
                vec![scan(&start, &currents, |v: Tensor, row: Tensor| (&v * 0.5 + row, v)).1]
            })
            .unwrap();
            println!("{dtype} [{steps}, {batch}, {inputs}, {width}]");
            let values = [spikes(1, &types[0].1, 0.2), whole(2, &weights), random(3, &types[2].1, -1.0, 1.0)];
            let text = Program::named("kernel").text_for(cpu(), &function).unwrap();
            assert!(text.contains("products = array<i64: 0,"), "{text}");
            check_products(&function, &values, 0, 0.0);
        }
    }
}

/// A product with other readers is computed once and stored.
#[test]
fn a_product_that_is_read_elsewhere_stays_outside_of_the_loop() {
    let inputs = [("s", f32(&[5, 3, 8])), ("w", f32(&[8, 6]))];
    let function = trace(&inputs, |x| {
        let currents = x[0].ne(0.0).convert(DType::F32).dot(&x[1]);
        let start = x[0].graph().zeros(f32(&[3, 6]));
        let v = scan(&start, &currents, |v: Tensor, row: Tensor| (&v * 0.5 + row, v)).1;
        vec![v, currents]
    });
    let values = [spikes(1, &inputs[0].1, 0.2), whole(2, &inputs[1].1)];
    check_products(&function.unwrap(), &values, 1, 0.0);
}

/// A loop that is already a kernel call, mapped over an additional axis: the same program on more lanes, with time still leading.
#[test]
fn a_call_maps() {
    let client = cpu();
    let sums = |x: &Tensor| {
        let start = x.index_axis(0, 0);
        let (last, all) = scan(&start, x, |v: Tensor, row: Tensor| (&v * 0.5 + row, v));
        vec![last, all]
    };
    let plain = trace(&[("x", f32(&[7, 40]))], |x| sums(&x[0])).unwrap();
    let called = spiq_kernels::call_elementwise_scans(&plain).unwrap();
    let mapped = |function: &Function| {
        let over = |x: Tensor| function.call(x.graph(), std::slice::from_ref(&x));
        trace(&[("x", f32(&[5, 7, 40]))], |x| vmap(&x[0], over)).unwrap()
    };
    let (wide, wanted) = (mapped(&called), mapped(&plain));
    assert_eq!(calls(client, &wide, LOOP), 1);
    let x = random(3, &f32(&[5, 7, 40]), -1.0, 1.0);
    let without = Program { without_kernels: true, ..Program::named("plain") };
    let (got, wanted) = (
        run(client, &Program::named("kernel"), &wide, std::slice::from_ref(&x)),
        run(client, &without, &wanted, std::slice::from_ref(&x)),
    );
    assert_eq!(got, wanted);
}

/// The shortest of some runs of each program, in milliseconds, run in turn.
fn shortest(client: &Client, programs: [&Program; 2], function: &Function, inputs: &[Array]) -> [f64; 2] {
    let compiled = programs.map(|program| program.compile(client, function).unwrap());
    let buffers: Vec<_> = inputs.iter().map(|array| client.to_device(array).unwrap()).collect();
    let mut shortest = [f64::INFINITY; 2];
    for _ in 0..12 {
        for (program, shortest) in compiled.iter().zip(&mut shortest) {
            let start = Instant::now();
            let outputs = program.execute(buffers.iter().map(Input::Borrow).collect()).unwrap();
            outputs[0].to_array().unwrap();
            *shortest = shortest.min(start.elapsed().as_secs_f64() * 1e3);
        }
    }
    shortest
}

/// Kernels once were slower than XLA's products for a day, because a crate with little optimization had compiled their loops. The bound
/// is a third of the ratio on a quiet machine.
#[test]
fn a_product_with_spikes_is_faster_than_a_dense_one() {
    let inputs = [("s", f32(&[2048, 700])), ("w", TensorType::new(DType::S8, [700, 1024]))];
    let function = trace(&inputs, |x| {
        let sums = x[0].ne(0.0).convert(DType::S8).dot_general(&x[1], &DotDims::matmul(2), DType::S32);
        vec![sums.sum()]
    });
    let values = [spikes(1, &inputs[0].1, 0.1), whole(2, &inputs[1].1)];
    let plain = Program { without_kernels: true, ..Program::named("plain") };
    let [ours, theirs] = shortest(cpu(), [&Program::named("kernel"), &plain], &function.unwrap(), &values);
    println!("kernel {ours:.1} ms, XLA {theirs:.1} ms");
    assert!(ours * 1.5 < theirs, "kernel {ours:.1} ms, XLA {theirs:.1} ms");
}

/// A backward loop over `[steps, batch, width]` that multiplies a product of gradients `[steps, batch, inner]` and weights
/// `[width, inner]` by a rectified window of its own sequence.
fn windowed(dtype: DType, [steps, batch, inner, width]: [usize; 4]) -> (Function, [TensorType; 3]) {
    let types = [
        f32(&[steps, batch, width]),
        TensorType::new(dtype, [steps, batch, inner]),
        TensorType::new(dtype, [width, inner]),
    ];
    let inputs = [("v", types[0].clone()), ("g", types[1].clone()), ("w", types[2].clone())];
    let function = trace(&inputs, |x| {
        let dims = DotDims { lhs_contract: vec![2], rhs_contract: vec![1], ..DotDims::default() };
        let sums = x[1].dot_general(&x[2], &dims, DType::F32);
        let start = x[0].graph().zeros(f32(&[batch, width]));
        let rows = vec![x[0].clone(), sums];
        let step = |s: Tensor, row: Vec<Tensor>| {
            let window = (1.0 - (&row[0] * 2.0).abs()).maximum(0.0);
            let next = (&row[1] + &s * 0.5) * window + &s * 0.9;
            (next.clone(), next)
        };
        vec![scan(&start, &rows, step).1]
    });
    (function.unwrap(), types)
}

/// Products that a loop needs in part: for windows that need nothing, little, most and everything; rows that are no whole chunks of the
/// instruction set; blocks within a row and over several.
#[test]
fn a_product_is_computed_where_a_loop_needs_it() {
    for shape in [[40, 20, 5, 17], [4, 6, 70, 256], [3, 5, 64, 512], [5, 3, 33, 300], [4, 9, 100, 24], [3, 700, 20, 48]]
    {
        for dtype in [DType::F32, DType::BF16] {
            let (function, types) = windowed(dtype, shape);
            let text = Program::named("kernel").text_for(cpu(), &function).unwrap();
            assert!(!text.contains("stablehlo.dot_general"), "{text}");
            for reach in [5.0, 1.5, 0.6, 0.3] {
                println!("{dtype} {shape:?} {reach}");
                let values = [
                    random(1, &types[0], -reach, reach),
                    narrow(random(2, &f32(&types[1].dims), -1.0, 1.0), dtype),
                    narrow(random(3, &f32(&types[2].dims), -1.0, 1.0), dtype),
                ];
                compare(cpu(), &function, &values, 1e-5);
            }
        }
    }
}

/// The nearest values of an element type.
fn narrow(array: Array, dtype: DType) -> Array {
    Array::from_f64(array.ty().with_dtype(dtype), &array.to_f64()).unwrap()
}
