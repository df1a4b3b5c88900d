//! The levels of a nest implemented with the library's transforms.

use spiq_hlo::{DType, Tensor, TensorType, checkpoint, custom_vjp, scan, switch, trace, vjp, vmap, while_loop};

use super::{Body, Way, stacked};

pub struct Transformed;

impl Way for Transformed {
    fn vmap(&self, rows: [&Tensor; 3], f: &dyn Fn(&Tensor) -> Tensor) -> Vec<Tensor> {
        let results = vmap(&stacked(&rows), |row: Tensor| f(&row));
        (0..rows.len()).map(|i| results.index_axis(0, i)).collect()
    }
    fn scan(
        &self,
        init: &Tensor,
        rows: [&Tensor; 2],
        f: &dyn Fn(&Tensor, &Tensor) -> (Tensor, Tensor),
    ) -> (Tensor, Tensor) {
        let (last, results) = scan(init, &stacked(&rows), |carry: Tensor, row: Tensor| f(&carry, &row));
        (last, results.reduce_sum([0]))
    }
    fn repeat(&self, init: &Tensor, f: &dyn Fn(&Tensor) -> Tensor) -> Tensor {
        let start = (init.graph().scalar(DType::S32, 0.0), init.clone());
        while_loop(&start, |(step, _)| step.lt(2.0), |(step, carry)| (step + 1.0, f(&carry))).1
    }
    fn switch(&self, x: &Tensor, y: &Tensor, first: &dyn Fn() -> Tensor, second: &dyn Fn() -> Tensor) -> Tensor {
        let index = x.sum().gt(y.sum()).convert(DType::S32);
        switch(&index, vec![Box::new(first), Box::new(second)])
    }
    fn checkpoint(&self, at: &Tensor, f: &dyn Fn(&Tensor) -> Tensor) -> Tensor {
        checkpoint(at, |at: &Tensor| f(at))
    }
    fn custom_vjp(&self, scope: &[Tensor], f: Body<'_>) -> Tensor {
        let backward = |scope: &Vec<Tensor>, _: &Tensor, ct: &Tensor| {
            let at: Vec<Tensor> = scope.iter().map(Tensor::identity).collect();
            vjp(&[f(&at)], &[Some(ct.clone())], &at)
        };
        custom_vjp("custom", &scope.to_vec(), |scope: &Vec<Tensor>| f(scope), backward)
    }
    fn jit(&self, scope: &[Tensor], f: Body<'_>) -> Tensor {
        let types: Vec<(&str, TensorType)> = scope.iter().map(|t| ("", t.ty().clone())).collect();
        let function = trace(&types, |scope| vec![f(scope)]).unwrap_or_else(|e| panic!("{e}"));
        function.call(scope[0].graph(), scope).swap_remove(0)
    }
}
