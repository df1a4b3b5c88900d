//! Whole runs of models with running statistics and delays: resumed, killed, started from a file, averaged, with rules that begin
//! later, evaluated, and predicted from stored weights.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use spiq::Array;
use spiq::config::ModelConfig;
use spiq::data::{ArrayFile, Dataset};
use spiq::network::Network;
use spiq::quant::linear_only_rules;
use spiq::train::{Checkpoint, Model, Options};
use tempfile::TempDir;

use super::evaluated::{close, examined, succeeds};
use super::learning::{losses, resumes};
use super::training::{arrays, go, optimizer, options};

const MODEL: &str = "
layers = [
    { type = 'Linear', in_features = 64, out_features = 24, use_bias = false },
    { type = 'BatchNorm', num_features = 24, momentum = 0.9, name = 'normed' },
    { type = 'LIF', hidden_shape = 24, activation = { type = 'triangular' } },
    { type = 'Delay', channels = 24, max_delay = 3, name = 'delayed' },
    { type = 'Dropout', rate = 0.1, inputs = ['delayed'] },
    { type = 'DelayedLinear', in_features = 24, out_features = 16, max_delay = 4, sigma_steps = 40 },
    { type = 'BatchNorm', num_features = 16, momentum = 0.9 },
    { type = 'LIF', hidden_shape = 16, activation = { type = 'triangular' } },
    { type = 'Linear', in_features = 16, out_features = 10 },
    { type = 'LI', layer_shape = 10 },
]
";

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn network() -> Network {
    let model = ModelConfig::parse(MODEL, "test").expect("a model");
    Network::new(model, linear_only_rules("int8", "int8")).expect("a network")
}

/// A run of `steps` steps.
fn of(out: &Path, steps: usize) -> Options {
    Options { model: network(), optimizer: optimizer("adam", 1e-2, "cosine"), ..options(out, steps) }
}

/// Delays stay within their limits, statistics change, and stopping at any step changes no bit.
#[test]
fn statistics_and_delays_resume_to_the_same_bits() {
    let whole = resumes(&[1, 20, 44, 61], |out| of(out, 66));
    let (first, last) = (network().init(1), arrays(whole.path()));
    assert_eq!(first.keys().collect::<Vec<_>>(), last.keys().collect::<Vec<_>>());
    for (path, array) in &last {
        assert_ne!(&first[path], array, "{path} is trained or moved");
    }
    let sigma = last["core/layers/5/sigma"].to_f64()[0];
    assert!((sigma - 0.23).abs() < 1e-6, "40 steps shrink it: {sigma}");
    for (path, most) in [("core/layers/3/delay", 3.0), ("core/layers/5/delay", 4.0)] {
        assert!(last[path].to_f64().iter().all(|delay| (0.0..=most).contains(delay)), "{path}");
    }
    let losses = losses(whole.path());
    assert!(losses[65] < 0.6 * losses[0], "{losses:?}");
}

/// A high learning rate moves delays to their limits, but not beyond.
#[test]
fn training_keeps_delays_within_their_limits() {
    let out = folder();
    // The average is taken before clamping, and is clamped as well.
    let fast = optimizer("sgd", 30.0, "constant").averaging(0.5).expect("an average");
    go(&Options { optimizer: fast, ..of(out.path(), 3) }, None).expect("a run");
    for (path, most) in [("core/layers/3/delay", 3.0), ("core/layers/5/delay", 4.0)] {
        let delays = arrays(out.path())[path].to_f64();
        assert!(delays.iter().all(|delay| (0.0..=most).contains(delay)), "{path}: {delays:?}");
        assert!(delays.contains(&0.0) || delays.contains(&most), "{path}: {delays:?}");
    }
}

/// An average covers the parameters; running statistics are averages already, so tests use the latest.
#[test]
fn an_average_of_the_parameters_leaves_statistics_as_they_are() {
    let averaged = |out: &Path| {
        let optimizer =
            optimizer("adam", 1e-2, "cosine").averaging(0.9).and_then(|o| o.accumulating(2)).expect("texts");
        Options { optimizer, ..of(out, 46) }
    };
    let whole = resumes(&[3, 44], averaged);
    let checkpoint = Checkpoint::load(&whole.path().join("checkpoint.safetensors")).expect("a checkpoint");
    let (params, types) = (arrays(whole.path()), network().parameter_types());
    for (path, array) in &params {
        assert_eq!(&checkpoint.arrays[path], array, "{path}");
        let raw = checkpoint.arrays.get(&format!("trained/{path}"));
        assert_eq!(raw.is_some(), types.contains_key(path), "{path}");
        assert!(raw.is_none_or(|raw| raw != array), "{path}");
    }
}

