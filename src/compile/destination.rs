//! What a program is compiled for: the kernels that it may call, the options of its platform.

use spiq_hlo::Function;
use spiq_kernels::Backend;

use crate::error::Result;
use crate::kernel_calls::kernels_of;
use crate::pjrt::{Client, CompileOptions, Platform};

/// What a program is compiled for. The default is no device in particular: a program without kernels.
#[derive(Clone, Copy, Debug, Default)]
pub struct Destination {
    platform: Option<Platform>,
    kernels: Option<&'static dyn Backend>,
}

impl Destination {
    /// The devices of a client.
    pub fn of(client: &Client) -> Destination {
        Destination { platform: client.platform(), kernels: client.kernels() }
    }

    /// Devices of a platform that need not be there: those whose plugin takes all kernels that there are for it.
    pub fn ahead(platform: Platform) -> Destination {
        Destination { platform: Some(platform), kernels: kernels_of(platform) }
    }

    /// The same without kernels.
    #[must_use]
    pub fn without_kernels(self) -> Destination {
        Destination { kernels: None, ..self }
    }

    /// The function with calls of this destination's kernels in the place of what they compute.
    ///
    /// # Errors
    /// Of kind `Graph`; none for a function that was traced without errors.
    pub(super) fn call_kernels(&self, function: &Function) -> Result<Function> {
        Ok(self.kernels.map_or_else(|| Ok(function.clone()), |kernels| kernels.call(function))?)
    }

    /// What a function is compiled with here, beside options of its own.
    pub(super) fn options(&self, function: &Function, own: &CompileOptions) -> CompileOptions {
        let options = CompileOptions { inputs: Some(function.input_types()), ..own.clone() };
        options.for_largest(self.platform, largest(function))
    }
}

/// Bytes of the largest array.
fn largest(function: &Function) -> usize {
    let mut largest = 0;
    function.each_node(&mut |node, _| {
        let bytes = |ty: &spiq_hlo::TensorType| ty.count().saturating_mul(ty.dtype.bits()) / 8;
        largest = node.types.iter().map(bytes).fold(largest, usize::max);
    });
    largest
}
