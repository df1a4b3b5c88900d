//! A trace in progress and a finished one: tensors, functions, the `Op` trait with what its rules work with, errors.

pub(crate) mod axes;
pub(crate) mod batch;
pub(crate) mod dependence;
pub(crate) mod error;
pub(crate) mod function;
pub(crate) mod lane;
pub(crate) mod op;
pub(crate) mod range;
pub(crate) mod tensor;
pub(crate) mod trace;
pub(crate) mod tree;
