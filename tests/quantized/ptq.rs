//! Quantized stored weights: outputs are bit-identical to those of training; invalid files are refused.

use std::collections::BTreeMap;

use crate::device::cpu;
use crate::evaluate::execute;
use crate::reference::Reference;
use spiq::config::{ModelConfig, RuleConfig, TileSize};
use spiq::data::{ArrayFile, Inputs};
use spiq::network::{Forward, Network};
use spiq::predict::{Settings, calibrate, outputs, outputs_of_stored};
use spiq::ptq::{Quantization, StoredNetwork, quantize_weights, read_weights};
use spiq::quant::Mode;
use spiq::random::Key;
use spiq::signature::Port;
use spiq::{Array, DType, TensorType};

const MODEL: &str = r#"
name = "core"
layers = [
    { type = "Linear", in_features = 12, out_features = 16 },
    { type = "LIF", hidden_shape = 16, activation = { type = "triangular" } },
    { type = "Linear", in_features = 16, out_features = 5 },
    { type = "LI", layer_shape = 5 },
]
"#;

fn rule(weight: &str, act: Option<&str>) -> RuleConfig {
    RuleConfig { weight_qtype: Some(weight.into()), act_qtype: act.map(str::to_owned), ..RuleConfig::default() }
}

fn network(rule: RuleConfig) -> Network {
    Network::new(ModelConfig::parse(MODEL, "test").expect("a model"), vec![rule]).expect("a network")
}

/// The reference model's parameters, with nonzero biases.
fn params(network: &Network) -> BTreeMap<String, Array> {
    let file = Reference::load("model");
    let case = file.case("params");
    network.parameter_types().into_keys().map(|path| (path.clone(), case.array(&path).clone())).collect()
}

fn inputs() -> Inputs {
    let x = Array::new([9, 6, 12], Key::new(1).uniform(9 * 6 * 12, 0.0, 1.0)).expect("648 numbers");
    let file = ArrayFile { arrays: [("inputs".to_owned(), x)].into(), ..ArrayFile::default() };
    Inputs::from_file(&file, "test").expect("inputs")
}

fn settings(mode: Mode) -> Settings {
    Settings { batch_size: 4, mode, ..Settings::default() }
}

fn written_and_read(file: &ArrayFile) -> ArrayFile {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("q.safetensors");
    file.write(&path).expect("written");
    ArrayFile::read(&path).expect("read")
}

#[test]
fn outputs_from_stored_weights_are_those_of_training() {
    let client = cpu();
    let inputs = inputs();
    let rules = [
        rule("int8", Some("int8")),
        rule("int8", None),
        rule("int4", None),
        rule("int4", Some("int8")),
        rule("int3", None),
        rule("int2", Some("int8")),
        rule("int6", Some("int6")),
        rule("float8_e4m3fn", Some("float8_e4m3fn")),
        rule("float8_e5m2", None),
        rule("nf4", Some("int8")),
        rule("ternary", Some("int8")),
        rule("int1", None),
        RuleConfig { tile_size: Some(TileSize::Elements(4)), ..rule("int4", None) },
        RuleConfig { weight_calibration_method: "minmax".into(), ..rule("int8", None) },
        RuleConfig { act_calibration_method: Some("minmax".into()), ..rule("int8", Some("int8")) },
        RuleConfig { act_static_scale: Some(true), ..rule("int8", Some("int8")) },
    ];
    for rule in rules {
        let what = format!("{rule:?}");
        let network = network(rule.clone());
        let mut params = params(&network);
        if rule.act_static_scale.is_some() {
            params.extend(calibrate(client, &network, &params, &inputs, &settings(Mode::Qat)).expect("statistics"));
        }
        let Quantization { file, weights, before, after } = quantize_weights(client, &network, &params).expect(&what);
        assert!(after < before, "{what}: {after} bytes of {before}");
        let read = read_weights(&written_and_read(&file), &network, "q").expect(&what);
        let stored = outputs_of_stored(client, &network, &read, &inputs, &settings(Mode::Ptq)).expect(&what);
        for mode in [Mode::Qat, Mode::Ptq] {
            assert_eq!(outputs(client, &network, &params, &inputs, &settings(mode)).expect(&what), stored, "{what}");
        }
        assert_eq!(weights.iter().map(|w| w.path.as_str()).collect::<Vec<_>>(), PATHS, "{what}");
        for weight in &weights {
            assert!(weight.max_error > 0.0 && weight.rms_error < 0.6, "{what}: {weight:?}");
        }
        let x = TensorType::new(DType::F32, [6, 4, 12]);
        let forward = StoredNetwork::new(&network, &x).expect(&what).forward;
        let types: BTreeMap<&String, &TensorType> =
            forward.signature.arrays().map(|port| (&port.name, &port.ty)).collect();
        for path in PATHS {
            assert!(!types.contains_key(&path.to_owned()), "{what}: {path} is given in full precision");
            assert_eq!(types[&format!("{path}/qvalue")].dtype.host_bytes(), 1, "{what}: {path} is not kept quantized");
        }
    }
}

