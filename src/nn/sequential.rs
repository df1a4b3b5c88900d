//! A model of layers: a chain, or a graph of branches that join again.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use spiq_hlo::{Array, DType, Tensor, TensorType, scan};

use super::layer::{Layer, Synapses};
use super::parameter::{Parameter, State};
use super::step::Step;
use super::wiring::{Group, Misfit, Source, Wiring, shapes};
use crate::by_path::Tensors;
use crate::random::{GraphKey, Rngs};

/// Layers in the order in which they are computed; at each time step, each receives the output of the one before.
///
/// Layer `i` of a model called `core` has its parameters under `core/layers/i`. A `Sequential` is itself a layer; its name
/// matters only if it is the whole model. Source: `spyx.nn.Sequential`.
///
/// [`wired`](Sequential::wired) gives a layer other inputs, for branches and skip connections.
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
    wiring: Wiring,
}

impl<L: Layer + 'static> From<L> for Box<dyn Layer> {
    fn from(layer: L) -> Box<dyn Layer> {
        Box::new(layer)
    }
}

impl Sequential {
    /// A model of this name with these layers, in order.
    pub fn new(name: impl Into<String>, layers: impl IntoIterator<Item = Box<dyn Layer>>) -> Sequential {
        let layers: Vec<Arc<dyn Layer>> = layers.into_iter().map(Arc::from).collect();
        let wiring = Wiring::chain(layers.len());
        Sequential { name: name.into(), layers, wiring }
    }

    /// A model whose layers are shared with others.
    pub(crate) fn shared(name: &str, layers: Vec<Arc<dyn Layer>>, wiring: Wiring) -> Sequential {
        Sequential { name: name.to_owned(), layers, wiring }
    }

    /// The same model, except that the layer at this index, from 0, reads these inputs instead of the layer before it.
    ///
    /// ```
    /// use spiq::nn::{Add, Layer, Lif, Linear, Sequential, Source};
    /// let block = Sequential::new("core", [Linear::new(8, 8).into(), Lif::new([8]).into(), Add::new().into()])
    ///     .wired(2, [Source::Input, Source::Layer(1)]);
    /// assert_eq!(block.output(&[8]), Ok(vec![8]));
    /// ```
    #[must_use]
    pub fn wired(self, layer: usize, inputs: impl IntoIterator<Item = Source>) -> Sequential {
        Sequential { wiring: self.wiring.with_inputs(layer, inputs), ..self }
    }

    /// The path of the model.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The layers, in order.
    pub fn layers(&self) -> &[Arc<dyn Layer>] {
        &self.layers
    }

    /// The inputs of each layer.
    pub fn wiring(&self) -> &Wiring {
        &self.wiring
    }

    /// The shape of one sample after each layer.
    pub(crate) fn shapes(&self, input: &[usize]) -> Result<Vec<Vec<usize>>, Misfit> {
        shapes(&self.layers, &self.wiring, input)
    }

    /// A sentence about a layer that does not accept its input.
    pub(crate) fn described(&self, misfit: &Misfit) -> String {
        let Misfit { place, reason, given, .. } = misfit;
        let got = if given.is_empty() { String::new() } else { format!(", got {}", misfit.shapes()) };
        let hint = misfit.hint(|place| format!("{} ({})", self.at(&part(place)), self.layers[place].kind()));
        format!("{}: {} {reason}{got}{hint}", part(*place), self.layers[*place].kind())
    }

    /// Initial values of all parameters and running statistics by path, drawn in the order of the layers: bit-identical to
    /// flax's for the same seed.
    pub fn init(&self, rngs: &mut Rngs) -> BTreeMap<String, Array> {
        let draw = |p: Parameter| (self.at(&p.name), p.init.draw(rngs, &p.dims));
        let all = self.of_each(|layer| [layer.parameters(), layer.statistics()].concat(), |p| &mut p.name);
        all.into_iter().map(draw).collect()
    }

    /// The types of all parameters by path.
    pub fn parameter_types(&self) -> BTreeMap<String, TensorType> {
        self.parameters().into_iter().map(|p| (self.at(&p.name), p.ty())).collect()
    }

