//! Rust notebooks (evcxr in Jupyter): displays the last value of a cell, and errors with the line of the cell. Besides the command line the
//! only part that prints.
//!
//! A first cell contains
//!
//! ```text
//! :dep spiq = { path = ".." }
//! use spiq::prelude::*;
//! notebook::start();
//! ```
//!
//! From then on, a cell that ends with an array, a function, a picture, a report or a `Result` of one displays it.

mod show;

use std::panic::PanicHookInfo;

use crate::places;

pub use show::{Content, Show};

/// Reduces a panic to one message with its line. Call it once, in the first cell; outside of notebooks it only changes the panic message.
pub fn start() {
    std::panic::set_hook(Box::new(|panic| {
        places::name_cells();
        eprintln!("{}", message(panic));
    }));
}

/// A panic's message and location, without a backtrace.
fn message(panic: &PanicHookInfo) -> String {
    let payload = panic.payload();
    let text = payload.downcast_ref::<&str>().copied().or_else(|| Some(payload.downcast_ref::<String>()?.as_str()));
    let text = text.unwrap_or("a panic");
    let place = panic.location().map(spiq_hlo::place_name).unwrap_or_default();
    format!("panic: {text} --> {place}")
}
