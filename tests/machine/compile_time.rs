//! Compiling ends: programs that draw random numbers (encoders, dropout, noise) beside quantized products, in every mode and for
//! sizes at which LLVM once searched threefry's rounds for a checksum without end. Each is compiled anew, with a limit.

use std::sync::atomic::AtomicBool;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use spiq::config::{ModelConfig, RuleConfig};
use spiq::data::{ArrayFile, Dataset};
use spiq::network::Network;
use spiq::pjrt::{Client, ClientOptions, Platform};
use spiq::quant::{Arithmetic, Gradients, Mode, Numerics};
use spiq::train::{Length, Options, run};
use spiq::{Array, DType, TensorType, predict};

/// What a compilation may take. Without the search it is a second or two; with it, more than an hour.
const LIMIT: Duration = Duration::from_secs(120);

/// Runs `f` on a thread, and fails when it takes too long.
#[track_caller]
fn in_time(what: &str, f: impl FnOnce() + Send + 'static) {
    let (done, ended) = mpsc::channel();
    let start = Instant::now();
    let thread = std::thread::spawn(move || {
        f();
        // Nobody listens any more where the limit has passed.
        _ = done.send(());
    });
    match ended.recv_timeout(LIMIT) {
        Ok(()) => println!("{what}: {:.1} s", start.elapsed().as_secs_f64()),
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("{what}: not done after {} s", LIMIT.as_secs()),
        Err(mpsc::RecvTimeoutError::Disconnected) => std::panic::resume_unwind(thread.join().expect_err("it failed")),
    }
}

/// A client that finds nothing compiled: its folder is new.
fn client(folder: &tempfile::TempDir) -> Client {
    let options = ClientOptions { executables: Some(folder.path().join("compiled")), ..ClientOptions::default() };
    Client::open_with(Platform::Cpu, &options, &mut |_| {}).expect("the processor's plugin")
}

/// Images of so many pixels, with labels.
fn images(pixels: usize) -> Dataset {
    let count = 8;
    let bytes: Vec<f64> = (0..count * pixels).map(|i| (i * 37 % 256) as f64).collect();
    let images = Array::from_f64(TensorType::new(DType::U8, [count, pixels]), &bytes).unwrap();
    let labels = Array::new([count], (0..count as i32).map(|i| i % 2).collect::<Vec<_>>()).unwrap();
    let arrays = [("images".to_owned(), images), ("labels".to_owned(), labels)].into();
    Dataset::from_file(&ArrayFile { arrays, ..ArrayFile::default() }, "images", None).unwrap()
}

/// Every way in which a product is computed: types of weights, activations and gradients, and whose numerics.
fn modes() -> Vec<(String, Vec<RuleConfig>, Numerics)> {
    let rule = |weights: &str, activations: Option<&str>| RuleConfig {
        weight_qtype: Some(weights.to_owned()),
        act_qtype: activations.map(str::to_owned),
        ..RuleConfig::default()
    };
    let int8 = rule("int8", Some("int8"));
    let backward = RuleConfig {
        bwd_qtype: Some("int8".to_owned()),
        bwd_stochastic_rounding: Some("uniform".to_owned()),
        ..int8.clone()
    };
    let fixed = RuleConfig { act_static_scale: Some(true), ..int8.clone() };
    let mut modes = vec![
        ("f32".to_owned(), Vec::new(), Numerics::Exact),
        ("int8 as qwix".to_owned(), vec![int8], Numerics::Qwix),
        ("int8 with noisy gradients".to_owned(), vec![backward], Numerics::Exact),
        ("int8 with static scales".to_owned(), vec![fixed], Numerics::Exact),
        ("int8 weights".to_owned(), vec![rule("int8", None)], Numerics::Exact),
    ];
    for qtype in ["int8", "int4", "ternary", "nf4", "float8_e4m3fn", "float8_e5m2", "mxfp8"] {
        modes.push((qtype.to_owned(), vec![rule(qtype, Some(qtype))], Numerics::Exact));
    }
    modes
}

fn network(text: &str, rules: &[RuleConfig], numerics: Numerics) -> Network {
    let model = ModelConfig::parse(text, "test").unwrap_or_else(|e| panic!("{e}"));
    Network::new(model, rules.to_vec()).unwrap_or_else(|e| panic!("{e}")).with_numerics(numerics)
}

fn predicted(what: String, network: Network, pixels: usize) {
    in_time(&what, move || {
        let folder = tempfile::tempdir().unwrap();
        let client = client(&folder);
        let settings = predict::Settings { time_steps: 6, batch_size: 4, mode: Mode::Ptq, ..Default::default() };
        let params = network.init(0);
        let data = images(pixels);
        let outputs = predict::outputs(&client, &network, &params, data.inputs(), &settings);
        assert_eq!(outputs.unwrap().dims(), [8, 6, 12]);
    });
}

fn trained(what: String, network: Network, pixels: usize) {
    in_time(&what, move || {
        let folder = tempfile::tempdir().unwrap();
        let client = client(&folder);
        let options = Options {
            batch_size: 4,
            length: Length::Steps(2),
            time_steps: 4,
            steps_per_call: Some(2),
            ..Options::new(network, images(pixels), images(pixels), folder.path().join("run"))
        };
        run(&client, &options, &AtomicBool::new(false), &mut |_| {}).unwrap_or_else(|e| panic!("{e}"));
    });
}

