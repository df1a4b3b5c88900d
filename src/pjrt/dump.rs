//! The files that XLA writes during a compilation: the optimized program, and code for the device.

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
    /// Compiles with the flags that make XLA write its files; `compile` receives the options with these flags.
    pub(super) fn of<T>(
        options: &CompileOptions,
        compile: impl FnOnce(&CompileOptions) -> Result<T>,
    ) -> Result<(T, Dump)> {
        let folder = tempfile::tempdir().map_err(|e| Error::file(&std::env::temp_dir(), "write to", e))?;
        check_room(folder.path())?;
        let place = Value::Text(folder.path().to_string_lossy().into_owned());
        let options =
            options.clone().with_flag("xla_dump_to", place).with_flag("xla_dump_hlo_as_text", Value::Bool(true));
        let compiled = compile(&options)?;
        Ok((compiled, Dump { folder }))
    }

    /// The optimized program.
    ///
    /// # Errors
    /// Kind `Pjrt` when the plugin does not write it; kind `File` when the file is incomplete.
    pub fn optimized_hlo(&self) -> Result<String> {
        self.program("after_optimizations.txt")?
            .ok_or_else(|| Error::new(ErrorKind::Pjrt(12), "this plugin does not return its optimized program"))
    }

    /// The optimized program with the estimates that a TPU compiler makes during code generation, where the plugin writes it.
    ///
    /// # Errors
    /// Kind `File` when the file is incomplete.
    pub fn after_codegen(&self) -> Result<Option<String>> {
        self.program("after_codegen.txt")
    }

    /// The launch sequence of an NVIDIA card, as XLA lists it, where the plugin writes it.
    ///
    /// # Errors
    /// Kind `File` when the file is empty.
    pub fn thunks(&self) -> Result<Option<String>> {
        self.first("thunk_sequence_after_thunk_passes.txt")
    }

    /// The assembly (PTX) of each NVIDIA kernel, if the flag `xla_dump_emitter_re` includes `ptx`.
    ///
    /// # Errors
    /// Kind `File` when one is empty.
    pub fn ptx(&self) -> Result<Vec<String>> {
        files(self.folder.path(), ".ptx").map(|path| written(&path)).collect()
    }

    /// A program's text, checked to be complete up to the end of its entry computation.
    fn program(&self, end: &str) -> Result<Option<String>> {
        let text = self.first(end)?;
        match text {
            Some(text) if !is_whole(&text) => Err(cut_short(self.folder.path())),
            text => Ok(text),
        }
    }

    fn first(&self, end: &str) -> Result<Option<String>> {
        files(self.folder.path(), end).next().map(|path| written(&path)).transpose()
    }
}

/// Reads a file that XLA wrote. XLA ignores write errors and leaves an empty or truncated file.
fn written(path: &Path) -> Result<String> {
    let text = std::fs::read_to_string(path).map_err(|e| Error::file(path, "read", e))?;
    match text.trim().is_empty() {
        true => Err(cut_short(path.parent().unwrap_or(path))),
        false => Ok(text),
    }
}

fn is_whole(text: &str) -> bool {
    text.starts_with("HloModule") && text.contains("ENTRY ") && text.trim_end().ends_with("\n}")
}

fn cut_short(folder: &Path) -> Error {
    let place = folder.parent().unwrap_or(folder).display();
    Error::new(
        ErrorKind::File,
        format!(
            "XLA did not write its program in full to {place}: free some space there, or set TMPDIR to another folder"
        ),
    )
}

/// Checks that the folder has space for a 1 MiB file. Without space XLA would flood the terminal with messages.
fn check_room(folder: &Path) -> Result<()> {
    const ROOM: usize = 1 << 20;
    let path = folder.join("room");
    let tried = std::fs::write(&path, vec![b'x'; ROOM]).and_then(|()| std::fs::remove_file(&path));
    tried.map_err(|e| {
        let place = folder.parent().unwrap_or(folder).display();
        let message = format!("there is no room in {place} for the files that XLA writes during compilation: free some space, or set TMPDIR to another folder");
        Error::new(ErrorKind::File, message).because(e)
    })
}

fn files(folder: &Path, end: &str) -> impl Iterator<Item = PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(move |path| path.to_string_lossy().ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program truncated by a full disk is rejected.
    #[test]
    fn a_program_that_ends_somewhere_is_refused() {
        let whole = "HloModule m\n\n%f (a: f32[]) -> f32[] {\n  ROOT %a = f32[] parameter(0)\n}\n\nENTRY %main (a: f32[2]) -> f32[2] {\n  \
                     ROOT %a = f32[2]{0} parameter(0)\n}\n\n";
        let of = |contents: &str| {
            let options = CompileOptions::default();
            let (folder, dump) = Dump::of(&options, |options| {
                let folder =
                    options.flags.iter().find(|(name, _)| name == "xla_dump_to").map(|(_, value)| value.clone());
                let Some(Value::Text(folder)) = folder else { panic!("{folder:?}") };
                std::fs::write(Path::new(&folder).join("m.after_optimizations.txt"), contents).expect("a file");
                Ok(folder)
            })
            .expect("a dump");
            dump.optimized_hlo().map_err(|error| {
                assert_eq!(error.kind(), ErrorKind::File);
                assert!(error.to_string().contains("TMPDIR") && !error.to_string().contains(&folder), "{error}");
            })
        };
        assert_eq!(of(whole).as_deref(), Ok(whole));
        let end = whole.trim_end().len();
        assert_eq!((0..end).find(|length| of(&whole[..*length]).is_ok()), None);
    }
}
