//! Compilation terminates: programs that draw random numbers (encoders, dropout, noise) next to quantized products, in every mode and
//! for sizes at which LLVM used to search threefry's rounds for a checksum endlessly. Each is compiled without cache, with a time limit.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::own_process::{own_process, passes};
use spiq::augment::Augmentation;
use spiq::config::{ModelConfig, RuleConfig};
use spiq::data::{ArrayFile, Code, Dataset};
use spiq::network::Network;
use spiq::pjrt::{Client, ClientOptions, Platform};
use spiq::quant::{Arithmetic, Gradients, Mode, Numerics};
use spiq::train::{LOCK, Length, Options, run};
use spiq::{Array, DType, TensorType, predict};

/// Time limit of a compilation. Without the search it takes a second or two; with it, more than an hour.
const LIMIT: Duration = Duration::from_secs(120);

/// Runs `f` on a thread, and fails on a timeout.
#[track_caller]
fn in_time(what: &str, f: impl FnOnce() + Send + 'static) {
    let (done, ended) = mpsc::channel();
    let start = Instant::now();
    let thread = std::thread::spawn(move || {
        f();
        // After a timeout nobody receives this.
        _ = done.send(());
    });
    match ended.recv_timeout(LIMIT) {
        Ok(()) => println!("{what}: {:.1} s", start.elapsed().as_secs_f64()),
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("{what}: not done after {} s", LIMIT.as_secs()),
        Err(mpsc::RecvTimeoutError::Disconnected) => std::panic::resume_unwind(thread.join().expect_err("it failed")),
    }
}

/// A client with a new, empty cache.
fn client(folder: &tempfile::TempDir) -> Client {
    let options = ClientOptions { executables: Some(folder.path().join("compiled")), ..ClientOptions::default() };
    Client::open_with(Platform::Cpu, &options, &mut |_| {}).expect("the processor's plugin")
}

/// Images with `pixels` pixels, and labels.
fn images(pixels: usize) -> Dataset {
    let count = 8;
    let bytes: Vec<f64> = (0..count * pixels).map(|i| (i * 37 % 256) as f64).collect();
    let images = Array::from_f64(TensorType::new(DType::U8, [count, pixels]), &bytes).unwrap();
    let labels = Array::new([count], (0..count as i32).map(|i| i % 2).collect::<Vec<_>>()).unwrap();
    let arrays = [("images".to_owned(), images), ("labels".to_owned(), labels)].into();
    Dataset::from_file(&ArrayFile { arrays, ..ArrayFile::default() }, "images", None).unwrap()
}

/// The same with an encoder.
fn images_of(pixels: usize, code: Code) -> Dataset {
    images(pixels).encoded(code).unwrap()
}

/// Every way to compute a product: types of weights, activations and gradients, and the numerics.
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
    trained_on(what, network, images(pixels), Augmentation::default());
}

