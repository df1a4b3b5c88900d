//! The gradient of each example of a batch, clipped one by one, as in differentially private training.
//!
//! `cargo run --release --example per_example_gradients`

use spiq::keepdims;
use spiq::prelude::*;

fn loss(w: &Tensor, x: &Tensor, y: &Tensor) -> Tensor {
    let error = x.dot(w).tanh() - y;
    &error * &error
}

fn clipped((w, x, y): (Tensor, Tensor, Tensor)) -> (Tensor, Tensor) {
    let grads = vmap(&(x, y), |(x, y)| grad(&w, |w| loss(w, &x, &y)));
    let norms = (&grads * &grads).reduce_sum(keepdims(1)).sqrt();
    let mean = (&grads * (0.5 / norms).minimum(1.0)).reduce_mean(0);
    (grads, mean)
}

/// The gradient of each example, and the mean of the clipped ones.
pub fn run() -> spiq::Result<(Array, Array)> {
    let keys = Key::new(0).split(3);
    let (w, x) = (keys[0].shaped([5]).normal(), keys[1].shaped([8, 5]).normal());
    let y = keys[2].shaped([8]).uniform(-1.0, 1.0);
    jit(&Client::cpu()?, clipped).call(&(w, x, y))
}

#[allow(dead_code, reason = "a test calls `run`")]
fn main() -> spiq::Result<()> {
    println!("{:?}", run()?);
    Ok(())
}
