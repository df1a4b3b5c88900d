//! A recurrent network over time by scan, trained to add up its inputs.
//!
//! `cargo run --release --example rnn`

use spiq::prelude::*;
use spiq::random::{lecun_normal, zeros};

/// The parameters.
#[derive(Debug, Tree)]
pub struct Rnn<T = Tensor> {
    bias: T,
    hidden: T,
    input: T,
    output: T,
}

fn forward(params: &Rnn, xs: &Tensor) -> Tensor {
    let start = xs.graph().zeros(TensorType::new(DType::F32, [xs.dims()[1], 16]));
    let step = |h: Tensor, x: Tensor| {
        let h = (x.dot(&params.input) + h.dot(&params.hidden) + &params.bias).tanh();
        (h.clone(), h.dot(&params.output))
    };
    scan(&start, xs, step).1
}

fn loss(params: &Rnn, (xs, ys): (Tensor, Tensor)) -> Tensor {
    let error = forward(params, &xs) - ys;
    (&error * &error).mean()
}

/// The parameters after 30 steps, and the loss before each.
pub fn run() -> spiq::Result<(Rnn<Array>, Vec<Array>)> {
    let (client, keys) = (Client::cpu()?, Key::new(0).split(4));
    let init = |i: usize, dims: [usize; 2]| lecun_normal(keys[i], &dims);
    let params =
        Rnn { bias: zeros(&[16]), hidden: init(0, [16, 16]), input: init(1, [1, 16]), output: init(2, [16, 1]) };
    let xs = keys[3].shaped([20, 8, 1]).uniform(-0.2, 0.2);
    let batch = (xs.clone(), jit(&client, |xs: Tensor| xs.cumsum(0)).call(&xs)?);
    let mut state = TrainState::new(&client, &params, adam(5e-3), loss)?;
    let losses = (0..30).map(|_| state.step(&batch)).collect::<spiq::Result<Vec<_>>>()?;
    Ok((state.params()?, device_get(&losses)?))
}

#[allow(dead_code, reason = "a test calls `run`")]
fn main() -> spiq::Result<()> {
    println!("{:?}", run()?);
    Ok(())
}
