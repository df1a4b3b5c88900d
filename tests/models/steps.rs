//! Schedules and optimizer wrappers, given as command-line texts and compared with optax over some steps; their texts, states and errors.

use std::collections::BTreeMap;

use crate::evaluate::{check_close, evaluate, execute};
use crate::reference::{Case, Reference};
use spiq::optim::{
    Ema, GradientTransformation, Optimizer, PathPattern, SCHEDULES, Steps, adam, average_params, chain, ema,
    multi_steps, multi_transform, reduce_on_plateau, sgd,
};
use spiq::{Array, DType, TensorType};
use spiq_hlo::{Function, Tensor, trace};

#[test]
fn schedules_by_name_are_optax_schedules() {
    let file = Reference::load("training");
    for case in file.cases("schedule") {
        let text = case.get("text").as_str().expect("a text");
        let optimizer = Optimizer::named("sgd", 0.1, text).expect(text).for_run(25, 5);
        // One step of plain gradient descent with a gradient of -1 equals the learning rate.
        let w = BTreeMap::from([("w".to_owned(), TensorType::new(DType::F32, []))]);
        let program = batch(&*optimizer, &w);
        let (zero, minus) = (Array::scalar(0f32), Array::scalar(-1f32));
        let want = case.array("values").to_vec::<f32>().expect("numbers");
        for (step, want) in want.iter().enumerate() {
            let got = execute(&program, &[&zero, &minus, &zero, &Array::scalar(step as i32)]);
            check_close(&format!("{text} at {step}"), &got[0], &Array::scalar(*want), 1e-6);
        }
    }
}

/// Checks that every schedule has a case.
#[test]
fn every_schedule_is_compared() {
    let file = Reference::load("training");
    let texts: Vec<String> =
        file.cases("schedule").map(|case| case.get("text").as_str().expect("a text").into()).collect();
    for row in SCHEDULES.iter().filter(|row| row.name != "plateau") {
        assert!(texts.iter().any(|text| text.starts_with(row.name)), "{}", row.name);
    }
}

/// One batch as a program: maps parameters, gradients, the loss and state, each in path order, to parameters and state.
fn batch(optimizer: &dyn GradientTransformation, params: &BTreeMap<String, TensorType>) -> Function {
    let state: BTreeMap<String, TensorType> =
        optimizer.init(params).into_iter().map(|(path, array)| (path, array.ty().clone())).collect();
    assert_eq!(state, optimizer.state_types(params), "{}", optimizer.describe());
    let value = TensorType::scalar(DType::F32);
    let types = params.values().chain(params.values()).chain([&value]).chain(state.values());
    let inputs: Vec<(&str, TensorType)> = types.map(|ty| ("", ty.clone())).collect();
    let traced = trace(&inputs, |x| {
        let mut x = x.iter().cloned();
        let mut named = |paths: Vec<&String>| -> BTreeMap<String, Tensor> {
            paths.into_iter().map(|path| (path.clone(), x.next().expect("an input"))).collect()
        };
        let (now, grads) = (named(params.keys().collect()), named(params.keys().collect()));
        let value = named(vec![&String::new()]).into_values().next().expect("the loss");
        let state = named(state.keys().collect());
        let (updates, state) = optimizer.update_with_value(&grads, &state, &now, &value);
        spiq::optim::apply_updates(&now, &updates).into_values().chain(state.into_values()).collect()
    });
    traced.unwrap_or_else(|e| panic!("{e}"))
}

/// Element `index` along axis 0.
fn row(array: &Array, index: usize) -> Array {
    let ty = array.ty().with_dims(&array.dims()[1..]);
    let size = array.bytes().len() / array.dims()[0];
    Array::from_bytes(ty, &array.bytes()[index * size..][..size]).expect("bytes of a row")
}

fn by_text(case: &Case<'_>) -> Box<dyn GradientTransformation> {
    let text = |name: &str, default: &str| case.get(name).as_str().unwrap_or(default).to_owned();
    match case.get("own").as_str() {
        Some("ema(0.9)") => ema(0.9).into(),
        Some(_) => Ema { debias: false, ..ema(0.9) }.into(),
        None => {
            let named = Optimizer::named(&text("optimizer", ""), 0.1, &text("schedule", "constant")).expect("names");
            let around = named.with_groups(&text("groups", "none")).and_then(|o| o.with_clip(&text("clip", "none")));
            let around = around.and_then(|o| o.accumulating(case.get("accumulate").as_u64().unwrap_or(1) as usize));
            let around = around.and_then(|o| o.averaging(case.get("ema").as_f64().unwrap_or(0.0)));
            around.expect("texts").for_run(20, 5).into()
        }
    }
}

