//! The training run for fault injection: all kinds of state, in three seconds.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::command::{Scratch, ended, plugin, spiq};
use crate::project::Result;

/// Running statistics, delays, dropout, branches.
const MODEL: &str = r#"layers = [
    { type = "Linear", in_features = 64, out_features = 24, use_bias = false },
    { type = "BatchNorm", num_features = 24 },
    { type = "LIF", hidden_shape = 24, name = "spikes" },
    { type = "Delay", channels = 24, max_delay = 4 },
    { type = "DelayedLinear", in_features = 24, out_features = 24, max_delay = 6, sigma_steps = 20 },
    { type = "BatchNorm", num_features = 24 },
    { type = "ALIF", hidden_shape = 24, recurrent = true },
    { type = "Dropout", rate = 0.2, name = "late" },
    { type = "Concatenate", inputs = ["spikes", "late"] },
    { type = "Linear", in_features = 48, out_features = 10 },
    { type = "LI", layer_shape = 10 },
]
"#;

/// Moving average, augmentation, validation, gradient accumulation: state beside the parameters.
const FLAGS: &str = "train --rules int8 --time-steps 6 --epochs 40 --batch-size 120 --learning-rate 0.01 --ema 0.99 --clip 1.0 \
                     --accumulate 2 --validation 0.1 --shift 0.1 --checkpoint-seconds 0.2";

/// Files that must be bit-identical however often the run was interrupted.
const SAME: [&str; 4] = ["params.safetensors", "best.safetensors", "metrics.jsonl", "checkpoint.safetensors"];

/// An uninterrupted training run, for comparison.
pub struct Training<'a> {
    pub scratch: &'a Scratch,
    /// The CPU plugin.
    plugin: String,
    /// The cache with the training's compiled programs.
    pub cache: PathBuf,
    /// The duration of a run.
    pub time: Duration,
}

impl<'a> Training<'a> {
    /// Trains twice without interruption; the second run uses compiled programs and is timed.
    pub fn whole(scratch: &'a Scratch) -> Result<Training<'a>> {
        fs::write(scratch.path("model.toml"), MODEL).map_err(|error| error.to_string())?;
        let cache = scratch.path("cache");
        let mut training = Training { scratch, plugin: plugin()?, cache, time: Duration::ZERO };
        for name in ["compiling", "whole"] {
            let start = Instant::now();
            ended(&mut training.begin(&training.folder(name)), 0)?;
            training.time = start.elapsed();
        }
        training.check(&training.folder("compiling"))?;
        Ok(training)
    }

    /// A folder for a run.
    pub fn folder(&self, name: &str) -> PathBuf {
        self.scratch.path(name)
    }

    /// The command that starts a run in a folder.
    pub fn begin(&self, folder: &Path) -> Command {
        self.begin_with(folder, &self.cache)
    }

    /// The same with another cache of compiled programs.
    pub fn begin_with(&self, folder: &Path, cache: &Path) -> Command {
        let model = self.scratch.path("model.toml");
        let mut command = spiq(&self.plugin, cache, &FLAGS.split_whitespace().collect::<Vec<_>>());
        command.arg("--model").arg(model).arg("--out").arg(folder);
        command
    }

    /// The command that resumes a run; a run without a checkpoint is restarted.
    pub fn go_on(&self, folder: &Path) -> Command {
        if !has_checkpoint(folder) {
            _ = fs::remove_dir_all(folder);
            return self.begin(folder);
        }
        let mut command =
            spiq(&self.plugin, &self.cache, &["train", "--resume", "--checkpoint-seconds", "0.2", "--out"]);
        command.arg(folder);
        command
    }

    /// Checks that a run ended like the uninterrupted one, and left no other files.
    pub fn check(&self, folder: &Path) -> Result<()> {
        let whole = self.folder("whole");
        for name in SAME {
            let [is, should] = [folder, &whole].map(|folder| fs::read(folder.join(name)).ok());
            if is.is_none() || is != should {
                return Err(format!("{name} differs from that of an uninterrupted run"));
            }
        }
        match names(folder).into_iter().find(|name| !names(&whole).contains(name)) {
            Some(other) => Err(format!("{other} was left behind")),
            None => Ok(()),
        }
    }
}

/// Whether a run has reached its first checkpoint.
pub fn has_checkpoint(folder: &Path) -> bool {
    folder.join("checkpoint.safetensors").exists() || folder.join("checkpoint-previous.safetensors").exists()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}
