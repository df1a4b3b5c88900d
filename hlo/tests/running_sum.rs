//! Running sums across calls: as state, as parameters, and where neither is possible.

use spiq_hlo::{DType, Function, Tensor, TensorType, custom_vjp, running_sum, scan, trace};

fn f32s(dims: &[usize]) -> TensorType {
    TensorType::new(DType::F32, dims)
}

/// Divides each step by the running mean of the steps' maxima.
fn normalized() -> Function {
    let f = trace(&[("x", f32s(&[4, 3]))], |x| {
        let graph = x[0].graph();
        let (_, y) = scan(&graph.zeros(f32s(&[])), &x[0], |carry: Tensor, x: Tensor| {
            let (count, sums) = running_sum(graph, "largest", &[("sum", &x.reduce_max([0]))]);
            let mean = &sums[0] / count.convert(DType::F32);
            (carry, x / mean)
        });
        vec![y]
    });
    f.expect("a program")
}

fn shown(types: Vec<TensorType>) -> Vec<String> {
    types.iter().map(TensorType::to_string).collect()
}

#[test]
fn sums_are_named_and_become_state_or_parameters() {
    let f = normalized();
    let names: Vec<String> = f.sums().into_iter().map(|(name, ty)| format!("{name}: {ty}")).collect();
    assert_eq!(names, ["largest/count: s32[]", "largest/sum: f32[]"]);
    let kept = f.keep_sums().expect("state");
    assert_eq!(kept.input_names(), ["x", "largest/count", "largest/sum"]);
    assert_eq!(shown(kept.result_types()), ["f32[4,3]", "s32[]", "f32[]"]);
    let read = f.read_sums().expect("parameters");
    assert_eq!(read.input_names(), kept.input_names());
    assert_eq!(shown(read.result_types()), ["f32[4,3]"]);
    for f in [&f, &kept, &read] {
        assert_eq!(f.lower().expect("lowers").verify(), Ok(()));
    }
    assert!(kept.sums().is_empty() && read.sums().is_empty());
}

#[test]
fn a_sum_in_a_function_that_keeps_no_state_is_refused() {
    let f = trace(&[("x", f32s(&[]))], |x| {
        let add = |x: &Tensor| running_sum(x.graph(), "x", &[("sum", x)]).1.remove(0);
        vec![custom_vjp("added", &x[0], add, |_: &Tensor, _: &Tensor, ct: &Tensor| ct.clone())]
    });
    let error = f.expect("a program").keep_sums().expect_err("a refusal").to_string();
    assert!(error.contains("one of its functions contains a running sum, which only a scan can carry"), "{error}");
    assert!(error.contains("tests/running_sum.rs"), "{error}");
}

#[test]
fn a_sum_of_nothing_is_refused() {
    let error = trace(&[("x", f32s(&[]))], |x| vec![running_sum(x[0].graph(), "x", &[]).0]).expect_err("a refusal");
    assert!(error.to_string().contains("requires at least one tensor"), "{error}");
}
