//! Defaults for flags, from the training metadata of a parameter file.

use std::collections::BTreeMap;
use std::path::Path;

use spiq::config::ModelConfig;
use spiq::network::Network;
use spiq::provenance::{Provenance, Tile};
use spiq::quant::{Rules, linear_only_rules};
use spiq::{Error, Result};

use super::choice::Numerics;
use super::screen;

/// The training metadata of a parameter file.
pub struct Trained {
    /// The settings it records.
    pub provenance: Provenance,
    /// The file's name, for messages.
    pub source: String,
}

impl Trained {
    /// Reads the metadata of the file `source`.
    ///
    /// # Errors
    /// As [`Provenance::read`].
    pub fn read(metadata: &BTreeMap<String, String>, source: String) -> Result<Trained> {
        Ok(Trained { provenance: Provenance::read(metadata, &source)?, source })
    }

    /// The network that these flags select; open settings are those of its training.
    ///
    /// # Errors
    /// Of kind `Input` or `File`: no model given or recorded, or unusable files.
    pub fn network(&self, model: Option<&Path>, rules: Option<&Path>, numerics: Option<Numerics>) -> Result<Network> {
        let Trained { provenance, source } = self;
        let model = match (model, &provenance.model) {
            (Some(path), _) => ModelConfig::load(path)?,
            (None, Some(text)) => text.model(&format!("the model in {source}"))?,
            (None, None) => {
                return Err(Error::input(format!("{source} does not record its model; give one with --model")));
            }
        };
        note_many_layers(&model);
        let rules = match rules {
            Some(path) => named_rules(path)?,
            None => provenance.rules.clone().unwrap_or_default(),
        };
        let numerics = numerics.map(Into::into).or(provenance.numerics).unwrap_or_default();
        let tile = provenance.time_tile.and_then(Tile::steps);
        let network = Network::with_rules(model, rules).with_numerics(numerics).with_time_tile(tile);
        let network = network.with_gradients(provenance.grad_dtype.unwrap_or_default());
        Ok(network.with_precision(provenance.precision.unwrap_or_default()))
    }

    /// Prints how `now` differs from the training, and which entries named in `open` the file does not record.
    pub fn note(&self, now: &Provenance, open: &[&str]) {
        let Trained { provenance, source } = self;
        let differences = provenance.differences(now);
        for difference in differences.iter().filter(|difference| difference.decides_outputs()) {
            screen::note(&format!("note: {source} was trained with {difference}"));
        }
        let missing: Vec<&str> = provenance.missing(now).into_iter().filter(|name| open.contains(name)).collect();
        if !missing.is_empty() {
            screen::note(&format!("note: {source} does not record its {}; using defaults", missing.join(", ")));
        }
    }
}

/// Layers from which on compiling takes minutes: 500 take half a minute, 2,000 some minutes.
const MANY_LAYERS: usize = 500;

/// Prints, before anything is traced, that compiling a model takes long.
pub fn note_many_layers(model: &ModelConfig) {
    let count = model.layers.len();
    if count >= MANY_LAYERS {
        screen::note_once(&format!(
            "note: the model has {count} layers, and its programs take minutes to compile; Ctrl-C stops it, and SPIQ_COMPILE_SECONDS limits it"
        ));
    }
}

/// The network, after notes about rules without effect: see [`Network::with_matched_rules`].
///
/// # Errors
/// Of kind `Input`: the model cannot be traced.
pub fn with_matched_rules(network: Network, allow_unmatched: bool) -> Result<Network> {
    // A single rule without effect is refused, as a mistake.
    if network.rules().len() < 2 {
        return Ok(network);
    }
    let (network, notes) = network.with_matched_rules(allow_unmatched)?;
    notes.iter().for_each(|note| screen::note_once(note));
    Ok(network)
}

/// The rules of a file; `none` for no rules; `int8` or `int4,int8` for the types of all weights and activations.
///
/// # Errors
/// As [`Rules::load`].
pub fn named_rules(path: &Path) -> Result<Rules> {
    if path == Path::new("none") {
        return Ok(Rules::default());
    }
    let text = path.to_str().filter(|_| !path.exists()).unwrap_or_default();
    let (weights, activations) = text.split_once(',').unwrap_or((text, text));
    match Rules::new(&linear_only_rules(weights.trim(), activations.trim())) {
        Ok(rules) => Ok(rules),
        Err(error) if !text.is_empty() && path.extension().is_none() => {
            Err(Error::input(format!("--rules {text} is no file and no type of weights and activations: {error}")))
        }
        Err(_) => Rules::load(path),
    }
}

/// The label of an accuracy, with the arithmetic it was measured in.
pub fn accuracy_of(what: &str, network: &Network) -> String {
    format!("{what}, {}", if network.rules().is_empty() { "full precision" } else { "quantized" })
}

/// A fraction as a percentage.
pub fn percent(part: f32) -> String {
    format!("{:.2} %", 100.0 * part)
}
