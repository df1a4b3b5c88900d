//! Pictures and tables of computed values as SVG, HTML and text, for notebooks, files and terminals. Prints nothing. Pictures need the
//! feature `pictures`.
//!
//! ```
//! use spiq::{Array, display};
//! let potentials = Array::new([4, 1], [0.0f32, 0.6, 0.9, 0.1])?;
//! let picture = display::traces(&potentials, Some(1.0))?;
//! assert!(picture.svg().starts_with("<svg"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod describe;
mod nodes;
#[cfg(feature = "pictures")]
mod pictures;

pub use crate::table::Table;
pub use describe::{describe, parameters};
pub use nodes::nodes;
#[cfg(feature = "pictures")]
pub use pictures::{
    Curve, Picture, confusion, curves, curves_by_epoch, heat_map, history, raster, recording, roofline, survey, traces,
};