const PATHS: [&str; 2] = ["core/layers/0/kernel", "core/layers/2/kernel"];

/// qwix's PTQ refuses convolutions of 4-bit weights with 8-bit activations, and weight-only convolutions.
#[test]
fn convolutions_are_stored_as_well() {
    let client = cpu();
    let text = r#"layers = [
        { type = "Conv", in_features = 2, out_features = 4, kernel_size = [3, 3] },
        { type = "LIF", hidden_shape = [6, 6, 4] },
        { type = "Flatten" },
        { type = "Linear", in_features = 144, out_features = 5 },
        { type = "LI", layer_shape = 5 },
    ]"#;
    let x = Array::new([3, 4, 6, 6, 2], Key::new(3).uniform(3 * 4 * 72, 0.0, 1.0)).expect("864 numbers");
    let file = ArrayFile { arrays: [("inputs".to_owned(), x)].into(), ..ArrayFile::default() };
    let inputs = Inputs::from_file(&file, "test").expect("inputs");
    for (weight, act) in [("int8", Some("int8")), ("int4", Some("int8")), ("int8", None), ("float8_e4m3fn", None)] {
        let what = format!("{weight} {act:?}");
        let config = ModelConfig::parse(text, "test").expect("a model");
        let network = Network::new(config, vec![rule(weight, act)]).expect("a network");
        let params = network.init(0);
        let file = quantize_weights(client, &network, &params).expect(&what).file;
        assert!(file.arrays.contains_key("core/layers/0/kernel/qvalue"), "{what}");
        let read = read_weights(&written_and_read(&file), &network, "q").expect(&what);
        let stored = outputs_of_stored(client, &network, &read, &inputs, &settings(Mode::Ptq)).expect(&what);
        assert_eq!(outputs(client, &network, &params, &inputs, &settings(Mode::Qat)).expect(&what), stored, "{what}");
    }
}

#[test]
fn types_of_tiles_are_stored_as_well() {
    let client = cpu();
    let text = r#"layers = [
        { type = "Linear", in_features = 64, out_features = 6 }, { type = "LI", layer_shape = 6 },
    ]"#;
    let x = Array::new([3, 5, 64], Key::new(2).uniform(3 * 5 * 64, -1.0, 1.0)).expect("960 numbers");
    let file = ArrayFile { arrays: [("inputs".to_owned(), x)].into(), ..ArrayFile::default() };
    let inputs = Inputs::from_file(&file, "test").expect("inputs");
    for (qtype, bytes, scales) in [("mxfp8", 384, 12), ("mxfp4", 192, 12), ("nvfp4", 192, 24)] {
        let config = ModelConfig::parse(text, "test").expect("a model");
        let network = Network::new(config, vec![rule(qtype, Some(qtype))]).expect("a network");
        let params = network.init(0);
        let quantization = quantize_weights(client, &network, &params).expect(qtype);
        assert_eq!(quantization.weights[0].after, bytes + 4 * scales, "{qtype}");
        let read = read_weights(&written_and_read(&quantization.file), &network, "q").expect(qtype);
        let stored = outputs_of_stored(client, &network, &read, &inputs, &settings(Mode::Ptq)).expect(qtype);
        assert_eq!(outputs(client, &network, &params, &inputs, &settings(Mode::Qat)).expect(qtype), stored, "{qtype}");
    }
}

