//! Traces in progress and finished: tensors, functions, the `Op` trait with the inputs of its rules, errors.
//!
//! Invariant: does not depend on any particular operation, nor on how lanes are executed.

pub(crate) mod axes;
pub(crate) mod batch;
pub(crate) mod dependence;
pub(crate) mod error;
pub(crate) mod function;
pub(crate) mod lane;
pub(crate) mod op;
pub(crate) mod range;
pub(crate) mod shard;
pub(crate) mod structure;
pub(crate) mod tensor;
pub(crate) mod trace;
pub(crate) mod tree;
