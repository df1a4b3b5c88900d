//! Tests that need a process of their own: for its environment, or for its memory, which other tests would change.

use std::process::{Command, Output};

/// A run of one test of a module (`module_path!()`) in a process of its own. Mark the test with `#[ignore]`, so that it runs
/// there only.
pub fn own_process(module: &str, test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    // A test's name has no name of the program.
    let (_, module) = module.split_once("::").expect("a module of this program");
    command.args(["--exact", &format!("{module}::{test}"), "--ignored", "--nocapture"]);
    command
}

/// Wants that run to pass; shows what it says.
#[track_caller]
pub fn passes(run: &mut Command) {
    let Output { status, stdout, stderr } = run.output().expect("a process");
    let [stdout, stderr] = [stdout, stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    // Where the name is that of no test, all of none pass.
    assert!(status.success() && stdout.contains("1 passed"), "{run:?}: {status}\n{stdout}\n{stderr}");
    print!("{stdout}");
}
