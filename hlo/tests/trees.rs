//! Trees: paths, replaced leaves, structures, and functions that return another structure than they must.

use std::collections::BTreeMap;

use spiq_hlo::{
    Array, DType, Static, Tensor, TensorType, Tree, associative_scan, custom_vjp, grad, scan, switch, trace, vmap,
    while_loop,
};

type Map<T> = BTreeMap<String, T>;

fn map<T>(entries: impl IntoIterator<Item = (&'static str, T)>) -> Map<T> {
    entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn number(value: f32) -> Array {
    Array::scalar(value)
}

#[test]
fn a_path_names_what_leads_to_a_leaf() {
    let tree = (
        map([("b", vec![number(1.0)]), ("a", vec![number(2.0), number(3.0)])]),
        [number(4.0), number(5.0)],
        Some(number(6.0)),
        None::<Array>,
        ((number(7.0),), Static("unused"), ()),
    );
    let paths = ["0/a/0", "0/a/1", "0/b/0", "1/0", "1/1", "2", "4/0/0"];
    assert_eq!(tree.paths(), paths);
    let values: Vec<f64> = tree.leaves().iter().map(|leaf| leaf.to_f64()[0]).collect();
    assert_eq!(values, [2.0, 3.0, 1.0, 4.0, 5.0, 6.0, 7.0]);
    assert_eq!(number(1.0).paths(), [""]);
}

#[test]
fn leaves_are_replaced_in_order_and_by_other_types() {
    let tree = (vec![number(1.0), number(2.0)], [Some(number(3.0)), None]);
    let types: (Vec<TensorType>, [Option<TensorType>; 2]) = tree.map_to(|leaf| leaf.ty().clone());
    assert_eq!(types.leaves(), vec![TensorType::scalar(DType::F32); 3]);
    let (first, second) = tree.with_leaves(vec![number(7.0), number(8.0), number(9.0)]).expect("three leaves");
    assert_eq!((first, second), (vec![number(7.0), number(8.0)], [Some(number(9.0)), None]));
    let error = tree.with_leaves(vec![number(7.0)]).expect_err("too few").to_string();
    assert_eq!(error, "the tree takes 3 leaves, not 1");
    let doubled = tree.map(|leaf| number(2.0 * leaf.to_f64()[0] as f32));
    assert_eq!(doubled, (vec![number(2.0), number(4.0)], [Some(number(6.0)), None]));
}

#[test]
fn a_difference_is_named_by_its_path() {
    let message = |a: &(Map<Vec<Array>>, Static<f64>), b: &(Map<Vec<Array>>, Static<f64>)| {
        a.structure().check(&b.structure(), "the first", "the second").err().map(|error| error.to_string())
    };
    let of = |count, name, value| (map([(name, vec![number(0.0); count])]), Static(value));
    assert_eq!(message(&of(2, "w", 0.5), &of(2, "w", 0.5)), None);
    let expect = |a, b, sentence: &str| assert_eq!(message(&a, &b).as_deref(), Some(sentence));
    expect(of(2, "w", 0.5), of(1, "w", 0.5), "the first has `0/w/1`, which the second lacks");
    expect(of(1, "w", 0.5), of(1, "v", 0.5), "the first has `0/w/0`, which the second lacks");
    expect(of(0, "w", 0.5), of(1, "w", 0.5), "the first lacks `0/w/0`, which the second has");
    expect(of(1, "w", 0.5), of(1, "w", 2.0), "`1` is 0.5 in the first and 2.0 in the second");
    expect(of(0, "w", 0.5), of(0, "v", 0.5), "the first has a node of 0 entries at `0/w`, which the second lacks");
    // The same paths of leaves, divided otherwise.
    let nested = |outer, inner| map([(outer, map([(inner, number(0.0))]))]);
    assert_ne!(nested("a", "b/c").structure(), nested("a/b", "c").structure());
}

/// The errors of a function of two vectors.
fn errors(f: impl FnOnce(&Tensor, &Tensor) -> Tensor) -> Vec<String> {
    let ty = TensorType::new(DType::F32, [4]);
    let traced = trace(&[("x", ty.clone()), ("y", ty)], |v| vec![f(&v[0], &v[1])]);
    let errors = traced.expect_err("another structure").0;
    errors.iter().map(|error| format!("{}: {}", error.op, error.violation.message)).collect()
}

#[test]
fn another_structure_is_an_error_of_the_trace() {
    let carried = errors(|x, y| {
        let init = vec![x.index_axis(0, 0), x.index_axis(0, 1)];
        scan(&init, y, |carry, y| (vec![carry[0].clone()], y)).1
    });
    assert_eq!(carried, ["scan: the new carry lacks `1`, which the initial one has"]);

    let looped = errors(|x, _| {
        let state =
            while_loop(&Some(x.clone()), |s| s.as_ref().map_or_else(|| x.sum().lt(0.0), |x| x.sum().lt(1.0)), |_| None);
        state.unwrap_or_else(|| x.clone())
    });
    assert_eq!(looped, ["while_loop: the new state lacks the root, which the initial one has"]);

    let chosen = errors(|x, y| {
        let index = x.graph().scalar(DType::S32, 0.0);
        let branches: Vec<Box<dyn FnOnce() -> Map<Tensor> + '_>> =
            vec![Box::new(|| map([("a", x + 1.0)])), Box::new(|| map([("b", y + 1.0)]))];
        switch(&index, branches)["a"].clone()
    });
    assert_eq!(chosen, ["switch: the result of a branch has `b`, which that of the first one lacks"]);

    let custom = errors(|x, y| {
        let product = |v: &Vec<Tensor>| &v[0] * &v[1];
        let rule = |v: &Vec<Tensor>, _: &Tensor, ct: &Tensor| vec![ct * &v[1]];
        custom_vjp("product", &vec![x.clone(), y.clone()], product, rule)
    });
    assert_eq!(custom, ["product: the cotangent lacks `1`, which the input has"]);

    let combined = errors(|x, y| {
        let steps = vec![x.clone(), y.clone()];
        associative_scan(&steps, false, |a, b| vec![&a[0] + &b[0]])[0].clone()
    });
    assert_eq!(combined.len(), 1, "{combined:?}");
}

/// One layer, as a program would write it by hand.
#[test]
fn transforms_take_nested_trees() {
    let ty = TensorType::new(DType::F32, [4, 3]);
    let f = trace(&[("x", ty)], |v| {
        let params = map([("layers", [(v[0].clone(), Some(v[0].sum())), (&v[0] * 2.0, None)])]);
        let loss = |p: &Map<[(Tensor, Option<Tensor>); 2]>| {
            let [(a, bias), (b, _)] = &p["layers"];
            (a * b).sum() + bias.as_ref().expect("the first has one")
        };
        let slopes = grad(&params, loss);
        assert_eq!(slopes.paths(), ["layers/0/0", "layers/0/1", "layers/1/0"]);
        let rows = vmap(&[v[0].clone(), v[0].clone()], |[a, b]| [(a * b).sum()]);
        [slopes.leaves(), rows.to_vec()].concat()
    })
    .expect("a valid trace");
    let types: Vec<String> = f.result_types().iter().map(ToString::to_string).collect();
    assert_eq!(types, ["f32[4,3]", "f32[]", "f32[4,3]", "f32[4]"]);
}
