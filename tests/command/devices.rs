//! Training, testing and predicting on several devices: what one device gives.

use std::path::Path;
use std::sync::LazyLock;
use std::sync::atomic::AtomicBool;

use spiq::ErrorKind;
use spiq::config::{ModelConfig, RuleConfig};
use spiq::data::Dataset;
use spiq::network::Network;
use spiq::pjrt::{Client, ClientOptions, Platform};
use spiq::predict::{self, Settings, Weights};
use spiq::quant::{Gradients, linear_only_rules};
use spiq::train::{self, Options, Record, Summary, read_records, run};

use super::training::{MODEL, options};
use crate::own_process::{own_process, passes};

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

/// The losses of 100 steps on a number of devices.
fn hundred(devices: usize, of: impl Fn(&Path) -> Options) -> Vec<f32> {
    let folder = tempfile::tempdir().expect("a folder");
    let summary = go(&Options { devices, ..of(folder.path()) }).unwrap_or_else(|e| panic!("{devices} devices: {e}"));
    let losses = losses(folder.path());
    assert_eq!((summary.steps, losses.len()), (100, 100));
    losses
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

/// A network, its rules, the dtype of its gradients.
type Case = (&'static str, &'static str, Vec<RuleConfig>, Gradients);

fn cases() -> Vec<Case> {
    let int8 = || linear_only_rules("int8", "int8");
    vec![
        ("fp32", MODEL, vec![], Gradients::Full),
        ("int8", MODEL, int8(), Gradients::Full),
        ("int8+bf16", MODEL, int8(), Gradients::Bf16),
        ("images, fp32", IMAGES, vec![], Gradients::Full),
        ("images, int8", IMAGES, int8(), Gradients::Full),
        ("recurrent, int8", RECURRENT, int8(), Gradients::Full),
    ]
}

/// The most that the losses of two steps, which one gradient lies between, may differ; 1e-7 was seen.
const FIRST: f64 = 1e-6;
/// The most that any of 100 losses may differ, and their mean: later a last bit decides about a spike. 0.06 and 0.003 were seen.
const LATER: f64 = 0.2;
const MEAN: f64 = 0.02;

/// What is wrong with the losses of a network on 2 and 4 devices.
fn failures((name, model, rules, gradients): Case) -> Vec<String> {
    let of = |out: &Path| with(out, model, rules.clone(), gradients);
    let one = hundred(1, of);
    let failure = |devices| {
        let apart = |(a, b): (&f32, f32)| f64::from((b - a) / a);
        let found: Vec<f64> = one.iter().zip(hundred(devices, of)).map(apart).collect();
        let most = |steps: &[f64]| steps.iter().map(|step| step.abs()).fold(0.0, f64::max);
        let (first, all, mean) = (most(&found[..2]), most(&found), found.iter().sum::<f64>().abs() / 100.0);
        let same = found.iter().take_while(|difference| difference.abs() < FIRST).count();
        println!(
            "{name}, {devices} devices: {first:.1e} in 2 steps, {all:.1e} in 100, {mean:.1e} on average; {same} below {FIRST:e}"
        );
        (first > FIRST || all > LATER || mean > MEAN).then(|| format!("{name} on {devices} devices: {found:?}"))
    };
    [2, 4].into_iter().filter_map(failure).collect()
}

#[test]
fn one_hundred_steps_are_those_of_one_device() {
    let failures: Vec<String> = cases().into_iter().flat_map(failures).collect();
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn without_kernels_as_well() {
    passes(own_process(module_path!(), "without_kernels").env("SPIQ_NO_KERNELS", "1"));
}

#[test]
#[ignore = "the environment is that of the process: without_kernels_as_well runs it"]
fn without_kernels() {
    assert!(client().kernels().is_none());
    let dense_int8 = cases().swap_remove(1);
    assert_eq!(failures(dense_int8), Vec::<String>::new());
}

/// Nothing of the size of a batch over time is gathered in the training steps of any of these networks.
#[test]
fn training_gathers_nothing() {
    for (name, model, rules, gradients) in cases() {
        let options = Options { devices: 4, ..with(Path::new("unused"), model, rules, gradients) };
        let (program, function) = train::steps(&options).expect("a program");
        let gathered = program.sharding.apply(&function, &program.donated).expect("a program of one device").gathered;
        assert!(gathered.is_empty(), "{name}: {gathered:#?}");
    }
}

/// A run on two devices continues on one and on four, and its test gives the same bits on each.
#[test]
fn a_run_continues_on_another_number_of_devices() {
    let folder = tempfile::tempdir().expect("a folder");
    let of = |devices, resume| Options { devices, resume, ..with(folder.path(), MODEL, vec![], Gradients::Full) };
    let first = go(&of(2, false)).expect("a run");
    assert_eq!(first.steps, 100);
    for devices in [1, 4] {
        let again = go(&of(devices, true)).expect("the rest");
        assert_eq!((again.steps, again.test_accuracy), (0, first.test_accuracy), "{devices} devices");
        assert_eq!(again.spike_rates, first.spike_rates, "{devices} devices");
    }
}

#[test]
fn predictions_have_the_same_bits() {
    let network = with(Path::new("unused"), IMAGES, linear_only_rules("int8", "int8"), Gradients::Full).model;
    let (params, digits) = (network.init(0), Dataset::digits());
    let predicted = |devices, test_part| {
        let settings = Settings { devices, test_part, time_steps: 4, ..Settings::default() };
        predict::predictions(client(), &network, Weights::Trained(&params), digits.inputs(), &settings)
            .expect("outputs")
    };
    for test_part in [None, Some(1437)] {
        let one = predicted(1, test_part);
        for devices in [2, 4] {
            let several = predicted(devices, test_part);
            assert!(
                one.outputs == several.outputs && one.classes == several.classes,
                "{devices} devices, {test_part:?}"
            );
        }
    }
}

#[test]
fn batches_and_devices_that_do_not_fit_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let refused = |devices, batch_size| {
        let options = Options { devices, batch_size, ..with(folder.path(), MODEL, vec![], Gradients::Full) };
        let error = go(&options).expect_err("a refusal");
        assert_eq!(error.kind(), ErrorKind::Input);
        error.to_string()
    };
    assert_eq!(
        refused(4, 30),
        "4 devices cannot share batches of 30 samples evenly; give a batch size of 28 or 32 (--batch-size)"
    );
    assert_eq!(
        refused(4, 3),
        "4 devices cannot share batches of 3 samples evenly; give a batch size of 4 or a multiple (--batch-size)"
    );
    assert_eq!(
        refused(8, 32),
        "8 devices are asked for, but there are 4 of the platform cpu; give a number from 1 to 4"
    );
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0, "nothing is written");
}
