//! Code that XLA's programs call on the processor: loops over time in one pass over memory. Knows nothing of plugins, and
//! has no `unsafe`.
//!
//! A [`Scan`] is a [`LaneProgram`](spiq_hlo::LaneProgram) with its memory. It is cut into [`Tile`]s, ranges of lanes that run
//! on any thread in any order, since lanes do not depend on each other: results do not depend on the number of threads.

mod memory;
mod registers;
mod scan;
mod tile;

pub(crate) use memory::{Read, Write};
pub(crate) use tile::Tile;

use scan::Scan;
use spiq_hlo::LaneProgram;

/// Elements below which another thread is not worth waking.
const SMALL: usize = 1 << 15;

/// Runs a loop over time. `words` are an encoded program; inputs are its constants, initial carries and sequences, outputs its
/// last carries and stacked rows. `run` runs tiles, on as many threads as it likes, and says whether all of them ended.
///
/// # Errors
/// What is wrong with the program or with the memory, in a sentence.
pub(crate) fn run_scan(
    words: &[i64],
    mut inputs: Vec<Read>,
    mut outputs: Vec<Write>,
    workers: usize,
    run: &dyn Fn(Vec<Tile>) -> bool,
) -> Result<(), String> {
    let program = LaneProgram::decode(words).ok_or("a kernel was given a program that it cannot read")?;
    let misfit = || "a kernel was given memory that does not fit its program".to_owned();
    let carries = program.carries.len();
    if inputs.len() < program.consts.len() + carries || outputs.len() < carries {
        return Err(misfit());
    }
    let rows = outputs.split_off(carries);
    let mut starts = inputs.split_off(program.consts.len());
    let slices = starts.split_off(carries);
    let mut states = Vec::with_capacity(carries);
    for (start, state) in starts.into_iter().zip(outputs) {
        match (start, state) {
            (Read::F32(start), Write::F32(state)) if start.len() == state.len() => {
                state.copy_from_slice(start);
                states.push(state);
            }
            _ => return Err(misfit()),
        }
    }
    let workers = if program.steps * program.lanes < SMALL { 1 } else { workers };
    let scan = Scan::new(&program, inputs, slices).ok_or_else(misfit)?;
    let tiles = scan.tiles(states, rows, workers).ok_or_else(misfit)?;
    if run(tiles) { Ok(()) } else { Err("a kernel panicked".to_owned()) }
}
