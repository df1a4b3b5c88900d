//! The devices of a client and their memory.

use std::fmt;
use std::sync::Arc;

use super::abi::sys;
use super::raw_client::{Described, RawClient};
use crate::error::Result;

/// A device that programs can run on; cheap to clone.
#[derive(Clone)]
pub struct Device {
    client: Arc<RawClient>,
    index: usize,
}

/// Memory size and usage of a device, in bytes. `None`: the plugin does not report the value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryStats {
    /// In use now.
    pub in_use: i64,
    /// Peak usage.
    pub peak: Option<i64>,
    /// The most that may be used.
    pub limit: Option<i64>,
    /// Total number of allocations.
    pub allocations: Option<i64>,
    /// The largest allocation.
    pub largest: Option<i64>,
}

impl Device {
    pub(super) fn new(client: Arc<RawClient>, index: usize) -> Device {
        Device { client, index }
    }

    /// The id that [`CompileOptions::device`](super::CompileOptions::device) takes.
    pub fn id(&self) -> i32 {
        self.described().id
    }

    /// The kind of device, for example `NVIDIA H200` or `cpu`.
    pub fn kind(&self) -> &str {
        &self.described().kind
    }

    /// The plugin's description.
    pub fn description(&self) -> &str {
        &self.described().description
    }

    /// Current memory usage.
    ///
    /// # Errors
    /// Errors from PJRT: CPU plugins do not track their memory (`UNIMPLEMENTED`).
    pub fn memory_stats(&self) -> Result<MemoryStats> {
        // SAFETY: the device lives as long as the client, which `self` holds.
        let got = unsafe { self.client.api.call::<sys::DeviceMemoryStats>(|a| a.device = self.raw()) }?;
        let known = |set: bool, value: i64| set.then_some(value);
        Ok(MemoryStats {
            in_use: got.bytes_in_use,
            peak: known(got.peak_bytes_in_use_is_set, got.peak_bytes_in_use),
            limit: known(got.bytes_limit_is_set, got.bytes_limit),
            allocations: known(got.num_allocs_is_set, got.num_allocs),
            largest: known(got.largest_alloc_size_is_set, got.largest_alloc_size),
        })
    }

    pub(super) fn raw(&self) -> *mut sys::Device {
        self.described().raw
    }

    pub(super) fn client(&self) -> &Arc<RawClient> {
        &self.client
    }

    fn described(&self) -> &Described {
        &self.client.devices[self.index]
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Device({}: {})", self.id(), self.kind())
    }
}
