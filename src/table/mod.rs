//! Tables: aligned text for a terminal, HTML for a notebook. Depends on nothing that is shown in them.

mod aligned;
mod cells;

pub use aligned::aligned;
pub use cells::Table;
