//! Training, testing and predicting on several devices: what one device gives.

use std::path::Path;
use std::sync::LazyLock;
use std::sync::atomic::AtomicBool;

use spiq::config::ModelConfig;
use spiq::network::Network;
use spiq::pjrt::{Client, ClientOptions, Platform};
use spiq::quant::{Gradients, Rules, linear_only_rules};
use spiq::train::{Checkpoint, Options, Record, Summary, read_records, run};
use spiq::{Array, ErrorKind};

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
    records.iter().filter_map(|record: &Record| record.loss()).collect()
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

fn with_rules(out: &Path, model: &str, rules: Rules) -> Options {
    let model = ModelConfig::parse(model, "test").expect("a model");
    Options { model: Network::with_rules(model, rules), steps_per_call: None, ..options(out, 100) }
}

#[test]
fn one_hundred_steps_are_those_of_one_device() {
    for devices in [2, 4] {
        let found = difference(devices, |out| with_rules(out, MODEL, Rules::default()));
        eprintln!("fp32, {devices} devices: {found:e}");
        assert!(found < 1e-2, "fp32, {devices} devices: {found:e}");
    }
}
