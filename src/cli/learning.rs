//! Flags that say what training makes small, and how. Knows nothing of models and data.

use clap::Args;
use spiq::nn::{LOSSES, READOUTS, REGULARIZERS};
use spiq::optim::{CLIPS, OPTIMIZERS, SCHEDULES};
use spiq::provenance::Provenance;
use spiq::train::{Loss, Metric, Optimizer};
use spiq::{Error, Result};

use super::argument::{self, calls, names};
use super::choice::Precision;

/// What training makes small, and how.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Loss and optimizer (a name takes arguments: 'NAME(key = value, …)')")]
pub struct Learning {
    /// What training makes small; each also takes class_weights, "balanced" or a list [default: integral_crossentropy]
    #[arg(long, value_name = "LOSS", value_parser = calls(LOSSES, |text| Loss::named(text).map(drop)))]
    loss: Option<String>,
    /// Keep spike rates where they are wanted, by terms of the loss, divided by commas [default: none]
    #[arg(long, value_name = "TERMS", value_parser = calls(REGULARIZERS, |text| Loss::default().with_regularizers(text).map(drop)))]
    regularize: Option<String>,
    /// What the test measures [default: as the loss reads the outputs]
    #[arg(long, value_name = "METRIC", value_parser = names(READOUTS))]
    metric: Option<String>,
    /// Optimizer, with optax's defaults [default: the recipe's, adam]
    #[arg(long, value_name = "OPTIMIZER", value_parser = calls(OPTIMIZERS, |text| of(text, "constant").map(drop)))]
    pub(super) optimizer: Option<String>,
    /// Learning rate at the start [default: the recipe's, 0.004]
    #[arg(long, value_name = "F", allow_negative_numbers = true, value_parser = argument::positive)]
    pub(super) learning_rate: Option<f64>,
    /// How the learning rate goes on from its start; numbers of steps may be shares of all, written with a point [default: the
    /// recipe's; constant with --model, --data, --optimizer or --learning-rate]
    #[arg(long, value_name = "SCHEDULE", value_parser = calls(SCHEDULES, |text| of("sgd", text).map(drop)))]
    schedule: Option<String>,
    /// Another learning rate, another schedule of it, or other arguments of the optimizer, for the parameters whose path matches:
    /// 'group(path = "beta", learning_rate = 0.01, schedule = "cosine"), group(path = "layers/0/.*", weight_decay = 0)'; the first
    /// match counts
    #[arg(long, value_name = "GROUPS")]
    group: Option<String>,
    /// Cut the gradients: a largest norm of all together, or one of these [default: none]
    #[arg(long, value_name = "F | CLIP", allow_negative_numbers = true, value_parser = calls(CLIPS, |text| of("sgd", "constant")?.with_clip(text).map(drop)))]
    clip: Option<String>,
    /// Batches whose gradients are averaged for one step of the optimizer; its schedule counts its own steps [default: 1]
    #[arg(long, value_name = "K", allow_negative_numbers = true, value_parser = argument::count)]
    accumulate: Option<usize>,
    /// Test, and leave as parameters, their moving average, of which each step keeps this share: 0.999 [default: 0, no average]
    #[arg(long, value_name = "F", allow_negative_numbers = true, value_parser = decay)]
    ema: Option<f64>,
}

/// What is computed in which type, beside the rules.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Arithmetic")]
pub struct Arithmetic {
    /// First step in which the rules quantize; the steps before are in full precision, and gather what static scales come from
    /// [default: 0]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    rules_from_step: Option<u64>,
    /// Element type of the products that no rule quantizes, forward and backward; parameters, neurons and sums stay in f32
    /// [default: f32]
    #[arg(long, value_enum)]
    precision: Option<Precision>,
}

impl Arithmetic {
    /// What the flags say.
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
    /// What the flags say.
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

/// What a run makes small, how, and what its test measures.
pub struct Chosen {
    /// What is made small.
    pub loss: Loss,
    /// What the test measures.
    pub metric: Metric,
    /// How.
    pub optimizer: Optimizer,
}

impl Chosen {
    /// What this much says.
    ///
    /// # Errors
    /// Of kind `Input`: a name or an argument that is not known.
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

    /// The same for a checkpoint: it may be of a run that no flags can say.
    ///
    /// # Errors
    /// As [`of`](Chosen::of).
    pub fn of_checkpoint(said: &Provenance, source: &str) -> Result<Chosen> {
        Chosen::of(said).map_err(|error| {
            Error::input(format!(
                "{source} is of a run that the command line cannot go on with: {error}; resume it with the program that began \
                 it"
            ))
        })
    }
}
