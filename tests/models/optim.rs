//! Optimizers and schedules compared with optax over 20 steps, and the errors for wrong states.

use std::collections::BTreeMap;

use crate::evaluate::{check_close, evaluate, execute};
use crate::reference::Reference;
use serde_json::Value;
use spiq::optim::{
    Adam, CosineDecay, GradientTransformation, Lion, OPTIMIZERS, Optimizer, Schedule, Sgd, WarmupCosineDecay, adam,
    adamw, apply_updates, chain, clip_by_global_norm, cosine_decay_schedule, lion, sgd, warmup_constant_schedule,
    warmup_cosine_decay_schedule,
};
use spiq::train::Loss;
use spiq::{Array, DType, ErrorKind, TensorType};
use spiq_hlo::{Function, Tensor, trace};

fn number(value: &Value, name: &str) -> f64 {
    value[name].as_f64().unwrap_or_else(|| panic!("{name} in {value}"))
}

fn or(value: &Value, name: &str, default: f64) -> f64 {
    value[name].as_f64().unwrap_or(default)
}

fn schedule(value: &Value) -> Schedule {
    let steps = |name: &str| number(value, name) as u32;
    match value["name"].as_str() {
        None => value.as_f64().expect("a number").into(),
        Some("cosine_decay_schedule") => {
            let default = cosine_decay_schedule(number(value, "init_value"), steps("decay_steps"));
            let (alpha, exponent) = (or(value, "alpha", default.alpha), or(value, "exponent", default.exponent));
            CosineDecay { alpha, exponent, ..default }.into()
        }
        Some(_) => {
            let (init, peak) = (number(value, "init_value"), number(value, "peak_value"));
            let default = warmup_cosine_decay_schedule(init, peak, steps("warmup_steps"), steps("decay_steps"));
            WarmupCosineDecay { end_value: or(value, "end_value", default.end_value), ..default }.into()
        }
    }
}

fn optimizer(value: &Value) -> Box<dyn GradientTransformation> {
    let rate = || schedule(&value["learning_rate"]);
    let nesterov = value["nesterov"].as_bool().unwrap_or(false);
    match value["name"].as_str().expect("a name") {
        "sgd" => Sgd { momentum: value["momentum"].as_f64(), nesterov, ..sgd(rate()) }.into(),
        "lion" => {
            let d = lion(rate());
            let (b1, b2) = (or(value, "b1", d.b1), or(value, "b2", d.b2));
            Lion { b1, b2, weight_decay: or(value, "weight_decay", d.weight_decay), ..d }.into()
        }
        "chain" => chain(value["parts"].as_array().expect("parts").iter().map(optimizer)).into(),
        "clip_by_global_norm" => clip_by_global_norm(number(value, "max_norm")).into(),
        name => {
            let d = if name == "adamw" { adamw(rate()) } else { adam(rate()) };
            let (b1, b2) = (or(value, "b1", d.b1), or(value, "b2", d.b2));
            let (eps, eps_root) = (or(value, "eps", d.eps), or(value, "eps_root", d.eps_root));
            let weight_decay = or(value, "weight_decay", d.weight_decay);
            Adam { b1, b2, eps, eps_root, weight_decay, nesterov, ..d }.into()
        }
    }
}

/// One step as a program: maps parameters, gradients and state, each in path order, to parameters and state.
fn step(optimizer: &dyn GradientTransformation, params: &BTreeMap<String, TensorType>) -> Function {
    let state = optimizer.state_types(params);
    let types = params.values().chain(params.values()).chain(state.values());
    let inputs: Vec<(&str, TensorType)> = types.map(|ty| ("", ty.clone())).collect();
    let traced = trace(&inputs, |x| {
        let mut x = x.iter().cloned();
        let mut named = |paths: Vec<&String>| -> BTreeMap<String, Tensor> {
            paths.into_iter().map(|path| (path.clone(), x.next().expect("an input"))).collect()
        };
        let now = named(params.keys().collect());
        let grads = named(params.keys().collect());
        let state = named(state.keys().collect());
        let (updates, state) = optimizer.update(&grads, &state, &now);
        apply_updates(&now, &updates).into_values().chain(state.into_values()).collect()
    });
    traced.unwrap_or_else(|e| panic!("{e}"))
}

