//! What a run makes small and what its test measures: functions of outputs and labels.

use std::fmt;
use std::sync::Arc;

use spiq_hlo::{DType, Tensor};

use super::model::Outputs;
use crate::choice::find;
use crate::error::Result;
use crate::nn::{LOSSES, Named, integral_accuracy};

type Function = Arc<dyn Fn(&Outputs, &Named) -> Tensor + Send + Sync>;

/// What training makes small: a scalar f32 of a batch's outputs and labels (`s32[B]`).
///
/// ```
/// use spiq::nn::{integral_crossentropy, sparsity_reg};
/// use spiq::train::Loss;
/// let own = Loss::new("integral_crossentropy + 0.1 sparsity_reg(20)", |outputs, labels| {
///     let counts: Vec<_> = outputs.states.values().cloned().collect(); // of layers `ActivityRegularization`
///     integral_crossentropy(&outputs.traces, labels) + 0.1 * sparsity_reg(&counts, 20.0)
/// });
/// assert_eq!(Loss::named("mse_spikerate")?.description(), "mse_spikerate");
/// # Ok::<(), spiq::Error>(())
/// ```
#[derive(Clone)]
pub struct Loss {
    description: String,
    function: Function,
    reads_states: bool,
}

impl Loss {
    /// A loss of one's own. The description says all that decides what it computes, its numbers too: files of a run keep it,
    /// and a run resumes with the same text only.
    pub fn new(
        description: impl Into<String>,
        function: impl Fn(&Outputs, &Named) -> Tensor + Send + Sync + 'static,
    ) -> Loss {
        Loss { description: description.into(), function: Arc::new(function), reads_states: true }
    }

    /// The loss of this name of [`LOSSES`], with Spyx's defaults.
    ///
    /// # Errors
    /// Of kind `Input` for a name that is not there; it says the nearest.
    pub fn named(name: &str) -> Result<Loss> {
        let row = find("loss", LOSSES, name)?;
        let loss = Loss::new(row.name, |outputs, labels| (row.make)(&outputs.traces, labels));
        Ok(Loss { reads_states: false, ..loss })
    }

    /// What it is called in files.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Whether it may read the states that layers leave for a loss: those by name do not.
    pub(super) fn reads_states(&self) -> bool {
        self.reads_states
    }

    pub(super) fn of(&self, outputs: &Outputs, labels: &Named) -> Tensor {
        (self.function)(outputs, labels)
    }
}

impl Default for Loss {
    /// `integral_crossentropy`.
    fn default() -> Loss {
        Loss::named(LOSSES[0].name).expect("the first row")
    }
}

/// What a test measures: a number for each sample, `[B]`, of which the mean over the test samples is taken.
///
/// ```
/// use spiq::train::Metric;
/// let margin = Metric::new("largest_trace", |outputs, _| outputs.traces.tensor().reduce_max(&[0, 2]));
/// assert_eq!(margin.name(), "largest_trace");
/// ```
#[derive(Clone)]
pub struct Metric {
    name: String,
    function: Function,
    is_accuracy: bool,
    less_is_better: bool,
}

impl Metric {
    /// The name of the default metric.
    pub(super) const ACCURACY: &str = "integral_accuracy";

    /// A metric of one's own. Its name says all that decides what it computes, and is its key in `metrics.jsonl`.
    pub fn new(
        name: impl Into<String>,
        function: impl Fn(&Outputs, &Named) -> Tensor + Send + Sync + 'static,
    ) -> Metric {
        Metric { name: name.into(), function: Arc::new(function), is_accuracy: false, less_is_better: false }
    }

    /// The same, of which less is better, as of an error: it decides which epoch is the best.
    #[must_use]
    pub fn less_is_better(self) -> Metric {
        Metric { less_is_better: true, ..self }
    }

    /// Whether a value of it is better than another one; what is no number never is.
    pub(super) fn is_better(&self, value: f32, than: f32) -> bool {
        if self.less_is_better { value < than } else { value > than }
    }

    /// What it is called in files.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is the part of samples that are classified correctly.
    pub fn is_accuracy(&self) -> bool {
        self.is_accuracy
    }

    pub(super) fn of(&self, outputs: &Outputs, labels: &Named) -> Tensor {
        (self.function)(outputs, labels)
    }
}

impl Default for Metric {
    /// `integral_accuracy`: 1 for a sample whose largest sum over time is that of its label, else 0.
    fn default() -> Metric {
        let accuracy = Metric::new(Metric::ACCURACY, |outputs, labels| {
            let predicted = integral_accuracy(&outputs.traces, labels).1.into_tensor();
            predicted.eq(labels.tensor()).convert(DType::F32)
        });
        Metric { is_accuracy: true, ..accuracy }
    }
}

impl fmt::Debug for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Loss").field(&self.description).finish()
    }
}

impl fmt::Debug for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Metric").field(&self.name).finish()
    }
}
