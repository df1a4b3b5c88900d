//! Options for LLVM, the back ends' compiler, which go with each program. Knows no client.
//!
//! PJRT takes XLA's options one by one and by name, but none that is a map, as LLVM's are. It takes all of XLA's options as one
//! message, too, in which those that are missing are zero. So these are the plugin's own, as the first program that is compiled
//! tells them, and LLVM's behind them.

use std::sync::OnceLock;

use super::abi::platform::Platform;
use super::abi::proto::Writer;
use super::flags::{self, ForLlvm};
use super::folders::variable;
use super::options::CompileOptions;
use crate::error::Result;

/// LLVM's options for the programs of a client or of a topology.
#[derive(Default)]
pub struct Llvm {
    options: ForLlvm,
    xla_flags: String,
    base: OnceLock<Vec<u8>>,
}

/// A program of which nothing is to be compiled.
const NOTHING: &str = "func.func @main(%x: tensor<f32>) -> tensor<f32> { return %x : tensor<f32> }";

/// `xla_backend_extra_options` of `xla.DebugOptions`, a map of text.
const EXTRA_OPTIONS: u64 = 500;

impl Llvm {
    pub fn new(platform: Option<Platform>) -> Llvm {
        let user = variable("XLA_FLAGS").map(|flags| flags.to_string_lossy().into_owned()).unwrap_or_default();
        let options = flags::for_llvm(platform, &user);
        Llvm { options, xla_flags: flags::as_xla_flags(&user, options), base: OnceLock::new() }
    }

    /// What `XLA_FLAGS` would say for these options to be there.
    pub fn xla_flags(&self) -> &str {
        &self.xla_flags
    }

    /// The `base` of each program's options. `tell` compiles a text with encoded options, and gives the options that its program
    /// says it was compiled with, if it does.
    pub fn base(&self, tell: impl FnOnce(&str, &[u8]) -> Result<Option<Vec<u8>>>) -> Result<&[u8]> {
        if self.options.is_empty() {
            return Ok(&[]);
        }
        if let Some(base) = self.base.get() {
            return Ok(base);
        }
        // A plugin that does not tell its options is not XLA's.
        let told = tell(NOTHING, &CompileOptions::default().encode(&[], &[]))?;
        let base = told.map(|own| [own, extra(self.options)].concat()).unwrap_or_default();
        Ok(self.base.get_or_init(|| base))
    }
}

/// The end of a `xla.DebugOptions`.
fn extra(options: ForLlvm) -> Vec<u8> {
    let mut message = Writer::default();
    for (name, value) in options {
        let entry = Writer::default().bytes(1, name.as_bytes()).bytes(2, value.as_bytes()).finish();
        message.bytes(EXTRA_OPTIONS, &entry);
    }
    message.finish()
}
