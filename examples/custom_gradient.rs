//! A function with a custom gradient: a spike whose derivative is a smooth bump, and one neuron that fires.
//!
//! `cargo run --release --example custom_gradient`

use std::f64::consts::PI;

use spiq::prelude::*;

fn spike(v: &Tensor) -> Tensor {
    let fires = |v: &Tensor| v.gt(0.0).convert(v.dtype());
    let bump = |v: &Tensor, _: &Tensor, ct: &Tensor| {
        let x = PI * v;
        ct / (1.0 + &x * &x)
    };
    custom_vjp("spike", v, fires, bump)
}

fn count(decay: &Tensor, inputs: &Tensor) -> Tensor {
    let step = |v: Tensor, x: Tensor| {
        let v = decay * v + x;
        let s = spike(&(&v - 1.0));
        (v - &s, s)
    };
    scan(&decay.zeros_like(), inputs, step).1.sum()
}

/// The number of spikes, and its gradient by the decay and the inputs.
pub fn run() -> spiq::Result<(Array, (Array, Array))> {
    let inputs = Key::new(0).shaped([50]).uniform(0.0, 0.6);
    let f = |at: (Tensor, Tensor)| value_and_grad(&at, |(decay, inputs)| count(decay, inputs));
    jit(&Client::cpu()?, f).call(&(Array::scalar(0.9f32), inputs))
}

#[allow(dead_code, reason = "a test calls `run`")]
fn main() -> spiq::Result<()> {
    println!("{:?}", run()?);
    Ok(())
}
