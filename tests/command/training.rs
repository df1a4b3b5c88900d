//! The training loop: the files it leaves, bit-identical resuming, stopping, incompatible options.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::device::cpu;
use spiq::augment::Augmentation;
use spiq::config::{ModelConfig, RuleConfig};
use spiq::data::Dataset;
use spiq::network::Network;
use spiq::nn::{self, Axes, IntegralCrossentropy, SampleLoss, Sequential};
use spiq::optim::{self, GradientTransformation};
use spiq::pjrt::{Client, ClientOptions};
use spiq::predict;
use spiq::provenance::key;
use spiq::quant::{Gradients, Mode, Numerics, linear_only_rules};
use spiq::random::{GraphKey, Key, Rngs};
use spiq::train::{
    self, Checkpoint, Event, ForwardPass, Length, Loss, Metric, Model, Optimizer, Options, Outputs, Purpose, Record,
    Summary, read_records, run,
};
use spiq::{Array, DType, ErrorKind, Program, Tensor, TensorType, trace};

/// The model of `options`.
pub const MODEL: &str = r#"
layers = [
    { type = "Linear", in_features = 64, out_features = 32 },
    { type = "LIF", hidden_shape = 32, activation = { type = "triangular" } },
    { type = "Linear", in_features = 32, out_features = 10, use_bias = false },
    { type = "LI", layer_shape = 10 },
]
"#;

pub fn optimizer(name: &str, learning_rate: f64, schedule: &str) -> Optimizer {
    Optimizer::named(name, learning_rate, schedule).expect("names of the tables")
}

/// A short run on the digits: an epoch is 44 steps of 32 samples.
pub fn options(out: &Path, steps: usize) -> Options {
    let (train, test) = Dataset::digits().split().expect("two parts");
    let model = ModelConfig::parse(MODEL, "test").expect("a model");
    Options {
        model: Network::new(model, linear_only_rules("int8", "int8")).expect("a network"),
        train,
        test,
        validation: train::Validation::None,
        patience: train::Patience::None,
        optimizer: optimizer("adam", 5e-3, "cosine"),
        loss: Loss::default(),
        metric: Metric::default(),
        batch_size: 32,
        devices: 1,
        length: Length::Steps(steps),
        rules_from: 0,
        time_steps: 8,
        shift: 0.1,
        augment: Augmentation::default(),
        on_nan: train::OnNan::Stop,
        steps_per_call: Some(1),
        shuffle: true,
        seed: 1,
        init: None,
        allow_nonfinite: false,
        tensorboard: false,
        out: out.to_owned(),
        resume: false,
        allow_changes: false,
        checkpoint_every: train::CHECKPOINT_EVERY,
    }
}

/// Runs to the end, or until `stop_at` steps are done.
pub fn go(options: &Options<dyn Model>, stop_at: Option<usize>) -> spiq::Result<Summary> {
    let stop = AtomicBool::new(false);
    run(cpu(), options, &stop, &mut |event| {
        if let Event::Step { done, .. } = event {
            stop.store(Some(done) == stop_at, Ordering::Relaxed);
        }
    })
}

#[test]
fn an_interrupted_run_resumes_to_the_same_bits() {
    let (whole, parts) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    // The number of steps per call does not matter either.
    let summary = go(&Options { steps_per_call: Some(13), ..options(whole.path(), 100) }, None).expect("a run");
    assert_eq!((summary.steps, summary.interrupted), (100, false));

    // Stopped inside the first epoch, at its end, and inside the third.
    for (stop_at, steps) in [(30, 30), (44, 14), (95, 51)] {
        let resumed = Options { resume: stop_at > 30, ..options(parts.path(), 100) };
        let summary = go(&resumed, Some(stop_at)).expect("a part of a run");
        assert_eq!((summary.steps, summary.interrupted), (steps, true));
    }
    let rest = Options { resume: true, steps_per_call: None, ..options(parts.path(), 100) };
    let last = go(&rest, None).expect("the rest");
    assert_eq!((last.steps, last.interrupted), (5, false));
    // The chart is excluded: its library numbers elements across all charts of a process.
    for file in ["params.safetensors", "checkpoint.safetensors", "metrics.jsonl"] {
        let read = |folder: &Path| std::fs::read(folder.join(file)).expect(file);
        assert!(read(whole.path()) == read(parts.path()), "{file} differs");
    }
}