#[test]
fn what_is_around_an_optimizer_is_what_optax_does() {
    let file = Reference::load("training");
    let given = file.case("given");
    let paths = ["core/layers/0/kernel", "core/layers/1/beta"];
    let types: BTreeMap<String, TensorType> =
        paths.iter().map(|p| (p.to_string(), given.array(&format!("params/{p}")).ty().clone())).collect();
    for case in file.cases("transformation") {
        let transformation = by_text(&case);
        let program = batch(&*transformation, &types);
        let first = transformation.init(&types);
        let names: Vec<String> = first.keys().cloned().collect();
        let mut values: Vec<Array> = paths.iter().map(|p| given.array(&format!("params/{p}")).clone()).collect();
        values.extend(first.into_values());
        let every = case.get("accumulate").as_u64().unwrap_or(1) as usize;
        for step in 0..20 {
            let grads: Vec<Array> = paths.iter().map(|p| row(given.array(&format!("grads/{p}")), step)).collect();
            let loss = row(given.array("losses"), step);
            let inputs: Vec<&Array> = values[..2].iter().chain(&grads).chain([&loss]).chain(&values[2..]).collect();
            values = execute(&program, &inputs);
            let what = |path: &str| format!("{} {} {path} batch {step}", case.name, case.arguments());
            for (path, got) in paths.iter().zip(&values) {
                check_close(&what(path), got, &row(case.array(&format!("params/{path}")), step), 1e-6);
                let Some(average) = case.find(&format!("average/{path}")) else { continue };
                if (step + 1) % every == 0 {
                    let slot = format!("{}/{path}", transformation.average().expect("an average"));
                    let place = names.iter().position(|name| *name == slot).expect("a slot");
                    check_close(&what(&slot), &values[2 + place], &row(average, (step + 1) / every - 1), 1e-6);
                }
            }
        }
    }
}

/// A group's transformation receives only its own parameters; the first matching group applies.
#[test]
fn a_parameter_belongs_to_the_first_group_that_matches() {
    let groups = [("beta", 0.0), ("core/layers/1/.*", 1.0)];
    let groups = groups.map(|(path, rate)| (PathPattern::new(path).expect("a pattern"), sgd(rate).into()));
    let optimizer = multi_transform(groups, sgd(2.0));
    let names = ["core/layers/0/kernel", "core/layers/1/beta", "core/layers/1/gamma", "core/layers/11/gamma"];
    let types: BTreeMap<String, TensorType> = names.map(|n| (n.to_owned(), TensorType::scalar(DType::F32))).into();
    let program = batch(&optimizer, &types);
    let (zero, minus, state) = (Array::scalar(0f32), Array::scalar(-1f32), optimizer.init(&types));
    let inputs =
        std::iter::repeat_n(&zero, 4).chain(std::iter::repeat_n(&minus, 4)).chain([&zero]).chain(state.values());
    let got = execute(&program, &inputs.collect::<Vec<_>>());
    let got: Vec<f32> = got[..4].iter().map(|a| a.to_vec::<f32>().expect("f32")[0]).collect();
    assert_eq!(got, [2.0, 0.0, 1.0, 2.0]);
}

/// A transformation that requires the loss reports its absence, through all wrappers.
#[test]
fn a_plateau_without_a_loss_is_an_error() {
    let optimizer = multi_steps(average_params(chain([sgd(0.1).into(), reduce_on_plateau().into()]), 0.5), 2);
    let types = BTreeMap::from([("w".to_owned(), TensorType::new(DType::F32, [3]))]);
    let state = optimizer.init(&types);
    let inputs: Vec<(&str, TensorType)> =
        [types["w"].clone()].into_iter().chain(state.values().map(|a| a.ty().clone())).map(|ty| ("", ty)).collect();
    let errors = trace(&inputs, |x| {
        let w = BTreeMap::from([("w".to_owned(), x[0].clone())]);
        let state = state.keys().cloned().zip(x[1..].iter().cloned()).collect();
        optimizer.update(&w, &state, &w).0.into_values().collect()
    });
    let said = errors.expect_err("a refusal").to_string();
    assert!(said.contains("reads the loss: call update_with_value"), "{said}");
}

