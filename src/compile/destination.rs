//! Compilation targets: available kernels and platform options.

use spiq_hlo::Function;
use spiq_kernels::Backend;

use super::for_cuda::{
    exact_small_quotients, integer_convolutions_in_floats, padded_products, small_carries_in_row_major_order,
};
use super::program::Program;
use super::sharding::Sharding;
use crate::error::Result;
use crate::kernel_calls::kernels_of;
use crate::pjrt::{Client, CompileOptions, Platform};

/// A compilation target. The default is no particular device: a program without kernels.
#[derive(Clone, Copy, Debug, Default)]
pub struct Destination {
    platform: Option<Platform>,
    kernels: Option<&'static dyn Backend>,
    pub(super) full_precision: bool,
    /// The number of the process, if each compiles a separate program.
    process: Option<usize>,
}

impl Destination {
    /// The devices of a client.
    pub fn of(client: &Client) -> Destination {
        Destination {
            platform: client.platform(),
            kernels: client.kernels(),
            full_precision: client.full_precision(),
            process: client.exchanges_as(),
        }
    }

    /// Devices of a platform that need not be present, assumed to support all kernels for that platform.
    pub fn ahead(platform: Platform) -> Destination {
        Destination { platform: Some(platform), kernels: kernels_of(platform), full_precision: false, process: None }
    }

    /// The same target without kernels.
    #[must_use]
    pub fn without_kernels(self) -> Destination {
        Destination { kernels: None, ..self }
    }

    /// The function of one device out of several.
    ///
    /// # Errors
    /// Kind `Graph` for an input that cannot be divided evenly.
    pub(super) fn shard(&self, program: &Program, function: &Function) -> Result<Function> {
        let Program { sharding, donated, .. } = program;
        match self.process {
            Some(process) => sharding.apply_for(process, function, donated),
            None => Ok(sharding.apply(function, donated)?.function),
        }
    }

    /// The number of devices that run one compiled program, out of all those of a sharding.
    pub(super) fn devices_of_one_program(&self, sharding: &Sharding) -> usize {
        if self.process.is_some() { 1 } else { sharding.devices }
    }

    /// The function in the operations that this target's compiler computes as the graph defines them.
    ///
    /// # Errors
    /// Kind `Graph`; none for a function that was traced without errors.
    pub(super) fn adapt(&self, function: &Function) -> Result<Function> {
        Ok(match self.platform {
            Some(Platform::Cpu) => function.clone(),
            Some(Platform::Cuda) => {
                let function = function.with_maxima_of_magnitudes()?;
                padded_products(&integer_convolutions_in_floats(&function)?)?
            }
            Some(Platform::Tpu) | None => function.with_maxima_of_magnitudes()?,
        })
    }

    /// The function with the operations that this target's kernels compute replaced by calls of the kernels.
    ///
    /// # Errors
    /// Kind `Graph`; none for a function that was traced without errors.
    pub(super) fn call_kernels(&self, function: &Function) -> Result<Function> {
        let called = self.kernels.map_or_else(|| Ok(function.clone()), |kernels| kernels.call(function))?;
        Ok(match self.platform {
            // The kernels divide exactly.
            Some(Platform::Cuda) => small_carries_in_row_major_order(&exact_small_quotients(&called)?)?,
            _ => called,
        })
    }

    /// The kernels of this target.
    pub(crate) fn kernels(&self) -> Option<&'static dyn Backend> {
        self.kernels
    }

    /// The compile options of a function for this target, on top of its own options.
    pub(super) fn options(&self, function: &Function, own: &CompileOptions) -> CompileOptions {
        let options = CompileOptions { inputs: Some(function.input_types()), ..own.clone() };
        options.for_largest(self.platform, largest(function))
    }
}

/// Size of the largest array, in bytes.
fn largest(function: &Function) -> usize {
    let mut largest = 0;
    function.each_node(&mut |node, _| {
        let bytes = |ty: &spiq_hlo::TensorType| ty.count().saturating_mul(ty.dtype.bits()) / 8;
        largest = node.types.iter().map(bytes).fold(largest, usize::max);
    });
    largest
}
