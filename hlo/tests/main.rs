//! Tests of the public interface that need no runtime, in one binary so that it is linked once. `cargo test --release -p spiq-hlo
//! --test all emit` runs the tests of one file.

mod emit;
mod errors;
mod operations_table;
mod ranges;
mod running_sum;
mod samples;
mod scans;
mod trees;
