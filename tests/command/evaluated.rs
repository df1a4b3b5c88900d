//! `spiq evaluate` and its statistics: accuracy by class, confusion, top-k, spike rates, synaptic operations.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::device::cpu;
use serde_json::Value;
use spiq::Array;
use spiq::config::{ModelConfig, RuleConfig};
use spiq::data::{ArrayFile, Dataset};
use spiq::network::Network;
use spiq::ptq::quantize_weights;
use spiq::quant::linear_only_rules;
use spiq::train::{Conditions, Evaluated, evaluate, read_records};
use tempfile::TempDir;

/// Runs the command in a folder; returns its exit code, standard output and standard error.
pub fn spiq(folder: &Path, line: &str) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_spiq")).args(line.split_whitespace()).current_dir(folder).output();
    let Output { status, stdout, stderr } = output.expect("the command starts");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (status.code().expect("an exit code"), text(stdout), text(stderr))
}

#[track_caller]
pub fn succeeds(folder: &Path, line: &str) -> String {
    let (code, said, noted) = spiq(folder, line);
    assert_eq!(code, 0, "{line}: {noted}");
    said
}

#[track_caller]
pub fn refuses(folder: &Path, line: &str, expected: &str) {
    let (code, said, noted) = spiq(folder, line);
    assert_eq!((code, said.as_str()), (2, ""), "{line}: {noted}");
    assert!(noted.contains(expected) && noted.lines().count() == 1, "{line}: {noted}");
}

