//! Pictures and tables of computed values as SVG, HTML and text, for notebooks, files and terminals. Prints nothing.
//!
//! ```
//! use spiq::{Array, display};
//! let potentials = Array::new([4, 1], [0.0f32, 0.6, 0.9, 0.1])?;
//! let picture = display::traces(&potentials, Some(1.0))?;
//! assert!(picture.svg().starts_with("<svg"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod confusion;
mod course;
mod curves;
mod describe;
mod heat_map;
mod history;
mod nodes;
mod palette;
mod picture;
mod raster;
mod recording;
mod survey;
mod traces;

pub use crate::table::Table;
pub use confusion::confusion;
pub use curves::{Curve, curves, curves_by_epoch};
pub use describe::{describe, parameters};
pub use heat_map::heat_map;
pub use history::history;
pub use nodes::nodes;
pub use picture::Picture;
pub use raster::raster;
pub use recording::recording;
pub use survey::survey;
pub use traces::traces;
