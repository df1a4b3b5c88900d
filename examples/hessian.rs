//! Second derivatives: the Hessian, its product with a vector without the matrix, and the Jacobian of a vector.
//!
//! `cargo run --release --example hessian`

use spiq::prelude::*;

fn rosenbrock(x: &Tensor) -> Tensor {
    let (x, next) = (x.slice_axis(0, 0, 3), x.slice_axis(0, 1, 4));
    let (a, b) = (next - &x * &x, 1.0 - x);
    (100.0 * (&a * &a) + &b * &b).sum()
}

fn product(x: &Tensor, v: &Tensor) -> Tensor {
    grad(x, |x| grad(x, rosenbrock).dot(v))
}

fn derivatives((x, v): (Tensor, Tensor)) -> (Tensor, Tensor, Tensor) {
    (hessian(&x, rosenbrock), product(&x, &v), jacobian(&x, |x| x.cumprod(0)))
}

/// The Hessian of Rosenbrock's function, its product with a vector, and the Jacobian of a cumulative product.
pub fn run() -> spiq::Result<(Array, Array, Array)> {
    jit(&Client::cpu()?, derivatives).call(&([0.5f32, -1.0, 1.5, 2.0].into(), [1.0f32, 2.0, 0.0, -1.0].into()))
}

#[allow(dead_code, reason = "a test calls `run`")]
fn main() -> spiq::Result<()> {
    println!("{:?}", run()?);
    Ok(())
}
