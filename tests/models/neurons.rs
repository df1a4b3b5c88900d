//! Neurons from papers, and the options of all neurons, compared with the papers' code and with other packages: outputs, gradients,
//! training. Also refused options; initial values; all steps at once.

use std::collections::BTreeMap;

use super::layers::{check_training, config, parameters_of, run_with_gradients, table};
use crate::evaluate::{check_close, evaluate};
use crate::reference::{Case, Reference};
use spiq::config::ModelConfig;
use spiq::network::Network;
use spiq::nn::{self, AdLif, Axes, Lif, Reset, RfSsm, Sequential, Surrogate};
use spiq::random::{Key, Rngs, orthogonal};
use spiq::{Array, DType, Tensor, TensorType, trace, value_and_grad};

const FILE: &str = "neurons_adaptive";

/// Types of neurons that are compared with a paper's code or another package, or whose options are.
const COMPARED: [&str; 13] = [
    "adLIF",
    "cAdLIF",
    "SiLIF",
    "CSiLIF",
    "SE_adLIF",
    "RF",
    "BRF",
    "LIF",
    "IF",
    "ALIF",
    "CuBaLIF",
    "RFSSM",
    "ParallelResetLIF",
];

fn check_outputs_and_gradients(case: &Case<'_>) {
    let model = Sequential::from(&config(&(table(case) + "hidden_shape = 5")));
    let params = parameters_of(case, &model);
    let (x, weights) = (case.array("input"), case.array("weights"));
    let paths: Vec<String> = params.keys().cloned().collect();
    let inputs: Vec<&Array> = params.values().chain([x, weights]).collect();
    let got = evaluate(&inputs, |values| {
        let named: BTreeMap<String, Tensor> = paths.iter().cloned().zip(values.iter().cloned()).collect();
        let (x, weights) = (&values[paths.len()], &values[paths.len() + 1]);
        let ((_, traces), (grads, dx)) = value_and_grad(&(named, x.clone()), |(params, x)| {
            let traces = nn::run(&model, params, &x.named("T B C")).0.into_tensor();
            ((&traces * weights).sum(), traces)
        });
        [vec![traces, dx], grads.into_values().collect()].concat()
    });
    assert_eq!(&got[0], case.array("outputs"), "{} {}", case.name, case.arguments());
    let names = paths.iter().map(|path| path.rsplit('/').next().expect("a path"));
    for (name, got) in std::iter::once("input").chain(names).zip(&got[1..]) {
        // In SpikingJelly the time constant is not a parameter.
        if let Some(want) = case.find(&format!("d_{name}")) {
            check_close(&format!("{} {} d_{name}", case.name, case.arguments()), got, want, 1e-4);
        }
    }
}

#[test]
fn neurons_are_those_of_the_papers_code_and_of_other_packages() {
    let file = Reference::load(FILE);
    for case in file.cases("neuron").chain(file.cases("rf_ssm")) {
        check_outputs_and_gradients(&case);
    }
}

/// The network of a training case: Linear 6-8, neurons, Linear 8-3, LI.
fn network(case: &Case<'_>) -> Network {
    let linear =
        |inputs, outputs| format!("[[layers]]\ntype = 'Linear'\nin_features = {inputs}\nout_features = {outputs}\n");
    let text =
        linear(6, 8) + &table(case) + "hidden_shape = 8\n" + &linear(8, 3) + "[[layers]]\ntype = 'LI'\nlayer_shape = 3";
    Network::new(config(&text), vec![]).expect("a network")
}

#[test]
fn networks_train_as_with_the_papers_code() {
    for case in Reference::load(FILE).cases("training") {
        check_training(&case, &network(&case));
    }
}

/// Checks that every neuron type has reference values, here or among Spyx's.
#[test]
fn every_neuron_is_compared() {
    let (here, spyx) = (Reference::load(FILE), Reference::load("spiking"));
    let types = |file: &Reference, kind: &str| -> Vec<String> {
        file.cases(kind).map(|case| case.get("type").as_str().unwrap_or_default().to_owned()).collect()
    };
    let compared = [types(&here, "neuron"), types(&here, "rf_ssm"), types(&spyx, "neuron")].concat();
    for kind in COMPARED.into_iter().filter(|kind| *kind != "ParallelResetLIF") {
        assert!(compared.iter().any(|name| name == kind), "{kind}");
    }
}

