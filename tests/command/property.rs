//! Random small networks under random rules: each is traced, quantized, split along time, differentiated, compiled and run, or refused with
//! one clear sentence; nothing panics. `SPIQ_PROPERTY_CASES` sets the number of cases (500 before a release), `PROPTEST_RNG_SEED` the seed.

use std::cell::Cell;

use crate::run::Program;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner};
use spiq::config::ModelConfig;
use spiq::network::{Network, Pass};
use spiq::nn::{Axes, integral_crossentropy};
use spiq::quant::{Gradients, Mode, Numerics, Rules};
use spiq::random::Key;
use spiq::signature::Role;
use spiq::{Array, DType, Error, ErrorKind, Function, TensorType, trace, value_and_grad};
use spiq_hlo::GraphErrors;

/// Cases per kind of network by default: what 30 seconds allow.
const CASES: u32 = 30;

/// The random choices for a layer, interpreted by its type.
#[derive(Clone, Debug)]
struct Draw {
    kind: &'static str,
    sizes: [usize; 4],
    options: [usize; 4],
    /// Whether sizes match the input; if not, they are random, and mostly do not fit.
    fits: bool,
}

fn draw(kinds: &'static [&'static str]) -> impl Strategy<Value = Draw> {
    let fits = prop::bool::weighted(0.97);
    (select(kinds), prop::array::uniform4(1..=3usize), prop::array::uniform4(0..12usize), fits)
        .prop_map(|(kind, sizes, options, fits)| Draw { kind, sizes, options, fits })
}

const NEURONS: &[&str] = &[
    "LIF",
    "IF",
    "LI",
    "ALIF",
    "CuBaLIF",
    "RIF",
    "RLIF",
    "RCuBaLIF",
    "PSU_LIF",
    "AssociativeLIF",
    "ParallelResetLIF",
    "adLIF",
    "cAdLIF",
    "SE_adLIF",
    "SiLIF",
    "CSiLIF",
    "RF",
    "BRF",
    "RFSSM",
];
const DENSE: &[&str] = &["Linear", "Linear", "Linear", "LayerNorm", "Dropout", "PopulationCode"];
const IMAGES: &[&str] =
    &["Conv", "Conv", "Conv", "SumPool", "AvgPool", "MaxPool", "Dropout", "LayerNorm", "LIF", "ALIF", "Linear"];

fn pick<T: Copy>(list: &[T], option: usize) -> T {
    list[option % list.len()]
}