/// A run's files, except for the chart, whose library numbers elements across all charts of a process.
pub const LEFT: [&str; 3] = ["params.safetensors", "checkpoint.safetensors", "metrics.jsonl"];

#[test]
fn each_optimizer_and_each_schedule_resumes_to_the_same_bits() {
    let mut ends = Vec::new();
    let optimizers = optim::OPTIMIZERS.iter().map(|row| (row.name, "cosine"));
    for (name, schedule) in optimizers.chain(optim::SCHEDULES.iter().map(|row| ("sgd", row.name))) {
        let (whole, parts) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let schedule = if schedule == "plateau" { "plateau(patience = 1, accumulation_size = 7)" } else { schedule };
        let rate = if name == "sgd" { 0.1 } else { 1e-3 };
        let options = |out: &Path, resume| Options {
            optimizer: optimizer(name, rate, schedule),
            time_steps: 4,
            seed: -5,
            resume,
            ..options(out, 90)
        };
        go(&options(whole.path(), false), None).expect("a run");
        // After the first step, at the end of an epoch, after the first step of the next, and before the last step.
        for stop_at in [1, 44, 45, 89] {
            let summary = go(&options(parts.path(), stop_at > 1), Some(stop_at)).expect("a part of a run");
            assert!(summary.interrupted, "{name}, {schedule}, {stop_at}");
        }
        assert_eq!(go(&options(parts.path(), true), None).expect("the rest").steps, 1);
        assert_eq!(go(&options(parts.path(), true), None).expect("nothing is left to do").steps, 0);
        for file in LEFT {
            let read = |folder: &Path| std::fs::read(folder.join(file)).expect(file);
            assert!(read(whole.path()) == read(parts.path()), "{name}, {schedule}: {file} differs");
        }
        ends.push(((name, schedule), Checkpoint::load(&whole.path().join(LEFT[0])).expect("parameters").arrays));
    }
    for (i, (what, end)) in ends.iter().enumerate() {
        let twin = ends[..i].iter().find(|(other, before)| other != what && before == end);
        assert!(
            twin.is_none(),
            "{what:?} ends as {:?}: optimizer and schedule decide the end",
            twin.map(|twin| twin.0)
        );
    }
}

