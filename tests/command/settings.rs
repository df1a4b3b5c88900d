//! Every key of every layer and rule acts or is refused: another value changes the compiled program or its initial values. The keys are
//! those listed by the program itself.

use std::collections::BTreeSet;

use spiq::config::ModelConfig;
use spiq::network::{Network, Pass};
use spiq::quant::{Mode, Numerics, Rules, quantize, weights_only_rules};
use spiq::{DType, Program, TensorType, trace};

/// Everything in a network that a setting can change: its initial values, its training step, the step's gradient, its predictions; or
/// the reason for its refusal.
fn program(model: &str, rules: &str, sample: &[usize]) -> Result<String, String> {
    let text = |e: spiq::Error| e.to_string();
    let rules = if rules.is_empty() { Rules::default() } else { Rules::parse(rules, "rules").map_err(text)? };
    let network = Network::with_rules(ModelConfig::parse(model, "model").map_err(text)?, rules);
    let x = TensorType::new(DType::F32, [&[3, 4], sample].concat());
    let printed = |function| Program::named("settings").text(function).map_err(text);
    let pass = Pass { training: true, ..Mode::Qat.into() };
    let step = network.training(&x).map_err(text)?;
    let parts = [
        format!("{:?}", network.init(1)),
        printed(&step.function)?,
        printed(&network.forward(&x, pass).map_err(text)?.gradient().map_err(text)?)?,
        printed(&network.forward(&x, Mode::Ptq).map_err(text)?.function)?,
    ];
    Ok(parts.join("\n"))
}

