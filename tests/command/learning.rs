//! The computation of a training step, in whole runs: losses, regularizers, optimizer wrappers, precision, rules that begin later,
//! non-finite numbers. Each has an effect, and resumes bit-identically.

use std::path::Path;

use crate::device::cpu;
use spiq::config::ModelConfig;
use spiq::network::Network;
use spiq::nn::{self, Axes, LOSSES, Layer, Lif, Linear, Sequential, Step};
use spiq::optim::{self, Optimizer};
use spiq::quant::{Precision, linear_only_rules, products_in_bf16};
use spiq::train::{self, Checkpoint, Loss, Metric, Model, Options, Record, read_records};
use spiq::{Array, DType, ErrorKind, Tensor, TensorType};

use super::training::{LEFT, MODEL, arrays, go, optimizer, options};

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

/// The losses of a run's steps.
pub(super) fn losses(out: &Path) -> Vec<f32> {
    let step = |record| if let Record::Step { loss, .. } = record { Some(loss.unwrap_or(f32::NAN)) } else { None };
    read_records(&out.join("metrics.jsonl")).expect("metrics").into_iter().filter_map(step).collect()
}

/// Stops at these steps and resumes; the end must be bit-identical to that of an uninterrupted run, whose folder is returned.
#[track_caller]
pub(super) fn resumes(stops: &[usize], of: impl Fn(&Path) -> Options) -> tempfile::TempDir {
    let (whole, parts) = (folder(), folder());
    go(&of(whole.path()), None).expect("a run");
    for (i, stop_at) in stops.iter().enumerate() {
        let part = Options { resume: i > 0, ..of(parts.path()) };
        assert!(go(&part, Some(*stop_at)).expect("a part of a run").interrupted, "{stop_at}");
    }
    go(&Options { resume: true, steps_per_call: None, ..of(parts.path()) }, None).expect("the rest");
    for file in LEFT {
        let read = |folder: &Path| std::fs::read(folder.join(file)).expect(file);
        assert!(read(whole.path()) == read(parts.path()), "{file} differs");
    }
    whole
}

#[test]
fn every_loss_by_name_trains() {
    for row in LOSSES {
        let out = folder();
        let run = Options {
            loss: Loss::named(row.name).expect("a name of the table"),
            optimizer: optimizer("adam", 1e-2, "constant"),
            ..options(out.path(), 60)
        };
        go(&run, None).expect("a run");
        let losses = losses(out.path());
        let mean = |part: &[f32]| part.iter().sum::<f32>() / part.len() as f32;
        assert!(mean(&losses[50..]) < 0.95 * mean(&losses[..5]), "{}: {losses:?}", row.name);
    }
}

/// Balanced weights are the mean number of samples per class divided by the class's own number.
#[test]
fn balanced_class_weights_are_of_the_training_samples() {
    let run = |out: &Path, weights: &str| Options {
        loss: Loss::named(&format!("ce_count_loss(class_weights = {weights})")).expect("a loss"),
        ..options(out, 5)
    };
    let labels = options(Path::new(""), 1).train.labels().to_vec();
    let counts: Vec<usize> = (0..10).map(|class| labels.iter().filter(|label| **label == class).count()).collect();
    let written: Vec<String> = counts.iter().map(|n| format!("{:?}", labels.len() as f64 / 10.0 / *n as f64)).collect();
    let [balanced, same, ones] = [(); 3].map(|()| folder());
    go(&run(balanced.path(), "\"balanced\""), None).expect("a run");
    go(&run(same.path(), &format!("[{}]", written.join(", "))), None).expect("a run");
    go(&run(ones.path(), "[1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"), None).expect("a run");
    assert_eq!(arrays(balanced.path()), arrays(same.path()));
    assert_ne!(arrays(balanced.path()), arrays(ones.path()));
    let error = go(&run(folder().path(), "[1, 2]"), None).expect_err("a refusal").to_string();
    assert_eq!(error, "`class_weights` of the loss has 2 numbers, but the model has 10 outputs; give one for each");
}