/// The lines of a layer for an input of this shape.
fn layer(draw: &Draw, shape: &[usize]) -> String {
    let Draw { kind, sizes, options, fits } = draw;
    let known = |size: usize| if *fits { size } else { sizes[3] + 3 };
    let features = known(shape.last().copied().unwrap_or(1));
    let whole: Vec<usize> = shape.iter().map(|&size| known(size)).collect();
    let axes = shape.len().saturating_sub(1);
    let window: Vec<usize> = (0..axes).map(|i| if *fits { sizes[i % 2].min(shape[i]) } else { sizes[i % 2] }).collect();
    let strides: Vec<usize> = (0..axes).map(|i| 1 + (options[3] >> i) % 2).collect();
    let paddings = ["\"SAME\"", "\"VALID\"", "\"CIRCULAR\"", "\"REFLECT\"", "\"CAUSAL\"", "[[1, 0]]", "1"];
    let padding = pick(&paddings[..if options[0] == 11 { 7 } else { 2 }], options[1]);
    let yes = |option: usize| option.is_multiple_of(2);
    let decay = |name: &str, option: usize| match option % 4 {
        0 => format!("{name} = 0.9\n"),
        1 => format!("{name} = 1.0\n"),
        _ => String::new(),
    };
    let surrogates = ["triangular", "superspike", "tanh", "boxcar", "arctan", "atan", "slayer", "double_gaussian"];
    // Options of neurons; the default writes none.
    let more = match options[3] {
        1 => "reset = \"zero\"\ndetach_reset = true\n",
        2 => "reset = \"none\"\ndetach_reset = false\nfires = \"after\"\n",
        3 => "learn_threshold = true\nrefractory = 2\n",
        4 => "fires = \"before\"\nlearn_threshold = true\n",
        _ => "",
    };
    let activation = format!("activation = {{ type = {:?} }}\n", pick(&surrogates, options[2]));
    let arguments = match *kind {
        "Linear" => {
            let outputs = if options[1] < 2 { 32 } else { sizes[0] * 2 };
            format!("in_features = {features}\nout_features = {outputs}\nuse_bias = {}\n", yes(options[0]))
        }
        "Conv" => {
            let groups = if features.is_multiple_of(2) && options[2].is_multiple_of(3) { 2 } else { 1 };
            let dilation = if options[2] == 7 { 2 } else { 1 };
            format!(
                "in_features = {features}\nout_features = {}\nkernel_size = {window:?}\nstrides = {strides:?}\n\
                 padding = {padding}\nkernel_dilation = {dilation}\nfeature_group_count = {groups}\nuse_bias = {}\n",
                sizes[2] * groups,
                yes(options[0])
            )
        }
        "SumPool" => format!("window_shape = {window:?}\nstrides = {strides:?}\npadding = {padding}\n"),
        "AvgPool" | "MaxPool" => format!("window_shape = {window:?}\nstrides = {strides:?}\npadding = {padding}\n"),
        "Flatten" => String::new(),
        "LayerNorm" => format!("num_features = {features}\nuse_fast_variance = {}\n", yes(options[0])),
        "Dropout" => format!("rate = {}\n", pick(&[0.0, 0.25, 0.5, 1.0], options[0])),
        "ActivityRegularization" => format!("hidden_shape = {whole:?}\n"),
        "PopulationCode" => format!("num_classes = {}\n", if features.is_multiple_of(2) { 2 } else { 1 }),
        "LI" => format!("layer_shape = {whole:?}\n{}", decay("beta", options[0])),
        "PSU_LIF" | "AssociativeLIF" => format!("hidden_shape = {whole:?}\n{}{activation}", decay("beta", options[0])),
        "IF" | "RIF" => format!("hidden_shape = {whole:?}\n{activation}{more}"),
        "ALIF" => {
            format!("hidden_shape = {whole:?}\n{}{}{more}", decay("beta", options[0]), decay("gamma", options[1]))
        }
        "adLIF" | "cAdLIF" | "SE_adLIF" | "SiLIF" | "CSiLIF" | "RF" | "BRF" | "RFSSM" => {
            let recurrent = if options[0] < 2 { "recurrent = true\n" } else { "" };
            format!("hidden_shape = {whole:?}\n{activation}{more}{recurrent}")
        }
        "CuBaLIF" | "RCuBaLIF" => {
            let decays = decay("beta", options[0]) + &decay("alpha", options[1]);
            format!("hidden_shape = {whole:?}\n{decays}{activation}{more}")
        }
        _ => format!("hidden_shape = {whole:?}\n{}{activation}{more}", decay("beta", options[0])),
    };
    format!("[[layers]]\ntype = {kind:?}\n{arguments}")
}

/// A model file with these layers for samples of this shape; flattens and reads out if the final shape has more than one axis.
fn model(draws: &[Draw], mut shape: Vec<usize>) -> String {
    let mut text = String::new();
    let last = |kind, options| Draw { kind, sizes: [2, 1, 1, 1], options, fits: true };
    let ending = [last("Flatten", [0; 4]), last("Linear", [1; 4]), last("LI", [2; 4])];
    for draw in draws.iter().chain(&ending) {
        if draw.kind == "Flatten" && shape.len() == 1 {
            continue;
        }
        text += &layer(draw, &shape);
        // An invalid file must be refused by the program; its sizes no longer matter.
        if let Ok(model) = ModelConfig::parse(&text, "model.toml") {
            let given = model.layers.last().and_then(|layer| layer.output(&shape).ok());
            shape = given.unwrap_or(shape);
        }
    }
    text
}

/// One choice, mostly a common one.
fn mostly(common: &'static [&'static str], rare: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    prop_oneof![24 => select(common), 1 => select(rare)]
}

const QTYPES: &[&str] = &[
    "int8",
    "int8",
    "int8",
    "int4",
    "int4",
    "int2",
    "int3",
    "int5",
    "int6",
    "int7",
    "int1",
    "nf4",
    "float8_e4m3fn",
    "fp8",
    "float8_e5m2",
    "binary",
    "ternary",
];
/// Types with tiles, which most sizes here do not fill.
const RARE_QTYPES: &[&str] = &["mxfp8", "mxfp4", "nvfp4", "int9", "INT8"];
const METHODS: &[&str] = &[
    "absmax",
    "absmax",
    "absmax",
    "absmax,0.8",
    "minmax",
    "minmax,0.9",
    "rms,3",
    "absmean",
    "absmean,2",
    "percentile,99",
    "percentile,50",
    "mse",
    "fixed,1",
    "fixed,-1,2",
];

