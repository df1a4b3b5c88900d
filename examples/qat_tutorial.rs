//! Spyx's tutorial on quantization-aware training, in Rust: the same model, keys and data, with the same results.
//!
//! `cargo run --release --example qat_tutorial`

use std::collections::BTreeMap;

use spiq::config::RuleConfig;
use spiq::nn::{self, Axes, Li, Lif, Linear, Sequential, Surrogate, integral_crossentropy};
use spiq::optim::{GradientTransformation, apply_updates, lion};
use spiq::pjrt::{Client, Input};
use spiq::quant::{Mode, Numerics, Rules, linear_only_rules, quantize, weights_only_rules};
use spiq::random::{Key, Rngs};
use spiq::{Array, DType, Function, Program, Tensor, TensorType, trace, value_and_grad};

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

/// Spike trains [T, B, C] with a firing probability of 0.2 per step.
fn spikes(seed: i64) -> Result<Array, Error> {
    let uniform = Key::new(seed).uniform(T * BATCH * INPUTS, 0.0, 1.0);
    let spikes: Vec<f32> = uniform.into_iter().map(|u| f32::from(u8::from(u < 0.2))).collect();
    Ok(Array::new([T, BATCH, INPUTS], spikes)?)
}

/// The forward pass: maps parameters and x [T, B, C] to traces [B, T, C].
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

/// One training step: maps parameters, momenta, x and targets to new parameters, new momenta and the loss.
fn train_step(forward: &Function, types: &BTreeMap<String, TensorType>) -> Result<Function, Error> {
    let optimizer = lion(1e-3);
    let slots = optimizer.state_types(types);
    let batch = [("x", TensorType::new(DType::F32, [T, BATCH, INPUTS])), ("y", TensorType::new(DType::S32, [BATCH]))];
    let kept = types.iter().chain(&slots).map(|(path, ty)| (path.as_str(), ty.clone()));
    let inputs: Vec<(&str, TensorType)> = kept.chain(batch).collect();
    let collect = |types: &BTreeMap<String, TensorType>, tensors: &[Tensor]| -> BTreeMap<String, Tensor> {
        types.keys().cloned().zip(tensors.iter().cloned()).collect()
    };
    Ok(trace(&inputs, |values| {
        let (params, rest) = values.split_at(types.len());
        let (state, batch) = rest.split_at(slots.len());
        let (params, state) = (collect(types, params), collect(&slots, state));
        let ((loss, ()), grads) = value_and_grad(&params, |params| {
            let args: Vec<Tensor> = params.values().chain([&batch[0]]).cloned().collect();
            let traces = forward.call(batch[0].graph(), &args).swap_remove(0);
            (integral_crossentropy(&traces.named("B T C"), &batch[1].named("B")), ())
        });
        let (updates, state) = optimizer.update(&grads, &state, &params);
        apply_updates(&params, &updates).into_values().chain(state.into_values()).chain([loss]).collect()
    })?)
}

/// Overfits one batch, to show that the quantized network trains; returns the loss of each step.
fn overfit(client: &Client, model: &Sequential, forward: &Function, steps: usize) -> Result<Vec<f32>, Error> {
    let types = model.parameter_types();
    let step = train_step(forward, &types)?;
    let kept = step.result_types().len() - 1;
    let donated = (0..kept).map(|i| (i, i)).collect();
    let program = Program { donated, ..Program::named("train_step") }.compile(client, &step)?;
    let zeros = lion(1e-3).init(&types);
    let start = model.init(&mut Rngs::new(0)).into_values().chain(zeros.into_values());
    let mut state = start.map(|a| client.to_device(&a)).collect::<Result<Vec<_>, _>>()?;
    let targets = Array::new([BATCH], Key::new(2).randint::<i32>(BATCH, 0, CLASSES as i128))?;
    let batch = [client.to_device(&spikes(1)?)?, client.to_device(&targets)?];
    let mut losses = Vec::new();
    for _ in 0..steps {
        let inputs = state.drain(..).map(Input::Donate).chain(batch.iter().map(Input::Borrow));
        let mut outputs = program.execute(inputs.collect())?;
        losses.push(outputs.pop().expect("the loss is the last output").to_array()?.to_vec::<f32>()?[0]);
        state = outputs;
    }
    Ok(losses)
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
    let quantized = |rules: &[RuleConfig]| quantize(&plain, &Rules::new(rules)?, Mode::Qat, Numerics::Qwix, is_weight);
    let difference = |rules: &[RuleConfig]| -> Result<f64, Error> {
        Ok(largest_difference(&run(&client, &quantized(rules)?.function, &params, &sample)?, &fp32))
    };

    let w8a8 = linear_only_rules("int8", "int8");
    println!("{}", quantized(&w8a8)?.report);
    println!("W8A8, max abs diff to fp32:         {:.7}", difference(&w8a8)?);

    let losses = overfit(&client, &model, &quantized(&w8a8)?.function, 50)?;
    for (step, loss) in losses.iter().enumerate().step_by(10) {
        println!("step {step:2}: loss={loss:.7}");
    }
    println!();

    println!("int4 weights, max abs diff to fp32: {:.7}", difference(&weights_only_rules("int4"))?);
    let readout = RuleConfig { module_path: ".*layers/4".into(), ..w8a8[0].clone() };
    println!("readout only, max abs diff to fp32: {:.7}", difference(&[readout])?);
    Ok(())
}
