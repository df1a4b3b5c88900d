//! A signal while a large program is traced and lowered, where nothing checks for one: the command ends soon all the same.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What the command may take from the signal on: its patience of two seconds, on a machine that does other things.
const SOON: Duration = Duration::from_secs(10);

/// What reading the model may take.
const START: Duration = Duration::from_secs(60);

/// Whether a process has a handler for SIGTERM.
fn handles_term(process: u32) -> bool {
    const TERM: u32 = 15;
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask >> (TERM - 1) & 1 == 1)
}

#[test]
fn a_signal_before_the_first_step_ends_the_command_soon() {
    let folder = tempfile::tempdir().expect("a folder");
    // Lowering takes half a minute, compiling longer still.
    let pair = "[[layers]]\ntype = \"LIF\"\nhidden_shape = 10\n[[layers]]\ntype = \"Linear\"\nin_features = 10\nout_features = 10\n";
    let model = format!(
        "[[layers]]\ntype = \"Linear\"\nin_features = 64\nout_features = 10\n{}[[layers]]\ntype = \"LI\"\nlayer_shape = 10\n",
        pair.repeat(2400)
    );
    std::fs::write(folder.path().join("m.toml"), model).expect("a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_spiq"));
    command.args(["train", "--model", "m.toml", "--out", "r"]).current_dir(folder.path());
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("a process");
    let begun = Instant::now();
    while !handles_term(child.id()) {
        assert!(begun.elapsed() < START, "the command handles no SIGTERM");
        std::thread::sleep(Duration::from_millis(20));
    }
    // By now the client is open, and the program is traced.
    std::thread::sleep(Duration::from_secs(1));
    let sent = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().expect("kill");
    assert!(sent.success());
    let begun = Instant::now();
    let output = child.wait_with_output().expect("an end");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(143), "{said}");
    assert!(begun.elapsed() < SOON, "{:?}: {said}", begun.elapsed());
    let [note, .., last] = said.lines().collect::<Vec<_>>()[..] else { panic!("{said}") };
    assert!(
        said.contains("note: the model has 4802 layers, and its programs take minutes to compile"),
        "{note}: {said}"
    );
    let expected = "no step was done, so nothing is lost; to start again, repeat the command";
    assert!(last.starts_with("error: stopped") && last.ends_with(expected), "{said}");
    assert!(!folder.path().join("r/metrics.jsonl").exists());
}