#[test]
fn initial_values_of_rf_ssm_are_those_of_spyx_bit_for_bit() {
    let file = Reference::load(FILE);
    let case = file.case("rf_ssm/0");
    let model = Sequential::new("core", [RfSsm::new([5]).into()]);
    let seed = case.array("seed").to_f64()[0] as i64;
    let params = model.init(&mut Rngs::new(seed));
    for name in ["log_dt", "omega", "reset"] {
        assert_eq!(&params[&format!("core/layers/0/{name}")], case.array(&format!("first_{name}")), "{name}");
    }
    // The reference rounds the logarithm of e^0.5 - 1 in f32 at each step.
    check_close("raw_lambda", &params["core/layers/0/raw_lambda"], case.array("first_raw_lambda"), 1e-6);
}

#[test]
fn numbers_that_are_drawn_lie_in_their_ranges() {
    let kinds = [
        ("adLIF", vec![("alpha", 0.8187, 0.9608), ("beta", 0.9672, 0.9917), ("a", -1.0, 1.0), ("b", 0.0, 2.0)]),
        ("cAdLIF", vec![("alpha", 0.36, 0.96), ("beta", 0.96, 0.99), ("a", 0.0, 1.0), ("b", 0.0, 2.0)]),
        (
            "SiLIF",
            vec![
                ("alpha", 10f64.ln() - 1e-4, 250f64.ln()),
                ("beta", 2.5f64.ln() - 1e-4, 10f64.ln() + 1e-4),
                ("a", 0.0, 1.0),
                ("b", 0.0, 2.0),
            ],
        ),
        ("CSiLIF", vec![("log_dt", 0.01f64.ln() - 1e-4, 0.5f64.ln() + 1e-4), ("b", 0.0, 1.0)]),
        ("SE_adLIF", vec![("tau_u", 0.0, 1.0), ("tau_w", 0.0, 1.0), ("a", 0.0, 1.0), ("b", 0.0, 2.0)]),
        ("RF", vec![("omega", 5.0, 10.0), ("b_offset", 0.0, 3.0)]),
        ("BRF", vec![("omega", 5.0, 10.0), ("b_offset", 0.0, 3.0)]),
        ("RFSSM", vec![("log_dt", 0.001f64.ln() - 1e-4, 0.1f64.ln() + 1e-4)]),
    ];
    for (kind, ranges) in kinds {
        let model = Sequential::from(&config(&format!("[[layers]]\ntype = '{kind}'\nhidden_shape = 4000")));
        let params = model.init(&mut Rngs::new(3));
        for (name, low, high) in ranges {
            let values = params[&format!("core/layers/0/{name}")].to_f64();
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            assert!(values.iter().all(|value| (low - 1e-4..=high + 1e-4).contains(value)), "{kind} {name}");
            // Five standard deviations of the mean of that many uniform numbers.
            let near = 5.0 * (high - low) / (12.0 * values.len() as f64).sqrt();
            assert!((mean - (low + high) / 2.0).abs() < near, "{kind} {name}: {mean}");
        }
    }
}

#[test]
fn orthogonal_weights_are_those_of_jax() {
    let text = "[[layers]]\ntype = 'SE_adLIF'\nhidden_shape = [2, 2]\nrecurrent = true\nrecurrent_init = 'orthogonal'";
    let mut rngs = Rngs::new(3);
    let key = Rngs::new(3).params();
    let got = &Sequential::from(&config(text)).init(&mut rngs)["core/layers/0/recurrent_w"];
    assert_eq!(got.dims(), [2, 2, 2, 2]);
    assert_eq!(got.to_f64(), orthogonal(key, &[4, 4]).to_f64());
    // jax.nn.initializers.orthogonal()(jax.random.PRNGKey(7), (4, 4))
    let wanted = [
        [0.258_607_98, 0.606_673_1, 0.449_891_7, 0.602_218_45],
        [0.352_748_27, -0.037_108_913, -0.800_159_63, 0.483_669_37],
        [-0.846_801_34, -0.111_227_006, -0.055_536_06, 0.517_176_7],
        [0.302_684_5, -0.786_256_43, 0.392_756_58, 0.368_680_36f32],
    ];
    check_close("q", &orthogonal(Key::new(7), &[4, 4]), &Array::new([4, 4], wanted.concat()).expect("q"), 1e-5);
}

