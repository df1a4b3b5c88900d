//! The levels of a nest written out: a single trace without loops, branches or inner functions.

use spiq_hlo::Tensor;

use super::{Body, Way};

pub struct Unrolled;

impl Way for Unrolled {
    fn vmap(&self, rows: [&Tensor; 3], f: &dyn Fn(&Tensor) -> Tensor) -> Vec<Tensor> {
        rows.into_iter().map(f).collect()
    }
    fn scan(
        &self,
        init: &Tensor,
        rows: [&Tensor; 2],
        f: &dyn Fn(&Tensor, &Tensor) -> (Tensor, Tensor),
    ) -> (Tensor, Tensor) {
        let (carry, first) = f(init, rows[0]);
        let (carry, second) = f(&carry, rows[1]);
        (carry, first + second)
    }
    fn repeat(&self, init: &Tensor, f: &dyn Fn(&Tensor) -> Tensor) -> Tensor {
        f(&f(init))
    }
    fn switch(&self, x: &Tensor, y: &Tensor, first: &dyn Fn() -> Tensor, second: &dyn Fn() -> Tensor) -> Tensor {
        x.sum().gt(y.sum()).select(&second(), &first())
    }
    fn checkpoint(&self, at: &Tensor, f: &dyn Fn(&Tensor) -> Tensor) -> Tensor {
        f(at)
    }
    fn custom_vjp(&self, scope: &[Tensor], f: Body<'_>) -> Tensor {
        f(scope)
    }
    fn jit(&self, scope: &[Tensor], f: Body<'_>) -> Tensor {
        f(scope)
    }
}
