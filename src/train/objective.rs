//! The objective of a run and the metric of its test: functions of outputs and labels.

use std::fmt;
use std::sync::Arc;

use spiq_hlo::{DType, Tensor};

use super::model::Outputs;
use crate::choice::{NumbersOr, POSITIVE, chosen_one, find};
use crate::error::{Error, Result};
use crate::nn::{Axis, LOSSES, Named, READOUTS, Readout, Regularizer, SampleLoss};

type Function = Arc<dyn Fn(&Outputs, &Named) -> Tensor + Send + Sync>;

/// The training loss: a scalar f32 of a batch's outputs and labels (`s32[B]`).
///
/// ```
/// use spiq::nn::{integral_crossentropy, sparsity_reg};
/// use spiq::train::Loss;
/// let own = Loss::new("integral_crossentropy + 0.1 sparsity_reg(20)", |outputs, labels| {
///     let counts: Vec<_> = outputs.states.values().cloned().collect(); // of layers `ActivityRegularization`
///     integral_crossentropy(&outputs.traces, labels) + 0.1 * sparsity_reg(&counts, 20.0)
/// });
/// let named = Loss::named("tet_loss(lambda=0.01, class_weights='balanced')")?;
/// assert_eq!(named.description(), "tet_loss(lambda = 0.01, class_weights = \"balanced\")");
/// # Ok::<(), spiq::Error>(())
/// ```
#[derive(Clone)]
pub struct Loss {
    description: String,
    kind: Kind,
    regularizers: Vec<Regularizer>,
}

#[derive(Clone)]
enum Kind {
    Own(Function),
    Named { loss: Arc<dyn SampleLoss>, readout: Readout, weights: Option<NumbersOr> },
}

/// The text for no regularizer.
const NONE: &str = "none";

impl Loss {
    /// A user-defined loss. The description must contain everything that determines the result, including its constants: the files of a run
    /// store it, and a run can only be resumed with the same text.
    pub fn new(
        description: impl Into<String>,
        function: impl Fn(&Outputs, &Named) -> Tensor + Send + Sync + 'static,
    ) -> Loss {
        Loss { description: description.into(), kind: Kind::Own(Arc::new(function)), regularizers: Vec::new() }
    }

    /// The loss with this name in [`LOSSES`] and its arguments: `ce_max_membrane_loss(smoothing = 0.1)`. Every loss also takes
    /// `class_weights`, which multiply the loss of each sample by its class: a list, or `"balanced"` for the mean number of training
    /// samples per class divided by that of the sample's class.
    ///
    /// # Errors
    /// Of kind `Input` for an unknown name or argument, with the nearest one.
    pub fn named(text: &str) -> Result<Loss> {
        let (row, mut arguments) = chosen_one("loss", LOSSES, text)?;
        let (loss, readout) = (row.make)(&mut arguments)?;
        let weights = arguments.numbers_or("class_weights", POSITIVE, "balanced")?;
        let kind = Kind::Named { loss, readout, weights };
        Ok(Loss { description: arguments.finish()?, kind, regularizers: Vec::new() })
    }

    /// The same loss with spike-rate terms: names in [`REGULARIZERS`](crate::nn::REGULARIZERS) with their arguments, separated by commas;
    /// `none` for none.
    ///
    /// # Errors
    /// As [`Regularizer::parse`].
    pub fn with_regularizers(self, text: &str) -> Result<Loss> {
        let regularizers = if text == NONE { Vec::new() } else { Regularizer::parse(text)? };
        Ok(Loss { regularizers, ..self })
    }

    /// The texts of its spike-rate terms; `none` without any.
    pub fn regularizers(&self) -> String {
        let texts: Vec<&str> = self.regularizers.iter().map(Regularizer::text).collect();
        if texts.is_empty() { NONE.to_owned() } else { texts.join(", ") }
    }

    /// Whether it reads spike counts.
    pub(super) fn counts_spikes(&self) -> bool {
        !self.regularizers.is_empty()
    }

    /// Refuses terms that apply to none of the layers whose spikes are counted.
    pub(super) fn check_layers(&self, counted: &[String]) -> Result<()> {
        match self.regularizers.iter().find(|term| !counted.iter().any(|path| term.is_of(path))) {
            Some(term) => Err(Error::input(format!(
                "`{}` applies to no layer that fires; there are {}",
                term.text(),
                if counted.is_empty() { NONE.to_owned() } else { counted.join(", ") }
            ))),
            None => Ok(()),
        }
    }

    /// Its name in files.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// How the outputs that it trains are read out; `None` if user-defined.
    pub fn readout(&self) -> Option<Readout> {
        match self.kind {
            Kind::Named { readout, .. } => Some(readout),
            Kind::Own(_) => None,
        }
    }

    /// Whether it may read states that layers provide for a loss; built-in losses do not.
    pub(super) fn reads_states(&self) -> bool {
        matches!(self.kind, Kind::Own(_))
    }

    /// The number of class weights, if given as a list.
    pub(super) fn class_weights(&self) -> Option<usize> {
        match &self.kind {
            Kind::Named { weights: Some(NumbersOr::Numbers(weights)), .. } => Some(weights.len()),
            _ => None,
        }
    }

