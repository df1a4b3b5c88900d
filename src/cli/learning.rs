//! Flags for the loss and the optimizer.

use clap::Args;
use spiq::nn::{LOSSES, READOUTS, REGULARIZERS};
use spiq::optim::{CLIPS, OPTIMIZERS, SCHEDULES};
use spiq::provenance::Provenance;
use spiq::train::{Loss, Metric, Optimizer};
use spiq::{Error, Result};

use super::argument::{self, calls, names};
use super::choice::Precision;

/// The loss and the optimizer.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Loss and optimizer (a name takes arguments: 'NAME(key = value, …)')")]
pub struct Learning {
    /// Loss to minimize; all accept class_weights, "balanced" or a list [default: integral_crossentropy]
    #[arg(long, value_name = "LOSS", value_parser = calls(LOSSES, |text| Loss::named(text).map(drop)))]
    loss: Option<String>,
    /// Terms added to the loss that keep spike rates near a target, separated by commas [default: none]
    #[arg(long, value_name = "TERMS", value_parser = calls(REGULARIZERS, |text| Loss::default().with_regularizers(text).map(drop)))]
    regularize: Option<String>,
    /// Metric of the test [default: accuracy, with the readout that the loss uses]
    #[arg(long, value_name = "METRIC", value_parser = names(READOUTS))]
    metric: Option<String>,
    /// Optimizer, with optax's defaults [default: the recipe's, adam]
    #[arg(long, value_name = "OPTIMIZER", value_parser = calls(OPTIMIZERS, |text| of(text, "constant").map(drop)))]
    pub(super) optimizer: Option<String>,
    /// Initial learning rate [default: the recipe's, 0.004]
    #[arg(long, value_name = "F", allow_negative_numbers = true, value_parser = argument::positive)]
    pub(super) learning_rate: Option<f64>,
    /// Learning-rate schedule; a number of steps written with a decimal point is a fraction of all steps [default: the recipe's; constant
    /// with --model, --data, --optimizer or --learning-rate]
    #[arg(long, value_name = "SCHEDULE", value_parser = calls(SCHEDULES, |text| of("sgd", text).map(drop)))]
    schedule: Option<String>,
    /// Separate learning rate, schedule or optimizer arguments for parameters whose path matches: 'group(path = "beta", learning_rate =
    /// 0.01, schedule = "cosine"), group(path = "layers/0/.*", weight_decay = 0)'; the first match applies
    #[arg(long, value_name = "GROUPS")]
    group: Option<String>,
    /// Gradient clipping: a maximum global norm, or one of these [default: none]
    #[arg(long, value_name = "F | CLIP", allow_negative_numbers = true, value_parser = calls(CLIPS, |text| of("sgd", "constant")?.with_clip(text).map(drop)))]
    clip: Option<String>,
    /// Batches whose gradients are averaged for one optimizer step; the schedule counts optimizer steps [default: 1]
    #[arg(long, value_name = "K", allow_negative_numbers = true, value_parser = argument::count)]
    accumulate: Option<usize>,
    /// Test and save a moving average of the parameters, with this decay per step, such as 0.999 [default: 0, no average]
    #[arg(long, value_name = "F", allow_negative_numbers = true, value_parser = decay)]
    ema: Option<f64>,
}

/// Element types, and the step at which the rules take effect.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Arithmetic")]
pub struct Arithmetic {
    /// First step in which the rules quantize; earlier steps run in full precision and gather the statistics for static scales [default: 0]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    rules_from_step: Option<u64>,
    /// Element type of products that no rule quantizes, in the forward and backward pass; parameters, neurons and sums stay in f32
    /// [default: f32]
    #[arg(long, value_enum)]
    precision: Option<Precision>,
}

impl Arithmetic {
    /// The settings that the flags give.
    pub fn provenance(&self) -> Provenance {
        let (rules_from, precision) = (self.rules_from_step, self.precision.map(Into::into));
        Provenance { rules_from, precision, ..Provenance::default() }
    }
}

fn of(optimizer: &str, schedule: &str) -> Result<Optimizer> {
    Optimizer::named(optimizer, 1.0, schedule)
}

fn decay(text: &str) -> std::result::Result<f64, String> {
    let fits = text.parse().ok().filter(|share: &f64| *share >= 0.0 && (*share as f32) < 1.0);
    fits.ok_or_else(|| "it must be a number from 0 to below 1, in f32".to_owned())
}

impl Learning {
    /// The settings that the flags give.
    pub fn provenance(&self) -> Provenance {
        Provenance {
            loss: self.loss.clone(),
            regularize: self.regularize.clone(),
            metric: self.metric.clone(),
            optimizer: self.optimizer.clone(),
            learning_rate: self.learning_rate,
            schedule: self.schedule.clone(),
            groups: self.group.clone(),
            clip: self.clip.clone(),
            accumulate: self.accumulate,
            ema: self.ema,
            ..Provenance::default()
        }
    }
}

/// The loss, optimizer and test metric of a run.
pub struct Chosen {
    /// The loss.
    pub loss: Loss,
    /// The metric of the test.
    pub metric: Metric,
    /// The optimizer.
    pub optimizer: Optimizer,
}

impl Chosen {
    /// The choices that `said` records.
    ///
    /// # Errors
    /// Of kind `Input`: an unknown name or argument.
    pub fn of(said: &Provenance) -> Result<Chosen> {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let none = "none".to_owned();
        let loss = Loss::named(&text(&said.loss))?.with_regularizers(said.regularize.as_ref().unwrap_or(&none))?;
        let metric = match &said.metric {
            Some(name) => Metric::named(name)?,
            None => Metric::accuracy(loss.readout().unwrap_or_default()),
        };
        let rate = said.learning_rate.unwrap_or_default();
        let optimizer = Optimizer::named(&text(&said.optimizer), rate, &text(&said.schedule))?
            .with_groups(said.groups.as_ref().unwrap_or(&none))?
            .with_clip(said.clip.as_ref().unwrap_or(&none))?
            .accumulating(said.accumulate.unwrap_or(1))?
            .averaging(said.ema.unwrap_or(0.0))?;
        Ok(Chosen { loss, metric, optimizer })
    }

    /// Same for a checkpoint, whose settings may be ones that no flag can express.
    ///
    /// # Errors
    /// As [`of`](Chosen::of).
    pub fn of_checkpoint(said: &Provenance, source: &str) -> Result<Chosen> {
        Chosen::of(said).map_err(|error| {
            Error::input(format!(
                "{source} is of a run that the command line cannot continue: {error}; resume it with the program that started \
                 it"
            ))
        })
    }
}
