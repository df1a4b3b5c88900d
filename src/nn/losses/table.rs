//! The losses by name, with the defaults of Spyx and snnTorch.

use std::sync::Arc;

use super::{
    Crossentropy, CrossentropyOfSteps, IntegralCrossentropy, MseCount, MseMembrane, MseSpikerate, Readout, SampleLoss,
    Tet,
};
use crate::choice::{Arguments, Choice, FINITE, SHARE};
use crate::error::Result;

/// Makes a loss from its arguments, with the readout that it trains.
pub type MakeLoss = fn(&mut Arguments) -> Result<(Arc<dyn SampleLoss>, Readout)>;

/// The losses by name. Each takes `smoothing`, the fraction of a label that is spread over all classes.
pub const LOSSES: &[Choice<MakeLoss>] = &[
    Choice {
        name: "integral_crossentropy",
        about: "cross-entropy of the outputs' sums over time (smoothing = 0.3)",
        make: |a| summed(IntegralCrossentropy { smoothing: a.number("smoothing", 0.3, SHARE)? }),
    },
    Choice {
        name: "mse_spikerate",
        about: "squared distance of the outputs' means over time from a target rate for each class (sparsity = 0.25, smoothing = 0)",
        make: |a| summed(MseSpikerate { sparsity: a.number("sparsity", 0.25, FINITE)?, smoothing: smoothing(a)? }),
    },
    Choice {
        name: "ce_count_loss",
        about: "cross-entropy of the outputs' sums over time, as in snnTorch (smoothing = 0)",
        make: |a| crossentropy(a, Readout::Sum),
    },
    Choice {
        name: "ce_rate_loss",
        about: "mean of the cross-entropies of all steps (smoothing = 0)",
        make: |a| summed(CrossentropyOfSteps { smoothing: smoothing(a)? }),
    },
    Choice {
        name: "ce_mean_loss",
        about: "cross-entropy of the outputs' means over time (smoothing = 0)",
        make: |a| crossentropy(a, Readout::Mean),
    },
    Choice {
        name: "ce_max_membrane_loss",
        about: "cross-entropy of the outputs' largest values over time (smoothing = 0)",
        make: |a| crossentropy(a, Readout::Max),
    },
    Choice {
        name: "ce_softmax_sum_loss",
        about: "cross-entropy of the sums over time of the outputs' softmax (smoothing = 0)",
        make: |a| crossentropy(a, Readout::SoftmaxSum),
    },
    Choice {
        name: "ce_last_step_loss",
        about: "cross-entropy of the last step's outputs (smoothing = 0)",
        make: |a| crossentropy(a, Readout::LastStep),
    },
    Choice {
        name: "mse_count_loss",
        about: "squared distance of the outputs' sums over time from target counts (correct_rate = 1, incorrect_rate = 0, \
                smoothing = 0)",
        make: |a| {
            let [correct_rate, incorrect_rate] =
                [a.number("correct_rate", 1.0, SHARE)?, a.number("incorrect_rate", 0.0, SHARE)?];
            summed(MseCount { correct_rate, incorrect_rate, smoothing: smoothing(a)? })
        },
    },
    Choice {
        name: "mse_membrane_loss",
        about: "squared distance of each step's outputs from target values (on_target = 1, off_target = 0, smoothing = 0)",
        make: |a| {
            let [on_target, off_target] = [a.number("on_target", 1.0, FINITE)?, a.number("off_target", 0.0, FINITE)?];
            summed(MseMembrane { on_target, off_target, smoothing: smoothing(a)? })
        },
    },
    Choice {
        name: "tet_loss",
        about: "temporal efficient training: ce_rate_loss, and outputs kept near phi (lambda = 0.001, phi = 1, smoothing = 0)",
        make: |a| {
            let Tet { lambda, phi, .. } = Tet::default();
            let (lambda, phi) = (a.number("lambda", lambda, SHARE)?, a.number("phi", phi, FINITE)?);
            summed(Tet { lambda, phi, smoothing: smoothing(a)? })
        },
    },
];

fn smoothing(arguments: &mut Arguments) -> Result<f64> {
    arguments.number("smoothing", 0.0, SHARE)
}

fn crossentropy(arguments: &mut Arguments, of: Readout) -> Result<(Arc<dyn SampleLoss>, Readout)> {
    Ok((Arc::new(Crossentropy { of, smoothing: smoothing(arguments)? }), of))
}

/// A loss for outputs that are read by their sums over time.
fn summed(loss: impl SampleLoss + 'static) -> Result<(Arc<dyn SampleLoss>, Readout)> {
    Ok((Arc::new(loss), Readout::Sum))
}
