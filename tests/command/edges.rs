//! Sizes at the edges of their ranges: powers of two and their neighbours, 0, 1, the largest numbers of each type. Whatever a file or
//! flag contains is computed, or refused in one sentence, in bounded time and memory: no panic, no abort.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use spiq::config::ModelConfig;
use spiq::data::ArrayFile;
use spiq::network::Network;
use spiq::quant::{Mode, Rules};
use spiq::random::Key;
use spiq::{Array, DType, ErrorKind, TensorType};

use super::settings::{keys, kinds};

/// Limits of integer types, and their neighbours.
const EDGES: [i128; 30] = [
    0,
    1,
    2,
    3,
    7,
    8,
    9,
    255,
    256,
    257,
    32_767,
    32_768,
    65_535,
    65_536,
    65_537,
    16_777_215,
    16_777_216,
    16_777_217,
    0x7fff_fffe,
    0x7fff_ffff,
    0x8000_0000,
    0x8000_0001,
    0xffff_fffe,
    0xffff_ffff,
    0x1_0000_0000,
    i64::MAX as i128 - 1,
    i64::MAX as i128,
    i64::MAX as i128 + 1,
    u64::MAX as i128,
    -1,
];

/// Time limit of a case, generous for a busy machine.
const LIMIT: Duration = Duration::from_secs(20);

fn edge(key: Key) -> i128 {
    EDGES[key.bits64(1)[0] as usize % EDGES.len()]
}

/// A number, or a list of some.
fn size(key: Key) -> String {
    let [which, rest] = [0, 1].map(|part| key.fold_in(part));
    match which.bits64(1)[0] % 4 {
        0 => format!("[{}, {}]", edge(rest.fold_in(0)), edge(rest.fold_in(1))),
        1 => format!("[{0}, {0}, {1}]", edge(rest.fold_in(0)), edge(rest.fold_in(1))),
        _ => edge(rest).to_string(),
    }
}

/// Keys whose values are sizes.
const SIZES: [&str; 28] = [
    "in_features",
    "out_features",
    "features",
    "hidden_shape",
    "layer_shape",
    "num_features",
    "channels",
    "steps",
    "max_delay",
    "extra_steps",
    "sigma_steps",
    "kernel_size",
    "strides",
    "dilation",
    "kernel_dilation",
    "input_dilation",
    "window_shape",
    "feature_group_count",
    "num_classes",
    "num_groups",
    "group_size",
    "num_embeddings",
    "refractory",
    "shape",
    "order",
    "count",
    "padding",
    "max_period",
];

/// Refused with one sentence of the right kind, or traced, within the time limit.
#[track_caller]
fn model(text: &str, steps: usize, batch: usize) -> bool {
    let begun = Instant::now();
    let outcome = ModelConfig::parse(text, "model.toml").and_then(|model| {
        let shape = model.input_shape();
        let network = Network::with_rules(model, Rules::default());
        let x = TensorType::new(DType::F32, [&[steps, batch], &shape[..]].concat());
        network.forward(&x, Mode::Qat).map(drop)
    });
    assert!(begun.elapsed() < LIMIT, "{:?}: {text}", begun.elapsed());
    match outcome {
        Ok(()) => true,
        Err(error) => {
            assert!(matches!(error.kind(), ErrorKind::Input | ErrorKind::Graph), "{text}: {error}");
            assert!(!error.to_string().is_empty(), "{text}");
            false
        }
    }
}

/// Every size of every layer takes edge values while the others stay usual, so that each is also tested alone.
#[test]
fn every_size_of_every_layer_is_taken_or_refused() {
    let (mut taken, mut tried) = (0, 0);
    for (number, kind) in kinds().iter().enumerate() {
        let keys = keys(kind);
        let sizes: Vec<&str> = keys.iter().map(String::as_str).filter(|key| SIZES.contains(key)).collect();
        for case in 0..40 {
            let key = Key::new(7).fold_in(number as u32).fold_in(case);
            let odd = if sizes.is_empty() { 0 } else { key.bits64(1)[0] as usize % sizes.len() };
            let lines: Vec<String> = sizes
                .iter()
                .enumerate()
                .map(|(place, name)| match case % 2 == 1 || place == odd {
                    true => format!("{name} = {}", size(key.fold_in(place as u32))),
                    false => format!("{name} = 8"),
                })
                .collect();
            let text = format!("[[layers]]\ntype = \"{kind}\"\n{}\n", lines.join("\n"));
            let steps = [1, 2, 200_000][case as usize % 3];
            taken += usize::from(model(&text, steps, 1));
            tried += 1;
        }
    }
    println!("{taken} of {tried} were taken");
    // Most cases must be accepted, so that refusals do not hide the rest.
    assert!(taken > 50, "{taken} of {tried}");
}

