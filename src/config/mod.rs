//! The two files a user writes, `model.toml` and `rules.toml`. Knows no particular layer, and nothing of quantization.

mod model;
mod open_sizes;
mod rule;

pub use crate::fields::LARGEST;
pub use model::ModelConfig;
pub use rule::{RuleConfig, TileSize, load_rules, parse_rules, rules_to_toml};
