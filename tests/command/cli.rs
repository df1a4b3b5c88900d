//! The built command: valid runs compared with the reference values, and invalid input of every kind.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::reference::{Case, Reference};
use spiq::data::ArrayFile;
use spiq::{Array, DType, TensorType};
use tempfile::TempDir;

const MODEL: &str = r#"
[[layers]]
type = "Linear"
in_features = 12
out_features = 16
[[layers]]
type = "LIF"
hidden_shape = 16
activation = { type = "triangular" }
[[layers]]
type = "Linear"
in_features = 16
out_features = 5
[[layers]]
type = "LI"
layer_shape = 5
"#;

const INT8: &str = "[[rules]]\nweight_qtype = \"int8\"\nact_qtype = \"int8\"\n";

/// A folder with the reference model's files, in which the command runs.
struct Folder(TempDir);

impl Folder {
    fn new() -> Folder {
        let folder = Folder(tempfile::tempdir().expect("a temporary folder"));
        folder.write("model.toml", MODEL);
        folder.write("rules.toml", INT8);
        let reference = Reference::load("model");
        let case = |name| reference.case(name);
        folder.arrays("params.safetensors", &parameters(&case("params")));
        let x = swapped(case("given").array("x"));
        folder.arrays("data.safetensors", &[("inputs", x.clone()), ("labels", case("given").array("targets").clone())]);
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, contents: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), contents).expect("a file");
    }

    fn arrays<K: AsRef<str>>(&self, name: &str, arrays: &[(K, Array)]) {
        let arrays = arrays.iter().map(|(name, array)| (name.as_ref().to_owned(), array.clone())).collect();
        ArrayFile { arrays, ..ArrayFile::default() }.write(&self.path(name)).expect("a file");
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_spiq"));
        command.args(line.split_whitespace()).current_dir(self.0.path()).stdin(Stdio::null());
        command
    }

    fn run(&self, line: &str) -> Output {
        self.command(line).output().expect("the command starts")
    }

    /// Runs a command line that must succeed; returns its output.
    #[track_caller]
    fn succeeds(&self, line: &str) -> String {
        let output = self.run(line);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}: {:?} {error}", output.status);
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// Runs a command line that must fail with one line that contains `expected`, and leave no files.
    #[track_caller]
    fn refuses(&self, line: &str, expected: &str) {
        self.refuses_command(&mut self.command(line), expected);
    }

    #[track_caller]
    fn refuses_command(&self, command: &mut Command, expected: &str) {
        let before = self.files();
        let output = command.output().expect("the command starts");
        let error = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.starts_with("error: ") && error.lines().count() == 1, "not one line: {error}");
        assert!(error.contains(expected), "{error}");
        assert!(output.stdout.is_empty(), "something was printed: {}", String::from_utf8_lossy(&output.stdout));
        assert!(self.files() == before, "something was left behind or changed");
    }

    /// Every file and its contents, without folders.
    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        let mut folders = vec![self.0.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
                match entry.metadata().expect("an entry") {
                    meta if meta.is_dir() => folders.push(entry.path()),
                    _ => drop(found.insert(entry.path(), std::fs::read(entry.path()).expect("a file"))),
                }
            }
        }
        found
    }

    fn outputs(&self, name: &str) -> Array {
        ArrayFile::read(&self.path(name)).expect("a file").arrays["outputs"].clone()
    }
}

const PREDICT: &str =
    "predict --model model.toml --params params.safetensors --data data.safetensors --output out.safetensors";
const TRAIN: &str = "train --model model.toml --data data.safetensors --out out --batch-size 2 --steps 3";

fn parameters(case: &Case<'_>) -> Vec<(String, Array)> {
    let names = ["0/bias", "0/kernel", "1/beta", "2/bias", "2/kernel", "3/beta"];
    let paths = names.iter().map(|name| format!("core/layers/{name}"));
    paths.map(|path| (path.clone(), case.array(&path).clone())).collect()
}

/// Transposes [T, B, C] to [B, T, C].
fn swapped(array: &Array) -> Array {
    let view = array.to_ndarray::<f32>().expect("f32");
    let view = view.permuted_axes(vec![1, 0, 2]);
    Array::new(view.shape().to_vec(), view.iter().copied().collect::<Vec<f32>>()).expect("an array")
}

fn filled(dtype: DType, dims: &[usize], value: f64) -> Array {
    Array::from_f64(TensorType::new(dtype, dims), &vec![value; dims.iter().product()]).expect("an array")
}

#[track_caller]
fn close(got: &Array, wanted: &Array) {
    assert_eq!(got.ty(), wanted.ty());
    for (got, wanted) in got.to_f64().iter().zip(wanted.to_f64()) {
        assert!((got - wanted).abs() < 1e-5, "{got} and {wanted}");
    }
}

