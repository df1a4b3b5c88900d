//! What plugins read from the environment while they are opened. What the user has set in variables stays.

use std::ffi::OsStr;
use std::path::Path;

use super::flags;
use super::platform::Platform;

/// Sets what the plugin `path` should find.
pub fn prepare(path: &Path) {
    // Notices would stand among the program's output; warnings still appear.
    default("TF_CPP_MIN_LOG_LEVEL", "1");
    let platform = path.file_name().and_then(|name| Platform::guess(&name.to_string_lossy()));
    if let Some(flags) = flags::in_environment(platform, std::env::var_os("XLA_FLAGS").as_deref()) {
        set("XLA_FLAGS", &flags);
    }
    if platform == Some(Platform::Tpu) && !tpu_is_here() {
        // Compiling for a TPU needs none, but libtpu would ask the network for one for minutes, and lock out other processes.
        default("TPU_SKIP_MDS_QUERY", "1");
        default("ALLOW_MULTIPLE_LIBTPU_LOAD", "1");
    }
}

fn default(name: &str, value: &str) {
    if std::env::var_os(name).is_none() {
        set(name, OsStr::new(value));
    }
}

fn set(name: &str, value: &OsStr) {
    // SAFETY: Rust's own readers of the environment are locked out. Code in other languages that reads it at this very
    // moment is not; before the first plugin is opened, none is running in this process unless the caller started it.
    unsafe { std::env::set_var(name, value) };
}

/// Whether a device of Google's is on the PCI bus.
fn tpu_is_here() -> bool {
    let devices = std::fs::read_dir("/sys/bus/pci/devices").into_iter().flatten().flatten();
    let vendor = |device: std::fs::DirEntry| std::fs::read_to_string(device.path().join("vendor")).unwrap_or_default();
    devices.map(vendor).any(|vendor| vendor.trim() == "0x1ae0")
}
