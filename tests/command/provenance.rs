//! Provenance metadata of files: written, read again, compared, and parsed defensively.

use std::collections::BTreeMap;

use spiq::augment::Augmentation;
use spiq::config::{ModelConfig, RuleConfig, TileSize};
use spiq::data::{Code, Coding, Encoder};
use spiq::provenance::{
    Best, Digest, Elements, Init, Kernels, Length, MatmulPrecision, ModelText, OnNan, Order, Patience, Provenance,
    Tile, Validation, key,
};
use spiq::quant::{Gradients, Numerics, Precision, Rules, linear_only_rules};
use spiq::random::Key;
use spiq::{Array, ErrorKind};

/// One of some values.
fn one<T: Clone>(key: Key, of: &[T]) -> T {
    of[key.bits32(1)[0] as usize % of.len()].clone()
}

/// A finite number of any magnitude and sign.
fn number(key: Key) -> f64 {
    let bits = key.bits64(8).into_iter().map(f64::from_bits).find(|number| number.is_finite());
    bits.unwrap_or(0.1)
}

fn digest(key: Key) -> Digest {
    Digest::of_arrays(&[("x".to_owned(), Array::scalar(key.bits32(1)[0]))].into())
}

fn augmentation(text: &str) -> Augmentation {
    Augmentation::parse(text).expect("an augmentation")
}

fn model(key: Key) -> ModelText {
    let (units, beta) = (1 + key.bits8(1)[0] as usize % 9, number(key.fold_in(1)).abs().fract().max(1e-9));
    let text = format!(
        "[[layers]]\ntype = \"Linear\"\nin_features = 3\nout_features = {units}\n\
         [[layers]]\ntype = \"LI\"\nlayer_shape = {units}\nbeta = {beta:?}"
    );
    ModelText::of(&ModelConfig::parse(&text, "drawn").expect("a model"))
}

fn rules(key: Key) -> Rules {
    let fraction = number(key).abs().fract().max(1e-9);
    let rule = RuleConfig {
        module_path: "core/layers/[02]|\"'\\\\n".into(),
        weight_qtype: Some("int4".into()),
        act_qtype: Some("int8".into()),
        act_static_scale: Some(true),
        tile_size: one(key, &[None, Some(TileSize::Elements(8)), Some(TileSize::Fraction(fraction))]),
        act_batch_axes: vec![0, -1],
        ..RuleConfig::default()
    };
    let lists = [vec![], vec![rule.clone()], [linear_only_rules("int8", "mxfp8"), vec![rule]].concat()];
    Rules::new(&one(key.fold_in(1), &lists)).expect("rules")
}

/// A random provenance.
fn drawn(key: Key) -> Provenance {
    let mut parts = (0..).map(|part| key.fold_in(part));
    let mut next = || parts.next().expect("a key");
    let count = |key: Key| 1 + key.bits32(1)[0] as usize % (i32::MAX as usize);
    let text = |key: Key| format!("{:x} \"ü\"\n\ttwo lines", key.bits32(1)[0]);
    let max = (number(next()).abs() as f32).clamp(f32::MIN_POSITIVE, f32::MAX);
    let code = |text| Code::parse(text).expect("a code");
    let codings = [
        Coding::Images(Encoder::rate(max)),
        Coding::Images(Encoder { max, code: code("Latency(tau = 0.1, clip = true)") }),
        Coding::Spikes,
        Coding::Counts,
        Coding::Reals,
        Coding::Values(code("Delta(threshold = 1e-9)")),
    ];
    let fold = Validation::Fold { number: count(next()), of: count(next()) };
    let share = Validation::Share(next().uniform(1, 0.01, 0.99)[0].into());
    let validations = [Validation::None, Validation::Own, share, Validation::Samples(count(next())), fold];
    Provenance {
        spiq: Some(text(next())),
        plugin: Some(text(next())),
        xla_flags: Some(text(next())),
        device: Some(text(next())),
        matmul_precision: Some(one(next(), &[MatmulPrecision::Default, MatmulPrecision::Highest])),
        devices: Some(count(next())),
        kernels: Some(one(next(), &[Kernels::Spiq, Kernels::Xla])),
        model: Some(model(next())),
        rules: Some(rules(next())),
        numerics: Some(one(next(), &[Numerics::Exact, Numerics::Qwix])),
        time_steps: Some(count(next())),
        coding: Some(one(next(), &codings)),
        bins: Some(count(next())),
        dt: Some(number(next())),
        channels: Some(count(next())),
        elements: Some(one(next(), &[Elements::Counts, Elements::Presence])),
        transforms: Some(text(next())),
        time_tile: Some(one(next(), &[Tile::All, Tile::Steps(count(next()))])),
        grad_dtype: Some(one(next(), &[Gradients::Full, Gradients::Bf16])),
        data: Some(digest(next())),
        init: Some(one(next(), &[Init::Drawn, Init::From(digest(next()))])),
        seed: Some(next().bits64(1)[0] as i64),
        optimizer: Some(one(next(), &["adam", "lion", "chain(clip_by_global_norm(1), adam(0.002))"]).to_owned()),
        learning_rate: Some(number(next())),
        schedule: Some(one(next(), &["constant", "cosine"]).to_owned()),
        precision: Some(one(next(), &[Precision::F32, Precision::Bf16])),
        rules_from: Some(next().bits64(1)[0]),
        groups: Some(text(next())),
        regularize: Some(text(next())),
        clip: Some(text(next())),
        accumulate: Some(count(next())),
        ema: Some(number(next())),
        loss: Some(text(next())),
        metric: Some(text(next())),
        on_nan: Some(one(next(), &[OnNan::Stop, OnNan::Skip, OnNan::Continue])),
        batch_size: Some(count(next())),
        length: Some(one(next(), &[Length::Epochs(count(next())), Length::Steps(count(next()))])),
        order: Some(one(next(), &[Order::Shuffled, Order::File])),
        shift: Some(number(next())),
        augment: Some(one(next(), &["none", "TimeShift(max = 5), Blend(p = 0.25)"].map(augmentation))),
        validation: Some(one(next(), &validations)),
        patience: Some(one(next(), &[Patience::None, Patience::Epochs(count(next()))])),
        test_speaker: Some(text(next())),
        run: Some(text(next())),
        changes: Some(text(next())),
        step: Some(next().bits64(1)[0]),
        best: Some(Best {
            epoch: count(next()),
            validation_accuracy: number(next()) as f32,
            test_accuracy: number(next()) as f32,
        }),
        data_file: Some(text(next()).into()),
        test_file: Some(text(next()).into()),
    }
}

