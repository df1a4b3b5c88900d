//! Random numbers compared with those of JAX and flax. Floats are also compared bit for bit: host and reference both fuse.

use std::collections::BTreeMap;

use crate::reference::{Case, Reference};
use proptest::prelude::*;
use spiq::random::{Key, Rngs, lecun_normal, spyx_beta};
use spiq::{Array, Element};

fn key(case: &Case<'_>) -> Key {
    Key::new(case.int("seed"))
}

#[track_caller]
fn check<T: Element>(case: &Case<'_>, got: &[T]) {
    assert_eq!(got, case.array("out").to_vec::<T>().unwrap(), "{}", case.name);
}

#[track_caller]
fn check_keys(case: &Case<'_>, got: &[Key]) {
    check(case, &got.iter().flat_map(|key| key.words()).collect::<Vec<u32>>());
}

/// 64-bit integers as pairs of 32-bit words.
fn halves(values: impl IntoIterator<Item = u64>) -> Vec<u32> {
    values.into_iter().flat_map(|v| [(v >> 32) as u32, v as u32]).collect()
}

/// The key of a 64-bit seed, as in JAX's 64-bit mode.
fn wide_key(case: &Case<'_>) -> Key {
    let seed = case.int("seed") as u64;
    Key::from_words([(seed >> 32) as u32, seed as u32])
}

#[test]
fn keys_are_jax_keys() {
    let file = Reference::load("random");
    file.cases("key").for_each(|c| check_keys(&c, &[key(&c)]));
    file.cases("fold_in").for_each(|c| check_keys(&c, &[key(&c).fold_in(c.int("data") as u32)]));
    for case in file.cases("split") {
        check_keys(&case, &key(&case).split(case.shape("num").iter().product()));
    }
}

#[test]
fn bits_are_jax_bits() {
    let file = Reference::load("random");
    for case in file.cases("bits") {
        let (key, n) = (key(&case), case.count());
        match case.get("dtype").as_str() {
            Some("uint8") => check(&case, &key.bits8(n).into_iter().map(u32::from).collect::<Vec<_>>()),
            Some("uint16") => check(&case, &key.bits16(n).into_iter().map(u32::from).collect::<Vec<_>>()),
            _ => check(&case, &key.bits32(n)),
        }
    }
    file.cases("bits_x64").for_each(|c| check(&c, &halves(wide_key(&c).bits64(c.count()))));
}

#[test]
fn floats_are_jax_floats() {
    let file = Reference::load("random");
    for case in file.cases("uniform") {
        check(&case, &key(&case).uniform(case.count(), case.float("minval"), case.float("maxval")));
    }
    file.cases("normal").for_each(|c| check(&c, &key(&c).normal(c.count())));
    for case in file.cases("truncated_normal") {
        check(&case, &key(&case).truncated_normal(case.count(), case.float("lower"), case.float("upper")));
    }
}

#[test]
fn bernoulli_is_jax_bernoulli() {
    for case in Reference::load("random").cases("bernoulli") {
        let n = case.count();
        let hits = match case.get("p").as_array() {
            None => key(&case).bernoulli(n, case.float("p")),
            Some(list) => {
                let row: Vec<f32> = list.iter().map(|p| p.as_f64().unwrap() as f32).collect();
                key(&case).bernoulli_each(&row.iter().copied().cycle().take(n).collect::<Vec<_>>())
            }
        };
        check(&case, &hits.into_iter().map(i32::from).collect::<Vec<_>>());
    }
}

#[test]
fn randint_is_jax_randint() {
    let file = Reference::load("random");
    for case in file.cases("randint") {
        let (key, n) = (key(&case), case.count());
        let (min, max) = (case.int("minval").into(), case.int("maxval").into());
        match case.get("dtype").as_str().unwrap() {
            "int8" => check(&case, &key.randint::<i8>(n, min, max).into_iter().map(i32::from).collect::<Vec<_>>()),
            "int16" => check(&case, &key.randint::<i16>(n, min, max).into_iter().map(i32::from).collect::<Vec<_>>()),
            "uint8" => check(&case, &key.randint::<u8>(n, min, max).into_iter().map(u32::from).collect::<Vec<_>>()),
            "uint16" => check(&case, &key.randint::<u16>(n, min, max).into_iter().map(u32::from).collect::<Vec<_>>()),
            "uint32" => check(&case, &key.randint::<u32>(n, min, max)),
            _ => check(&case, &key.randint::<i32>(n, min, max)),
        }
    }
    for case in file.cases("randint_x64") {
        let (min, max) = (case.int("minval").into(), case.int("maxval").into());
        let draw: Vec<i64> = wide_key(&case).randint(case.count(), min, max);
        check(&case, &halves(draw.into_iter().map(|v| v as u64)));
    }
}

