//! Constants and initial carries whose elements repeat over the lanes, as a bias does over the batch. A kernel reads the few elements that
//! differ, so that no other kernel has to write them out for all lanes first.

use spiq_hlo::{BroadcastInDim, Constant, Tensor};

/// An operand of a kernel: lane `i` reads element `i % period`.
pub(super) struct Repeated {
    /// The elements of one period.
    pub(super) elements: Tensor,
    /// Their number.
    pub(super) period: usize,
}

impl Repeated {
    /// The shortest form of an array of one element per lane.
    pub(super) fn of(array: &Tensor) -> Repeated {
        let elements = source(array).unwrap_or_else(|| array.clone());
        Repeated { period: elements.ty().count(), elements }
    }
}

/// The tensor whose elements repeat in this one, if it is a broadcast along its leading axes.
fn source(array: &Tensor) -> Option<Tensor> {
    let origin = array.origin();
    if let Some(constant) = origin.op.downcast::<Constant>() {
        let is_one_number = constant.value.dims().is_empty() && array.rank() > 0;
        return is_one_number.then(|| array.graph().scalar(array.dtype(), constant.value.to_f64()[0]));
    }
    let broadcast = origin.op.downcast::<BroadcastInDim>()?;
    let from = origin.operands.first()?;
    // Leading axes of length 1 are repeated as absent ones are.
    let ones = from.dims().iter().take_while(|length| **length == 1).count();
    let leading = array.rank() - (from.rank() - ones);
    let trailing = &array.dims()[leading..];
    let is_trailing = broadcast.axes[ones..].iter().copied().eq(leading..array.rank());
    (is_trailing && &from.dims()[ones..] == trailing).then(|| from.reshape(trailing))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Backend;
    use crate::backends::triton::Triton;
    use spiq_hlo::{DType, Graph, PrintOptions, TensorType, scan, trace};

    #[test]
    fn broadcasts_along_leading_axes_repeat() {
        let graph = Graph::new();
        let bias = graph.input("bias", TensorType::new(DType::F32, [3]));
        let periods = |tensors: &[Tensor]| tensors.iter().map(|t| Repeated::of(t).period).collect::<Vec<_>>();
        let whole = graph.input("whole", TensorType::new(DType::F32, [4, 3]));
        let found = periods(&[
            bias.broadcast_to(&[4, 3]),
            bias.broadcast_in_dim(&[3, 4], &[0]),
            bias.broadcast_to(&[2, 2, 3]),
            whole,
            graph.zeros(TensorType::new(DType::F32, [4, 3])),
            bias.index_axis(0, 0).broadcast_to(&[4, 3]),
            bias.reshape(&[1, 3]).broadcast_to(&[4, 3]),
            bias.reshape(&[3, 1]).broadcast_to(&[3, 4]),
        ]);
        assert_eq!(found, [3, 12, 3, 12, 1, 1, 3, 12]);
    }

    /// The kernel of a leaky integrator with one decay per column, which starts from zeros, reads three decays and one zero.
    #[test]
    fn a_kernel_reads_what_differs() {
        let types = [("x", TensorType::new(DType::F32, [5, 4, 3])), ("beta", TensorType::new(DType::F32, [3]))];
        let function = trace(&types, |v| {
            let (start, beta) = (v[0].graph().zeros(TensorType::new(DType::F32, [4, 3])), v[1].broadcast_to(&[4, 3]));
            let (last, all) = scan(&start, &v[0], |v, x| {
                let next = v * &beta + x;
                (next.clone(), next)
            });
            vec![last, all]
        });
        let called = Triton.call(&function.expect("a trace")).expect("a kernel").simplify();
        let text = called.stablehlo("test", &PrintOptions::default());
        assert!(text.contains("(tensor<3xf32>, tensor<f32>, tensor<5x4x3xf32>) -> (tensor<4x3xf32>"), "{text}");
        let index = |period: usize| text.contains(&format!("arith.constant dense<{period}> : tensor<32xi32>"));
        assert!(index(3) && index(1) && text.matches("arith.remsi").count() == 2, "{text}");
        assert!(!text.contains("broadcast_in_dim"), "{text}");
    }
}
