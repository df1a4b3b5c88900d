//! Which kernels of this library programs of a platform may call.

use spiq_kernels::{Backend, backend};

use super::folders::variable;
use super::platform::Platform;

/// Whether kernels are called at all: not with `SPIQ_NO_KERNELS=1`.
pub(super) fn are_wanted() -> bool {
    variable("SPIQ_NO_KERNELS").is_none_or(|value| value == "0")
}

/// Those for a platform, whose plugin need not be there.
pub(crate) fn kernels_of(platform: Platform) -> Option<&'static dyn Backend> {
    backend(platform.name()).filter(|_| are_wanted())
}