fn metadata(provenance: &Provenance) -> BTreeMap<String, String> {
    let mut metadata = BTreeMap::new();
    provenance.write(&mut metadata);
    metadata
}

#[test]
fn what_is_written_is_read() {
    for case in 0..300 {
        let written = drawn(Key::new(case));
        let read = Provenance::read(&metadata(&written), "P").expect("our own metadata");
        assert_eq!(read, written, "case {case}");
        assert!(read.differences(&written).is_empty() && read.missing(&written).is_empty());
        assert!(read.check_same_run(&written, "P").is_ok());
    }
}

/// Entries of two provenances are compared independently: one taken from the other is a difference of that name, or equal.
#[test]
fn each_entry_is_compared_under_its_name() {
    let mut seen = BTreeMap::<&str, usize>::new();
    for case in 0..200 {
        let (then, now) = (drawn(Key::new(case)), drawn(Key::new(1000 + case)));
        let (texts, others) = (metadata(&then), metadata(&now));
        let names: Vec<&str> = then.differences(&now).iter().map(|difference| difference.name).collect();
        for (name, text) in &texts {
            // The step of a run and the location of its data are also compared, but have no influence.
            assert_eq!(names.contains(&name.as_str()), *text != others[name], "case {case}: {name}");
            let mut one = texts.clone();
            one.insert(name.clone(), others[name].clone());
            let one = Provenance::read(&one, "P").expect("our own metadata");
            let differences = then.differences(&one);
            assert_eq!(differences.len(), usize::from(*text != others[name]), "case {case}: {name}");
            let Some(difference) = differences.first() else { continue };
            assert_eq!(difference.name, name);
            let refused = then.check_same_run(&one, "P").err();
            assert_eq!(refused.is_some(), difference.decides_a_run(), "{name}");
            if let Some(error) = refused {
                assert_eq!(error.kind(), ErrorKind::Input);
                let (error, shown) = (error.to_string(), difference.to_string());
                assert!(
                    error.starts_with(&format!("P belongs to a run with {shown}; ")) && !shown.contains('\n'),
                    "{error}"
                );
                let both = shown.starts_with("another ") && shown.contains(" there, ");
                assert!(both || shown == "other data (--data)", "{shown}");
            }
            *seen.entry(difference.name).or_default() += 1;
        }
    }
    assert_eq!(seen.len(), metadata(&drawn(Key::new(0))).len(), "{seen:?}");
}

#[test]
fn what_is_not_known_is_not_compared() {
    let (whole, none) = (drawn(Key::new(1)), Provenance::default());
    assert!(whole.differences(&none).is_empty() && none.differences(&whole).is_empty());
    let missing = none.missing(&whole);
    assert!(["model", "seed", "optimizer", "data"].iter().all(|name| missing.contains(name)), "{missing:?}");
    // Neither the compiler of a program nor the step is required.
    assert!(["spiq", "plugin", "step", "data_file"].iter().all(|name| !missing.contains(name)), "{missing:?}");
    assert_eq!(none.clone().or(whole.clone()), whole);
    assert_eq!(whole.clone().or(drawn(Key::new(2))), whole);
}