/// Every option that changes a run's result, and its name in the refusal.
#[test]
fn an_option_that_is_changed_does_not_resume() {
    let folder = tempfile::tempdir().expect("a folder");
    go(&options(folder.path(), 6), Some(3)).expect("a part of a run");
    let init = folder.path().join("other.safetensors");
    let arrays = options(folder.path(), 6).model.init(9);
    Checkpoint { arrays, metadata: BTreeMap::new() }.save(&init).expect("a file");
    let before = LEFT.map(|file| std::fs::read(folder.path().join(file)).expect(file));
    type Change = Box<dyn Fn(&mut Options)>;
    let change = |change: fn(&mut Options)| -> Change { Box::new(change) };
    let network = |change: fn(Network) -> Network| -> Change { Box::new(move |o| o.model = change(o.model.clone())) };
    let changes: [(&str, Change); 20] = [
        ("choice of numerics", network(|n| n.with_numerics(Numerics::Qwix))),
        ("dtype of gradient products", network(|n| n.with_gradients(Gradients::Bf16))),
        ("time tile", network(|n| n.with_time_tile(Some(3)))),
        ("data", change(|o| o.test = o.train.clone())),
        ("data", change(|o| o.train = o.test.clone())),
        ("optimizer", change(|o| o.optimizer = optimizer("adamw", 5e-3, "cosine"))),
        ("learning rate", change(|o| o.optimizer = optimizer("adam", 5.000000000000001e-3, "cosine"))),
        ("schedule", change(|o| o.optimizer = optimizer("adam", 5e-3, "constant"))),
        ("optimizer", change(|o| o.optimizer = optim::adam(optim::cosine_decay_schedule(5e-3, 6)).into())),
        ("loss", change(|o| o.loss = Loss::named("mse_spikerate").expect("a loss"))),
        (
            "metric",
            change(|o| o.metric = Metric::new("first", |o, _| o.traces.tensor().index_axis(0, 0).reduce_max([1]))),
        ),
        ("batch size", change(|o| o.batch_size = 31)),
        ("length", change(|o| o.length = Length::Steps(7))),
        ("length", change(|o| o.length = Length::Epochs(1))),
        ("number of time steps", change(|o| o.time_steps = 9)),
        ("shift", change(|o| o.shift = 0.1000001)),
        ("augmentation", change(|o| o.augment = Augmentation::parse("TimeShift(max = 1)").expect("an augmentation"))),
        ("sample order", change(|o| o.shuffle = false)),
        ("seed", change(|o| o.seed = 2)),
        ("initialization", Box::new(move |o| o.init = Some(init.clone()))),
    ];
    for (name, change) in changes {
        let mut options = Options { resume: true, ..options(folder.path(), 6) };
        change(&mut options);
        let error = go(&options, None).expect_err("a refusal");
        assert_eq!(error.kind(), ErrorKind::Input);
        let error = error.to_string();
        let expected = if name == "data" { "other data (--data)".to_owned() } else { format!("another {name} (") };
        assert!(error.contains(&format!("belongs to a run with {expected}")), "{error}");
        let shown = usize::from(name != "data");
        assert_eq!(error.matches(" there, ").count(), shown, "{name} alone: {error}");
        assert!(LEFT.map(|file| std::fs::read(folder.path().join(file)).expect(file)) == before, "{name}");
    }
    let rest = Options { resume: true, steps_per_call: Some(2), ..options(folder.path(), 6) };
    assert_eq!(go(&rest, None).expect("the rest").steps, 3);
}

/// A run splits along time as requested: a different program, whose first loss is equal up to rounding.
#[test]
fn a_time_tile_cuts_the_training_step() {
    let x = TensorType::new(DType::Pred, [8, 32, 64]);
    let network = |tile| options(Path::new(""), 1).model.with_time_tile(tile);
    let text = |tile| {
        let training = network(tile).training(&x).expect("a pass");
        Program::named("step").text(&training.function).expect("a text")
    };
    assert_eq!(text(None), text(Some(8)));
    let tiles = [Some(1), Some(3), Some(4), None];
    let losses = tiles.map(|tile| {
        let folder = tempfile::tempdir().expect("a folder");
        go(&Options { model: network(tile), ..options(folder.path(), 4) }, None).expect("a run");
        let records = read_records(&folder.path().join("metrics.jsonl")).expect("metrics");
        let losses = records.iter().filter_map(|r| if let Record::Step { loss, .. } = r { *loss } else { None });
        losses.collect::<Vec<f32>>()
    });
    let [cut @ .., whole] = &losses;
    assert_eq!(whole.len(), 4);
    for (tile, cut) in tiles.into_iter().zip(cut) {
        assert_ne!(text(tile), text(None), "{tile:?} changes nothing");
        for (a, b) in cut.iter().zip(whole) {
            assert!((a - b).abs() < 1e-3 * b.abs(), "{tile:?}: {cut:?} and {whole:?}");
        }
    }
}