/// The output of a single neuron with these inputs.
fn spikes(layer: Lif, inputs: &[f32]) -> Vec<f64> {
    let model = Sequential::new("core", [layer.into()]);
    let params = model.init(&mut Rngs::new(0));
    let x = Array::new([inputs.len(), 1, 1], inputs).expect("inputs");
    evaluate(&[&x], |x| {
        let params = nn::constants(x[0].graph(), &params);
        vec![nn::run(&model, &params, &x[0].named("T B C")).0.into_tensor()]
    })[0]
        .to_f64()
}

#[test]
fn options_do_what_their_names_say() {
    let lif = || Lif { beta: Some(1.0), fires: nn::Fires::After, ..Lif::new([1]) };
    let drive = [2.75f32, 0.0, 0.0, 0.0, 0.0, 0.0];
    // 2.75 falls by 1 to 1.75, then to 0.75.
    assert_eq!(spikes(lif(), &drive), [1.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
    assert_eq!(spikes(Lif { reset: Reset::Zero, ..lif() }, &drive), [1.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    assert_eq!(spikes(Lif { reset: Reset::None, ..lif() }, &drive), [1.0; 6]);
    assert_eq!(spikes(Lif { fires: nn::Fires::Before, ..lif() }, &drive), [0.0, 1.0, 1.0, 0.0, 0.0, 0.0]);
    assert_eq!(spikes(Lif { refractory: Some(2), ..lif() }, &drive), [1.0, 0.0, 0.0, 1.0, 0.0, 0.0]);
    // Input during the refractory period is lost.
    let while_it_rests = [1.5f32, 0.0, 9.0, 0.0, 0.0, 0.0];
    assert_eq!(spikes(Lif { refractory: Some(2), ..lif() }, &while_it_rests), [1.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
}

#[test]
fn what_options_cannot_do_is_refused_with_its_line() {
    for (lines, message) in [
        (
            "type = 'LIF'\nreset = 'hard'",
            "`reset` of core/layers/0 (LIF) is \"hard\", but must be \"subtract\", \"zero\" or \"none\"",
        ),
        (
            "type = 'LIF'\nfires = 'now'",
            "`fires` of core/layers/0 (LIF) is \"now\", but must be \"before\" or \"after\"",
        ),
        (
            "type = 'LIF'\nreset = 'none'\ndetach_reset = true",
            "`detach_reset` of core/layers/0 (LIF) is true, but reset = \"none\" leaves nothing to detach; set it to false",
        ),
        ("type = 'LIF'\nrefractory = 0", "`refractory` of core/layers/0 (LIF) is 0, but must be a whole number from 1"),
        (
            "type = 'LIF'\nrefractory = 20000000",
            "`refractory` of core/layers/0 (LIF) is 20000000, but must be a number of steps",
        ),
        (
            "type = 'LIF'\nrecurrent_init = 'orthogonal'",
            "`recurrent_init` of core/layers/0 (LIF) initializes recurrent weights, which the layer does not have; set recurrent = true",
        ),
        ("type = 'RLIF'\nrecurrent = true", "unknown key `recurrent` in core/layers/0 (RLIF)"),
        ("type = 'adLIF'\na = 2.0", "`a` of core/layers/0 (adLIF) is 2, but must be from -1 to 1"),
        (
            "type = 'SE_adLIF'\ntau_u_min = 30.0",
            "`tau_u_max` of core/layers/0 (SE_adLIF) is 25, but must be at least tau_u_min (30)",
        ),
        ("type = 'SE_adLIF'\ntau_w_min = 0.0", "`tau_w_min` of core/layers/0 (SE_adLIF) is 0, but must be above 0"),
        ("type = 'SiLIF'\ndt = 0.0", "`dt` of core/layers/0 (SiLIF) is 0, but must be above 0"),
        ("type = 'BRF'\ndt = 0.2", "`dt` of core/layers/0 (BRF) is 0.2, so omega must be below 4.995 in magnitude"),
        ("type = 'RF'\nb_max = -1.0", "`b_max` of core/layers/0 (RF) is -1, but must be at least b_min (0)"),
        ("type = 'RFSSM'\ndt_min = 0.5", "`dt_max` of core/layers/0 (RFSSM) is 0.1, but must be at least dt_min (0.5)"),
    ] {
        let text = format!("[[layers]]\nhidden_shape = 4\n{lines}");
        let error = ModelConfig::parse(&text, "m.toml").expect_err(lines).to_string();
        assert!(error.contains(message) && !error.contains('\n'), "{error}");
    }
}

/// A learned threshold starts at the argument, one per neuron, and consumes no random key.
#[test]
fn learned_thresholds_start_at_the_argument() {
    let init = |layer: AdLif| Sequential::new("core", [layer.into()]).init(&mut Rngs::new(5));
    let mut learned = init(AdLif { learn_threshold: true, threshold: 0.75, ..AdLif::new([3]) });
    assert_eq!(learned.remove("core/layers/0/threshold").expect("thresholds").to_f64(), [0.75; 3]);
    assert_eq!(learned, init(AdLif::new([3])));
}

/// Outputs of all steps at once, whether they converged, gradients of input and beta.
fn at_once(rounds: usize, beta: &Array, x: &Array, weights: &Array) -> Vec<Array> {
    let neuron = Lif { activation: Surrogate::triangular(), ..Lif::new([5]) };
    evaluate(&[beta, x, weights], |given| {
        let at = (given[0].clone(), given[1].clone());
        let ((_, (spikes, settled)), (d_beta, d_x)) = value_and_grad(&at, |(beta, x)| {
            let (spikes, settled) = neuron.parallel(beta, x, rounds);
            ((&spikes * &given[2]).sum(), (spikes, settled))
        });
        vec![spikes, settled, d_x, d_beta]
    })
}

#[test]
fn a_neuron_with_a_reset_gives_the_same_all_at_once_or_says_that_it_does_not() {
    let mut unsettled = 0;
    for case in Reference::load(FILE).cases("parallel") {
        let (beta, x, weights) = (case.array("beta"), case.array("input"), case.array("weights"));
        let got = at_once(case.int("rounds") as usize, beta, x, weights);
        // After the same number of rounds, the guesses equal Spyx's.
        assert_eq!(&got[0], case.array("outputs"), "{}", case.name);
        let right = case.array("outputs") == case.array("steps/outputs");
        let settled = got[1].to_f64() == [1.0];
        assert!(right || !settled, "{}: settled on something wrong", case.name);
        unsettled += usize::from(!right);
        // One round more than there are steps always converges, with results equal to a step-by-step run.
        let full = at_once(x.dims()[0] + 1, beta, x, weights);
        assert_eq!(full[1].to_f64(), [1.0], "{}", case.name);
        assert_eq!(&full[0], case.array("steps/outputs"), "{}", case.name);
        for got in if settled { vec![&got, &full] } else { vec![&full] } {
            check_close(&format!("{} d_input", case.name), &got[2], case.array("steps/d_input"), 1e-4);
            check_close(&format!("{} d_beta", case.name), &got[3], case.array("steps/d_beta"), 1e-4);
        }
    }
    assert!(unsettled > 0, "a case where three rounds are too few");
}

/// Short sequences converge in few rounds, with the full gradient.
#[test]
fn few_rounds_that_settle_give_the_whole_gradient() {
    let (steps, beta) = (40, Array::new([5], vec![0.3f32; 5]).expect("decays"));
    let x = Array::new([steps, 3, 5], Key::new(8).uniform(steps * 15, -0.5, 1.2)).expect("inputs");
    let weights = Array::new([steps, 3, 5], Key::new(9).normal(steps * 15)).expect("weights");
    let few = at_once(16, &beta, &x, &weights);
    assert_eq!(few[1].to_f64(), [1.0], "16 rounds settle");
    let model = Sequential::new("core", [Lif { activation: Surrogate::triangular(), ..Lif::new([5]) }.into()]);
    let params = BTreeMap::from([("core/layers/0/beta".to_owned(), beta)]);
    let by_steps = run_with_gradients_of_outputs(&model, &params, &x, &weights);
    assert_eq!(few[0], by_steps[0]);
    check_close("d_input", &few[2], &by_steps[1], 1e-4);
    check_close("d_beta", &few[3], &by_steps[2], 1e-4);
}

/// Like `run_with_gradients`, without the last state.
fn run_with_gradients_of_outputs(
    model: &Sequential,
    params: &BTreeMap<String, Array>,
    x: &Array,
    weights: &Array,
) -> Vec<Array> {
    let inputs: Vec<&Array> = params.values().chain([x, weights]).collect();
    let path = params.keys().next().expect("a parameter").clone();
    evaluate(&inputs, |values| {
        let at = (values[0].clone(), values[1].clone());
        let ((_, traces), (d_param, dx)) = value_and_grad(&at, |(param, x)| {
            let params = BTreeMap::from([(path.clone(), param.clone())]);
            let traces = nn::run(model, &params, &x.named("T B C")).0.into_tensor();
            ((&traces * &values[2]).sum(), traces)
        });
        vec![traces, dx, d_param]
    })
}

#[test]
fn what_has_no_parallel_form_is_an_error() {
    let inputs = [("beta", TensorType::scalar(DType::F32)), ("x", TensorType::new(DType::F32, [4, 1, 5]))];
    let error = |neuron: Lif, rounds: usize| {
        let traced = trace(&inputs, |x| vec![neuron.parallel(&x[0], &x[1], rounds).0]);
        traced.expect_err("an error").to_string()
    };
    assert!(error(Lif { reset: Reset::Zero, ..Lif::new([5]) }, 3).contains("run these step by step"));
    assert!(error(Lif { refractory: Some(1), ..Lif::new([5]) }, 3).contains("run these step by step"));
    assert!(error(Lif::new([5]), 0).contains("needs at least one round"));
}

/// Compares the gradients of the last potentials with respect to a neuron's parameters with finite differences, where a small step
/// changes no spike. The function is smooth between spikes, so surrogates are not involved.
#[test]
fn gradients_between_spikes_are_those_of_differences() {
    for kind in ["adLIF", "cAdLIF", "SiLIF", "CSiLIF", "SE_adLIF", "RF", "BRF", "RFSSM", "LIF", "ALIF", "CuBaLIF"] {
        let text =
            format!("[[layers]]\ntype = '{kind}'\nhidden_shape = 5\nactivation = {{ type = 'boxcar', width = 1e-9 }}");
        let model = Sequential::from(&config(&text));
        let params = model.init(&mut Rngs::new(1));
        let gain = if kind.ends_with("RF") { 60.0 } else { 3.0 };
        let x = Array::new([12, 2, 5], Key::new(2).uniform(120, -gain, 2.0 * gain)).expect("inputs");
        let weights = Array::new([12, 2, 5], vec![0f32; 120]).expect("weights");
        // The weights are zero, so these are gradients of the sum of the last states.
        let got = run_with_gradients(&model, &params, &x, &weights);
        let mut checked = 0;
        for ((path, value), gradient) in params.iter().zip(&got[3..]) {
            let moved = |by: f64| {
                let mut values = value.to_f64();
                values[0] += by;
                let mut params = params.clone();
                params.insert(path.clone(), Array::from_f64(value.ty().clone(), &values).expect("values"));
                let got = run_with_gradients(&model, &params, &x, &weights);
                (got[0].clone(), got[1].to_f64().iter().sum::<f64>())
            };
            let by = 1e-3 * value.to_f64()[0].abs().max(0.1);
            let ((up_spikes, up), (down_spikes, down)) = (moved(by), moved(-by));
            if up_spikes != got[0] || down_spikes != got[0] {
                continue;
            }
            let (difference, exact) = ((up - down) / (2.0 * by), gradient.to_f64()[0]);
            let size = exact.abs().max(0.05 * f64::from(gain));
            assert!((difference - exact).abs() < 0.02 * size, "{kind} {path}: {exact}, by differences {difference}");
            checked += 1;
        }
        assert!(checked > 0, "{kind}: every step changes a spike");
    }
}
