//! Conversion of values to and from the text of a metadata entry.

use std::fmt;
use std::path::PathBuf;

use super::Digest;
use crate::augment::Augmentation;
use crate::config::ModelConfig;
use crate::data::Coding;
use crate::error::Result;
use crate::fields::LARGEST;
use crate::network::Network;
use crate::quant::{Gradients, Numerics, Precision, Rules};

/// A value with a canonical text: equal values have equal texts, and parsing the text restores the value.
pub(super) trait Entry: Sized {
    fn text(&self) -> String;
    fn parse(text: &str) -> Option<Self>;
}

/// The text of a model's file, with every default written out. With layers that a file cannot express it can be compared, but not
/// parsed as a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelText(String);

impl ModelText {
    /// The text of a model.
    pub fn of(model: &ModelConfig) -> ModelText {
        ModelText(model.to_toml())
    }

    /// The text of a model that a file cannot express, for comparison.
    pub fn described(text: impl Into<String>) -> ModelText {
        ModelText(text.into())
    }

    /// Parses the model. `source` names the text in messages.
    ///
    /// # Errors
    /// Kind `Input`, as [`ModelConfig::parse`].
    pub fn model(&self, source: &str) -> Result<ModelConfig> {
        ModelConfig::parse(&self.0, source)
    }
}

impl Entry for ModelText {
    fn text(&self) -> String {
        self.0.clone()
    }

    fn parse(text: &str) -> Option<ModelText> {
        // Another version may have written other defaults.
        let known = ModelConfig::parse(text, "the metadata").map(|model| ModelText::of(&model));
        Some(known.unwrap_or_else(|_| ModelText(text.to_owned())))
    }
}

impl Entry for Rules {
    fn text(&self) -> String {
        if self.is_empty() { NO_RULES.to_owned() } else { self.to_toml() }
    }

    fn parse(text: &str) -> Option<Rules> {
        match text.trim() {
            NO_RULES | "rules = []" => Some(Rules::default()),
            rules => Rules::parse(rules, "the metadata").ok(),
        }
    }
}

/// The text of an empty list of rules, as on the command line.
const NO_RULES: &str = "none";

/// The initial parameters of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Init {
    /// Drawn from the seed.
    Drawn,
    /// Given values with this digest.
    From(Digest),
}

impl fmt::Display for Init {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Init::Drawn => f.write_str("drawn"),
            Init::From(digest) => digest.fmt(f),
        }
    }
}

impl Entry for Init {
    fn text(&self) -> String {
        self.to_string()
    }

    fn parse(text: &str) -> Option<Init> {
        if text == Init::Drawn.to_string() { Some(Init::Drawn) } else { Digest::parse(text).map(Init::From) }
    }
}

/// Enums that are stored by name.
macro_rules! choices {
    ($($(#[$doc:meta])* $ty:ident { $($(#[$of:meta])* $choice:ident = $name:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $ty {
            $($(#[$of])* $choice,)*
        }

        impl Entry for $ty {
            fn text(&self) -> String {
                match self { $($ty::$choice => $name.to_owned(),)* }
            }

            fn parse(text: &str) -> Option<$ty> {
                match text { $($name => Some($ty::$choice),)* _ => None }
            }
        }
    )*};
}

choices! {
    /// The code that computes time loops and spike products.
    Kernels {
        /// This library's kernels.
        Spiq = "kernels of spiq",
        /// XLA only.
        Xla = "XLA alone",
    }
    /// Precision of dot products and convolutions of f32, under JAX's names.
    MatmulPrecision {
        /// That of the device: f32 on CPUs, tf32 on NVIDIA cards, bf16 on TPUs.
        Default = "default",
        /// f32 on every device.
        Highest = "highest",
    }
    /// The meaning of a frame's elements.
    Elements {
        /// Number of events.
        Counts = "counts",
        /// Whether there is any event.
        Presence = "presence",
    }
    /// The handling of a training step with a non-finite number in its loss, a gradient, a parameter or a statistic.
    OnNan {
        /// The run stops, reports where the number originated, and keeps what was saved before.
        Stop = "stop",
        /// The step leaves parameters, statistics and the optimizer's state unchanged, and the run continues.
        Skip = "skip",
        /// The number is ignored.
        Continue = "continue",
    }
    /// The order of the samples in each epoch.
    Order {
        /// A different order in each epoch, drawn from the seed.
        Shuffled = "shuffled",
        /// The order in the file.
        File = "that of the file",
    }
}

/// Number of time steps in a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tile {
    /// All time steps.
    All,
    /// This number, fewer than all.
    Steps(usize),
}

impl Tile {
    /// The tile of a network for samples with this number of time steps.
    pub fn of(network: &Network, time_steps: usize) -> Tile {
        match network.time_tile() {
            Some(tile) if tile < time_steps => Tile::Steps(tile),
            _ => Tile::All,
        }
    }

    /// The tile in the form that a network takes.
    pub fn steps(self) -> Option<usize> {
        match self {
            Tile::All => None,
            Tile::Steps(steps) => Some(steps),
        }
    }
}

impl Entry for Tile {
    fn text(&self) -> String {
        self.steps().map_or_else(|| "all".to_owned(), |steps| steps.to_string())
    }

    fn parse(text: &str) -> Option<Tile> {
        if text == "all" { Some(Tile::All) } else { usize::parse(text).map(Tile::Steps) }
    }
}

/// The length of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// Passes over the training samples.
    Epochs(usize),
    /// Training steps.
    Steps(usize),
}

impl Entry for Length {
    fn text(&self) -> String {
        match self {
            Length::Epochs(epochs) => format!("{epochs} epochs"),
            Length::Steps(steps) => format!("{steps} steps"),
        }
    }

    fn parse(text: &str) -> Option<Length> {
        let (count, unit) = text.split_once(' ')?;
        match unit {
            "epochs" => usize::parse(count).map(Length::Epochs),
            "steps" => usize::parse(count).map(Length::Steps),
            _ => None,
        }
    }
}

/// A count of at least one, as accepted by flags.
impl Entry for usize {
    fn text(&self) -> String {
        self.to_string()
    }

    fn parse(text: &str) -> Option<usize> {
        text.parse().ok().filter(|count| (1..=LARGEST).contains(count))
    }
}

impl Entry for PathBuf {
    fn text(&self) -> String {
        self.display().to_string()
    }

    fn parse(text: &str) -> Option<PathBuf> {
        Some(text.into())
    }
}

/// Types whose `Display` output is their text.
macro_rules! displayed {
    ($($ty:ty: $parse:expr;)*) => {$(
        impl Entry for $ty {
            fn text(&self) -> String {
                self.to_string()
            }

            fn parse(text: &str) -> Option<$ty> {
                let parse: fn(&str) -> Option<$ty> = $parse;
                parse(text)
            }
        }
    )*};
}

displayed! {
    String: |text| Some(text.to_owned());
    i64: |text| text.parse().ok();
    u64: |text| text.parse().ok();
    f64: |text| text.parse().ok().filter(|number: &f64| number.is_finite());
    Numerics: Numerics::from_name;
    Gradients: Gradients::from_name;
    Precision: Precision::from_name;
    Coding: Coding::from_name;
    Augmentation: |text| Augmentation::parse(text).ok();
    Digest: Digest::parse;
}