/// A product of spikes that are encoded in the program.
fn readout(pixels: usize) -> String {
    format!(
        "layers = [{{ type = \"Linear\", in_features = {pixels}, out_features = 12 }}, {{ type = \"LI\", layer_shape = 12 }}]"
    )
}

/// The same with neurons, dropout and a second product of so many features.
fn dropout(pixels: usize, features: usize) -> String {
    format!(
        "layers = [{{ type = \"Linear\", in_features = {pixels}, out_features = {features} }}, \
         {{ type = \"LIF\", hidden_shape = {features} }}, {{ type = \"Dropout\", rate = 0.1 }}, \
         {{ type = \"Linear\", in_features = {features}, out_features = 10 }}, {{ type = \"LI\", layer_shape = 10 }}]"
    )
}

/// LLVM is told with each program. (The known programs compile with exact maxima alone, too.)
#[test]
fn llvm_is_told_not_to_search() {
    let client = Client::cpu().expect("the processor's plugin");
    let flags = client.xla_flags();
    assert!(flags.contains("--xla_backend_extra_options="), "{flags}");
}

const SIZES: [usize; 8] = [8, 12, 16, 24, 32, 33, 48, 64];

#[test]
fn predictions_from_encoded_images_compile() {
    // Static scales come from training or calibration, which the other tests compile.
    for (name, rules, numerics) in modes().into_iter().filter(|mode| !mode.0.contains("static")) {
        // Types with tiles of 32 take no other sizes.
        let sizes: &[usize] = if name == "mxfp8" { &[32, 64] } else { &SIZES };
        for &pixels in sizes {
            predicted(format!("{name}, {pixels} pixels"), network(&readout(pixels), &rules, numerics), pixels);
        }
    }
}

#[test]
fn training_with_dropout_compiles_for_every_size() {
    let (_, rules, numerics) = modes().remove(1);
    for features in SIZES {
        trained(format!("{features} features"), network(&dropout(16, features), &rules, Numerics::Exact), 16);
    }
    trained("32 features as qwix".to_owned(), network(&dropout(16, 32), &rules, numerics), 16);
}

#[test]
fn training_with_dropout_compiles_in_every_mode() {
    for (name, rules, numerics) in modes() {
        // Statistics of static scales are tested without dropout: what they count is another test's.
        let model = if name.contains("static") { readout(32) } else { dropout(32, 64) };
        trained(name.clone(), network(&model, &rules, numerics), 32);
    }
    let arithmetic = Arithmetic { gradients: Gradients::Bf16, ..Arithmetic::default() };
    let int8 = &modes()[1].1;
    let bf16 = network(&dropout(32, 64), int8, arithmetic.numerics).with_gradients(arithmetic.gradients);
    trained("int8 with gradients in bf16".to_owned(), bf16, 32);
}

/// Every other layer behind an encoder: windows over images, normalization, votes, recurrence.
#[test]
fn every_layer_behind_an_encoder_compiles() {
    let (_, rules, _) = modes().remove(1);
    let front = "{ type = \"Conv\", in_features = 1, out_features = 2, kernel_size = [3, 3] }";
    let end = "{ type = \"Flatten\" }, { type = \"Linear\", in_features = 32, out_features = 10 }";
    let neurons = ["LIF", "IF", "ALIF", "CuBaLIF", "PSU_LIF"];
    let pools = ["SumPool", "AvgPool", "MaxPool"];
    for (i, pool) in pools.into_iter().enumerate() {
        let pool = format!("{{ type = \"{pool}\", window_shape = [2, 2], strides = [2, 2], padding = \"VALID\" }}");
        let neuron = format!("{{ type = \"{}\", hidden_shape = [4, 4, 2] }}", neurons[i]);
        let rest = "{ type = \"Dropout\", rate = 0.5 }, { type = \"LayerNorm\", num_features = 10 }";
        let model =
            format!("layers = [{front}, {pool}, {neuron}, {end}, {rest}, {{ type = \"LI\", layer_shape = 10 }}]");
        trained(pools[i].to_owned(), network(&model, &rules, Numerics::Exact), 64);
    }
    for neuron in [
        "ALIF", "CuBaLIF", "PSU_LIF", "RIF", "RLIF", "RCuBaLIF", "adLIF", "SE_adLIF", "SiLIF", "CSiLIF", "RF", "BRF",
        "RFSSM",
    ] {
        let model = format!(
            "layers = [{{ type = \"Linear\", in_features = 16, out_features = 8 }}, \
             {{ type = \"{neuron}\", hidden_shape = 8 }}, {{ type = \"Linear\", in_features = 8, out_features = 20 }}, \
             {{ type = \"PopulationCode\", num_classes = 10 }}, {{ type = \"LI\", layer_shape = 10 }}]"
        );
        trained(neuron.to_owned(), network(&model, &rules, Numerics::Exact), 16);
    }
}