/// The parameters after some steps whose batches the host feeds one by one, one program call per step.
fn fed_by_the_host(options: &Options, steps: usize) -> Vec<Array> {
    let x = TensorType::new(DType::Pred, [options.time_steps, options.batch_size, 64]);
    let gradient = options.model.forward(&x, Mode::Qat).and_then(|forward| forward.gradient()).expect("a gradient");
    let types = options.model.parameter_types();
    let optimizer = optim::adam(5e-3);
    let slots = optimizer.state_types(&types);
    let given = [
        TensorType::new(DType::U32, [2]),
        TensorType::new(DType::U8, [options.batch_size, 64]),
        TensorType::new(DType::S32, [options.batch_size]),
    ];
    let inputs: Vec<(&str, TensorType)> =
        types.values().chain(slots.values()).chain(&given).map(|ty| ("", ty.clone())).collect();
    let function = trace(&inputs, |values| {
        let by_path = |paths: &BTreeMap<String, TensorType>, values: &[Tensor]| -> BTreeMap<String, Tensor> {
            paths.keys().cloned().zip(values.iter().cloned()).collect()
        };
        let (now, rest) = values.split_at(types.len());
        let (old, rest) = rest.split_at(slots.len());
        let rates = rest[1].convert(DType::F32) / 16.0;
        let spikes = GraphKey::new(&rest[0]).bernoulli(&x.dims, rates);
        let grads = gradient.call(rest[0].graph(), &[now, &[spikes, rest[2].clone()]].concat());
        let now = by_path(&types, now);
        let (updates, new) = optimizer.update(&by_path(&types, &grads[1..]), &by_path(&slots, old), &now);
        optim::apply_updates(&now, &updates).into_values().chain(new.into_values()).collect()
    });
    let client = cpu();
    let program = Program::named("step").compile(client, &function.expect("a trace")).expect("a program");
    let key = Key::new(options.seed);
    let mut state: Vec<Array> = options.model.init(options.seed).into_values().collect();
    state.extend(slots.into_values().map(Array::zeros));
    let order = options.train.training_order(options.batch_size, Some(key.fold_in(0))).expect("batches");
    for (step, places) in order.chunks(options.batch_size).take(steps).enumerate() {
        let (images, labels) = options.train.gather(places).expect("samples");
        state.extend([key.fold_in(1 + step as u32).to_array(), images, labels]);
        state = client.run(&program, &state).expect("a step");
    }
    state.truncate(types.len());
    state
}

#[test]
fn samples_on_the_device_train_like_samples_from_the_host() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = |steps_per_call| Options {
        steps_per_call,
        optimizer: optimizer("adam", 5e-3, "constant"),
        shift: 0.0,
        ..options(folder.path(), 20)
    };
    let wanted = fed_by_the_host(&options(None), 20);
    for steps_per_call in [Some(1), Some(8)] {
        go(&options(steps_per_call), None).expect("a run");
        let left = Checkpoint::load(&folder.path().join("params.safetensors")).expect("parameters");
        assert!(left.arrays.into_values().eq(wanted.iter().cloned()), "{steps_per_call:?} steps a call");
    }
}

/// Noise is drawn from the step's key, and statistics are in the checkpoint.
#[test]
fn a_run_with_noise_and_statistics_resumes_to_the_same_bits() {
    let (whole, parts) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let rule = RuleConfig {
        act_static_scale: Some(true),
        bwd_qtype: Some("int8".into()),
        bwd_stochastic_rounding: Some("low_bit_uniform".into()),
        ..linear_only_rules("int8", "int8").remove(0)
    };
    let model = ModelConfig::parse(MODEL, "test").expect("a model");
    // Exact spikes have no statistics.
    let network = Network::new(model, vec![rule]).expect("a network").with_numerics(Numerics::Qwix);
    let options = |folder: &Path, resume| Options { model: network.clone(), resume, ..options(folder, 50) };
    go(&options(whole.path(), false), None).expect("a run");
    go(&options(parts.path(), false), Some(20)).expect("a part of a run");
    let last = go(&options(parts.path(), true), None).expect("the rest");
    assert_eq!(last.steps, 30);
    for file in ["params.safetensors", "checkpoint.safetensors", "metrics.jsonl"] {
        let read = |folder: &Path| std::fs::read(folder.join(file)).expect(file);
        assert!(read(whole.path()) == read(parts.path()), "{file} differs");
    }
    let checkpoint = Checkpoint::load(&whole.path().join("params.safetensors")).expect("a file");
    let count = &checkpoint.arrays["quant_stats/core/layers/0/dot_general0_lhs/count"];
    assert_eq!(count.to_f64(), [400.0], "50 steps of 8 time steps");
}

