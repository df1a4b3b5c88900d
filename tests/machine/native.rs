//! The hardware units used by quantized products, as reported by ahead-of-time compilers for absent chips.

use crate::own_process::{own_process, passes};
use crate::skipped::skipped;
use spiq::config::ModelConfig;
use spiq::data::Dataset;
use spiq::native::{self, Loops, Report, Target};
use spiq::network::Network;
use spiq::pjrt::{Platform, find};
use spiq::quant::{Mode, linear_only_rules};
use spiq::train::{self, Options};
use spiq::{DType, Program, TensorType};

const MODEL: &str = r#"layers = [
    { type = "Linear", in_features = 256, out_features = 512 }, { type = "LIF", hidden_shape = 512 },
    { type = "Linear", in_features = 512, out_features = 512 }, { type = "LIF", hidden_shape = 512 },
    { type = "Linear", in_features = 512, out_features = 128 }, { type = "LI", layer_shape = 128 },
]"#;

/// The report for the forward pass of a network with weights and activations of a type.
#[track_caller]
fn report(target: &str, qtype: &str) -> Report {
    let model = ModelConfig::parse(MODEL, "model.toml").expect("a model");
    let network = Network::new(model, linear_only_rules(qtype, qtype)).expect("a network");
    // Without a chip to benchmark tiles, the GPU compiler guesses them, and at some sizes chooses one that the unit does not support.
    let forward = network.forward(&TensorType::new(DType::F32, [16, 128, 256]), Mode::Qat).expect("traced");
    native::report(&Target::parse(target).expect("a target"), &forward.function).expect("compiled")
}

/// Whether the plugin is installed; reports the skip if not, since a skipped test must not look like a passed one.
fn installed(platform: Platform, command: &str) -> bool {
    let there = find(platform).is_some();
    if !there {
        skipped(&format!("there is no {platform} plugin; `spiq plugin install {command}` fetches it"));
    }
    there
}

#[test]
fn cpu_multiplies_s8_and_adds_rows_for_spikes() {
    let report = report("cpu", "int8");
    let paths: Vec<&str> = report.rows.iter().map(|row| row.path.as_str()).collect();
    assert_eq!(paths, ["core/layers/0", "core/layers/2", "core/layers/4"]);
    // The input may be anything; neuron outputs are spikes.
    let units = ["s8, ", "sparse row sums", "sparse row sums"];
    for (row, unit) in report.rows.iter().zip(units) {
        assert!(row.low_precision && row.unit.starts_with(unit), "{report}");
    }
    let text = report.to_string();
    assert!(text.contains("s8[16,128,256] x s8[256,512] -> s32"), "{text}");
}

#[test]
fn cpu_widens_floats_of_8_bits_and_says_so() {
    let report = report("cpu", "float8_e4m3fn");
    assert_eq!(report.missed().count(), 3, "{report}");
    assert!(report.missed().all(|row| row.unit.starts_with("f32") && !row.advice.is_empty()), "{report}");
}

#[test]
fn h100_multiplies_s8_and_float8_in_tensor_cores() {
    if !installed(Platform::Cuda, "cuda13") {
        return;
    }
    for (qtype, unit) in [("int8", "mma s32.s8.s8"), ("float8_e4m3fn", "mma f32.e4m3.e4m3")] {
        let report = report("cuda:h100", qtype);
        assert_eq!(report.target, "NVIDIA H100 80GB HBM3");
        assert_eq!(report.missed().count(), 0, "{report}");
        assert!(report.rows.iter().all(|row| row.unit.contains(unit)), "{report}");
    }
}

