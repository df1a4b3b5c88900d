//! The workloads that others publish for GPUs, and square products, on one device. Prints a line of JSON per workload and arithmetic.
//!
//! ```sh
//! cargo bench --bench published -- --device cpu --small
//! ```
//!
//! - `product N`: one product of N x N matrices; operands of each type, summed in f32 or s32. `product by rows` contracts the last axis of both.
//! - `network N` (Open Neuromorphic's benchmark of frameworks): Linear N to N and LIF, 500 steps, 16 samples, inputs in f32; the loss is the sum of
//!   the outputs. `forward` is the loss, `both` the loss and its gradient for all parameters.
//! - `lif` (SpikingJelly's benchmark of its kernels): LIF alone, 32 steps, 64 samples of 65,536 neurons. Inputs, the gradient of the outputs and that
//!   of the inputs are bf16 (fp16 there); `both` also returns the spikes.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::Value;
use spiq::config::ModelConfig;
use spiq::network::{Forward, Network};
use spiq::pjrt::{Buffer, Client, Executable, Input, Platform};
use spiq::quant::{Gradients, Mode, Precision, linear_only_rules};
use spiq::random::{GraphKey, Key};
use spiq::signature::{Role, Signature};
use spiq::{DType, DotDims, Function, Graph, Program, Result, Tensor, TensorType, trace, value_and_grad};

/// Runs of which the median counts, after two to warm up.
const RUNS: usize = 15;

#[allow(dead_code, reason = "a test calls `measure_all`")]
fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let device = arguments.iter().skip_while(|a| *a != "--device").nth(1).map_or("cpu", String::as_str);
    let small = arguments.iter().any(|a| a == "--small");
    let client = Client::open(Platform::from_name(device).expect("cpu, cuda or tpu"))?;
    measure_all(&client, small, &mut |line| println!("{line}"));
    Ok(())
}

/// Measures each workload in each arithmetic and gives a line of JSON for it; `small` sizes only show that they run.
pub fn measure_all(client: &Client, small: bool, lines: &mut dyn FnMut(Value)) {
    // CPUs compute fp8 element by element.
    let has_fp8 = client.platform() != Some(Platform::Cpu);
    for size in if small { vec![64] } else { vec![8192] } {
        for types in PRODUCTS.into_iter().filter(|types| has_fp8 || types.0 != DType::F8E4M3FN) {
            lines(line("product", size, types.0.name(), product(client, size, types, 0)));
            lines(line("product by rows", size, types.0.name(), product(client, size, types, 1)));
        }
    }
    let (times, batch) = if small { (4, 2) } else { (500, 16) };
    for size in if small { vec![32] } else { vec![4096, 16384] } {
        for mode in MODES.into_iter().filter(|mode| has_fp8 || *mode != "fp8") {
            lines(line("network", size, mode, network(client, [times, batch, size], mode)));
        }
    }
    let sizes = if small { [4, 2, 32] } else { [32, 64, 65536] };
    lines(line("lif", sizes[2], "bf16", lif(client, sizes)));
}

/// The milliseconds of a workload, or why there are none.
fn line(workload: &str, size: usize, mode: &str, measured: Result<BTreeMap<&'static str, f64>>) -> Value {
    let mut line = serde_json::json!({ "workload": workload, "size": size, "mode": mode });
    match measured {
        Ok(times) => line["ms"] = serde_json::json!(times),
        Err(error) => line["failed"] = serde_json::json!(error.to_string()),
    }
    line
}

/// Element types of the operands and of the sum.
const PRODUCTS: [(DType, DType); 4] =
    [(DType::F32, DType::F32), (DType::BF16, DType::F32), (DType::S8, DType::S32), (DType::F8E4M3FN, DType::F32)];

/// `contracted` is the axis of the right operand that is contracted.
fn product(
    client: &Client,
    size: usize,
    (operands, sums): (DType, DType),
    contracted: usize,
) -> Result<BTreeMap<&'static str, f64>> {
    let ty = TensorType::new(operands, [size, size]);
    let dims = DotDims { rhs_contract: vec![contracted], ..DotDims::matmul(2) };
    let function = trace(&[("a", ty.clone()), ("b", ty.clone())], |x| vec![x[0].dot_general(&x[1], &dims, sums)])?;
    let program = Program::named("product").compile(client, &function)?;
    let inputs = [drawn(client, &ty, 1)?, drawn(client, &ty, 2)?];
    let ms = median(&program, &inputs)?;
    let tera = 2.0 * (size as f64).powi(3) / (1e9 * ms);
    Ok([("forward", ms), ("TFLOP/s", tera)].into())
}

const MODES: [&str; 5] = ["fp32", "bf16", "int8", "int8+bf16", "fp8"];

