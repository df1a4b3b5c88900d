//! BatchNorm, Delay and DelayedLinear compared with flax, DCLS and plain numpy: outputs, gradients, running statistics, initial values,
//! thirty training steps. Also runs in two halves.

use std::collections::BTreeMap;

use super::layers::{config, letters, parameters_of, table};
use crate::evaluate::{check_close, evaluate};
use crate::reference::{Case, Reference};
use spiq::network::Network;
use spiq::nn::{self, Axes, Run, Sequential, integral_crossentropy};
use spiq::optim::{GradientTransformation, adam, apply_updates};
use spiq::quant::Mode;
use spiq::random::{Key, Rngs, he_uniform};
use spiq::{Array, DType, Tensor, TensorType, trace, value_and_grad};
use spiq_hlo::Function;

const FILE: &str = "sequences";

type Arrays = BTreeMap<String, Array>;

fn model_of(case: &Case<'_>) -> Sequential {
    Sequential::from(&config(&table(case)))
}

/// The local name of a path in a model of one layer.
fn name(path: &str) -> &str {
    path.rsplit('/').next().expect("a path")
}

/// The running statistics of a case, by the paths of a model of one layer.
fn statistics_of(case: &Case<'_>, model: &Sequential) -> Arrays {
    model.statistic_types().into_keys().map(|path| (path.clone(), case.array(name(&path)).clone())).collect()
}

/// Runs a model of one layer on a case's arrays: its output, the next statistics, and the gradients of the weighted output with respect
/// to the input and the parameters.
fn run_of(case: &Case<'_>, training: bool) -> BTreeMap<String, Array> {
    let model = model_of(case);
    let (params, statistics) = (parameters_of(case, &model), statistics_of(case, &model));
    let inputs: Vec<&Array> =
        params.values().chain(statistics.values()).chain([case.array("input"), case.array("weights")]).collect();
    let mut names = Vec::new();
    let found = evaluate(&inputs, |values| {
        let (own, rest) = values.split_at(params.len());
        let (running, rest) = rest.split_at(statistics.len());
        let own: BTreeMap<String, Tensor> = params.keys().cloned().zip(own.iter().cloned()).collect();
        let running: Vec<(String, Tensor)> = statistics.keys().cloned().zip(running.iter().cloned()).collect();
        let ((_, (output, next)), (grads, d_input)) = value_and_grad(&(own, rest[0].clone()), |(params, x)| {
            let all = params.clone().into_iter().chain(running.clone()).collect();
            let run = Run::new(&model, &all);
            let run = if training { run.training_without_key() } else { run };
            let outcome = run.on(&x.named(&letters(x.rank())));
            let output = outcome.traces.into_tensor();
            ((&output * &rest[1]).sum(), (output, outcome.statistics))
        });
        let next = next.into_iter().map(|(path, tensor)| (format!("next_{}", name(&path)), tensor));
        let grads = grads.into_iter().map(|(path, tensor)| (format!("d_{}", name(&path)), tensor));
        let all = [("output".to_owned(), output), ("d_input".to_owned(), d_input)].into_iter().chain(next).chain(grads);
        let (labels, tensors): (Vec<String>, Vec<Tensor>) = all.unzip();
        names = labels;
        tensors
    });
    names.into_iter().zip(found).collect()
}

#[test]
fn batch_norm_is_that_of_flax_while_training_and_after() {
    for case in Reference::load(FILE).cases("batch_norm") {
        for (part, training) in [("train", true), ("test", false)] {
            let found = run_of(&case, training);
            let of_next = found.keys().filter(|name| name.starts_with("next_")).count();
            assert_eq!(of_next, if training { 2 } else { 0 }, "only training moves the statistics");
            for (name, got) in &found {
                let wanted = if name.starts_with("next_") { name.clone() } else { format!("{part}_{name}") };
                check_close(&format!("{} {wanted}", case.name), got, case.array(&wanted), 2e-5);
            }
        }
    }
}

#[test]
fn delayed_linear_is_that_of_dcls() {
    for case in Reference::load(FILE).cases("delayed_linear") {
        let trained = run_of(&case, true);
        let wanted = ["output", "d_input", "d_kernel", "d_delay", "next_sigma"];
        assert!(wanted.iter().all(|name| trained.contains_key(*name)), "{:?}", trained.keys());
        for (name, got) in &trained {
            check_close(&format!("{} {name}", case.name), got, case.array(name), 2e-5);
        }
        // One tap per synapse, which DCLS divides by 1 + 1e-7.
        check_close(
            &format!("{} at test", case.name),
            &run_of(&case, false)["output"],
            case.array("test_output"),
            1e-6,
        );
    }
}

