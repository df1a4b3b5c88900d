//! Functions of `jax.numpy` and `jax.nn`: JAX's values and slopes.

use crate::reference::{Case, Reference};
use crate::run::Program;
use spiq::random::{GraphKey, Key};
use spiq::{Array, DType, Tensor, TensorType, concatenate, stack, trace, vjp};
use spiq_hlo::keepdims;

type Formula = fn(&Tensor) -> Tensor;

/// The functions by the names of their cases, and by how many units in the last place a value may differ where XLA fuses
/// products and sums as its plan for the whole program allows.
const FLOATS: &[(&str, u32, Formula)] = &[
    ("relu", 0, |x| x.relu()),
    ("silu", 1, |x| x.silu()),
    ("softplus", 1, |x| x.softplus()),
    ("gelu", 2, |x| x.gelu()),
    ("gelu_exact", 1, |x| x.gelu_exact()),
    ("erf", 0, |x| x.erf()),
    ("erfc", 1, |x| x.erfc()),
    ("softmax -1", 1, |x| x.softmax(-1)),
    ("softmax 0", 1, |x| x.softmax(0)),
    ("softmax all", 1, |x| x.softmax([0, 1])),
    ("logsumexp -1", 1, |x| x.logsumexp(-1)),
    ("logsumexp keepdims", 1, |x| x.logsumexp(keepdims([0, 1]))),
    ("var", 1, |x| x.var(0, 0)),
    ("var ddof", 1, |x| x.var(keepdims(-1), 1)),
    ("std", 1, |x| x.std([0, 1], 0)),
    ("sum keepdims", 0, |x| x.reduce_sum(keepdims(-2))),
    ("cumsum", 1, |x| x.cumsum(-1)),
    ("cumprod", 1, |x| x.cumprod(0)),
    ("cummax", 0, |x| x.cummax(1)),
    ("cummin", 0, |x| x.cummin(0)),
    ("stack", 0, |x| stack(&[x, &(2 * x)], -1)),
    ("split", 0, |x| x.split(3, 1).swap_remove(1)),
    ("split_at", 0, |x| x.split_at(&[1, 4], -1).swap_remove(1)),
    ("squeeze", 0, |x| x.expand_dims(0).expand_dims(-1).squeeze([0, -1])),
    ("swapaxes", 0, |x| x.swap_axes(0, -1)),
    ("roll", 0, |x| x.roll(7, 0)),
    ("roll back", 0, |x| x.roll(-2, -1)),
    ("tile", 0, |x| x.tile(&[2, 1, 3])),
    ("repeat", 0, |x| x.repeat(3, 0)),
    ("flip", 0, |x| x.flip(-1)),
    ("tril", 0, |x| x.tril(-1)),
    ("triu", 0, |x| x.triu(2)),
    ("arange", 0, |x| x.graph().arange(DType::F32, 0.5, 6.5, 1.0) * x),
    ("top_k", 0, |x| x.top_k(3).0),
    ("take", 0, |x| x.take(&indices(x, [4], &[0, -1, 3, -6]), 1)),
    ("take_along_axis", 0, |x| x.take_along_axis(&indices(x, [4, 2], &[0, -1, 5, 2, -6, 3, 1, 1]), 1)),
];

/// Functions whose results are integers.
const INTEGERS: &[(&str, Formula)] = &[
    ("argmax", |x| x.argmax(1)),
    ("argmin", |x| x.argmin(0)),
    ("top_k indices", |x| x.top_k(4).1),
    ("one_hot", |x| x.convert(DType::S32).one_hot(3, DType::S32)),
    ("cumsum of bytes", |x| x.convert(DType::S8).cumsum(1)),
    ("take beyond", |x| x.convert(DType::S32).take_along_axis(&indices(x, [4, 1], &[6; 4]), 1)),
];

fn indices(x: &Tensor, dims: impl Into<Vec<usize>>, values: &[i32]) -> Tensor {
    x.graph().constant(&Array::new(dims, values).expect("as many as elements"))
}

/// The cotangent of `x`, for a weight of 1, 2, … of each element of the result.
fn slope(y: &Tensor, x: &Tensor) -> Tensor {
    let weights = y.graph().arange(DType::F32, 1.0, y.ty().count() as f64 + 1.0, 1.0).reshape(y.dims());
    vjp(std::slice::from_ref(y), &[Some(weights)], std::slice::from_ref(x)).swap_remove(0)
}

fn outputs(case: &Case<'_>, formula: impl FnOnce(&Tensor) -> Vec<Tensor>) -> Vec<Array> {
    let x = case.array("x").clone();
    let function = trace(&[("x", x.ty().clone())], |inputs| formula(&inputs[0]));
    let function = function.unwrap_or_else(|error| panic!("{}: {error}", case.name));
    Program::new(&function)
        .and_then(|program| program.run(&[x]))
        .unwrap_or_else(|error| panic!("{}: {error}", case.name))
}

/// The distance of two numbers in units of the last place, counted through 0.
fn ulps(a: f32, b: f32) -> u32 {
    let place = |x: f32| if x.is_sign_negative() { -((x.to_bits() & 0x7fff_ffff) as i64) } else { x.to_bits() as i64 };
    if a.is_nan() && b.is_nan() { 0 } else { (place(a) - place(b)).unsigned_abs() as u32 }
}