#[test]
fn sizes_of_a_pass_are_taken_or_refused() {
    let text =
        "layers = [{ type = \"Linear\", in_features = 4, out_features = 3 }, { type = \"LIF\", hidden_shape = 3 }]";
    let mut taken = 0;
    for steps in EDGES.into_iter().filter_map(|edge| usize::try_from(edge).ok()) {
        for batch in [0, 1, 2, 65_537, i32::MAX as usize, usize::MAX] {
            taken += usize::from(model(text, steps, batch));
        }
    }
    assert!(taken > 10, "{taken}");
}

/// Enough layers and rules that quadratic comparisons would take minutes.
#[test]
fn many_layers_and_rules_end_in_time() {
    let pair = "[[layers]]\ntype = \"Linear\"\nin_features = 4\nout_features = 4\n[[layers]]\ntype = \"LIF\"\nhidden_shape = 4\n";
    let begun = Instant::now();
    let error = ModelConfig::parse(&pair.repeat(50_000), "model.toml").expect_err("too many").to_string();
    assert!(error.starts_with("model.toml:1: the model has 100000 layers, but at most 10000 are supported"), "{error}");
    assert!(model(&pair.repeat(500), 2, 1));
    let rule = |number: usize| format!("[[rules]]\nmodule_path = \"core/layers/{number}\"\nweight_qtype = \"int8\"\n");
    let rules: String = (0..100_000).map(rule).collect();
    let rules = Rules::parse(&rules, "rules.toml").expect("rules");
    let network = Network::with_rules(ModelConfig::parse(pair, "model.toml").expect("a model"), rules);
    let refused = network.forward(&TensorType::new(DType::F32, [2, 1, 4]), Mode::Qat).expect_err("rules for no layer");
    assert!(refused.to_string().contains("rule 2 (module_path `core/layers/1`) matches no operation"), "{refused}");
    assert!(begun.elapsed() < 3 * LIMIT, "{:?}", begun.elapsed());
}

fn spiq(folder: &Path, words: &[String]) -> (Option<i32>, String) {
    let begun = Instant::now();
    let mut command = Command::new(env!("CARGO_BIN_EXE_spiq"));
    let output = command.args(words).current_dir(folder).output().expect("the command starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(begun.elapsed() < 3 * LIMIT, "{words:?}: {:?}", begun.elapsed());
    (output.status.code(), said)
}

/// Each numeric flag, at the edges: accepted values get as far as creating the results folder, which fails.
#[test]
fn every_size_of_a_flag_is_taken_or_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let images = Array::from_f64(TensorType::new(DType::U8, [66, 12]), &[9.0; 66 * 12]).expect("images");
    let labels = Array::new([66], [0, 1, 2].repeat(22)).expect("labels");
    let arrays = [("images".to_owned(), images), ("labels".to_owned(), labels)].into();
    ArrayFile { arrays, ..ArrayFile::default() }.write(&folder.path().join("d.safetensors")).expect("a file");
    let model =
        "layers = [{ type = \"Linear\", in_features = 12, out_features = 3 }, { type = \"LI\", layer_shape = 3 }]";
    std::fs::write(folder.path().join("m.toml"), model).expect("a file");
    let flags = [
        "--batch-size",
        "--epochs",
        "--steps",
        "--time-steps",
        "--time-tile",
        "--steps-per-call",
        "--folds",
        "--fold",
        "--patience",
        "--seed",
        "--rules-from-step",
        "--accumulate",
        "--validation",
        "--learning-rate",
        "--clip",
        "--ema",
        "--shift",
        "--channels",
        "--bins",
    ];
    let mut went_through = 0;
    for (number, flag) in flags.into_iter().enumerate() {
        for case in 0..4u32 {
            let value = edge(Key::new(11).fold_in(number as u32).fold_in(case)).to_string();
            let line = format!("train --model m.toml --data d.safetensors --out m.toml/r {flag} {value}");
            let (code, said) = spiq(folder.path(), &line.split(' ').map(str::to_owned).collect::<Vec<_>>());
            assert_eq!(code, Some(2), "{line}: {said}");
            assert!(said.starts_with("error: ") && said.lines().count() == 1, "{line}: {said}");
            went_through += usize::from(said.contains("m.toml/r"));
        }
    }
    println!("{went_through} came as far as the folder");
    assert!(went_through > 10, "{went_through}");
}