#[test]
fn narrow_weights_are_packed() {
    let client = cpu();
    for (qtype, bytes) in [
        ("int8", 192),
        ("int5", 192),
        ("int4", 96),
        ("int3", 96),
        ("int2", 48),
        ("nf4", 96),
        ("ternary", 48),
        ("int1", 48),
        ("float8_e4m3fn", 192),
    ] {
        let network = network(rule(qtype, None));
        let quantization = quantize_weights(client, &network, &params(&network)).expect(qtype);
        let values = &quantization.file.arrays["core/layers/0/kernel/qvalue"];
        assert_eq!(values.bytes().len(), bytes, "{qtype}");
        // One scale per output feature.
        assert_eq!(quantization.weights[0].after, bytes + 16 * 4, "{qtype}");
        assert_eq!(quantization.file.metadata["qtype:core/layers/0/kernel"], qtype);
    }
}

/// On accelerators, integers of up to four bits are held two to a byte. The program for them gives the same outputs.
#[test]
fn narrow_weights_run_from_four_bits() {
    let client = cpu();
    for (qtype, act, dtype) in [
        ("int4", Some("int8"), DType::S4),
        ("int4", None, DType::S4),
        ("int2", Some("int8"), DType::S4),
        ("ternary", Some("int8"), DType::S4),
        ("int5", Some("int8"), DType::S8),
        ("nf4", None, DType::U8),
    ] {
        let network = network(rule(qtype, act));
        let file = quantize_weights(client, &network, &params(&network)).expect(qtype).file;
        let read = read_weights(&written_and_read(&file), &network, "q").expect(qtype);
        let stored = StoredNetwork::new(&network, &TensorType::new(DType::F32, [6, 4, 12])).expect(qtype);
        let packed = stored.packed().expect(qtype);
        let x = Array::new([6, 4, 12], Key::new(1).uniform(6 * 4 * 12, 0.0, 1.0)).expect("288 numbers");
        let run = |forward: &Forward| {
            let given = |port: &Port| match read.get(&port.name) {
                Some(array) if *array.ty() == port.ty => array.clone(),
                Some(array) => Array::from_bytes(port.ty.clone(), array.bytes().to_vec()).expect("a byte for each"),
                None => x.clone(),
            };
            let inputs: Vec<Array> = forward.signature.inputs().iter().map(given).collect();
            execute(&forward.function, &inputs.iter().collect::<Vec<_>>())
        };
        assert_eq!(run(&packed), run(&stored.forward), "{qtype} {act:?}");
        let values = |port: &&Port| port.name.ends_with("/qvalue");
        let types: Vec<DType> = packed.signature.arrays().filter(values).map(|port| port.ty.dtype).collect();
        assert_eq!(types, [dtype; 2], "{qtype} {act:?}");
    }
}

