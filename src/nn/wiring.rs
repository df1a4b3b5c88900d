//! The inputs of each layer of a model, and the grouping of layers for a run over time.

use std::ops::Range;
use std::sync::Arc;

use super::KINDS;
use super::arguments::check_numbers;
use super::layer::Layer;

/// The source of a layer's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The model's input.
    Input,
    /// The output of the layer at this index, from 0.
    Layer(usize),
}

/// The inputs of each layer, in the order of the layers.
///
/// Layers are computed in order, so a layer reads the model's input and earlier layers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wiring(Vec<Vec<Source>>);

/// Layers that are computed together in a run over time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Group {
    /// One loop over time, whose step computes all of these.
    Steps(Range<usize>),
    /// A layer that processes all time steps at once.
    Whole(usize),
}

impl Wiring {
    /// A chain of this many layers, each of which reads the one before it.
    pub fn chain(layers: usize) -> Wiring {
        Wiring((0..layers).map(|layer| vec![Wiring::before(layer)]).collect())
    }

    /// The input of a layer that names none.
    pub(crate) fn before(layer: usize) -> Source {
        layer.checked_sub(1).map_or(Source::Input, Source::Layer)
    }

    /// The same wiring with these inputs of a layer; unchanged if there is no such layer.
    #[must_use]
    pub fn with_inputs(mut self, layer: usize, inputs: impl IntoIterator<Item = Source>) -> Wiring {
        if let Some(own) = self.0.get_mut(layer) {
            *own = inputs.into_iter().collect();
        }
        self
    }

    /// The inputs of a layer, in order.
    pub fn inputs(&self, layer: usize) -> &[Source] {
        self.0.get(layer).map_or(&[], Vec::as_slice)
    }

    /// The first layer that reads itself or a later layer.
    pub(crate) fn misplaced(&self) -> Option<usize> {
        let late = |layer: usize| self.inputs(layer).iter().any(|source| *source >= Source::Layer(layer));
        (0..self.0.len()).find(|&layer| late(layer))
    }

    /// The first layer, other than the last, whose output no layer reads.
    pub(crate) fn unread(&self) -> Option<usize> {
        let last = self.0.len().saturating_sub(1);
        (0..last).find(|&layer| !self.0.iter().flatten().any(|source| *source == Source::Layer(layer)))
    }

    /// The sources that these layers read from outside, each once.
    pub(super) fn read_by(&self, layers: &Range<usize>) -> Vec<Source> {
        let inside = |source: &Source| matches!(source, Source::Layer(at) if layers.contains(at));
        let all = layers.clone().flat_map(|layer| self.inputs(layer)).copied();
        let mut read: Vec<Source> = all.filter(|source| !inside(source)).collect();
        read.sort_unstable();
        read.dedup();
        read
    }

    /// Those of these layers that are read after them; the last layer of all is the model's output.
    pub(super) fn read_after(&self, layers: &Range<usize>) -> Vec<usize> {
        let later = self.0.iter().skip(layers.end);
        let read = |layer: &usize| later.clone().flatten().any(|source| *source == Source::Layer(*layer));
        layers.clone().filter(|layer| layer + 1 == self.0.len() || read(layer)).collect()
    }

    /// The layers in groups that run one after the other: each layer that spans time alone, consecutive others together.
    pub(super) fn groups(&self, layers: &[Arc<dyn Layer>]) -> Vec<Group> {
        let mut groups = Vec::new();
        for (at, layer) in layers.iter().enumerate() {
            match groups.last_mut() {
                _ if layer.spans_time() => groups.push(Group::Whole(at)),
                Some(Group::Steps(range)) => range.end = at + 1,
                _ => groups.push(Group::Steps(at..at + 1)),
            }
        }
        groups
    }
}

/// The first layer that does not accept its input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Misfit {
    /// The index of the layer, from 0.
    pub place: usize,
    /// What it requires instead.
    pub reason: String,
    /// Its inputs and their shapes; empty if they are not known.
    pub given: Vec<(Source, Vec<usize>)>,
    /// A layer before it whose default strides determine these shapes.
    pub strides: Option<usize>,
}

