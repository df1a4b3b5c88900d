//! Derivatives at the edges of functions: zeros, ties, poles, infinities, NaN. First and second order, and in the branch that a select
//! does not take: equal to JAX's, except for the cases in [`CHOICES`].

use crate::reference::{Case, Reference};
use crate::run::Program;
use spiq::{Array, DType, Tensor, TensorType, grad, trace, vjp};
use spiq_hlo::{Window, switch};

type Formula = fn(&[Tensor]) -> Tensor;

/// The operations by case name.
const FORMULAS: &[(&str, Formula)] = &[
    ("one/abs", |x| x[0].abs()),
    ("one/sqrt", |x| x[0].sqrt()),
    ("one/rsqrt", |x| x[0].rsqrt()),
    ("one/cbrt", |x| x[0].cbrt()),
    ("one/log", |x| x[0].log()),
    ("one/log1p", |x| x[0].log1p()),
    ("one/exp", |x| x[0].exp()),
    ("one/expm1", |x| x[0].exp_m1()),
    ("one/logistic", |x| x[0].logistic()),
    ("one/tanh", |x| x[0].tanh()),
    ("one/tan", |x| x[0].tan()),
    ("one/sin", |x| x[0].sin()),
    ("one/cos", |x| x[0].cos()),
    ("one/sign", |x| x[0].sign()),
    ("one/floor", |x| x[0].floor()),
    ("one/ceil", |x| x[0].ceil()),
    ("one/round_nearest_even", |x| x[0].round_nearest_even()),
    ("one/negate", |x| x[0].negate()),
    ("one/power -1", |x| x[0].pow(-1.0)),
    ("one/power 0", |x| x[0].pow(0.0)),
    ("one/power 1", |x| x[0].pow(1.0)),
    ("one/power 2", |x| x[0].pow(2.0)),
    ("one/power 3", |x| x[0].pow(3.0)),
    ("two/add", |x| &x[0] + &x[1]),
    ("two/sub", |x| &x[0] - &x[1]),
    ("two/mul", |x| &x[0] * &x[1]),
    ("two/div", |x| &x[0] / &x[1]),
    ("two/pow", |x| x[0].pow(&x[1])),
    ("two/rem", |x| x[0].rem(&x[1])),
    ("two/maximum", |x| x[0].maximum(&x[1])),
    ("two/minimum", |x| x[0].minimum(&x[1])),
    ("two/atan2", |x| x[0].atan2(&x[1])),
    ("three/clamp", |x| x[1].clamp(&x[0], &x[2])),
    ("over/reduce_product", |x| x[0].reduce_product([1])),
    ("over/reduce_max", |x| x[0].reduce_max([1])),
    ("over/reduce_min", |x| x[0].reduce_min([1])),
    ("over/reduce_absmax", |x| x[0].reduce_absmax([1])),
    ("over/reduce_sum", |x| x[0].reduce_sum([1])),
    ("over/log_softmax", |x| x[0].log_softmax(1)),
    ("over/sort", |x| x[0].sort(1)),
    ("over/window_max", |x| x[0].reduce_window_max(&Window::new([1, 2]))),
    ("over/window_sum", |x| x[0].reduce_window_sum(&Window::new([1, 2]))),
];

/// Cotangents of the operands, with weights 1, 2, … for the elements of the result.
fn slopes(y: &Tensor, at: &[Tensor]) -> Vec<Tensor> {
    let weights: Vec<f64> = (1..=y.ty().count()).map(|n| n as f64).collect();
    let weights = y.graph().constant(&Array::new(y.dims(), weights).expect("as many as elements"));
    vjp(std::slice::from_ref(y), &[Some(weights)], at)
}

/// The value and its derivatives, named like the case's arrays.
fn derivatives(formula: Formula, x: &[Tensor]) -> Vec<(String, Tensor)> {
    let value = formula(x);
    let first = slopes(&value, x);
    let mut all = vec![("value".to_owned(), value.clone())];
    for (i, slope) in first.iter().enumerate() {
        all.push((format!("d{i}"), slope.clone()));
        let second = slopes(slope, x);
        all.extend(second.into_iter().enumerate().map(|(j, slope)| (format!("d{i}_{j}"), slope)));
    }
    let taken = value.graph().zeros(value.ty().clone()).gt(1.0);
    let other = taken.select(&value, &value.zeros_like());
    all.extend(slopes(&other, x).into_iter().enumerate().map(|(i, slope)| (format!("not_taken{i}"), slope)));
    all
}

/// A deliberate difference from JAX: the case, its arrays, the operands concerned, and the reason.
struct Choice {
    case: &'static str,
    arrays: &'static [&'static str],
    at: fn(&[f64]) -> bool,
    #[expect(dead_code, reason = "for the reader")]
    because: &'static str,
}

