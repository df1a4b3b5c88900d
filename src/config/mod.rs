//! The contents of `model.toml` and `rules.toml`, as data. Invariant: does not depend on quantization;
//! [`quant::Rules`](crate::quant::Rules) interprets the rules and reads their file.

mod model;
mod open_sizes;
mod reference;
mod rule;
mod wires;

pub use crate::fields::{Described, LARGEST, Section, in_f32};
pub use model::ModelConfig;
pub use rule::{RuleConfig, TileSize};
