//! Linear regression by gradient descent.
//!
//! `cargo run --release --example linear_regression`

use spiq::prelude::*;

/// The parameters.
#[derive(Debug, Tree)]
pub struct Line<T = Tensor> {
    offset: T,
    slope: T,
}

fn loss(w: &Line, x: &Tensor, y: &Tensor) -> Tensor {
    let error = x.dot(&w.slope) + &w.offset - y;
    (&error * &error).mean()
}

/// The parameters after 50 steps, and the loss before each.
pub fn run() -> spiq::Result<(Line<Array>, Vec<Array>)> {
    let client = Client::cpu()?;
    let step = jit(&client, |(w, x, y): (Line, Tensor, Tensor)| {
        let (value, slope) = value_and_grad(&w, |w| loss(w, &x, &y));
        (zip_map(&w, &slope, |p, g| p - 0.1 * g), value)
    });
    let (inputs, noise) = Key::new(0).pair();
    let x = inputs.shaped([64, 3]).normal();
    let truth = jit(&client, |(x, w, noise): (Tensor, Tensor, Tensor)| x.dot(&w) + 0.5 + 0.1 * noise);
    let y = truth.call(&(x.clone(), [1.0f32, -2.0, 3.0].into(), noise.shaped([64]).normal()))?;
    let (mut w, mut losses) = (Line { slope: [0.0f32; 3].into(), offset: Array::scalar(0.0f32) }, Vec::new());
    for _ in 0..50 {
        let value;
        (w, value) = step.call(&(w, x.clone(), y.clone()))?;
        losses.push(value);
    }
    Ok((w, losses))
}

#[allow(dead_code, reason = "a test calls `run`")]
fn main() -> spiq::Result<()> {
    println!("{:?}", run()?);
    Ok(())
}