const CHOICES: &[Choice] = &[
    Choice {
        case: "two/pow",
        arrays: &["d0", "d0_0", "d0_1", "d1_0"],
        at: |x| x[0] == 0.0 && x[1] == 0.0,
        because: "x^0 is 1 for every x, so its slope is 0, as of JAX's x ** 0 for the integer 0; JAX's formula for tensors is \
            0 times a pole",
    },
    Choice {
        case: "two/pow",
        arrays: &["d0_0"],
        at: |x| x[0] == 0.0 && x[1] == 1.0,
        because: "the same of the slope of x^1, which is 1 times x^0",
    },
    Choice {
        case: "one/power 0",
        arrays: &["d0", "d0_0"],
        at: |x| x[0].is_nan(),
        because: "what is computed of NaN is NaN; JAX leaves the computation out where the exponent is the integer 0",
    },
    Choice { case: "one/power 1", arrays: &["d0_0"], at: |x| x[0].is_nan(), because: "the same of the integer 1" },
    no_largest("over/reduce_max"),
    no_largest("over/reduce_min"),
    no_largest("over/reduce_absmax"),
    no_largest("over/window_max"),
];

/// A choice about the gradient of a maximum that is NaN.
const fn no_largest(case: &'static str) -> Choice {
    Choice {
        case,
        arrays: &["d0", "not_taken0"],
        at: |x| x.iter().any(|x| x.is_nan()),
        because: "no element equals a maximum that is NaN, so none has a slope; JAX shares the slope among no elements, which is \
            0 / 0, or gives it to the first one of a window",
    }
}

impl Choice {
    fn holds(&self, case: &str, array: &str, at: &[f64]) -> bool {
        self.case == case && self.arrays.contains(&array) && (self.at)(at)
    }
}

/// Equality up to rounding, relative to the inputs' magnitude of about 1, with weights up to 100.
fn same(got: f64, want: f64) -> bool {
    got == want || (got.is_nan() && want.is_nan()) || (got - want).abs() <= 1e-12 * want.abs().max(1.0)
}

/// The operands of element `i` of a result with `count` elements: those at its position, or its whole row.
fn operands(case: &Case<'_>, i: usize, count: usize) -> Vec<f64> {
    let points: Vec<&Array> = (0..).map_while(|n| case.find(&format!("x{n}"))).collect();
    match *points[0].dims() {
        [rows, width] => points[0].to_f64()[i * rows / count * width..][..width].to_vec(),
        _ => points.iter().map(|x| x.to_f64()[i]).collect(),
    }
}

/// The differences, one line each, and the choices that occurred.
#[derive(Default)]
struct Findings {
    lines: Vec<String>,
    compared: usize,
    /// Elements that are 0 here and NaN in JAX, because an untaken branch contributes nothing.
    spared: usize,
    met: Vec<usize>,
}

impl Findings {
    fn compare(&mut self, case: &Case<'_>, array: &str, got: &Array) {
        let want = case.array(array);
        assert_eq!(got.dims(), want.dims(), "{}/{array}", case.name);
        let count = got.ty().count();
        self.compared += count;
        // Elementwise operations contribute nothing where they are not taken. JAX multiplies their gradient there by 0, which gives NaN
        // if the gradient is infinite.
        let is_spared = array.starts_with("not_taken") && !case.name.starts_with("over/");
        for (i, (got, want)) in got.to_f64().into_iter().zip(want.to_f64()).enumerate() {
            let spared = is_spared && want.is_nan();
            if same(got, if spared { 0.0 } else { want }) {
                self.spared += usize::from(spared);
                continue;
            }
            let at = operands(case, i, count);
            match CHOICES.iter().position(|choice| choice.holds(case.name, array, &at)) {
                Some(choice) => self.met.push(choice),
                None => self.lines.push(format!("{} {array} at {at:?}: {got}, JAX {want}", case.name)),
            }
        }
    }

    fn check(&mut self, case: &Case<'_>, formula: Formula) -> Result<(), String> {
        let inputs: Vec<Array> = (0..).map_while(|i| case.find(&format!("x{i}")).cloned()).collect();
        let types: Vec<(&str, TensorType)> = inputs.iter().map(|x| ("", x.ty().clone())).collect();
        let mut names = Vec::new();
        let function = trace(&types, |x| {
            let (all, tensors) = derivatives(formula, x).into_iter().unzip();
            names = all;
            tensors
        });
        let outputs = Program::unoptimized(&function.map_err(|e| e.to_string())?)?.run(&inputs)?;
        names.iter().zip(&outputs).for_each(|(name, got)| self.compare(case, name, got));
        Ok(())
    }
}