    /// The smallest and largest value allowed in training, by path, of the parameters that have such limits.
    pub fn limits(&self) -> BTreeMap<String, (f64, f64)> {
        self.parameters().into_iter().filter_map(|p| Some((self.at(&p.name), p.limits?))).collect()
    }

    /// The paths of the parameters that layers [spread](Layer::spread).
    pub(crate) fn spread_paths(&self) -> BTreeSet<String> {
        let of = |(i, layer): (usize, &Arc<dyn Layer>)| {
            let path = self.at(&part(i));
            layer.spread().iter().map(move |name| format!("{path}/{name}"))
        };
        self.layers.iter().enumerate().flat_map(of).collect()
    }

    /// The types of all running statistics by path.
    pub fn statistic_types(&self) -> BTreeMap<String, TensorType> {
        self.statistics().into_iter().map(|p| (self.at(&p.name), p.ty())).collect()
    }

    /// The types of the state by path, for a batch of this size. The state starts as zeros.
    pub fn state_types(&self, batch: usize, dtype: DType) -> BTreeMap<String, TensorType> {
        self.states().into_iter().map(|s| (self.at(&s.name), s.ty(batch, dtype))).collect()
    }

    /// Whether a state belongs to a layer that leaves it for a loss to read.
    pub(super) fn is_for_a_loss_at(&self, path: &str) -> bool {
        let mut layers = self.layers.iter().enumerate().filter(|(_, layer)| layer.is_for_a_loss());
        layers.any(|(i, _)| path.starts_with(&format!("{}/", self.at(&part(i)))))
    }

    fn at(&self, part: &str) -> String {
        format!("{}/{part}", self.name)
    }

    /// The items that `list` returns for each layer, with that layer's path prepended to their names.
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

    /// One layer, at one step or, if it spans time, over all steps.
    fn one(&self, at: &mut Step<'_>, number: usize, inputs: &[Tensor], call: Call) -> Tensor {
        let layer = &self.layers[number];
        at.inside(&part(number), |at| {
            let inputs: Vec<Tensor> =
                inputs.iter().map(|x| if layer.takes_booleans() { x.clone() } else { numbers(x) }).collect();
            let y = match call {
                Call::Step => layer.step_of(at, &inputs),
                Call::Sequence => layer.sequence(at, &inputs[0]),
            };
            match layer.synapses() {
                Some(Synapses::OfInput) => at.note_driven(&inputs[0]),
                Some(Synapses::OfOwnSpikes(_)) => at.note_driven(&y),
                Some(Synapses::OfPastInputs) | None => {}
            }
            if layer.fires() {
                at.note_rate(&y);
                at.note_spikes(&y);
            }
            at.note_broken(&y);
            y
        })
    }

    /// One time step of a range of layers, given the values they read from outside it; returns the outputs of all of them.
    fn steps(&self, at: &mut Step<'_>, layers: &Range<usize>, outside: &[(Source, Tensor)]) -> Vec<Tensor> {
        let mut outputs: Vec<Tensor> = Vec::new();
        for number in layers.clone() {
            let read = |source: &Source| match source {
                Source::Layer(at) if layers.contains(at) => outputs[at - layers.start].clone(),
                _ => outside.iter().find(|(given, _)| given == source).expect("every source is given").1.clone(),
            };
            let inputs: Vec<Tensor> = self.wiring.inputs(number).iter().map(read).collect();
            let output = self.one(at, number, &inputs, Call::Step);
            outputs.push(output);
        }
        outputs
    }