/// A layer type, the sample shape it receives, keys with a value, and for each key alternative values.
struct Layer {
    kind: &'static str,
    sample: &'static [usize],
    keys: &'static [(&'static str, &'static str, &'static [&'static str])],
}

const IMAGE: &[usize] = &[6, 6, 4];
const DECAY: &[&str] = &["0.0", "1.0", "1e308", "-0.1", "1.5", "inf", "nan", "1e-300"];
const THRESHOLD: &[&str] = &["0.5", "-1.0", "1e308", "nan"];
const SURROGATE: &[&str] = &[
    "{ type = 'tanh' }",
    "{ type = 'tanh', k = 2.0 }",
    "{ type = 'boxcar' }",
    "{ type = 'boxcar', width = 1.0 }",
    "{ type = 'boxcar', height = 1.0 }",
    "{ type = 'triangular' }",
    "{ type = 'triangular', k = 1e308 }",
    "{ type = 'arctan' }",
    "{ type = 'superspike', k = 24.0 }",
    "{ type = 'superspike', width = 1.0 }",
    "{ type = 'atan' }",
    "{ type = 'slayer', c = 0.5 }",
    "{ type = 'double_gaussian', p = 0.2 }",
];
const HIDDEN: (&str, &str, &[&str]) = ("hidden_shape", "8", &["7", "[2, 4]", "0"]);
const FIRES: (&str, &str, &[&str]) = ("threshold", "1.0", THRESHOLD);
const LEARNS: (&str, &str, &[&str]) = ("activation", "{ type = 'superspike' }", SURROGATE);
const RESET: (&str, &str, &[&str]) = ("reset", "'subtract'", &["'zero'", "'none'", "'hard'", "1"]);
const NO_RESET: (&str, &str, &[&str]) = ("reset", "'none'", &["'zero'", "'subtract'", "'soft'"]);
const DETACHES: (&str, &str, &[&str]) = ("detach_reset", "false", &["true", "1"]);
const THRESHOLDS: (&str, &str, &[&str]) = ("learn_threshold", "false", &["true", "'per neuron'"]);
const RESTS: (&str, &str, &[&str]) = ("refractory", "", &["1", "3", "0", "-1", "20000000"]);
const WHEN: (&str, &str, &[&str]) = ("fires", "'before'", &["'after'", "'now'"]);
const WHEN_AFTER: (&str, &str, &[&str]) = ("fires", "'after'", &["'before'", "'now'"]);
const STARTS: (&str, &str, &[&str]) = ("recurrent_init", "'small'", &["'orthogonal'", "'large'"]);
const HEARS: (&str, &str, &[&str]) = ("recurrent", "false", &["true", "1"]);
const SCALES: (&str, &str, &[&str]) = ("decay_input", "false", &["true", "0"]);
const STEP: (&str, &str, &[&str]) = ("dt", "0.01", &["0.02", "0.0", "-1.0", "nan"]);
const A: (&str, &str, &[&str]) = ("a", "", &["0.5", "0.0", "1.5", "nan"]);
const B: (&str, &str, &[&str]) = ("b", "", &["0.5", "0.0", "2.5", "-0.5"]);
const BETA: (&str, &str, &[&str]) = ("beta", "", DECAY);
const ALPHA: (&str, &str, &[&str]) = ("alpha", "", DECAY);
const GAMMA: (&str, &str, &[&str]) = ("gamma", "", DECAY);

/// Windows overlap the padding, so that its effect is visible.
const LAYERS: &[Layer] = &[
    Layer {
        kind: "Linear",
        sample: &[8],
        keys: &[("in_features", "8", &["7"]), ("out_features", "8", &["7"]), ("use_bias", "true", &["false"])],
    },
    Layer {
        kind: "DelayedLinear",
        sample: &[8],
        keys: &[
            ("in_features", "8", &["7"]),
            ("out_features", "8", &["7"]),
            ("max_delay", "3", &["5", "0", "2000000"]),
            ("use_bias", "false", &["true"]),
            ("sigma_start", "", &["2.0", "0.0", "-1.0"]),
            ("sigma_end", "0.23", &["0.5", "0.0"]),
            ("sigma_steps", "1000", &["10", "0"]),
            ("extra_steps", "", &["2"]),
            ("learn", "true", &["false"]),
        ],
    },
    Layer {
        kind: "TemporalConv",
        sample: &[8],
        keys: &[
            ("in_features", "8", &["7"]),
            ("out_features", "8", &["7"]),
            ("kernel_size", "3", &["2", "0", "2000000"]),
            ("dilation", "1", &["2", "0", "2000000"]),
            ("use_bias", "true", &["false"]),
        ],
    },
    Layer { kind: "Lags", sample: &[8], keys: &[("features", "8", &["7"]), ("steps", "3", &["2", "0", "100000"])] },
    Layer {
        kind: "Equalize",
        sample: &[8],
        keys: &[
            ("channels", "8", &["7", "5000"]),
            ("exponent", "0.5", &["0.25", "-1"]),
            ("vary", "0.0", &["0.5", "-1"]),
            ("smoothing", "5.0", &["2.5", "0"]),
            ("floor", "0.3", &["0.5", "-1"]),
        ],
    },
    Layer {
        kind: "Delay",
        sample: &[8],
        keys: &[
            ("channels", "8", &["7"]),
            ("max_delay", "3", &["5", "0", "2000000"]),
            ("initial", "", &["2.0", "3.5", "-1.0", "nan"]),
            ("learn", "true", &["false"]),
        ],
    },
    Layer {
        kind: "Conv",
        sample: IMAGE,
        keys: &[
            ("in_features", "4", &["3"]),
            ("out_features", "8", &["6"]),
            ("kernel_size", "[3, 2]", &["[2, 3]", "[3]", "[3, 3, 3]"]),
            ("strides", "1", &["2", "[1, 2]", "[1, 1, 1]"]),
            ("padding", "[[1, 1], [1, 0]]", &["'SAME'", "'VALID'", "'CIRCULAR'", "'REFLECT'", "'CAUSAL'", "[[1, 1]]"]),
            ("input_dilation", "1", &["2", "[1, 2]"]),
            ("kernel_dilation", "1", &["2", "[1, 2]"]),
            ("feature_group_count", "1", &["2", "4", "3"]),
            ("use_bias", "true", &["false"]),
        ],
    },
    Layer {
        kind: "SumPool",
        sample: IMAGE,
        keys: &[
            ("window_shape", "[3, 2]", &["[2, 3]", "2", "[1, 1, 1]"]),
            ("strides", "1", &["2", "[2, 1]"]),
            ("padding", "'SAME'", &["'VALID'", "[[1, 1], [1, 1]]", "'CIRCULAR'"]),
            ("channel_axis", "-1", &["1", "-2", "4", "0"]),
        ],
    },
    Layer {
        kind: "AvgPool",
        sample: IMAGE,
        keys: &[
            ("window_shape", "[3, 2]", &["[2, 3]", "2", "[1, 1, 1]"]),
            ("strides", "1", &["2", "[2, 1]"]),
            ("padding", "'SAME'", &["'VALID'", "[[1, 1], [1, 1]]", "'CIRCULAR'"]),
            ("count_include_pad", "true", &["false"]),
        ],
    },
    Layer {
        kind: "MaxPool",
        sample: IMAGE,
        keys: &[
            ("window_shape", "[3, 2]", &["[2, 3]", "2", "[1, 1, 1]"]),
            ("strides", "1", &["2", "[2, 1]"]),
            ("padding", "'SAME'", &["'VALID'", "[[1, 1], [1, 1]]", "'CIRCULAR'"]),
        ],
    },
    Layer { kind: "Flatten", sample: IMAGE, keys: &[] },
    Layer {
        kind: "LayerNorm",
        sample: IMAGE,
        keys: &[
            ("num_features", "4", &["3"]),
            ("epsilon", "1e-6", &["1e-5", "0.0", "-1.0", "1e308", "1e-60"]),
            ("use_bias", "true", &["false"]),
            ("use_scale", "true", &["false"]),
            ("reduction_axes", "-1", &["[1, 2, 3]", "2", "0", "4", "[1, 1]"]),
            ("feature_axes", "-1", &["1", "[1, 3]", "0", "4"]),
            ("use_fast_variance", "true", &["false"]),
        ],
    },
    Layer {
        kind: "BatchNorm",
        sample: IMAGE,
        keys: &[
            ("num_features", "4", &["3"]),
            ("momentum", "0.99", &["0.5", "0.0", "1.0", "1.5", "-0.1", "nan"]),
            ("epsilon", "1e-5", &["1e-3", "0.0", "-1.0", "1e308", "1e-60"]),
            ("use_bias", "true", &["false"]),
            ("use_scale", "true", &["false"]),
            ("use_fast_variance", "true", &["false"]),
            // The programs have three time steps.
            ("time_steps", "", &["3", "4", "0"]),
        ],
    },
    Layer {
        kind: "GroupNorm",
        sample: IMAGE,
        keys: &[
            ("num_features", "4", &["3"]),
            ("num_groups", "2", &["4", "3", "0"]),
            ("group_size", "", &["2"]),
            ("epsilon", "1e-6", &["1e-5", "0.0", "-1.0", "1e308", "1e-60"]),
            ("use_bias", "true", &["false"]),
            ("use_scale", "true", &["false"]),
            ("reduction_axes", "", &["-1", "[1, 3]", "0", "4", "[3, 3]"]),
            ("use_fast_variance", "true", &["false"]),
        ],
    },
    Layer {
        kind: "RMSNorm",
        sample: IMAGE,
        keys: &[
            ("num_features", "4", &["3"]),
            ("epsilon", "1e-6", &["1e-5", "0.0", "-1.0", "1e308", "1e-60"]),
            ("use_scale", "true", &["false"]),
            ("reduction_axes", "-1", &["[1, 2, 3]", "2", "0", "4", "[1, 1]"]),
            ("feature_axes", "-1", &["1", "[1, 3]", "0", "4"]),
        ],
    },
    Layer {
        kind: "Reshape",
        sample: IMAGE,
        keys: &[("shape", "[4, 36]", &["[36, 4]", "[-1, 5]", "[2, 2]", "[0]", "[-1, -1]"])],
    },
    Layer { kind: "Identity", sample: &[8], keys: &[] },
    Layer {
        kind: "Embed",
        sample: &[6, 1],
        keys: &[("num_embeddings", "5", &["4", "0"]), ("features", "3", &["2", "0"])],
    },
    Layer { kind: "Add", sample: &[8], keys: &[] },
    Layer { kind: "Concatenate", sample: &[8], keys: &[] },
    Layer {
        kind: "Dropout",
        sample: IMAGE,
        keys: &[
            ("rate", "0.5", &["0.25", "1.0", "0.0", "1.5", "-0.1"]),
            ("broadcast_dims", "[]", &["[1]", "[-1]", "[4]"]),
            ("same_for_all_steps", "false", &["true"]),
        ],
    },
    Layer { kind: "ActivityRegularization", sample: &[8], keys: &[("hidden_shape", "8", &["7"])] },
    Layer { kind: "PopulationCode", sample: &[8], keys: &[("num_classes", "4", &["2", "3"])] },
    Layer {
        kind: "LIF",
        sample: &[8],
        keys: &[HIDDEN, BETA, SCALES, FIRES, LEARNS, RESET, DETACHES, THRESHOLDS, RESTS, STARTS, WHEN, HEARS],
    },
    Layer {
        kind: "IF",
        sample: &[8],
        keys: &[HIDDEN, FIRES, LEARNS, RESET, DETACHES, THRESHOLDS, RESTS, STARTS, WHEN, HEARS],
    },
    Layer { kind: "LI", sample: &[8], keys: &[("layer_shape", "8", &["7"]), BETA] },
    Layer {
        kind: "ALIF",
        sample: &[8],
        keys: &[HIDDEN, BETA, GAMMA, SCALES, FIRES, LEARNS, RESET, DETACHES, THRESHOLDS, RESTS, STARTS, WHEN, HEARS],
    },
    Layer {
        kind: "CuBaLIF",
        sample: &[8],
        keys: &[HIDDEN, ALPHA, BETA, FIRES, LEARNS, RESET, DETACHES, THRESHOLDS, RESTS, STARTS, WHEN, HEARS],
    },
    Layer {
        kind: "RIF",
        sample: &[8],
        keys: &[HIDDEN, FIRES, LEARNS, RESET, DETACHES, THRESHOLDS, RESTS, STARTS, WHEN],
    },
    Layer {
        kind: "RLIF",
        sample: &[8],
        keys: &[HIDDEN, BETA, SCALES, FIRES, LEARNS, RESET, DETACHES, THRESHOLDS, RESTS, STARTS, WHEN],
    },
    Layer {
        kind: "RCuBaLIF",
        sample: &[8],
        keys: &[HIDDEN, ALPHA, BETA, FIRES, LEARNS, RESET, DETACHES, THRESHOLDS, RESTS, STARTS, WHEN],
    },
    Layer { kind: "PSU_LIF", sample: &[8], keys: &[HIDDEN, BETA, FIRES, LEARNS] },
    Layer { kind: "AssociativeLIF", sample: &[8], keys: &[HIDDEN, BETA, FIRES, LEARNS] },
    Layer {
        kind: "adLIF",
        sample: &[8],
        keys: &[
            HIDDEN,
            ("alpha", "", &["0.9", "0.5", "0.97"]),
            ("beta", "", &["0.98", "0.9", "0.995"]),
            A,
            B,
            FIRES,
            LEARNS,
            RESET,
            DETACHES,
            THRESHOLDS,
            RESTS,
            STARTS,
            WHEN_AFTER,
            HEARS,
        ],
    },
    Layer {
        kind: "cAdLIF",
        sample: &[8],
        keys: &[
            HIDDEN,
            ("alpha", "", &["0.5", "0.3", "0.97"]),
            ("beta", "", &["0.97", "0.9", "0.995"]),
            A,
            B,
            FIRES,
            LEARNS,
            RESET,
            DETACHES,
            THRESHOLDS,
            RESTS,
            STARTS,
            WHEN_AFTER,
            HEARS,
        ],
    },
    Layer {
        kind: "SE_adLIF",
        sample: &[8],
        keys: &[
            HIDDEN,
            ("tau_u_min", "5.0", &["6.0", "0.0", "30.0"]),
            ("tau_u_max", "25.0", &["26.0", "4.0", "inf"]),
            ("tau_w_min", "60.0", &["50.0", "0.0", "301.0"]),
            ("tau_w_max", "300.0", &["200.0", "50.0"]),
            ("q", "120.0", &["1.0", "-1.0", "nan"]),
            ("symplectic", "true", &["false", "1"]),
            FIRES,
            LEARNS,
            RESET,
            DETACHES,
            THRESHOLDS,
            RESTS,
            STARTS,
            WHEN_AFTER,
            HEARS,
        ],
    },
    Layer {
        kind: "SiLIF",
        sample: &[8],
        keys: &[HIDDEN, STEP, A, B, FIRES, LEARNS, RESET, DETACHES, THRESHOLDS, RESTS, STARTS, WHEN_AFTER, HEARS],
    },
    Layer {
        kind: "CSiLIF",
        sample: &[8],
        keys: &[
            HIDDEN,
            ("dt_min", "0.01", &["0.02", "0.0", "0.6"]),
            ("dt_max", "0.5", &["0.4", "0.001"]),
            FIRES,
            LEARNS,
            RESET,
            DETACHES,
            THRESHOLDS,
            RESTS,
            STARTS,
            WHEN_AFTER,
            HEARS,
        ],
    },
    Layer {
        kind: "RF",
        sample: &[8],
        keys: &[
            HIDDEN,
            STEP,
            ("omega_min", "5.0", &["6.0", "11.0"]),
            ("omega_max", "10.0", &["9.0", "4.0"]),
            ("b_min", "0.0", &["1.0", "4.0"]),
            ("b_max", "3.0", &["2.0", "-1.0"]),
            FIRES,
            LEARNS,
            NO_RESET,
            DETACHES,
            THRESHOLDS,
            RESTS,
            STARTS,
            WHEN_AFTER,
            HEARS,
        ],
    },
    Layer {
        kind: "BRF",
        sample: &[8],
        keys: &[
            HIDDEN,
            STEP,
            ("omega_min", "5.0", &["6.0", "11.0"]),
            ("omega_max", "10.0", &["9.0", "4.0"]),
            ("b_min", "0.0", &["1.0", "4.0"]),
            ("b_max", "3.0", &["2.0", "-1.0"]),
            FIRES,
            LEARNS,
            NO_RESET,
            DETACHES,
            THRESHOLDS,
            RESTS,
            STARTS,
            WHEN_AFTER,
            HEARS,
        ],
    },
    Layer {
        kind: "RFSSM",
        sample: &[8],
        keys: &[
            HIDDEN,
            ("dt_min", "0.001", &["0.002", "0.0", "0.2"]),
            ("dt_max", "0.1", &["0.2", "0.0001"]),
            ("reset_init", "0.0", &["0.5", "-0.5", "inf"]),
            FIRES,
            LEARNS,
            NO_RESET,
            DETACHES,
            THRESHOLDS,
            RESTS,
            STARTS,
            WHEN_AFTER,
            HEARS,
        ],
    },
    Layer {
        kind: "ParallelResetLIF",
        sample: &[8],
        keys: &[HIDDEN, BETA, SCALES, FIRES, LEARNS, RESET, DETACHES, THRESHOLDS, RESTS, STARTS, WHEN, HEARS],
    },
];

impl Layer {
    /// A model with this layer before a readout, with one key changed.
    fn model(&self, changed: Option<(&str, &str)>) -> String {
        let value = |key: &str, value: &'static str| match changed {
            Some((other, changed)) if other == key => changed.to_owned(),
            _ => value.to_owned(),
        };
        let keys = self.keys.iter().map(|(key, given, _)| (key, value(key, given)));
        let written: Vec<String> =
            keys.filter(|(_, value)| !value.is_empty()).map(|(key, value)| format!(", {key} = {value}")).collect();
        let layer = format!("{{ type = '{}'{} }}", self.kind, written.concat());
        let out = self.features(&layer).unwrap_or(8);
        let has_axes = self.sample.len() > 1 && self.kind != "Flatten" || self.kind == "Lags";
        let flatten = if has_axes { "{ type = 'Flatten' }, " } else { "" };
        // A surrogate derivative only matters to layers trained before it.
        let before = if self.sample == [8] { "{ type = 'Linear', in_features = 8, out_features = 8 }, " } else { "" };
        format!(
            "layers = [{before}{layer}, {flatten}{{ type = 'Linear', in_features = {out}, out_features = 3 }}, \
             {{ type = 'LI', layer_shape = 3 }}]"
        )
    }

