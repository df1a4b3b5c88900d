//! `model.toml` and `rules.toml`: what is read, what is written back, and what is refused with one clear sentence.

use std::sync::Arc;

use proptest::prelude::*;
use spiq::ErrorKind;
use spiq::config::{ModelConfig, RuleConfig, TileSize, load_rules, parse_rules, rules_to_toml};
use spiq::nn::{If, Layer, Li, Lif, Linear, Surrogate};

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

/// The message for one layer with these lines; it starts on line 1.
#[track_caller]
fn layer_error(lines: &str) -> String {
    model_error(&format!("[[layers]]\n{lines}"))
}

#[track_caller]
fn rule_error(lines: &str) -> String {
    let error = parse_rules(&format!("[[rules]]\n{lines}"), "r.toml").unwrap_err();
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

/// A model called `core`.
fn model_of(layers: impl IntoIterator<Item = Box<dyn Layer>>) -> ModelConfig {
    ModelConfig { name: "core".into(), layers: layers.into_iter().map(Arc::from).collect() }
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
        ("nmae = 'core'", "m.toml:1: unknown key `nmae` in the model; did you mean `name`?"),
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
        ("", "m.toml:1: layer 1 lacks the key `type`"),
        (
            "type = 'lif'",
            "m.toml:2: `type` of layer 1 (lif) is \"lif\", but must be one of Linear, Conv, SumPool, \
             AvgPool, MaxPool, Flatten, LayerNorm, Dropout, ActivityRegularization, PopulationCode, LIF, IF, LI, ALIF, \
             CuBaLIF, RIF, RLIF, RCuBaLIF, PSU_LIF, AssociativeLIF",
        ),
        ("type = 'LIF'", "m.toml:1: layer 1 (LIF) lacks the key `hidden_shape`"),
        (
            "type = 'LIF'\nhidden_shape = 4\ntreshold = 1",
            "m.toml:4: unknown key `treshold` in layer 1; did you mean `threshold`?",
        ),
        (
            "type = 'IF'\nhidden_shape = 4\nbeta = 0.5",
            "m.toml:4: unknown key `beta` in layer 1 (IF); it takes type, hidden_shape, threshold, activation",
        ),
        (
            "type = 'Linear'\nin_features = '64'",
            "m.toml:3: `in_features` of layer 1 (Linear) is \"64\", but must be a whole number from 1 to 2147483647",
        ),
        (
            "type = 'Linear'\nin_features = 0",
            "m.toml:3: `in_features` of layer 1 (Linear) is 0, but must be a whole number from 1 to 2147483647",
        ),
        (
            "type = 'Linear'\nin_features = 100_000\nout_features = 100_000",
            "m.toml:1: layer 1 (Linear) has a kernel of more than 2147483647 elements",
        ),
        (
            "type = 'LI'\nlayer_shape = 4\nbeta = nan",
            "m.toml:4: `beta` of layer 1 (LI) is nan, but must be a number that f32 holds: 0, or one from 1.2e-38 to 3.4e38 in size",
        ),
        (
            "type = 'LI'\nlayer_shape = []",
            "m.toml:3: `layer_shape` of layer 1 (LI) is [], but must be a size or a list of sizes, whole numbers from 1 \
             up with a product below 2147483648",
        ),
        (
            "type = 'LIF'\nhidden_shape = 4\nactivation = 'triangular'",
            "m.toml:4: `activation` of layer 1 (LIF) is \"triangular\", but must be a table",
        ),
        (
            "type = 'LIF'\nhidden_shape = 4\nactivation = { k = 1 }",
            "m.toml:4: the activation of layer 1 (LIF) lacks the key `type`",
        ),
        (
            "type = 'LIF'\nhidden_shape = 4\nactivation = { type = 'relu' }",
            "m.toml:4: `type` of the activation of layer 1 (LIF) is \"relu\", but must be one of tanh, boxcar, \
             triangular, arctan, superspike",
        ),
        (
            "type = 'LIF'\nhidden_shape = 4\nactivation = { type = 'tanh', width = 1 }",
            "m.toml:4: unknown key `width` in the activation of layer 1 (LIF) (tanh); it takes type, k",
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
    check(linear(32, 64) + &neurons("[32]"), "m.toml:5: layer 2 (IF) takes [32], but layer 1 (Linear) gives [64]");
    check(linear(3, 4) + &linear(5, 6), "m.toml:5: layer 2 (Linear) takes 5 features, but layer 1 (Linear) gives [4]");
    check(
        neurons("[2, 3]") + &linear(3, 4) + &neurons("[3, 4]"),
        "m.toml:8: layer 3 (IF) takes [3, 4], but layer 2 (Linear) gives [2, 4]",
    );
    check(neurons("[2, 3]") + &neurons("3"), "m.toml:4: layer 2 (IF) takes [3], but layer 1 (IF) gives [2, 3]");
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
bwd_stochastic_rounding = "uniform"
act_batch_axes = [0, 1]

[[rules]]
tile_size = 0.25
"#;
    let rules = parse_rules(text, "r.toml").unwrap();
    let first = RuleConfig {
        module_path: "core/layers/[02]".into(),
        op_names: vec!["dot_general".into()],
        weight_qtype: Some("int8".into()),
        act_qtype: Some("int8".into()),
        tile_size: Some(TileSize::Elements(32)),
        bwd_stochastic_rounding: Some("uniform".into()),
        act_batch_axes: vec![0, 1],
        ..RuleConfig::default()
    };
    assert_eq!(rules, [first, RuleConfig { tile_size: Some(TileSize::Fraction(0.25)), ..RuleConfig::default() }]);
    assert_eq!(parse_rules(&rules_to_toml(&rules), "again").unwrap(), rules);
}

#[test]
fn a_path_is_matched_whole() {
    let matches = |pattern: &str, path: &str| {
        RuleConfig { module_path: pattern.into(), ..RuleConfig::default() }.path_regex().unwrap().is_match(path)
    };
    assert!(matches(".*", "core/layers/0") && matches("a|ab", "ab") && matches("(?P<n>core)/.+", "core/x"));
    assert!(!matches("core", "core/layers/0") && !matches("layers", "core/layers") && !matches("a", "a\n"));
    assert!(!matches("a|b", "ab") && !matches("(?m)^a$", "a\nb"));
}

#[test]
fn a_bad_rule_is_refused_with_its_line() {
    for (lines, message) in [
        ("weight_type = 'int8'", "r.toml:2: unknown key `weight_type` in rule 1; did you mean `weight_qtype`?"),
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
            "bwd_stochastic_rounding = 'gaussian'",
            "r.toml:2: `bwd_stochastic_rounding` of rule 1 is \"gaussian\", but must be \"uniform\" or \"low_bit_uniform\"",
        ),
        ("\nmodule_path = 'core/('", "r.toml:3: the module_path `core/(` is not a regular expression: unclosed group"),
        ("module_path = 'a)(?:b'", "r.toml:2: the module_path `a)(?:b` is not a regular expression: unopened group"),
        (
            "module_path = '(?!core).*'",
            "r.toml:2: the module_path `(?!core).*` is not a regular expression: look-around, including look-ahead and \
             look-behind, is not supported",
        ),
    ] {
        assert_eq!(rule_error(lines), message, "{lines}");
    }
    assert!(rule_error("module_path = '(a{1000}){1000}'").contains("size limit"));
    assert_eq!(
        parse_rules("", "r.toml").unwrap_err().to_string(),
        "r.toml:1: the file needs at least one [[rules]] table"
    );
}

#[test]
fn a_missing_file_and_one_that_is_not_text_are_file_errors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.toml");
    assert_eq!(ModelConfig::load(&path).unwrap_err().kind(), ErrorKind::File);
    std::fs::write(&path, [0xff, 0xfe]).unwrap();
    let error = load_rules(&path).unwrap_err();
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
            layers.push(Arc::new(Lif { hidden_shape: shape(size), beta, threshold, activation: activation.clone() }));
            layers.push(Arc::new(If { hidden_shape: shape(size), threshold, activation: activation.clone() }));
            before = size;
        }
        let model = ModelConfig { name, layers };
        prop_assert_eq!(ModelConfig::parse(&model.to_toml(), "again").unwrap().to_toml(), model.to_toml());
    }

    #[test]
    fn spoilt_text_never_panics(cut in 0usize..400, insert in "\\PC{0,4}") {
        let place = (0..=cut % TUTORIAL.len()).rev().find(|at| TUTORIAL.is_char_boundary(*at)).unwrap();
        let text = format!("{}{insert}{}", &TUTORIAL[..place], &TUTORIAL[place..]);
        _ = ModelConfig::parse(&text, "m.toml");
        _ = parse_rules(&text, "m.toml");
    }
}
