//! The back ends, and the table of them. A new one is a file here with its `impl Backend`, its `mod` and its row; it is chosen where a
//! plugin's platform has a name that it serves.

mod processor;
mod triton;

use crate::backend::Backend;

/// Every back end.
pub const BACKENDS: &[&dyn Backend] = &[&processor::Processor, &triton::Triton];

/// The back end for a platform, if there is one.
///
/// ```
/// assert_eq!(spiq_kernels::backend("cuda").map(|backend| backend.name()), Some("triton"));
/// assert!(spiq_kernels::backend("tpu").is_none());
/// ```
pub fn backend(platform: &str) -> Option<&'static dyn Backend> {
    BACKENDS.iter().copied().find(|backend| backend.platforms().contains(&platform))
}
