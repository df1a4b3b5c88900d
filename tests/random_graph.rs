//! Random numbers drawn inside a program, against JAX's and against those drawn on the host.

mod reference;
mod run;

use reference::{Case, Reference};
use run::Program;
use spiq::random::{GraphKey, Key};
use spiq::{Array, DType, TensorType};
use spiq_hlo::{Tensor, trace};

fn key(case: &Case<'_>) -> Key {
    Key::new(case.int("seed"))
}

fn traced(f: impl FnOnce(&GraphKey) -> Vec<Tensor>) -> Program {
    let words = [("key", TensorType::new(DType::U32, [2]))];
    let function = trace(&words, |x| f(&GraphKey::new(&x[0]))).unwrap_or_else(|e| panic!("{e}"));
    Program::new(&function).unwrap_or_else(|e| panic!("{e}"))
}

/// What `f` draws from a key that comes in when the program runs.
fn draw(key: Key, f: impl FnOnce(&GraphKey) -> Tensor) -> Array {
    traced(|key| vec![f(key)]).run(&[key.to_array()]).expect("a run").swap_remove(0)
}

fn check(case: &Case<'_>, f: impl FnOnce(&GraphKey) -> Tensor) {
    let (got, wanted) = (draw(key(case), f), case.array("out"));
    assert_eq!(got.dims(), wanted.dims(), "{}", case.name);
    assert_eq!(got.to_f64(), wanted.to_f64(), "{}", case.name);
}

fn stacked(keys: &[GraphKey]) -> Tensor {
    let rows: Vec<Tensor> = keys.iter().map(|key| key.to_tensor().reshape(&[1, 2])).collect();
    spiq_hlo::concatenate(&rows.iter().collect::<Vec<_>>(), 0)
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
    file.cases("normal").for_each(|c| check(&c, |key| key.normal(&c.shape("shape"))));
    for case in file.cases("truncated_normal") {
        check(&case, |key| key.truncated_normal(&case.shape("shape"), case.float("lower"), case.float("upper")));
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

/// Far more numbers than JAX's reference holds, against the host.
#[test]
fn long_draws_are_the_hosts() {
    let key = Key::new(5);
    let program = traced(|key| {
        let dims = [70_001];
        vec![key.uniform(&dims, -2.5, 3.0), key.normal(&dims), key.truncated_normal(&dims, -1.0, 2.0), key.normal(&[])]
    });
    let got = program.run(&[key.to_array()]).expect("a run");
    let wanted = [key.uniform(70_001, -2.5, 3.0), key.normal(70_001), key.truncated_normal(70_001, -1.0, 2.0)];
    for (got, wanted) in got.iter().zip(wanted) {
        let got: Vec<f32> = got.to_vec().expect("floats");
        let apart = got.iter().zip(&wanted).filter(|(a, b)| a != b).count();
        assert_eq!(apart, 0, "of {}", wanted.len());
    }
}

#[test]
fn wrong_keys_wait_in_the_trace() {
    let words = [("key", TensorType::new(DType::S32, [3]))];
    let errors = trace(&words, |x| vec![GraphKey::new(&x[0]).normal(&[2])]).unwrap_err();
    assert_eq!(errors.0.len(), 1);
    assert!(errors.to_string().starts_with("random key: a key is u32[2], got s32[3] --> tests/random_graph.rs:"));
    let words = [("key", TensorType::new(DType::U32, [2]))];
    let errors = trace(&words, |x| vec![GraphKey::new(&x[0]).randint(DType::F32, &[2], 0, 9)]).unwrap_err();
    assert!(errors.to_string().starts_with("randint: draws integers of 8 to 32 bits, not f32 --> "));
}