    /// A range of layers in one loop over time: sequences [T, B, …] to those of the outputs that later layers read.
    fn looped(&self, at: &mut Step<'_>, layers: &Range<usize>, outside: &[(Source, Tensor)]) -> Vec<(Source, Tensor)> {
        let (graph, path) = (at.graph.clone(), at.path.clone());
        let own = |path: &&String| {
            let rest = path.strip_prefix(&at.path).unwrap_or_default();
            layers.clone().any(|layer| rest.starts_with(&format!("/{}/", part(layer))))
        };
        let states: Tensors =
            at.model.states.iter().filter(|(path, _)| own(path)).map(|(p, t)| (p.clone(), t.clone())).collect();
        let (sources, sequences): (Vec<Source>, Vec<Tensor>) = outside.iter().cloned().unzip();
        let written = self.wiring.read_after(layers);
        let (drawn, keys) = (at.model.drawn, at.step_keys(sequences.first()));
        let model = &*at.model;
        let mut now_drawn = drawn;
        let (states, (outputs, noted)) = scan(&states, &(sequences, keys), |states, (slices, key)| {
            let mut step = model.of_one_step(states, key.as_ref().map(GraphKey::new));
            let mut inner = Step { graph: graph.clone(), path: path.clone(), model: &mut step };
            let given: Vec<(Source, Tensor)> = sources.iter().copied().zip(slices.iter().map(entering)).collect();
            let all = self.steps(&mut inner, layers, &given);
            let outputs: Vec<Tensor> = written.iter().map(|layer| all[layer - layers.start].clone()).collect();
            now_drawn = step.drawn;
            let noted = step.noted();
            (step.states, (outputs, noted))
        });
        at.model.drawn = now_drawn;
        at.model.states.extend(states);
        at.model.note_all(noted);
        written.into_iter().map(Source::Layer).zip(outputs).collect()
    }
}

/// How a layer is called.
#[derive(Clone, Copy)]
enum Call {
    Step,
    Sequence,
}

/// The path of a layer within its container.
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
    fn statistics(&self) -> Vec<Parameter> {
        self.of_each(|layer| layer.statistics(), |parameter| &mut parameter.name)
    }
    fn states(&self) -> Vec<State> {
        self.of_each(|layer| layer.states(), |state| &mut state.name)
    }
    fn takes(&self) -> Vec<usize> {
        self.layers.first().map_or(Vec::new(), |layer| layer.takes())
    }
    fn output(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        let shapes = self.shapes(input).map_err(|misfit| self.described(&misfit))?;
        Ok(shapes.last().map_or(input, Vec::as_slice).to_vec())
    }
    fn draws(&self) -> bool {
        self.layers.iter().any(|layer| layer.draws())
    }
    fn takes_booleans(&self) -> bool {
        true
    }
    fn spans_time(&self) -> bool {
        self.layers.iter().any(|layer| layer.spans_time())
    }
    fn step(&self, at: &mut Step<'_>, x: &Tensor) -> Tensor {
        let all = self.steps(at, &(0..self.layers.len()), &[(Source::Input, x.clone())]);
        all.last().unwrap_or(x).clone()
    }
    fn sequence(&self, at: &mut Step<'_>, x: &Tensor) -> Tensor {
        let mut values = vec![(Source::Input, x.clone())];
        for group in self.wiring.groups(&self.layers) {
            let given = |sources: &[Source]| -> Vec<(Source, Tensor)> {
                values.iter().filter(|(source, _)| sources.contains(source)).cloned().collect()
            };
            match group {
                Group::Steps(layers) => {
                    let outputs = self.looped(at, &layers, &given(&self.wiring.read_by(&layers)));
                    values.extend(outputs);
                }
                Group::Whole(layer) => {
                    let inputs: Vec<Tensor> =
                        given(self.wiring.inputs(layer)).iter().map(|(_, tensor)| entering(tensor)).collect();
                    let output = self.one(at, layer, &inputs, Call::Sequence);
                    values.push((Source::Layer(layer), output));
                }
            }
        }
        values.pop().expect("at least the input").1
    }
}

/// A sequence as layers receive it: f32, or booleans, which stay boolean until the first layer that computes with numbers.
fn entering(x: &Tensor) -> Tensor {
    if x.dtype() == DType::Pred { x.clone() } else { x.convert(DType::F32) }
}

/// Booleans converted to the numbers 0 and 1; other tensors unchanged.
pub(super) fn numbers(x: &Tensor) -> Tensor {
    if x.dtype() == DType::Pred { x.convert(DType::F32) } else { x.clone() }
}

impl fmt::Debug for Sequential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.name)?;
        f.debug_list().entries(&self.layers).finish()?;
        match self.wiring == Wiring::chain(self.layers.len()) {
            true => Ok(()),
            false => write!(f, " {:?}", self.wiring),
        }
    }
}