    fn features(&self, layer: &str) -> Option<usize> {
        let model = ModelConfig::parse(&format!("layers = [{layer}]"), "model").ok()?;
        Some(model.layers[0].output(self.sample).ok()?.iter().product())
    }
}

/// The keys listed in the message about an unknown key.
fn listed(error: &str) -> BTreeSet<String> {
    let (_, keys) = error.split_once("it takes ").unwrap_or_else(|| panic!("no list in: {error}"));
    keys.split(", ").map(str::to_owned).collect()
}

/// The keys that a layer type accepts.
pub(super) fn keys(kind: &str) -> BTreeSet<String> {
    let error = |key: &str| {
        let text = format!("layers = [{{ type = '{kind}', {key} = 1 }}]");
        ModelConfig::parse(&text, "model").err().map(|error| error.to_string())
    };
    listed(&error("qqqqqqqqqqqqqqqqqqqqqqqq").expect("no such key"))
}

/// The layer types listed in a message.
pub(super) fn kinds() -> BTreeSet<String> {
    let error = ModelConfig::parse("layers = [{ type = 'qqqqqqqqqqqqqqqqqqqqqqqq' }]", "model")
        .expect_err("no such layer")
        .to_string();
    let (_, kinds) = error.split_once("must be one of ").expect("a list");
    kinds.split(", ").map(str::to_owned).collect()
}