#[test]
fn array_functions_have_jaxs_values() {
    let file = Reference::load("array_functions");
    let (mut same, mut all) = (0, 0);
    for (name, allowed, formula) in FLOATS {
        let case = file.case(name);
        let got = outputs(&case, |x| {
            let y = formula(x);
            vec![y.clone(), slope(&y, x)]
        });
        let [value, slope] = ["value", "slope"].map(|array| case.array(array));
        assert_eq!((got[0].ty(), got[1].ty()), (value.ty(), slope.ty()), "{name}");
        for (got, want) in got[0].to_vec::<f32>().unwrap().into_iter().zip(value.to_vec::<f32>().unwrap()) {
            assert!(ulps(got, want) <= *allowed, "{name}: {got}, JAX {want}");
            (same, all) = (same + usize::from(got.to_bits() == want.to_bits()), all + 1);
        }
        let largest = slope.to_f64().into_iter().map(f64::abs).fold(0.0, f64::max);
        for (place, (got, want)) in got[1].to_f64().into_iter().zip(slope.to_f64()).enumerate() {
            assert!((got - want).abs() <= 1e-6 * largest, "{name}, slope {place}: {got}, JAX {want}");
        }
    }
    println!("{same} of {all} values have JAX's bits");
    assert!(same * 100 >= all * 97, "{same} of {all} values have JAX's bits");
}

#[test]
fn functions_with_integer_results_have_jaxs() {
    let file = Reference::load("array_functions");
    for (name, formula) in INTEGERS {
        let case = file.case(name);
        let got = outputs(&case, |x| vec![formula(x)]).swap_remove(0);
        assert_eq!(&got, case.array("value"), "{name}");
    }
}

#[test]
fn numbers_of_any_type_take_the_tensors() {
    let x = TensorType::new(DType::S32, [2]);
    let f = trace(&[("x", x.clone()), ("y", x.with_dtype(DType::F32))], |x| {
        let (n, y) = (&x[0], &x[1]);
        vec![2 * n + 3u8, n.maximum(0usize), 1.0 - y * 2 + 0.5f32, concatenate(&[n, &(n - 1i64)], -1)]
    });
    let [n, y] = [Array::new([2], [-3, 5]).unwrap(), Array::new([2], [0.25f32, 4.0]).unwrap()];
    let got = Program::unoptimized(&f.unwrap()).unwrap().run(&[n, y]).unwrap();
    let want = [vec![-3.0, 13.0], vec![0.0, 5.0], vec![1.0, -6.5], vec![-3.0, 5.0, -4.0, 4.0]];
    assert_eq!(got.iter().map(Array::to_f64).collect::<Vec<_>>(), want);
    let refused = trace(&[("x", x.with_dtype(DType::S64))], |x| vec![&x[0] + i64::MAX]).unwrap_err().to_string();
    assert!(refused.contains("9223372036854775807 is beyond 2^53"), "{refused}");
    let refused = trace(&[("x", x)], |x| vec![x[0].reduce_sum(-2)]).unwrap_err().to_string();
    assert!(refused.contains("axis -2 is not an axis of s32[2]"), "{refused}");
}

#[test]
fn draws_are_jaxs() {
    let file = Reference::load("array_functions");
    let case = file.case("random");
    let key = Key::new(7);
    let f = trace(&[("logits", case.array("logits").ty().clone()), ("p", case.array("p").ty().clone())], |x| {
        let key = GraphKey::constant(x[0].graph(), key);
        vec![
            key.gumbel(&[3, 5]),
            key.exponential(&[3, 5]),
            key.categorical(&x[0].broadcast_to(&[64, 4]), -1),
            key.choice(10, &[12], None),
            key.choice(4, &[12], Some(&x[1])),
            key.choice_without_replacement(10, 6, None),
            key.choice_without_replacement(4, 3, Some(&x[1])),
        ]
    });
    let inputs = ["logits", "p"].map(|name| case.array(name).clone());
    let got = Program::new(&f.unwrap()).unwrap().run(&inputs).unwrap();
    let names = ["gumbel", "exponential", "categorical", "choice", "choice_p", "without", "without_p"];
    for (name, got) in names.into_iter().zip(&got) {
        let want = case.array(name);
        assert_eq!(got.dims(), want.dims(), "{name}");
        for (got, want) in got.to_f64().into_iter().zip(want.to_f64()) {
            assert!((got - want).abs() <= 3e-7 * want.abs(), "{name}: {got}, JAX {want}");
        }
    }
    // On the host, with shapes.
    let host = [key.gumbel(15), key.exponential(15)];
    for (name, got) in ["gumbel", "exponential"].into_iter().zip(host) {
        for (got, want) in got.into_iter().zip(case.array(name).to_vec::<f32>().unwrap()) {
            assert!(ulps(got, want) <= 2, "{name}: {got}, JAX {want}");
        }
    }
    let logits = case.array("logits").to_vec::<f32>().unwrap();
    assert_eq!(key.categorical(64, &logits), case.array("categorical").to_vec::<i32>().unwrap());
    assert_eq!(key.choice(12, 10, None), case.array("choice").to_vec::<i32>().unwrap());
    assert_eq!(key.shaped([3, 5]).normal().dims(), [3, 5]);
}
