//! Tables: aligned text for a terminal, HTML for a notebook.
//!
//! Invariant: does not depend on the values shown.

mod aligned;
mod cells;

pub use aligned::aligned;
pub use cells::Table;
