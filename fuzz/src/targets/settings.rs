//! model.toml and rules.toml.

use spiq::config::ModelConfig;
use spiq::network::Network;
use spiq::quant::{Rules, linear_only_rules};

use super::{Target, text};
use crate::corpus::files;

/// A model: parses it, writes and parses it again, and builds its network.
pub const MODEL: Target = Target {
    name: "model",
    read: |input| {
        let Some(model) = text(input).and_then(|text| ModelConfig::parse(text, "model.toml").ok()) else {
            return false;
        };
        let written = model.to_toml();
        assert_eq!(ModelConfig::parse(&written, "again").expect("what was written").to_toml(), written);
        Network::new(model, linear_only_rules("int8", "int8")).is_ok()
    },
    corpus: || [files("src/cli/recipes", ".toml"), files("benches/accuracy", ".toml"), every_layer()].concat(),
};

/// Rules, and the lookup of the rule for a layer.
pub const RULES: Target = Target {
    name: "rules",
    read: |input| {
        let Some(rules) = text(input).and_then(|text| Rules::parse(text, "rules.toml").ok()) else { return false };
        _ = rules.find("core/layers/0", "dot_general");
        true
    },
    corpus: || RULE_FILES.iter().map(|rules| rules.as_bytes().to_vec()).collect(),
};

const RULE_FILES: &[&str] = &[
    "[[rules]]\nmodule_path = \"core/layers/.*\"\nweight_qtype = \"int8\"\nact_qtype = \"int8\"\n",
    "[[rules]]\nmodule_path = \"core/layers/(0|2)\"\nop_names = [\"dot_general\"]\nweight_qtype = \"int4\"\ntile_size = 32\n\n\
     [[rules]]\nweight_qtype = \"nf4\"\nact_qtype = \"float8_e4m3fn\"\nact_static_scale = true\n\
     weight_calibration_method = \"absmax\"\nbwd_qtype = \"int8\"\n",
];

/// Models with each type of layer, with a few keys each.
fn every_layer() -> Vec<Vec<u8>> {
    let kinds = [
        "type = \"Linear\"\nin_features = 4\nout_features = 4",
        "type = \"Conv\"\nin_features = 2\nout_features = 4\nkernel_size = [3, 3]\npadding = \"SAME\"\nstrides = [1, 2]",
        "type = \"DelayedLinear\"\nin_features = 4\nout_features = 4\nmax_delay = 8\nsigma_steps = 10",
        "type = \"ALIF\"\nhidden_shape = 4\nthreshold = 1.5\nreset = \"zero\"\nrecurrent = true",
        "type = \"SE_adLIF\"\nhidden_shape = 4\nactivation = { type = \"slayer\" }",
        "type = \"GroupNorm\"\nnum_features = 4\nnum_groups = 2",
        "name = \"a\"\ntype = \"Identity\"\n\n[[layers]]\ntype = \"Add\"\ninputs = [\"a\", \"a\"]",
        "type = \"Reshape\"\nshape = [2, 2]\n\n[[layers]]\ntype = \"Flatten\"",
        "type = \"MaxPool\"\nwindow_shape = [2, 2]\nstrides = [2, 2]",
    ];
    kinds.map(|kind| format!("[[layers]]\n{kind}\n").into_bytes()).to_vec()
}
