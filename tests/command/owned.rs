//! Ownership of a results folder: one run at a time, no links, only files of one run, and what may change on resuming.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use spiq::data::ArrayFile;
use spiq::provenance::key;
use spiq::train::{FolderLock, read_records};

use super::evaluated::{refuses, spiq, succeeds};

const LINE: &str = "train --rules none --time-steps 3 --batch-size 64";

fn bytes(path: &Path) -> Vec<u8> {
    std::fs::read(path).expect("a file")
}

fn entry(path: &Path, name: &str) -> Option<String> {
    ArrayFile::read(path).expect("a file").metadata.get(name).cloned()
}

#[test]
fn a_second_run_in_a_folder_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let mut child = Command::new(env!("CARGO_BIN_EXE_spiq"))
        .args(format!("{LINE} --epochs 9999 --out run").split_whitespace())
        .current_dir(folder)
        .stderr(Stdio::null())
        .spawn()
        .expect("a process");
    let begun = Instant::now();
    while read_records(&folder.join("run/metrics.jsonl")).map_or(0, |records| records.len()) < 20 {
        assert!(begun.elapsed() < Duration::from_secs(240), "no steps");
        std::thread::sleep(Duration::from_millis(2));
    }
    let said = format!(
        "run is in use by another run (process {}); wait for it to end or stop it, or give another folder with --out",
        child.id()
    );
    refuses(folder, &format!("{LINE} --epochs 1 --seed 3 --out run"), &said);
    refuses(folder, "sweep --grid seed=1,2 --epochs 1 --out run", &said);
    child.kill().expect("a kill");
    child.wait().expect("an end");
    // Every line comes from the first process, whose steps are consecutive.
    let text = std::fs::read_to_string(folder.join("run/metrics.jsonl")).expect("metrics");
    let whole = text.lines().filter(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()).count();
    assert!(text.lines().count() - whole <= 1, "{text}");
    // The lock is released when its process ends.
    succeeds(folder, &format!("{LINE} --steps 2 --out run"));
    assert!(!folder.join("run/.spiq.lock").exists());
    // The library also takes the lock.
    let lock = FolderLock::take(&folder.join("run")).expect("a lock");
    refuses(folder, &format!("{LINE} --steps 2 --out run"), "run is in use by another run");
    drop(lock);
    succeeds(folder, &format!("{LINE} --steps 2 --resume --out run"));
}

#[cfg(unix)]
#[test]
fn nothing_is_written_through_a_link() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let precious = folder.join("precious");
    std::fs::write(&precious, "mine").expect("a file");
    std::fs::create_dir(folder.join("run")).expect("a folder");
    for name in spiq::train::RUN_FILES.into_iter().chain([spiq::train::LOCK]) {
        let link = folder.join("run").join(name);
        for target in ["../precious", "../nothing"] {
            std::os::unix::fs::symlink(target, &link).expect("a link");
            let (code, said, noted) = spiq(folder, &format!("{LINE} --steps 2 --tensorboard --out run"));
            assert_eq!((code, said.as_str(), noted.lines().count()), (2, "", 1), "{name}: {noted}");
            let is_named = noted.contains(&format!("run/{name} is a link"))
                || noted.contains(&format!("run/{name} belongs to no run"));
            assert!(is_named, "{noted}");
            std::fs::remove_file(&link).expect("a link");
        }
    }
    assert_eq!((bytes(&precious), folder.join("nothing").exists()), (b"mine".to_vec(), false));
    assert_eq!(std::fs::read_dir(folder.join("run")).expect("a folder").count(), 0);
    // The folder itself may be a link.
    std::os::unix::fs::symlink("run", folder.join("linked")).expect("a link");
    succeeds(folder, &format!("{LINE} --steps 2 --out linked"));
    assert!(folder.join("run/params.safetensors").exists());
}