/// Element `index` along axis 0.
fn row(array: &Array, index: usize) -> Array {
    let ty = array.ty().with_dims(&array.dims()[1..]);
    let size = array.bytes().len() / array.dims()[0];
    Array::from_bytes(ty, &array.bytes()[index * size..][..size]).expect("bytes of a row")
}

#[test]
fn optimizers_are_optax_optimizers() {
    let file = Reference::load("optim");
    let names = ["b", "w"];
    let given = file.case("given");
    let types: BTreeMap<String, TensorType> =
        names.iter().map(|n| (n.to_string(), given.array(&format!("params/{n}")).ty().clone())).collect();
    for case in file.cases("optimizer") {
        let optimizer = optimizer(case.arguments());
        let program = step(optimizer.as_ref(), &types);
        let state: Vec<Array> = optimizer.init(&types).into_values().collect();
        let params = names.iter().map(|n| given.array(&format!("params/{n}")).clone());
        let mut values: Vec<Array> = params.chain(state).collect();
        for time in 0..20 {
            let grads: Vec<Array> = names.iter().map(|n| row(given.array(&format!("grads/{n}")), time)).collect();
            let inputs: Vec<&Array> = values[..2].iter().chain(&grads).chain(&values[2..]).collect();
            values = execute(&program, &inputs);
            for (name, got) in names.iter().zip(&values) {
                let want = row(case.array(&format!("params/{name}")), time);
                check_close(&format!("{} {} {name} step {time}", case.name, case.arguments()), got, &want, 1e-6);
            }
        }
    }
}

#[test]
fn schedules_are_optax_schedules() {
    for case in Reference::load("optim").cases("schedule") {
        let schedule = schedule(case.arguments());
        check_schedule(case.name, schedule, case.array("values"));
    }
}

#[track_caller]
fn check_schedule(what: &str, schedule: Schedule, want: &Array) {
    let steps: Vec<Array> = (0..want.dims()[0] as i32).map(Array::scalar).collect();
    let got = evaluate(&steps.iter().collect::<Vec<_>>(), |counts| counts.iter().map(|c| schedule.at(c)).collect());
    let got: Vec<f32> = got.iter().map(|a| a.to_vec::<f32>().unwrap()[0]).collect();
    check_close(what, &Array::new([got.len()], got).unwrap(), want, 1e-6);
}

#[test]
fn a_warmup_ends_at_its_peak() {
    let want = Array::new([5], [0.0f32, 0.5, 1.0, 1.0, 1.0]).unwrap();
    check_schedule("warmup", warmup_constant_schedule(0.0, 1.0, 2).into(), &want);
    check_schedule("constant", 0.25.into(), &Array::new([2], [0.25f32, 0.25]).unwrap());
}

#[test]
fn a_count_stays_at_the_largest_number() {
    let types = BTreeMap::from([("w".to_owned(), TensorType::new(DType::F32, [1]))]);
    let program = step(&sgd(1.0), &types);
    let one = Array::new([1], [1f32]).unwrap();
    let got = execute(&program, &[&one, &one, &Array::scalar(i32::MAX)]);
    assert_eq!(got[1], Array::scalar(i32::MAX));
}

#[test]
fn states_have_flat_paths() {
    let types = BTreeMap::from([("core/layers/0/kernel".to_owned(), TensorType::new(DType::F32, [2, 3]))]);
    let paths = |optimizer: &dyn GradientTransformation| optimizer.init(&types).into_keys().collect::<Vec<_>>();
    assert_eq!(paths(&sgd(0.1)), ["count"]);
    assert_eq!(paths(&lion(0.1)), ["count", "mu/core/layers/0/kernel"]);
    assert_eq!(paths(&Sgd { momentum: Some(0.9), ..sgd(0.1) }), ["count", "trace/core/layers/0/kernel"]);
}

/// The errors of one step of `optimizer` on `w`, from this state and with this parameter type.
#[track_caller]
fn check_errors(
    optimizer: &dyn GradientTransformation,
    state: &[(&str, TensorType)],
    param: TensorType,
    wanted: &[&str],
) {
    let mut inputs = vec![("g", TensorType::new(DType::F32, [3])), ("w", param)];
    inputs.extend(state.iter().cloned());
    let errors = trace(&inputs, |x| {
        let w = |t: &Tensor| BTreeMap::from([("w".to_owned(), t.clone())]);
        let state = state.iter().zip(&x[2..]).map(|((path, _), t)| (path.to_string(), t.clone())).collect();
        let (updates, _) = optimizer.update(&w(&x[0]), &state, &w(&x[1]));
        apply_updates(&w(&x[1]), &updates).into_values().collect()
    });
    let messages: Vec<String> =
        errors.unwrap_err().0.iter().map(|e| format!("{}: {}", e.op, e.violation.message)).collect();
    assert_eq!(messages, wanted);
}

