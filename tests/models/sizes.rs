//! Edge cases of shapes: non-square images, networks that begin with a pool, long signals, and sizes of 1 everywhere.

use std::collections::BTreeMap;

use crate::evaluate::execute;
use spiq::config::{ModelConfig, RuleConfig};
use spiq::network::Network;
use spiq::quant::{Mode, linear_only_rules};
use spiq::{Array, DType, TensorType};

fn model(layers: &str) -> ModelConfig {
    ModelConfig::parse(&format!("layers = [{layers}]"), "test").unwrap_or_else(|e| panic!("{e}"))
}

/// If no layer states a size, a shape that all layers accept is inferred.
#[test]
fn the_shape_of_a_sample_is_found() {
    let conv = "{ type = \"Conv\", in_features = 1, out_features = 2, kernel_size = [3, 3] }";
    let valid = "{ type = \"Conv\", in_features = 1, out_features = 2, kernel_size = [3, 3], padding = \"VALID\" }";
    let pool = "{ type = \"AvgPool\", window_shape = [2, 2], strides = [2, 2], padding = \"VALID\" }";
    let signal = "{ type = \"Conv\", in_features = 1, out_features = 2, kernel_size = 5 }";
    let lif = |shape: &str| format!("{{ type = \"LIF\", hidden_shape = {shape} }}");
    let linear = |size: usize| {
        format!("{{ type = \"Flatten\" }}, {{ type = \"Linear\", in_features = {size}, out_features = 5 }}")
    };
    let cases: Vec<(String, &[usize])> = vec![
        // Given by neurons, and not square.
        (format!("{conv}, {}, {}", lif("[3, 4, 2]"), linear(24)), &[3, 4, 1]),
        (format!("{valid}, {}, {}", lif("[3, 7, 2]"), linear(42)), &[5, 9, 1]),
        (format!("{pool}, {conv}, {}, {}", lif("[3, 7, 2]"), linear(42)), &[6, 14, 1]),
        (lif("[2, 3, 4]"), &[2, 3, 4]),
        // A leading pool leaves the channels open; the convolution determines them.
        (format!("{pool}, {conv}, {}", linear(32)), &[8, 8, 1]),
        (format!("{pool}, {pool}, {conv}, {}", linear(32)), &[16, 16, 1]),
        (
            format!(
                "{{ type = \"MaxPool\", window_shape = [3], strides = [1], padding = \"VALID\" }}, {signal}, {}",
                linear(20)
            ),
            &[12, 1],
        ),
        (
            format!("{pool}, {{ type = \"Flatten\" }}, {{ type = \"Linear\", in_features = 16, out_features = 5 }}"),
            &[4, 4, 4],
        ),
        // Only the number of elements is known: square if possible.
        (format!("{conv}, {}", linear(32)), &[4, 4, 1]),
        (format!("{conv}, {}", linear(24)), &[1, 12, 1]),
        (format!("{valid}, {}", linear(24)), &[3, 14, 1]),
        // Signals.
        (format!("{signal}, {}", linear(2 * 1024)), &[1024, 1]),
        (format!("{signal}, {}", linear(2 * 1025)), &[1025, 1]),
        (format!("{signal}, {}", linear(2 * 16_000)), &[16_000, 1]),
        (format!("{signal}, {}, {}", lif("[44100, 2]"), linear(88_200)), &[44_100, 1]),
    ];
    for (layers, shape) in cases {
        let model = model(&layers);
        let wanted = if layers.starts_with("{ type = \"LIF\"") { 4 } else { 5 };
        assert_eq!((model.input_shape().as_slice(), model.outputs()), (shape, wanted), "{layers}");
        // A program for that shape can be traced.
        let network = Network::new(model, Vec::new()).unwrap();
        let x = TensorType::new(DType::F32, [&[2, 3], shape].concat());
        assert_eq!(network.forward(&x, Mode::Qat).unwrap().function.result_types()[0].dims[..2], [2, 3], "{layers}");
    }
}

