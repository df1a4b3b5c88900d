//! Nested transforms that use outer values at every level: random nests compared with the same programs written out, with central
//! differences, and with JAX. `SPIQ_PROPERTY_CASES` sets the number of nests per depth (500 before a release), `PROPTEST_RNG_SEED` the
//! seed.

use super::nest::{self, Kind, Level, Transformed, Unrolled, Way, has_while, is_allowed};
use crate::reference::Reference;
use crate::run::Program;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner};
use spiq::{Array, DType, Tensor, TensorType, grad, trace, vmap};
use spiq_hlo::{scan, while_loop};

/// Default number of nests per depth.
const CASES: u32 = 25;

/// A nest as a program: its value, and its gradient (of the sum) unless a `while` prevents it.
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
    Program::unoptimized(&trace(&types, f).map_err(|e| e.to_string())?)
}

fn values(program: &Program, inputs: &[Array]) -> Outcome<Vec<Vec<f64>>> {
    Ok(program.run(inputs)?.iter().map(Array::to_f64).collect())
}

fn close(what: &str, got: &[f64], want: &[f64], tolerance: f64) -> Outcome<()> {
    let size = want.iter().fold(1.0, |size: f64, w| size.max(w.abs()));
    let far = |(g, w): (&f64, &f64)| (g - w).is_nan() || (g - w).abs() > tolerance * size;
    match got.len() == want.len() && !got.iter().zip(want).any(far) {
        true => Ok(()),
        false => Err(format!("{what}: {got:?}, want {want:?}")),
    }
}

/// Compares the transforms with the same program written out.
fn check_unrolled(levels: &[Level], inputs: &[Array]) -> Outcome<()> {
    let both = compiled(inputs, |x| [outputs(&Transformed, levels, x), outputs(&Unrolled, levels, x)].concat())?;
    let results = values(&both, inputs)?;
    let (nested, flat) = results.split_at(results.len() / 2);
    nested.iter().zip(flat).try_for_each(|(nested, flat)| close("unrolled", nested, flat, 1e-9))?;
    if has_while(levels) { Ok(()) } else { check_differences(&both, inputs, &nested[1..]) }
}