#[test]
fn predictions_are_those_of_the_python_packages() {
    let (folder, reference) = (Folder::new(), Reference::load("model"));
    folder.write("int8_weights.toml", "[[rules]]\nweight_qtype = \"int8\"\n");
    folder.write("int4_weights.toml", "[[rules]]\nweight_qtype = \"int4\"\n");
    let said = folder.succeeds(PREDICT);
    assert_eq!(said, "out.safetensors: outputs f32[4,6,5]\naccuracy, full precision  25.00 %\n");
    close(&folder.outputs("out.safetensors"), reference.case("fp32").array("outputs"));
    for (rules, case) in [("rules", "int8"), ("int8_weights", "int8_weights"), ("int4_weights", "int4_weights")] {
        for mode in ["qat", "ptq"] {
            folder.succeeds(&format!("{PREDICT} --rules {rules}.toml --mode {mode} --numerics qwix"));
            close(&folder.outputs("out.safetensors"), reference.case(case).array("outputs"));
        }
    }
}

const QUANTIZE: &str =
    "quantize --model model.toml --params params.safetensors --rules rules.toml --output q.safetensors";

#[test]
fn quantized_weights_predict_what_the_parameters_do() {
    let folder = Folder::new();
    folder.succeeds(&format!("{PREDICT} --rules rules.toml"));
    let wanted = folder.outputs("out.safetensors");
    let said = folder.succeeds(QUANTIZE);
    let words: Vec<Vec<&str>> = said.lines().map(|line| line.split_whitespace().collect()).collect();
    let is_row = |start: &[&str]| words.iter().any(|row| row.starts_with(start));
    assert!(is_row(&["core/layers/0/kernel", "int8", "768", "B"]) && is_row(&["all", "arrays"]), "{said}");
    let predict = PREDICT.replace("params.safetensors", "q.safetensors");
    folder.succeeds(&format!("{predict} --mode ptq"));
    assert_eq!(folder.outputs("out.safetensors"), wanted, "the file's own rules");
    folder.succeeds(&format!("{predict} --mode ptq --rules rules.toml"));
    assert_eq!(folder.outputs("out.safetensors"), wanted);
    folder.write("int4.toml", "[[rules]]\nweight_qtype = \"int4\"\n");
    folder.refuses(&predict, "holds quantized weights; add --mode ptq");
    folder.refuses(
        &format!("{predict} --mode ptq --rules int4.toml"),
        "q.safetensors: `core/layers/0/kernel` is int8, but the rules require int4",
    );
    folder.write("none.toml", "[[rules]]\nop_names = [\"dot_general\"]\n");
    folder.refuses(&QUANTIZE.replace("rules.toml", "none.toml"), "the rules quantize no weight");
    let bytes = std::fs::read(folder.path("q.safetensors")).expect("a file");
    folder.write("q.safetensors", &bytes[..bytes.len() - 5]);
    folder.refuses(&format!("{predict} --mode ptq"), "q.safetensors is not a usable safetensors file");
}

#[test]
fn static_scales_come_from_a_file_of_samples_or_from_training() {
    let folder = Folder::new();
    folder.write("rules.toml", "[[rules]]\nweight_qtype = \"int8\"\nact_qtype = \"int8\"\nact_static_scale = true\n");
    folder.refuses(QUANTIZE, "the rules need the statistic `quant_stats/core/layers/0/dot_general0_lhs/count`");
    folder.refuses(&format!("{PREDICT} --rules rules.toml"), "run spiq quantize --calibrate");
    let predict = PREDICT.replace("params.safetensors", "q.safetensors");
    folder.succeeds(&format!("{QUANTIZE} --calibrate data.safetensors --batch-size 2"));
    folder.succeeds(&format!("{predict} --mode ptq"));
    folder.succeeds(&format!("{TRAIN} --rules rules.toml --numerics qwix"));
    let trained = QUANTIZE.replace("params.safetensors", "out/params.safetensors");
    folder.succeeds(&trained);
    folder.succeeds(&format!("{predict} --mode ptq"));
    let stored = folder.outputs("out.safetensors");
    folder.succeeds(&format!("{PREDICT} --rules rules.toml").replace("params.safetensors", "out/params.safetensors"));
    assert_eq!(folder.outputs("out.safetensors"), stored);
    folder.succeeds("inspect --model model.toml --rules rules.toml --stage grad");
}

#[test]
fn batches_that_are_not_full_change_nothing() {
    let folder = Folder::new();
    folder.succeeds(&format!("{PREDICT} --rules rules.toml"));
    let all = folder.outputs("out.safetensors");
    folder.succeeds(&format!("{PREDICT} --rules rules.toml --batch-size 3"));
    assert_eq!(folder.outputs("out.safetensors").dims(), [4, 6, 5]);
    close(&folder.outputs("out.safetensors"), &all);
}

#[test]
fn bytes_are_taken_as_spikes_and_labels_are_not_needed() {
    let folder = Folder::new();
    let spikes: Vec<f64> = (0..4 * 6 * 12).map(|i| f64::from(i % 3 == 0)).collect();
    for dtype in [DType::U8, DType::F32] {
        let array = Array::from_f64(TensorType::new(dtype, [4, 6, 12]), &spikes).expect("an array");
        folder.arrays(&format!("{dtype}.safetensors"), &[("inputs", array)]);
        let line = PREDICT.replace("data.safetensors", &format!("{dtype}.safetensors"));
        folder.succeeds(&line.replace("out.safetensors", &format!("out_{dtype}.safetensors")));
    }
    assert_eq!(folder.outputs("out_u8.safetensors"), folder.outputs("out_f32.safetensors"));
}

