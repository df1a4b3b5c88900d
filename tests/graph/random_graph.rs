//! Random numbers drawn inside a program, compared with JAX's and with those drawn on the host.

use crate::reference::{Case, Reference};
use crate::run::Program;
use spiq::random::{GraphKey, Key};
use spiq::{Array, DType, TensorType};
use spiq_hlo::{Tensor, concatenate, scan, trace};

fn key(case: &Case<'_>) -> Key {
    Key::new(case.int("seed"))
}

fn traced(f: impl FnOnce(&GraphKey) -> Vec<Tensor>) -> Program {
    let words = [("key", TensorType::new(DType::U32, [2]))];
    let function = trace(&words, |x| f(&GraphKey::new(&x[0]))).unwrap_or_else(|e| panic!("{e}"));
    Program::new(&function).unwrap_or_else(|e| panic!("{e}"))
}

/// Draws with `f` from a key that is an input of the program.
fn draw(key: Key, f: impl FnOnce(&GraphKey) -> Tensor) -> Array {
    traced(|key| vec![f(key)]).run(&[key.to_array()]).expect("a run").swap_remove(0)
}

fn check(case: &Case<'_>, f: impl FnOnce(&GraphKey) -> Tensor) {
    let (got, wanted) = (draw(key(case), f), case.array("out"));
    assert_eq!(got.dims(), wanted.dims(), "{}", case.name);
    assert_eq!(got.to_f64(), wanted.to_f64(), "{}", case.name);
}

/// The largest distance in units in the last place; all numbers must be finite or infinite.
fn places(got: &Array, wanted: &[f32]) -> i64 {
    // Floats are ordered like their bits, with negative ones reversed.
    let rank = |x: f32| i64::from(x.to_bits() as i32 & i32::MAX) * if x.is_sign_negative() { -1 } else { 1 };
    let got: Vec<f32> = got.to_vec().expect("floats");
    assert_eq!(got.len(), wanted.len());
    got.iter().zip(wanted).map(|(a, b)| (rank(*a) - rank(*b)).abs()).max().unwrap_or(0)
}

/// XLA fuses a product with a following sum if its plan for the whole program allows it, so results of polynomials may differ in the
/// last place between programs, in JAX as here.
fn check_close(case: &Case<'_>, f: impl FnOnce(&GraphKey) -> Tensor) {
    let far = places(&draw(key(case), f), &case.array("out").to_vec().expect("floats"));
    assert!(far <= 2, "{}: {far} units in the last place", case.name);
}

fn stacked(keys: &[GraphKey]) -> Tensor {
    let rows: Vec<Tensor> = keys.iter().map(|key| key.to_tensor().reshape(&[1, 2])).collect();
    concatenate(&rows.iter().collect::<Vec<_>>(), 0)
}

#[test]
fn keys_are_jax_keys() {
    let file = Reference::load("random");
    for case in file.cases("split") {
        let wanted = case.array("out");
        let n = wanted.ty().count() / 2;
        check(&case, |key| stacked(&key.split(n)).reshape(wanted.dims()));
    }
    for case in file.cases("fold_in") {
        check(&case, |key| {
            let data = key.to_tensor().graph().scalar(DType::U32, case.int("data") as f64);
            key.fold_in(&data).to_tensor()
        });
    }
}

#[test]
fn bits_are_jax_bits() {
    for case in Reference::load("random").cases("bits") {
        let dtype = match case.get("dtype").as_str() {
            Some("uint8") => DType::U8,
            Some("uint16") => DType::U16,
            _ => DType::U32,
        };
        check(&case, |key| key.bits(dtype, &case.shape("shape")));
    }
}

#[test]
fn floats_are_jax_floats() {
    let file = Reference::load("random");
    for case in file.cases("uniform") {
        check(&case, |key| key.uniform(&case.shape("shape"), case.float("minval"), case.float("maxval")));
    }
    file.cases("normal").for_each(|c| check_close(&c, |key| key.normal(&c.shape("shape"))));
    for case in file.cases("truncated_normal") {
        check_close(&case, |key| key.truncated_normal(&case.shape("shape"), case.float("lower"), case.float("upper")));
    }
}

