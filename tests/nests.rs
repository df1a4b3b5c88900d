//! Transforms inside transforms, with outer values used at every level: random nests against the same programs written
//! out, against central differences, and against JAX. `SPIQ_PROPERTY_CASES` says how many are drawn of each depth (500
//! before a release), `PROPTEST_RNG_SEED` which.

mod nest;
mod reference;
mod run;

use nest::{Kind, Level, Transformed, Unrolled, Way, has_while, is_allowed};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner};
use reference::Reference;
use run::Program;
use spiq::{Array, DType, Tensor, TensorType, grad, trace, vmap};
use spiq_hlo::{scan, while_loop};

/// Nests of each depth where nothing else is asked for.
const CASES: u32 = 25;

/// A nest as a program of its inputs: its value; its gradient (of the sum), unless a `while` forbids one.
fn outputs(way: &dyn Way, levels: &[Level], inputs: &[Tensor]) -> Vec<Tensor> {
    let mut all = vec![nest::run(way, levels, inputs)];
    if !has_while(levels) {
        all.extend(grad(&inputs.to_vec(), |inputs| nest::run(way, levels, inputs).sum()));
    }
    all
}

type Outcome<T> = Result<T, String>;

fn compiled(inputs: &[Array], f: impl FnOnce(&[Tensor]) -> Vec<Tensor>) -> Outcome<Program> {
    let types: Vec<(&str, TensorType)> = inputs.iter().map(|x| ("", x.ty().clone())).collect();
    Program::new(&trace(&types, f).map_err(|e| e.to_string())?)
}

fn values(program: &Program, inputs: &[Array]) -> Outcome<Vec<Vec<f64>>> {
    Ok(program.run(inputs)?.iter().map(Array::to_f64).collect())
}

fn close(what: &str, got: &[f64], want: &[f64], tolerance: f64) -> Outcome<()> {
    let size = want.iter().fold(1.0, |size: f64, w| size.max(w.abs()));
    let far = |(g, w): (&f64, &f64)| !((g - w).abs() <= tolerance * size);
    match got.len() == want.len() && !got.iter().zip(want).any(far) {
        true => Ok(()),
        false => Err(format!("{what}: {got:?}, want {want:?}")),
    }
}

/// The transforms against the same program written out.
fn check_unrolled(levels: &[Level], inputs: &[Array]) -> Outcome<()> {
    let both = compiled(inputs, |x| [outputs(&Transformed, levels, x), outputs(&Unrolled, levels, x)].concat())?;
    let results = values(&both, inputs)?;
    let (nested, flat) = results.split_at(results.len() / 2);
    nested.iter().zip(flat).try_for_each(|(nested, flat)| close("unrolled", nested, flat, 1e-9))?;
    if has_while(levels) { Ok(()) } else { check_differences(&both, inputs, &nested[1..]) }
}

/// The gradient against central differences of the value, along each element of each input.
fn check_differences(program: &Program, inputs: &[Array], gradients: &[Vec<f64>]) -> Outcome<()> {
    const STEP: f64 = 1e-5;
    for (input, gradient) in gradients.iter().enumerate() {
        for (element, got) in gradient.iter().enumerate() {
            let at = |by: f64| -> Outcome<f64> {
                let mut moved = inputs.to_vec();
                let mut numbers = moved[input].to_f64();
                numbers[element] += by;
                moved[input] = Array::new([numbers.len()], numbers).expect("the same shape");
                Ok(values(program, &moved)?[0].iter().sum())
            };
            let want = (at(STEP)? - at(-STEP)?) / (2.0 * STEP);
            close(&format!("difference along {input}[{element}]"), &[*got], &[want], 1e-6)?;
        }
    }
    Ok(())
}

fn levels(depth: usize) -> impl Strategy<Value = Vec<Level>> {
    let level = (prop::sample::select(&Kind::ALL[..]), 0..8usize, 0..8usize);
    let level = level.prop_map(|(kind, i, j)| Level { kind, i, j });
    prop::collection::vec(level, depth).prop_filter("a while is differentiated", |levels| is_allowed(levels))
}

fn vector() -> impl Strategy<Value = Array> {
    prop::array::uniform3(-1.2..1.2f64).prop_map(|x| Array::new([3], x.to_vec()).expect("three numbers"))
}

#[track_caller]
fn check_depth(depth: usize) {
    let asked = std::env::var("SPIQ_PROPERTY_CASES").map(|n| n.parse().expect("SPIQ_PROPERTY_CASES is a number"));
    let mut config = Config { cases: asked.unwrap_or(CASES), failure_persistence: None, ..Config::default() };
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(depth as u64);
    }
    let inputs = prop::array::uniform3(vector());
    let outcome = TestRunner::new(config).run(&(levels(depth), inputs), |(levels, inputs)| {
        check_unrolled(&levels, &inputs).map_err(TestCaseError::fail)
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn one_level() {
    check_depth(1);
}

#[test]
fn two_levels() {
    check_depth(2);
}

#[test]
fn three_levels() {
    check_depth(3);
}

#[test]
fn four_levels() {
    check_depth(4);
}

#[test]
fn every_nest_has_jaxs_values() {
    let file = Reference::load("nests");
    let given = file.case("given");
    let inputs = ["a", "b", "w"].map(|name| given.array(name).clone());
    let mut failures = Vec::new();
    for case in file.cases("nest") {
        let levels: Vec<Level> = case.get("levels").as_array().expect("a list").iter().map(level).collect();
        let check = || -> Outcome<()> {
            let results = values(&compiled(&inputs, |x| outputs(&Transformed, &levels, x))?, &inputs)?;
            let names = ["value", "da", "db", "dw"];
            assert_eq!(results.len(), if has_while(&levels) { 1 } else { names.len() });
            results.iter().zip(names).try_for_each(|(got, name)| close(name, got, &case.array(name).to_f64(), 1e-9))
        };
        failures.extend(check().err().map(|e| format!("{}: {levels:?}: {e}", case.name)));
    }
    assert!(failures.is_empty(), "{} nests\n{}", failures.len(), failures.join("\n"));
}

fn level(level: &serde_json::Value) -> Level {
    let kind = Kind::ALL.into_iter().find(|kind| level[0] == kind.name()).expect("a kind of level");
    let number = |at: usize| level[at].as_u64().expect("a place") as usize;
    Level { kind, i: number(1), j: number(2) }
}