#[test]
fn a_plateau_starts_where_optax_does() {
    let state = reduce_on_plateau().init(&BTreeMap::new());
    assert_eq!((&state["scale"], &state["best_value"]), (&Array::scalar(1f32), &Array::scalar(f32::INFINITY)));
}

/// The texts stored in files contain everything that affects a run.
#[test]
fn texts_of_an_optimizer_give_it_again() {
    let groups = "group(path='beta',learning_rate=1e-3,weight_decay=0), group(path = \"layers/0/.*\", b1 = 0.5)";
    let optimizer =
        Optimizer::named("adamw( b2=0.99 )", 2e-3, "warmup_cosine(warmup = 10)").and_then(|o| o.with_groups(groups));
    let optimizer = optimizer.and_then(|o| o.with_clip(" 1 ")?.accumulating(2)?.averaging(0.99)).expect("texts");
    let (names, around) = (optimizer.names().expect("names"), optimizer.around());
    assert_eq!(names.optimizer, "adamw(b2 = 0.99)");
    assert_eq!(names.schedule, "warmup_cosine(warmup = 10)");
    assert_eq!(
        names.groups,
        "group(path = \"beta\", learning_rate = 0.001, weight_decay = 0.0), group(path = \"layers/0/.*\", b1 = 0.5)"
    );
    assert_eq!(around.clip, "clip_by_global_norm(max_norm = 1.0)");
    let again = Optimizer::named(&names.optimizer, 2e-3, &names.schedule).and_then(|o| o.with_groups(&names.groups));
    let again = again.and_then(|o| o.with_clip(&around.clip)?.accumulating(around.accumulate)?.averaging(around.ema));
    let again = again.expect("the same texts");
    assert_eq!((again.names(), again.around()), (Some(names), around));
    let described = optimizer.for_run(100, 10).describe();
    assert_eq!(described, again.for_run(100, 10).describe());
    let rate = |rate: &str| format!("warmup_cosine(0, {rate}, 10, 50)");
    assert_eq!(
        described,
        format!(
            "multi_steps(average_params(chain(clip_by_global_norm(1), multi_transform({{\"beta\": adam({}, b2=0.99), \
             \"layers/0/.*\": adam({}, b1=0.5, b2=0.99, weight_decay=0.0001)}}, adam({}, b2=0.99, weight_decay=0.0001))), \
             0.99), 2)",
            rate("0.001"),
            rate("0.002"),
            rate("0.002")
        )
    );
    // A user-defined optimizer, with the same wrappers.
    let own = Optimizer::from(adam(0.1)).with_clip("clip(max_delta = 2)").expect("a clip");
    assert_eq!(own.for_steps(5).describe(), "chain(clip(2), adam(0.1))");
}

#[test]
fn shares_of_a_run_are_of_its_steps() {
    let text = |schedule: &str, batches: usize, of_epoch: usize| {
        let optimizer = Optimizer::named("sgd", 0.5, schedule).expect(schedule);
        optimizer.for_run(batches, of_epoch).describe()
    };
    assert_eq!(text("warmup_constant(warmup = 0.25)", 40, 10), "sgd(warmup_constant(0, 0.5, 10))");
    assert_eq!(text("warmup_constant(warmup = 0)", 40, 10), "sgd(0.5)");
    assert_eq!(text("warmup_cosine(warmup = 99)", 10, 10), "sgd(warmup_cosine(0, 0.5, 9, 10))");
    assert_eq!(
        text("piecewise(boundaries = [0.5, 30], scales = [0.1, 0.5])", 40, 10),
        "sgd(piecewise(0.5, {20: 0.1, 30: 0.5}))"
    );
    assert_eq!(text("plateau(factor = 0.5)", 40, 10), "chain(sgd(0.5), reduce_on_plateau(0.5, accumulation_size=10))");
    let Steps { total, of_epoch } = Steps { total: 4, of_epoch: 2 };
    assert_eq!((total, of_epoch), (4, 2));
}