#[test]
fn a_run_learns_and_says_so_step_by_step() {
    let folder = tempfile::tempdir().expect("a folder");
    let summary = go(&Options { length: Length::Epochs(4), ..options(folder.path(), 0) }, None).expect("a run");
    assert!(summary.test_accuracy > 0.6, "{}", summary.test_accuracy);
    let records = read_records(&folder.path().join("metrics.jsonl")).expect("metrics");
    let steps: Vec<u64> =
        records.iter().filter_map(|r| if let Record::Step { step, .. } = r { Some(*step) } else { None }).collect();
    assert_eq!(steps, (0..176).collect::<Vec<u64>>());
    let epochs = records.iter().filter(|r| matches!(r, Record::Epoch { .. })).count();
    assert_eq!(epochs, 4);
    let Some(Record::Epoch { epoch: 4, test_accuracy, .. }) = records.last() else {
        panic!("the last epoch closes the metrics: {:?}", records.last())
    };
    assert_eq!(*test_accuracy, Some(summary.test_accuracy));
}

/// The program from `train::steps`, which `spiq inspect --step` shows, is the one that a run compiles: it is found in the run's cache.
#[test]
fn the_program_of_the_steps_is_that_of_a_run() {
    let (folder, cache) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let client = || {
        let executables = Some(cache.path().to_owned());
        Client::new(cpu().plugin(), &ClientOptions { executables, ..ClientOptions::default() }).expect("a client")
    };
    let kept = || std::fs::read_dir(cache.path()).expect("a folder").count();
    let options = options(folder.path(), 1);
    run(&client(), &options, &AtomicBool::new(false), &mut |_| {}).expect("a run");
    let after_the_run = kept();
    let compile = |name: &str| {
        let (program, function) = train::steps(&options).expect("a step");
        Program { name: name.to_owned(), ..program }.compile(&client(), &function).expect("compiled");
        kept()
    };
    assert_eq!(compile("train_steps"), after_the_run);
    assert_eq!(compile("another"), after_the_run + 1, "the cache is on");
}

#[test]
fn initial_parameters_come_from_a_file() {
    let (first, second) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    go(&options(first.path(), 10), None).expect("a run");
    let init = Some(first.path().join("params.safetensors"));
    go(&Options { init, optimizer: optimizer("adam", 0.0, "cosine"), ..options(second.path(), 3) }, None)
        .expect("a run");
    assert_eq!(arrays(first.path()), arrays(second.path()), "a rate of 0 changes nothing");
}

#[test]
fn another_model_or_other_rules_do_not_resume() {
    let folder = tempfile::tempdir().expect("a folder");
    go(&options(folder.path(), 2), None).expect("a run");
    let model = |text: &str, rules| Network::new(ModelConfig::parse(text, "test").expect("a model"), rules);
    let leaky = MODEL.replace("layer_shape = 10", "layer_shape = 10, beta = 0.5");
    for (what, network) in
        [("model", model(&leaky, linear_only_rules("int8", "int8"))), ("set of rules", model(MODEL, vec![]))]
    {
        let network = network.expect("a network");
        let error =
            go(&Options { model: network, resume: true, ..options(folder.path(), 4) }, None).expect_err("a refusal");
        assert!(error.to_string().contains(&format!("belongs to a run with another {what}")), "{error}");
    }
}

#[track_caller]
fn refused(change: impl FnOnce(&mut Options), expected: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut options = options(&folder.path().join("run"), 2);
    change(&mut options);
    assert_eq!(go(&options, None).expect_err("a refusal").to_string(), expected);
    assert!(!folder.path().join("run/metrics.jsonl").exists(), "nothing is left behind");
}

#[test]
fn options_that_do_not_fit_are_refused_before_anything_is_written() {
    refused(
        |o| o.batch_size = 2000,
        "the batch size is 2000, but there are 1437 samples; give --batch-size 1437 or less",
    );
    refused(
        |o| o.length = Length::Steps(0),
        "the numbers of epochs, steps, steps per call and time steps must be at least 1",
    );
    refused(
        |o| o.steps_per_call = Some(0),
        "the numbers of epochs, steps, steps per call and time steps must be at least 1",
    );
    refused(|o| o.shift = 0.7, "the probability of a shift is 0.7, but must be from 0 to 0.5");
    let small = MODEL.replace("out_features = 10", "out_features = 4").replace("layer_shape = 10", "layer_shape = 4");
    refused(
        |o| o.model = Network::new(ModelConfig::parse(&small, "test").expect("a model"), vec![]).expect("a network"),
        "the model has 4 outputs, but the labels go up to 9; give the last layer 10 units",
    );
}

