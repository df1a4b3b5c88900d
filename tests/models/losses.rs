//! Losses and metrics compared with Spyx's, and the errors for wrong axes.

use crate::evaluate::{check_close, evaluate};
use crate::reference::{Case, Reference};
use spiq::nn::{
    self, Axes, Crossentropy, IntegralCrossentropy, Layer, Li, Lif, MseSpikerate, Named, Readout, SampleLoss,
    Sequential, integral_accuracy, integral_crossentropy, mse_spikerate,
};
use spiq::random::Rngs;
use spiq::train::Loss;
use spiq::{Array, DType, TensorType};
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

/// Losses by name, as in a run: compared with snnTorch, or with JAX.
#[test]
fn losses_by_name_are_those_of_snntorch_and_of_the_papers() {
    let file = Reference::load("training");
    for case in file.cases("loss").chain(file.cases("other_loss")) {
        let arguments = case.arguments().as_object().expect("arguments");
        let keys = arguments.iter().filter(|(key, _)| *key != "type");
        let keys: Vec<String> = keys.map(|(key, value)| format!("{key} = {value}")).collect();
        let text = format!("{}({})", case.get("type").as_str().expect("a name"), keys.join(", "));
        let loss = Loss::named(&text).expect("a loss");
        let got = evaluate(&[case.array("traces"), case.array("targets")], |x| {
            let labels = x[1].named("B");
            let ((value, ()), gradient) =
                value_and_grad(&x[0], |traces| (loss.of(&traces.named("T B C").into(), &labels), ()));
            vec![value, gradient]
        });
        check_close(&format!("{} {text} value", case.name), &got[0], case.array("value"), 1e-6);
        check_close(&format!("{} {text} gradient", case.name), &got[1], case.array("gradient"), 1e-6);
    }
}

/// The text of a loss, as stored in files, and refused texts.
#[test]
fn losses_are_described_by_what_is_not_the_default() {
    for (typed, text) in [
        ("integral_crossentropy", "integral_crossentropy"),
        ("integral_crossentropy(smoothing=0.3)", "integral_crossentropy"),
        ("tet_loss(phi=0.5,lambda=0.05)", "tet_loss(lambda = 0.05, phi = 0.5)"),
        ("ce_rate_loss(class_weights = [1, 2])", "ce_rate_loss(class_weights = [1.0, 2.0])"),
    ] {
        assert_eq!(Loss::named(typed).expect(typed).description(), text);
    }
    for (typed, expected) in [
        (
            "ce_rate_los",
            "there is no loss `ce_rate_los`; did you mean `ce_rate_loss`? available: integral_crossentropy, ",
        ),
        ("tet_loss(lamda = 1)", "the loss `tet_loss` has no argument `lamda`; did you mean `lambda`?"),
        ("tet_loss(lambda = 2)", "`lambda` of the loss `tet_loss` is 2, but must be a number from 0 to 1"),
        (
            "ce_count_loss(class_weights = [0])",
            "`class_weights` of the loss `ce_count_loss` is [0], but must be \"balanced\" or a list of numbers, each of which \
             must be a positive number",
        ),
        ("ce_count_loss, tet_loss", "one loss is required, but `ce_count_loss, tet_loss` names 2"),
    ] {
        let said = Loss::named(typed).expect_err(typed).to_string();
        assert!(said.starts_with(expected), "{typed}: {said}");
    }
}

/// The result of each readout for samples constructed for it.
#[test]
fn readouts_read_what_they_are_called() {
    // [T 3, B 1, C 3]: the sum is largest in class 0, the maximum in 1, the last step in 2; softmax saturates.
    let traces = Array::new([3, 1, 3], [3.0f32, 0.0, 0.0, 3.0, 5.0, 0.0, 0.0, 0.0, 0.5]).unwrap();
    let class = |readout: Readout| {
        evaluate(&[&traces], |x| vec![readout.classes(&x[0].named("T B C")).into_tensor()])[0].to_vec::<i32>().unwrap()
            [0]
    };
    let classes = [Readout::Sum, Readout::Max, Readout::LastStep, Readout::SoftmaxSum].map(class);
    assert_eq!(classes, [0, 1, 2, 0]);
    let rare = Array::new([2, 1, 2], [9.0f32, 0.0, 0.0, 1.5]).unwrap();
    let read = |readout: Readout| {
        let scores = evaluate(&[&rare], |x| vec![readout.scores(&x[0])]);
        scores[0].to_vec::<f32>().unwrap()
    };
    // By hand: softmax([9, 0]) + softmax([0, 1.5]).
    let soft = |x: f32| 1.0 / (1.0 + (-x).exp());
    let scores = read(Readout::SoftmaxSum);
    assert!((scores[0] - (soft(9.0) + soft(-1.5))).abs() < 1e-6 && (scores[1] - (soft(-9.0) + soft(1.5))).abs() < 1e-6);
    assert_eq!(read(Readout::Sum), [9.0, 1.5]);
}