#[test]
fn derivatives_at_edges_are_jaxs() {
    let file = Reference::load("edges");
    let mut findings = Findings::default();
    for (name, formula) in FORMULAS {
        findings.check(&file.case(name), *formula).unwrap_or_else(|e| panic!("{name}: {e}"));
    }
    let Findings { lines, compared, spared, met } = findings;
    assert!(spared > 0, "no branch was spared");
    assert!(lines.is_empty(), "{} of {compared} numbers\n{}", lines.len(), lines.join("\n"));
    let idle = (0..CHOICES.len()).filter(|i| !met.contains(i)).map(|i| CHOICES[i].case);
    assert_eq!(idle.collect::<Vec<_>>(), Vec::<&str>::new(), "choices that make no difference");
}

/// Checks that every case in the file is compared.
#[test]
fn no_case_is_left_out() {
    let file = Reference::load("edges");
    let cases: usize = ["one", "two", "three", "over"].map(|kind| file.cases(kind).count()).iter().sum();
    assert_eq!(cases, FORMULAS.len());
}

/// The values from the bug reports that led to these rules.
#[test]
fn slopes_at_zero() {
    let slope = |x: &[f64], f: fn(&Tensor) -> Tensor| {
        let x = Array::new([x.len()], x).expect("a vector");
        let function =
            trace(&[("x", x.ty().clone())], |x| vec![spiq::grad(&x[0], f)]).unwrap_or_else(|e| panic!("{e}"));
        Program::unoptimized(&function).unwrap().run(&[x]).unwrap()[0].to_f64()
    };
    assert_eq!(slope(&[2.0, 0.0, 3.0, 4.0], |x| x.reduce_product([0])), [0.0, 24.0, 0.0, 0.0]);
    assert_eq!(slope(&[0.0, 1.0, 2.0], |x| x.zeros_like().pow(x).sum()), [0.0; 3]);
    let chosen = |x: &Tensor| x.gt(9.0).select(&x.zeros_like().pow(x), &(x * 3.0)).sum();
    assert_eq!(slope(&[0.0, 1.0, 2.0], chosen), [3.0; 3]);
    assert_eq!(slope(&[0.0], |x| x.cbrt().sum()), [f64::INFINITY]);
    // JAX: NaN, unless the operand is selected as well.
    let root = |x: &Tensor| x.gt(0.0).select(&(x.sqrt() * 2.0).log(), &x.sin()).sum();
    assert_eq!(slope(&[0.0, 4.0], root), [1.0, 0.125]);
    let nested = |x: &Tensor| x.lt(9.0).select(&x.gt(0.0).select(&(1.0 / x), &(x * 3.0)), &x.log()).sum();
    assert_eq!(slope(&[0.0, 2.0], nested), [3.0, -0.25]);
    // Not a choice: 0 times an infinite gradient is undefined, so the result is NaN.
    assert!(slope(&[0.0], |x| (x.sqrt() * x.sqrt()).sum())[0].is_nan());
    assert_eq!(slope(&[0.0, -0.0], |x| x.abs().sum()), [1.0; 2]);
    assert_eq!(slope(&[2.0, 2.0, 1.0], |x| x.reduce_max([0])), [0.5, 0.5, 0.0]);
    assert_eq!(slope(&[0.0, 1.0, -1.0], |x| x.maximum(0.0).sum()), [0.5, 1.0, 0.0]);
}

/// The gradient through a branch with respect to outer values is nonzero only where the branch is taken. JAX: `lax.switch` of two
/// functions.
#[test]
fn a_branch_that_is_not_taken_has_no_slope() {
    type Branch = fn(&Tensor) -> Tensor;
    let branch = |which: f64, formula: Branch| {
        let x = Array::new([2], vec![0.0, 4.0]).expect("a vector");
        let function = trace(&[("x", x.ty().clone())], |x| {
            let index = x[0].graph().scalar(DType::S32, which);
            let chosen = |w: &Tensor| {
                let branches: Vec<Box<dyn FnOnce() -> Tensor + '_>> =
                    vec![Box::new(|| (w * 2.0).sum()), Box::new(|| formula(w).sum())];
                switch(&index, branches)
            };
            vec![grad(&x[0], chosen)]
        });
        let program = Program::unoptimized(&function.expect("traced")).expect("compiled");
        program.run(&[x]).expect("run")[0].to_f64()
    };
    let formulas: [(Branch, [f64; 2]); 3] = [
        (|x| x.log(), [f64::INFINITY, 0.25]),
        (|x| x.sqrt(), [f64::INFINITY, 0.25]),
        (|x| 1.0 / x, [f64::NEG_INFINITY, -0.0625]),
    ];
    for (formula, taken) in formulas {
        assert_eq!(branch(0.0, formula), [2.0, 2.0]);
        assert_eq!(branch(1.0, formula), taken);
    }
}
