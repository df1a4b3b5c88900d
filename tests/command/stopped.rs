//! The built command, stopped in every way: by kill, by signals, by a full disk, by a closed pipe; what is left, and that it resumes
//! bit-identically.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use spiq::data::ArrayFile;
use spiq::provenance::key;
use tempfile::TempDir;

/// All kinds of state: dropout, shifts, an average, validated epochs. An epoch has 40 steps of 32 samples.
const LINE: &str = "train --model model.toml --data digits --time-steps 4 --steps 300 --validation 0.1 --ema 0.9 --shift 0.1 --seed 3 \
                    --optimizer adamw --schedule cosine --steps-per-call 3";

const MODEL: &str = r#"
layers = [
    { type = "Linear", in_features = 64, out_features = 24 },
    { type = "LIF", hidden_shape = 24, activation = { type = "triangular" } },
    { type = "Dropout", rate = 0.2 },
    { type = "Linear", in_features = 24, out_features = 10 },
    { type = "LI", layer_shape = 10 },
]
"#;

/// The files that must be bit-identical in the end.
const LEFT: [&str; 4] = ["params.safetensors", "best.safetensors", "checkpoint.safetensors", "metrics.jsonl"];

struct Folder(TempDir);

impl Folder {
    fn new() -> Folder {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("model.toml"), MODEL).expect("a file");
        Folder(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_spiq"));
        command.args(line.split_whitespace()).current_dir(self.0.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn begin(&self, line: &str) -> Child {
        self.command(line).spawn().expect("a process")
    }

    #[track_caller]
    fn succeeds(&self, line: &str) -> String {
        let (status, noted) = end(self.begin(line));
        assert!(status.success(), "{line}: {status}: {noted}");
        noted
    }

    #[track_caller]
    fn refuses(&self, line: &str, expected: &str) {
        let before = self.names("");
        let (status, noted) = end(self.begin(line));
        assert_eq!(status.code(), Some(2), "{line}: {noted}");
        assert!(noted.starts_with("error: ") && noted.lines().count() == 1 && noted.contains(expected), "{noted}");
        assert_eq!(before, self.names(""), "a file came or went");
    }

    /// The names of the files in a folder.
    fn names(&self, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(folder)).expect("a folder").flatten();
        let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    fn lines(&self, run: &str) -> usize {
        std::fs::read_to_string(self.path(run).join("metrics.jsonl")).unwrap_or_default().lines().count()
    }

    /// Waits until the metrics have this many lines.
    #[track_caller]
    fn wait_for(&self, run: &str, lines: usize) {
        wait(|| self.lines(run) >= lines);
    }

    #[track_caller]
    fn is_same(&self, run: &str, whole: &str) {
        for name in LEFT {
            let read = |run: &str| std::fs::read(self.path(run).join(name)).expect(name);
            assert!(read(run) == read(whole), "{name} is another");
        }
    }
}

#[track_caller]
fn wait(until: impl Fn() -> bool) {
    let begun = Instant::now();
    while !until() {
        assert!(begun.elapsed() < Duration::from_secs(240), "nothing happens");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A process's exit status and standard error.
fn end(child: Child) -> (ExitStatus, String) {
    let Output { status, stderr, .. } = child.wait_with_output().expect("an end");
    (status, String::from_utf8(stderr).expect("UTF-8"))
}

fn kill(child: &mut Child) {
    child.kill().expect("a kill");
    child.wait().expect("an end");
}

#[cfg(unix)]
fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status();
    assert!(sent.expect("kill").success());
}

fn metadata(path: &Path) -> BTreeMap<String, String> {
    ArrayFile::read(path).expect("a file").metadata
}

fn step(path: &Path) -> usize {
    metadata(path)[key::step].parse().expect("a number")
}

#[test]
fn a_run_that_is_killed_again_and_again_goes_on_to_the_same_bits() {
    let folder = Folder::new();
    folder.succeeds(&format!("{LINE} --out whole"));
    let often = format!("{LINE} --checkpoint-seconds 0.02 --out parts");
    let checkpoint = folder.path("parts/checkpoint.safetensors");
    let (mut within, mut reached) = (0, 0);
    for (number, lines) in [50, 110, 190, 260].into_iter().enumerate() {
        let resume = if number == 0 { "" } else { "--resume" };
        let mut child = folder.begin(&format!("{often} {resume}"));
        folder.wait_for("parts", lines);
        wait(|| checkpoint.exists());
        kill(&mut child);
        // The lock file is no longer held.
        assert!(folder.path("parts/.spiq.lock").exists());
        let now = step(&checkpoint);
        assert!(now >= reached, "from {reached} back to {now}");
        reached = now;
        within += usize::from(!now.is_multiple_of(40));
    }
    assert!(within > 0, "no checkpoint was within an epoch");
    // A killed write leaves a temporary file.
    std::fs::write(folder.path("parts/.spiq-abc123.tmp"), "half").expect("a file");
    folder.succeeds(&format!("{LINE} --resume --out parts"));
    folder.is_same("parts", "whole");
    let hidden: Vec<String> = folder.names("parts").into_iter().filter(|name| name.starts_with('.')).collect();
    assert!(hidden.is_empty(), "{hidden:?}");
}

#[cfg(unix)]
#[test]
fn every_signal_saves_a_run_within_an_epoch() {
    let folder = Folder::new();
    folder.succeeds(&format!("{LINE} --out whole"));
    let mut resume = "";
    for (name, code, said, lines) in
        [("TERM", 143, "SIGTERM", 30), ("HUP", 129, "SIGHUP", 100), ("INT", 130, "Ctrl-C", 170)]
    {
        let child = folder.begin(&format!("{LINE} --checkpoint-seconds 1000 --out parts {resume}"));
        folder.wait_for("parts", lines);
        signal(&child, name);
        // Twice, as when a terminal is closed.
        signal(&child, if name == "INT" { "TERM" } else { name });
        let (status, noted) = end(child);
        assert_eq!(status.code(), Some(code), "{noted}");
        let last = noted.lines().last().unwrap_or_default();
        assert_eq!(last, format!("error: stopped by {said} and saved; to continue: spiq train --resume --out parts"));
        assert!(step(&folder.path("parts/checkpoint.safetensors")) + 10 >= lines);
        resume = "--resume";
    }
    folder.succeeds(&format!("{LINE} --resume --out parts"));
    folder.is_same("parts", "whole");
}

#[test]
fn pipes_that_nobody_reads_do_not_end_a_run() {
    let folder = Folder::new();
    folder.succeeds(&format!("{LINE} --out whole"));
    let mut child = folder.begin(&format!("{LINE} --out closed"));
    drop((child.stdout.take(), child.stderr.take()));
    assert!(child.wait().expect("an end").success());
    folder.is_same("closed", "whole");
}

#[test]
fn a_damaged_checkpoint_falls_back_to_the_one_before() {
    let folder = Folder::new();
    folder.succeeds(&format!("{LINE} --checkpoint-seconds 0.02 --out whole"));
    let [newer, older] =
        ["checkpoint.safetensors", "checkpoint-previous.safetensors"].map(|name| folder.path("whole").join(name));
    assert_eq!(step(&newer), 300);
    assert!(step(&older) < 300);
    let (bytes, before) = (std::fs::read(&newer).expect("a file"), std::fs::read(&older).expect("a file"));
    let metrics = std::fs::read(folder.path("whole/metrics.jsonl")).expect("a file");
    let flipped = |place: usize| {
        let mut flipped = bytes.clone();
        flipped[place] ^= 4;
        flipped
    };
    let header = 8 + u64::from_le_bytes(bytes[..8].try_into().expect("eight")) as usize;
    let digit = bytes.windows(9).position(|part| part == b"\"step\":\"3").expect("a step") + 8;
    let sum = bytes.windows(10).position(|part| part == b"\"checksum\"").expect("a checksum") + 3;
    let damaged = [
        bytes[..bytes.len() / 2].to_vec(),
        Vec::new(),
        flipped(3),
        flipped(digit),
        flipped(sum),
        flipped(header - 1),
        flipped(header + 1),
        flipped(bytes.len() - 1),
    ];
    // Reading is quick, so every case is read; only two are resumed.
    for (number, contents) in damaged.into_iter().enumerate() {
        std::fs::write(&newer, contents).expect("a file");
        let read = spiq::train::checkpoint_in(&folder.path("whole")).expect("the one before");
        assert_eq!(read.metadata[key::step], step(&older).to_string(), "damage {number}");
        if number == 0 || number == 3 {
            let noted = folder.succeeds(&format!("{LINE} --resume --out whole"));
            let note = noted.lines().next().unwrap_or_default();
            assert!(note.starts_with("note: ") && note.contains("checkpoint.safetensors"), "{noted}");
            assert!(
                note.contains("resuming from the previous checkpoint, whole/checkpoint-previous.safetensors, at step"),
                "{note}"
            );
            assert!(std::fs::read(&newer).expect("a file") == bytes);
            assert!(std::fs::read(folder.path("whole/metrics.jsonl")).expect("a file") == metrics);
            std::fs::write(&older, &before).expect("a file");
        }
    }
    // Only the newer one is missing, as on a file system without links.
    std::fs::remove_file(&newer).expect("a file");
    folder.succeeds(&format!("{LINE} --resume --out whole"));
    assert!(std::fs::read(&newer).expect("a file") == bytes);
    for path in [&newer, &older] {
        std::fs::write(path, &bytes[..100]).expect("a file");
    }
    folder.refuses(&format!("{LINE} --resume --out whole"), "checkpoint.safetensors is not a usable safetensors file");
}

/// A process whose files cannot grow beyond `blocks` blocks of 512 bytes, as on a full disk.
#[cfg(unix)]
fn limited(folder: &Folder, blocks: usize, line: &str) -> Child {
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec {} {line}", env!("CARGO_BIN_EXE_spiq"));
    let mut command = Command::new("sh");
    command.args(["-c", &script]).current_dir(folder.0.path()).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a process")
}

#[cfg(unix)]
#[test]
fn a_disk_that_is_full_costs_no_checkpoint() {
    let folder = Folder::new();
    let line = format!("{LINE} --checkpoint-seconds 0.02");
    folder.succeeds(&format!("{line} --out whole"));
    let mut child = folder.begin(&format!("{line} --out parts"));
    let checkpoint = folder.path("parts/checkpoint.safetensors");
    wait(|| checkpoint.exists());
    kill(&mut child);
    let (before, at) = (std::fs::read(&checkpoint).expect("a file"), step(&checkpoint));
    // There is room for metrics but not for a checkpoint.
    let (status, noted) = end(limited(&folder, 48, &format!("{line} --resume --out parts")));
    assert_eq!(status.code(), Some(2), "{noted}");
    let stays = format!("the checkpoint of step {at} is still in place");
    let told = noted.lines().filter(|line| line.contains("training continues and will retry")).collect::<Vec<_>>();
    assert!(
        told.len() == 1
            && told[0].starts_with("cannot write parts/checkpoint.safetensors: ")
            && told[0].contains(&stays),
        "{noted}"
    );
    let last = noted.lines().last().unwrap_or_default();
    assert!(last.starts_with("error: cannot write parts/checkpoint.safetensors") && last.ends_with(&stays), "{last}");
    assert!(std::fs::read(&checkpoint).expect("a file") == before, "the checkpoint is another");
    // There is no room even for the metrics.
    let (status, noted) = end(limited(&folder, 8, &format!("{line} --resume --out parts")));
    assert_eq!(status.code(), Some(2), "{noted}");
    let last = noted.lines().last().unwrap_or_default();
    assert!(last.starts_with("error: cannot write parts/metrics.jsonl") && last.ends_with(&stays), "{last}");
    assert!(folder.names("parts").iter().all(|name| !name.ends_with(".tmp")), "{:?}", folder.names("parts"));
    folder.succeeds(&format!("{line} --resume --out parts"));
    folder.is_same("parts", "whole");
}

#[cfg(unix)]
#[test]
fn several_runs_are_stopped_and_go_on() {
    let folder = Folder::new();
    // Long enough for the first run to be active while others are refused.
    let line = LINE.replace("--seed 3", "--seeds 5,6 --checkpoint-seconds 0.02 --out many").replace("300", "2000");
    folder.succeeds(&line.replace("--out many", "--out many-whole"));
    let child = folder.begin(&line);
    folder.wait_for("many/seed-5", 60);
    folder.refuses(&line, "many is in use by another run (process ");
    // In use, or finished in the meantime.
    folder.refuses(&format!("{LINE} --out many/seed-5"), "many/seed-5 ");
    signal(&child, "TERM");
    let (status, noted) = end(child);
    assert_eq!(status.code(), Some(143), "{noted}");
    assert!(
        noted.ends_with("stopped by SIGTERM and saved; to continue, repeat the command with --resume\n"),
        "{noted}"
    );
    let mut child = folder.begin(&format!("{line} --resume"));
    folder.wait_for("many/seed-6", 100);
    wait(|| folder.path("many/seed-6/checkpoint.safetensors").exists());
    kill(&mut child);
    folder.succeeds(&format!("{line} --resume"));
    for seed in ["seed-5", "seed-6"] {
        folder.is_same(&format!("many/{seed}"), &format!("many-whole/{seed}"));
    }
}

#[cfg(unix)]
#[test]
fn a_data_set_that_is_stopped_leaves_nothing() {
    let folder = Folder::new();
    for (name, code, said) in [("TERM", 143, "SIGTERM"), ("HUP", 129, "SIGHUP")] {
        let child = folder.begin("data make --samples 100000 --events 2000 --output made.h5");
        wait(|| folder.names("").iter().any(|name| name.ends_with(".tmp")));
        signal(&child, name);
        let (status, noted) = end(child);
        assert_eq!((status.code(), noted), (Some(code), format!("error: stopped by {said}; nothing was written\n")));
        assert_eq!(folder.names(""), ["model.toml"]);
    }
    // A killed command leaves its temporary file to the next one.
    let mut child = folder.begin("data make --samples 100000 --events 2000 --output made.h5");
    wait(|| folder.names("").iter().any(|name| name.ends_with(".tmp")));
    kill(&mut child);
    folder.succeeds("data make --samples 4 --output made.h5");
    assert_eq!(folder.names(""), ["made.h5", "model.toml"]);
}
