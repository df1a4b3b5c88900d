//! What computes kernels on a platform.

use std::fmt;

use spiq_hlo::{Function, GraphErrors, Op};

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
