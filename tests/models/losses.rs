//! Losses and metrics against Spyx's, and the errors of wrong axes.

use crate::evaluate::{check_close, evaluate};
use crate::reference::{Case, Reference};
use spiq::nn::{
    Axes, IntegralCrossentropy, MseSpikerate, Named, SampleLoss, integral_accuracy, integral_crossentropy, mse_spikerate,
};
use spiq::{DType, TensorType};
use spiq_hlo::{Tensor, trace, value_and_grad};

fn axes(case: &Case<'_>) -> &'static str {
    if case.get("time_axis").as_i64() == Some(0) { "T B C" } else { "B T C" }
}

fn loss(case: &Case<'_>, traces: &Named, labels: &Named) -> Tensor {
    let number = |name: &str, default: f64| case.get(name).as_f64().unwrap_or(default);
    if case.get("type") == "mse_spikerate" {
        let MseSpikerate { sparsity, smoothing } = MseSpikerate::default();
        let options =
            MseSpikerate { sparsity: number("sparsity", sparsity), smoothing: number("smoothing", smoothing) };
        return options.loss(traces, labels);
    }
    let smoothing = number("smoothing", IntegralCrossentropy::default().smoothing);
    IntegralCrossentropy { smoothing }.loss(traces, labels)
}

#[test]
fn losses_are_spyx_losses() {
    for case in Reference::load("losses").cases("loss") {
        let got = evaluate(&[case.array("traces"), case.array("targets")], |x| {
            let labels = x[1].named("B");
            let ((value, ()), gradient) =
                value_and_grad(&x[0], |traces| (loss(&case, &traces.named(axes(&case)), &labels), ()));
            vec![value, gradient]
        });
        check_close(&format!("{}/value", case.name), &got[0], case.array("value"), 1e-6);
        check_close(&format!("{}/gradient", case.name), &got[1], case.array("gradient"), 1e-6);
    }
}

#[test]
fn accuracy_is_spyx_accuracy() {
    for case in Reference::load("losses").cases("accuracy") {
        let got = evaluate(&[case.array("traces"), case.array("targets")], |x| {
            let (value, predictions) = integral_accuracy(&x[0].named(axes(&case)), &x[1].named("B"));
            vec![value, predictions.into_tensor()]
        });
        assert_eq!(&got[0], case.array("value"), "{}", case.name);
        assert_eq!(&got[1], case.array("predictions"), "{}", case.name);
    }
}

/// The one error of a loss on traces of this shape and labels of this type.
#[track_caller]
fn check_error(dims: &[usize], names: &str, labels: TensorType, label_names: &str, wanted: &str) {
    let inputs = [("traces", TensorType::new(DType::F32, dims)), ("labels", labels)];
    for loss in [integral_crossentropy, mse_spikerate, |t: &Named, l: &Named| integral_accuracy(t, l).0] {
        let errors = trace(&inputs, |x| vec![loss(&x[0].named(names), &x[1].named(label_names))]).unwrap_err();
        let messages: Vec<&str> = errors.0.iter().map(|e| e.violation.message.as_str()).collect();
        assert_eq!(messages, [wanted]);
    }
}

#[test]
fn wrong_axes_are_errors() {
    let labels = |n| TensorType::new(DType::S32, [n]);
    check_error(
        &[16, 10],
        "T C",
        labels(8),
        "B",
        "wants traces with the axes \"T B C\" in any order, got [T 16, C 10]",
    );
    check_error(
        &[16, 8, 10],
        "T B C",
        labels(7),
        "B",
        "traces [T 16, B 8, C 10] and labels [B 7] do not have the same batch",
    );
    check_error(
        &[16, 8, 10],
        "T B C",
        labels(8),
        "T",
        "traces [T 16, B 8, C 10] and labels [T 8] do not have the same batch",
    );
    let float = TensorType::new(DType::F32, [8]);
    check_error(&[16, 8, 10], "T B C", float, "B", "wants class numbers as labels, got f32[8]");
}

#[test]
fn an_earlier_error_is_reported_once() {
    let labels = TensorType::new(DType::S32, [8]);
    check_error(&[16, 8, 10], "T B", labels, "B", "\"T B\" names 2 axes, but f32[16,8,10] has 3");
}
