//! Spyx's tutorial on quantization-aware training, in Rust: the same model, keys and data, and the same figures.
//!
//! `cargo run --release --example qat_tutorial`

use std::collections::BTreeMap;

use spiq::config::RuleConfig;
use spiq::nn::{self, Axes, Li, Lif, Linear, Sequential, Surrogate};
use spiq::pjrt::{Client, Input};
use spiq::quant::{Mode, Rules, linear_only_rules, quantize, weights_only_rules};
use spiq::random::{Key, Rngs};
use spiq::{Array, DType, Function, Program, Tensor, TensorType, trace};

const T: usize = 16;
const BATCH: usize = 8;
const INPUTS: usize = 32;
const HIDDEN: usize = 64;
const CLASSES: usize = 10;

type Error = Box<dyn std::error::Error>;

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

/// Spike trains [T, B, C] of rate 0.2.
fn spikes(seed: i64) -> Result<Array, Error> {
    let uniform = Key::new(seed).uniform(T * BATCH * INPUTS, 0.0, 1.0);
    let spikes: Vec<f32> = uniform.into_iter().map(|u| f32::from(u8::from(u < 0.2))).collect();
    Ok(Array::new([T, BATCH, INPUTS], spikes)?)
}

/// The forward pass: parameters, then x [T, B, C], to traces [B, T, C].
fn forward(model: &Sequential) -> Result<Function, Error> {
    let types = model.parameter_types();
    let x = TensorType::new(DType::F32, [T, BATCH, INPUTS]);
    let mut inputs: Vec<(&str, TensorType)> = types.iter().map(|(path, ty)| (path.as_str(), ty.clone())).collect();
    inputs.push(("x", x));
    Ok(trace(&inputs, |values| {
        let (x, params) = values.split_last().expect("x is the last input");
        let params: BTreeMap<String, Tensor> = types.keys().cloned().zip(params.iter().cloned()).collect();
        let (traces, _) = nn::run(model, &params, &x.named("T B C"));
        vec![traces.to_axes("B T C").into_tensor()]
    })?)
}

fn run(client: &Client, function: &Function, params: &BTreeMap<String, Array>, x: &Array) -> Result<Array, Error> {
    let program = Program::named("tutorial").compile(client, function)?;
    let buffers: Vec<_> = params.values().chain([x]).map(|a| client.to_device(a)).collect::<Result<_, _>>()?;
    let outputs = program.execute(buffers.iter().map(Input::Borrow).collect())?;
    Ok(outputs[0].to_array()?)
}

fn largest_difference(a: &Array, b: &Array) -> f64 {
    a.to_f64().iter().zip(b.to_f64()).fold(0.0, |largest, (a, b)| (a - b).abs().max(largest))
}

fn main() -> Result<(), Error> {
    let client = Client::cpu()?;
    let model = classifier();
    let params = model.init(&mut Rngs::new(0));
    let sample = spikes(0)?;

    let plain = forward(&model)?;
    let fp32 = run(&client, &plain, &params, &sample)?;
    println!("fp32 output shape: {:?}", fp32.dims());

    let is_weight = |name: &str| name.starts_with("core/");
    let quantized = |rules: &[RuleConfig]| quantize(&plain, &Rules::new(rules)?, Mode::Qat, is_weight);
    let difference = |rules: &[RuleConfig]| -> Result<f64, Error> {
        Ok(largest_difference(&run(&client, &quantized(rules)?.function, &params, &sample)?, &fp32))
    };

    let w8a8 = linear_only_rules("int8", "int8");
    println!("{}", quantized(&w8a8)?.report);
    println!("W8A8, max abs diff to fp32:         {:.7}", difference(&w8a8)?);
    println!("int4 weights, max abs diff to fp32: {:.7}", difference(&weights_only_rules("int4"))?);
    let readout = RuleConfig { module_path: ".*layers/4".into(), ..w8a8[0].clone() };
    println!("readout only, max abs diff to fp32: {:.7}", difference(&[readout])?);
    Ok(())
}
