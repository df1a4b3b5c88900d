//! What holds for every operation without running it: its sample traces, verifies, lowers, prints and differentiates.

use spiq_hlo::{Function, PrintOptions, Sample, Tensor, samples, trace, vjp, vmap};

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
