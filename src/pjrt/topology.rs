//! Ahead-of-time compilation for described hardware that need not be present.

use std::collections::BTreeMap;
use std::sync::Arc;

use spiq_hlo::TensorType;

use super::abi::api::{self, Api, Value};
use super::abi::sys;
use super::dump::Dump;
use super::flags;
use super::llvm::Llvm;
use super::options::CompileOptions;
use super::plugin::Plugin;
use super::program::{self, CompiledMemory, Program};
use super::signature::Signature;
use crate::error::Result;

/// A description of a set of devices. CPU plugins have none.
///
/// A TPU has a name (`v5e:2x2`, `tpu7x:1x1x1`). For NVIDIA the name is empty, and the options are `topology` (`1x1x1`) and
/// `target_config` (a text protocol buffer).
#[derive(Clone)]
pub struct Topology {
    plugin: Plugin,
    raw: Arc<Raw>,
}

/// A program compiled for a [`Topology`].
pub struct Ahead {
    program: Program,
    signature: Signature,
    // Dropped in order: the program first.
    _topology: Arc<Raw>,
}

impl Topology {
    /// Describes devices by the plugin's names.
    ///
    /// # Errors
    /// Errors from PJRT when the plugin does not support these devices or cannot compile ahead of time.
    pub fn new(plugin: Plugin, name: &str, options: &[(String, Value)]) -> Result<Topology> {
        let (api, named) = (plugin.api(), api::write_named(options));
        // SAFETY: name and options outlive the call.
        let made = unsafe {
            api.call::<sys::TopologyCreate>(|a| {
                (a.name, a.name_size) = (name.as_ptr().cast(), name.len());
                (a.create_options, a.num_options) = (named.as_ptr(), named.len());
            })
        }?;
        Ok(Topology { plugin, raw: Arc::new(Raw { api, raw: made.topology, llvm: Llvm::new(plugin.platform()) }) })
    }

    /// The kind of each device.
    ///
    /// # Errors
    /// Errors from PJRT.
    pub fn kinds(&self) -> Result<Vec<String>> {
        let api = self.raw.api;
        // SAFETY: the topology is alive, and its lists and texts live as long.
        unsafe {
            let got = api.call::<sys::TopologyGetDeviceDescriptions>(|a| a.topology = self.raw.raw)?;
            let kind = |&description: &*mut sys::DeviceDescription| {
                let kind = api.call::<sys::DeviceDescriptionKind>(|a| a.description = description)?;
                Ok(api::text(kind.kind, kind.kind_size))
            };
            api::slice(got.descriptions, got.num_descriptions).iter().map(kind).collect()
        }
    }

    /// Compiles StableHLO text for the devices.
    ///
    /// # Errors
    /// Errors from PJRT.
    pub fn compile(&self, text: &str, options: &CompileOptions) -> Result<Ahead> {
        let flags = flags::of_programs(self.plugin.platform(), self.plugin.cuda_dir());
        let base = self.raw.llvm.base(|text, options| self.compile_with(text, options)?.debug_options())?;
        let program = self.compile_with(text, &options.encode(&flags, base))?;
        let signature = program.signature(options.inputs.as_deref())?;
        Ok(Ahead { program, signature, _topology: self.raw.clone() })
    }

    /// Compiles with encoded options.
    fn compile_with(&self, text: &str, options: &[u8]) -> Result<Program> {
        let (api, source) = (self.raw.api, program::source(text));
        // SAFETY: text and options outlive the call; we own the program.
        unsafe {
            let made = api.call::<sys::Compile>(|a| {
                a.topology = self.raw.raw;
                a.program = &raw const source;
                (a.options, a.options_size) = (options.as_ptr().cast(), options.len());
            })?;
            Ok(Program::new(api, made.executable))
        }
    }

    /// Compiles StableHLO text for the devices, and keeps the files that XLA writes.
    ///
    /// # Errors
    /// As [`Topology::compile`].
    pub fn dump(&self, text: &str, options: &CompileOptions) -> Result<(Ahead, Dump)> {
        Dump::of(options, |options| self.compile(text, options))
    }
}

impl Ahead {
    /// The types of the inputs, where they are known.
    pub fn inputs(&self) -> Option<&[TensorType]> {
        self.signature.inputs.as_deref()
    }

    /// The types of the outputs.
    pub fn outputs(&self) -> &[TensorType] {
        &self.signature.outputs
    }

    /// The compiled program as bytes, for [`Client::deserialize`](super::Client::deserialize) on a matching device.
    ///
    /// # Errors
    /// Errors from PJRT.
    pub fn serialize(&self) -> Result<Vec<u8>> {
        self.program.serialize(&self.signature)
    }

    /// The memory that a run needs.
    ///
    /// # Errors
    /// Errors from PJRT, for example when the plugin does not report it.
    pub fn memory(&self) -> Result<CompiledMemory> {
        self.program.memory()
    }

    /// The compiler's estimates.
    ///
    /// # Errors
    /// Errors from PJRT, for example when the plugin does not report them.
    pub fn cost_analysis(&self) -> Result<BTreeMap<String, f64>> {
        self.program.cost_analysis()
    }
}

struct Raw {
    api: Api,
    raw: *mut sys::Topology,
    llvm: Llvm,
}

// SAFETY: pjrt_c_api.h binds a `PJRT_TopologyDescription` to no thread, and it does not change after it is created.
unsafe impl Send for Raw {}
// SAFETY: as above.
unsafe impl Sync for Raw {}

impl Drop for Raw {
    fn drop(&mut self) {
        // SAFETY: we own the topology: it was created here, not taken from a client.
        unsafe { self.api.destroy::<sys::TopologyDestroy>(|a| a.topology = self.raw) };
    }
}