#[test]
fn every_key_of_every_layer_acts_or_is_refused() {
    assert_eq!(LAYERS.iter().map(|layer| layer.kind.to_owned()).collect::<BTreeSet<_>>(), kinds());
    let (mut acted, mut refused, mut idle) = (0, 0, Vec::new());
    for layer in LAYERS {
        let keys = keys(layer.kind);
        // The wiring of layers is tested elsewhere (`models::branches`).
        let wired = ["type", "name", "inputs"].map(str::to_owned);
        let walked = layer.keys.iter().map(|(key, ..)| (*key).to_owned()).chain(wired);
        assert_eq!(walked.collect::<BTreeSet<_>>(), keys, "{}", layer.kind);
        let plain = program(&layer.model(None), "", layer.sample);
        assert!(plain.is_ok(), "{}: {plain:?}", layer.kind);
        for (key, _, others) in layer.keys {
            for other in *others {
                match program(&layer.model(Some((key, other))), "", layer.sample) {
                    Err(error) => {
                        assert!(!error.is_empty() && !error.contains('\n'), "{error}");
                        refused += 1;
                    }
                    Ok(changed) if Ok(&changed) != plain.as_ref() => acted += 1,
                    Ok(_) => idle.push(format!("{} {key} = {other}", layer.kind)),
                }
            }
        }
    }
    println!("{acted} values acted, {refused} were refused");
    assert!(idle.is_empty(), "these change nothing: {idle:#?}");
    assert!(acted > 150 && refused > 100, "{acted} {refused}");
}

