//! The environment variables that plugins read when they are opened. Variables that the user has set are kept, and none is set while
//! other threads run.

use std::path::Path;

use super::abi::api::Value;
use super::abi::platform::Platform;
use super::folders::variable;
use crate::error::{Error, ErrorKind, Result};

/// Options of a CUDA client, from the variables that JAX reads: `XLA_PYTHON_CLIENT_PREALLOCATE` (true: most of the card's memory is
/// allocated at the start), `XLA_PYTHON_CLIENT_MEM_FRACTION` (the fraction of it, 0.75 by default) and `XLA_PYTHON_CLIENT_ALLOCATOR`.
///
/// # Errors
/// Kind `Input` for a value that is not a boolean, or not a number, where one is required.
pub fn cuda_options() -> Result<Vec<(String, Value)>> {
    let read = |name: &str| variable(name).map(|value| value.to_string_lossy().into_owned());
    let mut options = Vec::new();
    if let Some(text) = read("XLA_PYTHON_CLIENT_PREALLOCATE") {
        options.push(("preallocate".to_owned(), Value::Bool(truth("XLA_PYTHON_CLIENT_PREALLOCATE", &text)?)));
    }
    if let Some(text) = read("XLA_PYTHON_CLIENT_MEM_FRACTION") {
        let fraction = text.parse().ok().filter(|fraction: &f64| *fraction > 0.0 && fraction.is_finite());
        let fraction = fraction.ok_or_else(|| {
            Error::input(format!(
                "XLA_PYTHON_CLIENT_MEM_FRACTION is `{text}`; it must be a number above 0, such as 0.75"
            ))
        })?;
        options.push(("memory_fraction".to_owned(), Value::Float(fraction)));
    }
    if let Some(allocator) = read("XLA_PYTHON_CLIENT_ALLOCATOR") {
        options.push(("allocator".to_owned(), Value::Text(allocator)));
    }
    Ok(options)
}

fn truth(name: &str, text: &str) -> Result<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        _ => Err(Error::input(format!("{name} is `{text}`; it must be true or false"))),
    }
}

/// Sets the variables that plugins read when they are opened and that have no equivalent option, unless the user has set them:
/// `TF_CPP_MIN_LOG_LEVEL=1` (warnings, no notices) and, on a machine without a TPU, `TPU_SKIP_MDS_QUERY=1` and
/// `ALLOW_MULTIPLE_LIBTPU_LOAD=1` (libtpu then compiles immediately instead of querying the network for a TPU for minutes). Returns
/// whether all of them are set.
///
/// Another thread may read the environment in C at any time, and setting a variable meanwhile would be undefined behaviour, so this
/// sets none while the process has other threads. Call it first in `main`; opening a plugin also calls it. If the variables cannot be
/// set, plugins print their notices, and opening libtpu without a TPU is an error. Results of programs do not depend on them.
pub fn prepare_environment() -> bool {
    let missing: Vec<_> = wanted().filter(|(name, _)| std::env::var_os(name).is_none()).collect();
    if missing.is_empty() {
        return true;
    }
    if !is_only_thread() {
        return false;
    }
    for (name, value) in missing {
        // SAFETY: this is the only thread and it starts none meanwhile, so nothing else reads the environment.
        unsafe { std::env::set_var(name, value) };
    }
    true
}

/// Calls [`prepare_environment`] for the plugin `path`.
///
/// # Errors
/// Kind `Plugin` for libtpu on a machine without a TPU, if the required variables are not set.
pub fn prepare(path: &Path) -> Result<()> {
    let is_tpu = path.file_name().and_then(|name| Platform::guess(&name.to_string_lossy())) == Some(Platform::Tpu);
    if prepare_environment() || !is_tpu || FOR_NO_TPU.iter().all(|(name, _)| std::env::var_os(name).is_some()) {
        return Ok(());
    }
    let set: Vec<String> = FOR_NO_TPU.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let message = format!(
        "this machine has no TPU, and libtpu would look for one for minutes: set {} before the program starts, or call \
         spiq::pjrt::prepare_environment() before it starts threads",
        set.join(" and ")
    );
    // The variables are required only without a TPU.
    if tpu_is_here() { Ok(()) } else { Err(Error::new(ErrorKind::Plugin, message)) }
}

/// Variables for libtpu without a TPU. Compiling for a TPU needs none; by default libtpu would search for one, locking out other processes.
const FOR_NO_TPU: [(&str, &str); 2] = [("TPU_SKIP_MDS_QUERY", "1"), ("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")];

/// The variables that plugins expect.
fn wanted() -> impl Iterator<Item = (&'static str, &'static str)> {
    let for_no_tpu = std::iter::once_with(|| if tpu_is_here() { &[][..] } else { &FOR_NO_TPU[..] });
    std::iter::once(("TF_CPP_MIN_LOG_LEVEL", "1")).chain(for_no_tpu.flatten().copied())
}

/// Whether this is the process's only thread, as listed by Linux; false where that is unknown.
fn is_only_thread() -> bool {
    std::fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.take(2).count() == 1)
}

/// Whether a Google device is on the PCI bus.
fn tpu_is_here() -> bool {
    let devices = std::fs::read_dir("/sys/bus/pci/devices").into_iter().flatten().flatten();
    let vendor = |device: std::fs::DirEntry| std::fs::read_to_string(device.path().join("vendor")).unwrap_or_default();
    devices.map(vendor).any(|vendor| vendor.trim() == "0x1ae0")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tests run on separate threads, so nothing may be set here.
    #[test]
    fn nothing_is_set_beside_other_threads() {
        let before: Vec<_> = std::env::vars_os().collect();
        let (done, stays) = std::sync::mpsc::channel::<()>();
        let other = std::thread::spawn(move || stays.recv().is_err());
        let all_set = wanted().all(|(name, _)| std::env::var_os(name).is_some());
        assert_eq!(prepare_environment(), all_set);
        assert_eq!(std::env::vars_os().collect::<Vec<_>>(), before);
        drop(done);
        assert!(other.join().expect("a thread that waits"));
    }
}