/// From the first deviation to the last in the given number of steps, and constant afterwards.
#[test]
fn sigma_shrinks_as_in_the_recipe() {
    let file = Reference::load(FILE);
    let case = file.case("sigma");
    let text = format!(
        "[[layers]]\ntype = 'DelayedLinear'\nin_features = 1\nout_features = 1\nmax_delay = 24\nsigma_start = {}\n\
         sigma_steps = {}",
        case.get("sigma_start"),
        case.get("sigma_steps")
    );
    let model = Sequential::from(&config(&text));
    let path = "core/layers/0/sigma".to_owned();
    let drawn = model.init(&mut Rngs::new(0));
    let (wanted, mut sigma) = (case.array("values").to_f64(), drawn[&path].clone());
    for (step, want) in wanted.iter().enumerate() {
        check_close(&format!("step {step}"), &sigma, &Array::scalar(*want as f32), 1e-5);
        sigma = evaluate(&[&sigma], |x| {
            let params: BTreeMap<String, Tensor> =
                drawn.iter().map(|(path, array)| (path.clone(), x[0].graph().constant(array))).collect();
            let params = params.into_iter().chain([(path.clone(), x[0].clone())]).collect();
            let input = x[0].graph().zeros(TensorType::new(DType::F32, [2, 1, 1])).named("T B C");
            let outcome = Run::new(&model, &params).training_without_key().on(&input);
            outcome.statistics.into_values().collect()
        })
        .remove(0);
    }
}

#[test]
fn delay_is_a_gather_and_its_gradient_that_of_the_line_between() {
    for case in Reference::load(FILE).cases("delay") {
        for training in [true, false] {
            let found = run_of(&case, training);
            assert_eq!(&found["output"], case.array("output"), "{}", case.name);
            for name in ["d_input", "d_delay"] {
                check_close(&format!("{} {name}", case.name), &found[name], case.array(name), 1e-5);
            }
        }
    }
}

#[test]
fn initial_values_have_the_bits_of_jax() {
    let file = Reference::load(FILE);
    for case in file.cases("he_uniform") {
        assert_eq!(&he_uniform(Key::new(case.int("seed")), &case.shape("shape")), case.array("out"), "{}", case.name);
    }
    for case in file.cases("drawn") {
        let model = model_of(&case);
        for (path, array) in model.init(&mut Rngs::new(case.int("seed"))) {
            if name(&path) != "sigma" {
                assert_eq!(&array, case.array(name(&path)), "{} {path}", case.name);
            }
        }
    }
}

/// The network of the reference.
const NETWORK: &str = "
layers = [
    { type = 'Linear', in_features = 6, out_features = 8, use_bias = false },
    { type = 'BatchNorm', num_features = 8, momentum = 0.9 },
    { type = 'LIF', hidden_shape = 8, activation = { type = 'triangular' } },
    { type = 'DelayedLinear', in_features = 8, out_features = 8, max_delay = 4, sigma_steps = 20 },
    { type = 'BatchNorm', num_features = 8, momentum = 0.9, use_fast_variance = false },
    { type = 'LIF', hidden_shape = 8, activation = { type = 'triangular' } },
    { type = 'Linear', in_features = 8, out_features = 3 },
    { type = 'LI', layer_shape = 3 },
]";

/// A training step on one batch: maps parameters, statistics, optimizer state, x and targets to the next values of the first three, the
/// loss and the gradients.
fn training_step(network: &Network, optimizer: &dyn GradientTransformation, batch: [&TensorType; 2]) -> Function {
    let forward = network.training(batch[0]).expect("a pass");
    let (types, running) = (network.parameter_types(), network.running_types());
    let slots = optimizer.state_types(&types);
    let kept = types.iter().chain(&running).chain(&slots).map(|(path, ty)| (path.as_str(), ty.clone()));
    let inputs: Vec<(&str, TensorType)> = kept.chain([("x", batch[0].clone()), ("y", batch[1].clone())]).collect();
    let named = |types: &BTreeMap<String, TensorType>, tensors: &[Tensor]| -> BTreeMap<String, Tensor> {
        types.keys().cloned().zip(tensors.iter().cloned()).collect()
    };
    let traced = trace(&inputs, |values| {
        let (now, rest) = values.split_at(types.len());
        let (seen, rest) = rest.split_at(running.len());
        let (old, batch) = rest.split_at(slots.len());
        let (now, seen) = (named(&types, now), named(&running, seen));
        let ((loss, next_seen), grads) = value_and_grad(&now, |params| {
            let all = params.clone().into_iter().chain(seen.clone()).collect();
            let given = forward.call(&all, &batch[0]);
            let traces = given.only(spiq::signature::Role::Traces);
            let loss = integral_crossentropy(&traces.named("T B C"), &batch[1].named("B"));
            (loss, given.of(spiq::signature::Role::Running))
        });
        let (updates, new) = optimizer.update(&grads, &named(&slots, old), &now);
        let next = apply_updates(&now, &updates).into_iter().map(|(path, value)| match network.limits().get(&path) {
            Some((low, high)) => value.maximum(*low).minimum(*high),
            None => value,
        });
        next.chain(next_seen.into_values()).chain(new.into_values()).chain([loss]).chain(grads.into_values()).collect()
    });
    traced.expect("a training step")
}

