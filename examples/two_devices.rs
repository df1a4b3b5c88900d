//! Data-parallel training on two devices: each computes the gradient of half of the batch.
//!
//! `cargo run --release --example two_devices`

use spiq::prelude::*;

fn loss(w: &Tensor, x: &Tensor, y: &Tensor) -> Tensor {
    let error = x.dot(w).tanh() - y;
    (&error * &error).mean()
}

/// The weights after 10 steps, and the loss before each.
pub fn run() -> spiq::Result<(Array, Vec<Array>)> {
    let client = Client::cpu_devices(2)?;
    let gradient = jit(&client, |(w, (x, y)): (Tensor, (Tensor, Tensor))| value_and_grad(&w, |w| loss(w, &x, &y)));
    let mean = jit(&client, |(a, b): ((Tensor, Tensor), (Tensor, Tensor))| zip_map(&a, &b, |a, b| (a + b) / 2.0));
    let descend = jit(&client, |(w, slope): (Tensor, Tensor)| w - 0.5 * slope);
    let split = jit(&client, |(x, y): (Tensor, Tensor)| {
        [0, 32].map(|start| (x.slice_axis(0, start, start + 32), y.slice_axis(0, start, start + 32)))
    });
    let (devices, keys) = (client.devices(), Key::new(0).split(2));
    let (first, second) = (&devices[0], &devices[1]);
    let [one, other] = split.call(&(keys[0].shaped([64, 3]).normal(), keys[1].shaped([64]).uniform(-1.0, 1.0)))?;
    let (one, other) = (client.device_put(&one, first)?, client.device_put(&other, second)?);
    let (mut w, mut losses) = (client.device_put(&spiq::random::zeros(&[3]), first)?, Vec::new());
    for _ in 0..10 {
        let here = gradient.call_on_device(&(w.clone(), one.clone()))?;
        let (value, slope) = gradient.call_on_device(&(w.copy_to(second)?, other.clone()))?;
        let (value, slope) = mean.call_on_device(&(here, (value.copy_to(first)?, slope.copy_to(first)?)))?;
        w = descend.call_on_device(&(w, slope))?;
        losses.push(value);
    }
    Ok((w.to_array()?, device_get(&losses)?))
}

#[allow(dead_code, reason = "a test calls `run`")]
fn main() -> spiq::Result<()> {
    println!("{:?}", run()?);
    Ok(())
}
