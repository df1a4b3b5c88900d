//! `cargo xtask soak`: a long training. Samples the memory, open files, threads and mappings of its process every second, and fails if one
//! of them grows over the second half.

mod picture;
mod sample;

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStderr};
use std::thread;
use std::time::{Duration, Instant};

use crate::faults::command::{Scratch, checked, plugin, spiq, start};
use crate::project::{Result, build_spiq, root};
use sample::Sample;

/// Steps where no number is given.
const STEPS: usize = 100_000;

/// The training: the built-in digits over few time steps, so that an epoch with its test takes a third of a second, and a checkpoint a second.
const FLAGS: &str = "train --time-steps 4 --batch-size 8 --checkpoint-seconds 1";

/// The sampling interval.
const EVERY: Duration = Duration::from_secs(1);

/// The smallest number of samples that can be judged.
const FEWEST: usize = 20;

/// Allowed growth of each of [`Sample::KINDS`] over the second half: bytes of memory, numbers of the others. The history for the run's picture
/// grows by some bytes a step.
const BOUNDS: [f64; 4] = [16e6, 4.0, 2.0, 32.0];

/// Trains for that many steps and checks the samples.
pub fn run(steps: Option<&str>) -> Result<()> {
    let steps = match steps {
        Some(text) => text
            .parse()
            .map_err(|_| format!("unknown number of steps {text}; give a whole number, as in --steps {STEPS}"))?,
        None => STEPS,
    };
    build_spiq()?;
    let folder = root().join("target/soak");
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let started = Instant::now();
    let samples = watched(steps)?;
    println!("{steps} steps in {:.0} s, {} samples", started.elapsed().as_secs_f64(), samples.len());
    let lines: String = samples.iter().map(Sample::line).collect();
    write(&folder.join("soak.csv"), &format!("{}\n{lines}", Sample::HEAD))?;
    if samples.len() < FEWEST {
        return Err(format!("{} samples are too few to judge; give more steps", samples.len()));
    }
    write(&folder.join("soak.svg"), &picture::of(&samples, steps))?;
    judged(&samples)
}

fn write(path: &std::path::Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    println!("{}", path.display());
    Ok(())
}

/// The samples of the process, from the end of the first epoch on: compilation is left out.
fn watched(steps: usize) -> Result<Vec<Sample>> {
    let scratch = Scratch::new()?;
    let mut command = spiq(&plugin()?, &scratch.path("cache"), &FLAGS.split_whitespace().collect::<Vec<_>>());
    command.args(["--steps", &steps.to_string(), "--out"]).arg(scratch.path("run"));
    let mut child = start(&mut command)?;
    let first = wait_for_the_first_epoch(&mut child)?;
    let (mut samples, begun) = (Vec::new(), Instant::now());
    while matches!(child.try_wait(), Ok(None)) {
        // A process that has just ended has nothing to be read.
        if let Some(sample) = Sample::of(child.id(), begun.elapsed()) {
            samples.push(sample);
        }
        thread::sleep(EVERY);
    }
    let rest = first.join().map_err(|_| "the reader of what the run prints failed".to_owned())?;
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    checked(&output, &[0]).map_err(|error| format!("{error}; it printed {rest}"))?;
    Ok(samples)
}

/// Waits for the line of the first epoch; the thread reads the rest, so that a full pipe never stalls the run.
fn wait_for_the_first_epoch(child: &mut Child) -> Result<thread::JoinHandle<String>> {
    let printed = child.stderr.take().ok_or("the run's messages cannot be read")?;
    let (send, receive) = std::sync::mpsc::channel();
    let reader = thread::spawn(move || last_line(printed, &send));
    // The sender is gone once the run has ended without an epoch.
    match receive.recv() {
        Ok(()) => Ok(reader),
        Err(_) => Err(format!("the run ended before its first epoch: {}", reader.join().unwrap_or_default())),
    }
}

fn last_line(printed: ChildStderr, send: &std::sync::mpsc::Sender<()>) -> String {
    let mut last = String::new();
    for line in BufReader::new(printed).lines().map_while(std::result::Result::ok) {
        if line.starts_with("epoch") {
            _ = send.send(());
        }
        last = line;
    }
    last
}

/// Compares the middle with the end: medians of a tenth of the samples each.
fn judged(samples: &[Sample]) -> Result<()> {
    let tenth = samples.len().div_ceil(10);
    let (middle, end) = (&samples[samples.len() / 2..][..tenth], &samples[samples.len() - tenth..]);
    let mut grown = Vec::new();
    println!("| of the process | at the middle | at the end | may grow by |\n|---|---|---|---|");
    for (kind, bound) in BOUNDS.iter().enumerate() {
        let [from, to] = [middle, end].map(|part| median(part.iter().map(|sample| sample.values[kind]).collect()));
        let shown = |value: f64| if kind == 0 { format!("{:.1} MB", value / 1e6) } else { format!("{value:.0}") };
        println!("| {} | {} | {} | {} |", Sample::KINDS[kind], shown(from), shown(to), shown(*bound));
        if to - from > *bound {
            grown.push(format!("{} grew from {} to {}", Sample::KINDS[kind], shown(from), shown(to)));
        }
    }
    if grown.is_empty() { Ok(()) } else { Err(format!("over the second half {}", grown.join(", "))) }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(values: impl Fn(usize) -> [f64; 4]) -> Vec<Sample> {
        (0..100).map(|second| Sample { second: second as f64, values: values(second) }).collect()
    }

    #[test]
    fn what_grows_over_the_second_half_is_found_and_what_grew_before_is_not() {
        judged(&held(|second| [1e9 * (second.min(40) as f64), 9.0, 8.0, 100.0])).expect("flat from there on");
        let leak = judged(&held(|second| [3e8 + 1e6 * second as f64, 9.0 + second as f64, 8.0, 100.0]));
        let leak = leak.expect_err("a megabyte and a file a second");
        assert!(leak.contains("memory grew from 3") && leak.contains("open files grew from 6"), "{leak}");
        assert!(!leak.contains("threads"), "{leak}");
    }

    #[test]
    fn a_picture_has_a_line_for_each_kind() {
        let drawn = picture::of(&held(|second| [3e8, 9.0, 8.0, 100.0 + second as f64]), 100);
        assert_eq!(drawn.matches("<polyline").count(), 4);
        assert!(drawn.ends_with("</svg>\n") && !drawn.contains("NaN") && !drawn.contains("inf"), "{drawn}");
    }
}