/// Without rules, statistics evolve as in a plain run; they are kept when the rules begin.
#[test]
fn statistics_go_on_where_rules_begin() {
    let mut rules = linear_only_rules("int8", "int8");
    rules[0].act_static_scale = Some(true);
    let model = ModelConfig::parse(MODEL, "test").expect("a model");
    let model = Network::new(model, rules).expect("a network").with_numerics(spiq::quant::Numerics::Qwix);
    let late = |out: &Path, steps| Options { model: model.clone(), rules_from: 10, ..of(out, steps) };
    let whole = resumes(&[4, 10, 12], |out| late(out, 14));
    let (plain, ten) = (folder(), folder());
    go(&Options { model: model.clone().without_rules(), ..of(plain.path(), 14) }, None).expect("a run");
    assert_eq!(losses(whole.path())[..10], losses(plain.path())[..10]);
    assert_ne!(losses(whole.path())[10..], losses(plain.path())[10..]);
    // The statistics after ten steps equal those of ten steps without rules.
    let bare = folder();
    assert!(go(&late(ten.path(), 14), Some(10)).expect("a part of a run").interrupted);
    let plain = Options { model: model.without_rules(), ..of(bare.path(), 14) };
    assert!(go(&plain, Some(10)).expect("a part of a run").interrupted);
    let (ten, bare) = (arrays(ten.path()), arrays(bare.path()));
    for (path, array) in &bare {
        assert_eq!(&ten[path], array, "{path}");
    }
}

/// A run's starting point includes running statistics.
#[test]
fn a_run_starts_from_the_statistics_of_a_file() {
    let (first, second) = (folder(), folder());
    go(&of(first.path(), 20), None).expect("a run");
    let init = first.path().join("params.safetensors");
    let again = Options {
        init: Some(init.clone()),
        seed: 5,
        optimizer: optimizer("sgd", 0.0, "constant"),
        ..of(second.path(), 1)
    };
    go(&again, None).expect("a run");
    let (before, after) = (arrays(first.path()), arrays(second.path()));
    for (path, array) in &before {
        let moved = network().running_types().contains_key(path) && !path.ends_with("sigma");
        match (moved, path.ends_with("sigma")) {
            // A tenth of the way to the batch's statistics.
            (true, _) => {
                assert_ne!(&after[path], array, "{path}");
                let [now, then] =
                    [&after[path], array].map(|array| array.to_f64().iter().map(|v| v.abs()).sum::<f64>());
                assert!((now - then).abs() < 0.3 * then, "{path}: {now} {then}");
            }
            (false, true) => assert!(after[path].to_f64()[0] < array.to_f64()[0], "{path} goes on to shrink"),
            (false, false) => assert_eq!(&after[path], array, "{path}: the rate is 0"),
        }
    }
    let mut file = ArrayFile::read(&init).expect("a file");
    file.arrays.remove("core/layers/1/mean");
    file.write(&init).expect("a file");
    let error = go(&again, None).expect_err("a refusal").to_string();
    assert!(error.contains("core/layers/1/mean") && error.lines().count() == 1, "{error}");
}

/// Layers defined in code train like the network of a file with the same layers.
#[test]
fn a_model_of_layers_trains_as_the_network() {
    let (first, second) = (folder(), folder());
    let plain = Options { model: network().without_rules(), ..of(first.path(), 6) };
    go(&plain, None).expect("a run");
    let model = spiq::nn::Sequential::from(network().config());
    assert_eq!((Model::limits(&model), Model::init(&model, 1)), (network().limits(), network().init(1)));
    let given = of(second.path(), 6);
    let default = Options::new(model, given.train, given.test, second.path());
    let (optimizer, length) = (given.optimizer, given.length);
    let of_layers = Options { optimizer, batch_size: 32, length, time_steps: 8, shift: 0.1, seed: 1, ..default };
    go(&of_layers, None).expect("a run");
    assert_eq!(losses(first.path()), losses(second.path()));
    assert_eq!(arrays(first.path()), arrays(second.path()));
}

/// The command, killed twice: the result is bit-identical to that of an uninterrupted run.
#[test]
fn a_run_that_is_killed_goes_on_to_the_same_bits() {
    let folder = folder();
    let at = folder.path();
    std::fs::write(at.join("model.toml"), MODEL).expect("a file");
    let line =
        "train --model model.toml --rules none --time-steps 6 --batch-size 64 --epochs 12 --validation 0.1 --ema 0.9";
    succeeds(at, &format!("{line} --out whole"));
    let mut killed = 0;
    let begun = Instant::now();
    for number in 0.. {
        let there = spiq::train::has_checkpoint(&at.join("parts"));
        let line = if there { "train --resume --out parts".to_owned() } else { format!("{line} --out parts") };
        let mut command = Command::new(env!("CARGO_BIN_EXE_spiq"));
        let command = command.args(line.split_whitespace()).current_dir(at).stdin(Stdio::null());
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a run");
        // Killed when the metrics have reached this many lines.
        let lines = [90, 190].get(number).copied();
        let status = loop {
            if let Some(status) = child.try_wait().expect("a state") {
                break status;
            }
            let now = std::fs::read_to_string(at.join("parts/metrics.jsonl")).unwrap_or_default().lines().count();
            if lines.is_some_and(|lines| now >= lines) {
                child.kill().expect("an end");
                killed += 1;
                break child.wait().expect("an end");
            }
            assert!(begun.elapsed() < Duration::from_secs(600), "no end");
            std::thread::sleep(Duration::from_millis(1));
        };
        if status.success() {
            break;
        }
        assert!(number < 10, "it never ends: {status:?}");
    }
    assert!(killed >= 1, "it was over before it was killed");
    for file in ["params.safetensors", "checkpoint.safetensors", "metrics.jsonl", "best.safetensors"] {
        let read = |run: &str| std::fs::read(at.join(run).join(file)).expect(file);
        assert!(read("whole") == read("parts"), "{file} differs");
    }
}

