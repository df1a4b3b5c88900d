//! A small use of an operation, which one generic test prints, runs and differentiates.

use crate::graph::tensor::Tensor;
use crate::types::dtype::DType;
use crate::types::tensor_type::TensorType;

/// The interval from which an input's values are drawn uniformly.
#[derive(Clone, Copy, Debug)]
pub struct Domain {
    /// Smallest value.
    pub low: f64,
    /// Largest value.
    pub high: f64,
}

/// Records a program on its inputs.
pub type Build = Box<dyn Fn(&[Tensor]) -> Vec<Tensor>>;

/// One use of an operation: inputs with their domains, and a program on them.
pub struct Sample {
    /// The operation, with a description of this use if there are several.
    pub name: String,
    /// Input types and the intervals of their values. The generic test differentiates with respect to the f64 inputs.
    pub inputs: Vec<(TensorType, Domain)>,
    /// Records the program.
    pub build: Build,
    /// Whether the results have a derivative to compare with finite differences.
    pub differentiable: bool,
}

impl Sample {
    /// A differentiable sample without inputs; add them with [`input`](Sample::input).
    pub fn new(name: impl Into<String>, build: impl Fn(&[Tensor]) -> Vec<Tensor> + 'static) -> Sample {
        let name = name.into();
        Sample { name, inputs: Vec::new(), build: Box::new(build), differentiable: true }
    }

    /// Adds an input with values drawn from `low..=high`.
    pub fn input(mut self, dtype: DType, dims: impl Into<Vec<usize>>, low: f64, high: f64) -> Sample {
        self.inputs.push((TensorType::new(dtype, dims), Domain { low, high }));
        self
    }

    /// Excludes the sample from differentiation: an integer operation, or one whose derivative is zero by definition.
    pub fn forward_only(mut self) -> Sample {
        self.differentiable = false;
        self
    }
}