#[test]
fn wrong_states_are_errors() {
    let f32s = |dims: &[usize]| TensorType::new(DType::F32, dims);
    let count = [("count", TensorType::scalar(DType::S32))];
    let missing = ["sgd: count is missing from the state"];
    check_errors(&sgd(0.1), &[], f32s(&[3]), &missing);
    let unlike = ["apply_updates: w f32[4] and w f32[3] differ in type"];
    check_errors(&sgd(0.1), &count, f32s(&[4]), &unlike);
    let moments = ["lion: w f32[3] and mu/w f32[2] differ in type", "lion: w f32[3] and mu/w f32[2] differ in type"];
    check_errors(&lion(0.1), &[count[0].clone(), ("mu/w", f32s(&[2]))], f32s(&[3]), &moments);
    let cosine = ["cosine_decay_schedule: needs at least one step to decay over (decay_steps, without the warmup)"];
    check_errors(&sgd(cosine_decay_schedule(0.1, 0)), &count, f32s(&[3]), &cosine);
}

/// A transformation's text contains everything that affects it: changing any field changes the text.
#[test]
fn a_description_says_every_field() {
    let rate: Schedule = cosine_decay_schedule(0.1, 100).into();
    let (a, l, s) = (adam(0.1), lion(0.1), Sgd { momentum: Some(0.9), ..sgd(0.1) });
    let (cosine, warm) = (cosine_decay_schedule(0.1, 100), warmup_cosine_decay_schedule(0.0, 0.1, 10, 100));
    let with = |rate: Schedule| sgd(rate).describe();
    let texts = [
        a.describe(),
        Adam { b1: 0.91, ..a.clone() }.describe(),
        Adam { b2: 0.9, ..a.clone() }.describe(),
        Adam { eps: 1e-7, ..a.clone() }.describe(),
        Adam { eps_root: 1e-8, ..a.clone() }.describe(),
        Adam { nesterov: true, ..a.clone() }.describe(),
        adamw(0.1).describe(),
        adam(0.2).describe(),
        adam(rate.clone()).describe(),
        l.describe(),
        Lion { b1: 0.8, ..l.clone() }.describe(),
        Lion { b2: 0.8, ..l.clone() }.describe(),
        Lion { weight_decay: 0.0, ..l }.describe(),
        s.describe(),
        Sgd { nesterov: true, ..s.clone() }.describe(),
        Sgd { momentum: None, ..s }.describe(),
        with(cosine.into()),
        with(CosineDecay { init_value: 0.2, ..cosine }.into()),
        with(CosineDecay { decay_steps: 99, ..cosine }.into()),
        with(CosineDecay { alpha: 0.1, ..cosine }.into()),
        with(CosineDecay { exponent: 2.0, ..cosine }.into()),
        with(warmup_constant_schedule(0.0, 0.1, 10).into()),
        with(warmup_constant_schedule(0.0, 0.1, 11).into()),
        with(warmup_constant_schedule(0.0, 0.2, 10).into()),
        with(warmup_constant_schedule(0.1, 0.1, 10).into()),
        with(warm.into()),
        with(WarmupCosineDecay { end_value: 0.01, ..warm }.into()),
        with(WarmupCosineDecay { exponent: 2.0, ..warm }.into()),
        with(WarmupCosineDecay { warmup_steps: 9, ..warm }.into()),
        with(WarmupCosineDecay { decay_steps: 99, ..warm }.into()),
        clip_by_global_norm(1.0).describe(),
        clip_by_global_norm(1.5).describe(),
        chain([clip_by_global_norm(1.0).into(), adam(0.1).into()]).describe(),
        chain([adam(0.1).into(), clip_by_global_norm(1.0).into()]).describe(),
    ];
    let distinct: std::collections::BTreeSet<&String> = texts.iter().collect();
    assert_eq!(distinct.len(), texts.len(), "{texts:#?}");
    assert_eq!(texts[0], "adam(0.1)");
    assert_eq!(texts[1], "adam(0.1, b1=0.91)");
    assert_eq!(texts[6], "adam(0.1, weight_decay=0.0001)");
    assert_eq!(texts[32], "chain(clip_by_global_norm(1), adam(0.1))");
}

