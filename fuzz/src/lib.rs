//! Damaged inputs for everything of spiq that reads what strangers wrote: models, rules, arrays, checkpoints, metrics, recordings,
//! choices on the command line, kernels.
//!
//! An input is taken or refused with an error. It fails when the reader panics, needs more than a second of processor time, or
//! more memory than such an input can need; the input is then kept as a file.
//!
//! - `cargo test -p spiq-fuzz`: a few seconds of each target, on stable Rust, with mutations of real files ([`Mutator`]).
//! - `cargo run --release -p spiq-fuzz -- --seconds 600`: the same for longer, and a table.
//! - `SPIQ_FUZZ_TARGET=model cargo fuzz run --fuzz-dir fuzz/libfuzzer any`: a target under libFuzzer, which needs nightly Rust.
//!
//! `fuzz/corpus/TARGET` holds inputs that once failed; every campaign begins with them.

mod campaign;
mod corpus;
mod mutator;
pub mod targets;

pub use campaign::{Campaign, Failure, Outcome};
pub use mutator::Mutator;
pub use targets::{TARGETS, Target};

/// Counts what is allocated, so that a campaign sees what an input needed.
#[global_allocator]
static ALLOCATED: peak_alloc::PeakAlloc = peak_alloc::PeakAlloc;
