//! The table of back ends. A new one is a file with its `impl Backend`, and a row here.

use crate::backend::Backend;
use crate::processor::Processor;
use crate::triton::Triton;

/// Every back end.
pub const BACKENDS: &[&dyn Backend] = &[&Processor, &Triton];

/// The back end for a platform, if there is one.
///
/// ```
/// assert_eq!(spiq_kernels::backend("cuda").map(|backend| backend.name()), Some("triton"));
/// assert!(spiq_kernels::backend("tpu").is_none());
/// ```
pub fn backend(platform: &str) -> Option<&'static dyn Backend> {
    BACKENDS.iter().copied().find(|backend| backend.platforms().contains(&platform))
}