fn network(client: &Client, [times, batch, size]: [usize; 3], mode: &str) -> Result<BTreeMap<&'static str, f64>> {
    let text = format!(
        "[[layers]]\ntype = \"Linear\"\nin_features = {size}\nout_features = {size}\nuse_bias = false\n\
         [[layers]]\ntype = \"LIF\"\nhidden_shape = {size}\n"
    );
    let network = in_mode(ModelConfig::parse(&text, "network.toml")?, mode)?;
    let x = TensorType::new(DType::F32, [times, batch, size]);
    let forward = network.forward(&x, Mode::Qat)?;
    let params = network.parameter_types();
    let signature = Signature::default().with(Role::Parameter, params.clone()).with(Role::X, [("x", x.clone())]);
    let loss = |params: &BTreeMap<String, Tensor>, x: &Tensor| outputs(&forward, params, x).convert(DType::F32).sum();
    let (alone, _) = signature.clone().trace(|given| {
        vec![(Role::Loss, [("loss".to_owned(), loss(&given.of(Role::Parameter), given.only(Role::X)))].into())]
    })?;
    let (both, _) = signature.trace(|given| {
        let x = given.only(Role::X);
        let (loss, grads) = value_and_grad(&given.of(Role::Parameter), |params| loss(params, x));
        vec![(Role::Loss, [("loss".to_owned(), loss)].into()), (Role::Gradient, grads)]
    })?;
    let mut inputs = Vec::new();
    for (place, ty) in (1..).zip(params.values().chain([&x])) {
        inputs.push(drawn(client, ty, place)?);
    }
    times_of(client, [("forward", &alone), ("both", &both)], &inputs)
}

fn in_mode(model: ModelConfig, mode: &str) -> Result<Network> {
    let (weights, gradients) = match mode {
        "fp32" => return Network::new(model, Vec::new()),
        "bf16" => return Ok(Network::new(model, Vec::new())?.with_precision(Precision::Bf16)),
        "int8" => ("int8", Gradients::Full),
        "int8+bf16" => ("int8", Gradients::Bf16),
        _ => ("float8_e4m3fn", Gradients::Full),
    };
    Ok(Network::new(model, linear_only_rules(weights, weights))?.with_gradients(gradients))
}

fn outputs(forward: &Forward, params: &BTreeMap<String, Tensor>, x: &Tensor) -> Tensor {
    forward.call(params, x).only(Role::Traces).clone()
}

fn lif(client: &Client, dims: [usize; 3]) -> Result<BTreeMap<&'static str, f64>> {
    let text = format!("[[layers]]\ntype = \"LIF\"\nhidden_shape = {}\n", dims[2]);
    let network = Network::new(ModelConfig::parse(&text, "lif.toml")?, Vec::new())?;
    let forward = network.forward(&TensorType::new(DType::F32, dims), Mode::Qat)?;
    let params = network.parameter_types();
    let narrow = TensorType::new(DType::BF16, dims);
    let given: Vec<(&str, TensorType)> =
        params.iter().map(|(path, ty)| (path.as_str(), ty.clone())).chain([("x", narrow.clone())]).collect();
    let count = params.len();
    let named = |given: &[Tensor]| params.keys().cloned().zip(given[..count].iter().cloned()).collect();
    let alone = trace(&given, |given| vec![outputs(&forward, &named(given), &given[count].convert(DType::F32))])?;
    let with_gradient: Vec<_> = given.iter().cloned().chain([("g", narrow.clone())]).collect();
    let both = trace(&with_gradient, |given| {
        let params = named(given);
        let ((_, spikes), grads) = value_and_grad(&given[count], |x| {
            let spikes = outputs(&forward, &params, &x.convert(DType::F32));
            ((spikes.convert(DType::F32) * given[count + 1].convert(DType::F32)).sum(), spikes)
        });
        vec![spikes, grads]
    })?;
    let mut inputs = Vec::new();
    for (place, ty) in (1..).zip(with_gradient.iter().map(|(_, ty)| ty)) {
        inputs.push(drawn(client, ty, place)?);
    }
    let forward = times_of(client, [("forward", &alone)], &inputs[..=count])?;
    Ok(forward.into_iter().chain(times_of(client, [("both", &both)], &inputs)?).collect())
}

fn times_of<const N: usize>(
    client: &Client,
    functions: [(&'static str, &Function); N],
    inputs: &[Buffer],
) -> Result<BTreeMap<&'static str, f64>> {
    let time = |(name, function)| {
        let started = Instant::now();
        let program = Program::named(name).compile(client, function)?;
        eprintln!("compiled {name} in {:.1} s", started.elapsed().as_secs_f64());
        Ok((name, median(&program, inputs)?))
    };
    functions.into_iter().map(time).collect()
}

fn median(program: &Executable, inputs: &[Buffer]) -> Result<f64> {
    let mut times = Vec::new();
    for _ in 0..RUNS + 2 {
        let started = Instant::now();
        let outputs = program.execute(inputs.iter().map(Input::Borrow).collect())?;
        outputs.iter().try_for_each(Buffer::wait)?;
        times.push(1e3 * started.elapsed().as_secs_f64());
    }
    let times = &mut times[2..];
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}

/// Random numbers of a type, drawn on the device: weights of N inputs in ±1/√N, other numbers in 0..2, integers in -100..100.
fn drawn(client: &Client, ty: &TensorType, seed: i64) -> Result<Buffer> {
    let graph = Graph::new();
    let key = GraphKey::constant(&graph, Key::new(seed));
    let numbers = match (ty.dtype, &ty.dims[..]) {
        (DType::S8, dims) => key.randint(DType::S8, dims, -100, 100),
        (_, dims @ [inputs, _]) => {
            let bound = 1.0 / (*inputs as f32).sqrt();
            key.uniform(dims, -bound, bound)
        }
        (_, dims) => key.uniform(dims, 0.0, 2.0),
    };
    let function = graph.finish(&[numbers.convert(ty.dtype)])?;
    let program = Program::named("draw").compile(client, &function)?;
    Ok(program.execute(Vec::new())?.remove(0))
}
