//! Loss terms that keep spike rates near their targets, by name.

use std::collections::BTreeMap;

use spiq_hlo::Tensor;

use super::activity::{silence_reg, sparsity_reg};
use crate::by_path::PathPattern;
use crate::choice::{Arguments, Choice, NOT_NEGATIVE, chosen};
use crate::error::{Error, Result};

/// The penalty on a layer's spike counts [B, …] over this many steps.
type Charge = fn(&Tensor, target: f64, steps: f64) -> Tensor;

/// A term of a loss, computed from the spikes of some layers.
#[derive(Clone, Debug)]
pub struct Regularizer {
    text: String,
    charge: Charge,
    target: f64,
    weight: f64,
    layers: Option<PathPattern>,
}

/// Makes a regularizer from its arguments: charge, target and weight.
pub type MakeRegularizer = fn(&mut Arguments) -> Result<(Charge, f64, f64)>;

/// The regularizers by name. Each also takes `path`, a pattern for the layers' paths; without it, it applies to all layers that
/// fire.
pub const REGULARIZERS: &[Choice<MakeRegularizer>] = &[
    Choice {
        name: "silence",
        about: "for neurons that fire fewer than min spikes per step: the squared shortfall in spikes per sample, summed over \
                neurons (min, weight = 0.001, path)",
        make: |a| {
            let charge: Charge = |counts, min, steps| silence_reg(counts, min * steps);
            Ok((charge, a.required("min", NOT_NEGATIVE)?, a.number("weight", 1e-3, NOT_NEGATIVE)?))
        },
    },
    Choice {
        name: "sparsity",
        about: "for samples in which a layer's neurons fire more than max spikes per step on average: the Huber loss of the \
                excess, summed over samples (max, weight = 0.001, path)",
        make: |a| {
            let charge: Charge = |counts, max, steps| sparsity_reg(counts, max * steps);
            Ok((charge, a.required("max", NOT_NEGATIVE)?, a.number("weight", 1e-3, NOT_NEGATIVE)?))
        },
    },
    Choice {
        name: "rate",
        about: "for a layer's mean rate: its squared distance from target spikes per neuron and step (target, weight = 1, path)",
        make: |a| Ok((rate as Charge, a.required("target", NOT_NEGATIVE)?, a.number("weight", 1.0, NOT_NEGATIVE)?)),
    },
];

fn rate(counts: &Tensor, target: f64, steps: f64) -> Tensor {
    let off = counts.mean() / steps - target;
    &off * &off
}

impl Regularizer {
    /// Parses a list of regularizers: `silence(min = 0.05), sparsity(max = 0.2, path = "core/layers/1")`.
    ///
    /// # Errors
    /// Of kind `Input`: an unknown name or argument.
    ///
    /// ```
    /// use spiq::nn::Regularizer;
    /// let two = Regularizer::parse("silence(min=0.05), rate(target=0.1, path='layers/[13]')")?;
    /// assert_eq!(two[1].text(), "rate(target = 0.1, path = \"layers/[13]\")");
    /// # Ok::<(), spiq::Error>(())
    /// ```
    pub fn parse(text: &str) -> Result<Vec<Regularizer>> {
        let all = chosen("regularizer", REGULARIZERS, text)?.into_iter().map(|(row, mut arguments)| {
            let (charge, target, weight) = (row.make)(&mut arguments)?;
            let layers = arguments.text("path")?.map(|path| PathPattern::new(&path)).transpose();
            Ok(Regularizer { layers: layers.map_err(Error::input)?, text: arguments.finish()?, charge, target, weight })
        });
        let all = all.collect::<Result<Vec<_>>>()?;
        match all.is_empty() {
            true => {
                Err(Error::input(format!("`{text}` names no regularizer: write silence(min = …), sparsity(max = …)")))
            }
            false => Ok(all),
        }
    }

    /// The text that parses to this regularizer.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it applies to the layer at this path.
    pub fn is_of(&self, layer: &str) -> bool {
        self.layers.as_ref().is_none_or(|pattern| pattern.matches(layer))
    }

    /// Its term, given the spikes of each layer summed over time, [B, …], by path; `None` if it applies to none of them.
    ///
    /// For `silence` and `sparsity` it is [`silence_reg`] and [`sparsity_reg`] with the target times the number of steps,
    /// multiplied by the weight.
    #[track_caller]
    pub fn term(&self, counts: &BTreeMap<String, Tensor>, steps: usize) -> Option<Tensor> {
        let own = counts.iter().filter(|(path, _)| self.is_of(path));
        let charges = own.map(|(_, counts)| (self.charge)(counts, self.target, steps as f64));
        charges.reduce(|a, b| a + b).map(|sum| self.weight * sum)
    }
}
