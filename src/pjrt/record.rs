//! Records how a client's programs spend their time: with the plugin's profiler, or, for a CPU plugin without one, by timing the calls of
//! this library's kernels.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::abi::platform::Platform;
use super::client::Client;
use super::ffi;
use super::profiler::{Operation, Profile};
use crate::error::Result;

/// The name of the time in which no kernel of this library runs.
const REST: &str = "XLA's own operations, and the call itself";

impl Client {
    /// Records the programs that run during `work`, which must wait for them itself.
    ///
    /// # Errors
    /// Those of `work` and of [`Profiler::record`](super::Profiler::record); [`ErrorKind::Plugin`](crate::ErrorKind::Plugin) when the plugin
    /// of a device other than the CPU has no profiler.
    pub fn record(&self, work: impl FnOnce() -> Result<()>) -> Result<Profile> {
        match self.plugin().profiler() {
            Ok(profiler) => profiler.record(work),
            Err(_) if self.platform() == Some(Platform::Cpu) => by_kernels(work),
            Err(error) => Err(error),
        }
    }

    /// Whether [`record`](Client::record) works.
    ///
    /// # Errors
    /// [`ErrorKind::Plugin`](crate::ErrorKind::Plugin) when it does not.
    pub fn can_record(&self) -> Result<()> {
        match self.platform() {
            Some(Platform::Cpu) => Ok(()),
            _ => self.plugin().profiler().map(drop),
        }
    }
}

/// The calls of kernels, summed by what they compute, and the rest of the time.
fn by_kernels(work: impl FnOnce() -> Result<()>) -> Result<Profile> {
    let start = Instant::now();
    let (done, runs) = ffi::record(work);
    let elapsed = start.elapsed();
    done?;
    let mut kernels: BTreeMap<String, Operation> = BTreeMap::new();
    let mut elsewhere = Duration::ZERO;
    for run in runs {
        let empty = || Operation { bytes: Some(0), operations: Some(0), ..Operation::named(&run.name) };
        let kernel = kernels.entry(run.name.clone()).or_insert_with(empty);
        kernel.launches += 1;
        kernel.time += run.time;
        kernel.bytes = kernel.bytes.map(|bytes| bytes + run.bytes);
        kernel.operations = kernel.operations.zip(run.operations).map(|(all, more)| all + more);
        elsewhere += run.time + run.counting;
    }
    let rest = Operation { time: elapsed.saturating_sub(elsewhere), ..Operation::named(REST) };
    Ok(Profile::sorted(kernels.into_values().chain([rest]).collect(), Vec::new()))
}
