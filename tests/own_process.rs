//! Runs a test in a separate process, because other tests would affect its environment or memory.

use std::process::{Command, Output};

/// A run of one test of a module (`module_path!()`) in a separate process. Mark the test with `#[ignore]`, so that it only runs there.
pub fn own_process(module: &str, test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    // A test's name does not include the binary's name.
    let (_, module) = module.split_once("::").expect("a module of this program");
    command.args(["--exact", &format!("{module}::{test}"), "--ignored", "--nocapture"]);
    command
}

/// Checks that the run passes; prints its output.
#[track_caller]
pub fn passes(run: &mut Command) {
    let Output { status, stdout, stderr } = run.output().expect("a process");
    let [stdout, stderr] = [stdout, stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    // If no test has the name, zero tests pass.
    assert!(status.success() && stdout.contains("1 passed"), "{run:?}: {status}\n{stdout}\n{stderr}");
    print!("{stdout}");
}