/// The largest sum over time minus the mean of the sums, per sample.
fn margin(outputs: &Outputs) -> Tensor {
    let sums = outputs.traces.tensor().reduce_sum([0]);
    sums.reduce_max([1]) - sums.reduce_mean([1])
}

fn smoothed(smoothing: f64) -> Loss {
    Loss::new(format!("integral_crossentropy(smoothing={smoothing})"), move |outputs, labels| {
        IntegralCrossentropy { smoothing }.loss(&outputs.traces, labels)
    })
}

fn clipped(max_norm: f64, peak: f64) -> Optimizer {
    Optimizer::of_steps(move |steps| {
        let rate = optim::warmup_cosine_decay_schedule(0.0, peak, steps / 10, steps);
        optim::chain([optim::clip_by_global_norm(max_norm).into(), optim::adam(rate).into()])
    })
}

/// A chain with a schedule, and a user-defined loss and metric. The last test batch is not full.
fn own(out: &Path, resume: bool) -> Options {
    let options = options(out, 60);
    Options {
        optimizer: clipped(0.5, 5e-3),
        loss: smoothed(0.1),
        metric: Metric::new("margin", |outputs, _| margin(outputs)),
        test: options.train.clone(),
        resume,
        ..options
    }
}

pub fn arrays(folder: &Path) -> BTreeMap<String, Array> {
    Checkpoint::load(&folder.join("params.safetensors")).expect("parameters").arrays
}

#[test]
fn a_chain_with_an_own_loss_and_metric_resumes_to_the_same_bits() {
    let (whole, parts) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    go(&own(whole.path(), false), None).expect("a run");
    for stop_at in [1, 44, 59] {
        assert!(go(&own(parts.path(), stop_at > 1), Some(stop_at)).expect("a part of a run").interrupted);
    }
    type Change = fn(&mut Options);
    let changes: [(&str, Change); 5] = [
        ("optimizer", |o| o.optimizer = clipped(0.6, 5e-3)),
        ("optimizer", |o| o.optimizer = clipped(0.5, 4e-3)),
        ("optimizer", |o| o.optimizer = optimizer("adam", 5e-3, "cosine")),
        ("loss", |o| o.loss = smoothed(0.2)),
        ("metric", |o| o.metric = Metric::default()),
    ];
    for (name, change) in changes {
        let mut options = own(parts.path(), true);
        change(&mut options);
        let error = go(&options, None).expect_err("a refusal").to_string();
        assert!(error.contains(&format!("belongs to a run with another {name} (")), "{error}");
        assert_eq!(error.matches(" there, ").count(), 1, "{name} alone: {error}");
    }
    assert_eq!(go(&own(parts.path(), true), None).expect("the rest").steps, 1);
    let read = |folder: &Path, file: &str| std::fs::read(folder.join(file)).expect(file);
    for file in LEFT.into_iter().chain(["model.toml", "rules.toml"]) {
        assert!(read(whole.path(), file) == read(parts.path(), file), "{file} differs");
    }
    let left = Checkpoint::load(&whole.path().join("params.safetensors")).expect("parameters");
    let said = |name: &str| left.metadata.get(name).map(String::as_str);
    assert_eq!(said(key::optimizer), Some("chain(clip_by_global_norm(0.5), adam(warmup_cosine(0, 0.005, 6, 60)))"));
    assert_eq!((said(key::learning_rate), said(key::schedule)), (None, None));
    assert_eq!((said(key::loss), said(key::metric)), (Some("integral_crossentropy(smoothing=0.1)"), Some("margin")));
    let records = read_records(&whole.path().join("metrics.jsonl")).expect("metrics");
    let epochs: Vec<&Record> = records.iter().filter(|record| matches!(record, Record::Epoch { .. })).collect();
    let [Record::Epoch { epoch: 1, test_accuracy: None, metric, .. }] = &epochs[..] else { panic!("{epochs:?}") };
    assert!(metric["margin"].is_some_and(f32::is_finite));
    let picture = String::from_utf8(read(whole.path(), "training.svg")).expect("text");
    assert!(picture.contains("margin, ") && !picture.contains("Test accuracy"));
    // The loss and the clipping affect the result.
    for change in [|o: &mut Options| o.loss = smoothed(0.2), |o: &mut Options| o.optimizer = clipped(1e9, 5e-3)] {
        let other = tempfile::tempdir().expect("a folder");
        let mut options = own(other.path(), false);
        change(&mut options);
        go(&options, None).expect("a run");
        assert_ne!(arrays(other.path()), left.arrays);
    }
}