/// Scores and classes of a last layer that fires and of one that does not, by hand. The inputs of both are [T 4, B 1, C 3]; beta is
/// 1/2, the threshold 1; a neuron fires one step after its potential exceeds it.
#[test]
fn readouts_of_a_last_layer_that_fires_and_of_one_that_does_not() {
    let inputs = [[1.5f32, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 2.0, 0.8], [0.0, 0.0, 0.9]];
    let x = Array::new([4, 1, 3], inputs.concat()).unwrap();
    let soft = |scores: [f64; 3]| {
        let all: f64 = scores.iter().map(|score| score.exp()).sum();
        scores.map(|score| score.exp() / all)
    };
    let check = |layer: Box<dyn Layer>, traces: [[f64; 3]; 4], wanted: [(Readout, [f64; 3], i32); 6]| {
        let model = Sequential::new("core", [layer]);
        let params = model.init(&mut Rngs::new(0));
        let run = |read: &dyn Fn(&Named) -> Tensor| {
            let got = evaluate(&[&x], |x| {
                let params = nn::constants(x[0].graph(), &params);
                vec![read(&nn::run(&model, &params, &x[0].named("T B C")).0)]
            });
            got[0].to_f64()
        };
        let near = |got: Vec<f64>, want: &[f64]| got.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-6);
        assert!(near(run(&|traces| traces.tensor().clone()), &traces.concat()));
        for (readout, scores, class) in wanted {
            let got = run(&|traces| readout.scores(traces.tensor()));
            assert!(near(got.clone(), &scores), "{readout:?}: {got:?} for {scores:?}");
            assert_eq!(run(&|traces| readout.classes(traces).into_tensor()), [f64::from(class)], "{readout:?}");
        }
        // The loss of each readout is the cross-entropy of its scores.
        for (readout, scores, _) in wanted.into_iter().filter(|(readout, ..)| *readout != Readout::FirstSpike) {
            let got = run(&|traces| {
                let label = traces.tensor().graph().constant(&Array::new([1], [1i32]).unwrap()).named("B");
                Crossentropy { of: readout, smoothing: 0.0 }.loss(traces, &label)
            });
            assert!((got[0] + soft(scores)[1].ln()).abs() < 1e-6, "{readout:?}: {got:?}");
        }
    };
    let e = 1f64.exp();
    let (one, other) = (e / (e + 2.0), 1.0 / (e + 2.0));
    check(
        Lif { beta: Some(0.5), ..Lif::new([3]) }.into(),
        [[0.0; 3], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 1.0, 0.0]],
        [
            (Readout::Sum, [1.0, 2.0, 0.0], 1),
            (Readout::Mean, [0.25, 0.5, 0.0], 1),
            (Readout::Max, [1.0, 1.0, 0.0], 0),
            (Readout::LastStep, [0.0, 1.0, 0.0], 1),
            (
                Readout::SoftmaxSum,
                [1.0 / 3.0 + one + 2.0 * other, 1.0 / 3.0 + other + 2.0 * one, 1.0 / 3.0 + 3.0 * other],
                1,
            ),
            (Readout::FirstSpike, [3.0, 2.0, 0.0], 0),
        ],
    );
    let potentials = [[1.5, 0.0, 0.0], [0.75, 2.0, 0.0], [0.375, 3.0, 0.8], [0.1875, 1.5, 1.3]];
    let softmax: [f64; 3] = std::array::from_fn(|class| potentials.iter().map(|step| soft(*step)[class]).sum());
    check(
        Li { beta: Some(0.5), ..Li::new([3]) }.into(),
        potentials,
        [
            (Readout::Sum, [2.8125, 6.5, 2.1], 1),
            (Readout::Mean, [0.703125, 1.625, 0.525], 1),
            (Readout::Max, [1.5, 3.0, 1.3], 1),
            (Readout::LastStep, [0.1875, 1.5, 1.3], 1),
            (Readout::SoftmaxSum, softmax, 1),
            // A potential is above 0 as soon as there is any input.
            (Readout::FirstSpike, [4.0, 3.0, 2.0], 0),
        ],
    );
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

/// The single error of a loss on traces of this shape and labels of this type.
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
        "expects traces with the axes \"T B C\" in any order, got [T 16, C 10]",
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
    check_error(&[16, 8, 10], "T B C", float, "B", "expects class numbers as labels, got f32[8]");
}

#[test]
fn an_earlier_error_is_reported_once() {
    let labels = TensorType::new(DType::S32, [8]);
    check_error(&[16, 8, 10], "T B", labels, "B", "\"T B\" names 2 axes, but f32[16,8,10] has 3");
}