/// The command's results for such a run: the same accuracy everywhere, including with stored weights.
#[test]
fn a_run_is_evaluated_quantized_and_predicted() {
    let folder = folder();
    let at = folder.path();
    std::fs::write(at.join("model.toml"), MODEL).expect("a file");
    let line = "train --model model.toml --rules int8 --time-steps 6 --epochs 3 --batch-size 64 --out run";
    succeeds(at, line);
    let found: Value = serde_json::from_str(&succeeds(at, "evaluate run --json")).expect("JSON");
    let metrics = std::fs::read_to_string(at.join("run/metrics.jsonl")).expect("metrics");
    let last: Value = serde_json::from_str(metrics.lines().last().expect("a line")).expect("JSON");
    assert_eq!(found["accuracy"], last["test_accuracy"]);
    assert_eq!(found["spike_rates"], last["spike_rates"]);
    let layers = found["synops"]["layers"].as_object().expect("layers");
    assert_eq!(layers.keys().collect::<Vec<_>>(), ["core/layers/0", "core/layers/5", "core/layers/8"]);
    let digits = Dataset::digits();
    let images = digits.inputs().gather(&(0..100).collect::<Vec<_>>()).expect("images");
    let metadata = [("max".to_owned(), "16".to_owned())].into();
    let file = ArrayFile { arrays: [("images".to_owned(), images)].into(), metadata };
    file.write(&at.join("digits.safetensors")).expect("a file");
    succeeds(at, "quantize --params run/params.safetensors --no-fold --output q.safetensors");
    for (from, to) in
        [("--params run/params.safetensors", "a.safetensors"), ("--params q.safetensors", "b.safetensors")]
    {
        succeeds(at, &format!("predict {from} --mode ptq --data digits.safetensors --output {to}"));
    }
    let outputs = |name: &str| ArrayFile::read(&at.join(name)).expect("a file").arrays;
    assert_eq!(outputs("a.safetensors"), outputs("b.safetensors"));
}

/// Each weight meets inputs of its own lag; arrivals after the last step are not counted.
#[test]
fn operations_of_delayed_weights_are_those_that_arrive() {
    let kernel: Vec<f32> = (0..5 * 8).map(|i| if i % 3 == 0 { 0.0 } else { 0.7 }).collect();
    let delay: Vec<f32> = (0..5 * 8).map(|i| (i * 7 % 26) as f32 / 5.0).collect();
    let array = |dims: [usize; 2], values: &[f32]| Array::new(dims, values).expect("numbers");
    let change = [("core/layers/0/kernel", array([5, 8], &kernel)), ("core/layers/0/delay", array([5, 8], &delay))];
    // Three samples with six steps and five channels.
    let bytes: Vec<u8> = (0..3 * 6 * 5).map(|i| u8::from(i * i % 7 < 3)).collect();
    let samples = Array::new([3, 6, 5], bytes.clone()).expect("spikes");
    for (more, extra) in [("", 0), (", extra_steps = 2", 2)] {
        let layers = format!(
            "{{ type = 'DelayedLinear', in_features = 5, out_features = 8, max_delay = 5{more} }}, \
             {{ type = 'Linear', in_features = 8, out_features = 2 }}, {{ type = 'LI', layer_shape = 2 }}"
        );
        let (found, _) = examined(&layers, &change, samples.clone());
        let mut wanted = 0;
        for (place, _) in bytes.iter().enumerate().filter(|(_, spike)| **spike > 0) {
            let (step, channel) = (place / 5 % 6, place % 5);
            for weight in channel * 8..channel * 8 + 8 {
                // Ties round to even, as in IEEE 754.
                let lag = delay[weight].round_ties_even() as usize;
                wanted += usize::from(kernel[weight] != 0.0 && step + lag < 6 + extra);
            }
        }
        let first = found.counted.synapses["core/layers/0"];
        assert!(close(first.effective, wanted as f64 / 3.0), "{} for {}", first.effective, wanted as f64 / 3.0);
        assert_eq!((first.dense, first.accumulates), ((6 + extra) as f64 * 40.0, true));
        // Layers after it have as many steps as it outputs.
        assert_eq!(found.counted.synapses["core/layers/1"].dense, (6 + extra) as f64 * 16.0);
    }
}
