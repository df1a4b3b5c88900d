//! BatchNorm and delays under quantization: a test is bit-identical from parameters and from stored weights; which weights rules apply to.

use std::collections::BTreeMap;

use crate::device::cpu;
use spiq::config::{ModelConfig, RuleConfig};
use spiq::data::{ArrayFile, Inputs};
use spiq::network::Network;
use spiq::predict::{Settings, calibrate, outputs, outputs_of_stored};
use spiq::ptq::{Quantization, quantize_weights, read_weights};
use spiq::quant::Mode;
use spiq::random::Key;
use spiq::{Array, TensorType};

const MODEL: &str = "
layers = [
    { type = 'Linear', in_features = 12, out_features = 16, name = 'in' },
    { type = 'BatchNorm', num_features = 16 },
    { type = 'LIF', hidden_shape = 16, threshold = 0.3, name = 'spikes' },
    { type = 'Delay', channels = 16, max_delay = 2 },
    { type = 'DelayedLinear', in_features = 16, out_features = 16, max_delay = 4, name = 'late' },
    { type = 'Add', inputs = ['in', 'late'] },
    { type = 'LIF', hidden_shape = 16, threshold = 0.3 },
    { type = 'Linear', in_features = 16, out_features = 5 },
    { type = 'LI', layer_shape = 5 },
]";

fn rule(weight: &str, act: Option<&str>) -> RuleConfig {
    RuleConfig { weight_qtype: Some(weight.into()), act_qtype: act.map(str::to_owned), ..RuleConfig::default() }
}

fn network(rules: Vec<RuleConfig>) -> Network {
    Network::new(ModelConfig::parse(MODEL, "test").expect("a model"), rules).expect("a network")
}

/// Initial parameters, with statistics that differ from the initial ones.
fn params(network: &Network) -> BTreeMap<String, Array> {
    let mut params = network.init(3);
    for (number, (path, ty)) in network.running_types().into_iter().enumerate() {
        let values = Key::new(number as i64).uniform(ty.count(), 0.2, 0.9);
        params.insert(path, Array::new(ty.dims, values).expect("as many"));
    }
    params
}

fn inputs() -> Inputs {
    let x = Array::new([9, 6, 12], Key::new(1).uniform(9 * 6 * 12, 0.0, 1.0)).expect("648 numbers");
    let file = ArrayFile { arrays: [("inputs".to_owned(), x)].into(), ..ArrayFile::default() };
    Inputs::from_file(&file, "test").expect("inputs")
}

fn settings(mode: Mode) -> Settings {
    Settings { batch_size: 4, mode, ..Settings::default() }
}

#[test]
fn outputs_from_stored_weights_are_those_of_training() {
    let client = cpu();
    let inputs = inputs();
    let static_scale = RuleConfig { act_static_scale: Some(true), ..rule("int8", Some("int8")) };
    let rules = [rule("int8", Some("int8")), rule("int4", None), rule("ternary", Some("int8")), static_scale];
    for rule in rules {
        let what = format!("{rule:?}");
        let network = network(vec![rule.clone()]);
        let mut params = params(&network);
        if rule.act_static_scale.is_some() {
            params.extend(calibrate(client, &network, &params, &inputs, &settings(Mode::Qat)).expect("statistics"));
        }
        let Quantization { file, weights, .. } = quantize_weights(client, &network, &params).expect(&what);
        let paths: Vec<&str> = weights.iter().map(|weight| weight.path.as_str()).collect();
        assert_eq!(paths, ["core/layers/0/kernel", "core/layers/4/kernel", "core/layers/7/kernel"], "{what}");
        let folder = tempfile::tempdir().expect("a folder");
        file.write(&folder.path().join("q.safetensors")).expect("written");
        let read = ArrayFile::read(&folder.path().join("q.safetensors")).expect("read");
        let read = read_weights(&read, &network, "q").expect(&what);
        let stored = outputs_of_stored(client, &network, &read, &inputs, &settings(Mode::Ptq)).expect(&what);
        for mode in [Mode::Qat, Mode::Ptq] {
            assert_eq!(outputs(client, &network, &params, &inputs, &settings(mode)).expect(&what), stored, "{what}");
        }
    }
}

/// The product with delayed weights is treated like any other: it is in the table, and its outputs change.
#[test]
fn rules_reach_the_product_of_delayed_weights() {
    let x = TensorType::new(spiq::DType::F32, [6, 4, 12]);
    let network = network(vec![rule("int8", Some("int8"))]);
    for training in [false, true] {
        let report = match training {
            true => network.training(&x).expect("a pass").report,
            false => network.forward(&x, Mode::Ptq).expect("a pass").report,
        };
        let text = report.to_string();
        let line = text.lines().find(|line| line.contains("core/layers/4")).unwrap_or_else(|| panic!("{text}"));
        assert!(line.contains("int8"), "{line}");
        println!("{text}");
    }
}