#[test]
fn images_are_encoded_sample_by_sample() {
    let folder = Folder::new();
    folder.arrays("data.safetensors", &[("images", filled(DType::U8, &[5, 12], 100.0))]);
    let outputs = |flags: &str| {
        folder.succeeds(&format!("{PREDICT} --time-steps 7 {flags}"));
        folder.outputs("out.safetensors")
    };
    let all = outputs("");
    assert_eq!(all.dims(), [5, 7, 5]);
    close(&outputs("--batch-size 2"), &all);
    assert_ne!(outputs("--seed 1"), all);
    let values = all.to_f64();
    assert_ne!(values[..35], values[35..70], "the same image is encoded anew for each sample");
}

#[test]
fn training_leaves_its_results_and_predictions_follow() {
    let folder = Folder::new();
    let data = [("inputs", filled(DType::F32, &[10, 6, 12], 1.0)), ("labels", filled(DType::S32, &[10], 1.0))];
    folder.arrays("ten.safetensors", &data);
    let line = TRAIN.replace("data.safetensors", "ten.safetensors");
    let said = folder.succeeds(&format!("{line} --rules rules.toml --optimizer lion --learning-rate 1e-3 --seed -3"));
    assert!(
        said.contains("accuracy on the training samples, quantized") && said.contains("out/params.safetensors"),
        "{said}"
    );
    let files =
        ["params.safetensors", "checkpoint.safetensors", "metrics.jsonl", "training.svg", "model.toml", "rules.toml"];
    for file in files {
        assert!(folder.path("out").join(file).is_file(), "{file}");
    }
    let metrics = std::fs::read_to_string(folder.path("out/metrics.jsonl")).expect("metrics");
    assert_eq!(metrics.lines().filter(|line| line.contains("\"step\"")).count(), 3);
    let line = PREDICT.replace("params.safetensors", "out/params.safetensors").replace("model.toml", "out/model.toml");
    folder.succeeds(&format!("{line} --rules out/rules.toml"));
    let line = TRAIN.replace("data.safetensors", "ten.safetensors");
    folder.succeeds(
        &format!("{line} --init out/params.safetensors --rules none --epochs 1 --overwrite").replace("--steps 3", ""),
    );
}

#[cfg(unix)]
/// A convolution for single-channel images of 6 by 6 pixels.
const IMAGES: &str = r#"
[[layers]]
type = "Conv"
in_features = 1
out_features = 2
kernel_size = [3, 3]
[[layers]]
type = "LIF"
hidden_shape = [6, 6, 2]
[[layers]]
type = "SumPool"
window_shape = 3
strides = 3
padding = "VALID"
[[layers]]
type = "Dropout"
rate = 0.1
[[layers]]
type = "Flatten"
[[layers]]
type = "Linear"
in_features = 8
out_features = 5
[[layers]]
type = "LI"
layer_shape = 5
"#;