/// The metric is the mean over all test samples, without the copies that pad the last batch.
#[test]
fn a_metric_is_the_mean_over_the_samples() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = Options { length: Length::Steps(20), ..own(folder.path(), false) };
    let summary = go(&options, None).expect("a run");
    let settings =
        predict::Settings { time_steps: 8, seed: 1, test_part: Some(0), mode: Mode::Ptq, ..Default::default() };
    let outputs = predict::outputs(cpu(), &options.model, &arrays(folder.path()), options.train.inputs(), &settings);
    let outputs = outputs.expect("outputs").to_f64();
    let margins = outputs.chunks(8 * 10).take(1437).map(|sample| {
        let sums: Vec<f64> = (0..10).map(|class| sample.iter().skip(class).step_by(10).sum()).collect();
        sums.iter().fold(f64::MIN, |a, b| a.max(*b)) - sums.iter().sum::<f64>() / 10.0
    });
    let mean = margins.sum::<f64>() / 1437.0;
    assert!((mean - f64::from(summary.test_accuracy)).abs() < 1e-5 * mean, "{mean} {}", summary.test_accuracy);
}

/// Plain layers, with nothing quantized, are equivalent to the network of a file.
#[test]
fn layers_train_as_the_network_that_has_them() {
    let (network, layers) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let dropout = "use_bias = false },\n    { type = \"Dropout\", rate = 0.2 },";
    let model = ModelConfig::parse(&MODEL.replace("use_bias = false },", dropout), "test").expect("a model");
    let given = options(network.path(), 50);
    let plain = Network::new(model.clone(), vec![]).expect("a network");
    go(&Options { model: plain, ..given.clone() }, None).expect("a run");
    fn of<M: Model>(model: M, given: &Options, out: &Path, resume: bool) -> Options<M> {
        let default = Options::new(model, given.train.clone(), given.test.clone(), out);
        let (optimizer, length) = (given.optimizer.clone(), given.length);
        Options { optimizer, batch_size: 32, length, time_steps: 8, shift: 0.1, seed: 1, resume, ..default }
    }
    let own = |resume| of(Sequential::from(&model), &given, layers.path(), resume);
    go(&own(false), Some(20)).expect("a part of a run");
    go(&own(true), None).expect("the rest");
    assert_eq!(arrays(network.path()), arrays(layers.path()));
    let metrics = |folder: &Path| std::fs::read(folder.join("metrics.jsonl")).expect("metrics");
    assert!(metrics(network.path()) == metrics(layers.path()));
    // Other layers cannot resume the run.
    let other = of(Sequential::new("core", [nn::Linear::new(64, 10).into()]), &given, layers.path(), true);
    let error = go(&other, None).expect_err("a refusal").to_string();
    assert!(error.contains("belongs to a run with another model (--model: "), "{error}");
}

/// A user-defined model, recorded without splitting along time.
#[derive(Debug)]
struct Recorded(Sequential);