#[test]
fn the_files_of_a_run_belong_together() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    // In three time steps no spike reaches the outputs of this network, and both runs would have the same losses.
    let line = LINE.replace("--time-steps 3", "--time-steps 6");
    succeeds(folder, &format!("{line} --steps 5 --validation 0.1 --out a"));
    succeeds(folder, &format!("{line} --steps 5 --validation 0.1 --seed 1 --out b"));
    let run = |name: &str| entry(&folder.join(name), key::run).expect("an identity");
    let summary = |name: &str| -> serde_json::Value {
        serde_json::from_slice(&bytes(&folder.join(name).join("summary.json"))).expect("JSON")
    };
    for out in ["a", "b"] {
        let own = run(&format!("{out}/checkpoint.safetensors"));
        assert_eq!(own.len(), 16);
        assert_eq!(
            (&run(&format!("{out}/params.safetensors")), summary(out)["run"].as_str()),
            (&own, Some(own.as_str()))
        );
    }
    assert_ne!(run("a/params.safetensors"), run("b/params.safetensors"));
    // The run does not resume with another run's metrics, changed ones or none.
    let own = bytes(&folder.join("a/metrics.jsonl"));
    let lost = |contents: Option<&[u8]>| {
        match contents {
            Some(contents) => std::fs::write(folder.join("a/metrics.jsonl"), contents).expect("a file"),
            None => std::fs::remove_file(folder.join("a/metrics.jsonl")).expect("a file"),
        }
        refuses(folder, "train --resume --out a", "a/metrics.jsonl does not match a/checkpoint.safetensors");
    };
    lost(Some(&bytes(&folder.join("b/metrics.jsonl"))));
    lost(Some(&own[..own.len() - 1]));
    lost(None);
    assert!(!folder.join("a/metrics.jsonl").exists());
    std::fs::write(folder.join("a/metrics.jsonl"), [&own[..], b"{\"step\": 5, \"lo"].concat()).expect("a file");
    succeeds(folder, "train --resume --out a");
    assert!(bytes(&folder.join("a/metrics.jsonl")) == own);
}

#[test]
fn changes_are_allowed_by_name_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    succeeds(folder, &format!("{LINE} --steps 6 --out run"));
    let change = "train --resume --out run --steps 9 --seed 5 --learning-rate 0.01";
    refuses(folder, change, "another seed (--seed: 0 there, 5 here)");
    refuses(folder, change, "accept the changes with --allow-changes");
    let (code, _, noted) = spiq(folder, "train --allow-changes --out run");
    assert!(code == 2 && noted.contains("--resume"), "{noted}");
    let run = entry(&folder.join("run/params.safetensors"), key::run);
    let (code, said, noted) = spiq(folder, &format!("{change} --allow-changes"));
    assert_eq!(code, 0, "{noted}");
    let note = noted.lines().next().unwrap_or_default();
    assert!(
        note.starts_with(
            "note: resuming after step 6 with another seed (--seed: 0 there, 5 here) and another learning rate"
        ),
        "{noted}"
    );
    assert!(said.contains("steps  ") && read_records(&folder.join("run/metrics.jsonl")).expect("records").len() == 9);
    // The files record the changes, and still identify the run.
    let params = folder.join("run/params.safetensors");
    let changes = entry(&params, key::changes).expect("changes");
    assert!(changes.starts_with("after step 6 another seed (--seed: 0 there, 5 here)"), "{changes}");
    assert_eq!(entry(&params, key::run), run);
    // From then on they are the run's own settings.
    succeeds(folder, "train --resume --out run");
    refuses(folder, "train --resume --out run --seed 0", "another seed (--seed: 5 there, 0 here)");
    // State that only the new optimizer has is initialized; parameters that do not fit are refused.
    for (number, flags) in
        ["--optimizer sgd --ema 0.9", "--optimizer lion", "--optimizer adam --ema 0"].iter().enumerate()
    {
        let steps = 12 + 3 * number;
        let noted = spiq(folder, &format!("train --resume --allow-changes --out run --steps {steps} {flags}"));
        assert_eq!(noted.0, 0, "{flags}: {}", noted.2);
    }
    assert_eq!(entry(&params, key::step).as_deref(), Some("18"));
    std::fs::write(
        folder.join("other.toml"),
        "layers = [{ type = \"Linear\", in_features = 64, out_features = 10 }, { type = \"LI\", layer_shape = 10 }]",
    )
    .expect("a file");
    refuses(
        folder,
        "train --resume --allow-changes --out run --model other.toml",
        "run/checkpoint.safetensors lacks `core/layers/0/bias`",
    );
}