/// The lines of a rule: each field is drawn independently, as in a user's file. A field without those it depends on is refused, so
/// mostly it is left out.
fn rule() -> impl Strategy<Value = String> {
    let line = |strategy: BoxedStrategy<&'static str>, share: f64, key: &'static str| {
        prop::option::weighted(share, strategy).prop_map(move |value| match value {
            Some(value) => format!("{key} = {value}\n"),
            None => String::new(),
        })
    };
    let text = |common, rare, share, key: &'static str| {
        prop::option::weighted(share, mostly(common, rare)).prop_map(move |value| match value {
            Some(value) => format!("{key} = {value:?}\n"),
            None => String::new(),
        })
    };
    let tiles: &[&str] = &["1", "2", "3", "4", "0.5", "0.25"];
    let plain = (
        text(
            &[".*", ".*", "core/layers/.*"],
            &["core/layers/0", "core/layers/[02]", "nowhere", "("],
            0.8,
            "module_path",
        ),
        line(
            select(&["[\"dot_general\"]", "[\"conv_general_dilated\"]", "[]", "[\"relu\"]"][..]).boxed(),
            0.1,
            "op_names",
        ),
        text(QTYPES, RARE_QTYPES, 0.9, "weight_qtype"),
        text(QTYPES, RARE_QTYPES, 0.7, "act_qtype"),
        text(METHODS, &["absmax,", "rms", "fixed,1,2"], 0.3, "weight_calibration_method"),
        text(METHODS, &["best"], 0.3, "act_calibration_method"),
    );
    let rare = (
        line(select(tiles).boxed(), 0.1, "tile_size"),
        line(select(&["true", "false"][..]).boxed(), 0.15, "act_static_scale"),
        line(select(&["[0]", "[]", "[0, 1]", "[-1]", "[7]"][..]).boxed(), 0.1, "act_batch_axes"),
        text(&["int8", "int4", "float8_e5m2", "float8_e4m3fn"], QTYPES, 0.25, "bwd_qtype"),
        text(METHODS, &["worst"], 0.1, "bwd_calibration_method"),
        line(select(tiles).boxed(), 0.1, "bwd_weight_grad_tile_size"),
        line(select(&["true", "false"][..]).boxed(), 0.2, "disable_channelwise_axes"),
        text(&["uniform", "low_bit_uniform"], &["up"], 0.2, "bwd_stochastic_rounding"),
        line(select(&["[0]", "[]", "[1]", "[0, 1]"][..]).boxed(), 0.1, "channelwise_noise_axes"),
    );
    (plain, rare, prop::bool::weighted(0.05)).prop_map(|(plain, rare, any)| {
        let (path, names, weight, act, of_weight, of_act) = plain;
        let (tile, fixed, axes, back, of_back, back_tile, whole, noise, noise_axes) = rare;
        let read = |line: String, is_read: bool| if any || is_read { line } else { String::new() };
        let is = |line: &str| !line.is_empty();
        let act = read(act, is(&weight));
        let of_act = read(of_act, is(&act));
        let fixed = read(fixed, is(&act) && !act.contains("binary") && !of_act.contains("fixed"));
        let axes = read(axes, fixed.contains("true"));
        let back = read(back, is(&weight));
        let noise = read(noise, back.contains("int"));
        let lines = [
            path,
            names,
            read(of_weight, is(&weight)),
            read(tile, is(&weight)),
            read(whole, is(&weight)),
            read(of_back, is(&back)),
            read(back_tile, is(&back)),
            read(noise_axes, is(&noise)),
        ];
        format!("[[rules]]\n{}", [&lines[..], &[weight, act, of_act, fixed, axes, back, noise]].concat().concat())
    })
}

/// A network and what to do with it.
#[derive(Clone, Debug)]
struct Case {
    model: String,
    rules: String,
    /// [T, B, …].
    x: Vec<usize>,
    tile: usize,
    segment: Option<usize>,
    /// `None` for a training step, with statistics as state and noise in its gradients.
    pass: Option<Pass>,
    numerics: Numerics,
    gradients: Gradients,
    seed: i64,
}

