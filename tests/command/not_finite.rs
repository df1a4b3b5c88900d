//! Training steps with non-finite numbers: the run stops, skips the step, or continues; and the refusal of non-finite parameters and
//! settings.

use std::path::Path;
use std::process::{Command, Output};

use spiq::nn::integral_crossentropy;
use spiq::optim::Optimizer;
use spiq::train::{Checkpoint, Loss, OnNan, Options};
use spiq::{Array, DType, ErrorKind, Tensor};

use super::learning::{losses, resumes};
use super::training::{arrays, go, optimizer, options};

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

/// A loss altered by `spoil` for batches whose first sample is a three.
fn spoilt(spoil: fn(&Tensor) -> Tensor) -> Loss {
    Loss::new("spoilt", move |outputs, labels| {
        let loss = integral_crossentropy(&outputs.traces, labels);
        let first = labels.tensor().slice_axis(0, 0, 1).reshape(&[]);
        first.eq(3.0).select(&spoil(&loss), &loss)
    })
}

fn is_nan(loss: &Tensor) -> Tensor {
    loss * f64::NAN
}

/// Finite, except for its slope at zero.
fn has_steep_slope(loss: &Tensor) -> Tensor {
    loss + (loss * 0.0).abs().sqrt()
}

fn run(out: &Path, steps: usize, loss: fn(&Tensor) -> Tensor, on_nan: OnNan) -> Options {
    let optimizer = optimizer("adam", 5e-3, "constant");
    Options { loss: spoilt(loss), optimizer, on_nan, steps_per_call: Some(5), ..options(out, steps) }
}

/// The first broken step at or after this one.
fn broken_from(out: &Path, from: usize) -> usize {
    from + losses(out)[from..].iter().position(|loss| loss.is_nan()).expect("a spoilt step")
}

#[test]
fn a_skipped_step_leaves_all_as_it_was() {
    let (all, before, with) = (folder(), folder(), folder());
    let summary = go(&run(all.path(), 60, is_nan, OnNan::Skip), None).expect("a run");
    let nan = losses(all.path()).iter().filter(|loss| loss.is_nan()).count();
    assert_eq!(summary.skipped, nan);
    assert!((1..20).contains(&nan), "{nan}");
    // Some training precedes it.
    let step = broken_from(all.path(), 5);
    let skipped = |out: &Path, steps| go(&run(out, steps, is_nan, OnNan::Skip), None).expect("a run").skipped;
    assert_eq!(skipped(before.path(), step) + 1, skipped(with.path(), step + 1));
    // The optimizer's state, including its step count.
    let carried = |out: &Path| Checkpoint::load(&out.join("checkpoint.safetensors")).expect("a checkpoint").arrays;
    let kept = carried(before.path());
    assert!(kept.keys().any(|path| path.starts_with("optimizer/")), "{kept:?}");
    assert!(kept == carried(with.path()));
    // All values are finite, and training made progress.
    let learned: Vec<f32> = losses(all.path()).into_iter().filter(|loss| loss.is_finite()).collect();
    assert!(learned[learned.len() - 5..].iter().sum::<f32>() < 0.95 * learned[..5].iter().sum::<f32>(), "{learned:?}");
    assert!(carried(all.path()).values().all(|array| array.to_f64().iter().all(|number| number.is_finite())));
}

/// The loss is finite but the gradient is not: the step is still skipped, or stops the run.
#[test]
fn a_gradient_that_is_not_finite_is_met_in_its_step() {
    let (skips, stops) = (folder(), folder());
    let summary = go(&run(skips.path(), 40, has_steep_slope, OnNan::Skip), None).expect("a run");
    assert!((1..20).contains(&summary.skipped), "{}", summary.skipped);
    assert!(losses(skips.path()).iter().all(|loss| loss.is_finite()));
    let error = go(&run(stops.path(), 40, has_steep_slope, OnNan::Stop), None).expect_err("it stops");
    assert_eq!(error.kind(), ErrorKind::NotFinite);
    let step = losses(stops.path()).len() - 1;
    let said = error.to_string();
    assert!(
        said.starts_with(&format!("a gradient, a parameter or a statistic of step {step} is not finite")),
        "{said}"
    );
    assert!(said.contains("in the gradient of `core/layers/") && said.contains(&format!(" at step {step};")), "{said}");
}

#[test]
fn a_run_that_skips_resumes_to_the_same_bits() {
    resumes(&[7, 23, 44], |out| Options { steps_per_call: Some(1), ..run(out, 60, is_nan, OnNan::Skip) });
}

#[test]
fn who_takes_no_notice_goes_on_with_what_comes_of_it() {
    let out = folder();
    let summary = go(&run(out.path(), 60, is_nan, OnNan::Continue), None).expect("a run");
    assert_eq!((summary.steps, summary.skipped), (60, 0));
    assert!(losses(out.path())[broken_from(out.path(), 0)..].iter().all(|loss| loss.is_nan()));
}

