//! `spiq help` and `spiq completions`: every key that a parser accepts is printed, with the parser's default.

use std::collections::BTreeSet;
use std::path::Path;

use super::evaluated::{refuses, succeeds};
use spiq::config::{ModelConfig, RuleConfig};
use spiq::quant::Rules;

fn here() -> &'static Path {
    Path::new(".")
}

/// The names of the keys in the lines of a help text: the first words of indented lines.
fn printed(text: &str) -> BTreeSet<String> {
    let rows = text.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    rows.filter_map(|line| line.split_whitespace().next().map(str::to_owned)).collect()
}

/// The keys after `it takes` in the refusal of an unknown key, which the parser lists itself.
fn accepted(error: &str) -> BTreeSet<String> {
    let (_, keys) = error.split_once("it takes ").unwrap_or_else(|| panic!("no list of keys in: {error}"));
    keys.split(", ").map(str::to_owned).collect()
}

/// The names after `must be one of` in the refusal of an unknown name.
fn known(error: &str) -> Vec<String> {
    let (_, names) = error.split_once("must be one of ").unwrap_or_else(|| panic!("no list of names in: {error}"));
    names.split(", ").map(str::to_owned).collect()
}

fn refusal(model: &str) -> String {
    ModelConfig::parse(model, "m").expect_err("it is refused").to_string()
}

#[test]
fn every_key_of_every_layer_is_printed() {
    let layers = known(&refusal("[[layers]]\ntype = 'Qqqqqqqq'"));
    assert!(layers.len() > 40 && layers.contains(&"LIF".to_owned()), "{layers:?}");
    let whole = succeeds(here(), "help model");
    for layer in layers {
        let keys = accepted(&refusal(&format!("[[layers]]\ntype = '{layer}'\nqqqqqqqq = 1")));
        let text = succeeds(here(), &format!("help model {layer}"));
        assert_eq!(printed(&text), keys, "{layer}");
        assert!(whole.contains(&text), "{layer}");
    }
    let keys = accepted(&refusal("qqqqqqqq = 1"));
    assert_eq!(printed(&succeeds(here(), "help model model.toml")), keys);
}

#[test]
fn every_argument_of_every_surrogate_is_printed() {
    let with = |activation: &str| {
        refusal(&format!("[[layers]]\ntype = 'LIF'\nhidden_shape = 4\nactivation = {{ {activation} }}"))
    };
    for surrogate in known(&with("type = 'qqqqqqqq'")) {
        // Any argument of another surrogate is refused with the list of its own.
        let other = if surrogate == "boxcar" { "alpha" } else { "width" };
        let mut keys = accepted(&with(&format!("type = '{surrogate}', {other} = 1.0")));
        assert!(keys.remove("type"));
        assert_eq!(printed(&succeeds(here(), &format!("help model {surrogate}"))), keys, "{surrogate}");
    }
}

#[test]
fn the_printed_defaults_are_those_of_the_parser() {
    for section in ModelConfig::keys() {
        let required: Vec<String> = section
            .keys
            .iter()
            .filter(|key| key.value.ends_with(", required") && key.name != "type")
            .map(|key| {
                let value = match (key.value.as_str(), section.title.as_str()) {
                    (_, "BatchNorm" | "LayerNorm" | "GroupNorm" | "RMSNorm") => "64",
                    ("name or numbers, required", _) => "\"VALID\"",
                    ("sizes, required", _) => "[2, 2]",
                    ("integers, required", _) => "[4]",
                    _ => "2",
                };
                format!("{} = {value}", key.name)
            })
            .collect();
        let text = format!("[[layers]]\ntype = \"{}\"\n{}\n", section.title, required.join("\n"));
        let Ok(model) = ModelConfig::parse(&text, "m") else { continue };
        let written = model.to_toml();
        for key in &section.keys {
            if let Some((_, default)) = key.value.split_once(" = ") {
                let line = format!("{} = {default}", key.name);
                assert!(
                    written.lines().any(|written| written == line),
                    "{}: `{line}` is not in\n{written}",
                    section.title
                );
            }
        }
    }
}

#[test]
fn every_key_of_a_rule_and_every_name_it_takes_is_printed() {
    let refusal = |text: &str| Rules::parse(text, "r").expect_err("it is refused").to_string();
    let text = succeeds(here(), "help rules");
    assert_eq!(printed(&succeeds(here(), "help rules rules.toml")), accepted(&refusal("qqqqqqqq = 1")));
    let written = toml::to_string(&RuleConfig::default()).expect("TOML");
    let keys = accepted(&refusal("[[rules]]\nqqqqqqqq = 1"));
    assert!(keys.len() > 10 && keys.is_subset(&printed(&text)), "{keys:?}");
    for line in written.lines() {
        let (key, default) = line.split_once(" = ").expect("a key");
        let row = text.lines().find(|row| row.trim_start().starts_with(&format!("{key} "))).expect("a row");
        assert!(row.contains(&format!(" = {default}")), "{row}");
    }
    for wrong in [
        "weight_qtype = 'q'",
        "weight_qtype = 'int8'\nweight_calibration_method = 'q'",
        "op_names = ['q']",
        "weight_qtype = 'int8'\nbwd_qtype = 'int8'\nbwd_stochastic_rounding = 'q'",
    ] {
        let error = refusal(&format!("[[rules]]\n{wrong}"));
        let names = error.split_once("(known: ").expect("names").1.trim_end_matches(')');
        for name in names.split(", ") {
            let is = |row: &str| row.split([',', '[']).next() == Some(name);
            assert!(printed(&text).iter().any(|row| is(row)), "{name} is not in\n{text}");
        }
    }
}

#[test]
fn the_formats_and_flags_of_data_are_printed() {
    let text = succeeds(here(), "help data");
    for format in spiq_events::FORMATS {
        assert!(text.contains(format.name) && text.contains(format.endings), "{text}");
    }
    let train = succeeds(here(), "train --help");
    let (_, section) = train.split_once("Recordings of events:\n").expect("a section of flags");
    let flags = section.lines().take_while(|line| line.is_empty() || line.starts_with(' '));
    let flags: Vec<&str> = flags.filter_map(|line| line.trim_start().strip_prefix("--")?.split(' ').next()).collect();
    assert!(flags.len() >= 7, "{flags:?}");
    for flag in flags {
        assert!(printed(&text).contains(&format!("--{flag}")), "--{flag} is not in\n{text}");
    }
    for name in ["inputs", "images", "labels", "speakers", "train", "validation", "max", "classes", "speech", "shd"] {
        assert!(printed(&text).contains(name), "{name} is not in\n{text}");
    }
}

#[test]
fn the_help_of_commands_is_as_before() {
    for command in ["train", "plugin install", "data convert", "help", "completions"] {
        assert_eq!(succeeds(here(), &format!("help {command}")), succeeds(here(), &format!("{command} --help")));
    }
    assert_eq!(succeeds(here(), "help"), succeeds(here(), "--help"));
    refuses(here(), "help trian", "there is no help on `trian`; did you mean `train`?");
    refuses(here(), "help model LIFF", "there is no help on `LIFF`; did you mean `LIF`?");
    refuses(here(), "help plugin instal", "there is no help on `instal`; did you mean `install`?");
}

#[test]
fn completion_scripts_name_commands_and_flags() {
    for shell in ["bash", "zsh", "fish"] {
        let script = succeeds(here(), &format!("completions {shell}"));
        for word in ["overwrite", "allow-unmatched", "evaluate"] {
            assert!(script.contains(word), "{shell} does not complete {word}");
        }
    }
    refuses(here(), "completions tcsh", "[possible values: bash, zsh, fish]");
}
