//! The keys of `rules.toml` and the names that they accept, from the definitions that read them.

use super::calibration::Method;
use super::noise::Distribution;
use super::product::Product;
use super::qtype::QType;
use super::rules::Rules;
use crate::config::RuleConfig;
use crate::fields::{Key, Section};

/// The keys of a file of rules.
pub(super) const KEYS: [Key; 1] =
    [Key { kind: "tables", ..Key::required::<String>("rules", &["The rules in order, each a [[rules]] table."]) }];

impl Rules {
    /// The keys of `rules.toml`, and the types, calibration methods, operations and noises that they accept.
    pub fn keys() -> Vec<Section> {
        let types = QType::ALL.map(|qtype| {
            let (low, high) = qtype.range();
            let tiles = qtype.tile().map(|tile| format!("In tiles of {tile}, each with its own scale."));
            [qtype.to_string(), format!("{low} to {high}"), tiles.unwrap_or_default()]
        });
        let methods = Method::forms().map(|(form, about)| [form.to_owned(), String::new(), about.to_owned()]);
        let named = |name: &str| [name.to_owned(), String::new(), String::new()];
        vec![
            Section::new("rules.toml", &["The first rule that matches an operation applies to it."], &KEYS),
            Section::new(
                "A rule",
                &["An operation without a rule, or whose rule has no types, is not quantized."],
                RuleConfig::KEYS,
            ),
            Section::of_rows(
                "Types",
                "For weight_qtype, act_qtype and bwd_qtype, with their ranges before scaling.",
                types,
            ),
            Section::of_rows("Calibration methods", "For the keys that end in _calibration_method.", methods),
            Section::of_rows("Operations", "For op_names.", Product::NAMES.map(named)),
            Section::of_rows("Noise", "For bwd_stochastic_rounding.", Distribution::NAMES.map(|(name, _)| named(name))),
        ]
    }
}
