//! Which kernels of this library a plugin's programs can call.

/// A kind of kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernels {
    /// Code of this library that runs on the processor, registered with the plugin.
    Processor,
    /// Text of Triton inside the program, which the plugin compiles for an NVIDIA card.
    Triton,
}
