//! `cargo xtask accuracy`: the numbers of benches/ACCURACY.md and the picture of docs/accuracy.md, each from a recipe with its flags.
//!
//! A run that has ended is not trained again, so that the command goes on where it was stopped. Each core trains a network of its own.

mod networks;
mod page;
mod picture;
mod score;
mod trained;

use std::sync::Mutex;
use std::thread;

use crate::project::{Result, build_spiq, root};
use networks::{SPLITS, Split};
use trained::Run;

/// Writes the tables of what is trained already.
pub fn write_page() -> Result<()> {
    write("benches/ACCURACY.md", &page::page())?;
    match picture::changed() {
        Some(picture) => write("docs/accuracy.svg", &picture),
        None => Ok(()),
    }
}

/// Trains what is not trained yet, and writes the tables. `only` names splits by what they are called; without any all are meant.
pub fn run(only: &[&str]) -> Result<()> {
    if let Some(unknown) = only.iter().find(|name| SPLITS.iter().all(|split| split.called != **name)) {
        let known: Vec<&str> = SPLITS.iter().map(|split| split.called).collect();
        return Err(format!("unknown split {unknown}; there are {}", known.join(", ")));
    }
    build_spiq()?;
    let wanted = |split: &&Split| only.is_empty() || only.contains(&split.called);
    let runs: Vec<Run> = SPLITS.iter().filter(wanted).flat_map(Split::runs).collect();
    train_all(&runs)?;
    write_page()
}

/// Trains on all cores, a network on each: two cores that share a step wait for each other.
fn train_all(runs: &[Run]) -> Result<()> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let left = Mutex::new(runs.iter());
    let next = || left.lock().expect("no other thread panics").next();
    let on_core = |core: usize| -> Result<()> {
        while let Some(run) = next() {
            run.train(core)?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|core| scope.spawn(move || on_core(core))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("training does not panic"))
    })
}

fn write(file: &str, text: &str) -> Result<()> {
    let path = root().join(file);
    std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    println!("{} written", path.display());
    Ok(())
}
