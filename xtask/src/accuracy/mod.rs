//! `cargo xtask accuracy`: generates the tables of benches/ACCURACY.md and the chart of docs/accuracy.md, each number from a recipe
//! with its flags.
//!
//! Finished runs are not repeated, so an interrupted command can be restarted. Each core trains one network at a time.

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

/// Writes the tables of the finished runs.
pub fn write_page() -> Result<()> {
    write("benches/ACCURACY.md", &page::page())?;
    match picture::changed() {
        Some(picture) => write("docs/accuracy.svg", &picture),
        None => Ok(()),
    }
}

/// Trains the missing runs, and writes the tables. `only` selects splits by name; if it is empty, all splits.
pub fn run(only: &[&str]) -> Result<()> {
    if let Some(unknown) = only.iter().find(|name| SPLITS.iter().all(|split| split.called != **name)) {
        let known: Vec<&str> = SPLITS.iter().map(|split| split.called).collect();
        return Err(format!("unknown split {unknown}; available: {}", known.join(", ")));
    }
    build_spiq()?;
    let wanted = |split: &&Split| only.is_empty() || only.contains(&split.called);
    let runs: Vec<Run> = SPLITS.iter().filter(wanted).flat_map(Split::runs).collect();
    train_all(&runs)?;
    write_page()
}

/// Trains on all cores, one network per core: two cores sharing a step would stall each other.
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
