//! The layers of `model.toml`: their types, arguments and defaults, as in flax and Spyx. Knows no formula.

use serde::Serialize;
use toml::de::DeTable;

use super::activation::{self, ActivationConfig};
use super::fields::{Fields, LARGEST, Source};
use crate::error::Result;

/// One layer, with the arguments of flax's or Spyx's layer of that name.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type")]
pub enum LayerConfig {
    /// A matrix product over the last axis: `flax.nnx.Linear`.
    Linear {
        /// Size of the last axis of what comes in.
        in_features: usize,
        /// Size of the last axis of what goes out.
        out_features: usize,
        /// Whether a vector is added; true by default.
        use_bias: bool,
    },
    /// Leaky integrate-and-fire neurons: `spyx.nn.LIF`.
    #[serde(rename = "LIF")]
    Lif {
        /// Shape of the layer.
        hidden_shape: Vec<usize>,
        /// Decay of the membrane per time step, one for all neurons; without it one for each, drawn around 0.5.
        #[serde(skip_serializing_if = "Option::is_none")]
        beta: Option<f64>,
        /// Potential above which a neuron spikes; 1 by default.
        threshold: f64,
        /// Surrogate gradient of the spike.
        activation: ActivationConfig,
    },
    /// Integrate-and-fire neurons, which do not leak: `spyx.nn.IF`.
    #[serde(rename = "IF")]
    If {
        /// Shape of the layer.
        hidden_shape: Vec<usize>,
        /// Potential above which a neuron spikes; 1 by default.
        threshold: f64,
        /// Surrogate gradient of the spike.
        activation: ActivationConfig,
    },
    /// Leaky integrators, which do not spike: `spyx.nn.LI`, the readout.
    #[serde(rename = "LI")]
    Li {
        /// Shape of the layer.
        layer_shape: Vec<usize>,
        /// Decay of the membrane per time step, one for all neurons; without it one for each, 0.8 at first.
        #[serde(skip_serializing_if = "Option::is_none")]
        beta: Option<f64>,
    },
}

const TYPES: [&str; 4] = ["Linear", "LIF", "IF", "LI"];
const EVERY_KEY: [&str; 9] = [
    "type",
    "in_features",
    "out_features",
    "use_bias",
    "hidden_shape",
    "beta",
    "threshold",
    "activation",
    "layer_shape",
];

impl LayerConfig {
    /// The layer's `type` in a file.
    pub fn type_name(&self) -> &'static str {
        match self {
            LayerConfig::Linear { .. } => "Linear",
            LayerConfig::Lif { .. } => "LIF",
            LayerConfig::If { .. } => "IF",
            LayerConfig::Li { .. } => "LI",
        }
    }

    /// Shape of a neuron layer; `None` for one that takes any shape with the right last axis.
    pub(super) fn shape(&self) -> Option<&[usize]> {
        match self {
            LayerConfig::Linear { .. } => None,
            LayerConfig::Lif { hidden_shape, .. } | LayerConfig::If { hidden_shape, .. } => Some(hidden_shape),
            LayerConfig::Li { layer_shape, .. } => Some(layer_shape),
        }
    }

    /// Sizes of the last axis of what goes in and of what comes out.
    pub(super) fn last_axis(&self) -> (usize, usize) {
        match self {
            LayerConfig::Linear { in_features, out_features, .. } => (*in_features, *out_features),
            _ => self.shape().and_then(<[usize]>::last).map_or((1, 1), |last| (*last, *last)),
        }
    }
}

/// The layer in a table at `place`; `number` counts from 1.
pub(super) fn read<'a>(source: Source<'a>, table: &'a DeTable<'a>, place: usize, number: usize) -> Result<LayerConfig> {
    let name: String = Fields::new(source, table, format!("layer {number}"), place, &EVERY_KEY)?.require("type")?;
    let what = format!("layer {number} ({name})");
    let known = |keys: &[&str]| Fields::new(source, table, what.clone(), place, keys);
    match name.as_str() {
        "Linear" => linear(&known(&["type", "in_features", "out_features", "use_bias"])?),
        "LIF" => lif(source, &known(&["type", "hidden_shape", "beta", "threshold", "activation"])?, &what),
        "IF" => integrate_and_fire(source, &known(&["type", "hidden_shape", "threshold", "activation"])?, &what),
        "LI" => {
            let fields = known(&["type", "layer_shape", "beta"])?;
            Ok(LayerConfig::Li { layer_shape: fields.require("layer_shape")?, beta: fields.get("beta")? })
        }
        _ => {
            let message = format!("is \"{name}\", but must be one of {}", TYPES.join(", "));
            Err(known(&EVERY_KEY)?.value_error("type", message))
        }
    }
}

fn linear(fields: &Fields<'_>) -> Result<LayerConfig> {
    let (in_features, out_features): (usize, usize) = (fields.require("in_features")?, fields.require("out_features")?);
    if in_features * out_features > LARGEST {
        return Err(fields.value_error("out_features", format!("gives a kernel of more than {LARGEST} elements")));
    }
    Ok(LayerConfig::Linear { in_features, out_features, use_bias: fields.get("use_bias")?.unwrap_or(true) })
}

fn lif<'a>(source: Source<'a>, fields: &Fields<'a>, what: &str) -> Result<LayerConfig> {
    Ok(LayerConfig::Lif {
        hidden_shape: fields.require("hidden_shape")?,
        beta: fields.get("beta")?,
        threshold: fields.get("threshold")?.unwrap_or(1.0),
        activation: spike(source, fields, what)?,
    })
}

fn integrate_and_fire<'a>(source: Source<'a>, fields: &Fields<'a>, what: &str) -> Result<LayerConfig> {
    Ok(LayerConfig::If {
        hidden_shape: fields.require("hidden_shape")?,
        threshold: fields.get("threshold")?.unwrap_or(1.0),
        activation: spike(source, fields, what)?,
    })
}

fn spike<'a>(source: Source<'a>, fields: &Fields<'a>, what: &str) -> Result<ActivationConfig> {
    match fields.table("activation")? {
        Some((table, place)) => activation::read(source, table, place, what),
        None => Ok(ActivationConfig::default()),
    }
}
