//! Tests of the public interface, in one binary, so that it is linked once. `cargo test --release --test all quantized::ptq` runs the
//! tests of one file or folder, by its module path. Tests that need a separate process start one (`own_process`).

mod command;
mod device;
mod evaluate;
mod examples;
mod fit;
mod graph;
mod machine;
mod models;
mod own_process;
mod quantized;
mod reference;
mod run;
mod skipped;

use std::fs;
use std::path::{Path, PathBuf};

/// The command's allocator, which also serves the plugin: the C library's `malloc` took a fifth of XLA's compile time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The Rust files under a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder of tests").map(|entry| entry.expect("an entry").path());
    let files = entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] });
    files.filter(|path| path.extension().is_some_and(|end| end == "rs")).collect()
}

/// Whether the file above, `main.rs` or `mod.rs`, declares a file as a module. A `lib.rs` is a library that a test compiles.
fn is_named(file: &Path) -> bool {
    let module = if file.ends_with("mod.rs") { file.parent().expect("a folder") } else { file };
    let name = module.file_stem().expect("a name").to_string_lossy();
    let above = ["main.rs", "mod.rs"].map(|start| fs::read_to_string(module.with_file_name(start)));
    file.ends_with("main.rs")
        || file.ends_with("lib.rs")
        || above.iter().flatten().any(|text| text.lines().any(|line| line == format!("mod {name};")))
}

/// A file without a `mod` declaration is not compiled, and its tests would silently be missing.
#[test]
fn every_file_of_tests_is_a_part_of_this_program() {
    for tests in ["tests", "hlo/tests", "kernels/tests"] {
        let mut files = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join(tests));
        files.retain(|file| !is_named(file));
        assert!(files.is_empty(), "no `mod` names {files:?}");
    }
}