/// Neither the check for non-finite numbers nor the ability to skip a step changes any bit of it.
#[test]
fn finite_runs_are_the_same_bits_for_every_answer() {
    let of = |on_nan, optimizer: Optimizer| {
        let out = folder();
        go(&Options { on_nan, optimizer, steps_per_call: Some(7), ..options(out.path(), 50) }, None).expect("a run");
        (arrays(out.path()), losses(out.path()))
    };
    let optimizers: [fn() -> Optimizer; 2] = [
        || optimizer("adam", 5e-3, "cosine"),
        || {
            optimizer("sgd(momentum = 0.9)", 0.1, "constant")
                .with_clip("1.0")
                .expect("a clip")
                .averaging(0.9)
                .expect("a share")
        },
    ];
    for optimizer in optimizers {
        let plain = of(OnNan::Continue, optimizer());
        assert!(plain == of(OnNan::Stop, optimizer()));
        assert!(plain == of(OnNan::Skip, optimizer()));
    }
}

fn spiq(folder: &Path, line: &str) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spiq"));
    let Output { status, stderr, .. } =
        command.args(line.split(' ')).current_dir(folder).output().expect("the command starts");
    (status.code(), String::from_utf8_lossy(&stderr).into_owned())
}

#[test]
fn commands_refuse_parameters_that_are_not_finite_unless_told() {
    let out = folder();
    let train = "train --rules none --optimizer sgd --learning-rate 1e38 --time-steps 4 --steps 3";
    let (code, said) = spiq(out.path(), &format!("{train} --out stopped"));
    assert_eq!(code, Some(1), "{said}");
    assert!(said.lines().last().is_some_and(|last| last.contains("the first non-finite value is")), "{said}");
    assert!(!out.path().join("stopped/params.safetensors").exists());
    let (code, said) = spiq(out.path(), &format!("{train} --on-nan continue --out r"));
    assert_eq!(code, Some(0), "{said}");
    let pixels = Array::from_f64(spiq::TensorType::new(DType::U8, [4, 64]), &[9.0; 256]).expect("pixels");
    let file = spiq::data::ArrayFile { arrays: [("images".to_owned(), pixels)].into(), ..Default::default() };
    file.write(&out.path().join("d.safetensors")).expect("a file");
    std::fs::write(out.path().join("int8.toml"), "[[rules]]\nweight_qtype = \"int8\"\nact_qtype = \"int8\"\n")
        .expect("a file");
    let params = "r/params.safetensors";
    for line in [
        format!("predict --params {params} --data d.safetensors --output o.safetensors"),
        "evaluate r".to_owned(),
        format!("quantize --params {params} --rules int8.toml --output q.safetensors"),
        format!("train --init {params} --on-nan continue --steps 1 --out again"),
    ] {
        let (code, said) = spiq(out.path(), &line);
        assert_eq!(code, Some(2), "{line}: {said}");
        assert!(said.starts_with(&format!("error: {params}: `core/layers/")) && said.contains("` holds "), "{said}");
        assert!(said.contains("--allow-nonfinite"), "{said}");
        assert!(
            !["o.safetensors", "q.safetensors", "again"].iter().any(|left| out.path().join(left).exists()),
            "{line}"
        );
        let (code, said) = spiq(out.path(), &format!("{line} --allow-nonfinite"));
        assert_eq!(code, Some(0), "{line}: {said}");
        ["o.safetensors", "q.safetensors"].iter().for_each(|left| _ = std::fs::remove_file(out.path().join(left)));
    }
}

#[test]
fn parameters_that_are_not_named_are_not_allowed_to_be_anything() {
    let folder = tempfile::tempdir().unwrap();
    let (code, said) = spiq(folder.path(), "train --allow-nonfinite --steps 1 --out r");
    let wanted = "error: --allow-nonfinite applies to the parameters of --init, which is missing";
    assert_eq!((code, said.trim()), (Some(2), wanted));
}

/// Numbers outside f32's range are refused with their flag and key, before any work.
#[test]
fn numbers_beyond_f32_are_refused_by_flag_and_key() {
    let out = folder();
    for (flags, expected) in [
        (
            "--learning-rate 1e39",
            "'1e39' for '--learning-rate <F>': it must be a positive number, from 1.2e-38 to 3.4e38",
        ),
        ("--learning-rate 1e-40", "--learning-rate"),
        (
            "--optimizer adam(eps=1e40)",
            "--optimizer: `eps` of the optimizer `adam` is 1e40, but must be a number in f32's range",
        ),
        ("--optimizer adam(b2=0.99999999999)", "`b2` of the optimizer `adam`"),
        ("--clip 1e39", "`max_norm` of the clip `clip_by_global_norm` is 1e39, but must be a number in f32's range"),
        ("--group group(path=\"beta\",learning_rate=1e39)", "is 1e39, but must be"),
        ("--encode Latency(tau=1e39)", "`tau` of `Latency` is 1e39, but must be a number in f32's range"),
        ("--augment SpectralDrop(p=1e-60)", "must be"),
        ("--ema 0.999999999999", "--ema"),
        ("--schedule cosine(alpha=1e40)", "`alpha` of the schedule `cosine` is 1e40"),
    ] {
        let (code, said) = spiq(out.path(), &format!("train --steps 1 --out r {flags}"));
        assert_eq!(code, Some(2), "{flags}: {said}");
        assert!(said.contains(expected) && said.lines().count() == 1, "{flags}: {said}");
        assert!(!out.path().join("r").exists(), "{flags}");
    }
}
