//! Custom data: two spirals, shuffled in every epoch, in batches, with the accuracy on held-out points.
//!
//! `cargo run --release --example own_data`

use spiq::nn::softmax_cross_entropy_with_integer_labels;
use spiq::prelude::*;
use spiq::random::lecun_normal;

/// Point and class.
type Sample = ([f32; 2], i32);

fn spirals(n: usize) -> Vec<Sample> {
    let sample = |i: usize| {
        let (t, arm) = (i as f32 / n as f32, i % 2);
        let (sin, cos) = (f64::from(6.0 * t) + std::f64::consts::PI * arm as f64).sin_cos();
        ([(f64::from(t) * cos) as f32, (f64::from(t) * sin) as f32], arm as i32)
    };
    (0..n).map(sample).collect()
}

fn batch<'a>(samples: impl Iterator<Item = &'a Sample>) -> spiq::Result<(Array, Array)> {
    let (points, labels): (Vec<[f32; 2]>, Vec<i32>) = samples.copied().unzip();
    Ok((Array::new([labels.len(), 2], points.concat())?, labels.into()))
}

fn forward([first, second, third]: &[Tensor; 3], x: &Tensor) -> Tensor {
    (3.0 * x).dot(first).tanh().dot(second).tanh().dot(third)
}

fn loss(params: &[Tensor; 3], (x, labels): (Tensor, Tensor)) -> Tensor {
    softmax_cross_entropy_with_integer_labels(&forward(params, &x), &labels).mean()
}

/// The last loss of each epoch, and the accuracy on the held-out points.
pub fn run() -> spiq::Result<(Vec<Array>, Array)> {
    let (client, keys) = (Client::cpu()?, Key::new(0).split(4));
    let numbered = || spirals(240).into_iter().enumerate();
    let train: Vec<Sample> = numbered().filter(|(i, _)| i % 6 != 0).map(|(_, sample)| sample).collect();
    let test: Vec<Sample> = numbered().filter(|(i, _)| i % 6 == 0).map(|(_, sample)| sample).collect();
    let params = [lecun_normal(keys[0], &[2, 32]), lecun_normal(keys[1], &[32, 32]), lecun_normal(keys[2], &[32, 2])];
    let (mut state, mut losses) = (TrainState::new(&client, &params, adam(1e-2), loss)?, Vec::new());
    for epoch in 0..30 {
        let order = keys[3].fold_in(epoch).permutation(train.len());
        let batches = order.chunks(40).map(|places| state.step(&batch(places.iter().map(|&i| &train[i]))?));
        losses.extend(batches.last().transpose()?);
    }
    let accuracy = jit(&client, |(params, (x, labels)): ([Tensor; 3], (Tensor, Tensor))| {
        forward(&params, &x).argmax(-1).eq(&labels).convert(DType::F32).mean()
    });
    let accuracy = accuracy.call(&(state.params()?, batch(test.iter())?))?;
    Ok((device_get(&losses)?, accuracy))
}

#[allow(dead_code, reason = "a test calls `run`")]
fn main() -> spiq::Result<()> {
    println!("{:?}", run()?);
    Ok(())
}