/// Runs parameters and an input of halves through the network and its gradient.
fn values(network: &Network, dims: &[usize], mode: Mode) -> (Array, Option<Vec<Array>>) {
    let x = TensorType::new(DType::F32, dims);
    let count = x.count();
    let input = Array::new(dims, (0..count).map(|i| 0.5 + (i % 7) as f32 * 0.25).collect::<Vec<_>>()).unwrap();
    let params: BTreeMap<String, Array> = network.init(0);
    let forward = network.forward(&x, mode).unwrap_or_else(|e| panic!("{dims:?}: {e}"));
    let inputs: Vec<&Array> = params.values().chain([&input]).collect();
    let outputs = execute(&forward.function, &inputs).remove(0);
    let labels = Array::new([dims[1]], vec![0i32; dims[1]]).unwrap();
    let gradient = (mode == Mode::Qat && outputs.dims().len() == 3).then(|| {
        let gradient = forward.gradient().unwrap_or_else(|e| panic!("{dims:?}: {e}"));
        execute(&gradient, &[&inputs[..], &[&labels]].concat())
    });
    (outputs, gradient)
}

/// Processing sample by sample and step by step equals processing all at once, for times, batches and features of 1.
#[test]
fn sizes_of_one_are_like_any_other() {
    let neurons = [
        "LIF", "IF", "ALIF", "CuBaLIF", "RIF", "RLIF", "RCuBaLIF", "PSU_LIF", "LI", "adLIF", "SE_adLIF", "SiLIF",
        "CSiLIF", "BRF", "RFSSM",
    ];
    let rules: [Vec<RuleConfig>; 2] = [Vec::new(), linear_only_rules("int8", "int8")];
    let mut programs = 0;
    for kind in neurons {
        for size in [1, 3] {
            let name = if kind == "LI" { "layer_shape" } else { "hidden_shape" };
            let text = format!(
                "{{ type = \"Linear\", in_features = {size}, out_features = {size} }}, {{ type = \"{kind}\", {name} = {size} }}, \
                 {{ type = \"Linear\", in_features = {size}, out_features = {size} }}, {{ type = \"LI\", layer_shape = {size} }}"
            );
            for (rules, mode) in [(&rules[0], Mode::Qat), (&rules[1], Mode::Qat), (&rules[1], Mode::Ptq)] {
                let network = Network::new(model(&text), rules.clone()).unwrap();
                for [time, batch] in [[1, 1], [2, 1]] {
                    let (outputs, gradient) = values(&network, &[time, batch, size], mode);
                    let what = format!("{kind} of {size}, {time} steps of {batch}, {mode:?}, {} rules", rules.len());
                    assert_eq!(outputs.dims(), [time, batch, size], "{what}");
                    let all = [vec![outputs], gradient.unwrap_or_default()].concat();
                    assert!(all.iter().all(|array| array.to_f64().iter().all(|x| x.is_finite())), "{what}: {all:?}");
                    programs += 1;
                }
            }
        }
    }
    println!("{programs} programs");
}

/// A batch of 1 gives the same result as that sample in a batch, one step the same as the first of several.
#[test]
fn one_sample_and_one_step_are_those_of_many() {
    let text = "{ type = \"Conv\", in_features = 1, out_features = 2, kernel_size = [3, 3] }, \
                { type = \"SumPool\", window_shape = [2, 1], strides = [2, 1], padding = \"VALID\" }, \
                { type = \"LIF\", hidden_shape = [2, 1, 2] }, { type = \"Flatten\" }, \
                { type = \"Linear\", in_features = 4, out_features = 3 }, { type = \"LI\", layer_shape = 3 }";
    let network = Network::new(model(text), Vec::new()).unwrap();
    let dims = [3, 2, 4, 1, 1];
    let count: usize = dims.iter().product();
    let all: Vec<f32> = (0..count).map(|i| (i * 5 % 11) as f32 * 0.3).collect();
    let run = |time: usize, batch: usize, x: Vec<f32>| {
        let dims = [time, batch, 4, 1, 1];
        let forward = network.forward(&TensorType::new(DType::F32, dims), Mode::Qat).unwrap();
        let (params, x) = (network.init(0), Array::new(dims, x).unwrap());
        execute(&forward.function, &params.values().chain([&x]).collect::<Vec<_>>()).remove(0).to_f64()
    };
    let many = run(3, 2, all.clone());
    // Outputs are [T, B, 3].
    assert_eq!(run(1, 2, all[..8].to_vec()), many[..6]);
    let second: Vec<f32> = all.chunks(4).skip(1).step_by(2).flatten().copied().collect();
    let wanted: Vec<f64> = many.chunks(3).skip(1).step_by(2).flatten().copied().collect();
    assert_eq!(run(3, 1, second), wanted);
}
