//! `model.toml`: a name and a chain of layers whose sizes fit. Knows nothing of what a layer computes.

use std::path::Path;

use serde::Serialize;

use super::fields::{Fields, Source, read_text};
use super::layer::{self, LayerConfig};
use crate::error::Result;

/// A network as plain data: layers one after the other, under a name that starts the paths of their parameters.
///
/// ```
/// use spiq::config::ModelConfig;
/// let text = r#"
/// name = "core"
/// [[layers]]
/// type = "Linear"
/// in_features = 64
/// out_features = 10
/// [[layers]]
/// type = "LI"
/// layer_shape = [10]
/// "#;
/// let model = ModelConfig::parse(text, "model.toml")?;
/// assert_eq!((model.inputs(), model.outputs()), (64, 10));
/// assert_eq!(ModelConfig::parse(&model.to_toml(), "again")?, model);
/// # Ok::<(), spiq::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelConfig {
    /// First part of each parameter's path, as in `core/layers/0/kernel`; `core` where a file gives none.
    pub name: String,
    /// The layers in order, at least one.
    pub layers: Vec<LayerConfig>,
}

impl ModelConfig {
    /// Reads a file.
    ///
    /// # Errors
    /// Of kind `File` when it cannot be read; of kind `Input`, with the line, for bad TOML, an unknown or missing key, a
    /// value of the wrong type, or neighbouring layers whose sizes differ.
    pub fn load(path: &Path) -> Result<ModelConfig> {
        ModelConfig::parse(&read_text(path)?, &path.display().to_string())
    }

    /// Reads a file's text. `source` names it in messages.
    ///
    /// # Errors
    /// Of kind `Input`, as [`ModelConfig::load`].
    pub fn parse(text: &str, source: &str) -> Result<ModelConfig> {
        let source = Source { name: source, text };
        let table = source.parse()?;
        let fields = Fields::new(source, &table, "the model", 0, &["name", "layers"])?;
        let name = fields.get("name")?.unwrap_or_else(|| "core".to_owned());
        if name.is_empty() || name.contains('/') {
            return Err(fields.value_error("name", format!("is {name:?}, but must be one part of a path")));
        }
        let tables = fields.tables("layers")?;
        let layers: Result<Vec<LayerConfig>> =
            (1..).zip(&tables).map(|(number, (table, span))| layer::read(source, table, span.start, number)).collect();
        let model = ModelConfig { name, layers: layers? };
        match misfit(&model.layers) {
            None => Ok(model),
            Some((place, message)) => Err(source.error(tables[place].1.start, message)),
        }
    }

    /// The text of a file that gives this model, every default written out.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("strings, numbers and tables")
    }

    /// Size of the last axis of the first layer's input.
    pub fn inputs(&self) -> usize {
        self.layers.first().map_or(0, |layer| layer.last_axis().0)
    }

    /// Shape of a sample at one time step. Where no neuron layer names the axes before the last one, there are none.
    pub fn input_shape(&self) -> Vec<usize> {
        let mut shape = self.layers.iter().find_map(LayerConfig::shape).map_or(vec![1], <[usize]>::to_vec);
        if let Some(last) = shape.last_mut() {
            *last = self.inputs();
        }
        shape
    }

    /// Size of the last axis of the last layer's output: for a classifier, the number of classes.
    pub fn outputs(&self) -> usize {
        self.layers.last().map_or(0, |layer| layer.last_axis().1)
    }
}

/// The first layer that does not take what the one before it gives, and how to say so.
fn misfit(layers: &[LayerConfig]) -> Option<(usize, String)> {
    // A linear layer changes the last axis only; the axes before it are known once a neuron layer has named them.
    let mut known: Option<Vec<usize>> = None;
    for (place, pair) in layers.windows(2).enumerate() {
        let (before, after) = (&pair[0], &pair[1]);
        let (given, wanted) = (before.last_axis().1, after.last_axis().0);
        known = match (before.shape(), known) {
            (Some(shape), _) => Some(shape.to_vec()),
            (None, Some(mut shape)) => {
                *shape.last_mut()? = given;
                Some(shape)
            }
            (None, None) => None,
        };
        let fits = match (after.shape(), &known) {
            (Some(shape), Some(known)) => shape == known.as_slice(),
            _ => given == wanted,
        };
        if !fits {
            let gives = known.map_or_else(|| given.to_string(), |shape| format!("{shape:?}"));
            let takes = after.shape().map_or_else(|| wanted.to_string(), |shape| format!("{shape:?}"));
            let message = format!(
                "layer {} ({}) takes {takes}, but layer {} ({}) gives {gives}",
                place + 2,
                after.type_name(),
                place + 1,
                before.type_name()
            );
            return Some((place + 1, message));
        }
    }
    None
}
