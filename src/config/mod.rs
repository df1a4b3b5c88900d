//! The two files a user writes, `model.toml` and `rules.toml`. Knows no particular layer, and nothing of quantization.

mod fields;
mod model;
mod nearest;
mod open_sizes;
mod rule;

pub(crate) use fields::{Field, Fields, LARGEST, in_f32};
pub use model::ModelConfig;
pub(crate) use nearest::nearest;
pub use rule::{RuleConfig, TileSize, load_rules, parse_rules, rules_to_toml};