/// Refused when read, with their line.
#[test]
fn numbers_that_f32_does_not_hold() {
    for value in ["1e308", "-1e39", "1e-300", "inf", "nan"] {
        let text = format!("\n\n[[layers]]\ntype = 'LI'\nlayer_shape = 3\nbeta = {value}");
        let error = ModelConfig::parse(&text, "m.toml").expect_err("it is refused").to_string();
        assert!(error.starts_with("m.toml:6: `beta` of core/layers/0 (LI) is") && error.contains("f32"), "{error}");
    }
}

const MODEL: &str = "layers = [
    { type = 'Linear', in_features = 8, out_features = 8 },
    { type = 'LIF', hidden_shape = 8, threshold = 0.5 },
    { type = 'Linear', in_features = 8, out_features = 4 },
    { type = 'LI', layer_shape = 4 }]";

/// A key of a rule: the keys beside it, a value, other values that act, values that are refused, and the keys it needs, without which
/// it would be ignored.
struct Key {
    key: &'static str,
    beside: &'static str,
    value: &'static str,
    act: &'static [&'static str],
    refused: &'static [&'static str],
    needs: &'static [&'static str],
}

const WEIGHTS: &str = "weight_qtype = 'int8'";
const BOTH: &str = "weight_qtype = 'int8'\nact_qtype = 'int8'";
const STATIC: &str = "weight_qtype = 'int8'\nact_qtype = 'int8'\nact_static_scale = true";
const BACK: &str = "weight_qtype = 'int8'\nact_qtype = 'int8'\nbwd_qtype = 'int8'";
const NOISE: &str =
    "weight_qtype = 'int8'\nact_qtype = 'int8'\nbwd_qtype = 'int8'\nbwd_stochastic_rounding = 'uniform'";

