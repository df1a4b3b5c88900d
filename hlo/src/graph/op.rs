//! What an operation is: a name, a shape rule, attributes, a reverse rule, a batching rule. Knows no particular one.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use crate::graph::batch::Mapped;
use crate::graph::error::Violation;
use crate::graph::function::{Function, Rewrite};
use crate::graph::lane::Lane;
use crate::graph::range::{Range, Ranges};
use crate::graph::tensor::Tensor;
use crate::types::tensor_type::TensorType;

/// The types of an operation's outputs, or the constraint its operands break.
pub type Infer = Result<Vec<TensorType>, Violation>;

/// One cotangent per operand; `None` stands for zero.
pub type Cotangents = Vec<Option<Tensor>>;

/// What a reverse rule works with.
pub struct Reverse<'a> {
    /// Cotangent of each output; `None` stands for zero. At least one is there.
    pub cts: &'a [Option<Tensor>],
    /// The operands.
    pub ins: &'a [Tensor],
    /// The outputs.
    pub outs: &'a [Tensor],
    /// Which operands' cotangents will be read; the others may be `None`.
    pub needs: &'a [bool],
}

impl Reverse<'_> {
    /// The cotangent of an operation's only output.
    pub fn ct(&self) -> &Tensor {
        self.cts[0].as_ref().expect("the reverse sweep visits a node only with a cotangent")
    }
}

/// Whether the reverse pass of a scan may compute a value again instead of storing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recompute {
    /// Elementwise work and layout changes, which XLA fuses into their readers.
    Cheap,
    /// Dots, reductions over large operands, loops: stored, never repeated.
    Costly,
}

/// An operation without the outputs that nobody reads, and without the operands that only those needed.
pub struct Narrowed {
    /// The operation that is left.
    pub op: Arc<dyn Op>,
    /// Which operands it takes, by their old index.
    pub operands: Vec<usize>,
    /// Which outputs it gives, by their old index.
    pub outputs: Vec<usize>,
}

/// Equality of operations whose types are not known: every type with `PartialEq` has it.
pub trait SameAs {
    /// Whether `other` is of the same type and equal.
    fn is_same(&self, other: &dyn Any) -> bool;
}

impl<T: PartialEq + Any> SameAs for T {
    fn is_same(&self, other: &dyn Any) -> bool {
        other.downcast_ref::<T>().is_some_and(|other| self == other)
    }
}

/// An operation with its attributes. Equal operations (`PartialEq`) must compute the same from the same operands: nodes that apply
/// them to the same operands are merged. Everything the library knows about an op stands in its one impl of this trait.
pub trait Op: SameAs + fmt::Debug + Any + Send + Sync {
    /// The StableHLO mnemonic, without the dialect.
    fn name(&self) -> &'static str;

    /// Output types from operand types.
    ///
    /// # Errors
    /// The specification's constraint that the operands break.
    fn infer(&self, operands: &[TensorType]) -> Infer;

    /// Printed attributes: name and MLIR text.
    fn attrs(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// The functions printed as regions, operand types given.
    fn regions(&self, _operands: &[TensorType]) -> Vec<Function> {
        Vec::new()
    }

    /// Operands from this index on are not printed: the regions read them as their parameters.
    fn implicit_operands(&self) -> Option<usize> {
        None
    }

    /// Cotangents of the operands. Broadcasting, accumulation and zeros belong to the sweep, not here.
    fn vjp(&self, _: &Reverse) -> Cotangents;

    /// Whether cotangents pass through it. They do not where its derivative is zero by definition.
    fn has_derivative(&self) -> bool {
        true
    }

    /// Whether each element of its one output is computed of the elements at the same place of its operands.
    fn is_elementwise(&self) -> bool {
        false
    }

    /// Whether it hands on the elements of its second operand where the first one is true, those of the third elsewhere.
    fn is_choice(&self) -> bool {
        false
    }

    /// What it computes of one lane: one element of each operand, all of one shape. `None`: no kernel computes it by lanes, and a
    /// loop that has it stays with the compiler.
    fn lane(&self) -> Option<Lane> {
        None
    }

    /// The same operation over one more leading axis. `None`: there is no rule.
    fn batch(&self, _: &Mapped) -> Option<Vec<Tensor>> {
        None
    }

    /// Which integers the outputs can hold, if they hold integers; an empty list says nothing of any of them.
    fn range(&self, _: &Ranges) -> Vec<Option<Range>> {
        Vec::new()
    }

    /// Whether a reverse pass may repeat it.
    fn recompute(&self) -> Recompute {
        Recompute::Cheap
    }

    /// Whether nodes of the same operation with the same operands are the same value.
    fn is_pure_data(&self) -> bool {
        true
    }

    /// Applies the operation to `operands`, rewriting any function it holds. Only ops with bodies override it.
    fn retrace(&self, _operands: &[Tensor], _rewrite: &mut Rewrite) -> Option<Vec<Tensor>> {
        None
    }

    /// The operation with each function that it holds replaced by an equivalent one. Only ops with bodies override it.
    fn map_bodies(&self, _change: &dyn Fn(&Function) -> Function) -> Option<Arc<dyn Op>> {
        None
    }

    /// What is left of the operation when only these outputs are read. `None`: all of it.
    fn narrow(&self, _read: &[bool]) -> Option<Narrowed> {
        None
    }

    /// Whether StableHLO has this operation, of operands of these types; if not, [`lower`](Op::lower) says it in operations that it has.
    fn is_stablehlo(&self, _operands: &[TensorType]) -> bool {
        true
    }

    /// Whether it waits with that until nothing else is left to say: a loop can be narrowed no more afterwards.
    fn lowers_last(&self, _operands: &[TensorType]) -> bool {
        false
    }

    /// What the operation is in simpler ones. Only ops that are not StableHLO's override it.
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
    /// The operation as its concrete type, if it is a `T`.
    pub fn downcast<T: Op>(&self) -> Option<&T> {
        (self as &dyn Any).downcast_ref()
    }
}
