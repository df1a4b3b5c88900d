//! `model.toml`: a name, and layers with matching sizes, in a chain or in branches.

use std::path::Path;
use std::sync::Arc;

use spiq_events::nearest;
use toml::Value;
use toml::de::DeTable;

use super::open_sizes::filled;
use super::wires::{self, Wire};
use crate::error::{Error, Result};
use crate::fields::{Fields, Key, Source, names, read_text};
use crate::nn::{self, KINDS, Kind, Layer, Misfit, Sequential, Wiring, shown};

/// A network as plain data: layers in order, under a name that starts their parameters' paths. A layer reads the previous one, or those
/// named in its `inputs`.
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
/// assert_eq!(ModelConfig::parse(&model.to_toml(), "again")?.to_toml(), model.to_toml());
/// # Ok::<(), spiq::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ModelConfig {
    /// First part of each parameter's path, as in `core/layers/0/kernel`; `core` by default.
    pub name: String,
    /// The layers in order, at least one.
    pub layers: Vec<Arc<dyn Layer>>,
    /// The inputs of each layer.
    pub wiring: Wiring,
    /// The layers' names, where the file gives them.
    pub names: Vec<Option<String>>,
}

impl ModelConfig {
    /// A model in which each layer reads the previous one.
    pub fn chain(name: impl Into<String>, layers: Vec<Arc<dyn Layer>>) -> ModelConfig {
        let (wiring, names) = (Wiring::chain(layers.len()), vec![None; layers.len()]);
        ModelConfig { name: name.into(), layers, wiring, names }
    }

    /// Reads a model file.
    ///
    /// # Errors
    /// Of kind `File` when it cannot be read; of kind `Input`, with the line, for bad TOML, an unknown or missing key, a value of the wrong
    /// type, or neighbouring layers whose sizes do not match.
    pub fn load(path: &Path) -> Result<ModelConfig> {
        ModelConfig::parse(&read_text(path)?, &path.display().to_string())
    }

    /// Parses a file's text. `source` is the file's name in messages.
    ///
    /// # Errors
    /// Of kind `Input`, as [`ModelConfig::load`].
    pub fn parse(text: &str, source: &str) -> Result<ModelConfig> {
        let source = Source { name: source, text };
        let table = source.parse()?;
        let fields = Fields::new(source, &table, "the model", 0, &names(&KEYS))?;
        let name = fields.get("name")?.unwrap_or_else(|| NAME.to_owned());
        if name.is_empty() || name.contains('/') {
            return Err(fields.value_error("name", format!("is {name:?}, but must be one part of a path")));
        }
        let tables = fields.tables("layers")?;
        if tables.len() > MOST_LAYERS {
            return Err(fields.error(format!(
                "the model has {} layers, but at most {MOST_LAYERS} are supported, because larger programs take too long to compile",
                tables.len()
            )));
        }
        let layers: Result<Vec<(Arc<dyn Layer>, Wire)>> = (0..)
            .zip(&tables)
            .map(|(index, (table, span))| read(source, table, span.start, &path(&name, index)))
            .collect();
        let (layers, read): (Vec<Arc<dyn Layer>>, Vec<Wire>) = layers?.into_iter().unzip();
        let wiring = wires::wiring(&read, source, &tables, &name)?;
        let model = ModelConfig { name, layers, wiring, names: read.into_iter().map(|wire| wire.name).collect() };
        match model.known_input() {
            Ok(_) => Ok(model),
            Err(misfit) => Err(source.error(tables[misfit.place].1.start, model.describe(&misfit))),
        }
    }

    /// The text of a file for this model, with every default written out. A custom layer is written as its kind only.
    pub fn to_toml(&self) -> String {
        let text = |text: &str| Value::String(text.to_owned());
        let mut lines = vec![format!("name = {}", text(&self.name))];
        for (number, layer) in self.layers.iter().enumerate() {
            lines.push(format!("\n[[layers]]\ntype = {}", text(layer.kind())));
            lines.extend(wires::written(&self.wiring, &self.names, number));
            lines.extend(layer.arguments().into_iter().map(|(name, value)| format!("{name} = {value}")));
        }
        lines.join("\n") + "\n"
    }

    /// Size of the last axis of the first layer's input.
    pub fn inputs(&self) -> usize {
        self.input_shape().last().copied().unwrap_or_default()
    }

    /// Shape of a sample at one time step. Sizes that no layer determines are the smallest that all layers accept: the same on all axes if
    /// possible, else different ones.
    pub fn input_shape(&self) -> Vec<usize> {
        let open = self.known_input().unwrap_or_else(|_| self.first_takes());
        filled(&|shape| self.shapes(shape).is_ok(), &open)
            .unwrap_or_else(|| open.iter().map(|&known| known.max(1)).collect())
    }

    /// Size of the last axis of the last layer's output: for a classifier, the number of classes.
    pub fn outputs(&self) -> usize {
        let of = |input: &[usize]| {
            let shapes = self.shapes(input).unwrap_or_default();
            shapes.last().and_then(|shape| shape.last()).copied().unwrap_or_default()
        };
        // Most models end in a layer that determines it, whatever the sample's axes are.
        match self.known_input().map(|open| of(&open)) {
            Ok(named) if named > 0 => named,
            _ => of(&self.input_shape()),
        }
    }

