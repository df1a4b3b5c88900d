//! Training, testing and predicting on several devices: what one device gives.

use std::path::Path;
use std::sync::LazyLock;
use std::sync::atomic::AtomicBool;

use spiq::config::{ModelConfig, RuleConfig};
use spiq::network::Network;
use spiq::pjrt::{Client, ClientOptions, Platform};
use spiq::predict::{self, Settings, Weights};
use spiq::quant::{Gradients, linear_only_rules};
use spiq::train::{self, Checkpoint, Options, Record, Summary, read_records, run};
use spiq::{DType, ErrorKind};

use super::training::{MODEL, options};

/// A client with four devices, which share the processor's cores.
fn client() -> &'static Client {
    static FOUR: LazyLock<Client> = LazyLock::new(|| {
        let options = ClientOptions { cpu_devices: 4, ..ClientOptions::default() };
        Client::open_with(Platform::Cpu, &options, &mut |_| {}).unwrap_or_else(|e| panic!("four devices: {e}"))
    });
    &FOUR
}

fn go(options: &Options) -> spiq::Result<Summary> {
    run(client(), options, &AtomicBool::new(false), &mut |_| {})
}

/// The losses of a run's steps.
fn losses(folder: &Path) -> Vec<f32> {
    let records = read_records(&folder.join("metrics.jsonl")).expect("metrics");
    let loss = |record: &Record| if let Record::Step { loss, .. } = record { *loss } else { None };
    records.iter().filter_map(loss).collect()
}

/// The largest relative difference between the losses of 100 steps on one device and on `devices`.
fn difference(devices: usize, of: impl Fn(&Path) -> Options) -> f64 {
    let losses = [1, devices].map(|devices| {
        let folder = tempfile::tempdir().expect("a folder");
        let summary = go(&Options { devices, ..of(folder.path()) }).unwrap_or_else(|e| panic!("{devices} devices: {e}"));
        assert_eq!(summary.steps, 100);
        losses(folder.path())
    });
    let apart = |(a, b): (&f32, &f32)| f64::from((a - b).abs() / a.abs().max(1e-3));
    assert_eq!((losses[0].len(), losses[1].len()), (100, 100));
    losses[0].iter().zip(&losses[1]).map(apart).fold(0.0, f64::max)
}

/// Convolutions, pools, BatchNorm and dropout.
const IMAGES: &str = r#"
layers = [
    { type = "Reshape", shape = [8, 8, 1] },
    { type = "Conv", in_features = 1, out_features = 4, kernel_size = [3, 3] },
    { type = "BatchNorm", num_features = 4 },
    { type = "LIF", hidden_shape = [8, 8, 4], activation = { type = "triangular" } },
    { type = "MaxPool", window_shape = [2, 2], strides = [2, 2] },
    { type = "Dropout", rate = 0.2 },
    { type = "Flatten" },
    { type = "Linear", in_features = 64, out_features = 10, use_bias = false },
    { type = "LI", layer_shape = 10 },
]
"#;

/// Recurrent weights, whose inputs are quantized in each step.
const RECURRENT: &str = r#"
layers = [
    { type = "Linear", in_features = 64, out_features = 16 },
    { type = "RLIF", hidden_shape = 16, activation = { type = "triangular" } },
    { type = "Linear", in_features = 16, out_features = 10, use_bias = false },
    { type = "LI", layer_shape = 10 },
]
"#;

fn with(out: &Path, model: &str, rules: Vec<RuleConfig>, gradients: Gradients) -> Options {
    let model = ModelConfig::parse(model, "test").expect("a model");
    let model = Network::new(model, rules).expect("a network").with_gradients(gradients);
    Options { model, steps_per_call: None, ..options(out, 100) }
}

/// A network, its rules, the dtype of its gradients, and the largest difference of a loss within 100 steps that was seen, times three.
type Case = (&'static str, &'static str, Vec<RuleConfig>, Gradients, f64);

fn cases() -> Vec<Case> {
    let int8 = || linear_only_rules("int8", "int8");
    vec![
        ("fp32", MODEL, vec![], Gradients::Full, 1e-2),
        ("int8", MODEL, int8(), Gradients::Full, 1e-2),
        ("int8+bf16", MODEL, int8(), Gradients::Bf16, 1e-2),
        ("images fp32", IMAGES, vec![], Gradients::Full, 1e-2),
        ("images int8", IMAGES, int8(), Gradients::Full, 1e-2),
        ("recurrent int8", RECURRENT, int8(), Gradients::Full, 1e-2),
    ]
}

#[test]
fn one_hundred_steps_are_those_of_one_device() {
    let mut failures = Vec::new();
    for (name, model, rules, gradients, most) in cases() {
        for devices in [2, 4] {
            let found = difference(devices, |out| with(out, model, rules.clone(), gradients));
            println!("{name} on {devices} devices: losses differ by at most {found:.1e}");
            if found > most {
                failures.push(format!("{name} on {devices} devices: {found:.1e}"));
            }
        }
    }
    assert!(failures.is_empty(), "{failures:?}");
}

/// Nothing of the size of a batch over time is gathered in the training steps of any of these networks.
#[test]
fn training_gathers_nothing() {
    for (name, model, rules, gradients, _) in cases() {
        let options = Options { devices: 4, ..with(Path::new("unused"), model, rules, gradients) };
        let (program, function) = train::steps(&options).expect("a program");
        let gathered = program.sharding.apply(&function).expect("a program of one device").gathered;
        assert!(gathered.is_empty(), "{name}: {gathered:#?}");
    }
}
