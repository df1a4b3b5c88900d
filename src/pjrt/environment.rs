//! What plugins read from the environment while they are opened. What the user has set in variables stays. Sets nothing beside other
//! threads.

use std::path::Path;

use super::abi::api::Value;
use super::abi::platform::Platform;
use super::folders::variable;
use crate::error::{Error, ErrorKind, Result};

/// Options of a CUDA client, from the variables that JAX reads: `XLA_PYTHON_CLIENT_PREALLOCATE` (true: most of the card's memory is
/// taken at the start), `XLA_PYTHON_CLIENT_MEM_FRACTION` (how much of it, 0.75 by default) and `XLA_PYTHON_CLIENT_ALLOCATOR`.
///
/// # Errors
/// Of kind `Input` for a value that is neither a truth value nor a number.
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

/// Sets the variables that plugins read while they are opened and that nothing but the environment can say, where the user has not:
/// `TF_CPP_MIN_LOG_LEVEL=1` (warnings alone, no notices) and, on a machine without a TPU, `TPU_SKIP_MDS_QUERY=1` and
/// `ALLOW_MULTIPLE_LIBTPU_LOAD=1` (libtpu compiles at once, where it would ask the network for a TPU for minutes). Returns whether all
/// of them are set.
///
/// Another thread may read the environment in C at any time, and setting a variable meanwhile would be undefined behaviour, so this
/// sets none while the process has other threads. Call it first in `main`; each opening of a plugin calls it, too. Where none can be
/// set, plugins print their notices, and opening libtpu without a TPU is an error. Results of programs depend on none of this.
pub fn prepare_environment() -> bool {
    let missing: Vec<_> = wanted().filter(|(name, _)| std::env::var_os(name).is_none()).collect();
    if missing.is_empty() {
        return true;
    }
    if !is_only_thread() {
        return false;
    }
    for (name, value) in missing {
        // SAFETY: this thread is the only one, and starts none meanwhile, so nobody reads the environment.
        unsafe { std::env::set_var(name, value) };
    }
    true
}

/// [`prepare_environment`] for the plugin `path`.
///
/// # Errors
/// Of kind `Plugin` for libtpu without a TPU, where the variables that it needs are not set.
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
    // Without a TPU alone are these variables wanted.
    if tpu_is_here() { Ok(()) } else { Err(Error::new(ErrorKind::Plugin, message)) }
}

/// What libtpu reads. Compiling for a TPU needs none; by default it would look for one, and lock out other processes.
const FOR_NO_TPU: [(&str, &str); 2] = [("TPU_SKIP_MDS_QUERY", "1"), ("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")];

/// The variables that a plugin should find.
fn wanted() -> impl Iterator<Item = (&'static str, &'static str)> {
    let for_no_tpu = std::iter::once_with(|| if tpu_is_here() { &[][..] } else { &FOR_NO_TPU[..] });
    std::iter::once(("TF_CPP_MIN_LOG_LEVEL", "1")).chain(for_no_tpu.flatten().copied())
}

/// Whether this process has no other thread, as far as that can be known: Linux lists them.
fn is_only_thread() -> bool {
    std::fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.take(2).count() == 1)
}

/// Whether a device of Google's is on the PCI bus.
fn tpu_is_here() -> bool {
    let devices = std::fs::read_dir("/sys/bus/pci/devices").into_iter().flatten().flatten();
    let vendor = |device: std::fs::DirEntry| std::fs::read_to_string(device.path().join("vendor")).unwrap_or_default();
    devices.map(vendor).any(|vendor| vendor.trim() == "0x1ae0")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tests run on threads of their own, so nothing may be set here.
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
