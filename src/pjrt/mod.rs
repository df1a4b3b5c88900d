//! Finds and installs PJRT plugins; compiles and runs programs. The only module of the library with `unsafe`.
//!
//! Invariant: does not depend on graphs, or on the code that programs call.
//!
//! A [`Plugin`] is a shared library for a [`Platform`]; a [`Client`] is a running instance of a plugin. It compiles text to an
//! [`Executable`] and holds [`Buffer`]s on its [`Device`]s. All of these may be shared between threads.
//!
//! | variable | meaning |
//! |---|---|
//! | `SPIQ_PJRT_PLUGIN` | the plugin file to use |
//! | `PJRT_NAMES_AND_LIBRARY_PATHS` | `name:path,…`, as JAX reads it |
//! | `TPU_LIBRARY_PATH` | the TPU plugin file |
//! | `SPIQ_CACHE_DIR` | the folder of installed plugins and compiled programs |
//! | `SPIQ_NO_CACHE` | `1`: do not cache compiled programs on disk |
//! | `SPIQ_COMPILE_SECONDS` | time limit of a compilation in seconds; 3600 by default, `0`: no limit |
//! | `SPIQ_NO_KERNELS` | `1`: XLA compiles the time loops; this library's kernels are disabled |
//! | `XLA_PYTHON_CLIENT_PREALLOCATE`, `XLA_PYTHON_CLIENT_MEM_FRACTION`, `XLA_PYTHON_CLIENT_ALLOCATOR` | memory allocation on NVIDIA cards, as JAX reads them |

mod abi;
mod buffer;
mod build;
mod checksum;
mod client;
mod cuda_packages;
mod device;
mod dump;
mod element_type;
mod elf;
mod environment;
mod event;
mod executable;
pub(crate) mod ffi;
mod find;
mod flags;
mod folders;
mod install;
mod kv;
mod libraries;
mod llvm;
mod mesh;
mod options;
mod owner;
mod packages;
mod pip;
mod plugin;
mod profiler;
mod program;
mod python;
mod raw_client;
mod record;
mod retain;
mod signature;
mod store;
mod topology;
mod trees;
mod verify;
mod watch;
mod wheel;

pub use abi::api::Value;
pub use abi::platform::Platform;
pub use buffer::{Buffer, PendingArray};
pub use build::Build;
pub use client::{Client, ClientOptions};
pub use device::{Device, MemoryStats};
pub use dump::Dump;
pub use environment::prepare_environment;
pub use executable::{Executable, Input};
pub use find::{Found, Source, find, list};
pub use folders::cache_dir;
pub use install::{Missing, Progress, Step, Wheels, install, install_from, missing, wheel_commands};
pub use libraries::{Libraries, Place, has_nvidia_driver, libraries};
pub use mesh::Mesh;
pub use options::CompileOptions;
pub use owner::check_cache;
pub use packages::Parts;
pub use plugin::Plugin;
pub use profiler::{Operation, Profile, Profiler};
pub use program::CompiledMemory;
pub use python::has_pip;
pub use topology::{Ahead, Topology};
pub use trees::device_get;
pub use watch::{Compiling, Progress as CompileProgress, Watch, end_process, is_compiling};