#[test]
fn bernoulli_is_jax_bernoulli() {
    for case in Reference::load("random").cases("bernoulli") {
        let dims = case.shape("shape");
        check(&case, |key| match case.get("p").as_array() {
            None => key.bernoulli(&dims, f64::from(case.float("p"))),
            Some(list) => {
                let row: Vec<f32> = list.iter().map(|p| p.as_f64().expect("a number") as f32).collect();
                let p = key.to_tensor().graph().constant(&Array::new([row.len()], row).expect("a row"));
                key.bernoulli(&dims, p)
            }
        });
    }
}

#[test]
fn randint_is_jax_randint() {
    for case in Reference::load("random").cases("randint") {
        let name = case.get("dtype").as_str().expect("a type");
        let dtype = DType::from_name(&name.replace("uint", "u").replace("int", "s")).expect("a type");
        let (min, max) = (case.int("minval").into(), case.int("maxval").into());
        check(&case, |key| key.randint(dtype, &case.shape("shape"), min, max));
    }
}

#[test]
fn permutations_are_jax_permutations() {
    for case in Reference::load("random").cases("permutation") {
        check(&case, |key| key.permutation(case.int("n") as usize));
    }
}

/// Many more numbers than in JAX's reference, compared with the host.
#[test]
fn long_draws_are_the_hosts() {
    let key = Key::new(5);
    let dims = [70_001];
    let program =
        traced(|key| vec![key.uniform(&dims, -2.5, 3.0), key.normal(&dims), key.truncated_normal(&dims, -1.0, 2.0)]);
    let got = program.run(&[key.to_array()]).expect("a run");
    assert_eq!(places(&got[0], &key.uniform(dims[0], -2.5, 3.0)), 0);
    assert!(places(&got[1], &key.normal(dims[0])) <= 2);
    assert!(places(&got[2], &key.truncated_normal(dims[0], -1.0, 2.0)) <= 2);
}

/// A loop that folds its step into the key draws differently in each step.
#[test]
fn keys_can_be_folded_inside_a_loop() {
    let steps = |key: &GraphKey| {
        let graph = key.to_tensor().graph().clone();
        let step = graph.iota(TensorType::new(DType::U32, [4]), 0);
        let (_, rows) =
            scan(&graph.scalar(DType::F32, 0.0), &step, |c, step| (c, key.fold_in(&step).bits(DType::U32, &[3])));
        rows
    };
    let rows = draw(Key::new(9), steps).to_vec::<u32>().expect("words");
    let wanted: Vec<u32> = (0..4).flat_map(|step| Key::new(9).fold_in(step).bits32(3)).collect();
    assert_eq!(rows, wanted);
}

/// The key is an input, or a constant.
#[test]
fn a_constant_key_draws_the_same() {
    let key = Key::new(11);
    let again = draw(Key::new(0), |any| GraphKey::constant(any.to_tensor().graph(), key).uniform(&[5], 0.0, 1.0));
    assert_eq!(again.to_vec::<f32>().expect("floats"), key.uniform(5, 0.0, 1.0));
}

#[test]
fn wrong_keys_wait_in_the_trace() {
    let words = [("key", TensorType::new(DType::S32, [3]))];
    let errors = trace(&words, |x| vec![GraphKey::new(&x[0]).normal(&[2])]).unwrap_err();
    assert_eq!(errors.0.len(), 1);
    assert!(errors.to_string().starts_with("random key: a key is u32[2], got s32[3] --> tests/graph/random_graph.rs:"));
    let words = [("key", TensorType::new(DType::U32, [2]))];
    let errors = trace(&words, |x| vec![GraphKey::new(&x[0]).randint(DType::F32, &[2], 0, 9)]).unwrap_err();
    assert!(errors.to_string().starts_with("randint: draws integers of 8 to 32 bits, not f32 --> "));
}