/// The silence term makes quiet neurons louder, the sparsity term makes loud ones quieter, and the rate term approaches its target.
#[test]
fn regularizers_move_spike_rates_to_their_targets() {
    let rate = |terms: &str| {
        let out = folder();
        let loss = Loss::default().with_regularizers(terms).expect("terms");
        let run = Options { loss, optimizer: optimizer("adam", 5e-3, "constant"), ..options(out.path(), 150) };
        go(&run, None).expect("a run").spike_rates["core/layers/1"]
    };
    let plain = rate("none");
    let (louder, quieter) = (rate("silence(min = 0.5, weight = 0.1)"), rate("sparsity(max = 0.01, weight = 1)"));
    assert!(louder > 1.2 * plain && quieter < 0.8 * plain, "{quieter} {plain} {louder}");
    let near = rate("rate(target = 0.3, weight = 100, path = \"layers/1\")");
    assert!((near - 0.3).abs() < 0.1 && (near - 0.3).abs() < (plain - 0.3).abs(), "{near} {plain}");
    let loss = Loss::default().with_regularizers("silence(min = 1, path = \"layers/3\")").expect("terms");
    let error = go(&Options { loss, ..options(folder().path(), 1) }, None).expect_err("a refusal").to_string();
    assert_eq!(
        error,
        "`silence(min = 1.0, path = \"layers/3\")` applies to no layer that fires; there are core/layers/1"
    );
}

/// The term equals Spyx's, whose targets are in spikes per sample, as the first loss of a run shows.
#[test]
fn a_regularizer_is_that_of_spyx() {
    let counter =
        "{ type = \"ActivityRegularization\", hidden_shape = 32 },\n    { type = \"Linear\", in_features = 32";
    let model = MODEL.replace("{ type = \"Linear\", in_features = 32", counter);
    let first = |model: &str, loss: Loss| {
        let out = folder();
        let model = Network::new(ModelConfig::parse(model, "test").expect("a model"), vec![]).expect("a network");
        go(&Options { model, loss, ..options(out.path(), 1) }, None).expect("a run");
        losses(out.path())[0]
    };
    for (text, spyx) in [
        ("silence(min = 0.25, weight = 0.5)", nn::silence_reg as fn(&Tensor, f64) -> Tensor),
        ("sparsity(max = 0.25, weight = 0.5)", nn::sparsity_reg as fn(&Tensor, f64) -> Tensor),
    ] {
        let named = first(MODEL, Loss::default().with_regularizers(text).expect("terms"));
        // Images over 8 steps: a quarter of them is two spikes.
        let own = Loss::new(text, move |outputs, labels| {
            let count = &outputs.states["core/layers/2/spike_count"];
            nn::integral_crossentropy(&outputs.traces, labels) + 0.5 * spyx(count, 2.0)
        });
        let own = first(&model, own);
        assert!((named - own).abs() <= 1e-5 * own.abs(), "{text}: {named} {own}");
    }
}

fn around() -> Optimizer {
    optimizer("adamw(b2 = 0.99)", 5e-3, "plateau(factor = 0.5, patience = 1, accumulation_size = 3)")
        .with_groups("group(path = \"beta\", learning_rate = 1e-4, weight_decay = 0)")
        .and_then(|o| o.with_clip("0.5")?.accumulating(3)?.averaging(0.9))
        .expect("texts")
}

/// All features at once, stopped before the optimizer's first step, between accumulated batches, and at the end of an epoch.
#[test]
fn all_that_has_a_state_resumes_to_the_same_bits() {
    let whole = resumes(&[2, 4, 44, 70], |out| Options {
        optimizer: around(),
        loss: Loss::named("tet_loss(smoothing = 0.1)")
            .and_then(|loss| loss.with_regularizers("silence(min = 0.05)"))
            .expect("texts"),
        metric: Metric::named("max_accuracy").expect("a name"),
        ..options(out, 90)
    });
    // The checkpoint contains the parameters and their average; the run's result is the average, under the parameters' names.
    let checkpoint = Checkpoint::load(&whole.path().join("checkpoint.safetensors")).expect("a checkpoint");
    let params = arrays(whole.path());
    for (path, average) in &params {
        assert_eq!(&checkpoint.arrays[path], average, "{path}");
        assert_ne!(&checkpoint.arrays[&format!("trained/{path}")], average, "{path}");
    }
}

