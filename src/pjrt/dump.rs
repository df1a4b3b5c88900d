//! The optimized program as text: XLA writes it into a folder while compiling. Knows nothing of clients.

use std::path::Path;

use super::api::Value;
use super::options::CompileOptions;
use crate::error::{Error, ErrorKind, Result};

/// Compiles with the flags that make XLA write its optimized program, and returns that text.
pub fn optimized(options: &CompileOptions, compile: impl FnOnce(&CompileOptions) -> Result<()>) -> Result<String> {
    let folder = tempfile::tempdir().map_err(|e| Error::file(&std::env::temp_dir(), "write to", e))?;
    let place = Value::Text(folder.path().to_string_lossy().into_owned());
    let options = options.clone().with_flag("xla_dump_to", place).with_flag("xla_dump_hlo_as_text", Value::Bool(true));
    compile(&options)?;
    read(folder.path())
        .ok_or_else(|| Error::new(ErrorKind::Pjrt(12), "this plugin does not give its optimized program"))
}

fn read(folder: &Path) -> Option<String> {
    let files = std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    let text = files.into_iter().find(|path| path.to_string_lossy().ends_with("after_optimizations.txt"))?;
    std::fs::read_to_string(text).ok()
}
