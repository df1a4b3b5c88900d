//! `model.toml` and `rules.toml`: what is accepted, what is written back, and what is refused with one clear sentence.

use std::sync::Arc;

use proptest::prelude::*;
use spiq::ErrorKind;
use spiq::config::{ModelConfig, RuleConfig, TileSize};
use spiq::nn::{If, Layer, Li, Lif, Linear, Surrogate};
use spiq::quant::{Method, Rules};

const TUTORIAL: &str = r#"
name = "core"

[[layers]]
type = "Linear"
in_features = 32
out_features = 64
use_bias = false

[[layers]]
type = "LIF"
hidden_shape = [64]
activation = { type = "triangular", k = 2.0 }

[[layers]]
type = "Linear"
in_features = 64
out_features = 10

[[layers]]
type = "LI"
layer_shape = 10
beta = 0.9
"#;

#[track_caller]
fn model_error(text: &str) -> String {
    let error = ModelConfig::parse(text, "m.toml").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input);
    assert!(!error.to_string().contains('\n'), "{error}");
    error.to_string()
}

/// The message for one layer with these lines; the layer starts on line 1.
#[track_caller]
fn layer_error(lines: &str) -> String {
    model_error(&format!("[[layers]]\n{lines}"))
}

#[track_caller]
fn rule_error(lines: &str) -> String {
    let error = Rules::parse(&format!("[[rules]]\n{lines}"), "r.toml").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input);
    assert!(!error.to_string().contains('\n'), "{error}");
    error.to_string()
}

#[test]
fn a_model_is_read_with_the_defaults_of_flax_and_spyx() {
    let model = ModelConfig::parse(TUTORIAL, "m.toml").unwrap();
    assert_eq!((model.name.as_str(), model.inputs(), model.outputs()), ("core", 32, 10));
    let triangular = Surrogate::Triangular { k: 2.0 };
    let wanted = model_of([
        Linear::new(32, 64).without_bias().into(),
        Lif { activation: triangular, ..Lif::new([64]) }.into(),
        Linear::new(64, 10).into(),
        Li { beta: Some(0.9), ..Li::new([10]) }.into(),
    ]);
    assert_eq!(model.to_toml(), wanted.to_toml());
    let plain = ModelConfig::parse("[[layers]]\ntype = 'IF'\nhidden_shape = [2, 3]\nthreshold = 2", "m.toml").unwrap();
    assert_eq!(plain.to_toml(), model_of([If { threshold: 2.0, ..If::new([2, 3]) }.into()]).to_toml());
    assert_eq!(plain.name, "core");
}

/// A model named `core`.
fn model_of(layers: impl IntoIterator<Item = Box<dyn Layer>>) -> ModelConfig {
    ModelConfig::chain("core", layers.into_iter().map(Arc::from).collect())
}

#[test]
fn activations_have_the_defaults_of_spyx() {
    let read = |activation: &str| {
        let text = format!("[[layers]]\ntype = 'LIF'\nhidden_shape = 4\nactivation = {{ {activation} }}");
        ModelConfig::parse(&text, "m.toml").unwrap()
    };
    for (text, activation) in [
        ("type = 'tanh'", Surrogate::Tanh { k: 1.0 }),
        ("type = 'boxcar'", Surrogate::Boxcar { width: 2.0, height: 0.5 }),
        ("type = 'boxcar', width = 1", Surrogate::Boxcar { width: 1.0, height: 0.5 }),
        ("type = 'triangular'", Surrogate::Triangular { k: 2.0 }),
        ("type = 'arctan'", Surrogate::Arctan { k: 2.0 }),
        ("type = 'superspike', k = 10", Surrogate::Superspike { k: 10.0 }),
    ] {
        assert_eq!(read(text).to_toml(), model_of([Lif { activation, ..Lif::new([4]) }.into()]).to_toml(), "{text}");
    }
}

