//! Random numbers: every draw is a function of a key, on the host and in a compiled program.
//!
//! `cargo run --release --example random_numbers`

use spiq::prelude::*;
use spiq::random::GraphKey;

fn in_program((key, logits): (Tensor, Tensor)) -> (Tensor, Tensor) {
    let (mask, classes) = GraphKey::new(&key).pair();
    let logits = logits.broadcast_to(&[6, 3]);
    (mask.bernoulli(&[2, 4], 0.3), classes.categorical(&logits, -1))
}

/// Draws of each kind.
#[derive(Debug, Tree)]
pub struct Draws<T = Tensor> {
    bits: T,
    fold_in: T,
    in_program: (T, T),
    normal: T,
    permutation: T,
    randint: T,
}

/// All draws from one key.
pub fn run() -> spiq::Result<Draws<Array>> {
    let root = Key::new(42);
    let keys = root.split(5);
    Ok(Draws {
        bits: keys[0].bits32(4).into(),
        fold_in: root.fold_in(7).to_array(),
        in_program: jit(&Client::cpu()?, in_program).call(&(keys[4].to_array(), [0.0f32, 1.0, 2.0].into()))?,
        normal: keys[1].shaped([2, 3]).normal(),
        permutation: keys[2].permutation(10).into_iter().map(|i| i as i32).collect::<Vec<_>>().into(),
        randint: keys[3].shaped([5]).randint::<i32>(-3, 4),
    })
}

#[allow(dead_code, reason = "a test calls `run`")]
fn main() -> spiq::Result<()> {
    println!("{:?}", run()?);
    Ok(())
}
