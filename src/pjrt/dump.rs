//! What XLA writes into a folder while it compiles: the optimized program, and code for the device. Knows nothing of clients.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::abi::api::Value;
use super::options::CompileOptions;
use crate::error::{Error, ErrorKind, Result};

/// The files of one compilation; deleted when dropped.
#[derive(Debug)]
pub struct Dump {
    folder: TempDir,
}

impl Dump {
    /// Compiles with the flags that make XLA write its files. `compile` gets these options.
    pub(super) fn of<T>(
        options: &CompileOptions,
        compile: impl FnOnce(&CompileOptions) -> Result<T>,
    ) -> Result<(T, Dump)> {
        let folder = tempfile::tempdir().map_err(|e| Error::file(&std::env::temp_dir(), "write to", e))?;
        let place = Value::Text(folder.path().to_string_lossy().into_owned());
        let options =
            options.clone().with_flag("xla_dump_to", place).with_flag("xla_dump_hlo_as_text", Value::Bool(true));
        let compiled = compile(&options)?;
        Ok((compiled, Dump { folder }))
    }

    /// The optimized program.
    ///
    /// # Errors
    /// Of kind `Pjrt`, when the plugin does not write it.
    pub fn optimized_hlo(&self) -> Result<String> {
        self.first("after_optimizations.txt")
            .ok_or_else(|| Error::new(ErrorKind::Pjrt(12), "this plugin does not give its optimized program"))
    }

    /// The optimized program with the estimates that a TPU's compiler makes while it generates code.
    pub fn after_codegen(&self) -> Option<String> {
        self.first("after_codegen.txt")
    }

    /// What an NVIDIA card is told to launch, in order, as XLA lists it.
    pub fn thunks(&self) -> Option<String> {
        self.first("thunk_sequence_after_thunk_passes.txt")
    }

    /// The assembly of each NVIDIA kernel, where the flag `xla_dump_emitter_re` names `ptx`.
    pub fn ptx(&self) -> Vec<String> {
        files(self.folder.path(), ".ptx").filter_map(|path| std::fs::read_to_string(path).ok()).collect()
    }

    fn first(&self, end: &str) -> Option<String> {
        files(self.folder.path(), end).next().and_then(|path| std::fs::read_to_string(path).ok())
    }
}

fn files(folder: &Path, end: &str) -> impl Iterator<Item = PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(move |path| path.to_string_lossy().ends_with(end))
}