/// Forward and backward pass with the time loops in kernels, in a single launch of the driver.
#[test]
fn a_gradient_is_one_graph_of_few_launches_on_an_h100() {
    if !installed(Platform::Cuda, "cuda13") {
        return;
    }
    for qtype in ["int8", "float8_e4m3fn"] {
        let model = ModelConfig::parse(MODEL, "model.toml").expect("a model");
        let network = Network::new(model, linear_only_rules(qtype, qtype)).expect("a network");
        let forward = network.forward(&TensorType::new(DType::Pred, [16, 128, 256]), Mode::Qat).expect("traced");
        let gradient = forward.gradient().expect("differentiated");
        let report = native::report(&Target::parse("cuda:h100").expect("a target"), &gradient).expect("compiled");
        let launches = report.launches.expect("a card launches kernels");
        assert!(launches.graphs == 1 && (20..=60).contains(&launches.launches), "{qtype}: {report}");
        assert!(report.to_string().ends_with("\ngraphs: 1\n"), "{report}");
    }
}

/// The program that `spiq train` compiles by default: several steps in one loop, each with shifted images, encoder, gradient and optimizer.
#[test]
fn a_training_step_is_one_graph_on_an_h100() {
    if !installed(Platform::Cuda, "cuda13") {
        return;
    }
    let (train, test) = Dataset::digits().split().expect("two parts");
    let text = include_str!("../../src/cli/recipes/digits.toml");
    let network =
        Network::new(ModelConfig::parse(text, "model.toml").expect("a model"), linear_only_rules("int8", "int8"));
    let options = Options {
        time_steps: 32,
        batch_size: 32,
        shift: 0.06,
        ..Options::new(network.expect("a network"), train, test, "")
    };
    let (program, function) = train::steps(&options).expect("a step");
    let target = Target::parse("cuda:h100").expect("a target");
    let whole = native::report_program(&target, &program, &function).expect("compiled");
    let launches = whole.launches.expect("a card launches kernels");
    // More than the gradient alone, still in one graph.
    assert!(launches.graphs == 1 && (30..=60).contains(&launches.launches), "{whole}");
    assert_eq!(whole.rows.len(), 3 + 3 + 2, "forward, weights' gradients, and those of the spikes: {whole}");
}

/// The report for the CPU describes the program that runs there.
#[test]
fn a_loop_of_neurons_adds_the_rows_that_it_alone_reads() {
    let model = ModelConfig::parse(MODEL, "model.toml").expect("a model");
    let network = Network::new(model, linear_only_rules("int8", "int8")).expect("a network");
    let forward = network.forward(&TensorType::new(DType::Pred, [16, 128, 256]), Mode::Qat).expect("traced");
    let report = |program: &Program| {
        let report = native::report_program(&Target::Cpu, program, &forward.function).expect("compiled");
        report.rows.iter().map(|row| (row.path.clone(), row.unit.clone())).collect::<Vec<_>>()
    };
    let fused = "sparse row sums in the neuron loop".to_owned();
    let paths = ["core/layers/0", "core/layers/2", "core/layers/4"];
    assert_eq!(report(&Program::named("kernels")), paths.map(|path| (path.to_owned(), fused.clone())));
    let without = report(&Program { without_kernels: true, ..Program::named("none") });
    assert!(without.iter().all(|(_, unit)| unit.starts_with("s8, ")), "{without:?}");
}

/// Spikes reach products as materialized s8; a product into which their computation is fused runs at bf16 rate.
#[test]
fn tpu_multiplies_spikes_at_the_rate_of_s8() {
    if installed(Platform::Tpu, "tpu") {
        // Without a TPU, opening libtpu requires variables, which the library can only set in a single-threaded process.
        let variables = [("TPU_SKIP_MDS_QUERY", "1"), ("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")];
        passes(own_process(module_path!(), "a_tpu_multiplies_s8").envs(variables));
    }
}

#[test]
#[ignore = "a part of the test above"]
fn a_tpu_multiplies_s8() {
    let report = report("tpu:v5e", "int8");
    assert_eq!(report.missed().count(), 0, "{report}");
    assert!(report.rows.iter().all(|row| row.unit == "s8" && row.cost.ends_with("cycles")), "{report}");
    assert_eq!(report.loops, Some(Loops { kernels: 3, remaining: Vec::new() }), "{report}");
    assert!(report.cycles.is_some_and(|cycles| cycles.estimated > 0), "{report}");
    assert!(report.to_string().contains("\nloops over time: 3, of which 3 are kernels\n"), "{report}");
}