/// Compares the gradient with central differences of the value, along each element of each input. Third derivatives are so large that
/// four points are needed.
fn check_differences(program: &Program, inputs: &[Array], gradients: &[Vec<f64>]) -> Outcome<()> {
    const STEP: f64 = 1e-4;
    for (input, gradient) in gradients.iter().enumerate() {
        for (element, got) in gradient.iter().enumerate() {
            let at = |by: f64| -> Outcome<f64> {
                let mut moved = inputs.to_vec();
                let mut numbers = moved[input].to_f64();
                numbers[element] += by;
                moved[input] = Array::new([numbers.len()], numbers).expect("the same shape");
                Ok(values(program, &moved)?[0].iter().sum())
            };
            let slope = |step: f64| Ok::<_, String>((at(step)? - at(-step)?) / (2.0 * step));
            let want = (4.0 * slope(STEP)? - slope(2.0 * STEP)?) / 3.0;
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
    prop::array::uniform3(-1.2..1.2f64).prop_map(|x| Array::new([3], x).expect("three numbers"))
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

/// Runs a program on w = [1, 2, 3] and the rows of ones and tens.
fn given(f: impl FnOnce(&Tensor, &Tensor) -> Tensor) -> Vec<f64> {
    let w = Array::new([3], [1.0, 2.0, 3.0]).expect("a vector");
    let xs = Array::new([2, 3], [1.0, 1.0, 1.0, 10.0, 10.0, 10.0]).expect("a matrix");
    let inputs = [w, xs];
    let program = compiled(&inputs, |x| vec![f(&x[0], &x[1])]).unwrap_or_else(|e| panic!("{e}"));
    values(&program, &inputs).unwrap_or_else(|e| panic!("{e}")).swap_remove(0)
}

#[track_caller]
fn check_given(want: &[f64], f: impl FnOnce(&Tensor, &Tensor) -> Tensor) {
    close("given", &given(f), want, 1e-12).unwrap_or_else(|e| panic!("{e}"));
}

#[test]
fn gradients_for_each_example_hold_what_is_computed_of_parameters_alone() {
    check_given(&[2.0, 4.0, 6.0, 20.0, 40.0, 60.0], |w, xs| vmap(xs, |x: Tensor| grad(w, |w| ((w * w) * &x).sum())));
    // Weight decay: (x·w)² + 0.1 Σw².
    check_given(&[12.2, 12.4, 12.6, 1200.2, 1200.4, 1200.6], |w, xs| {
        vmap(xs, |x: Tensor| {
            grad(w, |w| {
                let y = (&x * w).sum();
                &y * &y + (w * w).sum() * 0.1
            })
        })
    });
    // Weight normalization: (x·n)², n = w / |w|.
    let slope: Vec<f64> = [1.0, 2.0, 3.0].iter().map(|w| 2.0 * 6.0 / 14.0 * (1.0 - 6.0 * w / 14.0)).collect();
    let both: Vec<f64> = slope.iter().copied().chain(slope.iter().map(|s| s * 100.0)).collect();
    check_given(&both, |w, xs| {
        vmap(xs, |x: Tensor| {
            grad(w, |w| {
                let y = (w / (w * w).sum().sqrt() * &x).sum();
                &y * &y
            })
        })
    });
}

#[test]
fn a_hessian_is_a_mapped_gradient_of_a_gradient() {
    // Σ w³ + (Σw)²: 6 w on the diagonal, and 2.
    let want: Vec<f64> = (0..9).map(|i| 2.0 + if i % 4 == 0 { 6.0 * (i / 4 + 1) as f64 } else { 0.0 }).collect();
    check_given(&want, |w, _| {
        let f = |w: &Tensor| (w * w * w).sum() + w.sum() * w.sum();
        let ones = w.graph().iota(TensorType::new(DType::S32, [3, 3]), 0);
        let eye = ones.eq(w.graph().iota(TensorType::new(DType::S32, [3, 3]), 1)).convert(DType::F64);
        vmap(&eye, |v: Tensor| grad(w, |w| (grad(w, f) * &v).sum()))
    });
}

#[test]
fn gradients_in_loops_hold_what_is_computed_of_outer_values_alone() {
    check_given(&[2.0, 4.0, 6.0, 20.0, 40.0, 60.0], |w, xs| {
        scan(w, xs, |c: Tensor, x: Tensor| (c, grad(w, |w| ((w * w) * &x).sum()))).1
    });
    check_given(&[27.0, 125.0, 343.0], |w, _| {
        let start = (w.graph().scalar(DType::S32, 0.0), w.full_like(1.0));
        let step = |c: &Tensor| c + grad(w, |w| (w * w * c).sum());
        while_loop(&start, |(i, _)| i.lt(3.0), |(i, c)| (i + 1.0, step(&c))).1
    });
    check_given(&[66.0, 132.0, 198.0], |w, xs| {
        grad(w, |w| vmap(xs, |x: Tensor| grad(w, |w| (w * w * w * &x).sum())).sum())
    });
}

/// As in JAX, an inner value that the result does not depend on has a zero gradient.
#[test]
fn a_gradient_by_an_inner_value_of_an_outer_one_is_zero() {
    check_given(&[0.0; 6], |w, xs| vmap(xs, |x: Tensor| grad(&x, |_| (w * w).sum())));
}

/// A tensor given twice receives the gradient both times.
#[test]
fn a_tensor_may_be_named_twice() {
    check_given(&[2.0, 4.0, 6.0, 2.0, 4.0, 6.0], |w, _| {
        let one = w.graph().scalar(DType::F64, 1.0);
        let slopes = spiq::vjp(&[(w * w).sum()], &[Some(one)], &[w.clone(), w.clone()]);
        spiq_hlo::concatenate(&[&slopes[0], &slopes[1]], 0)
    });
}

/// A scan of zero steps: the carry is unchanged, nothing is stacked, and the gradient is 1.
#[test]
fn a_scan_of_no_steps_runs() {
    let inputs =
        [Array::new([2], [1.0, 2.0]).expect("a vector"), Array::new([0, 2], [0.0; 0]).expect("an empty matrix")];
    let program = compiled(&inputs, |x| {
        let (last, rows) = scan(&x[0], &x[1], |c: Tensor, x: Tensor| (&c + &x, c));
        vec![last, rows, grad(&x[0], |c| scan(c, &x[1], |c: Tensor, x: Tensor| (c + x, ())).0.sum())]
    });
    let results = values(&program.unwrap_or_else(|e| panic!("{e}")), &inputs).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(results, [vec![1.0, 2.0], vec![], vec![1.0, 1.0]]);
}