fn case(layers: BoxedStrategy<Vec<Draw>>, shape: BoxedStrategy<Vec<usize>>) -> impl Strategy<Value = Case> {
    let noted = (any::<bool>(), prop::bool::weighted(0.2), prop::bool::weighted(0.2));
    let pass =
        (any::<bool>(), any::<bool>(), noted).prop_map(|(qat, training, (spike_rates, spike_counts, broken))| Pass {
            mode: if qat { Mode::Qat } else { Mode::Ptq },
            training,
            spike_rates,
            spike_counts,
            broken,
            driven: false,
        });
    let numerics = select(&[Numerics::Qwix, Numerics::Exact][..]);
    let gradients = select(&[Gradients::Full, Gradients::Full, Gradients::Bf16][..]);
    let cut = (1..=4usize, prop::option::weighted(0.3, 1..=3usize));
    let rules = prop_oneof![1 => Just(Vec::new()), 4 => vec(rule(), 1..=1), 1 => vec(rule(), 2..=2)];
    let how = (prop::option::weighted(0.6, pass), numerics, gradients, 0..100i64);
    (layers, shape, rules, (2..=4usize, 1..=3usize), cut, how).prop_map(
        |(layers, shape, rules, (steps, batch), (tile, segment), (pass, numerics, gradients, seed))| Case {
            model: model(&layers, shape.clone()),
            rules: rules.concat(),
            x: [&[steps, batch], &shape[..]].concat(),
            tile,
            segment,
            pass,
            numerics,
            gradients,
            seed,
        },
    )
}

/// `Ok` for a refusal that helps the user: of the right kind, with one line per problem.
fn refusal(error: Error) -> Result<(), String> {
    let message = error.to_string();
    let usual = matches!(error.kind(), ErrorKind::Input | ErrorKind::Graph) && !message.is_empty();
    // Several invalid calls are reported together, each on a line that ends with its location.
    let clear = message.lines().count() == 1 || message.lines().all(|line| line.contains(" --> "));
    match usual && clear {
        true => Ok(()),
        false => Err(format!("refused as {:?}: {message}", error.kind())),
    }
}

fn in_the_graph(errors: GraphErrors) -> Error {
    Error::new(ErrorKind::Graph, errors.to_string())
}

impl Case {
    fn network(&self) -> spiq::Result<Network> {
        let rules = if self.rules.is_empty() { Rules::default() } else { Rules::parse(&self.rules, "rules.toml")? };
        let network = Network::with_rules(ModelConfig::parse(&self.model, "model.toml")?, rules);
        Ok(network.with_numerics(self.numerics).with_gradients(self.gradients))
    }

    /// The program of the loss and its gradient, and its inputs except x and the labels.
    fn prepare(&self) -> spiq::Result<(Function, Vec<Array>)> {
        let (network, x) = (self.network()?, TensorType::new(DType::F32, self.x.clone()));
        let (params, count) = (network.init(self.seed).into_values(), network.parameter_types().len());
        let key = || Key::new(self.seed).to_array();
        let Some(pass) = self.pass else {
            let training = network.training(&x)?;
            let of = |role| training.signature.of(role);
            let zeros = of(Role::Statistic).map(|port| Array::zeros(port.ty.clone()));
            let keys = of(Role::ModelKey).chain(of(Role::NoiseKey)).map(|_| key());
            let inputs = params.chain(zeros).chain(keys).collect();
            return Ok((self.differentiated(&self.checkpointed(&training.function)?, count)?, inputs));
        };
        let mut forward = network.forward_in_tiles(&x, pass, self.tile)?;
        forward.function = self.checkpointed(&forward.function)?;
        let gradient = forward.gradient()?;
        // The sums of statistics, and their counts: all ones.
        let statistics = forward.signature.types(Role::Statistic).into_values();
        let ones = statistics.map(|ty| Array::from_f64(ty.clone(), &vec![1.0; ty.count()]).expect("ones"));
        Ok((gradient, params.chain(ones).chain(forward.signature.takes(Role::ModelKey).then(key)).collect()))
    }

    fn checkpointed(&self, function: &Function) -> spiq::Result<Function> {
        match self.segment {
            Some(segment) => function.checkpoint_scans(Some(segment)).map_err(in_the_graph),
            None => Ok(function.clone()),
        }
    }

