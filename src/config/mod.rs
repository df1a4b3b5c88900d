//! What a user writes in `model.toml` and `rules.toml`, as data. Knows no particular layer, and nothing of quantization: what the
//! words of a rule mean, [`quant::Rules`](crate::quant::Rules) knows, which reads its file.

mod model;
mod open_sizes;
mod rule;
mod wires;

pub use crate::fields::{LARGEST, in_f32};
pub use model::ModelConfig;
pub use rule::{RuleConfig, TileSize};
