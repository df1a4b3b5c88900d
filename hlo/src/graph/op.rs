//! The `Op` trait: name, shape rule, attributes, reverse rule, batching rule.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use crate::graph::batch::Mapped;
use crate::graph::error::Violation;
use crate::graph::function::{Function, Rewrite};
use crate::graph::lane::Lane;
use crate::graph::range::{Range, Ranges};
use crate::graph::shard::{Laid, Local, Split};
use crate::graph::tensor::Tensor;
use crate::types::tensor_type::TensorType;

/// The types of an operation's outputs, or the constraint that its operands violate.
pub type Infer = Result<Vec<TensorType>, Violation>;

/// One cotangent per operand; `None` is zero.
pub type Cotangents = Vec<Option<Tensor>>;

/// The input of a reverse rule.
pub struct Reverse<'a> {
    /// Cotangent of each output; `None` is zero. At least one is `Some`.
    pub cts: &'a [Option<Tensor>],
    /// The operands.
    pub ins: &'a [Tensor],
    /// The outputs.
    pub outs: &'a [Tensor],
    /// Which operands' cotangents are needed; the others may be `None`.
    pub needs: &'a [bool],
}

impl Reverse<'_> {
    /// The cotangent of an operation's only output.
    pub fn ct(&self) -> &Tensor {
        self.cts[0].as_ref().expect("the reverse sweep visits a node only with a cotangent")
    }
}

/// Whether the backward pass of a scan may rematerialize a value instead of storing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recompute {
    /// Elementwise operations and layout changes, which XLA fuses into their consumers.
    Cheap,
    /// Dots, reductions over large operands, loops: stored, never rematerialized.
    Costly,
}

/// An operation without its unused outputs, and without the operands that only those needed.
pub struct Narrowed {
    /// The narrowed operation.
    pub op: Arc<dyn Op>,
    /// The operands it keeps, by their old index.
    pub operands: Vec<usize>,
    /// The outputs it keeps, by their old index.
    pub outputs: Vec<usize>,
}

/// Equality of type-erased operations; every type with `PartialEq` implements it.
pub trait SameAs {
    /// Whether `other` has the same type and is equal.
    fn is_same(&self, other: &dyn Any) -> bool;
}

impl<T: PartialEq + Any> SameAs for T {
    fn is_same(&self, other: &dyn Any) -> bool {
        other.downcast_ref::<T>().is_some_and(|other| self == other)
    }
}

/// An operation with its attributes. Equal operations (`PartialEq`) must compute the same results from the same operands, because
/// nodes that apply them to the same operands are merged. One impl of this trait holds everything the library needs about an op.
pub trait Op: SameAs + fmt::Debug + Any + Send + Sync {
    /// The StableHLO mnemonic, without the dialect.
    fn name(&self) -> &'static str;

    /// Output types from operand types.
    ///
    /// # Errors
    /// The constraint of the specification that the operands violate.
    fn infer(&self, operands: &[TensorType]) -> Infer;

    /// Printed attributes: names and MLIR text.
    fn attrs(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// Whether the operation is code that expects row-major arrays. A compiler chooses the layouts of all others.
    fn is_row_major(&self) -> bool {
        false
    }

    /// The functions that are printed as regions, for operands of these types.
    fn regions(&self, _operands: &[TensorType]) -> Vec<Function> {
        Vec::new()
    }

    /// The first operand that is not printed: regions read it and the following ones as their parameters.
    fn implicit_operands(&self) -> Option<usize> {
        None
    }

    /// Cotangents of the operands. The sweep handles broadcasting, accumulation and zeros.
    fn vjp(&self, _: &Reverse) -> Cotangents;

    /// Whether cotangents pass through it; false where the derivative is zero by definition.
    fn has_derivative(&self) -> bool {
        true
    }

    /// Whether each element of its only output is computed from the operands' elements at the same index.
    fn is_elementwise(&self) -> bool {
        false
    }

    /// Whether it selects between its second and third operands, elementwise, by its first.
    fn is_choice(&self) -> bool {
        false
    }

    /// The computation of one lane (one element of each operand, all of one shape). `None`: no kernel can compute it by lanes, and XLA
    /// compiles any loop that contains it.
    fn lane(&self) -> Option<Lane> {
        None
    }

    /// The same operation over an additional leading axis. `None`: it has no batching rule.
    fn batch(&self, _: &Mapped) -> Option<Vec<Tensor>> {
        None
    }

    /// The operation on one of several devices, some of whose operands are parts. `None`: it has no rule for these parts, so they are
    /// gathered, and each device computes all of it.
    fn shard(&self, local: &Local) -> Option<Vec<Laid>> {
        if self.is_elementwise() { local.elementwise() } else { None }
    }

    /// The operation that computes one device's part of its only output, of these sizes, from the same operands; `None` if it computes all
    /// of it.
    fn for_part(&self, _split: Split, _dims: &[usize]) -> Option<Arc<dyn Op>> {
        None
    }

    /// The integers that each output can hold, if it holds integers; an empty list means that nothing is known.
    fn range(&self, _: &Ranges) -> Vec<Option<Range>> {
        Vec::new()
    }

    /// Whether a backward pass may rematerialize it.
    fn recompute(&self) -> Recompute {
        Recompute::Cheap
    }

    /// Whether two nodes with the same operation and the same operands have the same value.
    fn is_pure_data(&self) -> bool {
        true
    }

    /// Applies the operation to `operands`, rewriting its functions. Only ops with bodies override it.
    fn retrace(&self, _operands: &[Tensor], _rewrite: &mut Rewrite) -> Option<Vec<Tensor>> {
        None
    }

    /// The operation with each of its functions replaced by an equivalent one. Only ops with bodies override it.
    fn map_bodies(&self, _change: &dyn Fn(&Function) -> Function) -> Option<Arc<dyn Op>> {
        None
    }

    /// The operation narrowed to the outputs that are read. `None`: it cannot be narrowed.
    fn narrow(&self, _read: &[bool]) -> Option<Narrowed> {
        None
    }

    /// Whether StableHLO has this operation for these operand types; otherwise [`lower`](Op::lower) expresses it in StableHLO operations.
    fn is_stablehlo(&self, _operands: &[TensorType]) -> bool {
        true
    }

    /// Whether it is lowered last; unused carries of a loop can no longer be removed afterwards.
    fn lowers_last(&self, _operands: &[TensorType]) -> bool {
        false
    }

    /// The operation expressed in simpler ones. Only ops that StableHLO lacks override it.
    fn lower(&self, _operands: &[Tensor]) -> Option<Vec<Tensor>> {
        None
    }
}

impl PartialEq for dyn Op {
    fn eq(&self, other: &dyn Op) -> bool {
        self.is_same(other)
    }
}

impl dyn Op {
    /// Downcasts the operation to `T`.
    pub fn downcast<T: Op>(&self) -> Option<&T> {
        (self as &dyn Any).downcast_ref()
    }
}