/// A run stopped before its first step has the initial parameters as their average.
#[test]
fn an_average_starts_at_the_parameters() {
    let out = folder();
    let run = Options { optimizer: around(), ..options(out.path(), 90) };
    assert_eq!(go(&run, Some(2)).expect("a part of a run").steps, 2);
    assert_eq!(arrays(out.path()), run.model.init(run.seed), "no step of the optimizer was made");
}

/// A group may have its own schedule: after one that ends immediately it stays fixed, while the others continue.
#[test]
fn a_group_has_a_schedule_of_its_own() {
    let text = "group(path = \"layers/0/.*\", schedule = \"piecewise(boundaries = [1], scales = [0])\")";
    let run = |steps| {
        let out = folder();
        let optimizer = optimizer("sgd", 5e-3, "constant").with_groups(text).expect("a group");
        go(&Options { optimizer, ..options(out.path(), steps) }, None).expect("a run");
        arrays(out.path())
    };
    let (early, late) = (run(1), run(6));
    for (path, array) in &late {
        assert_eq!(early[path] == *array, path.starts_with("core/layers/0/"), "{path}");
    }
}

/// A frozen group stays unchanged; the others do not.
#[test]
fn a_group_with_a_rate_of_zero_is_kept() {
    let out = folder();
    let frozen = optimizer("adam", 5e-3, "cosine").with_groups("group(path = \"layers/0/.*\", learning_rate = 0)");
    let run = Options { optimizer: frozen.expect("a group"), ..options(out.path(), 6) };
    go(&run, None).expect("a run");
    let (first, last) = (run.model.init(run.seed), arrays(out.path()));
    for (path, array) in &last {
        assert_eq!(first[path] == *array, path.starts_with("core/layers/0/"), "{path}");
    }
    let none = optimizer("adam", 5e-3, "cosine").with_groups("group(path = \"delay\")").expect("a group");
    let error = go(&Options { optimizer: none, ..options(folder().path(), 1) }, None).expect_err("a refusal");
    assert!(
        error.to_string().starts_with("no parameter belongs to the group of `delay`; there are core/layers/0/bias, ")
    );
}

/// Rules that begin at step 20: the steps before match a run without rules, those after do not; stopped on either side.
#[test]
fn rules_that_begin_later_leave_the_steps_before_as_they_are() {
    let of = |out: &Path| Options { rules_from: 20, ..options(out, 30) };
    let whole = resumes(&[7, 20, 25], of);
    let (plain, always) = (folder(), folder());
    let none = options(plain.path(), 30);
    go(&Options { model: none.model.clone().without_rules(), ..none }, None).expect("a run");
    go(&options(always.path(), 30), None).expect("a run");
    let [late, plain, always] = [&whole, &plain, &always].map(|out| losses(out.path()));
    assert_eq!(late[..20], plain[..20]);
    assert_ne!(late[20], plain[20]);
    assert_ne!(late[0], always[0]);
}

/// Static scales are computed from the steps before.
#[test]
fn statistics_are_gathered_before_the_rules_begin() {
    let mut rules = linear_only_rules("int8", "int8");
    rules[0].act_static_scale = Some(true);
    let of = |out: &Path| {
        let model = ModelConfig::parse(MODEL, "test").expect("a model");
        // The spikes between layers are exact, so only the first layer needs a scale, for the raw images.
        let model = Network::new(model, rules.clone()).expect("a network").with_numerics(spiq::quant::Numerics::Qwix);
        Options { model, rules_from: 10, ..options(out, 20) }
    };
    let whole = resumes(&[5, 10, 12], of);
    let statistics = Checkpoint::load(&whole.path().join("params.safetensors")).expect("parameters").statistics();
    assert!(!statistics.is_empty());
    let count = statistics.iter().find(|(path, _)| path.ends_with("count")).expect("a count");
    // Each training step has 8 time steps.
    assert_eq!(count.1.to_f64(), [20.0 * 8.0], "{}", count.0);
}

#[test]
fn rules_that_could_not_begin_are_refused() {
    let error = |run: Options| go(&run, None).expect_err("a refusal").to_string();
    let out = folder();
    let late = Options { rules_from: 30, ..options(out.path(), 30) };
    assert_eq!(error(late), "the rules start at step 30, but the run has only 30 steps; start them earlier");
    let none = options(out.path(), 30);
    let none = Options { model: none.model.clone().without_rules(), rules_from: 5, ..none };
    assert_eq!(error(none), "there are no rules to start at step 5; give rules, or 0");
}