    /// The loss of a batch. Balanced weights are computed from `samples`, the labels of all training samples.
    #[track_caller]
    pub(super) fn on(&self, samples: &[i32], outputs: &Outputs, labels: &Named) -> Tensor {
        let steps = outputs.traces.size(Axis::Time).unwrap_or_default();
        let terms = self.regularizers.iter().filter_map(|term| term.term(&outputs.spike_counts, steps));
        terms.fold(self.without_terms(samples, outputs, labels), |loss, term| loss + term)
    }

    #[track_caller]
    fn without_terms(&self, samples: &[i32], outputs: &Outputs, labels: &Named) -> Tensor {
        match &self.kind {
            Kind::Own(function) => function(outputs, labels),
            Kind::Named { loss, weights: None, .. } => loss.loss(&outputs.traces, labels),
            Kind::Named { loss, weights: Some(NumbersOr::Numbers(weights)), .. } => {
                loss.weighted(&outputs.traces, labels, weights)
            }
            Kind::Named { loss, weights: Some(NumbersOr::Word), .. } => {
                let classes = outputs.traces.tensor().dims().last().copied().unwrap_or_default();
                loss.weighted(&outputs.traces, labels, &balanced(samples, classes))
            }
        }
    }

    /// The loss of a batch, a scalar, as a training step computes it, except that balanced class weights, which depend on the training
    /// samples, are all 1.
    #[track_caller]
    pub fn of(&self, outputs: &Outputs, labels: &Named) -> Tensor {
        self.on(&[], outputs, labels)
    }
}

/// For each class, the mean number of samples over the classes that have any, divided by its own number; 1 for a class without samples.
/// Source: `class_weight="balanced"` of scikit-learn.
fn balanced(labels: &[i32], classes: usize) -> Vec<f64> {
    let count = |class: usize| labels.iter().filter(|label| **label as usize == class).count();
    let counts: Vec<usize> = (0..classes).map(count).collect();
    let present = counts.iter().filter(|count| **count > 0).count();
    let mean = labels.len() as f64 / present.max(1) as f64;
    counts.into_iter().map(|count| if count == 0 { 1.0 } else { mean / count as f64 }).collect()
}

impl Default for Loss {
    /// `integral_crossentropy`.
    fn default() -> Loss {
        Loss::named(LOSSES[0].name).expect("the first row")
    }
}

/// The metric of a test: one number per sample, `[B]`, averaged over the test samples.
///
/// ```
/// use spiq::train::Metric;
/// let margin = Metric::new("largest_trace", |outputs, _| outputs.traces.tensor().reduce_max([0, 2]));
/// assert_eq!(margin.name(), "largest_trace");
/// assert_eq!(Metric::named("max_accuracy")?.name(), "max_accuracy");
/// # Ok::<(), spiq::Error>(())
/// ```
#[derive(Clone)]
pub struct Metric {
    name: String,
    function: Function,
    is_accuracy: bool,
    less_is_better: bool,
}

impl Metric {
    /// A user-defined metric. Its name must identify what it computes, and is its key in `metrics.jsonl`.
    pub fn new(
        name: impl Into<String>,
        function: impl Fn(&Outputs, &Named) -> Tensor + Send + Sync + 'static,
    ) -> Metric {
        Metric { name: name.into(), function: Arc::new(function), is_accuracy: false, less_is_better: false }
    }

    /// The same metric with lower values better, as for an error; this decides which epoch is best.
    #[must_use]
    pub fn less_is_better(self) -> Metric {
        Metric { less_is_better: true, ..self }
    }

    /// Whether a value is better than another; NaN never is.
    pub(super) fn is_better(&self, value: f32, than: f32) -> bool {
        if self.less_is_better { value < than } else { value > than }
    }

    /// The accuracy with this name in [`READOUTS`].
    ///
    /// # Errors
    /// Of kind `Input` for an unknown name, with the nearest one.
    pub fn named(name: &str) -> Result<Metric> {
        Ok(Metric::accuracy(find("metric", READOUTS, name)?.make))
    }

    /// The accuracy under a readout: 1 for a sample whose predicted class is its label, else 0.
    pub fn accuracy(readout: Readout) -> Metric {
        let accuracy = Metric::new(readout.accuracy(), move |outputs, labels| {
            let predicted = readout.accuracy_of(&outputs.traces, labels).1.into_tensor();
            predicted.eq(labels.tensor()).convert(DType::F32)
        });
        Metric { is_accuracy: true, ..accuracy }
    }

    /// Its name in files.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is the fraction of samples that are classified correctly.
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
        Metric::accuracy(Readout::Sum)
    }
}

/// Refuses class weights whose number differs from the number of classes.
pub(super) fn check_class_weights(loss: &Loss, classes: usize) -> Result<()> {
    match loss.class_weights() {
        Some(weights) if weights != classes => Err(Error::input(format!(
            "`class_weights` of the loss has {weights} numbers, but the model has {classes} outputs; give one for each"
        ))),
        _ => Ok(()),
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
