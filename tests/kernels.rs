//! Loops over time in kernels of this library against XLA's own: neurons forward and backward, with every surrogate.

use std::collections::BTreeMap;

use spiq::nn::{self, Alif, Axes, CuBaLif, If, Layer, Li, Lif, Sequential, Surrogate};
use spiq::pjrt::{Client, CompileOptions, Input};
use spiq::random::{Key, Rngs};
use spiq::{Array, DType, Function, Program, Tensor, TensorType, scan, trace, vjp};

fn client() -> Client {
    Client::cpu().expect("the processor's plugin")
}

fn f32(dims: &[usize]) -> TensorType {
    TensorType::new(DType::F32, dims)
}

fn random(seed: i64, ty: &TensorType, low: f32, high: f32) -> Array {
    Array::new(ty.dims.clone(), Key::new(seed).uniform(ty.count(), low, high)).expect("as many values as elements")
}

/// How often the program calls a kernel.
fn calls(client: &Client, function: &Function) -> usize {
    Program::named("kernel").text_for(client, function).unwrap().matches("spiq_elementwise_scan").count()
}

fn run(client: &Client, program: &Program, function: &Function, inputs: &[Array]) -> Vec<Array> {
    let program = Program { options: CompileOptions { cache: false, ..program.options.clone() }, ..program.clone() };
    let buffers: Vec<_> = inputs.iter().map(|array| client.to_device(array).unwrap()).collect();
    let outputs =
        program.compile(client, function).unwrap().execute(buffers.iter().map(Input::Borrow).collect()).unwrap();
    outputs.iter().map(|buffer| buffer.to_array().unwrap()).collect()
}

/// Runs the function with kernels and without, and wants results that differ by no more than `tolerance` of the largest.
#[track_caller]
fn check(function: &Function, inputs: &[Array], kernels: usize, tolerance: f64) {
    let client = client();
    assert_eq!(calls(&client, function), kernels, "calls of kernels");
    let ours = run(&client, &Program::named("kernel"), function, inputs);
    let theirs = run(&client, &Program { plain_loops: true, ..Program::named("plain") }, function, inputs);
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

/// Wide enough for two threads, and no multiple of any width of blocks or vectors.
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
            // XLA fuses another of two products into a sum of theirs in ALIF's gradient.
            check(&function, &inputs, 2, if kind == "ALIF" { 1e-6 } else { 0.0 });
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
        Surrogate::custom(|v| v.full_like(1.0)),
    ];
    for activation in all {
        println!("{activation:?}");
        let (function, inputs) = gradient(Lif { activation, ..Lif::new([WIDE[2]]) }.into(), WIDE);
        // An exponential is rounded in another way, and a sum of gradients carries that on.
        check(&function, &inputs, 2, 1e-6);
    }
}

/// Carries that change places, operations on booleans, and every type that is read and written.
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

/// A conversion behind a loop moves into it; the f32 that nobody reads then are not written.
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
    let text = Program::named("kernel").text_for(&client(), &function).unwrap();
    assert!(!text.contains("stablehlo.convert"), "{text}");
    assert!(!text.contains("tensor<12x4x33xf32>) -> (tensor<4x33xf32>, tensor<12x4x33xf32>"), "{text}");
    check(&function, &[random(5, &f32(&dims), 0.0, 1.5)], 1, 0.0);
}

/// What is not elementwise, or not in f32, stays XLA's.
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
    assert_eq!(calls(&client(), &function), 0);
}

/// A compiled program that calls a kernel is kept and found again like any other.
#[test]
fn a_program_with_a_kernel_is_serialized() {
    let client = client();
    let (function, inputs) = gradient(Lif::new([5]).into(), NARROW);
    // Compiled anew: the plugin cannot serialize what it took from bytes.
    let options = CompileOptions { cache: false, ..CompileOptions::default() };
    let program = Program { options, ..Program::named("kept") }.compile(&client, &function).unwrap();
    let again = client.deserialize(&program.serialize().unwrap()).unwrap();
    let results = |program: &spiq::pjrt::Executable| -> Vec<Array> {
        let buffers: Vec<_> = inputs.iter().map(|array| client.to_device(array).unwrap()).collect();
        let outputs = program.execute(buffers.iter().map(Input::Borrow).collect()).unwrap();
        outputs.iter().map(|buffer| buffer.to_array().unwrap()).collect()
    };
    assert_eq!(results(&again), results(&program));
}
