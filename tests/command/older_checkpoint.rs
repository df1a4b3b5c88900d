//! A checkpoint with damage is no reason to refuse what the one before it answers: reports and evaluations read that, and print so.

use std::path::Path;
use std::process::Command;

fn spiq(folder: &Path, line: &str) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spiq"));
    let output = command.args(line.split_whitespace()).current_dir(folder).output().expect("the command starts");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn damage(path: &Path) {
    let mut bytes = std::fs::read(path).expect("a file");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(path, bytes).expect("a file");
}

#[test]
fn reports_and_evaluations_read_the_checkpoint_before_a_damaged_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let (newer, older) = ("run/checkpoint.safetensors", "run/checkpoint-previous.safetensors");
    let train = "train --rules none --epochs 40 --time-steps 2 --checkpoint-seconds 0.05 --out run";
    let (code, said) = spiq(folder.path(), train);
    assert_eq!(code, Some(0), "{said}");
    assert!(folder.path().join(older).exists(), "the run has written one checkpoint alone");
    damage(&folder.path().join(newer));
    let note = format!("note: {newer} is damaged");
    let instead = format!("; reading the previous checkpoint instead, {older}, at step ");
    for line in ["report run --no-evaluation --output r.html", "report run --output r.html", "evaluate run"] {
        let (code, said) = spiq(folder.path(), line);
        assert_eq!(code, Some(0), "{line}: {said}");
        assert_eq!(said.matches(&note).count(), 1, "{line}: {said}");
        assert!(said.contains(&instead), "{line}: {said}");
    }
    let (code, said) = spiq(folder.path(), &format!("quantize --params {newer} --rules int8 --output q.safetensors"));
    assert_eq!(code, Some(2), "{said}");
    assert!(said.ends_with(&format!("; the previous checkpoint is {older}\n")), "{said}");
    damage(&folder.path().join(older));
    let (code, said) = spiq(folder.path(), "report run --no-evaluation --output r.html");
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(&note) && said.contains("the settings are those in run/params.safetensors"), "{said}");
}
