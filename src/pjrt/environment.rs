//! What plugins read from the environment while they are opened. Variables that the user has set are left alone.

use std::path::Path;

use super::platform::Platform;

/// Sets what the plugin `path` should find.
pub fn prepare(path: &Path) {
    // Notices would stand among the program's output; warnings still appear.
    default("TF_CPP_MIN_LOG_LEVEL", "1");
    let is_tpu = path.file_name().is_some_and(|name| Platform::guess(&name.to_string_lossy()) == Some(Platform::Tpu));
    if is_tpu && !tpu_is_here() {
        // Compiling for a TPU needs none, but libtpu would ask the network for one for minutes, and lock out other processes.
        default("TPU_SKIP_MDS_QUERY", "1");
        default("ALLOW_MULTIPLE_LIBTPU_LOAD", "1");
    }
}

fn default(name: &str, value: &str) {
    if std::env::var_os(name).is_none() {
        // SAFETY: Rust's own readers of the environment are locked out. Code in other languages that reads it at this very
        // moment is not; before the first plugin is opened, none is running in this process unless the caller started it.
        unsafe { std::env::set_var(name, value) };
    }
}

/// Whether a device of Google's is on the PCI bus.
fn tpu_is_here() -> bool {
    let devices = std::fs::read_dir("/sys/bus/pci/devices").into_iter().flatten().flatten();
    let vendor = |device: std::fs::DirEntry| std::fs::read_to_string(device.path().join("vendor")).unwrap_or_default();
    devices.map(vendor).any(|vendor| vendor.trim() == "0x1ae0")
}
