//! Element types, tensor types and host arrays. Depends on no other folder.

pub(crate) mod array;
pub(crate) mod dtype;
pub(crate) mod minifloat;
pub(crate) mod tensor_type;