#[test]
fn a_bad_model_is_refused_with_its_line() {
    for (text, message) in [
        ("", "m.toml:1: the model needs at least one [[layers]] table"),
        ("layers = 3", "m.toml:1: the model needs at least one [[layers]] table"),
        ("layers = []", "m.toml:1: the model needs at least one [[layers]] table"),
        ("nmae = 'core'", "m.toml:1: unknown key `nmae` in the model; did you mean `name`? it takes name, layers"),
        ("name = ''\n[[layers]]", "m.toml:1: `name` of the model is \"\", but must be one part of a path"),
        ("name = 'a/b'\n[[layers]]", "m.toml:1: `name` of the model is \"a/b\", but must be one part of a path"),
        ("name = 3\n[[layers]]", "m.toml:1: `name` of the model is 3, but must be a string"),
        ("name = 'a'\nname = 'b'", "m.toml:2: duplicate key"),
    ] {
        assert_eq!(model_error(text), message, "{text}");
    }
    assert!(model_error("name = 'core'\n\n[[layers]\n").starts_with("m.toml:3: "));
}

#[test]
fn a_bad_layer_is_refused_with_its_line() {
    for (lines, message) in [
        ("", "m.toml:1: core/layers/0 lacks the key `type`; name its kind, such as type = \"Linear\""),
        ("typ = 'LIF'", "m.toml:1: unknown key `typ` in core/layers/0; did you mean `type`?"),
        ("type = 'lif'", "m.toml:2: `type` of core/layers/0 is \"lif\", which is not a layer; did you mean \"LIF\"?"),
        (
            "type = 'qqqqqqqq'",
            "m.toml:2: `type` of core/layers/0 is \"qqqqqqqq\", but must be one of Linear, DelayedLinear, \
             TemporalConv, Delay, Lags, Equalize, Conv, SumPool, AvgPool, MaxPool, Flatten, Reshape, Embed, LayerNorm, GroupNorm, RMSNorm, \
             BatchNorm, Add, Concatenate, Identity, Dropout, ActivityRegularization, PopulationCode, LIF, IF, LI, ALIF, CuBaLIF, \
             RIF, RLIF, RCuBaLIF, PSU_LIF, AssociativeLIF, adLIF, cAdLIF, SE_adLIF, SiLIF, CSiLIF, RF, BRF, RFSSM, \
             ParallelResetLIF",
        ),
        ("type = 'LIF'", "m.toml:1: core/layers/0 (LIF) lacks the key `hidden_shape`"),
        (
            "type = 'LIF'\nhidden_shape = 4\ntreshold = 1",
            "m.toml:4: unknown key `treshold` in core/layers/0 (LIF); did you mean `threshold`? it takes type, hidden_shape, beta, decay_input, recurrent, \
             threshold, activation, reset, detach_reset, learn_threshold, refractory, recurrent_init, fires, name, inputs",
        ),
        (
            "type = 'IF'\nhidden_shape = 4\nbeta = 0.5",
            "m.toml:4: unknown key `beta` in core/layers/0 (IF); it takes type, hidden_shape, recurrent, \
             threshold, activation, reset, detach_reset, learn_threshold, refractory, recurrent_init, fires, \
             name, inputs",
        ),
        (
            "type = 'Linear'\nin_features = '64'",
            "m.toml:3: `in_features` of core/layers/0 (Linear) is \"64\", but must be a whole number from 1 to 2147483647",
        ),
        (
            "type = 'Linear'\nin_features = 0",
            "m.toml:3: `in_features` of core/layers/0 (Linear) is 0, but must be a whole number from 1 to 2147483647",
        ),
        (
            "type = 'Linear'\nin_features = 100_000\nout_features = 100_000",
            "m.toml:1: core/layers/0 (Linear) has a kernel of more than 2147483647 elements; give smaller sizes",
        ),
        (
            "type = 'LI'\nlayer_shape = 4\nbeta = nan",
            "m.toml:4: `beta` of core/layers/0 (LI) is nan, but must be a number in f32's range: 0, or a magnitude from 1.2e-38 to 3.4e38",
        ),
        (
            "type = 'LI'\nlayer_shape = []",
            "m.toml:3: `layer_shape` of core/layers/0 (LI) is [], but must be a size or a list of sizes, whole numbers from 1 \
             up with a product below 2147483648",
        ),
        (
            "type = 'LIF'\nhidden_shape = 4\nactivation = 'triangular'",
            "m.toml:4: `activation` of core/layers/0 (LIF) is \"triangular\", but must be a table",
        ),
        (
            "type = 'LIF'\nhidden_shape = 4\nactivation = { k = 1 }",
            "m.toml:4: the activation of core/layers/0 (LIF) lacks the key `type`",
        ),
        (
            "type = 'LIF'\nhidden_shape = 4\nactivation = { type = 'relu' }",
            "m.toml:4: `type` of the activation of core/layers/0 (LIF) is \"relu\", but must be one of tanh, boxcar, \
             triangular, arctan, superspike, \
             atan, slayer, double_gaussian",
        ),
        (
            "type = 'LIF'\nhidden_shape = 4\nactivation = { type = 'tanh', width = 1 }",
            "m.toml:4: unknown key `width` in the activation of core/layers/0 (LIF) (tanh); it takes type, k",
        ),
    ] {
        assert_eq!(layer_error(lines), message, "{lines}");
    }
    assert!(layer_error("type = 'LI'\nlayer_shape = [2000000000, 2000000000, 2000000000]").contains("product"));
}

