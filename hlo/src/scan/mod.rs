//! The loop over time: its operation, its reverse rule, and transforms built on them.

pub(crate) mod after_the_loop;
pub(crate) mod associative;
pub(crate) mod checkpoint;
pub(crate) mod operation;
pub(crate) mod residuals;
pub(crate) mod reverse;
pub(crate) mod running_sum;
pub(crate) mod scc;
pub(crate) mod split;
pub(crate) mod split_border;