impl Model for Recorded {
    fn parameter_types(&self) -> BTreeMap<String, TensorType> {
        self.0.parameter_types()
    }
    fn init(&self, seed: i64) -> BTreeMap<String, Array> {
        self.0.init(&mut Rngs::new(seed))
    }
    fn pass(&self, _: &TensorType, purpose: Purpose) -> spiq::Result<ForwardPass<'_>> {
        Ok(ForwardPass::new(move |given| {
            let run = nn::Run::new(&self.0, given.params);
            let run = if purpose == Purpose::Test { run.with_spike_rates() } else { run };
            run.on(&given.x.named("T B C")).into()
        }))
    }
}

/// The result of a short run: its first loss, all parameters, the firing rate.
fn end<M: Model + 'static>(model: M, loss: Loss) -> (f64, Vec<f64>, f32) {
    let folder = tempfile::tempdir().expect("a folder");
    let given = options(folder.path(), 30);
    let default = Options::new(model, given.train, given.test, folder.path());
    let (optimizer, length) = (given.optimizer, given.length);
    let options = Options { optimizer, loss, batch_size: 32, length, time_steps: 8, shift: 0.1, seed: 1, ..default };
    let rates = go(&options, None).expect("a run").spike_rates;
    let records = read_records(&folder.path().join("metrics.jsonl")).expect("metrics");
    let Record::Step { loss: Some(first), .. } = records[0] else { panic!("{records:?}") };
    let values = arrays(folder.path()).into_values().flat_map(|array| array.to_f64()).collect();
    (f64::from(first), values, rates["core/layers/1"])
}

/// A loss can use a layer's spike counts, and its gradient passes through them: in a network, unsplit or split along time; in a
/// recorded model; and in an int8 network.
#[test]
fn a_loss_reads_counts_of_spikes() {
    let counting = "\"triangular\" } },\n    { type = \"ActivityRegularization\", hidden_shape = 32 },";
    let config = ModelConfig::parse(&MODEL.replace("\"triangular\" } },", counting), "test").expect("a model");
    let loss = |weight: f64| {
        Loss::new(format!("integral_crossentropy + {weight} silence_reg(20)"), move |outputs, labels| {
            let counts = &outputs.states["core/layers/2/spike_count"];
            nn::integral_crossentropy(&outputs.traces, labels) + weight * nn::silence_reg(counts, 20.0)
        })
    };
    let network = |rules, tile, weight| {
        let network = Network::new(config.clone(), rules).expect("a network").with_time_tile(tile);
        end(network, loss(weight))
    };
    let recorded = end(Recorded(Sequential::from(&config)), loss(1e-3));
    let near = |what: &str, (first, values, _): &(f64, Vec<f64>, f32)| {
        assert!((first - recorded.0).abs() < 1e-5 * recorded.0, "{what}: {first} {}", recorded.0);
        let apart = values.iter().zip(&recorded.1).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(apart < 2e-3, "{what}: {apart}");
    };
    let strong = network(vec![], None, 1e-3);
    near("whole", &strong);
    near("tiles of 3", &network(vec![], Some(3), 1e-3));
    let weak = network(vec![], None, 0.0);
    assert!(strong.2 > 1.2 * weak.2, "neurons that are asked to fire do: {} {}", strong.2, weak.2);
    let int8 = |weight| network(linear_only_rules("int8", "int8"), None, weight).2;
    assert!(int8(1e-3) > 1.2 * int8(0.0));
}

#[test]
fn objectives_that_do_not_fit_are_refused_before_anything_is_written() {
    for name in ["spike_rates", "integral_accuracy"] {
        refused(
            |o| o.metric = Metric::new(name, |outputs, _| margin(outputs)),
            &format!(
                "`{name}` cannot be the name of a metric, since metrics.jsonl uses it for something else; give another name"
            ),
        );
    }
    let folder = tempfile::tempdir().expect("a folder");
    let scalar = Metric::new("margin", |outputs, _| margin(outputs).mean());
    let error = go(&Options { metric: scalar, ..options(folder.path(), 2) }, None).expect_err("a refusal");
    let expected = "the metric `margin` returns f32[] for 360 samples; it must return one number per sample, [B]";
    assert_eq!((error.kind(), error.to_string()), (ErrorKind::Input, expected.to_owned()));
}
