//! The kinds of hardware that have plugins, and their names.

use std::fmt;

/// A kind of hardware with a PJRT plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Platform {
    /// The machine's CPU.
    Cpu,
    /// NVIDIA GPUs.
    Cuda,
    /// Google TPUs.
    Tpu,
}

impl Platform {
    /// Every platform.
    pub const ALL: [Platform; 3] = [Platform::Cpu, Platform::Cuda, Platform::Tpu];

    /// The name on the command line: `cpu`, `cuda`, `tpu`.
    pub const fn name(self) -> &'static str {
        match self {
            Platform::Cpu => "cpu",
            Platform::Cuda => "cuda",
            Platform::Tpu => "tpu",
        }
    }

    /// The platform with this name; `gpu` means `cuda`.
    ///
    /// ```
    /// use spiq::pjrt::Platform;
    /// assert_eq!(Platform::from_name("gpu"), Some(Platform::Cuda));
    /// ```
    pub fn from_name(name: &str) -> Option<Platform> {
        match name {
            "gpu" => Some(Platform::Cuda),
            _ => Platform::ALL.into_iter().find(|p| p.name() == name),
        }
    }

    /// The platform that a plugin's name or file name mentions (`xla_cuda_plugin.so`, `libtpu.so`), if any.
    pub fn guess(name: &str) -> Option<Platform> {
        let name = name.to_ascii_lowercase();
        let of = |words: &[&str]| words.iter().any(|word| name.contains(word));
        match () {
            () if of(&["cuda", "gpu"]) => Some(Platform::Cuda),
            () if of(&["tpu"]) => Some(Platform::Tpu),
            () if of(&["cpu"]) => Some(Platform::Cpu),
            () => None,
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