/// Training first in full precision, then with rules: QAT starts from those parameters and soon reaches the same accuracy.
#[test]
fn quantized_training_goes_on_from_full_precision() {
    let (full, quantized) = (folder(), folder());
    let first = options(full.path(), 132);
    go(&Options { model: first.model.clone().without_rules(), ..first }, None).expect("a run");
    let init = Some(full.path().join("params.safetensors"));
    let rate = optimizer("adam", 1e-3, "cosine");
    let tuned = Options { init, optimizer: rate, ..options(quantized.path(), 44) };
    go(&tuned, None).expect("a run");
    let (before, after) = (losses(full.path()), losses(quantized.path()));
    assert!(after[0] < 0.7 * before[0], "it starts where the other ended: {} {}", before[0], after[0]);
}

/// Products in bf16 are those of `products_in_bf16`; parameters stay f32; the run trains and resumes.
#[test]
fn products_in_bf16_train() {
    let network = |out: &Path| options(out, 20).model.without_rules().with_precision(Precision::Bf16);
    let of = |out: &Path| Options { model: network(out), ..options(out, 20) };
    let whole = resumes(&[9], of);
    assert!(arrays(whole.path()).values().all(|array| array.dtype() == DType::F32));
    let (_, step) = train::steps(&of(whole.path())).expect("a step");
    let text = spiq::Program::named("step").text(&step).expect("text");
    assert!(text.contains("tensor<64x32xbf16>") && text.contains("-> tensor<8x32x32xf32>"), "{text}");
    let x = TensorType::new(DType::F32, [8, 2, 64]);
    let plain = options(whole.path(), 1).model.without_rules().training(&x).expect("a pass").function;
    let narrow = network(whole.path()).training(&x).expect("a pass").function;
    let text = |function| spiq::Program::named("pass").text(function).expect("text");
    assert_eq!(text(&narrow), text(&products_in_bf16(&plain).expect("a transform")));
}

/// The message of a run that met a non-finite number; checks that it left no results.
#[track_caller]
fn stops<M: Model>(run: &Options<M>, expected: &str) -> String
where
    Options<M>: AsOptions,
{
    let error = go(run.as_options(), None).expect_err("a run that goes wrong");
    assert_eq!(error.kind(), ErrorKind::NotFinite);
    let said = error.to_string();
    assert!(said.contains(expected), "{said}");
    assert!(!run.out.join("params.safetensors").exists() && !run.out.join("training.svg").exists());
    said
}

/// Options of any model.
trait AsOptions {
    fn as_options(&self) -> &Options<dyn Model>;
}

impl<M: Model + 'static> AsOptions for Options<M> {
    fn as_options(&self) -> &Options<dyn Model> {
        self
    }
}

#[test]
fn a_step_that_is_too_large_is_found_in_its_update() {
    let out = folder();
    // Out of range for f32.
    let too_large = Optimizer::of_steps(|_| optim::sgd(1e39));
    let run = Options { optimizer: too_large, ..options(out.path(), 50) };
    let said = stops(&run, "after the update of step 0");
    assert!(said.contains(
        "; its gradient is finite; try a smaller learning rate, or clip gradients (--clip 1); no checkpoint was saved"
    ));
    // The loss of that step is recorded and finite; it is the last one.
    let losses = losses(out.path());
    assert!(losses.len() == 1 && losses[0].is_finite(), "{losses:?}");
    let large = Options { optimizer: optimizer("sgd", 1e38, "constant"), ..options(folder().path(), 50) };
    stops(&large, "an output or a state of layer `core/layers/0` (Linear) in the forward pass of step 1");
}

/// The identity, but it turns values into NaN from some step on.
#[derive(Debug)]
struct Spoils;

impl Layer for Spoils {
    fn kind(&self) -> &'static str {
        "Spoils"
    }
    fn output(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        Ok(input.to_vec())
    }
    fn step(&self, _: &mut Step<'_>, x: &Tensor) -> Tensor {
        // The square root of a negative number, for large inputs.
        x + (100.0 - x.abs()).sqrt() * 0.0
    }
}