#[test]
fn a_convolutional_model_trains_on_images_however_they_are_stored() {
    let folder = Folder::new();
    folder.write("conv.toml", IMAGES);
    let labels = ("labels", Array::new([4], [0, 1, 2, 4]).expect("labels"));
    let mut outputs = Vec::new();
    for (name, ty, dims) in [
        ("images", DType::U8, &[4, 6, 6][..]),
        ("images", DType::U8, &[4, 36]),
        ("inputs", DType::F32, &[4, 3, 6, 6, 1]),
    ] {
        let count: usize = dims.iter().product();
        let values: Vec<f64> = (0..count).map(|i| if name == "images" { (i * 7 % 256) as f64 } else { 1.0 }).collect();
        let samples = Array::from_f64(TensorType::new(ty, dims), &values).expect("samples");
        folder.arrays("images.safetensors", &[(name, samples), labels.clone()]);
        let flags = "--data images.safetensors --steps 2 --batch-size 2 --time-steps 3 --rules rules.toml --out run --overwrite";
        let shown = folder.succeeds(&format!("train --model conv.toml {flags}"));
        assert!(shown.contains("spikes per neuron and step, core/layers/1"), "{shown}");
        let metrics = std::fs::read_to_string(folder.path("run/metrics.jsonl")).expect("metrics");
        assert!(metrics.contains(r#""spike_rates":{"core/layers/1":"#), "{metrics}");
        folder.succeeds(
            "predict --model run/model.toml --params run/params.safetensors --data images.safetensors --time-steps 3 \
             --output out.safetensors",
        );
        outputs.push(folder.outputs("out.safetensors"));
    }
    assert_eq!(outputs[0], outputs[1]);
    let wrong = Array::zeros(TensorType::new(DType::U8, [4, 6, 5, 1]));
    folder.arrays("images.safetensors", &[("images", wrong), labels]);
    folder.refuses("train --model conv.toml --data images.safetensors", "LIF takes [6, 6, 2], got [6, 5, 2]");
}

#[test]
fn a_run_stopped_by_ctrl_c_goes_on_to_the_same_end() {
    let folder = Folder::new();
    let line =
        "train --batch-size 16 --time-steps 8 --steps 800 --seed 3 --optimizer lion --learning-rate 1e-3 --no-shuffle";
    folder.succeeds(&format!("{line} --out whole"));
    let child = folder.command(&format!("{line} --out cut")).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.expect("the command starts");
    let metrics = folder.path("cut/metrics.jsonl");
    let begun = Instant::now();
    while std::fs::read_to_string(&metrics).unwrap_or_default().lines().count() < 20 {
        assert!(begun.elapsed() < Duration::from_secs(120), "no steps");
        std::thread::sleep(Duration::from_millis(2));
    }
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill");
    assert!(killed.success());
    let output = child.wait_with_output().expect("an end");
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{error}");
    assert!(error.lines().next_back().is_some_and(|last| last.contains("--resume")), "{error}");
    folder.succeeds("train --resume --out cut");
    let bytes = |name: &str| std::fs::read(folder.path(name)).expect("a file");
    assert_eq!(bytes("cut/params.safetensors"), bytes("whole/params.safetensors"));
    assert_eq!(bytes("cut/metrics.jsonl"), bytes("whole/metrics.jsonl"));
}

#[test]
fn every_stage_is_printed() {
    let folder = Folder::new();
    let inspect = |rest: &str| folder.succeeds(&format!("inspect --model model.toml --rules rules.toml {rest}"));
    for (stage, word) in [
        ("trace", "spiq.scan"),
        ("quantize", "// core/layers/0  dot_general"),
        ("split", "tensor<16x8x12xi8>"),
        ("grad", "%arg7: tensor<8xi32>"),
        ("kernels", "// loop of 16 steps"),
        ("lower", "stablehlo.while"),
        ("simplify", "stablehlo.while"),
        ("stablehlo", "stablehlo.while"),
        ("hlo", "HloModule"),
    ] {
        let text = inspect(&format!("--stage {stage}"));
        assert!(text.contains(word), "{stage}: {text}");
    }
    let report = inspect("--stage quantize --report");
    assert!(report.starts_with("path "), "{report}");
    let beside = report.split_once("always f32, because no product uses them:\n").expect("what stays").1;
    assert!(beside.lines().any(|line| line.starts_with("core/layers/1  LIF ") && line.ends_with(" beta")), "{beside}");
    assert!(!beside.contains("kernel"), "{beside}");
    let commented = inspect("--stage quantize");
    assert!(commented.contains("// core/layers/1  LIF "), "{commented}");
    assert!(!inspect("--stage stablehlo --forward").contains("%arg7: tensor<8xi32>"));
    // The processor is one device, unless more are asked for.
    assert_eq!(inspect("--stage shard --devices all"), inspect("--stage shard"));
    assert_ne!(inspect("--stage shard --devices 2"), inspect("--stage shard"));
    assert!(inspect("--stage trace --locations").contains("loc(\"core/layers/0\""));
    // The text for a device calls its kernels; without a device, the program runs on any.
    let called = ["", " --device cpu", " --device cuda", " --device tpu"].map(|device| {
        let text = inspect(&format!("--stage stablehlo{device}"));
        ["spiq_elementwise_scan", "__gpu$xla.gpu.triton", "tpu_custom_call"]
            .map(|target| text.contains(&format!("call_target_name = \"{target}\"")))
    });
    assert_eq!(called, [[false, false, false], [true, false, false], [false, true, false], [false, false, true]]);
}

#[test]
fn the_training_step_is_printed_as_it_runs() {
    let folder = Folder::new();
    let inspect = |rest: &str| folder.succeeds(&format!("inspect --model model.toml --rules rules.toml --step {rest}"));
    let text = inspect("--stage stablehlo --spikes");
    // Parameters and state are donated; the inputs are rows and keys for up to two steps, and the samples' bits.
    for word in
        ["module @train_steps", "tf.aliasing_output = 0", "tensor<2x8xi32>", "tensor<2x2xui32>", "tensor<8x16x2xui8>"]
    {
        assert!(text.contains(word), "{word}: {text}");
    }
    // Adam has more state than lion.
    let inputs = |text: &str| text.lines().nth(1).map_or(0, |head| head.matches("%arg").count());
    assert!(inputs(&inspect("--stage stablehlo --optimizer lion")) < inputs(&inspect("--stage stablehlo")));
    assert!(inspect("--stage split").contains("tensor<16x8x12xi8>"), "earlier stages are the pass's");
    assert!(inspect("--stage kernels --spikes").contains("// masked product of 128 rows"));
    assert!(inspect("--target cpu --spikes").contains("in the neuron loop"));
    folder.refuses("inspect --model model.toml --stage grad --step --mode ptq", "--mode ptq has no gradient");
    folder.refuses("inspect --model model.toml --stage grad --step --data digits", "labels go up to 9");
    folder.refuses("inspect --model model.toml --stage grad --data digits", "--step");
}

#[test]
fn who_closes_the_output_has_seen_enough() {
    let folder = Folder::new();
    let mut command = folder.command("inspect --model model.toml --stage stablehlo --time-steps 4");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the command starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("an end");
    assert!(output.status.success());
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_doctor_lives_with_a_broken_plugin() {
    let folder = Folder::new();
    folder.write("xla_cpu_broken.so", "not a library");
    let broken = folder.path("xla_cpu_broken.so");
    let output = folder.command("doctor").env("SPIQ_PJRT_PLUGIN", &broken).output().expect("the command starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("error: ") && said.contains("xla_cpu_broken.so") && said.contains("SPIQ_PJRT_PLUGIN"),
        "{said}"
    );
    let json: serde_json::Value = serde_json::from_str(&folder.succeeds("doctor --json")).expect("JSON");
    assert!(json["cores"].as_u64() >= Some(1) && json["plugins"].is_array());
    folder.succeeds("plugin list");
}

#[test]
fn a_plugin_file_that_is_none_is_refused() {
    let folder = Folder::new();
    folder.write("plugin.so", "not a library");
    let with = |path: PathBuf, line: &str, expected: &str| {
        folder.refuses_command(folder.command(line).env("SPIQ_PJRT_PLUGIN", path), expected);
    };
    with(folder.path("plugin.so"), PREDICT, "plugin.so");
    with(folder.path("missing.so"), PREDICT, "missing.so");
    with(folder.path("plugin.so"), "train --out out", "plugin.so");
    with(folder.path(""), "inspect --model model.toml --stage hlo", "SPIQ_PJRT_PLUGIN");
}

#[test]
fn wrong_flags_are_refused() {
    let folder = Folder::new();
    for (line, expected) in [
        ("fly", "unrecognized subcommand 'fly'"),
        ("train --fast", "unexpected argument '--fast'"),
        ("train --epochs 2 --steps 3", "cannot be used with"),
        ("train --epochs 0", "whole number from 1"),
        ("train --steps=-1", "--steps"),
        ("train --batch-size 99999999999", "whole number from 1"),
        ("train --learning-rate NaN", "positive number"),
        ("train --learning-rate 0", "positive number"),
        ("train --shift 0.7", "from 0 to 0.5"),
        ("train --optimizer sg", "did you mean `sgd`? available: lion, adam, adamw, sgd"),
        ("train --numerics none", "possible values: exact, qwix"),
        ("train --device abacus", "possible values: cpu, cuda, tpu"),
        ("train --seed one", "--seed"),
        ("predict", "required arguments"),
        ("inspect --model model.toml --stage now", "possible values: trace, quantize"),
        ("plugin install gpu7", "possible values: cpu, cuda13, tpu"),
    ] {
        folder.refuses(line, expected);
    }
}

#[test]
fn unusable_array_files_are_refused() {
    let folder = Folder::new();
    let whole = std::fs::read(folder.path("data.safetensors")).expect("a file");
    let header = |text: &str| [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat();
    let huge =
        r#"{"inputs":{"dtype":"F32","shape":[4294967296,4294967296,9],"data_offsets":[0,18446744073709551615]}}"#;
    for (name, bytes) in [
        ("empty", Vec::new()),
        ("short", whole[..5].to_vec()),
        ("cut", whole[..whole.len() - 7].to_vec()),
        ("length", [&u64::MAX.to_le_bytes(), &whole[8..]].concat()),
        ("text", b"inputs,labels\n1,2\n3,4\n".to_vec()),
        ("huge", header(huge)),
        ("overlap", header(r#"{"inputs":{"dtype":"U8","shape":[1,1,1],"data_offsets":[1,0]}}"#)),
        ("nested", header(&"[".repeat(100_000))),
    ] {
        let file = format!("{name}.safetensors");
        folder.write(&file, bytes);
        folder.refuses(&PREDICT.replace("data.safetensors", &file), &file);
        folder.refuses(&PREDICT.replace("params.safetensors", &file), &file);
        folder.refuses(&TRAIN.replace("data.safetensors", &file), &file);
        folder.refuses(&format!("{TRAIN} --init {file}"), &file);
    }
    folder.refuses(&PREDICT.replace("data.safetensors", "missing.safetensors"), "cannot read missing.safetensors");
    folder.refuses(&PREDICT.replace("data.safetensors", "."), "has no recordings");
}

#[test]
fn arrays_that_do_not_fit_are_refused() {
    let folder = Folder::new();
    let labels = filled(DType::S32, &[4], 0.0);
    let inputs = filled(DType::U8, &[4, 6, 12], 1.0);
    let write_and_refuse = |arrays: &[(&str, Array)], line: &str, expected: &str| {
        folder.arrays("bad.safetensors", arrays);
        folder.refuses(&line.replace("data.safetensors", "bad.safetensors"), expected);
    };
    for line in [PREDICT, TRAIN] {
        let bad = |name: &str, array: Array, expected: &str| {
            write_and_refuse(&[(name, array), ("labels", labels.clone())], line, expected);
        };
        bad("inputs", filled(DType::F32, &[4, 6, 11], 0.0), "12 features");
        bad("inputs", filled(DType::F32, &[4, 12], 0.0), "must have the axes [N, T, …]");
        bad("inputs", filled(DType::F64, &[4, 6, 12], 1e300), "which is out of range for f32");
        bad("inputs", filled(DType::F32, &[4, 6, 12], f64::NAN), "in sample 0");
        bad("inputs", filled(DType::F32, &[4, 0, 12], 0.0), "empty");
        bad("images", filled(DType::F32, &[4, 12], 2.0), "f32 images must lie between 0 and 1");
        bad("images", filled(DType::S64, &[4, 12], 256.0), "s64 images must lie between 0 and 255");
        bad("pictures", filled(DType::U8, &[4, 12], 0.0), "no tensor `inputs` or `images`");
    }
    for line in [PREDICT, TRAIN] {
        write_and_refuse(
            &[("inputs", filled(DType::U8, &[0, 6, 12], 0.0)), ("labels", filled(DType::S32, &[0], 0.0))],
            line,
            "empty",
        );
    }
    let bad = |labels: Array, expected: &str| {
        write_and_refuse(&[("inputs", inputs.clone()), ("labels", labels)], TRAIN, expected);
    };
    bad(filled(DType::S32, &[4], 5.0), "between 0 and 4");
    bad(filled(DType::S32, &[4], -1.0), "between 0 and 4");
    bad(filled(DType::F32, &[4], 1.5), "must hold the number of a class");
    bad(filled(DType::S32, &[3], 1.0), "shape [4]");
    write_and_refuse(&[("inputs", inputs.clone())], TRAIN, "`labels`");
    write_and_refuse(
        &[("inputs", inputs.clone()), ("labels", labels)],
        "train --data data.safetensors --out out",
        "--model",
    );
    folder.refuses("train --model model.toml --out out", "the built-in digits");
    folder.refuses(&TRAIN.replace("--batch-size 2", "--batch-size 64"), "batch size");
    folder.refuses(&format!("{TRAIN} --resume"), "there is no run in out to resume");
}

#[test]
fn parameters_that_do_not_fit_are_refused() {
    let folder = Folder::new();
    let mut params = parameters(&Reference::load("model").case("params"));
    params.pop();
    folder.arrays("bad.safetensors", &params);
    let line = PREDICT.replace("params.safetensors", "bad.safetensors");
    folder.refuses(&line, "bad.safetensors lacks `core/layers/3/beta` (f32[5])");
    params.push(("core/layers/3/beta".to_owned(), filled(DType::F32, &[7], 0.0)));
    folder.arrays("bad.safetensors", &params);
    folder.refuses(&line, "`core/layers/3/beta` is f32[7], but the model needs f32[5]");
    folder.refuses(&format!("{TRAIN} --init bad.safetensors"), "f32[7]");
}

#[test]
fn models_and_rules_that_are_wrong_are_refused_with_their_line() {
    let folder = Folder::new();
    let model = |text: &str, expected: &str| {
        folder.write("bad.toml", text);
        folder.refuses(&PREDICT.replace("model.toml", "bad.toml"), expected);
        folder.refuses(&TRAIN.replace("model.toml", "bad.toml"), expected);
        folder.refuses("inspect --model bad.toml --stage trace", expected);
    };
    model(&MODEL.replace("in_features = 12", "in_featurs = 12"), "did you mean `in_features`?");
    model(&MODEL.replace("out_features = 5", "out_features = 6"), "bad.toml:14: core/layers/3 (LI) takes [5]");
    model(&MODEL.replace("16", "-16"), "whole number");
    model("[[layers]]\ntype = ", "bad.toml:2");
    model("\u{0}\u{ff}", "bad.toml");
    let rules = |text: &str, expected: &str| {
        folder.write("bad.toml", text);
        folder.refuses(&format!("{PREDICT} --rules bad.toml"), expected);
        folder.refuses(&format!("{TRAIN} --rules bad.toml"), expected);
        folder.refuses("inspect --model model.toml --rules bad.toml --stage quantize", expected);
    };
    rules("[[rules]]\nmodule_path = \"(\"", "bad.toml:2: rule 1: the module_path `(` is not a regular expression");
    rules("[[rules]]\nweight_qtyp = \"int8\"", "did you mean `weight_qtype`?");
    rules("[[rules]]\nweight_qtype = \"int9\"", "unknown quantized type `int9`");
    rules("[[rules]]\nmodule_path = \"core/layer/0\"\nweight_qtype = \"int8\"", "the nearest path is `core/layers/0`");
    rules("", "[[rules]]");
    folder.refuses(&format!("{PREDICT} --rules missing.toml"), "cannot read missing.toml");
}

#[test]
fn results_that_cannot_be_written_are_refused_before_the_work() {
    let folder = Folder::new();
    folder.write("file", "");
    for output in ["file/out.safetensors", "missing/out.safetensors", "/proc/out.safetensors", "."] {
        folder.refuses(&PREDICT.replace("out.safetensors", output), &format!("cannot write {output}"));
    }
    for out in ["file", "file/out", "/proc/out"] {
        folder.refuses(&TRAIN.replace("--out out", &format!("--out {out}")), &format!(" {out}"));
    }
}

#[test]
fn sizes_beyond_all_use_are_refused() {
    let folder = Folder::new();
    folder.arrays(
        "data.safetensors",
        &[("images", filled(DType::U8, &[4, 12], 9.0)), ("labels", filled(DType::S32, &[4], 0.0))],
    );
    folder.refuses(&format!("{PREDICT} --time-steps 2147483647"), "too large");
    folder.refuses(&format!("{TRAIN} --time-steps 2147483647"), "too large");
    folder.refuses(
        "inspect --model model.toml --stage trace --time-steps 2147483647 --batch-size 2147483647",
        "too large",
    );
}

#[test]
fn bench_measures_each_mode() {
    let folder = Folder::new();
    let line = "bench --shape 4,2,8,8,3 --modes int8+bf16,fp32 --seconds 0.01 --runs 11";
    let json: serde_json::Value = serde_json::from_str(&folder.succeeds(&format!("{line} --json"))).expect("JSON");
    assert_eq!((json["device"].as_str(), json["shape"].as_str()), (Some("cpu"), Some("4,2,8,8,3")));
    let modes = json["modes"].as_array().expect("a list");
    assert_eq!(modes.iter().map(|mode| mode["mode"].as_str().unwrap()).collect::<Vec<_>>(), ["int8+bf16", "fp32"]);
    for mode in modes {
        let number = |key: &str| mode[key].as_f64().unwrap_or_else(|| panic!("{key}: {mode}"));
        assert!(number("runs") >= 11.0);
        for what in ["forward_ms", "train_step_ms"] {
            let (low, high) = (number(&format!("{what}_low")), number(&format!("{what}_high")));
            assert!(0.0 < low && low <= number(what) && number(what) <= high, "{mode}");
        }
        let step = number("train_step_ms");
        assert!((number("steps_per_second") * step / 1e3 - 1.0).abs() < 1e-6);
        // Forward pass, weight gradients, and input gradients of all layers but the first.
        let products = 4.0 * 2.0 * (2.0 * 64.0 + 3.0 * (64.0 + 24.0));
        assert!((number("train_step_macs_per_second") * step / 1e3 / products - 1.0).abs() < 1e-6);
        assert!(number("train_step_peak_bytes") > 0.0 && number("forward_compile_ms") > 0.0);
        assert!((0.0..=1.0).contains(&number("spike_rate")));
    }
    assert_eq!(modes[1]["forward_ratio"].as_f64(), Some(1.0));
    let ratio = modes[1]["train_step_ms"].as_f64().unwrap() / modes[0]["train_step_ms"].as_f64().unwrap();
    assert!((modes[0]["train_step_ratio"].as_f64().unwrap() / ratio - 1.0).abs() < 1e-6);

    let table = folder.succeeds(&line.replace("int8+bf16,", ""));
    assert!(table.contains("mode  forward ms") && table.contains("\nfp32  "), "{table}");
}

#[test]
fn bench_refuses_what_it_cannot_measure() {
    let folder = Folder::new();
    folder.refuses("bench --shape 4,2,8", "`4,2,8` is not a shape");
    folder.refuses("bench --shape 4,2,8,8,3 --modes int9", "there is no mode `int9` (known: fp32, ");
    folder.refuses("bench --shape 1048576,1048576,8,8,3", "are too many elements for one array");
    folder.refuses("bench --shape 4,2,8,8,3 --density 1.5", "it must be a number from 0 to 1");
    folder.refuses("bench", "--shape <T,B,IN,H,C>");
    folder.refuses("bench --shape 4,2,8,8,3 --model model.toml", "cannot be used with");
    folder.refuses("bench --model absent.toml", "absent.toml");
    folder.refuses("bench --model model.toml --time-steps 2147483647", "too many elements for one array");
    let flatten = r#"{ type = "Flatten" }"#;
    let dropout = format!(r#"{flatten}, {{ type = "Dropout", rate = 0.5 }}"#);
    folder.write("dropout.toml", CONVOLUTIONS.replace(flatten, &dropout));
    folder.refuses("bench --model dropout.toml", "core/layers/4 (Dropout) draws random numbers");
}

/// Convolution, pooling and recurrent neurons over images of 6 × 6.
const CONVOLUTIONS: &str = r#"
layers = [
    { type = "Conv", in_features = 2, out_features = 3, kernel_size = [3, 3], padding = "VALID" },
    { type = "LIF", hidden_shape = [4, 4, 3] },
    { type = "MaxPool", window_shape = [2, 2], strides = [2, 2] },
    { type = "Flatten" },
    { type = "LIF", hidden_shape = 12, recurrent = true },
    { type = "LI", layer_shape = 12 },
]
"#;

#[test]
fn bench_measures_a_model_file() {
    let folder = Folder::new();
    folder.write("model.toml", CONVOLUTIONS);
    let line = "bench --model model.toml --time-steps 4 --batch-size 2 --modes fp32,int8 --seconds 0.01 --runs 2";
    let json: serde_json::Value = serde_json::from_str(&folder.succeeds(&format!("{line} --json"))).expect("JSON");
    assert_eq!(json["shape"].as_str(), Some("[4, 2, 6, 6, 2]"));
    for mode in json["modes"].as_array().expect("a list") {
        assert!(mode["train_step_ms"].as_f64() > Some(0.0) && mode["forward_ms"].as_f64() > Some(0.0), "{mode}");
        assert!(mode["train_step_macs_per_second"].is_null(), "{mode}");
    }
    assert!(folder.succeeds(line).contains("shape [4, 2, 6, 6, 2]"));
}

/// On the CPU, a profile names this library's kernels and the rest of a training step.
#[test]
fn bench_profiles_the_kernels_of_a_step() {
    let folder = Folder::new();
    let line = "bench --shape 4,2,8,8,3 --density 0.5 --modes int8 --seconds 0.01 --runs 1 --profile";
    let table = folder.succeeds(line);
    for part in ["loop of 4 steps, 16 lanes, forward; x0 is a masked product of 8 columns", "XLA's own operations"] {
        assert!(table.contains(part), "{table}");
    }
    let report: serde_json::Value = serde_json::from_str(&folder.succeeds(&format!("{line} --json"))).unwrap();
    let operations = report["modes"][0]["profile"]["operations"].as_array().unwrap();
    assert!(operations.len() >= 7 && operations.iter().any(|o| o["gb_per_second"].as_f64() > Some(0.0)), "{report}");
    // Every kernel of a forward pass has a limit.
    let forward = &report["modes"][0]["forward_profile"];
    assert!(forward["least_ms"].as_f64() > Some(0.0), "{report}");
    let bounds: Vec<&str> =
        forward["operations"].as_array().unwrap().iter().filter_map(|operation| operation["bound"].as_str()).collect();
    assert!(bounds.len() == 2 && bounds.iter().all(|bound| ["memory", "operations"].contains(bound)), "{report}");
    folder.succeeds(&format!("{line} --picture roofline.svg"));
    let picture = std::fs::read_to_string(folder.path("roofline.svg")).expect("a picture");
    assert!(picture.contains("operations per byte"), "{picture}");
    folder.refuses(&format!("{line} --picture roofline.svg --device cuda"), "--picture draws kernels of the CPU");
}

/// Non-square images whose shape a later layer depends on: every command accepts the model.
#[test]
fn images_that_are_not_square_are_like_any_other() {
    let folder = Folder::new();
    folder.write(
        "wide.toml",
        "layers = [\n { type = \"AvgPool\", window_shape = [1, 2], strides = [1, 2], padding = \"VALID\" },\n \
         { type = \"Conv\", in_features = 1, out_features = 2, kernel_size = [1, 1] },\n \
         { type = \"LIF\", hidden_shape = [3, 4, 2] },\n { type = \"Flatten\" },\n \
         { type = \"Linear\", in_features = 24, out_features = 2 },\n { type = \"LI\", layer_shape = 2 },\n]\n",
    );
    folder.write("weights.toml", "[[rules]]\nweight_qtype = \"int8\"\n");
    let labels = ("labels", Array::new([4], [0, 1, 1, 0]).expect("labels"));
    let samples = (0..4 * 5 * 24).map(|i| (i % 9) as f32 * 0.25).collect::<Vec<_>>();
    folder.arrays("wide.safetensors", &[("inputs", Array::new([4, 5, 3, 8, 1], samples).expect("samples")), labels]);
    folder.succeeds("train --model wide.toml --data wide.safetensors --steps 2 --batch-size 2 --out run");
    let params = "--model wide.toml --params run/params.safetensors --rules weights.toml";
    let shown = folder.succeeds(&format!("quantize {params} --output stored.safetensors"));
    assert!(shown.contains("core/layers/4/kernel"), "{shown}");
    folder.succeeds(&format!("predict {params} --data wide.safetensors --output out.safetensors"));
    folder.succeeds(
        "predict --model wide.toml --params stored.safetensors --rules weights.toml --mode ptq --data wide.safetensors \
         --output again.safetensors",
    );
    assert_eq!(folder.outputs("out.safetensors"), folder.outputs("again.safetensors"));
    assert_eq!(folder.outputs("out.safetensors").dims(), [4, 5, 2]);
    let shown = folder.succeeds("inspect --model wide.toml --stage trace --forward --time-steps 2 --batch-size 1");
    assert!(shown.contains("f32[2,1,3,8,1]") || shown.contains("tensor<2x1x3x8x1xf32>"), "{shown}");
}

/// More products than an s32 accumulator holds: correct by default, and qwix's result with qwix numerics.
#[test]
fn long_sums_of_integers_do_not_wrap() {
    let folder = Folder::new();
    let size = 134_000;
    folder.write(
        "long.toml",
        format!(
            "layers = [ {{ type = \"Linear\", in_features = {size}, out_features = 1, use_bias = false }}, \
             {{ type = \"LI\", layer_shape = 1 }} ]\n"
        ),
    );
    let parameters = [
        ("core/layers/0/kernel", filled(DType::F32, &[size, 1], 1.0)),
        ("core/layers/1/beta", filled(DType::F32, &[1], 0.0)),
    ];
    folder.arrays("long.safetensors", &parameters);
    folder.arrays("ones.safetensors", &[("inputs", filled(DType::F32, &[1, 1, size], 1.0))]);
    let files = "--model long.toml --rules rules.toml --data ones.safetensors --output out.safetensors";
    let result = |line: &str| {
        folder.succeeds(line);
        folder.outputs("out.safetensors").to_f64()[0]
    };
    folder.succeeds(
        "quantize --model long.toml --params long.safetensors --rules rules.toml --output stored.safetensors",
    );
    for params in ["long.safetensors", "long.safetensors --mode ptq", "stored.safetensors --mode ptq"] {
        let right = result(&format!("predict --params {params} {files}"));
        assert!((right / 134_000.0 - 1.0).abs() < 0.01, "{params}: {right}");
    }
    let wrapped = result(&format!("predict --params long.safetensors --numerics qwix {files}"));
    assert!((wrapped + 131_253.0).abs() < 1.0, "{wrapped}");
}
