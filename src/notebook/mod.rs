//! Rust notebooks (evcxr in Jupyter): what a cell shows of its last value, and errors with the line of the cell. Besides the
//! command line the only part that prints; knows nothing of how values are drawn.
//!
//! A first cell is
//!
//! ```text
//! :dep spiq = { path = ".." }
//! use spiq::prelude::*;
//! notebook::start();
//! ```
//!
//! From then on a cell that ends with an array, a function, a picture, a report or a `Result` of one shows it.

mod show;

use std::panic::PanicHookInfo;

use crate::places;

pub use show::{Content, Show};

/// Keeps a panic to one message with its line. Call it once, in the first cell; elsewhere it changes the panic message only.
pub fn start() {
    std::panic::set_hook(Box::new(|panic| {
        places::name_cells();
        eprintln!("{}", message(panic));
    }));
}

/// A panic's message and place, without a trace of the calls of the notebook itself.
fn message(panic: &PanicHookInfo) -> String {
    let payload = panic.payload();
    let text = payload.downcast_ref::<&str>().copied().or_else(|| Some(payload.downcast_ref::<String>()?.as_str()));
    let text = text.unwrap_or("a panic");
    let place = panic.location().map(spiq_hlo::place_name).unwrap_or_default();
    format!("panic: {text} --> {place}")
}