#[test]
fn layers_that_do_not_fit_are_refused_with_the_second_ones_line() {
    let linear = |a: usize, b: usize| format!("[[layers]]\ntype = 'Linear'\nin_features = {a}\nout_features = {b}\n");
    let neurons = |shape: &str| format!("[[layers]]\ntype = 'IF'\nhidden_shape = {shape}\n");
    let check = |text: String, message: &str| assert_eq!(model_error(&text), message);
    check(
        linear(32, 64) + &neurons("[32]"),
        "m.toml:5: core/layers/1 (IF) takes [32], but core/layers/0 (Linear) gives [64]",
    );
    check(
        linear(3, 4) + &linear(5, 6),
        "m.toml:5: core/layers/1 (Linear) takes 5 features, but core/layers/0 (Linear) gives [4]",
    );
    check(
        neurons("[2, 3]") + &linear(3, 4) + &neurons("[3, 4]"),
        "m.toml:8: core/layers/2 (IF) takes [3, 4], but core/layers/1 (Linear) gives [2, 4]",
    );
    check(
        neurons("[2, 3]") + &neurons("3"),
        "m.toml:4: core/layers/1 (IF) takes [3], but core/layers/0 (IF) gives [2, 3]",
    );
    assert!(ModelConfig::parse(&(linear(3, 4) + &neurons("[7, 4]") + &linear(4, 2)), "m.toml").is_ok());
}

#[test]
fn rules_are_read_with_the_defaults_of_qwix() {
    let text = r#"
[[rules]]
module_path = "core/layers/[02]"
op_names = ["dot_general"]
weight_qtype = "int8"
act_qtype = "int8"
tile_size = 32
act_static_scale = true
act_batch_axes = [0, 1]
bwd_qtype = "int8"
bwd_stochastic_rounding = "uniform"

[[rules]]
weight_qtype = "nf4"
tile_size = 0.25
"#;
    let rules = Rules::parse(text, "r.toml").unwrap();
    let first = RuleConfig {
        module_path: "core/layers/[02]".into(),
        op_names: vec!["dot_general".into()],
        weight_qtype: Some("int8".into()),
        act_qtype: Some("int8".into()),
        tile_size: Some(TileSize::Elements(32)),
        act_static_scale: Some(true),
        act_batch_axes: vec![0, 1],
        bwd_qtype: Some("int8".into()),
        bwd_stochastic_rounding: Some("uniform".into()),
        ..RuleConfig::default()
    };
    let second = RuleConfig {
        weight_qtype: Some("nf4".into()),
        tile_size: Some(TileSize::Fraction(0.25)),
        ..RuleConfig::default()
    };
    assert_eq!(rules.configs().collect::<Vec<_>>(), [&first, &second]);
    assert_eq!(Rules::new(&[first, second]).unwrap(), rules);
    assert_eq!(Rules::parse(&rules.to_toml(), "again").unwrap(), rules);
}

#[test]
fn a_path_is_matched_whole() {
    let matches = |pattern: &str, path: &str| {
        let rule = RuleConfig { module_path: pattern.into(), ..RuleConfig::default() };
        Rules::new(&[rule]).unwrap().find(path, "dot_general").is_some()
    };
    assert!(matches(".*", "core/layers/0") && matches("a|ab", "ab") && matches("(?P<n>core)/.+", "core/x"));
    assert!(!matches("core", "core/layers/0") && !matches("layers", "core/layers") && !matches("a", "a\n"));
    assert!(!matches("a|b", "ab") && !matches("(?m)^a$", "a\nb"));
}

