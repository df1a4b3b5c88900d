//! A cheap handle to a value of a trace. The operations on it stand with their ops, in `ops/`.

use std::collections::BTreeSet;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use crate::graph::error::Violation;
use crate::graph::function::Value;
use crate::graph::op::Op;
use crate::graph::range::Range;
use crate::graph::trace::{Graph, Place};
use crate::types::dtype::DType;
use crate::types::tensor_type::TensorType;

/// A value of a trace in progress: cheap to clone, and `'static`, so it can live in a struct.
///
/// Arithmetic on tensors is recorded, not computed. Operands of different shapes are broadcast as in numpy; element
/// types must be equal; a Rust number takes the element type of the tensor beside it. What becomes of results that a type does
/// not hold is told in [`promotion`](crate::promotion).
///
/// ```
/// use spiq_hlo::{trace, DType, TensorType};
/// let f = trace(&[("x", TensorType::new(DType::F32, [8]))], |x| vec![(&x[0] * 2.0 + 1.0).exp()])?;
/// assert_eq!(f.result_types()[0].to_string(), "f32[8]");
/// # Ok::<(), spiq_hlo::GraphErrors>(())
/// ```
#[derive(Clone)]
pub struct Tensor {
    graph: Graph,
    /// `None` for poison: the outcome of a wrong call.
    value: Option<Value>,
    ty: Rc<TensorType>,
}

/// How a tensor came about.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The operation with its attributes.
    pub op: Arc<dyn Op>,
    /// Its operands.
    pub operands: Vec<Tensor>,
    /// Which of its outputs the tensor is.
    pub output: usize,
}

impl Tensor {
    pub(crate) fn new(graph: &Graph, value: Value, ty: TensorType) -> Tensor {
        Tensor { graph: graph.clone(), value: Some(value), ty: Rc::new(ty) }
    }

    pub(crate) fn poison(graph: &Graph) -> Tensor {
        Tensor { graph: graph.clone(), value: None, ty: Rc::new(TensorType::scalar(DType::F32)) }
    }

    /// Whether this is the outcome of a wrong call. Anything made of it is poison too, without a further error.
    pub fn is_poison(&self) -> bool {
        self.value.is_none()
    }

    /// The trace this value belongs to.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    pub(crate) fn value(&self) -> Value {
        self.value.expect("poison is sorted out before values are read")
    }

    /// What computes it: the operation, its operands, and which of its outputs this is. Not to be asked of poison.
    pub fn origin(&self) -> Origin {
        let value = self.value();
        let node = self.graph.node(value.node);
        let operands = node.operands.iter().map(|operand| self.graph.tensor(*operand)).collect();
        Origin { op: node.op, operands, output: value.output }
    }

    /// Whether both are the same value of the same trace.
    pub fn is(&self, other: &Tensor) -> bool {
        self.graph.is(&other.graph) && self.value == other.value
    }

    /// Which value of which trace it is.
    pub(crate) fn place(&self) -> Place {
        self.graph.place_of(self.value())
    }

    /// Names of the parameters this value is computed from. What the body of a loop is given anew each step (carries and
    /// slices) counts as a parameter without a name. Poison has none.
    pub fn sources(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        if let Some(value) = self.value {
            self.graph.sources(value, &mut names);
        }
        names
    }

    /// Which integers the elements can be, as far as that follows from the operations; `None` where they may be anything.
    pub fn range(&self) -> Option<Range> {
        self.value.and_then(|value| self.graph.range(value))
    }

    /// Whether every element is known to be 0 or 1: as a boolean, or from the operations that it comes from.
    ///
    /// ```
    /// use spiq_hlo::{trace, DType, TensorType};
    /// trace(&[("v", TensorType::new(DType::F32, [4]))], |x| {
    ///     let spikes = x[0].gt(1.0).convert(DType::F32);
    ///     assert!(spikes.is_boolean() && spikes.convert(DType::S8).is_boolean());
    ///     assert!(!x[0].is_boolean() && !(&spikes + &spikes).is_boolean());
    ///     vec![]
    /// })?;
    /// # Ok::<(), spiq_hlo::GraphErrors>(())
    /// ```
    pub fn is_boolean(&self) -> bool {
        self.range().is_some_and(|range| range.is_within(Range { low: 0, high: 1 }))
    }

    /// Element type and shape. Poison says `f32[]`.
    pub fn ty(&self) -> &TensorType {
        &self.ty
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        self.ty.dtype
    }

    /// Size of each axis.
    pub fn dims(&self) -> &[usize] {
        &self.ty.dims
    }

    /// Number of axes.
    pub fn rank(&self) -> usize {
        self.ty.rank()
    }

    /// Keeps an error of the caller and yields poison.
    #[track_caller]
    pub(crate) fn fail(&self, op: &str, violation: Violation) -> Tensor {
        if self.is_poison() { self.clone() } else { self.graph.fail(op, violation) }
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value {
            Some(value) => write!(f, "%{}#{}: {}", value.node, value.output, self.ty),
            None => f.write_str("poison"),
        }
    }
}
