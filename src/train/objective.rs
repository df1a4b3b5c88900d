//! What a run makes small and what its test measures: functions of outputs and labels.

use std::fmt;
use std::sync::Arc;

use spiq_hlo::{DType, Tensor};

use super::model::Outputs;
use crate::choice::{NumbersOr, POSITIVE, chosen_one, find};
use crate::error::{Error, Result};
use crate::nn::{Axis, LOSSES, Named, READOUTS, Readout, Regularizer, SampleLoss};

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

/// The text of no regularizer.
const NONE: &str = "none";

impl Loss {
    /// A loss of one's own. The description says all that decides what it computes, its numbers too: files of a run keep it,
    /// and a run resumes with the same text only.
    pub fn new(
        description: impl Into<String>,
        function: impl Fn(&Outputs, &Named) -> Tensor + Send + Sync + 'static,
    ) -> Loss {
        Loss { description: description.into(), kind: Kind::Own(Arc::new(function)), regularizers: Vec::new() }
    }

    /// The loss of this name of [`LOSSES`], with its arguments: `ce_max_membrane_loss(smoothing = 0.1)`. Each takes
    /// `class_weights` as well, by which the loss of each sample is multiplied: a list, or `"balanced"` for the mean number of
    /// training samples of a class, divided by that of its own.
    ///
    /// # Errors
    /// Of kind `Input` for a name or an argument that is not there; it says the nearest.
    pub fn named(text: &str) -> Result<Loss> {
        let (row, mut arguments) = chosen_one("loss", LOSSES, text)?;
        let (loss, readout) = (row.make)(&mut arguments)?;
        let weights = arguments.numbers_or("class_weights", POSITIVE, "balanced")?;
        let kind = Kind::Named { loss, readout, weights };
        Ok(Loss { description: arguments.finish()?, kind, regularizers: Vec::new() })
    }

    /// The same loss with terms for spike rates: names of [`REGULARIZERS`](crate::nn::REGULARIZERS) with their arguments, divided by
    /// commas; `none` for none.
    ///
    /// # Errors
    /// As [`Regularizer::parse`].
    pub fn with_regularizers(self, text: &str) -> Result<Loss> {
        let regularizers = if text == NONE { Vec::new() } else { Regularizer::parse(text)? };
        Ok(Loss { regularizers, ..self })
    }

    /// The texts of its terms for spike rates; `none` where there are none.
    pub fn regularizers(&self) -> String {
        let texts: Vec<&str> = self.regularizers.iter().map(Regularizer::text).collect();
        if texts.is_empty() { NONE.to_owned() } else { texts.join(", ") }
    }

    /// Whether it reads the numbers of spikes.
    pub(super) fn counts_spikes(&self) -> bool {
        !self.regularizers.is_empty()
    }

    /// Refuses terms that are about none of the layers whose spikes are counted.
    pub(super) fn check_layers(&self, counted: &[String]) -> Result<()> {
        match self.regularizers.iter().find(|term| !counted.iter().any(|path| term.is_of(path))) {
            Some(term) => Err(Error::input(format!(
                "no layer that fires is what `{}` is about; there are {}",
                term.text(),
                if counted.is_empty() { NONE.to_owned() } else { counted.join(", ") }
            ))),
            None => Ok(()),
        }
    }

    /// What it is called in files.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// How the outputs are read that it trains; `None` for one of one's own.
    pub fn readout(&self) -> Option<Readout> {
        match self.kind {
            Kind::Named { readout, .. } => Some(readout),
            Kind::Own(_) => None,
        }
    }

    /// Whether it may read the states that layers leave for a loss: those by name do not.
    pub(super) fn reads_states(&self) -> bool {
        matches!(self.kind, Kind::Own(_))
    }

    /// The number of its class weights, where they are given one by one.
    pub(super) fn class_weights(&self) -> Option<usize> {
        match &self.kind {
            Kind::Named { weights: Some(NumbersOr::Numbers(weights)), .. } => Some(weights.len()),
            _ => None,
        }
    }

    /// The loss of a batch. Balanced weights are those of `samples`, labels of all training samples.
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

    /// The loss of a batch, a scalar, as a training step computes it; but balanced class weights, which depend on the training
    /// samples, are all 1.
    #[track_caller]
    pub fn of(&self, outputs: &Outputs, labels: &Named) -> Tensor {
        self.on(&[], outputs, labels)
    }
}

/// For each class the mean number of samples of those that have any, divided by its own; 1 for one that has none. Source:
/// `class_weight="balanced"` of scikit-learn.
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

/// What a test measures: a number for each sample, `[B]`, of which the mean over the test samples is taken.
///
/// ```
/// use spiq::train::Metric;
/// let margin = Metric::new("largest_trace", |outputs, _| outputs.traces.tensor().reduce_max(&[0, 2]));
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

    /// The accuracy of this name of [`READOUTS`].
    ///
    /// # Errors
    /// Of kind `Input` for a name that is not there; it says the nearest.
    pub fn named(name: &str) -> Result<Metric> {
        Ok(Metric::accuracy(find("metric", READOUTS, name)?.make))
    }

    /// The accuracy of outputs that are read like this: 1 for a sample whose class is that of its label, else 0.
    pub fn accuracy(readout: Readout) -> Metric {
        let accuracy = Metric::new(readout.accuracy(), move |outputs, labels| {
            let predicted = readout.accuracy_of(&outputs.traces, labels).1.into_tensor();
            predicted.eq(labels.tensor()).convert(DType::F32)
        });
        Metric { is_accuracy: true, ..accuracy }
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
        Metric::accuracy(Readout::Sum)
    }
}

/// Refuses class weights of another number than the classes.
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
