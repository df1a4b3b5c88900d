//! A multilayer perceptron, trained by Adam with gradient clipping and a learning rate that warms up and decays.
//!
//! `cargo run --release --example mlp`

use spiq::nn::softmax_cross_entropy_with_integer_labels;
use spiq::optim::warmup_cosine_decay_schedule;
use spiq::prelude::*;
use spiq::random::{lecun_normal, zeros};

/// The parameters of a layer.
#[derive(Debug, Tree)]
pub struct Layer<T = Tensor> {
    bias: T,
    kernel: T,
}

fn forward(layers: &[Layer], x: &Tensor) -> Tensor {
    layers.iter().enumerate().fold(x.clone(), |x, (i, layer)| {
        let y = x.dot(&layer.kernel) + &layer.bias;
        if i + 1 < layers.len() { y.relu() } else { y }
    })
}

fn init(key: Key, sizes: &[usize]) -> Vec<Layer<Array>> {
    let keys = key.split(sizes.len() - 1);
    let layer = |(key, m): (Key, &[usize])| Layer { kernel: lecun_normal(key, m), bias: zeros(&m[1..]) };
    keys.into_iter().zip(sizes.windows(2)).map(layer).collect()
}

/// The parameters after 40 steps, and the loss before each.
pub fn run() -> spiq::Result<(Vec<Layer<Array>>, Vec<Array>)> {
    let schedule = warmup_cosine_decay_schedule(0.0, 1e-2, 5, 40);
    let optimizer = chain([clip_by_global_norm(1.0).into(), adam(schedule).into()]);
    let keys = Key::new(0).split(3);
    let batch = (keys[1].shaped([64, 8]).normal(), keys[2].shaped([64]).randint::<i32>(0, 4));
    let loss = |layers: &Vec<Layer>, (x, labels): (Tensor, Tensor)| {
        softmax_cross_entropy_with_integer_labels(&forward(layers, &x), &labels).mean()
    };
    let mut state = TrainState::new(&Client::cpu()?, &init(keys[0], &[8, 32, 32, 4]), optimizer, loss)?;
    let losses = (0..40).map(|_| state.step(&batch)).collect::<spiq::Result<Vec<_>>>()?;
    Ok((state.params()?, device_get(&losses)?))
}

#[allow(dead_code, reason = "a test calls `run`")]
fn main() -> spiq::Result<()> {
    println!("{:?}", run()?);
    Ok(())
}