fn json(folder: &Path, line: &str) -> Value {
    serde_json::from_str(&succeeds(folder, line)).expect("one JSON object")
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

const TRAIN: &str = "train --time-steps 5 --epochs 3 --batch-size 64 --out run";

/// The test accuracy in the last line of metrics.jsonl, verbatim.
fn recorded(folder: &Path, key: &str) -> Value {
    let text = std::fs::read_to_string(folder.join("run/metrics.jsonl")).expect("metrics");
    let line: Value = serde_json::from_str(text.lines().last().expect("a line")).expect("JSON");
    line[key].clone()
}

#[test]
fn the_numbers_are_those_of_the_training() {
    let folder = folder();
    let folder = folder.path();
    for flags in [
        "",
        "--seed 3 --rules none",
        "--numerics qwix --validation 0.2",
        "--time-tile 2 --no-shuffle",
        "--metric max_accuracy",
        "--ema 0.9 --accumulate 2 --validation 0.1",
    ] {
        let said = succeeds(folder, &format!("{TRAIN} --overwrite {flags}"));
        let found = json(folder, "evaluate run --json");
        assert_eq!(found["accuracy"], recorded(folder, "test_accuracy"), "{flags}");
        assert_eq!(found["spike_rates"], recorded(folder, "spike_rates"), "{flags}");
        let shown = format!("{:.2} %", 100.0 * found["accuracy"].as_f64().expect("a number"));
        assert!(said.contains(&shown), "{shown}: {said}");
        let table = succeeds(folder, "evaluate run");
        assert!(table.contains(&shown) && table.contains("core/layers/1"), "{table}");
    }
}

#[test]
fn the_best_epoch_and_other_data_can_be_named() {
    let folder = folder();
    let folder = folder.path();
    succeeds(folder, &format!("{TRAIN} --validation 0.1 --epochs 6").replace("--epochs 3 ", ""));
    let summary: Value =
        serde_json::from_slice(&std::fs::read(folder.join("run/summary.json")).expect("a summary")).expect("JSON");
    let best = json(folder, "evaluate run --params best --json");
    assert_eq!(best["accuracy"], summary["best"]["test_accuracy"]);
    assert_eq!(json(folder, "evaluate run --params last --json")["accuracy"], summary["test_accuracy"]);
    let file = json(folder, "evaluate run --params run/best.safetensors --json");
    assert_eq!((&file["accuracy"], &file["confusion"]), (&best["accuracy"], &best["confusion"]));
    // The same digits from a file, and a subset.
    let digits = Dataset::digits();
    let write = |name: &str, rows: std::ops::Range<usize>| {
        let places: Vec<usize> = rows.clone().collect();
        let images = digits.inputs().gather(&places).expect("images");
        let labels = Array::new([rows.len()], &digits.labels()[rows]).expect("labels");
        let arrays = [("images".to_owned(), images), ("labels".to_owned(), labels)].into();
        let metadata = [("max".to_owned(), "16".to_owned())].into();
        ArrayFile { arrays, metadata }.write(&folder.join(name)).expect("a file");
    };
    write("all.safetensors", 0..1797);
    write("some.safetensors", 1437..1537);
    let last = json(folder, "evaluate run --json");
    assert_eq!(json(folder, "evaluate run --data all.safetensors --json")["confusion"], last["confusion"]);
    let some = json(folder, "evaluate run --data some.safetensors --json");
    assert_eq!(some["count"], 100);
    // `predict` accepts the same values.
    let said = succeeds(folder, "predict --run run --params best --data all.safetensors --output o.safetensors");
    let shown = format!("{:.2} %", 100.0 * best["accuracy"].as_f64().expect("a number"));
    assert!(said.contains(&shown), "{said}");
    refuses(folder, "predict --data all.safetensors --output o.safetensors", "--params");
    refuses(folder, "evaluate run --data nowhere.safetensors", "cannot read nowhere.safetensors");
    refuses(folder, "evaluate nowhere", "there is no run in nowhere");
    refuses(folder, "evaluate run --top-k 11", "--top-k is 11, but there are 10 classes");
    std::fs::remove_file(folder.join("run/best.safetensors")).expect("a file");
    refuses(folder, "evaluate run --params best", "run has no best epoch");
}

#[test]
fn confusion_classes_and_ranks_add_up() {
    let folder = folder();
    let folder = folder.path();
    succeeds(folder, TRAIN);
    let found = json(folder, "evaluate run --json --top-k 3 --picture confusion.svg");
    let rows: Vec<Vec<u64>> = serde_json::from_value(found["confusion"].clone()).expect("a matrix");
    let digits = Dataset::digits();
    let counts = |class: usize| digits.labels()[1437..].iter().filter(|label| **label as usize == class).count() as u64;
    for (class, row) in rows.iter().enumerate() {
        let sum: u64 = row.iter().sum();
        assert_eq!(sum, counts(class));
        let part = (row[class] as f64 / sum as f64) as f32;
        let said = found["per_class"][class].as_f64().expect("a number") as f32;
        assert_eq!(part, said);
    }
    let right: u64 = (0..10).map(|class| rows[class][class]).sum();
    assert_eq!(found["accuracy"].as_f64().expect("a number") as f32, (right as f64 / 360.0) as f32);
    let [first, third] = [&found["accuracy"], &found["top_k"]["accuracy"]].map(|v| v.as_f64().expect("a number"));
    assert!(first < third && third < 1.0, "{first} {third}");
    assert_eq!(json(folder, "evaluate run --json --top-k 1")["top_k"]["accuracy"], found["accuracy"]);
    assert_eq!(json(folder, "evaluate run --json --top-k 10")["top_k"]["accuracy"], 1.0);
    let svg = std::fs::read_to_string(folder.join("confusion.svg")).expect("a picture");
    for count in rows.iter().flatten().filter(|count| **count > 0) {
        assert!(svg.contains(&format!(">{count}</text>")), "{count}");
    }
    // The table's row of each class.
    let table = succeeds(folder, "evaluate run --top-k 3");
    let line = table.lines().find(|line| line.starts_with("3 ")).expect("the line of class 3");
    let numbers: Vec<&str> = line.split_whitespace().collect();
    let wanted: Vec<String> =
        rows[3].iter().map(|count| if *count == 0 { "·".into() } else { count.to_string() }).collect();
    assert_eq!(numbers[numbers.len() - 10..], wanted, "{line}");
    assert!(table.contains("top-3 accuracy"), "{table}");
    // A quarter of 32 bits, plus scales.
    let (bytes, parameters) =
        (found["bytes"].as_u64().expect("bytes"), found["parameters"].as_u64().expect("a number"));
    assert!(bytes > parameters && bytes < 2 * parameters, "{bytes} bytes of {parameters}");
    assert_eq!(found["bits"].as_u64(), Some(8 * bytes));
    assert_eq!(found["bytes_as_trained"].as_u64(), Some(4 * parameters));
    // Totals of the layers' numbers.
    let number = |value: &Value| value.as_f64().expect("a number");
    let layers = found["synops"]["layers"].as_object().expect("layers");
    let sum = |kind: &[&str], what: &str| -> f64 {
        layers.values().filter(|layer| kind.contains(&layer["kind"].as_str().unwrap())).map(|l| number(&l[what])).sum()
    };
    assert_eq!(number(&found["dense"]), sum(&["AC", "MAC"], "dense"));
    assert_eq!(number(&found["effective_acs"]), sum(&["AC"], "effective"));
    assert_eq!(number(&found["effective_macs"]), sum(&["MAC"], "effective"));
    let spikes = number(&found["spikes_per_sample"]);
    let rates = found["spike_rates"].as_object().expect("rates");
    let rates: Vec<f64> = rates.values().map(number).collect();
    let [least, most] = [f64::min, f64::max].map(|of| rates.iter().copied().reduce(of).expect("layers that fire"));
    let active = 1.0 - number(&found["activation_sparsity"]);
    assert!((least..=most).contains(&active) && least < most, "{active}: {rates:?}");
    assert!(spikes > 0.0 && table.contains(&format!("{spikes:.1}")), "{spikes}: {table}");
}

/// Evaluates a network of layers with these parameters instead of random ones, on samples [N, T, …].
pub fn examined(layers: &str, change: &[(&str, Array)], samples: Array) -> (Evaluated, BTreeMap<String, Array>) {
    examined_by(layers, linear_only_rules("int8", "int8"), change, samples)
}

fn model(layers: &str) -> ModelConfig {
    ModelConfig::parse(&format!("layers = [{layers}]"), "test").expect("a model")
}

/// The same with these quantization rules.
fn examined_by(
    layers: &str,
    rules: Vec<RuleConfig>,
    change: &[(&str, Array)],
    samples: Array,
) -> (Evaluated, BTreeMap<String, Array>) {
    let network = Network::new(model(layers), rules).expect("a network");
    let mut params = network.init(0);
    for (path, array) in change {
        assert_eq!(
            params.insert((*path).to_owned(), array.clone()).map(|old| old.ty().clone()),
            Some(array.ty().clone())
        );
    }
    let count = samples.dims()[0];
    let labels = Array::new([count], vec![0i32; count]).expect("labels");
    let arrays = [("inputs".to_owned(), samples), ("labels".to_owned(), labels)].into();
    let data = Dataset::from_file(&ArrayFile { arrays, ..ArrayFile::default() }, "test", Some(network.classes()));
    let conditions = Conditions { time_steps: 1, seed: 0, coding: None, readout: Default::default() };
    (evaluate(cpu(), &network, &params, &data.expect("a data set"), conditions).expect("an evaluation"), params)
}

pub fn close(left: f64, right: f64) -> bool {
    (left - right).abs() <= 1e-5 * right.abs().max(1.0)
}

/// 400 samples, more than one group, with 6 steps and 5 channels; a third of the elements are spikes.
fn spikes(largest: u8) -> Array {
    let bytes: Vec<u8> = (0..400 * 6 * 5u32)
        .map(|i| if i.wrapping_mul(2_654_435_761) >> 8 & 3 == 0 { 1 + (i as u8) % largest } else { 0 })
        .collect();
    Array::new([400, 6, 5], bytes).expect("spikes")
}

#[test]
fn operations_are_products_without_zeros() {
    // A weight matrix with some zeros.
    let kernel: Vec<f32> = (0..5 * 8).map(|i| if i % 3 == 0 { 0.0 } else { 0.7 }).collect();
    let layers = "{ type = 'Linear', in_features = 5, out_features = 8 }, { type = 'LIF', hidden_shape = 8 },
                  { type = 'Linear', in_features = 8, out_features = 2 }, { type = 'LI', layer_shape = 2 }";
    let kernel_array = Array::new([5, 8], kernel.clone()).expect("a kernel");
    let (found, _) = examined(layers, &[("core/layers/0/kernel", kernel_array)], spikes(1));
    let wanted: usize = spikes(1)
        .bytes()
        .iter()
        .enumerate()
        .filter(|(_, spike)| **spike > 0)
        .map(|(i, _)| kernel[i % 5 * 8..][..8].iter().filter(|weight| **weight != 0.0).count())
        .sum();
    let first = found.counted.synapses["core/layers/0"];
    assert_eq!((first.dense, first.accumulates), (6.0 * 5.0 * 8.0, true));
    assert!(close(first.effective, wanted as f64 / 400.0), "{} {}", first.effective, wanted as f64 / 400.0);
    // Each spike of the second layer meets both weights of its neuron.
    let second = found.counted.synapses["core/layers/2"];
    let rate = f64::from(found.spike_rates["core/layers/1"]);
    assert!(rate > 0.0 && close(second.effective, rate * 8.0 * 6.0 * 2.0), "{} for {rate}", second.effective);
    assert_eq!((second.dense, second.accumulates, found.counted.synapses.len()), (6.0 * 8.0 * 2.0, true, 2));
    // Counts above one need multiplications.
    let (graded, _) = examined(layers, &[], spikes(3));
    assert!(
        !graded.counted.synapses["core/layers/0"].accumulates && graded.counted.synapses["core/layers/2"].accumulates
    );
}

/// Two layers and three steps of one sample, counted by hand.
///
/// The inputs are [1, 0], [1, 1], [0, 0]. The ternary form of the first kernel is [[+, 0, -], [0, +, 0]] times 0.45, 0.455, 0.46.
/// Neurons with decay 0 and threshold 0.3 fire one step after their input: the first at step 1, the second at step 2.
#[test]
fn a_ternary_network_is_counted_by_its_stored_weights() {
    let layers = "{ type = 'Linear', in_features = 2, out_features = 3, use_bias = false },
                  { type = 'LIF', hidden_shape = 3, beta = 0.0, threshold = 0.3 },
                  { type = 'Linear', in_features = 3, out_features = 2 }, { type = 'LI', layer_shape = 2 }";
    let first = Array::new([2, 3], [0.9f32, 0.01, -0.9, 0.0, 0.9, 0.02]).expect("a kernel");
    let second = Array::new([3, 2], [0.5f32; 6]).expect("a kernel");
    let change = [("core/layers/0/kernel", first), ("core/layers/2/kernel", second)];
    let samples = || Array::new([1, 3, 2], [1u8, 0, 1, 1, 0, 0]).expect("spikes");
    let rule = RuleConfig { weight_qtype: Some("ternary".into()), ..RuleConfig::default() };
    let (ternary, params) = examined_by(layers, vec![rule.clone()], &change, samples());
    let (full, _) = examined_by(layers, vec![], &change, samples());
    // The first spike meets two weights, those of step 1 meet three; each spike of the neurons meets two.
    assert_eq!((ternary.counted.effective_acs(), ternary.counted.effective_macs()), (2.0 + 3.0 + 2.0 * 2.0, 0.0));
    assert_eq!((ternary.counted.dense(), full.counted.dense()), (3.0 * 12.0, 3.0 * 12.0));
    assert_eq!(ternary.counted.spikes, [("core/layers/1".to_owned(), 2.0)].into());
    assert_eq!(ternary.counted.connection_sparsity, Some(3.0 / 12.0));
    assert!(close(ternary.counted.activation_sparsity.expect("neurons"), 1.0 - 2.0 / 9.0));
    // In training precision, five of the first six weights are nonzero, and the first neuron fires once more.
    assert_eq!(full.counted.effective_acs(), 3.0 + 5.0 + 3.0 * 2.0);
    assert_eq!((full.counted.spikes_per_sample(), full.counted.connection_sparsity), (3.0, Some(1.0 / 12.0)));
    // Two bits per weight, six weights in two bytes; a scale per output; a bias and decays.
    let network = Network::new(model(layers), vec![rule]).expect("a network");
    let stored = quantize_weights(cpu(), &network, &params).expect("stored weights");
    assert_eq!(stored.after, (2 + 4 * 3) + (2 + 4 * 2) + 4 * params_beside(&params));
    assert_eq!(stored.before, 4 * (6 + 6) + 4 * params_beside(&params));
}

/// Number of elements of the parameters other than kernels.
fn params_beside(params: &BTreeMap<String, Array>) -> usize {
    params.iter().filter(|(path, _)| !path.ends_with("/kernel")).map(|(_, array)| array.to_f64().len()).sum()
}

/// A layer with delays outputs two steps more than its three input steps, and the layers after it run in all five.
#[test]
fn layers_behind_more_steps_are_counted_in_all_of_them() {
    let layers = "{ type = 'DelayedLinear', in_features = 2, out_features = 3, max_delay = 1, extra_steps = 2 },
                  { type = 'LIF', hidden_shape = 3, beta = 0.0, threshold = 0.3 },
                  { type = 'Linear', in_features = 3, out_features = 2 }, { type = 'LI', layer_shape = 2 }";
    let change = [
        ("core/layers/0/kernel", Array::new([2, 3], [1f32; 6]).expect("a kernel")),
        ("core/layers/0/delay", Array::new([2, 3], [0f32; 6]).expect("delays")),
    ];
    let samples = Array::new([1, 3, 2], [1u8, 0, 1, 1, 0, 0]).expect("spikes");
    let (found, _) = examined_by(layers, vec![], &change, samples);
    let counted = found.counted;
    assert_eq!(counted.dense(), 5.0 * 6.0 + 5.0 * 6.0);
    // Each neuron receives 1, 2, and nothing, and fires twice.
    assert_eq!((counted.spikes_per_sample(), counted.effective_acs()), (6.0, 3.0 * 3.0 + 6.0 * 2.0));
    assert!(close(counted.activation_sparsity.expect("neurons"), 1.0 - 6.0 / 15.0), "{counted:?}");
}

/// A temporal kernel is stored as a matrix; its zeros are those of the kernel.
#[test]
fn a_quantized_kernel_over_time_is_counted() {
    let layers = "{ type = 'TemporalConv', in_features = 1, out_features = 2, kernel_size = 2, use_bias = false },
                  { type = 'LI', layer_shape = 2 }";
    // Two of the four weights are zero in int8 with a scale per output.
    let kernel = Array::new([2, 1, 2], [1.0f32, 0.5, 0.001, -0.0001]).expect("a kernel");
    let samples = Array::new([1, 3, 1], [1u8, 0, 1]).expect("spikes");
    let rule = RuleConfig { weight_qtype: Some("int8".into()), ..RuleConfig::default() };
    let (found, _) = examined_by(layers, vec![rule.clone()], &[("core/layers/0/kernel", kernel)], samples);
    assert_eq!(found.counted.connection_sparsity, Some(0.5));
    assert_eq!((found.counted.dense(), found.counted.effective_acs()), (3.0 * 4.0, 2.0 * 2.0));
    // With a delay per weight there is one matrix per delay; each weight is in one of them.
    let layers = "{ type = 'DelayedLinear', in_features = 2, out_features = 2, max_delay = 2 }, { type = 'LI', layer_shape = 2 }";
    let change = [
        ("core/layers/0/kernel", Array::new([2, 2], [1.0f32, 0.5, 0.001, -0.0001]).expect("a kernel")),
        ("core/layers/0/delay", Array::new([2, 2], [0.0f32, 1.0, 2.0, 0.0]).expect("delays")),
    ];
    let samples = Array::new([1, 3, 2], [1u8, 0, 0, 1, 1, 1]).expect("spikes");
    let (found, _) = examined_by(layers, vec![rule], &change, samples);
    assert_eq!(found.counted.connection_sparsity, Some(0.5));
    // Of the first input's two spikes, the last meets one of two weights: no steps are left for the other's delay.
    assert_eq!((found.counted.dense(), found.counted.effective_acs()), (3.0 * 4.0, 2.0 + 1.0));
}

/// A norm's output is not binary, so products after it are multiplications; its own products are not counted.
#[test]
fn products_behind_a_norm_are_multiplications() {
    let layers = "{ type = 'RMSNorm', num_features = 5 }, { type = 'Linear', in_features = 5, out_features = 2 },
                  { type = 'LI', layer_shape = 2 }";
    let (found, _) = examined_by(layers, vec![], &[], spikes(1));
    assert_eq!(found.counted.synapses.keys().collect::<Vec<_>>(), ["core/layers/1"]);
    assert_eq!((found.counted.effective_acs(), found.counted.dense()), (0.0, 6.0 * 10.0));
    assert!(found.counted.effective_macs() > 0.0 && found.counted.effective_macs() < 60.0);
    assert_eq!((found.counted.spikes_per_sample(), found.counted.activation_sparsity), (0.0, None));
    assert!(found.counted.effective_acs().is_sign_positive(), "no -0 in a table");
}

#[test]
fn operations_of_windows_stop_at_the_border() {
    let layers = "{ type = 'Conv', in_features = 1, out_features = 2, kernel_size = [3, 3] }, { type = 'Flatten' },
                  { type = 'Linear', in_features = 32, out_features = 2 }, { type = 'LI', layer_shape = 2 }";
    let ones = Array::new([2, 3, 4, 4, 1], vec![1u8; 2 * 3 * 16]).expect("images");
    let (found, _) = examined(layers, &[], ones);
    // Along an axis of 4 with a window of 3: 2 + 3 + 3 + 2 pairs.
    let conv = found.counted.synapses["core/layers/0"];
    assert_eq!((conv.dense, conv.effective, conv.accumulates), (3.0 * 100.0 * 2.0, 3.0 * 100.0 * 2.0, true));
    assert!(!found.counted.synapses["core/layers/2"].accumulates, "outputs of a convolution are no spikes");
    // A corner pixel is in four windows, a centre pixel in nine.
    for (pixel, seen) in [(0, 4.0), (5, 9.0)] {
        let one: Vec<u8> = (0..16).map(|place| u8::from(place == pixel)).collect();
        let (found, _) = examined(layers, &[], Array::new([1, 1, 4, 4, 1], one).expect("an image"));
        assert_eq!(found.counted.synapses["core/layers/0"].effective, 2.0 * seen);
    }
}

#[test]
fn operations_of_recurrent_neurons_are_those_of_their_own_spikes() {
    let layers =
        "{ type = 'Linear', in_features = 5, out_features = 7 }, { type = 'RLIF', hidden_shape = 7, threshold = 0.3 },
                  { type = 'Linear', in_features = 7, out_features = 2 }, { type = 'LI', layer_shape = 2 }";
    let (found, params) = examined(layers, &[], spikes(1));
    let weights = params["core/layers/1/recurrent_w"].to_vec::<f32>().expect("weights");
    assert!(weights.iter().all(|weight| *weight != 0.0));
    let rate = f64::from(found.spike_rates["core/layers/1"]);
    let recurrent = found.counted.synapses["core/layers/1"];
    assert_eq!((recurrent.dense, recurrent.accumulates), (6.0 * 49.0, true));
    assert!(rate > 0.0 && close(recurrent.effective, rate * 7.0 * 6.0 * 7.0), "{} for {rate}", recurrent.effective);
}

/// Evaluation uses the stored statistics, and reproduces the accuracy recorded in training.
#[test]
fn evaluation_of_a_network_with_statistics_is_that_of_its_training() {
    let folder = folder();
    let folder: PathBuf = folder.path().to_owned();
    std::fs::write(
        folder.join("rules.toml"),
        "[[rules]]\nweight_qtype = \"int8\"\nact_qtype = \"int8\"\nact_static_scale = true\n",
    )
    .expect("a file");
    let model =
        "layers = [{ type = 'Conv', in_features = 1, out_features = 3, kernel_size = [3, 3] }, { type = 'Flatten' },
        { type = 'Linear', in_features = 192, out_features = 10 }, { type = 'LI', layer_shape = 10 }]";
    std::fs::write(folder.join("model.toml"), model).expect("a file");
    succeeds(&folder, &format!("{TRAIN} --model model.toml --rules rules.toml"));
    let found = json(&folder, "evaluate run --json");
    assert_eq!(found["accuracy"], recorded(&folder, "test_accuracy"));
    assert_eq!(found["synops"]["layers"]["core/layers/2"]["kind"], "MAC");
    assert_eq!(read_records(&folder.join("run/metrics.jsonl")).expect("records").len(), 3 * 22 + 3);
}
