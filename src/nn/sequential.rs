//! Layers one after the other. Knows nothing of what they compute.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use spiq_hlo::{Array, DType, Tensor, TensorType};

use super::layer::Layer;
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
    fn output(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        self.layers.iter().enumerate().try_fold(input.to_vec(), |shape, (i, layer)| {
            layer.output(&shape).map_err(|reason| format!("{}: {} {reason}", part(i), layer.kind()))
        })
    }
    fn step(&self, at: &mut Step<'_>, x: &Tensor) -> Tensor {
        let each = self.layers.iter().enumerate();
        each.fold(x.clone(), |x, (i, layer)| at.inside(&part(i), |at| layer.step(at, &x)))
    }
}

impl fmt::Debug for Sequential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.name)?;
        f.debug_list().entries(&self.layers).finish()
    }
}
