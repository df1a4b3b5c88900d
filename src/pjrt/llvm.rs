//! Options for LLVM, the backends' compiler, which are passed with each program.
//!
//! PJRT takes XLA's options by name, except for options that are maps, as LLVM's are. It also takes all of XLA's options as one
//! message, in which missing options are zero. This message is therefore built from the plugin's own options, as reported by the first
//! compiled program, followed by LLVM's. Only there can a list be shortened.

use std::sync::OnceLock;

use super::abi::platform::Platform;
use super::abi::proto::{Writer, fields, without};
use super::flags::{self, ForLlvm};
use super::folders::variable;
use super::options::CompileOptions;
use crate::error::Result;

/// LLVM options for the programs of a client or of a topology.
#[derive(Default)]
pub struct Llvm {
    options: ForLlvm,
    xla_flags: String,
    /// An option of the plugin that is a list, and the number that is removed from it.
    removed: Option<(u64, u64)>,
    base: OnceLock<Vec<u8>>,
}

/// A trivial program.
const NOTHING: &str = "func.func @main(%x: tensor<f32>) -> tensor<f32> { return %x : tensor<f32> }";

/// `xla_backend_extra_options` of `xla.DebugOptions`, a map of strings.
const EXTRA_OPTIONS: u64 = 500;

impl Llvm {
    pub fn new(platform: Option<Platform>) -> Llvm {
        let user = variable("XLA_FLAGS").map(|flags| flags.to_string_lossy().into_owned()).unwrap_or_default();
        let options = flags::for_llvm(platform);
        let removed = flags::removed(platform, &user);
        Llvm { options, xla_flags: flags::as_xla_flags(&user, options), removed, base: OnceLock::new() }
    }

    /// The value of `XLA_FLAGS` that includes these options.
    pub fn xla_flags(&self) -> &str {
        &self.xla_flags
    }

    /// The `base` of each program's options. `tell` compiles a text with encoded options, and returns the options that its program
    /// reports, if it reports any.
    pub fn base(&self, tell: impl FnOnce(&str, &[u8]) -> Result<Option<Vec<u8>>>) -> Result<&[u8]> {
        if self.options.is_empty() {
            return Ok(&[]);
        }
        if let Some(base) = self.base.get() {
            return Ok(base);
        }
        // A plugin that does not report its options is not XLA.
        let told = tell(NOTHING, &CompileOptions::default().encode(&[], &[]))?;
        let told = told.map(|own| match self.removed {
            Some((list, removed)) => without(&own, list, removed),
            None => own,
        });
        let base = told.map(|own| with_extra(own, self.options)).unwrap_or_default();
        Ok(self.base.get_or_init(|| base))
    }
}

/// An `xla.DebugOptions` with these options added, except for those that it already has.
fn with_extra(mut own: Vec<u8>, options: ForLlvm) -> Vec<u8> {
    let mut message = Writer::default();
    for (name, value) in options.iter().filter(|(name, _)| !has(&own, name)) {
        let entry = Writer::default().bytes(1, name.as_bytes()).bytes(2, value.as_bytes()).finish();
        message.bytes(EXTRA_OPTIONS, &entry);
    }
    own.extend(message.finish());
    own
}

/// Whether an `xla.DebugOptions` has an LLVM option of this name.
fn has(own: &[u8], name: &str) -> bool {
    let entries = fields(own).filter(|(field, _)| *field == EXTRA_OPTIONS);
    let names = entries.flat_map(|(_, entry)| fields(entry.bytes()).filter(|(field, _)| *field == 1));
    names.into_iter().any(|(_, own)| own.bytes() == name.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_is_added_once_and_a_users_own_stays() {
        let options: ForLlvm = &[("-a", ""), ("-b", "2")];
        let both = with_extra(Vec::new(), options);
        assert!(has(&both, "-a") && has(&both, "-b") && !has(&both, "2"));
        assert_eq!(with_extra(both.clone(), options), both);
        let own = with_extra(Vec::new(), &[("-b", "1"), ("-c", "")]);
        assert_eq!(with_extra(own.clone(), options), [own, with_extra(Vec::new(), &[("-a", "")])].concat());
    }
}