const KEYS: &[Key] = &[
    Key {
        key: "module_path",
        beside: BOTH,
        value: "'.*'",
        act: &["'core/layers/0'"],
        refused: &["'core/layers/1'", "'('"],
        needs: &[],
    },
    Key {
        key: "op_names",
        beside: BOTH,
        value: "[]",
        act: &[],
        refused: &["['einsum']", "['conv_general_dilated']", "['dot']"],
        needs: &[],
    },
    Key {
        key: "weight_qtype",
        beside: "act_qtype = 'int8'",
        value: "'int8'",
        act: &["'int4'", "'int2'", "'int1'", "'nf4'", "'fp8'", "'float8_e5m2'", "'ternary'"],
        refused: &["'int9'", "'mxfp8'", "'nvfp4'"],
        needs: &[],
    },
    Key {
        key: "act_qtype",
        beside: WEIGHTS,
        value: "'int8'",
        act: &["'int4'", "'int2'", "'int1'", "'nf4'", "'fp8'", "'float8_e5m2'", "'ternary'", "'binary'"],
        refused: &["'int9'"],
        needs: &[""],
    },
    Key {
        key: "tile_size",
        beside: BOTH,
        value: "2",
        act: &["4", "0.5", "8", "1"],
        refused: &["3", "16", "0", "1.5"],
        needs: &[""],
    },
    Key {
        key: "act_static_scale",
        beside: BOTH,
        value: "false",
        act: &["true"],
        refused: &["1"],
        needs: &["", WEIGHTS, "weight_qtype = 'int8'\nact_qtype = 'int8'\nact_calibration_method = 'fixed,1'"],
    },
    Key {
        key: "weight_calibration_method",
        beside: BOTH,
        value: "'absmax'",
        act: &["'absmax,0.5'", "'rms,2'", "'absmean'", "'percentile,50'", "'mse'", "'fixed,1'", "'minmax'"],
        refused: &["'absmax,0'", "'absmax,-1'", "'rms,0'", "'absmax,1e308'", "'fixed,1e-30'", "'fixed,1e39'", "'most'"],
        needs: &[""],
    },
    Key {
        key: "act_calibration_method",
        beside: BOTH,
        value: "'absmax'",
        act: &["'absmax,0.5'", "'rms,2'", "'absmean'", "'percentile,50'", "'mse'", "'fixed,1'", "'minmax'"],
        refused: &["'absmax,0'", "'absmean,-1'", "'minmax,0'", "'rms,1e308'", "'fixed,-1e-30,0'", "'most'"],
        needs: &["", WEIGHTS],
    },
    Key {
        key: "act_batch_axes",
        beside: STATIC,
        value: "[0]",
        act: &[],
        refused: &["[]", "[1]", "[2]", "[-3]", "[0, 0]", "[0, -2]"],
        needs: &["", WEIGHTS, BOTH],
    },
    Key {
        key: "bwd_qtype",
        beside: BOTH,
        value: "'int8'",
        act: &["'int4'", "'fp8'", "'float8_e5m2'", "'ternary'", "'nf4'"],
        refused: &["'mxfp8'", "'binary'", "'int9'"],
        needs: &[""],
    },
    Key {
        key: "bwd_calibration_method",
        beside: BACK,
        value: "'absmax'",
        act: &["'absmax,0.5'", "'rms,2'", "'absmean'", "'percentile,50'", "'mse'", "'fixed,1'", "'minmax'"],
        refused: &["'absmax,0'", "'rms,-2'", "'fixed,1e-30'", "'most'"],
        needs: &["", BOTH],
    },
    Key {
        key: "bwd_weight_grad_tile_size",
        beside: BACK,
        value: "2",
        act: &["1", "4", "0.25"],
        refused: &["3", "24", "0"],
        needs: &["", BOTH],
    },
    Key {
        key: "disable_channelwise_axes",
        beside: BOTH,
        value: "false",
        act: &["true"],
        refused: &["1"],
        needs: &[""],
    },
    Key {
        key: "bwd_stochastic_rounding",
        beside: BACK,
        value: "'uniform'",
        act: &["'low_bit_uniform'"],
        refused: &["'normal'"],
        needs: &["", BOTH, "weight_qtype = 'int8'\nact_qtype = 'int8'\nbwd_qtype = 'fp8'"],
    },
    Key {
        key: "channelwise_noise_axes",
        beside: NOISE,
        value: "[0]",
        act: &["[]", "[1]", "[0, 1]", "[-1]"],
        refused: &["[2]", "[7]", "[-3]", "[0, 0]", "[1, -1]"],
        needs: &["", BOTH, BACK],
    },
];

