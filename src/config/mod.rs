//! The two files a user writes, `model.toml` and `rules.toml`, as plain data. Knows nothing of layers or quantization.

mod activation;
mod fields;
mod layer;
mod model;
mod nearest;
mod rule;

pub use activation::ActivationConfig;
pub use layer::LayerConfig;
pub use model::ModelConfig;
pub(crate) use nearest::nearest;
pub use rule::{RuleConfig, TileSize, load_rules, parse_rules, rules_to_toml};