    /// A training step without its optimizer: the loss of the first result, its gradient with respect to the first `params` inputs, and
    /// the other results.
    fn differentiated(&self, function: &Function, params: usize) -> spiq::Result<Function> {
        let types = function.input_types().into_iter().chain([TensorType::new(DType::S32, [self.x[1]])]);
        let inputs: Vec<(&str, TensorType)> = types.map(|ty| ("", ty)).collect();
        let traced = trace(&inputs, |values| {
            let (labels, values) = values.split_last().expect("labels are the last input");
            let (params, given) = values.split_at(params);
            let ((loss, state), grads) = value_and_grad(&params.to_vec(), |params| {
                let mut results = function.call(labels.graph(), &[params.as_slice(), given].concat());
                let state = results.split_off(1);
                (integral_crossentropy(&results[0].named("T B C"), &labels.named("B")), state)
            });
            [vec![loss], grads, state].concat()
        });
        traced.map_err(in_the_graph)
    }

    /// x from -1 to 2, and labels.
    fn data(&self) -> [Array; 2] {
        let count = self.x.iter().product();
        let x = Array::new(self.x.clone(), Key::new(self.seed).uniform(count, -1.0, 2.0)).expect("an element each");
        let labels: Vec<i32> = (0..self.x[1] as i32).map(|i| i % 2).collect();
        [x, Array::new([self.x[1]], labels).expect("a label each")]
    }

    /// Whether it ran; an error is a defect.
    fn check(&self) -> Result<bool, String> {
        let (function, inputs) = match self.prepare() {
            Ok((function, inputs)) => (function, [inputs, self.data().to_vec()].concat()),
            Err(error) => return refusal(error).map(|()| false),
        };
        function.verify()?;
        let types: Vec<TensorType> = inputs.iter().map(|x| x.ty().clone()).collect();
        if function.input_types() != types {
            return Err(format!("inputs are {types:?}, but the program takes {:?}", function.input_types()));
        }
        let outputs = Program::new(&function)?.run(&inputs)?;
        let given: Vec<TensorType> = outputs.iter().map(|y| y.ty().clone()).collect();
        if given != function.result_types() {
            return Err(format!("outputs are {given:?}, but the program gives {:?}", function.result_types()));
        }
        match outputs.iter().position(|y| y.to_f64().iter().any(|v| !v.is_finite())) {
            Some(output) => Err(format!("output {output} is {:?}", outputs[output])),
            None => Ok(true),
        }
    }
}

#[track_caller]
fn check(layers: BoxedStrategy<Vec<Draw>>, shape: BoxedStrategy<Vec<usize>>) {
    let asked = std::env::var("SPIQ_PROPERTY_CASES").map(|n| n.parse().expect("SPIQ_PROPERTY_CASES is a number"));
    let mut config = Config { cases: asked.unwrap_or(CASES), failure_persistence: None, ..Config::default() };
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(1);
    }
    let (ran, tried) = (Cell::new(0), Cell::new(0));
    let outcome = TestRunner::new(config).run(&case(layers, shape), |case| {
        tried.set(tried.get() + 1);
        let success = case.check().map_err(TestCaseError::fail)?;
        ran.set(ran.get() + u32::from(success));
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
    // Enough cases must run, so that refusals do not hide the rest. About half of the image networks are refused, mostly for a window
    // or a tile that does not fit.
    assert!(ran.get() * 3 > tried.get(), "only {} of {} networks ran", ran.get(), tried.get());
}

/// Layers, each followed by neurons, `count` times.
fn pairs(kinds: &'static [&'static str], count: std::ops::RangeInclusive<usize>) -> BoxedStrategy<Vec<Draw>> {
    let pair = (draw(kinds), draw(NEURONS)).prop_map(|(layer, neuron)| vec![layer, neuron]);
    vec(pair, count).prop_map(|pairs| pairs.concat()).boxed()
}

#[test]
fn networks_of_features_run_or_are_refused() {
    check(pairs(DENSE, 1..=2), prop_oneof![3 => 1..=8usize, 1 => Just(32)].prop_map(|size| vec![size]).boxed());
}

#[test]
fn networks_of_images_run_or_are_refused() {
    let line = (3..=6usize, 1..=2usize).prop_map(|(length, channels)| vec![length, channels]);
    let image =
        (3..=5usize, 3..=5usize, 1..=2usize).prop_map(|(height, width, channels)| vec![height, width, channels]);
    check(vec(draw(IMAGES), 1..=3).boxed(), prop_oneof![1 => line, 3 => image].boxed());
}
