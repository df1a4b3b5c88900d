//! Fuzzing of everything in spiq that reads untrusted input: models, rules, arrays, checkpoints, metrics, recordings, command-line
//! choices, kernels.
//!
//! An input is accepted, or refused with an error. It fails if the reader panics, takes more than a second of processor time, or
//! allocates more memory than its size justifies; failing inputs are kept as files.
//!
//! - `cargo test -p spiq-fuzz`: a few seconds per target, on stable Rust, with mutations of real files ([`Mutator`]).
//! - `cargo run --release -p spiq-fuzz -- --seconds 600`: the same for longer, with a table of results.
//! - `SPIQ_FUZZ_TARGET=model cargo fuzz run --fuzz-dir fuzz/libfuzzer any`: one target under libFuzzer, which needs nightly Rust.
//!
//! `fuzz/corpus/TARGET` holds inputs that once failed; every campaign starts with them.

mod campaign;
mod corpus;
mod mutator;
pub mod targets;

pub use campaign::{Campaign, Failure, Outcome};
pub use mutator::Mutator;
pub use targets::{TARGETS, Target};

/// Counts allocations, so that a campaign can measure each input's memory.
#[global_allocator]
static ALLOCATED: peak_alloc::PeakAlloc = peak_alloc::PeakAlloc;
