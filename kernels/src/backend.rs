//! The `Backend` trait: the kernels of a platform.

use std::fmt;

use spiq_hlo::{Function, GraphErrors, Op};

/// Replaces parts of functions by calls of its kernels.
pub trait Backend: fmt::Debug + Sync {
    /// The name of the back end.
    fn name(&self) -> &'static str;

    /// The platforms it serves, by the names that plugins report (`cpu`, `cuda`).
    fn platforms(&self) -> &'static [&'static str];

    /// Names of the code that must be registered with the runtime before a program calls it; empty if programs contain their kernels.
    fn targets(&self) -> &'static [&'static str] {
        &[]
    }

    /// The function with calls of kernels instead of the operations they compute.
    ///
    /// # Errors
    /// None for a function that was traced without errors.
    fn call(&self, function: &Function) -> Result<Function, GraphErrors>;

    /// The loops over time in a function returned by [`call`](Backend::call) that no kernel computes: module path, and the reason as the end
    /// of a sentence about the loop.
    fn remaining(&self, function: &Function) -> Vec<(String, String)>;

    /// A description of the kernel that an operation calls, if it is a call of this back end.
    fn describe(&self, op: &dyn Op) -> Option<String>;
}