    /// The shape of a sample as far as the layers determine it, with 0 for open sizes; or the first layer that does not accept its input.
    fn known_input(&self) -> std::result::Result<Vec<usize>, Misfit> {
        let last_axes = self.first_takes();
        // A first layer such as Linear accepts any leading axes; a later one may determine them.
        let attempts = (0..=AXES_BEFORE).map(|before| [vec![0; before], last_axes.clone()].concat());
        let mut farthest: Option<Misfit> = None;
        for shape in attempts {
            match self.shapes(&shape) {
                Ok(_) => return Ok(shape),
                Err(misfit) if farthest.as_ref().is_none_or(|far| far.place < misfit.place) => farthest = Some(misfit),
                Err(_) => {}
            }
        }
        Err(farthest.expect("one attempt at least"))
    }

    fn first_takes(&self) -> Vec<usize> {
        self.layers.first().map_or(Vec::new(), |layer| layer.takes())
    }

    /// The shape of one sample after each layer.
    fn shapes(&self, input: &[usize]) -> std::result::Result<Vec<Vec<usize>>, Misfit> {
        nn::shapes(&self.layers, &self.wiring, input)
    }

    fn describe(&self, misfit: &Misfit) -> String {
        let Misfit { place, reason, given, .. } = misfit;
        let layer = |place: usize| format!("{} ({})", path(&self.name, place), self.layers[place].kind());
        let known = given.iter().filter_map(|(source, shape)| match source {
            // The first layer's input is the model's input.
            nn::Source::Input if *place == 0 => None,
            nn::Source::Input => Some(format!("the model's input is {}", shown(shape))),
            nn::Source::Layer(from) => Some(format!("{} gives {}", layer(*from), shown(shape))),
        });
        let known: Vec<String> = known.collect();
        match known.is_empty() {
            true => format!("{} {reason}", layer(*place)),
            false => {
                let hint = misfit.hint(layer);
                format!("{} {reason}, but {}{hint}", layer(*place), known.join(" and "))
            }
        }
    }
}

impl From<&ModelConfig> for Sequential {
    fn from(config: &ModelConfig) -> Sequential {
        Sequential::shared(&config.name, config.layers.clone(), config.wiring.clone())
    }
}

/// The keys of a model.
pub(super) const KEYS: [Key; 2] = [
    Key::optional::<String>("name", &["First part of each parameter's path, as in `core/layers/0/kernel`."], || {
        Some(Value::String(NAME.to_owned()))
    }),
    Key { kind: "tables", ..Key::required::<String>("layers", &["The layers in order, each a [[layers]] table."]) },
];

/// The name of a model without one.
const NAME: &str = "core";

/// The key that selects the kind of a layer.
const TYPE: Key = Key::required::<String>("type", &["Selects the kind of layer."]);

/// All keys of a layer of this kind, in the order of messages.
pub(super) fn layer_keys(kind: &Kind) -> Vec<Key> {
    [&[TYPE][..], kind.keys, &wires::KEYS].concat()
}

/// Maximum number of layers. Reading time grows faster than linearly with it, and compile time much faster.
const MOST_LAYERS: usize = 10_000;

/// Maximum number of leading axes, before those of the first layer, that a later layer may determine.
const AXES_BEFORE: usize = 3;

/// The path of a layer, as in rules, parameters and reports.
pub(super) fn path(model: &str, layer: usize) -> String {
    format!("{model}/layers/{layer}")
}

/// Reads the layer in a table at `place`, and its inputs; `path` names it in messages.
fn read<'a>(source: Source<'a>, table: &'a DeTable<'a>, place: usize, path: &str) -> Result<(Arc<dyn Layer>, Wire)> {
    let any = Fields::any(source, table, path, place);
    let Some(name) = any.get::<String>("type")? else { return Err(without_type(&any)) };
    let what = format!("{path} ({name})");
    match KINDS.iter().find(|kind| kind.name == name) {
        Some(kind) => {
            let fields = Fields::new(source, table, what, place, &names(&layer_keys(kind)))?;
            Ok(((kind.read)(&fields)?, Wire::read(&fields)?))
        }
        None => Err(any.value_error("type", format!("is \"{name}\", {}", known_kinds(&name)))),
    }
}

/// What a layer's type may be; the nearest one, where there is one.
fn known_kinds(name: &str) -> String {
    let known = KINDS.iter().map(|kind| kind.name);
    match nearest(name, known.clone()) {
        Some(best) => format!("which is not a layer; did you mean \"{best}\"?"),
        None => format!("but must be one of {}", known.collect::<Vec<_>>().join(", ")),
    }
}

/// The error of a layer whose type is missing, or misspelt.
fn without_type(fields: &Fields<'_>) -> Error {
    let what = fields.what();
    let misspelt = fields.keys().find(|key| nearest(key, ["type"]).is_some());
    fields.error(match misspelt {
        Some(key) => format!("unknown key `{key}` in {what}; did you mean `type`?"),
        None => format!("{what} lacks the key `type`; name its kind, such as type = \"Linear\""),
    })
}
