//! Element types, tensor types and host arrays.
//!
//! Invariant: does not depend on any other folder.

pub(crate) mod array;
pub(crate) mod dtype;
pub(crate) mod minifloat;
pub(crate) mod tensor_type;