#[test]
fn a_network_with_all_of_them_trains_as_in_jax() {
    let file = Reference::load(FILE);
    let case = file.case("training");
    let network = Network::new(config(NETWORK), vec![]).expect("a network");
    let start = network.init(case.int("seed"));
    for (path, array) in &start {
        assert_eq!(array, case.array(&format!("params/{path}")), "{path}");
    }
    let optimizer = adam(0.02);
    let (types, running) = (network.parameter_types(), network.running_types());
    let (x, targets) = (case.array("x"), case.array("targets"));
    let step = training_step(&network, &optimizer, [x.ty(), targets.ty()]);
    let of = |paths: &BTreeMap<String, TensorType>| paths.keys().map(|path| start[path].clone()).collect::<Vec<_>>();
    let mut state = [of(&types), of(&running), optimizer.init(&types).into_values().collect()].concat();
    let carried = state.len();
    for (number, want) in case.array("losses").to_f64().into_iter().enumerate() {
        let inputs: Vec<&Array> = state.iter().chain([x, targets]).collect();
        let mut found = crate::evaluate::execute(&step, &inputs);
        let grads = found.split_off(carried + 1);
        let loss = found.pop().expect("a loss").to_f64()[0];
        assert!((loss - want).abs() < 1e-3 * want, "step {number}: {loss} for {want}");
        for (path, grad) in types.keys().zip(grads).filter(|_| number == 0) {
            check_close(&format!("grads/{path}"), &grad, case.array(&format!("grads/{path}")), 1e-4);
        }
        state = found;
    }
    for (path, value) in types.keys().chain(running.keys()).zip(&state) {
        check_close(path, value, case.array(&format!("trained/{path}")), 1e-2);
    }
    let delay = &state[types.keys().position(|path| path.ends_with("delay")).expect("a path")];
    let delay = delay.to_f64();
    assert!(delay.iter().all(|d| (0.0..=4.0).contains(d)) && delay.iter().any(|d| *d == 0.0 || *d == 4.0), "{delay:?}");
}

/// Delays between neurons, each with a state.
const OF_DELAYS: &str = "
layers = [
    { type = 'Delay', channels = 5, max_delay = 4 },
    { type = 'DelayedLinear', in_features = 5, out_features = 6, max_delay = 7 },
    { type = 'LIF', hidden_shape = 6, threshold = 0.1 },
    { type = 'Delay', channels = 6, max_delay = 1 },
    { type = 'DelayedLinear', in_features = 6, out_features = 3, max_delay = 2, use_bias = true },
    { type = 'LI', layer_shape = 3 },
]";

/// Spikes or numbers, in pieces of any length, including shorter than a delay.
#[test]
fn a_run_in_pieces_is_the_whole_run() {
    let model = Sequential::from(&config(OF_DELAYS));
    let params = model.init(&mut Rngs::new(3));
    let spikes = Key::new(1).bernoulli(12 * 2 * 5, 0.4).into_iter().map(|s| f32::from(u8::from(s)));
    let spikes = Array::new([12, 2, 5], spikes.collect::<Vec<f32>>()).expect("spikes");
    for (dtype, training) in [(DType::F32, false), (DType::Pred, false), (DType::S8, false), (DType::F32, true)] {
        let run = |cuts: &[usize]| {
            evaluate(&[&spikes], |x| {
                let params = nn::constants(x[0].graph(), &params);
                let x = x[0].convert(dtype);
                let types = model.state_types(2, DType::F32);
                let mut state: BTreeMap<String, Tensor> =
                    types.iter().map(|(path, ty)| (path.clone(), x.graph().zeros(ty.clone()))).collect();
                let mut parts = Vec::new();
                for ends in cuts.windows(2) {
                    let part = x.slice_axis(0, ends[0], ends[1]).named("T B C");
                    let run = Run::new(&model, &params).from_state(&state);
                    let run = if training { run.training_without_key() } else { run };
                    let outcome = run.on(&part);
                    parts.push(outcome.traces.into_tensor());
                    state = outcome.state;
                }
                let traces = spiq_hlo::concatenate(&parts.iter().collect::<Vec<_>>(), 0);
                std::iter::once(traces).chain(state.into_values()).collect()
            })
        };
        let whole = run(&[0, 12]);
        let first = whole[0].to_f64().chunks(6).position(|step| step.iter().any(|v| *v != 0.0));
        assert!(first.is_some_and(|step| step < 8), "something arrives, and in time for a piece: {first:?}");
        for cuts in [&[0, 6, 12][..], &[0, 1, 2, 3, 12], &[0, 11, 12]] {
            for (place, (got, want)) in run(cuts).iter().zip(&whole).enumerate() {
                check_close(&format!("{dtype:?}, cut at {cuts:?}, result {place}"), got, want, 1e-5);
            }
        }
    }
}