fn trained_on(what: String, network: Network, data: Dataset, augment: Augmentation) {
    in_time(&what, move || {
        let folder = tempfile::tempdir().unwrap();
        let client = client(&folder);
        let options = Options {
            batch_size: 4,
            length: Length::Steps(2),
            time_steps: 4,
            steps_per_call: Some(2),
            augment,
            ..Options::new(network, data.clone(), data, folder.path().join("run"))
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

/// The same with neurons, dropout and a second product with `features` features.
fn dropout(pixels: usize, features: usize) -> String {
    format!(
        "layers = [{{ type = \"Linear\", in_features = {pixels}, out_features = {features} }}, \
         {{ type = \"LIF\", hidden_shape = {features} }}, {{ type = \"Dropout\", rate = 0.1 }}, \
         {{ type = \"Linear\", in_features = {features}, out_features = 10 }}, {{ type = \"LI\", layer_shape = 10 }}]"
    )
}

/// LLVM's option is set for each program. (The known programs would also compile with exact maxima alone.)
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
        // Types with tiles of 32 require multiples.
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
        // Static-scale statistics are tested without dropout; what they count is tested elsewhere.
        let model = if name.contains("static") { readout(32) } else { dropout(32, 64) };
        trained(name.clone(), network(&model, &rules, numerics), 32);
    }
    let arithmetic = Arithmetic { gradients: Gradients::Bf16, ..Arithmetic::default() };
    let int8 = &modes()[1].1;
    let bf16 = network(&dropout(32, 64), int8, arithmetic.numerics).with_gradients(arithmetic.gradients);
    trained("int8 with gradients in bf16".to_owned(), bf16, 32);
}

/// Every other layer after an encoder: windows over images, normalization, votes, recurrence.
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

/// Every encoder, in each mode that produced different code: with dropout in training, and alone.
#[test]
fn every_encoder_compiles() {
    let images = [
        "Rate",
        "Rate(max_r = 0.5)",
        "Latency(tau = 2, linear = true)",
        "Population(neuron_count = 4, latency = false)",
    ];
    let codes = images.into_iter().chain(["Population(neuron_count = 4)", "Angle(neuron_count = 4)"]);
    for code in codes {
        let code = Code::parse(code).unwrap();
        let data = images_of(16, code);
        let neurons: usize = data.inputs().encoded_features().iter().product();
        for (name, rules, numerics) in
            modes().into_iter().filter(|(name, ..)| ["f32", "int8 as qwix", "int4"].contains(&&name[..]))
        {
            let what = format!("{code}, {name}");
            let front = format!(
                "layers = [{{ type = \"Flatten\" }}, {{ type = \"Linear\", in_features = {neurons}, out_features = 12 }}, \
                 {{ type = \"LIF\", hidden_shape = 12 }}, {{ type = \"Dropout\", rate = 0.1 }}, \
                 {{ type = \"Linear\", in_features = 12, out_features = 10 }}, {{ type = \"LI\", layer_shape = 10 }}]"
            );
            trained_on(what, network(&front, &rules, numerics), data.clone(), Augmentation::default());
        }
    }
}

/// All other random draws in a step: augmentations, masks shared by all steps, gains, gradient noise.
#[test]
fn every_other_draw_compiles() {
    let (_, int8, _) = modes().remove(1);
    let model = "layers = [{ type = \"Linear\", in_features = 16, out_features = 12 }, { type = \"LIF\", hidden_shape = 12 }, \
                 { type = \"Dropout\", rate = 0.3, same_for_all_steps = true }, { type = \"Linear\", in_features = 12, out_features = 10 }, \
                 { type = \"LI\", layer_shape = 10 }]";
    let changes = [
        "TimeShift(max = 1)",
        "ChannelShift(max = 2)",
        "DropEvent(p = 0.1)",
        "DropEventByTime(duration_ratio = 0.2)",
        "EventDrop()",
        "RandomTimeReversal(p = 0.5)",
        "TimeJitter(std = 1)",
        "UniformNoise(n = 3)",
        "Blend()",
    ];
    let mut tried = 0;
    for change in changes {
        // Augmentations that need other arguments or samples are tested separately.
        let Ok(augment) = Augmentation::parse(change) else { continue };
        tried += 1;
        let model = if tried % 2 == 0 { model.replace(", same_for_all_steps = true", "") } else { model.to_owned() };
        trained_on(change.to_owned(), network(&model, &int8, Numerics::Exact), images(16), augment);
    }
    assert!(tried >= 6, "{tried}");
}

/// LLVM's options are added to the user's, whatever `XLA_FLAGS` contains; with the program that hung in an exponential search.
#[test]
fn the_search_is_off_whatever_the_user_gives_llvm() {
    let flags = "--xla_backend_extra_options=-nvptx-prec-divf32=1";
    passes(own_process(module_path!(), "with_options_of_the_users").env("XLA_FLAGS", flags));
}

#[test]
#[ignore = "in a process of its own"]
fn with_options_of_the_users() {
    let client = Client::cpu().expect("the processor's plugin");
    let flags = client.xla_flags();
    assert!(flags.starts_with("--xla_backend_extra_options=-nvptx-prec-divf32=1 "), "{flags}");
    assert!(flags.contains("-disable-loop-idiom-hashrecognize"), "{flags}");
    let (_, rules, numerics) = modes().remove(1);
    trained("a user's option".to_owned(), network(&dropout(16, 32), &rules, numerics), 16);
}

/// A model that takes more than a few seconds to compile.
fn slow(folder: &Path) {
    let pair = "[[layers]]\ntype = \"Linear\"\nin_features = 64\nout_features = 64\n[[layers]]\ntype = \"LIF\"\nhidden_shape = 64\n";
    std::fs::write(folder.join("slow.toml"), pair.repeat(60)).expect("a file");
}

fn train_slowly(folder: &Path, out: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spiq"));
    command.args(["train", "--model", "slow.toml", "--steps", "2", "--time-steps", "4", &format!("--out={out}")]);
    command.current_dir(folder).env("SPIQ_NO_CACHE", "1").stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// A run without a completed step leaves only the lock file.
#[track_caller]
fn is_empty(run: &Path) {
    let names = std::fs::read_dir(run).into_iter().flatten().map(|entry| entry.expect("an entry").file_name());
    let left: Vec<_> = names.filter(|name| name != LOCK).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_compilation_that_takes_too_long_is_given_up() {
    let folder = tempfile::tempdir().expect("a folder");
    slow(folder.path());
    let output = train_slowly(folder.path(), "r").env("SPIQ_COMPILE_SECONDS", "1").output().expect("an end");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let last = said.lines().last().unwrap_or_default();
    assert!(last.starts_with("error: `train_steps` was still compiling after 1 s and was abandoned; "), "{said}");
    assert!(last.contains("set SPIQ_COMPILE_SECONDS (4, or 0 for no limit)"), "{said}");
    is_empty(&folder.path().join("r"));
    let output = train_slowly(folder.path(), "r").env("SPIQ_COMPILE_SECONDS", "soon").output().expect("an end");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && said.contains("SPIQ_COMPILE_SECONDS is `soon`, but must be"), "{said}");
}

/// The process exits while the compiler is running, with the exit code of Ctrl-C, and leaves no partial files.
#[test]
fn ctrl_c_ends_a_compilation() {
    let folder = tempfile::tempdir().expect("a folder");
    slow(folder.path());
    let mut child = train_slowly(folder.path(), "r").spawn().expect("the command starts");
    let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
    let first = lines.next().expect("a line").expect("text");
    assert_eq!(first, "compiling the training step");
    std::thread::sleep(Duration::from_millis(1500));
    let begun = Instant::now();
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill");
    assert!(killed.success());
    let status = child.wait().expect("an end");
    assert!(begun.elapsed() < LIMIT, "{:?}", begun.elapsed());
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    assert_eq!(status.code(), Some(130), "{rest:?}");
    let last = rest.last().expect("a line");
    assert!(last.starts_with("error: stopped while compiling `train_steps`: no step was done"), "{rest:?}");
    is_empty(&folder.path().join("r"));
}

/// The command printed after Ctrl-C is valid in a shell, whatever the folder's name.
#[test]
fn the_command_to_go_on_with_is_one() {
    for out in ["it's mine", "a\n\"b\" $c `d` 'e'", "-r"] {
        let folder = tempfile::tempdir().expect("a folder");
        let model = readout(64).replace("= 12", "= 10");
        std::fs::write(folder.path().join("slow.toml"), model).expect("a file");
        let mut command = Command::new(env!("CARGO_BIN_EXE_spiq"));
        command.args([
            "train",
            "--model",
            "slow.toml",
            "--epochs",
            "100000",
            "--time-steps",
            "2",
            &format!("--out={out}"),
        ]);
        command.current_dir(folder.path()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the command starts");
        let metrics = folder.path().join(out).join("metrics.jsonl");
        let begun = Instant::now();
        while std::fs::read(&metrics).unwrap_or_default().len() < 1000 {
            assert!(begun.elapsed() < LIMIT, "no steps");
            std::thread::sleep(Duration::from_millis(5));
        }
        let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill");
        assert!(killed.success());
        let mut said = String::new();
        child.stderr.take().expect("a pipe").read_to_string(&mut said).expect("text");
        assert_eq!(child.wait().expect("an end").code(), Some(130), "{said}");
        let (_, line) = said.trim_end().rsplit_once("to continue: ").unwrap_or_else(|| panic!("no command in {said}"));
        // The shell parses it, and the added flag is refused, after the checkpoint was found.
        let line = line.replacen("spiq", &format!("exec {}", env!("CARGO_BIN_EXE_spiq")), 1);
        let output = Command::new("bash").args(["-c", &format!("{line} --seed 9")]).current_dir(folder.path()).output();
        let refused = String::from_utf8_lossy(&output.expect("bash").stderr).into_owned();
        assert!(refused.contains("another seed"), "{line}: {refused}");
    }
}