#[test]
fn what_is_wrong_around_an_optimizer_is_said() {
    let adamw = || Optimizer::named("adamw", 0.1, "constant").expect("names");
    let paths = ["core/layers/0/kernel".to_owned(), "core/layers/1/beta".to_owned()];
    let missed = adamw().with_groups("group(path = 'delay', learning_rate = 1)").expect("a group");
    for (error, expected) in [
        (
            Optimizer::named("adam(wd = 1)", 0.1, "constant").map(drop),
            "the optimizer `adam` has no argument `wd`; it takes b1, b2, eps, eps_root, nesterov",
        ),
        (
            Optimizer::named("sgd(nesterov = true)", 0.1, "constant").map(drop),
            "the optimizer `sgd` cannot use nesterov without momentum; give `momentum` as well",
        ),
        (
            Optimizer::named("sgd", 0.1, "cosine(alpah = 0.1)").map(drop),
            "the schedule `cosine` has no argument `alpah`; did you mean `alpha`?",
        ),
        (
            Optimizer::named("sgd", 0.1, "warmup_cosine(warmup = 1.5)").map(drop),
            "`warmup` of the schedule `warmup_cosine` is 1.5, but must be a number of steps, or a fraction of all steps from 0.0 to \
             1.0, written with a decimal point",
        ),
        (
            Optimizer::named("sgd", 0.1, "piecewise(scales = [0.1])").map(drop),
            "the schedule `piecewise` has 2 boundaries and 1 scales; give one scale per boundary",
        ),
        (
            Optimizer::named("adam(b1 = 1)", 0.1, "constant").map(drop),
            "`b1` of the optimizer `adam` is 1, but must be a number from 0 to below 1",
        ),
        (
            Optimizer::named("sgd", 0.1, "piecewise(boundaries = [0.75, 0.5])").map(drop),
            "the schedule `piecewise` has boundaries that do not increase; give them in order, each once",
        ),
        (
            Optimizer::named("sgd", 0.1, "linear_onecycle(pct_start = 0.5, pct_final = 0.4)").map(drop),
            "the schedule `linear_onecycle` rises until pct_start = 0.5, so it cannot be back down at pct_final = 0.4; give a larger \
             pct_final",
        ),
        (
            Optimizer::named("sgd", 0.1, "linear_onecycle(div_factor = 0.5)").map(drop),
            "`div_factor` of the schedule `linear_onecycle` is 0.5, but must be a number of 1 or more",
        ),
        (
            Optimizer::named("sgd", 0.1, "plateau(factor = 1)").map(drop),
            "`factor` of the schedule `plateau` is 1, but must be a number above 0 and below 1",
        ),
        (
            adamw().with_clip("-1").map(drop),
            "`max_norm` of the clip `clip_by_global_norm` is -1.0, but must be a positive number",
        ),
        (adamw().with_clip("clip").map(drop), "the clip `clip` needs `max_delta`: write clip(max_delta = …)"),
        (adamw().with_groups("").map(drop), "`` names no group: write group(path = \"…\", learning_rate = …)"),
        (
            adamw().with_groups("group(learning_rate = 1)").map(drop),
            "the group `group` needs `path`, a pattern of the parameters' paths",
        ),
        (
            adamw().with_groups("group(path = 'beta', momentum = 1)").map(drop),
            "the group `group` has no argument `momentum`; it takes path, learning_rate, schedule, weight_decay, b1, b2, eps, eps_root, \
             nesterov",
        ),
        (
            adamw().with_groups("group(path = '(')").map(drop),
            "the path `(` is not a regular expression: unclosed group",
        ),
        (
            missed.check_groups(paths.iter()),
            "no parameter belongs to the group of `delay`; there are core/layers/0/kernel, core/layers/1/beta",
        ),
        (adamw().accumulating(0).map(drop), "a step takes 0 batches, but must take at least 1"),
        (adamw().averaging(1.0).map(drop), "the decay of the parameter average is 1, but must be from 0 to below 1"),
    ] {
        assert_eq!(error.expect_err(expected).to_string(), expected);
    }
}

/// The step count of a group without parameters would have no trace to be recorded in.
#[test]
fn a_group_without_parameters_has_no_state() {
    let groups = [(PathPattern::new("delay").expect("a pattern"), adam(1.0).into())];
    let optimizer = multi_transform(groups, sgd(2.0));
    let types = BTreeMap::from([("w".to_owned(), TensorType::new(DType::F32, [1]))]);
    assert_eq!(optimizer.init(&types).into_keys().collect::<Vec<_>>(), ["1/count"]);
    let one = Array::new([1], [1f32]).expect("one");
    let got = execute(&batch(&optimizer, &types), &[&one, &one, &Array::scalar(0f32), &Array::scalar(0i32)]);
    assert_eq!(got[0].to_vec::<f32>().expect("f32"), [-1.0]);
    let same = evaluate(&[&one], |x| vec![x[0].clone()]);
    assert_eq!(same[0], one);
}