#[test]
fn permutations_are_jax_permutations() {
    let file = Reference::load("random");
    for case in file.cases("permutation") {
        let order = key(&case).permutation(case.int("n") as usize);
        check(&case, &order.into_iter().map(|i| i as i32).collect::<Vec<_>>());
    }
}

#[test]
fn rngs_are_flax_rngs() {
    for case in Reference::load("random").cases("rngs") {
        let seeds: BTreeMap<String, i64> = serde_json::from_value(case.get("seeds").clone()).unwrap();
        // Only flax has streams without a default; every call of that case names a stream.
        let first = Rngs::new(seeds.get("default").copied().unwrap_or(-1));
        let mut rngs = seeds.iter().fold(first, |rngs, (name, seed)| rngs.with_stream(name, *seed));
        let calls = case.get("calls").as_array().unwrap();
        let name = |call: &serde_json::Value| match call.as_str().unwrap() {
            "" => "default".to_owned(),
            name => name.to_owned(),
        };
        check_keys(&case, &calls.iter().map(|call| rngs.key(&name(call))).collect::<Vec<_>>());
    }
}

#[track_caller]
fn check_array(case: &Case<'_>, name: &str, got: &Array) {
    assert_eq!(got.dims(), case.array(name).dims(), "{}/{name}", case.name);
    assert_eq!(got, case.array(name), "{}/{name}", case.name);
}

#[test]
fn initial_values_are_flax_and_spyx_values() {
    let file = Reference::load("init");
    for case in file.cases("lecun_normal") {
        check_array(&case, "out", &lecun_normal(key(&case), &case.shape("shape")));
    }
    for case in file.cases("linear") {
        let dims = [case.int("in_features") as usize, case.int("out_features") as usize];
        check_array(&case, "kernel", &lecun_normal(Rngs::new(case.int("seed")).params(), &dims));
    }
    for case in file.cases("neuron").filter(|c| c.get("type") == "LIF" && c.get("beta").is_null()) {
        check_array(&case, "beta", &spyx_beta(Rngs::new(case.int("seed")).params(), &case.shape("shape")));
    }
}

#[test]
fn the_tutorial_starts_from_its_published_parameters() {
    for case in Reference::load("init").cases("tutorial") {
        let mut rngs = Rngs::new(case.int("seed"));
        for (layer, (inputs, outputs)) in [(0, (32, 64)), (2, (64, 64)), (4, (64, 10))] {
            let kernel = lecun_normal(rngs.params(), &[inputs, outputs]);
            check_array(&case, &format!("core/layers/{layer}/kernel"), &kernel);
            if layer < 4 {
                check_array(&case, &format!("core/layers/{}/beta", layer + 1), &spyx_beta(rngs.params(), &[outputs]));
            }
        }
    }
}

#[test]
fn empty_ranges_give_defined_values() {
    let key = Key::new(0);
    assert!(key.truncated_normal(3, 1.0, -1.0).iter().all(|x| x.is_nan()));
    assert_eq!(key.uniform(2, 3.0, 3.0), [3.0, 3.0]);
    assert_eq!(key.permutation(0), [0usize; 0]);
    assert_eq!(key.randint::<u64>(1, i128::MIN, i128::MAX).len(), 1);
}

proptest! {
    #[test]
    fn a_permutation_holds_every_number_once(seed: i64, n in 0usize..3000) {
        let mut order = Key::new(seed).permutation(n);
        order.sort_unstable();
        prop_assert!(order.into_iter().eq(0..n));
    }

    #[test]
    fn integers_stay_in_their_range(seed: i64, min in -200i128..200, span in 1i128..200) {
        let (low, high) = (min.clamp(-128, 127), (min + span).clamp(-128, 128));
        let draw: Vec<i8> = Key::new(seed).randint(20, min, min + span);
        prop_assert!(draw.into_iter().all(|v| low <= v.into() && (i128::from(v) < high || v == low as i8)));
    }

    #[test]
    fn a_longer_draw_starts_like_a_shorter_one(seed: i64, n in 0usize..50) {
        let key = Key::new(seed);
        prop_assert_eq!(&key.normal(n + 7)[..n], &key.normal(n)[..]);
    }
}