#[test]
fn every_key_of_every_rule_acts_or_is_refused() {
    let unknown = Rules::parse("[[rules]]\nqqqqqqqqqqqqqqqqqqqqqqqqqqqq = 1", "rules").expect_err("no such key");
    assert_eq!(KEYS.iter().map(|key| key.key.to_owned()).collect::<BTreeSet<_>>(), listed(&unknown.to_string()));
    for Key { key, beside, value, act, refused, needs } in KEYS {
        let rule = |beside: &str, value: &str| format!("[[rules]]\n{beside}\n{key} = {value}");
        let plain = program(MODEL, &rule(beside, value), &[8]);
        assert!(plain.is_ok(), "{key} = {value}: {plain:?}");
        for other in *act {
            let changed = program(MODEL, &rule(beside, other), &[8]);
            assert!(changed.is_ok(), "{key} = {other}: {changed:?}");
            assert!(changed != plain, "{key} = {other} changes nothing");
        }
        for other in *refused {
            let changed = program(MODEL, &rule(beside, other), &[8]);
            assert!(changed.is_err(), "{key} = {other} is taken");
        }
        // Without the keys it depends on: a value other than the default.
        let other = act.first().filter(|_| *value == "false" || value.starts_with("'absmax"));
        let other = other.copied().unwrap_or(if *value == "[0]" { "[1]" } else { value });
        for beside in *needs {
            let error = program(MODEL, &rule(beside, other), &[8]).err();
            let error = error.unwrap_or_else(|| panic!("{key} = {other} is taken beside {beside:?}"));
            assert!(error.contains(key), "{key}: {error}");
        }
    }
}

/// A rule for weights does not affect products of activations.
#[test]
fn a_rule_that_finds_no_weight_is_refused() {
    let square = TensorType::new(DType::F32, [4, 4]);
    let inputs = [("x", square.clone()), ("w", square)];
    let function = trace(&inputs, |a| {
        let inner = a[0].graph().scope("inner", || a[0].dot(&a[0]));
        vec![a[0].graph().scope("outer", || inner.dot(&a[1]))]
    });
    let function = function.expect("two products");
    let quantized = |path: &str| {
        let mut rules = weights_only_rules("int8");
        rules[0].module_path = path.to_owned();
        let rules = Rules::new(&rules).expect("rules");
        quantize(&function, &rules, Mode::Qat, Numerics::Exact, |name| name == "w").map_err(|e| e.to_string())
    };
    let error = quantized("inner").expect_err("it is refused");
    assert!(error.starts_with("rule 1 (module_path `inner`) quantizes nothing"), "{error}");
    assert!(quantized(".*").is_ok() && quantized("outer").is_ok());
}
