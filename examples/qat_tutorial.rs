//! Spyx's tutorial on quantization-aware training, in Rust: the same model, keys and data, with the same results.
//!
//! `cargo run --release --example qat_tutorial`

use spiq::prelude::*;
use spiq::trace_tree;

const T: usize = 16;
const BATCH: usize = 8;
const INPUTS: usize = 32;
const HIDDEN: usize = 64;
const CLASSES: usize = 10;

/// Parameters by path.
type Params<T = Tensor> = BTreeMap<String, T>;

/// A tiny spiking classifier: two layers of leaky neurons and a leaky readout.
fn classifier() -> Sequential {
    let lif = || Lif { activation: Surrogate::triangular(), ..Lif::new([HIDDEN]) };
    let linear = |inputs, outputs| Linear::new(inputs, outputs).without_bias();
    Sequential::new(
        "core",
        [
            linear(INPUTS, HIDDEN).into(),
            lif().into(),
            linear(HIDDEN, HIDDEN).into(),
            lif().into(),
            linear(HIDDEN, CLASSES).into(),
            Li::new([CLASSES]).into(),
        ],
    )
}

/// Spike trains [T, B, C] with a firing probability of 0.2 per step.
fn spikes(seed: i64) -> spiq::Result<Array> {
    let uniform = Key::new(seed).uniform(T * BATCH * INPUTS, 0.0, 1.0);
    let spikes: Vec<f32> = uniform.into_iter().map(|u| f32::from(u8::from(u < 0.2))).collect();
    Ok(Array::new([T, BATCH, INPUTS], spikes)?)
}

/// The forward pass: maps parameters and x [T, B, C] to traces [B, T, C].
fn forward(model: &Sequential) -> spiq::Result<Function> {
    let types = (model.parameter_types(), TensorType::new(DType::F32, [T, BATCH, INPUTS]));
    let (function, _) = trace_tree(&types, |(params, x): (Params, Tensor)| {
        let (traces, _) = nn::run(model, &params, &x.named("T B C"));
        traces.to_axes("B T C").into_tensor()
    })?;
    Ok(function)
}

/// The traces of a forward pass.
fn apply(forward: &Function, params: &Params, x: &Tensor) -> Tensor {
    forward.call(x.graph(), &(params.clone(), x.clone()).leaves()).swap_remove(0)
}

fn run(client: &Client, forward: &Function, params: &Params<Array>, x: &Array) -> spiq::Result<Array> {
    jit(client, |(params, x): (Params, Tensor)| apply(forward, &params, &x)).call(&(params.clone(), x.clone()))
}

/// Overfits one batch, to show that the quantized network trains; returns the loss of each step.
fn overfit(client: &Client, params: &Params<Array>, forward: &Function, steps: usize) -> spiq::Result<Vec<Array>> {
    let loss = |params: &Params, (x, y): (Tensor, Tensor)| {
        integral_crossentropy(&apply(forward, params, &x).named("B T C"), &y.named("B"))
    };
    let mut state = TrainState::new(client, params, lion(1e-3), loss)?;
    let batch = (spikes(1)?, Key::new(2).shaped([BATCH]).randint::<i32>(0, CLASSES as i128));
    let losses = (0..steps).map(|_| state.step(&batch)).collect::<spiq::Result<Vec<_>>>()?;
    device_get(&losses)
}

fn largest_difference(a: &Array, b: &Array) -> f64 {
    a.to_f64().iter().zip(b.to_f64()).fold(0.0, |largest, (a, b)| (a - b).abs().max(largest))
}

fn main() -> spiq::Result<()> {
    let client = Client::cpu()?;
    let model = classifier();
    let params = model.init(&mut Rngs::new(0));
    let sample = spikes(0)?;

    let plain = forward(&model)?;
    let fp32 = run(&client, &plain, &params, &sample)?;
    println!("fp32 output shape: {:?}", fp32.dims());

    let is_weight = |name: &str| name.starts_with("0/");
    let quantized = |rules: &[RuleConfig]| quantize(&plain, &Rules::new(rules)?, Mode::Qat, Numerics::Qwix, is_weight);
    let difference = |rules: &[RuleConfig]| -> spiq::Result<f64> {
        Ok(largest_difference(&run(&client, &quantized(rules)?.function, &params, &sample)?, &fp32))
    };

    let w8a8 = linear_only_rules("int8", "int8");
    println!("{}", quantized(&w8a8)?.report);
    println!("W8A8, max abs diff to fp32:         {:.7}", difference(&w8a8)?);

    let losses = overfit(&client, &params, &quantized(&w8a8)?.function, 50)?;
    for (step, loss) in losses.iter().enumerate().step_by(10) {
        println!("step {step:2}: loss={:.7}", loss.item::<f32>()?);
    }
    println!();

    println!("int4 weights, max abs diff to fp32: {:.7}", difference(&weights_only_rules("int4"))?);
    let readout = RuleConfig { module_path: ".*layers/4".into(), ..w8a8[0].clone() };
    println!("readout only, max abs diff to fp32: {:.7}", difference(&[readout])?);
    Ok(())
}
