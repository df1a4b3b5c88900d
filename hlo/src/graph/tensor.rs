//! A cheap handle to a value of a trace. Its operations are defined with their ops, in `ops/`.

use std::collections::BTreeSet;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use crate::graph::error::Violation;
use crate::graph::function::{Parameter, Value};
use crate::graph::op::Op;
use crate::graph::range::Range;
use crate::graph::trace::{Graph, Place};
use crate::types::dtype::DType;
use crate::types::tensor_type::TensorType;

/// A value of a trace in progress: cheap to clone and `'static`, so it can be a field of a struct.
///
/// Arithmetic on tensors is recorded, not computed. Operands of different shapes broadcast as in numpy; element types must be equal;
/// a Rust number takes the element type of the other operand. [`promotion`](crate::promotion) documents rounding and overflow.
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
    /// `None` for poison: the result of an invalid call.
    value: Option<Value>,
    ty: Rc<TensorType>,
}

/// The operation that computes a tensor.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The operation with its attributes.
    pub op: Arc<dyn Op>,
    /// Its operands.
    pub operands: Vec<Tensor>,
    /// Index of the tensor among the operation's outputs.
    pub output: usize,
}

impl Tensor {
    pub(crate) fn new(graph: &Graph, value: Value, ty: TensorType) -> Tensor {
        Tensor { graph: graph.clone(), value: Some(value), ty: Rc::new(ty) }
    }

    pub(crate) fn poison(graph: &Graph) -> Tensor {
        Tensor { graph: graph.clone(), value: None, ty: Rc::new(TensorType::scalar(DType::F32)) }
    }

    /// Whether this is the result of an invalid call. Anything computed from it is also poison, without a further error.
    pub fn is_poison(&self) -> bool {
        self.value.is_none()
    }

    /// The trace this value belongs to.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    pub(crate) fn value(&self) -> Value {
        self.value.expect("poison is handled before values are read")
    }

    /// The operation that computes it, its operands, and the index of this output. Must not be called on poison.
    pub fn origin(&self) -> Origin {
        let value = self.value();
        let node = self.graph.node(value.node);
        let operands = node.operands.iter().map(|operand| self.graph.tensor(*operand)).collect();
        Origin { op: node.op, operands, output: value.output }
    }

    /// Whether it is an input of a loop's body or of a branch: a value that the loop carries, for example.
    pub fn is_body_input(&self) -> bool {
        !self.is_poison() && self.graph.depth() > 0 && self.origin().op.downcast::<Parameter>().is_some()
    }

    /// Whether both are the same value of the same trace.
    pub fn is(&self, other: &Tensor) -> bool {
        self.graph.is(&other.graph) && self.value == other.value
    }

    /// The value and its trace.
    pub(crate) fn place(&self) -> Place {
        self.graph.place_of(self.value())
    }

    /// Names of the parameters that this value depends on. Inputs of a loop body that change each step (carries and slices) count as one
    /// parameter without a name. Poison has none.
    pub fn sources(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        if let Some(value) = self.value {
            self.graph.sources(value, &mut names);
        }
        names
    }

    /// The integers that the elements can be, as far as the operations imply it; `None` if nothing is known.
    pub fn range(&self) -> Option<Range> {
        self.value.and_then(|value| self.graph.range(value))
    }

    /// Whether every element is known to be 0 or 1, by its type or by the operations that compute it.
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

    /// Element type and shape. Poison returns `f32[]`.
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

    /// Records an error at the caller and returns poison.
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