#[test]
fn a_bad_rule_is_refused_with_its_line() {
    for (lines, message) in [
        (
            "weight_type = 'int8'",
            "r.toml:2: unknown key `weight_type` in rule 1; did you mean `weight_qtype`? it takes \
             module_path, op_names, weight_qtype, act_qtype, tile_size, act_static_scale, weight_calibration_method, \
             act_calibration_method, act_batch_axes, bwd_qtype, bwd_calibration_method, bwd_weight_grad_tile_size, \
             disable_channelwise_axes, bwd_stochastic_rounding, channelwise_noise_axes",
        ),
        (
            "op_names = 'dot_general'",
            "r.toml:2: `op_names` of rule 1 is \"dot_general\", but must be a list of strings",
        ),
        ("weight_qtype = 8", "r.toml:2: `weight_qtype` of rule 1 is 8, but must be a string"),
        (
            "tile_size = 0",
            "r.toml:2: `tile_size` of rule 1 is 0, but must be a whole number from 1 up or a fraction between 0 and 1",
        ),
        (
            "tile_size = 1.5",
            "r.toml:2: `tile_size` of rule 1 is 1.5, but must be a whole number from 1 up or a fraction between 0 and 1",
        ),
        (
            "\nmodule_path = 'core/('",
            "r.toml:3: rule 1: the module_path `core/(` is not a regular expression: unclosed group",
        ),
        (
            "module_path = 'a)(?:b'",
            "r.toml:2: rule 1: the module_path `a)(?:b` is not a regular expression: unopened group",
        ),
        (
            "module_path = '(?!core).*'",
            "r.toml:2: rule 1: the module_path `(?!core).*` is not a regular expression: look-around, including look-ahead and \
             look-behind, is not supported",
        ),
    ] {
        assert_eq!(rule_error(lines), message, "{lines}");
    }
    assert!(rule_error("module_path = '(a{1000}){1000}'").contains("size limit"));
    assert_eq!(
        Rules::parse("", "r.toml").unwrap_err().to_string(),
        "r.toml:1: the file needs at least one [[rules]] table"
    );
}

/// A rule is refused for the same reason wherever it comes from: given as data, with its number; in a file, with the line of the
/// invalid field, not of a field it is combined with.
#[test]
fn what_a_rule_means_is_checked_at_the_line_of_the_field_that_is_wrong() {
    const INT8: &str = "weight_qtype = 'int8'\nact_qtype = 'int8'\nbwd_qtype = 'int8'";
    for (field, line, beside, message) in [
        ("weight_qtype", "weight_qtype = 'itn8'", "", "unknown quantized type `itn8`; did you mean `int8`?"),
        ("act_qtype", "act_qtype = 'real'", "weight_qtype = 'int8'", "unknown quantized type `real` (known: int1, "),
        ("bwd_qtype", "bwd_qtype = 'mxfp8'", "weight_qtype = 'int8'", "bwd_qtype: gradients in mxfp8"),
        (
            "op_names",
            "op_names = ['dot_general', 'conv']",
            "",
            "op_names: operation `conv` cannot be quantized (known: ",
        ),
        ("weight_calibration_method", "weight_calibration_method = 'most'", INT8, "calibration method `most`: unknown"),
        ("act_calibration_method", "act_calibration_method = 'rms'", INT8, "calibration method `rms`: needs a factor"),
        ("bwd_calibration_method", "bwd_calibration_method = 'absmax,0'", INT8, "calibration method `absmax,0`: its"),
        (
            "bwd_stochastic_rounding",
            "bwd_stochastic_rounding = 'gaussian'",
            INT8,
            "bwd_stochastic_rounding: unknown noise `gaussian` (known: uniform, low_bit_uniform)",
        ),
        ("tile_size", "tile_size = 7", "weight_qtype = 'mxfp4'", "mxfp4 consists of tiles of 32, but"),
        ("tile_size", "tile_size = 7", "", "tile_size needs a weight_qtype"),
        ("act_static_scale", "act_static_scale = true", "weight_qtype = 'int8'", "act_static_scale needs an act_qtype"),
        (
            "act_static_scale",
            "act_static_scale = true",
            "weight_qtype = 'int8'\nact_qtype = 'binary'",
            "act_static_scale averages ranges",
        ),
        (
            "weight_calibration_method",
            "weight_calibration_method = 'minmax'",
            "weight_qtype = 'int5'",
            "int5 has no zero point",
        ),
    ] {
        let before = if beside.is_empty() { 0 } else { beside.lines().count() };
        let of_second = format!("[[rules]]\nmodule_path = 'a'\n[[rules]]\n{beside}\n{line}");
        let error = Rules::parse(&of_second, "r.toml").unwrap_err().to_string();
        let at = 4 + before.max(1);
        assert!(error.starts_with(&format!("r.toml:{at}: rule 2: {message}")), "{field}: {error}");
        assert!(!error.contains('\n'), "{field}: {error}");
    }
    let absent = Rules::parse("[[rules]]\n\nweight_qtype = 'int8'\nact_static_scale = true", "r.toml").unwrap_err();
    assert!(absent.to_string().starts_with("r.toml:4: rule 1: act_static_scale needs"), "{absent}");
}

