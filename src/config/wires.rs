//! Reads and writes `name` and `inputs` of a file's layers: which layer reads which.

use toml::Spanned;
use toml::de::DeTable;

use super::model::path;
use crate::error::Result;
use crate::fields::{Fields, Key, Source as Text, nearest};
use crate::nn::{Source, Wiring};

/// The keys for the wiring of a layer, for any type.
pub(super) const KEYS: [Key; 2] = [
    Key::optional::<String>("name", &["Name that other layers use for it in `inputs`."], || None),
    Key::optional::<Vec<String>>(
        "inputs",
        &["Names of the layers that it reads, or \"input\"; the previous layer if absent."],
        || None,
    ),
];

/// The name of the model's input in `inputs`.
const INPUT: &str = "input";

/// The wiring of one layer in a file.
pub(super) struct Wire {
    /// The name that other layers use for it, if any.
    pub name: Option<String>,
    /// What it reads; the previous layer if not given.
    inputs: Option<Vec<String>>,
}

impl Wire {
    /// Reads the wiring of the layer in a table with these fields.
    ///
    /// # Errors
    /// Of kind `Input`: a value of the wrong type, an empty list, a reserved name.
    pub fn read(fields: &Fields<'_>) -> Result<Wire> {
        let (name, inputs) = (fields.get::<String>("name")?, fields.get::<Vec<String>>("inputs")?);
        if let Some(name) = name.as_deref().filter(|name| name.is_empty() || *name == INPUT) {
            let reason = format!("is {name:?}, but must be another name; {INPUT:?} refers to the model's input");
            return Err(fields.value_error("name", reason));
        }
        if inputs.as_ref().is_some_and(Vec::is_empty) {
            return Err(fields.value_error("inputs", "is empty; name the layers that it reads, or remove it"));
        }
        Ok(Wire { name, inputs })
    }
}

/// The wiring of all layers.
///
/// # Errors
/// Of kind `Input`: a duplicate or unknown name; a layer whose output is not read.
pub(super) fn wiring(
    wires: &[Wire],
    source: Text<'_>,
    tables: &[(&DeTable<'_>, std::ops::Range<usize>)],
    model: &str,
) -> Result<Wiring> {
    let error = |layer: usize, key: &str, message: String| {
        let (table, span) = &tables[layer];
        let place = table.get(key).map_or(span.start, |value: &Spanned<_>| value.span().start);
        source.error(place, format!("{}: {message}", path(model, layer)))
    };
    let named = |name: &str| wires.iter().position(|wire| wire.name.as_deref() == Some(name));
    let mut wiring = Wiring::chain(wires.len());
    for (layer, wire) in wires.iter().enumerate() {
        if let Some(first) = wire.name.as_deref().and_then(named).filter(|first| *first < layer) {
            let name = wire.name.as_deref().unwrap_or_default();
            return Err(error(layer, "name", format!("{} is already called {name:?}", path(model, first))));
        }
        let Some(inputs) = &wire.inputs else { continue };
        let mut sources = Vec::new();
        for input in inputs {
            let known = wires.iter().filter_map(|wire| wire.name.as_deref()).chain([INPUT]);
            sources.push(match named(input) {
                _ if input == INPUT => Source::Input,
                Some(layer) => Source::Layer(layer),
                None => {
                    let hint = nearest(input, known).map_or(String::new(), |near| format!("; did you mean {near:?}?"));
                    let message = format!("`inputs` names {input:?}, but no layer has that `name`{hint}");
                    return Err(error(layer, "inputs", message));
                }
            });
        }
        wiring = wiring.with_inputs(layer, sources);
    }
    match wiring.unread() {
        Some(layer) => {
            let message = "no layer reads its output; name it in the `inputs` of one that should, or remove it";
            Err(error(layer, "type", message.to_owned()))
        }
        None => Ok(wiring),
    }
}

/// The lines of a file for a layer's wiring, if it does not simply read the previous layer.
pub(super) fn written(wiring: &Wiring, names: &[Option<String>], layer: usize) -> Vec<String> {
    let name = |layer: usize| names.get(layer).cloned().flatten().unwrap_or_else(|| own_name(names, layer));
    let quoted = |text: String| toml::Value::String(text).to_string();
    let inputs = wiring.inputs(layer);
    let read = |source: &Source| match source {
        Source::Input => quoted(INPUT.to_owned()),
        Source::Layer(at) => quoted(name(*at)),
    };
    let is_read_by_name = (0..names.len()).any(|other| {
        wiring.inputs(other) != [Wiring::before(other)] && wiring.inputs(other).contains(&Source::Layer(layer))
    });
    let own = (is_read_by_name || names.get(layer).is_some_and(Option::is_some))
        .then(|| format!("name = {}", quoted(name(layer))));
    let list = inputs.iter().map(read).collect::<Vec<_>>().join(", ");
    let inputs = (inputs != [Wiring::before(layer)]).then(|| format!("inputs = [{list}]"));
    own.into_iter().chain(inputs).collect()
}

/// A unique name for a layer without one.
fn own_name(names: &[Option<String>], layer: usize) -> String {
    let mut name = format!("layer{layer}");
    while names.iter().flatten().any(|other| *other == name) {
        name += "_";
    }
    name
}
