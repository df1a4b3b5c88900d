//! Checks of every operation without executing it: its sample traces, verifies, lowers, prints and differentiates.

use spiq_hlo::{DType, Function, PrintOptions, Sample, Tensor, TensorType, samples, trace, vjp, vmap};

fn forward(sample: &Sample) -> Function {
    let inputs: Vec<_> = sample.inputs.iter().map(|(ty, _)| ("x", ty.clone())).collect();
    trace(&inputs, |x| (sample.build)(x)).unwrap_or_else(|e| panic!("{}: {e}", sample.name))
}

fn check(sample: &Sample, what: &str, function: &Function) {
    function.verify().unwrap_or_else(|e| panic!("{} {what}: {e}", sample.name));
    let lowered = function.lower().unwrap_or_else(|e| panic!("{} {what}: {e}", sample.name)).simplify();
    lowered.verify().unwrap_or_else(|e| panic!("{} {what}, lowered: {e}", sample.name));
    let text = lowered.stablehlo(&sample.name, &PrintOptions::default());
    assert_eq!(text, function.lower().unwrap().simplify().stablehlo(&sample.name, &PrintOptions::default()));
}

#[test]
fn every_sample_traces_verifies_lowers_and_prints() {
    for sample in samples() {
        check(&sample, "forward", &forward(&sample));
    }
}

#[test]
fn every_differentiable_sample_has_gradients_of_its_operands_types() {
    for sample in samples().into_iter().filter(|s| s.differentiable) {
        let inputs: Vec<_> = sample.inputs.iter().map(|(ty, _)| ("x", ty.clone())).collect();
        let function = trace(&inputs, |x| {
            let y = (sample.build)(x);
            let cts: Vec<Option<Tensor>> = y.iter().map(|y| Some(y.full_like(1.0))).collect();
            vjp(&y, &cts, x)
        });
        let function = function.unwrap_or_else(|e| panic!("{}: {e}", sample.name));
        assert_eq!(function.result_types(), function.input_types(), "{}", sample.name);
        check(&sample, "reverse", &function);
    }
}

#[test]
fn every_sample_maps() {
    for sample in samples() {
        // Collectives come after all transforms.
        if ["replica_id", "all_reduce", "all_gather"].contains(&sample.name.as_str()) {
            continue;
        }
        let wide = |(ty, _): &(spiq_hlo::TensorType, _)| ("x", ty.with_dims([&[3], &ty.dims[..]].concat()));
        let inputs: Vec<_> = sample.inputs.iter().map(wide).collect();
        let function = trace(&inputs, |x| vmap(&x.to_vec(), |x: Vec<Tensor>| (sample.build)(&x)));
        let function = function.unwrap_or_else(|e| panic!("{}: {e}", sample.name));
        let single = forward(&sample).result_types();
        let wanted: Vec<_> = single.iter().map(|ty| ty.with_dims([&[3], &ty.dims[..]].concat())).collect();
        assert_eq!(function.result_types(), wanted, "{}", sample.name);
        check(&sample, "mapped", &function);
    }
}

/// Parameters in another order, with one added and one omitted: the printed text equals that of a trace that calls the function
/// with these arguments.
#[test]
fn inputs_are_arranged_as_in_a_new_trace() {
    let mut compared = 0;
    for sample in samples() {
        let names: Vec<String> = (0..sample.inputs.len()).map(|i| format!("x{i}")).collect();
        let inputs: Vec<_> =
            names.iter().zip(&sample.inputs).map(|(name, (ty, _))| (name.as_str(), ty.clone())).collect();
        let function = trace(&inputs, |x| (sample.build)(x)).unwrap_or_else(|e| panic!("{}: {e}", sample.name));
        let more = ("more", TensorType::scalar(DType::F32));
        for left_out in [None, Some(0)] {
            let mut wanted: Vec<_> = inputs.iter().rev().cloned().collect();
            wanted.retain(|(name, _)| left_out.is_none_or(|at: usize| *name != names[at]));
            wanted.insert(0, more.clone());
            let traced = trace(&wanted, |values| {
                let graph = values[0].graph();
                let given = inputs.iter().map(|(name, ty)| match wanted.iter().position(|(other, _)| other == name) {
                    Some(at) => values[at].clone(),
                    None => graph.zeros(ty.clone()),
                });
                function.call(graph, &given.collect::<Vec<_>>())
            });
            let text = |function: &Function| function.stablehlo("arranged", &PrintOptions::default());
            let arranged = function.with_inputs(&wanted).unwrap_or_else(|e| panic!("{}: {e}", sample.name));
            arranged.verify().unwrap_or_else(|e| panic!("{}: {e}", sample.name));
            assert_eq!(text(&arranged), text(&traced.expect("a trace")), "{}", sample.name);
            compared += 1;
        }
    }
    assert!(compared > 200, "{compared} programs");
}

#[test]
fn a_parameter_of_another_type_is_refused() {
    let vector = |size: usize| TensorType::new(DType::F32, [size]);
    let function = trace(&[("x", vector(2))], |x| vec![x[0].exp()]).expect("sound");
    let error = function.with_inputs(&[("x", vector(3))]).expect_err("a refusal").to_string();
    assert!(error.contains("the parameter `x` is f32[2], not f32[3]"), "{error}");
}
