//! What computes kernels on a platform. A new one is a file with its `impl Backend`, and a row of [`BACKENDS`].

use std::fmt;

use spiq_hlo::{Function, GraphErrors, Op};

use crate::processor::Processor;
use crate::triton::Triton;

/// Puts calls of its kernels into functions.
pub trait Backend: fmt::Debug + Sync {
    /// Its name.
    fn name(&self) -> &'static str;

    /// The platforms whose programs it is for, as plugins name them (`cpu`, `cuda`).
    fn platforms(&self) -> &'static [&'static str];

    /// Names of the code that a runtime must have registered before a program calls it; none where a program holds its kernels.
    fn targets(&self) -> &'static [&'static str] {
        &[]
    }

    /// The function with calls of kernels in the place of what they compute.
    ///
    /// # Errors
    /// None for a function that was traced without errors.
    fn call(&self, function: &Function) -> Result<Function, GraphErrors>;

    /// What the kernel that an operation calls computes, if it is a call of this back end.
    fn describe(&self, op: &dyn Op) -> Option<String>;
}

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