/// Neurons with NaN potentials do not fire, so the loss stays finite; the NaN is detected when parameters are written.
#[test]
fn the_first_layer_that_spoils_a_number_is_named() {
    let out = folder();
    let layers = [Linear::new(64, 32).into(), Spoils.into(), Lif::new([32]).into(), Linear::new(32, 10).into()];
    let model = Sequential::new("core", layers);
    let plain = options(out.path(), 50);
    let run = Options {
        optimizer: optimizer("sgd", 300.0, "constant"),
        train: plain.train.clone(),
        test: plain.test.clone(),
        batch_size: 32,
        time_steps: 8,
        ..Options::new(model, plain.train, plain.test, out.path())
    };
    stops(
        &run,
        "the first non-finite value is an output or a state of layer `core/layers/1` in the forward pass of step ",
    );
}

#[test]
fn a_gradient_and_a_loss_that_are_not_finite_are_told_apart() {
    let out = folder();
    let gradient = Loss::new("root", |outputs, _| {
        // 0, with a non-finite slope.
        (outputs.traces.tensor() * 0.0).abs().sqrt().sum()
    });
    let said = stops(&Options { loss: gradient, ..options(out.path(), 4) }, "in the gradient of `core/layers/");
    assert!(said.contains(" at step 0;"), "{said}");
    let loss = Loss::new("log", |outputs, _| (outputs.traces.tensor().abs().sum() * 0.0 - 1.0).log());
    let said = stops(&Options { loss, ..options(out.path(), 4) }, "the loss of step 0 is NaN, so training stopped: ");
    assert!(said.contains("the first non-finite value is the loss itself, at step 0;"), "{said}");
}

/// The last checkpoint stays, and a run does not start from non-finite parameters.
#[test]
fn what_was_left_before_stays() {
    let out = folder();
    let growing = || Optimizer::of_steps(|_| optim::sgd(optim::exponential_decay(1e-3, 1, 20.0)));
    let begun = |resume| Options { optimizer: growing(), resume, ..options(out.path(), 200) };
    go(&begun(false), Some(2)).expect("a part of a run");
    let before = std::fs::read(out.path().join("checkpoint.safetensors")).expect("a checkpoint");
    let error = go(&begun(true), None).expect_err("it goes wrong").to_string();
    assert!(error.ends_with("checkpoint.safetensors holds the state after step 2"), "{error}");
    assert!(std::fs::read(out.path().join("checkpoint.safetensors")).expect("a checkpoint") == before);
    let mut broken = options(out.path(), 1).model.init(0);
    broken.insert("core/layers/1/beta".to_owned(), Array::new([32], [f32::NAN; 32]).expect("numbers"));
    let init = out.path().join("broken.safetensors");
    Checkpoint { arrays: broken, metadata: Default::default() }.save(&init).expect("a file");
    let error = go(&Options { init: Some(init), ..options(folder().path(), 1) }, None).expect_err("a refusal");
    assert_eq!(error.kind(), ErrorKind::Input);
    assert!(error.to_string().contains("`core/layers/1/beta` holds NaN at [0];"), "{error}");
}

/// A named metric matches the readout that its name refers to, on the device as on the host.
#[test]
fn metrics_by_name_follow_the_readout() {
    let client = cpu();
    let traces = Array::new([2, 1, 2], [9.0f32, 0.0, 0.0, 1.5]).expect("traces");
    for (name, class) in [("integral_accuracy", 0), ("max_accuracy", 0), ("last_step_accuracy", 1)] {
        let readout = nn::Readout::of_accuracy(name).expect("a name");
        assert_eq!(readout.accuracy(), name);
        let inputs = [("x", TensorType::new(DType::F32, [2, 1, 2]))];
        let program =
            spiq::trace(&inputs, |x| vec![readout.classes(&x[0].named("T B C")).into_tensor()]).expect("a trace");
        let program = spiq::Program::named("classes").compile(client, &program).expect("a program");
        assert_eq!(
            client.run(&program, [&traces]).expect("classes")[0].to_vec::<i32>().expect("s32"),
            [class],
            "{name}"
        );
    }
}
