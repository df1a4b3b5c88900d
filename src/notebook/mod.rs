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

mod cell;
mod show;

use std::panic::PanicHookInfo;

pub use show::{Content, Show};

/// Makes errors name the line of the cell that is wrong, and keeps panics to one message. Call it once, in the first cell;
/// elsewhere it changes the panic message only.
pub fn start() {
    spiq_hlo::name_places(cell::name);
    std::panic::set_hook(Box::new(|panic| eprintln!("{}", message(panic))));
}

/// A panic's message and place, without a trace of the calls of the notebook itself.
fn message(panic: &PanicHookInfo) -> String {
    let payload = panic.payload();
    let text = payload.downcast_ref::<&str>().copied().or_else(|| Some(payload.downcast_ref::<String>()?.as_str()));
    let text = text.unwrap_or("a panic");
    let place = panic.location().map(spiq_hlo::place_name).unwrap_or_default();
    format!("panic: {text} --> {place}")
}

#[cfg(test)]
mod tests {
    #[test]
    fn places_outside_of_cells_are_files_and_lines() {
        super::start();
        let errors = spiq_hlo::trace(&[], |_| {
            vec![spiq_hlo::Graph::new().input("x", spiq_hlo::TensorType::scalar(spiq_hlo::DType::F32))]
        });
        assert!(errors.unwrap_err().to_string().contains("src/notebook/mod.rs:"));
    }
}
