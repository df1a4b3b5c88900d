//! Layers one after the other. Knows nothing of what they compute.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use spiq_hlo::{Array, DType, Tensor, TensorType};

use super::arguments::check_numbers;
use super::layer::{Layer, Synapses};
use super::parameter::{Parameter, State};
use super::step::Step;
use crate::random::Rngs;

/// Layers one after the other, each fed with the output of the one before, at each time step.
///
/// The layer `i` of a model called `core` has its parameters under `core/layers/i`. A `Sequential` is a layer itself; its
/// name counts where it is the whole model. Source: `spyx.nn.Sequential`.
///
/// ```
/// use spiq::nn::{Lif, Linear, Sequential};
/// use spiq::random::Rngs;
/// let model = Sequential::new("core", [Linear::new(32, 64).without_bias().into(), Lif::new([64]).into()]);
/// let params = model.init(&mut Rngs::new(0));
/// assert_eq!(params.keys().collect::<Vec<_>>(), ["core/layers/0/kernel", "core/layers/1/beta"]);
/// ```
#[derive(Clone)]
pub struct Sequential {
    name: String,
    layers: Vec<Arc<dyn Layer>>,
}

impl<L: Layer + 'static> From<L> for Box<dyn Layer> {
    fn from(layer: L) -> Box<dyn Layer> {
        Box::new(layer)
    }
}

impl Sequential {
    /// A model of this name from its layers, the first one first.
    pub fn new(name: impl Into<String>, layers: impl IntoIterator<Item = Box<dyn Layer>>) -> Sequential {
        Sequential { name: name.into(), layers: layers.into_iter().map(Arc::from).collect() }
    }

    /// A model of layers that others hold as well.
    pub(crate) fn shared(name: &str, layers: Vec<Arc<dyn Layer>>) -> Sequential {
        Sequential { name: name.to_owned(), layers }
    }

    /// The path of the model.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The layers, the first one first.
    pub fn layers(&self) -> &[Arc<dyn Layer>] {
        &self.layers
    }

    /// Initial values of all parameters by path, drawn in the order of the layers: the same seed gives flax's bits.
    pub fn init(&self, rngs: &mut Rngs) -> BTreeMap<String, Array> {
        let draw = |p: Parameter| (self.at(&p.name), p.init.draw(rngs, &p.dims));
        self.parameters().into_iter().map(draw).collect()
    }

    /// The types of all parameters by path.
    pub fn parameter_types(&self) -> BTreeMap<String, TensorType> {
        self.parameters().into_iter().map(|p| (self.at(&p.name), p.ty())).collect()
    }

    /// The types of the state by path, for a batch of this size. It starts as zeros.
    pub fn state_types(&self, batch: usize, dtype: DType) -> BTreeMap<String, TensorType> {
        self.states().into_iter().map(|s| (self.at(&s.name), s.ty(batch, dtype))).collect()
    }

    /// Whether a state is of a layer that leaves it for a loss to read.
    pub(super) fn is_for_a_loss_at(&self, path: &str) -> bool {
        let mut layers = self.layers.iter().enumerate().filter(|(_, layer)| layer.is_for_a_loss());
        layers.any(|(i, _)| path.starts_with(&format!("{}/", self.at(&part(i)))))
    }

    fn at(&self, part: &str) -> String {
        format!("{}/{part}", self.name)
    }

    /// What each layer names, under that layer's path.
    fn of_each<T>(&self, list: impl Fn(&dyn Layer) -> Vec<T>, name: impl Fn(&mut T) -> &mut String) -> Vec<T> {
        let mut all = Vec::new();
        for (i, layer) in self.layers.iter().enumerate() {
            for mut item in list(layer.as_ref()) {
                let path = format!("{}/{}", part(i), name(&mut item));
                *name(&mut item) = path;
                all.push(item);
            }
        }
        all
    }
}

/// The path of a layer from its container.
fn part(index: usize) -> String {
    format!("layers/{index}")
}

impl Layer for Sequential {
    fn kind(&self) -> &'static str {
        "Sequential"
    }
    fn parameters(&self) -> Vec<Parameter> {
        self.of_each(|layer| layer.parameters(), |parameter| &mut parameter.name)
    }
    fn states(&self) -> Vec<State> {
        self.of_each(|layer| layer.states(), |state| &mut state.name)
    }
    fn takes(&self) -> Vec<usize> {
        self.layers.first().map_or(Vec::new(), |layer| layer.takes())
    }
    fn output(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        let shapes = shapes(&self.layers, input).map_err(|misfit| {
            let Misfit { place, reason, given } = misfit;
            format!("{}: {} {reason}, got {}", part(place), self.layers[place].kind(), shown(&given))
        })?;
        Ok(shapes.last().map_or(input, Vec::as_slice).to_vec())
    }
    fn draws(&self) -> bool {
        self.layers.iter().any(|layer| layer.draws())
    }
    fn takes_booleans(&self) -> bool {
        true
    }
    fn step(&self, at: &mut Step<'_>, x: &Tensor) -> Tensor {
        let one = |x: Tensor, (i, layer): (usize, &Arc<dyn Layer>)| {
            at.inside(&part(i), |at| {
                let x = if layer.takes_booleans() { x } else { numbers(&x) };
                let y = layer.step(at, &x);
                match layer.synapses() {
                    Some(Synapses::OfInput) => at.note_driven(&x),
                    Some(Synapses::OfOwnSpikes(_)) => at.note_driven(&y),
                    None => {}
                }
                if layer.fires() {
                    at.note_rate(&y);
                    at.note_spikes(&y);
                }
                at.note_broken(&y);
                y
            })
        };
        self.layers.iter().enumerate().fold(x.clone(), one)
    }
}

/// Booleans as the numbers 0 and 1.
pub(super) fn numbers(x: &Tensor) -> Tensor {
    if x.dtype() == DType::Pred { x.convert(DType::F32) } else { x.clone() }
}

/// The first layer that does not take what the one before it gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Misfit {
    /// Which layer, from 0.
    pub place: usize,
    /// What it takes instead.
    pub reason: String,
    /// The shape it was given.
    pub given: Vec<usize>,
}

/// The shape of one sample after each layer; sizes of 0 are not known yet.
pub(crate) fn shapes(layers: &[Arc<dyn Layer>], input: &[usize]) -> Result<Vec<Vec<usize>>, Misfit> {
    let mut given = input.to_vec();
    let mut all = Vec::new();
    for (place, layer) in layers.iter().enumerate() {
        let usable = check_numbers(layer.as_ref())
            .and_then(|()| layer.check())
            .map_err(|(argument, reason)| format!("has a `{argument}` that {reason}"));
        match usable.and_then(|()| layer.output(&given)) {
            Ok(shape) => given = shape,
            Err(reason) => return Err(Misfit { place, reason, given }),
        }
        all.push(given.clone());
    }
    Ok(all)
}

/// A shape as messages show it: `[?, ?, 3]`.
pub(crate) fn shown(shape: &[usize]) -> String {
    let sizes: Vec<String> =
        shape.iter().map(|size| if *size == 0 { "?".to_owned() } else { size.to_string() }).collect();
    format!("[{}]", sizes.join(", "))
}

impl fmt::Debug for Sequential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.name)?;
        f.debug_list().entries(&self.layers).finish()
    }
}
