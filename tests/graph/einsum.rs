//! Einsums compared with sums over all index assignments, and the quantization rules that apply to them.

use std::collections::BTreeMap;

use crate::evaluate::{check_close, evaluate};
use spiq::config::RuleConfig;
use spiq::quant::{Mode, Numerics, Rules, linear_only_rules, quantize};
use spiq::random::Key;
use spiq::{Array, DType, Function, TensorType, einsum, trace};

fn normal(seed: i64, dims: &[usize]) -> Array {
    Array::new(dims, Key::new(seed).normal(dims.iter().product())).expect("as many values as elements")
}

/// The element of `array` at these indices; an axis of size 1 is broadcast.
fn element(array: &Array, values: &[f64], letters: &str, at: &BTreeMap<char, usize>) -> f64 {
    let places = letters.chars().zip(array.dims());
    let index = places.fold(0, |index, (letter, &size)| index * size + if size == 1 { 0 } else { at[&letter] });
    values[index]
}

/// The einsum by definition, one index assignment at a time. All letters must be explicit, without `...`.
fn by_definition(letters: &str, x: &Array, y: &Array) -> Array {
    let (operands, result) = letters.split_once("->").expect("a result");
    let (left, right) = operands.split_once(',').expect("two operands");
    let mut sizes = BTreeMap::<char, usize>::new();
    let places = left.chars().zip(x.dims()).chain(right.chars().zip(y.dims()));
    for (letter, &size) in places {
        let known = sizes.entry(letter).or_default();
        *known = size.max(*known);
    }
    let dims: Vec<usize> = result.chars().map(|letter| sizes[&letter]).collect();
    let mut sums = vec![0.0; dims.iter().product()];
    let (xs, ys) = (x.to_f64(), y.to_f64());
    for number in 0..sizes.values().product() {
        let mut rest = number;
        let mut digit = |size: usize| {
            let digit = rest % size;
            rest /= size;
            digit
        };
        let at: BTreeMap<char, usize> = sizes.iter().map(|(&letter, &size)| (letter, digit(size))).collect();
        let place = result.chars().fold(0, |place, letter| place * sizes[&letter] + at[&letter]);
        sums[place] += element(x, &xs, left, &at) * element(y, &ys, right, &at);
    }
    Array::from_f64(TensorType::new(DType::F32, dims), &sums).expect("a sum for each element")
}

#[track_caller]
fn check(subscripts: &str, letters: &str, left: &[usize], right: &[usize]) {
    let (x, y) = (normal(0, left), normal(1, right));
    let got = evaluate(&[&x, &y], |a| vec![einsum(subscripts, &a[0], &a[1])]).remove(0);
    check_close(subscripts, &got, &by_definition(letters, &x, &y), 1e-5);
}

#[test]
fn einsums_are_the_sums_they_describe() {
    let same = |letters: &str, left: &[usize], right: &[usize]| check(letters, letters, left, right);
    same("ij,jk->ik", &[2, 3], &[3, 4]);
    same("ij,jk->ki", &[2, 3], &[3, 4]);
    same("bij,bkj->bik", &[2, 3, 4], &[2, 5, 4]);
    same("abc,dca->bd", &[2, 3, 4], &[5, 4, 2]);
    same("i,j->ij", &[2], &[3]);
    same("ij,ij->", &[2, 3], &[2, 3]);
    same("ij,k->k", &[2, 3], &[4]);
    same("iij,jk->ik", &[3, 3, 2], &[2, 4]);
    same("ij,jk->ik", &[2, 1], &[3, 4]);
    check("ij,jk", "ij,jk->ik", &[2, 3], &[3, 4]);
    check("zb, ba", "zb,ba->az", &[2, 3], &[3, 4]);
    check("...i,ij->...j", "abi,ij->abj", &[2, 5, 3], &[3, 4]);
    check("b...i,...ij", "bai,aij->abj", &[2, 5, 3], &[5, 3, 4]);
    check("...i,...i", "abi,bi->ab", &[2, 5, 3], &[5, 3]);
}

/// x [2, 3, 4] · w [4, 5] as an einsum.
fn program() -> Function {
    let inputs = [("x", TensorType::new(DType::F32, [2, 3, 4])), ("w", TensorType::new(DType::F32, [4, 5]))];
    trace(&inputs, |a| vec![a[0].graph().scope("cell", || einsum("tbi,ij->tbj", &a[0], &a[1]))]).expect("an einsum")
}

#[test]
fn rules_reach_einsums_by_that_name_alone() {
    let quantized =
        |rules: &[RuleConfig]| quantize(&program(), &Rules::new(rules)?, Mode::Ptq, Numerics::Qwix, |name| name == "w");
    let mut rules = linear_only_rules("int8", "int8");
    let error = quantized(&rules).expect_err("Spyx's presets leave einsums alone").to_string();
    assert!(error.contains("matches no operation"), "{error}");
    rules[0].op_names.push("einsum".into());
    let row = quantized(&rules).expect("quantizes").report.rows.remove(0);
    assert_eq!((row.op, row.rule, row.became.as_str()), ("einsum", Some(1), "s8 x s8 -> s32"));
    assert_eq!(row.sides.map(|side| side.scale), ["[2,3,1]", "[1,5]"]);
}

#[test]
fn an_einsum_maps_over_an_axis_under_its_name() {
    let inputs = [("x", TensorType::new(DType::F32, [6, 3, 4])), ("w", TensorType::new(DType::F32, [4, 5]))];
    let mapped = trace(&inputs, |a| vec![spiq::vmap(&a[0], |x| einsum("bi,ij->bj", &x, &a[1]))]).expect("an einsum");
    let rule =
        RuleConfig { op_names: vec!["einsum".into()], weight_qtype: Some("int8".into()), ..RuleConfig::default() };
    let rules = Rules::new(&[rule]).expect("a rule");
    let quantized = quantize(&mapped, &rules, Mode::Ptq, Numerics::Qwix, |name| name == "w").expect("quantizes");
    assert_eq!(quantized.report.rows[0].rule, Some(1));
}
