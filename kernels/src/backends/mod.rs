//! The table of back ends. To add one, add a file here with its `impl Backend`, its `mod` and its row; it is selected by the platform
//! name of the plugin.

mod mosaic;
mod processor;
mod triton;

use crate::backend::Backend;

/// All back ends.
pub const BACKENDS: &[&dyn Backend] = &[&processor::Processor, &triton::Triton, &mosaic::Mosaic];

/// The back end of a platform, if any.
///
/// ```
/// assert_eq!(spiq_kernels::backend("cuda").map(|backend| backend.name()), Some("triton"));
/// assert_eq!(spiq_kernels::backend("tpu").map(|backend| backend.name()), Some("mosaic"));
/// ```
pub fn backend(platform: &str) -> Option<&'static dyn Backend> {
    BACKENDS.iter().copied().find(|backend| backend.platforms().contains(&platform))
}
