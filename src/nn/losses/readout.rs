//! Readouts: how outputs over time become one score per class, and the predicted class.

use spiq_hlo::{DType, Tensor};

use super::matched;
use crate::choice::Choice;
use crate::nn::axes::{Axis, Named, failed};

/// How the outputs of all steps become one score per class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Readout {
    /// Their sum over time: for spikes, the spike count.
    #[default]
    Sum,
    /// Their mean over time: the same class as for the sum, but smaller scores for a loss.
    Mean,
    /// Their largest value over time.
    Max,
    /// The value at the last step.
    LastStep,
    /// The sum over time of their softmax over classes.
    SoftmaxSum,
    /// The number of steps left when they are first above 0, as spikes are; 0 if they never are. It has no gradient.
    FirstSpike,
}

/// The readouts, by the names of their accuracies.
pub const READOUTS: &[Choice<Readout>] = &[
    Choice { name: "integral_accuracy", about: "the class with the largest sum over time", make: Readout::Sum },
    Choice {
        name: "mean_accuracy",
        about: "the class with the largest mean over time, the same as with integral_accuracy",
        make: Readout::Mean,
    },
    Choice { name: "max_accuracy", about: "the class with the largest value over time", make: Readout::Max },
    Choice {
        name: "last_step_accuracy",
        about: "the class with the largest value at the last step",
        make: Readout::LastStep,
    },
    Choice {
        name: "softmax_sum_accuracy",
        about: "the class with the largest sum of softmax over time",
        make: Readout::SoftmaxSum,
    },
    Choice {
        name: "first_spike_accuracy",
        about: "the class whose output is first above 0, as in snnTorch's accuracy_temporal; for a last layer that fires",
        make: Readout::FirstSpike,
    },
];

impl Readout {
    /// The name of the accuracy with this readout.
    pub fn accuracy(self) -> &'static str {
        READOUTS.iter().find(|row| row.make == self).expect("one row per readout").name
    }

    /// The readout whose accuracy has this name.
    pub fn of_accuracy(name: &str) -> Option<Readout> {
        READOUTS.iter().find(|row| row.name == name).map(|row| row.make)
    }

    /// The scores [B, C] of outputs [T, B, C].
    #[track_caller]
    pub fn scores(self, traces: &Tensor) -> Tensor {
        match self {
            Readout::Sum => traces.reduce_sum([0]),
            Readout::Mean => traces.reduce_mean([0]),
            Readout::Max => traces.reduce_max([0]),
            Readout::LastStep => traces.index_axis(0, traces.dims().first().map_or(0, |steps| steps.saturating_sub(1))),
            Readout::SoftmaxSum => traces.log_softmax(-1).exp().reduce_sum([0]),
            Readout::FirstSpike => {
                let steps = traces.dims().first().copied().unwrap_or_default() as f64;
                let left = steps - traces.graph().iota(traces.ty().clone(), 0);
                traces.gt(0.0).select(&left, &left.zeros_like()).reduce_max([0])
            }
        }
    }

    /// The class of each sample, s32 `[B]`: the one with the largest score, the first of equal ones. Traces have the axes T, B
    /// and C in any order.
    ///
    /// # Errors
    /// Recorded in the trace: axes that are missing or left over.
    #[track_caller]
    pub fn classes(self, traces: &Named) -> Named {
        let batch = traces.size(Axis::Batch).unwrap_or_default();
        let labels = traces.tensor().graph().zeros(spiq_hlo::TensorType::new(DType::S32, [batch]));
        self.accuracy_of(traces, &Named::new(&labels, vec![Axis::Batch])).1
    }

    /// The fraction of the batch that is correctly classified (f32 scalar), and the predicted classes, s32 `[B]`.
    ///
    /// # Errors
    /// Recorded in the trace, as for [`integral_accuracy`](super::integral_accuracy).
    #[track_caller]
    pub fn accuracy_of(self, traces: &Named, labels: &Named) -> (Tensor, Named) {
        let (traces, labels) = match matched(traces, labels) {
            Ok(pair) => pair,
            Err(violation) => {
                let poison = failed(traces.tensor(), self.accuracy(), violation);
                return (poison.clone(), Named::new(&poison, vec![Axis::Batch]));
            }
        };
        let predictions = self.scores(&traces).argmax(-1);
        let hits = predictions.eq(labels.convert(DType::S32)).convert(DType::F32);
        (hits.mean(), Named::new(&predictions, vec![Axis::Batch]))
    }
}
