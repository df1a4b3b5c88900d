//! A custom loss: the focal loss, which weighs down examples that are classified well, with a penalty on large weights.
//!
//! `cargo run --release --example own_loss`

use spiq::prelude::*;

fn focal(logits: &Tensor, labels: &Tensor, gamma: f64) -> Tensor {
    let log_p = logits.log_softmax(-1).take_along_axis(&labels.expand_dims(-1), -1).squeeze(-1);
    -((1.0 - log_p.exp()).pow(gamma) * log_p).mean()
}

fn loss(w: &Tensor, (x, labels): (Tensor, Tensor)) -> Tensor {
    focal(&x.dot(w), &labels, 2.0) + 1e-3 * (w * w).sum()
}

/// The weights after 25 steps, and the loss before each.
pub fn run() -> spiq::Result<(Array, Vec<Array>)> {
    let keys = Key::new(0).split(2);
    let batch = (keys[0].shaped([48, 6]).normal(), keys[1].shaped([48]).randint::<i32>(0, 3));
    let mut state = TrainState::new(&Client::cpu()?, &spiq::random::zeros(&[6, 3]), sgd(0.5), loss)?;
    let losses = (0..25).map(|_| state.step(&batch)).collect::<spiq::Result<Vec<_>>>()?;
    Ok((state.params()?, device_get(&losses)?))
}

#[allow(dead_code, reason = "a test calls `run`")]
fn main() -> spiq::Result<()> {
    println!("{:?}", run()?);
    Ok(())
}