#[test]
fn hostile_files_are_refused_in_one_sentence() {
    let client = cpu();
    let narrow = network(RuleConfig { weight_calibration_method: "minmax".into(), ..rule("int4", None) });
    let good = quantize_weights(client, &narrow, &params(&narrow)).expect("quantizes").file;
    let refused = |network: &Network, good: &ArrayFile, change: &dyn Fn(&mut ArrayFile)| {
        let mut file = good.clone();
        change(&mut file);
        let error = read_weights(&file, network, "q").expect_err("a refusal").to_string();
        assert_eq!(error.lines().count(), 1, "{error}");
        error
    };
    let path = "core/layers/0/kernel";
    let put = |file: &mut ArrayFile, part: &str, array: Array| file.arrays.insert(format!("{path}/{part}"), array);
    let scales = |value: f32| {
        let mut scales = vec![0.1; 16];
        scales[3] = value;
        Array::new([1, 16], scales).expect("16 scales")
    };
    let mut said = Vec::new();
    said.push(refused(&narrow, &good, &|file| drop(file.metadata.remove("weights"))));
    said.push(refused(&narrow, &good, &|file| drop(file.metadata.insert("weights".into(), "quantized 9".into()))));
    said.push(refused(&narrow, &good, &|file| drop(file.metadata.insert(format!("qtype:{path}"), "int8".into()))));
    said.push(refused(&narrow, &good, &|file| drop(file.arrays.remove(&format!("{path}/scale")))));
    said.push(refused(&narrow, &good, &|file| {
        drop(put(file, "qvalue", Array::zeros(TensorType::new(DType::U8, [95]))))
    }));
    said.push(refused(&narrow, &good, &|file| {
        drop(put(file, "qvalue", Array::zeros(TensorType::new(DType::S8, [12, 16]))))
    }));
    for value in [f32::NAN, f32::INFINITY, 0.0, -1.0] {
        said.push(refused(&narrow, &good, &|file| drop(put(file, "scale", scales(value)))));
    }
    said.push(refused(&narrow, &good, &|file| {
        drop(put(file, "zero_point", Array::new([1, 16], vec![9i8; 16]).expect("16 zero points")));
    }));
    let three = network(rule("int3", None));
    let good = quantize_weights(client, &three, &params(&three)).expect("quantizes").file;
    said.push(refused(&three, &good, &|file| {
        drop(put(file, "qvalue", Array::new([96], vec![0x77u8; 96]).expect("bytes")))
    }));
    let float = network(rule("float8_e4m3fn", None));
    let good = quantize_weights(client, &float, &params(&float)).expect("quantizes").file;
    let nan = Array::from_bytes(TensorType::new(DType::F8E4M3FN, [12, 16]), vec![0x7fu8; 192]).expect("192 bytes");
    said.push(refused(&float, &good, &|file| drop(put(file, "qvalue", nan.clone()))));
    let wanted = [
        "q: it holds no quantized weights; `spiq quantize` writes them",
        "q: its format is `quantized 9`, but only `quantized 1` is supported",
        "q: `core/layers/0/kernel` is int8, but the rules require int4",
        "q: it lacks `core/layers/0/kernel/scale` (f32[1,16])",
        "q: `core/layers/0/kernel/qvalue` is u8[95], but the model and its rules need u8[96]",
        "q: `core/layers/0/kernel/qvalue` is s8[12,16], but the model and its rules need u8[96]",
        "q: `core/layers/0/kernel/scale` has a scale that is not a positive number",
        "q: `core/layers/0/kernel/scale` has a scale that is not a positive number",
        "q: `core/layers/0/kernel/scale` has a scale that is not a positive number",
        "q: `core/layers/0/kernel/scale` has a scale that is not a positive number",
        "q: `core/layers/0/kernel/zero_point` has a value that int4 cannot represent",
        "q: `core/layers/0/kernel/qvalue` has a value that int3 cannot represent",
        "q: `core/layers/0/kernel/qvalue` has a value that float8_e4m3fn cannot represent",
    ];
    assert_eq!(said, wanted);
}

#[test]
fn static_scales_need_statistics() {
    let client = cpu();
    let network = network(RuleConfig { act_static_scale: Some(true), ..rule("int8", Some("int8")) });
    let params = params(&network);
    let error = quantize_weights(client, &network, &params).expect_err("a refusal").to_string();
    let error_of_outputs =
        outputs(client, &network, &params, &inputs(), &settings(Mode::Ptq)).expect_err("a refusal").to_string();
    assert_eq!(
        error,
        "the rules need the statistic `quant_stats/core/layers/0/dot_general0_lhs/count` (s32[]); a static scale comes from \
         statistics: train with act_static_scale, or run spiq quantize --calibrate"
    );
    assert_eq!(error_of_outputs, error);
    let found = calibrate(client, &network, &params, &inputs(), &settings(Mode::Qat)).expect("statistics");
    assert_eq!(found["quant_stats/core/layers/0/dot_general0_lhs/count"].to_f64(), [12.0], "2 batches of 6 steps");
    let none = network_without_static();
    let error = calibrate(client, &none, &params, &inputs(), &settings(Mode::Qat)).expect_err("a refusal").to_string();
    assert_eq!(
        error,
        "no rule has act_static_scale, so there is nothing to calibrate; set it in a rule, or leave calibration out"
    );
}

fn network_without_static() -> Network {
    network(rule("int8", Some("int8")))
}
