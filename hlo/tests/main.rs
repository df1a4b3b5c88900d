//! The tests of the public interface that need no runtime: one program, so that it is linked once. `cargo test --release -p
//! spiq-hlo --test all emit` runs those of a file.

mod emit;
mod errors;
mod operations_table;
mod ranges;
mod running_sum;
mod samples;
mod scans;