impl Misfit {
    /// A likely cause, as the end of a sentence; `layer` names a layer.
    pub fn hint(&self, layer: impl Fn(usize) -> String) -> String {
        self.strides.map_or_else(String::new, |place| format!("; {} has strides = [1], the default", layer(place)))
    }

    /// The shapes of its inputs: `[64] and [32]`.
    pub fn shapes(&self) -> String {
        self.given.iter().map(|(_, shape)| shown(shape)).collect::<Vec<_>>().join(" and ")
    }
}

/// The shape of one sample after each layer; sizes of 0 are not known yet.
pub(crate) fn shapes(layers: &[Arc<dyn Layer>], wiring: &Wiring, input: &[usize]) -> Result<Vec<Vec<usize>>, Misfit> {
    let mut all: Vec<Vec<usize>> = Vec::new();
    for (place, layer) in layers.iter().enumerate() {
        let shape = |source: &Source| match source {
            Source::Input => (*source, input.to_vec()),
            Source::Layer(at) => (*source, all.get(*at).cloned().unwrap_or_default()),
        };
        if wiring.misplaced() == Some(place) {
            let reason = match wiring.inputs(place).contains(&Source::Layer(place)) {
                true => "reads its own output; a layer reads what comes before it",
                false => "reads a layer that comes after it; move it after all layers that it reads",
            };
            return Err(Misfit { place, reason: reason.to_owned(), given: Vec::new(), strides: None });
        }
        let given: Vec<(Source, Vec<usize>)> = wiring.inputs(place).iter().map(shape).collect();
        let usable = check_numbers(layer.as_ref())
            .and_then(|()| layer.check())
            .map_err(|(argument, reason)| format!("has a `{argument}` that {reason}"));
        let inputs: Vec<Vec<usize>> = given.iter().map(|(_, shape)| shape.clone()).collect();
        match usable.and_then(|()| layer.output_of(&inputs)) {
            Ok(shape) => all.push(shape),
            Err(reason) => {
                let strides = default_strides(layers, wiring, place, &all, input);
                return Err(Misfit { place, reason, given, strides });
            }
        }
    }
    Ok(all)
}

/// The layer with a window whose default strides determine the size of what the layer at `place` reads: the nearest one before it, if the
/// layers between them accept any size. Features are not a matter of strides.
fn default_strides(
    layers: &[Arc<dyn Layer>],
    wiring: &Wiring,
    place: usize,
    shapes: &[Vec<usize>],
    input: &[usize],
) -> Option<usize> {
    let before = |place: usize| match wiring.inputs(place) {
        [Source::Layer(before)] if *before < place => Some(*before),
        _ => None,
    };
    let (takes, given) = (layers[place].takes(), shapes.get(before(place)?)?);
    let is_flat = given.len() == 1;
    let is_of_this_rank = takes.len() == given.len() && takes.last() == given.last() && !takes.contains(&0);
    if !is_flat && !is_of_this_rank {
        return None;
    }
    let mut at = before(place)?;
    while !has_default_strides(layers[at].as_ref()) {
        // A layer that fixes the sizes of its input would have refused other strides.
        let source = before(at);
        let mut other = source.map_or(input, |source| shapes[source].as_slice()).to_vec();
        *other.first_mut()? += 1;
        layers[at].output(&other).ok()?;
        at = source?;
    }
    Some(at)
}

/// Whether a layer has strides and they are the default.
fn has_default_strides(layer: &dyn Layer) -> bool {
    let default = KINDS.iter().find(|kind| kind.name == layer.kind()).and_then(|kind| {
        let key = kind.keys.iter().find(|key| key.name == "strides")?;
        key.default_value()
    });
    default.is_some_and(|default| layer.arguments().contains(&("strides", default)))
}

/// A shape as messages show it: `[?, ?, 3]`.
pub(crate) fn shown(shape: &[usize]) -> String {
    let sizes: Vec<String> =
        shape.iter().map(|size| if *size == 0 { "?".to_owned() } else { size.to_string() }).collect();
    format!("[{}]", sizes.join(", "))
}