#[test]
fn entries_that_are_none_are_refused_by_name() {
    let good = metadata(&drawn(Key::new(3)));
    for (name, bad) in [
        ("kernels", "yes"),
        ("rules", "[[rules]]\nweight_qtyp = \"int8\""),
        ("numerics", "Exact"),
        ("time_steps", "0"),
        ("time_steps", "2147483648"),
        ("time_steps", "-1"),
        ("coding", "images, rate 1 at 0"),
        ("coding", "images, rate 1 at NaN"),
        ("coding", "images, rate 1 at inf"),
        ("time_tile", "0"),
        ("grad_dtype", "f64"),
        ("data", "sha256:00"),
        ("data", "sha256:éééééééééééééééééééééééééééééééé"),
        ("data", &format!("sha256:{}", "F".repeat(64))),
        ("data", &format!("sha256:+{}", "0".repeat(63))),
        ("init", "somewhere"),
        ("seed", "9223372036854775808"),
        ("learning_rate", "NaN"),
        ("learning_rate", "1e999"),
        ("batch_size", "1.0"),
        ("length", "3"),
        ("length", "0 steps"),
        ("length", "3 days"),
        ("order", "any"),
        ("shift", "inf"),
        ("on_nan", "ignore"),
        ("augment", "TimeShift"),
        ("step", "-1"),
    ] {
        let mut metadata = good.clone();
        metadata.insert(name.to_owned(), bad.to_owned());
        let error = Provenance::read(&metadata, "P.safetensors").expect_err(name);
        assert_eq!(error.kind(), ErrorKind::Input);
        let expected = format!("P.safetensors: its metadata say that `{name}` is `");
        assert!(error.to_string().starts_with(&expected), "{error}");
    }
}

/// Bytes damaged at any position are read or refused, without a panic.
#[test]
fn damaged_metadata_do_no_harm() {
    let mut refused = 0;
    for case in 0..300u32 {
        let key = Key::new(77).fold_in(case);
        let mut metadata = metadata(&drawn(key));
        for (number, text) in metadata.values_mut().enumerate() {
            let [place, byte] = [0, 1].map(|part| key.fold_in(1000 + number as u32).bits32(2)[part] as usize);
            let mut letters: Vec<char> = text.chars().collect();
            if !letters.is_empty() && place % 16 == 0 {
                let at = place % letters.len();
                letters[at] = char::from(byte as u8);
                *text = letters.into_iter().collect();
            }
        }
        refused += usize::from(Provenance::read(&metadata, "P").is_err());
    }
    assert!((50..300).contains(&refused), "{refused} are refused");
}

/// Files of early versions do not record a loss or metric: there was only one.
#[test]
fn a_run_of_an_earlier_version_had_the_only_loss() {
    let whole = drawn(Key::new(4));
    let mut old = metadata(&whole);
    old.retain(|name, _| ![key::loss, key::metric].contains(&name.as_str()));
    let read = Provenance::read(&old, "P").expect("our own metadata");
    assert_eq!(read.loss.as_deref(), Some("integral_crossentropy"));
    assert_eq!(read.metric.as_deref(), Some("integral_accuracy"));
    // A file that is not from a run has none.
    old.remove(key::step);
    assert_eq!(Provenance::read(&old, "P").expect("our own metadata").loss, None);
}

/// Texts with a common prefix are shown from where they differ.
#[test]
fn a_difference_at_the_end_of_a_long_text_is_shown() {
    let of = |rate: &str| {
        let clipped = "chain(clip_by_global_norm(1), clip_by_global_norm(2), clip_by_global_norm(3), adam(";
        Provenance { optimizer: Some(format!("{clipped}{rate}))")), ..Provenance::default() }
    };
    let difference = of("0.002").differences(&of("0.003")).remove(0).to_string();
    assert_eq!(
        difference,
        "another optimizer (--optimizer: …l_norm(3), adam(0.002)) there, …l_norm(3), adam(0.003)) here)"
    );
}

/// A digest is meaningless to users, so it is omitted if another difference explains why the samples differ.
#[test]
fn other_data_are_named_once() {
    let of = |number: f32, bins: usize| {
        let arrays = BTreeMap::from([("inputs".to_owned(), Array::scalar(number))]);
        Provenance { data: Some(Digest::of_arrays(&arrays)), bins: Some(bins), ..Provenance::default() }
    };
    let said =
        |then: Provenance, now| then.differences_of_run(&now).iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(said(of(1.0, 100), of(2.0, 100)), ["other data (--data)"]);
    assert_eq!(said(of(1.0, 100), of(2.0, 50)), ["another number of bins (--bins: 100 there, 50 here)"]);
}