/// A transformation without a custom text is described by its fields.
#[test]
fn a_transformation_of_ones_own_is_described_by_its_fields() {
    #[derive(Debug)]
    struct Halved {
        #[allow(dead_code, reason = "`Debug` reads it")]
        by: f64,
    }
    impl GradientTransformation for Halved {
        fn state_types(&self, _: &BTreeMap<String, TensorType>) -> BTreeMap<String, TensorType> {
            BTreeMap::new()
        }
        fn update(
            &self,
            grads: &BTreeMap<String, Tensor>,
            _: &BTreeMap<String, Tensor>,
            _: &BTreeMap<String, Tensor>,
        ) -> (BTreeMap<String, Tensor>, BTreeMap<String, Tensor>) {
            (grads.clone(), BTreeMap::new())
        }
    }
    let text = chain([Halved { by: 0.5 }.into(), sgd(0.1).into()]).describe();
    assert_eq!(text, "chain(Halved { by: 0.5 }, sgd(0.1))");
}

#[test]
fn names_that_are_wrong_are_refused_with_the_nearest() {
    let optimizer = |name, rate, schedule| Optimizer::named(name, rate, schedule).unwrap_err();
    for (error, expected) in [
        (
            optimizer("lions", 0.1, "cosine"),
            "there is no optimizer `lions`; did you mean `lion`? available: lion, adam, adamw, sgd",
        ),
        (
            optimizer("adam", 0.1, "cosin"),
            "there is no schedule `cosin`; did you mean `cosine`? available: constant, cosine, warmup_constant, warmup_cosine, \
             cosine_onecycle, linear_onecycle, exponential, piecewise, plateau",
        ),
        (optimizer("adam", 0.1, "step-wise"), "the schedule: `step-wise` is not of the form `Name(key = value, …)`"),
        (
            Loss::named("mse_spike_rate").unwrap_err(),
            "there is no loss `mse_spike_rate`; did you mean `mse_spikerate`? available: integral_crossentropy, mse_spikerate, \
             ce_count_loss, ce_rate_loss, ce_mean_loss, ce_max_membrane_loss, ce_softmax_sum_loss, ce_last_step_loss, mse_count_loss, \
             mse_membrane_loss, tet_loss",
        ),
        (optimizer("adam", -1.0, "cosine"), "the learning rate is -1, but must be 0 or more"),
        (optimizer("adam", f64::NAN, "cosine"), "the learning rate is NaN, but must be 0 or more"),
        (
            optimizer("adam", 1e39, "cosine"),
            "the learning rate is 1e39, but must be a number in f32's range: 0, or a magnitude from 1.2e-38 to 3.4e38",
        ),
        (
            optimizer("adam", 1e-39, "cosine"),
            "the learning rate is 1e-39, but must be a number in f32's range: 0, or a magnitude from 1.2e-38 to 3.4e38",
        ),
        (
            optimizer("adam(b2 = 0.9999999999)", 1e-3, "cosine"),
            "`b2` of the optimizer `adam` is 0.9999999999, but must be a number from 0 to below 1",
        ),
        (
            optimizer("adam(eps = 1e40)", 1e-3, "cosine"),
            "`eps` of the optimizer `adam` is 1e40, but must be a number in f32's range: 0, or a magnitude from 1.2e-38 to 3.4e38",
        ),
    ] {
        assert_eq!(error.to_string(), expected);
        assert_eq!(error.kind(), ErrorKind::Input);
    }
}

/// Each row of the table is the optimizer with its name.
#[test]
fn rows_are_what_they_are_called() {
    for optimizer in OPTIMIZERS {
        let rate = || cosine_decay_schedule(0.1, 50);
        let made = Optimizer::named(optimizer.name, 0.1, "cosine").expect("names of the tables").for_steps(50);
        let written = match optimizer.name {
            "adam" => adam(rate()).describe(),
            "adamw" => adamw(rate()).describe(),
            "lion" => lion(rate()).describe(),
            "sgd" => sgd(rate()).describe(),
            other => panic!("{other} has no line here"),
        };
        assert_eq!(made.describe(), written);
    }
    assert_eq!(Optimizer::of_steps(|steps| sgd(f64::from(steps))).for_steps(7).describe(), "sgd(7)");
}