#[test]
fn every_method_is_printed_as_it_is_read() {
    let methods =
        ["absmax", "absmax,0.9", "minmax,2", "rms,7", "fixed,-1,2", "fixed,3", "absmean", "percentile,99.9", "mse"];
    for text in methods {
        let method = Method::parse(text).unwrap();
        assert_eq!(Method::parse(&method.to_string()).unwrap(), method, "{text} as {method}");
    }
    let error = Method::parse("most").unwrap_err().to_string();
    let known = error.split_once("known: ").unwrap().1.trim_end_matches(')');
    assert_eq!(known, "absmax, minmax, rms, fixed, absmean, percentile, mse");
    for name in known.split(", ") {
        assert!(methods.iter().any(|method| method.split(',').next() == Some(name)), "{name} is not tried here");
    }
}

#[test]
fn a_missing_file_and_one_that_is_not_text_are_file_errors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.toml");
    assert_eq!(ModelConfig::load(&path).unwrap_err().kind(), ErrorKind::File);
    std::fs::write(&path, [0xff, 0xfe]).unwrap();
    let error = Rules::load(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::File);
    assert!(!error.to_string().contains('\n'), "{error}");
}

fn any_activation() -> impl Strategy<Value = Surrogate> {
    prop_oneof![
        (-1e6..1e6f64).prop_map(|k| Surrogate::Tanh { k }),
        (0.1..9f64, 0.1..9f64).prop_map(|(width, height)| Surrogate::Boxcar { width, height }),
        Just(Surrogate::Arctan { k: 1e-30 }),
        Just(Surrogate::default()),
    ]
}

proptest! {
    #[test]
    fn a_model_survives_being_written(
        name in "[^/]{1,5}",
        sizes in prop::collection::vec(1usize..100, 1..5),
        activation in any_activation(),
        threshold in -5.0..5f64,
        beta in prop::option::of(0.0..1f64),
        use_bias: bool,
    ) {
        let shape = |size: usize| vec![2, size];
        let mut layers: Vec<Arc<dyn Layer>> = vec![Arc::new(Li { layer_shape: shape(7), beta })];
        let mut before = 7;
        for size in sizes {
            layers.push(Arc::new(Linear { in_features: before, out_features: size, use_bias }));
            layers.push(Arc::new(Lif { beta, threshold, activation: activation.clone(), ..Lif::new(shape(size)) }));
            layers.push(Arc::new(If { threshold, activation: activation.clone(), ..If::new(shape(size)) }));
            before = size;
        }
        let model = ModelConfig::chain(name, layers);
        prop_assert_eq!(ModelConfig::parse(&model.to_toml(), "again").unwrap().to_toml(), model.to_toml());
    }

    #[test]
    fn spoilt_text_never_panics(cut in 0usize..400, insert in "\\PC{0,4}") {
        let place = (0..=cut % TUTORIAL.len()).rev().find(|at| TUTORIAL.is_char_boundary(*at)).unwrap();
        let text = format!("{}{insert}{}", &TUTORIAL[..place], &TUTORIAL[place..]);
        _ = ModelConfig::parse(&text, "m.toml");
        _ = Rules::parse(&text, "m.toml");
    }
}