/// The output continues for this many steps, in which delayed inputs arrive.
#[test]
fn extra_steps_follow_the_input() {
    let layer = "type = 'DelayedLinear', in_features = 1, out_features = 1, max_delay = 4";
    let model = Sequential::from(&config(&format!("layers = [{{ {layer}, extra_steps = 3 }}]")));
    let x = Array::new([2, 1, 1], vec![1f32, 2.0]).expect("an input");
    for (delay, wanted) in
        [(0f32, [1.0, 2.0, 0.0, 0.0, 0.0]), (3.0, [0.0, 0.0, 0.0, 1.0, 2.0]), (4.4, [0.0, 0.0, 0.0, 0.0, 1.0])]
    {
        let one = |value: f32| Array::new([1, 1], vec![value]).expect("a number");
        let params: Arrays = [("delay", one(delay)), ("kernel", one(1.0)), ("sigma", Array::scalar(1f32))]
            .map(|(name, array)| (format!("core/layers/0/{name}"), array))
            .into();
        let got = evaluate(&[&x], |x| {
            let params = nn::constants(x[0].graph(), &params);
            vec![nn::run(&model, &params, &x[0].named("T B C")).0.into_tensor()]
        });
        assert_eq!(got[0].to_f64(), wanted, "delay {delay}");
    }
}

/// A model split along time into tiles has the same outputs, statistics and gradients.
#[test]
fn tiles_of_time_change_nothing() {
    let network = Network::new(config(NETWORK), vec![]).expect("a network");
    let x = TensorType::new(DType::F32, [10, 4, 6]);
    let data = Array::new(x.dims.clone(), Key::new(8).normal(x.count())).expect("numbers");
    let labels = Array::new([4], vec![0i32, 1, 2, 0]).expect("labels");
    let drawn = network.init(4);
    let of =
        |types: BTreeMap<String, TensorType>| types.into_keys().map(|path| drawn[&path].clone()).collect::<Vec<_>>();
    let optimizer = adam(0.01);
    let slots: Vec<Array> = optimizer.init(&network.parameter_types()).into_values().collect();
    let given = [of(network.parameter_types()), of(network.running_types()), slots, vec![data, labels]].concat();
    let step = |tile: Option<usize>| {
        let network = network.clone().with_time_tile(tile);
        let labels = TensorType::new(DType::S32, [4]);
        let step = training_step(&network, &optimizer, [&x, &labels]);
        crate::evaluate::execute(&step, &given.iter().collect::<Vec<_>>())
    };
    let whole = step(None);
    for tile in [1, 3, 5] {
        for (place, (got, want)) in step(Some(tile)).iter().zip(&whole).enumerate() {
            check_close(&format!("tile {tile}, result {place}"), got, want, 2e-4);
        }
    }
    let test = |tile: usize| network.forward_in_tiles(&x, Mode::Ptq, tile).expect("a pass").function;
    assert_eq!(test(10).result_types(), test(3).result_types());
}

/// The outputs of a model of one layer on x, and its parameters for seed 0.
fn outputs_of(layer: &str, x: &Array) -> (Vec<f64>, Arrays) {
    let model = Sequential::from(&config(&format!("[[layers]]\n{layer}\n")));
    let params = model.init(&mut Rngs::new(0));
    let inputs: Vec<&Array> = params.values().chain([x]).collect();
    let found = evaluate(&inputs, |values| {
        let (own, x) = values.split_at(params.len());
        let own = params.keys().cloned().zip(own.iter().cloned()).collect();
        vec![nn::run(&model, &own, &x[0].named(&letters(x[0].rank()))).0.into_tensor()]
    });
    (found[0].to_f64(), params)
}

