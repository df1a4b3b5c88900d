//! Static scales in a run: statistics that only training collects, statistics tied to a batch size, and layers whose counts no loss reads.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::device::cpu;
use spiq::augment::Augmentation;
use spiq::config::{ModelConfig, RuleConfig};
use spiq::data::Dataset;
use spiq::network::Network;
use spiq::predict::{Settings, outputs};
use spiq::quant::{Numerics, linear_only_rules};
use spiq::train::{Checkpoint, Event, Length, Loss, Metric, OnNan, Optimizer, Options, Patience, Validation, run};

const DROPOUT: &str = "
layers = [
    { type = 'Linear', in_features = 64, out_features = 16 },
    { type = 'LIF', hidden_shape = 16, threshold = 0.4 },
    { type = 'Dropout', rate = 0.3 },
    { type = 'Linear', in_features = 16, out_features = 10 },
    { type = 'LI', layer_shape = 10 },
]";

fn static_rules(change: impl FnOnce(&mut RuleConfig)) -> Vec<RuleConfig> {
    let mut rules = linear_only_rules("int8", "int8");
    rules[0].act_static_scale = Some(true);
    change(&mut rules[0]);
    rules
}

fn options(out: &Path, model: &str, rules: Vec<RuleConfig>, numerics: Numerics) -> Options {
    let (train, test) = Dataset::digits().split().expect("two parts");
    let model = ModelConfig::parse(model, "test").expect("a model");
    Options {
        model: Network::new(model, rules).expect("a network").with_numerics(numerics),
        train,
        test,
        validation: Validation::None,
        patience: Patience::None,
        optimizer: Optimizer::named("sgd", 0.1, "constant").expect("names of the tables"),
        loss: Loss::default(),
        metric: Metric::default(),
        batch_size: 32,
        length: Length::Steps(2),
        rules_from: 0,
        time_steps: 4,
        shift: 0.0,
        augment: Augmentation::default(),
        on_nan: OnNan::Stop,
        steps_per_call: Some(1),
        shuffle: true,
        seed: 1,
        init: None,
        allow_nonfinite: false,
        tensorboard: false,
        out: out.to_owned(),
        resume: false,
        allow_changes: false,
        devices: 1,
        checkpoint_every: spiq::train::CHECKPOINT_EVERY,
    }
}

fn go(options: &Options) -> spiq::Result<f32> {
    go_to(options, None)
}

/// Stops after this many steps, like Ctrl-C.
fn go_to(options: &Options, last: Option<usize>) -> spiq::Result<f32> {
    let stop = AtomicBool::new(false);
    let events = &mut |event| {
        if let Event::Step { done, .. } = event {
            stop.store(Some(done) == last, Ordering::Relaxed);
        }
    };
    run(cpu(), options, &stop, events).map(|summary| summary.test_accuracy)
}

/// After dropout, spikes are not integers in a training step, which collects statistics of them; in tests and predictions they are
/// integers.
#[test]
fn a_run_with_dropout_before_a_static_scale() {
    for numerics in [Numerics::Exact, Numerics::Qwix] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut options = options(folder.path(), DROPOUT, static_rules(|_| ()), numerics);
        go(&options).unwrap_or_else(|e| panic!("{numerics}: {e}"));
        let params = Checkpoint::load(&folder.path().join("params.safetensors")).expect("parameters").arrays;
        let behind = "quant_stats/core/layers/3/dot_general0_lhs/count";
        // Two steps of four time steps: one call each.
        assert_eq!(params[behind].to_f64(), [8.0], "{numerics}");
        let settings = Settings { time_steps: 4, ..Settings::default() };
        let digits = Dataset::digits();
        let predicted = outputs(cpu(), &options.model, &params, digits.inputs(), &settings);
        assert!(predicted.expect("predictions").to_f64().iter().all(|y| y.is_finite()));
        options.length = Length::Steps(3);
        go_to(&options, Some(2)).unwrap_or_else(|e| panic!("{numerics}, cut: {e}"));
        options.resume = true;
        go(&options).unwrap_or_else(|e| panic!("{numerics}, resumed: {e}"));
    }
}

#[track_caller]
fn refused(model: &str, rules: Vec<RuleConfig>, expected: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("run");
    let error = go(&options(&out, model, rules, Numerics::Qwix)).expect_err("a refusal").to_string();
    assert!(error.contains(expected) && !error.contains('\n'), "{error}");
    assert!(!out.exists(), "nothing is left behind");
}

/// A statistic with an axis of batch size would only fit batches of that size.
#[test]
fn statistics_of_each_sample_are_refused() {
    for axes in [vec![], vec![1]] {
        let rules = static_rules(|rule| rule.act_batch_axes = axes);
        refused(DROPOUT, rules, "would have a batch axis; name that axis, 0, in act_batch_axes");
    }
    // A single scale has no such axis.
    let folder = tempfile::tempdir().expect("a folder");
    let rules = static_rules(|rule| {
        rule.act_batch_axes = vec![];
        rule.disable_channelwise_axes = true;
    });
    go(&options(folder.path(), DROPOUT, rules, Numerics::Qwix)).expect("a run");
}

#[test]
fn counts_that_no_loss_reads_are_refused() {
    let counting =
        DROPOUT.replace("type = 'Dropout', rate = 0.3", "type = 'ActivityRegularization', hidden_shape = 16");
    refused(&counting, vec![], "core/layers/2 (ActivityRegularization) counts spikes for a custom loss");
}
