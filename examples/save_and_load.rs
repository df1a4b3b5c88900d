//! A training that is saved, loaded and continued, with the same result as without the interruption.
//!
//! `cargo run --release --example save_and_load`

use spiq::prelude::*;

/// The parameters.
#[derive(Debug, Tree)]
pub struct Params<T = Tensor> {
    bias: T,
    kernel: T,
}

fn loss(params: &Params, (x, y): (Tensor, Tensor)) -> Tensor {
    let error = (x.dot(&params.kernel) + &params.bias).tanh() - y;
    (&error * &error).mean()
}

/// The parameters after 20 steps, and the last loss.
pub fn run() -> spiq::Result<(Params<Array>, Array)> {
    let (client, keys) = (Client::cpu()?, Key::new(0).split(2));
    let batch = (keys[0].shaped([32, 4]).normal(), keys[1].shaped([32, 2]).uniform(0.0, 1.0));
    let params = Params { kernel: spiq::random::zeros(&[4, 2]), bias: spiq::random::zeros(&[2]) };
    let file = std::env::temp_dir().join(format!("checkpoint-{}.safetensors", std::process::id()));

    let mut state = TrainState::new(&client, &params, adam(0.05), loss)?;
    for _ in 0..10 {
        state.step(&batch)?;
    }
    state.save(&file)?; // `spiq::save` and `spiq::load` do the same for any tree of arrays

    let mut state = TrainState::new(&client, &params, adam(0.05), loss)?;
    state.restore(&file)?;
    for _ in 0..9 {
        state.step(&batch)?;
    }
    let value = state.step(&batch)?.to_array()?;
    Ok((state.params()?, value))
}

#[allow(dead_code, reason = "a test calls `run`")]
fn main() -> spiq::Result<()> {
    println!("{:?}", run()?);
    Ok(())
}
