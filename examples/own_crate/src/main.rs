//! A crate that depends on spiq alone: gradient descent on the input weights of eight neurons until each fires in a quarter of all steps.
//!
//! `cargo run --release --manifest-path examples/own_crate/Cargo.toml`

use spiq::prelude::*;

const STEPS: usize = 200;
const NEURONS: usize = 8;

/// Spikes [T, N] of leaky neurons with the inputs x [T, N].
fn spikes(weights: &Tensor, x: &Tensor) -> Tensor {
    let rest = weights.zeros_like();
    let (_, spikes) = scan(&rest, x, |v: Tensor, x: Tensor| {
        let spike = Surrogate::arctan().spike(&(&v - 1.0));
        (0.9 * &v + weights * x - &spike, spike)
    });
    spikes
}

fn main() -> spiq::Result<()> {
    let loss = |weights: &Tensor, x: Tensor| {
        let rates = spikes(weights, &x).reduce_mean([0]);
        let error = &rates - 0.25;
        ((&error * &error).sum(), rates)
    };
    let inputs = Key::new(0).shaped([STEPS, NEURONS]).uniform(0.0, 1.0);
    let mut state = TrainState::new(&Client::cpu()?, &Array::from([0.2f32; NEURONS]), adam(0.01), loss)?;
    let rates = (0..100).map(|_| state.step(&inputs)).collect::<spiq::Result<Vec<_>>>()?;
    println!("rates before: {:?}", device_get(&rates[0].1)?);
    println!("rates after:  {:?}", device_get(&rates[99].1)?);
    println!("weights:      {:?}", state.params()?);
    Ok(())
}