const STEPS: usize = 7;
const SAMPLES: usize = 2;

/// Counts [STEPS, SAMPLES, features], and a function that returns each of them by position.
fn counts(features: usize) -> (Array, impl Fn(usize, usize, usize) -> f64) {
    let of = move |t: usize, b: usize, c: usize| ((t * 5 + b * 3 + c * 7) % 6) as f64 * f64::from(u8::from(t < 5));
    let places = (0..STEPS).flat_map(|t| (0..SAMPLES).flat_map(move |b| (0..features).map(move |c| (t, b, c))));
    let values: Vec<f32> = places.map(|(t, b, c)| of(t, b, c) as f32).collect();
    (Array::new([STEPS, SAMPLES, features], values).expect("as many"), of)
}

/// By definition: a weight per lag, two steps apart.
#[test]
fn a_convolution_along_time_is_a_sum_over_lags() {
    let (x, of) = counts(3);
    let text =
        "type = 'TemporalConv'\nin_features = 3\nout_features = 2\nkernel_size = 3\ndilation = 2\nuse_bias = false";
    let (found, params) = outputs_of(text, &x);
    let kernel = params["core/layers/0/kernel"].to_f64();
    for (place, found) in found.iter().enumerate() {
        let (t, b, o) = (place / (SAMPLES * 2), place / 2 % SAMPLES, place % 2);
        let weighted = |lag: usize, c: usize| {
            t.checked_sub(2 * lag).map_or(0.0, |before| of(before, b, c) * kernel[(lag * 3 + c) * 2 + o])
        };
        let sum: f64 = (0..3).flat_map(|lag| (0..3).map(move |c| (lag, c))).map(|(lag, c)| weighted(lag, c)).sum();
        assert!((sum - found).abs() < 1e-5, "{t} {b} {o}: {sum} {found}");
    }
}

#[test]
fn lags_stand_beside_each_other() {
    let (x, of) = counts(3);
    let (found, _) = outputs_of("type = 'Lags'\nfeatures = 3\nsteps = 3", &x);
    for (place, found) in found.iter().enumerate() {
        let (t, b, c, lag) = (place / (SAMPLES * 9), place / 9 % SAMPLES, place / 3 % 3, place % 3);
        assert_eq!(*found, t.checked_sub(lag).map_or(0.0, |before| of(before, b, c)), "{t} {b} {c} {lag}");
    }
}

/// By definition, in f64: means over the nonempty steps, smoothed over channels, raised to a power; then normalized to mean 1.
#[test]
fn an_equalizer_divides_channels_by_their_means() {
    const CHANNELS: usize = 4;
    let (x, of) = counts(CHANNELS);
    let text = "type = 'Equalize'\nchannels = 4\nexponent = 0.7\nsmoothing = 1.5\nfloor = 0.2";
    let (found, _) = outputs_of(text, &x);
    for b in 0..SAMPLES {
        let active = (0..STEPS).filter(|t| (0..CHANNELS).any(|c| of(*t, b, c) > 0.0)).count() as f64;
        let mean = |c: usize| (0..STEPS).map(|t| of(t, b, c)).sum::<f64>() / (active + 1e-3);
        let bell = |a: usize, c: usize| (-0.5 * ((a as f64 - c as f64) / 1.5).powi(2)).exp();
        let smooth = |c: usize| {
            let sum: f64 = (0..CHANNELS).map(|a| bell(a, c)).sum();
            (0..CHANNELS).map(|a| mean(a) * bell(a, c)).sum::<f64>() / sum
        };
        let all = (0..CHANNELS).map(smooth).sum::<f64>() / CHANNELS as f64;
        let even = |t: usize, c: usize| of(t, b, c) / (smooth(c) + 0.2 * all + 1e-2).powf(0.7);
        let sum: f64 = (0..STEPS).flat_map(|t| (0..CHANNELS).map(move |c| (t, c))).map(|(t, c)| even(t, c)).sum();
        let loudness = CHANNELS as f64 * (active + 1.0) / (sum + 1.0);
        for (t, c) in (0..STEPS).flat_map(|t| (0..CHANNELS).map(move |c| (t, c))) {
            let (wanted, found) = (even(t, c) * loudness, found[(t * SAMPLES + b) * CHANNELS + c]);
            assert!((wanted - found).abs() < 1e-4, "{t} {b} {c}: {wanted} {found}");
        }
    }
    let silence = Array::zeros(TensorType::new(DType::F32, [STEPS, SAMPLES, CHANNELS]));
    assert!(outputs_of(text, &silence).0.iter().all(|x| *x == 0.0), "a sample in which there is nothing stays so");
}
