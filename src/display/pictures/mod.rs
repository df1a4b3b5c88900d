//! Charts as SVG.

mod confusion;
mod course;
mod curves;
mod heat_map;
mod history;
mod palette;
mod picture;
mod raster;
mod recording;
mod roofline;
mod survey;
mod traces;

pub use confusion::confusion;
pub use curves::{Curve, curves, curves_by_epoch};
pub use heat_map::heat_map;
pub use history::history;
pub use picture::Picture;
pub use raster::raster;
pub use recording::recording;
pub use roofline::roofline;
pub use survey::survey;
pub use traces::traces;
