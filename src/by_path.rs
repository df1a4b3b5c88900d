//! Tensors and their types by path, as parameters, state and statistics are kept: `core/layers/0/kernel`.

use std::collections::BTreeMap;

use spiq_hlo::{Tensor, TensorType};

/// Tensors by path.
pub(crate) type Tensors = BTreeMap<String, Tensor>;
/// Types by path.
pub(crate) type Types = BTreeMap<String, TensorType>;
