//! What the synapses and neurons of a trained network do for a sample, counted as NeuroBench does. Knows no loss and no class.

use std::collections::BTreeMap;

use spiq_hlo::{Array, DType, Tensor, TensorType, trace};

use super::evaluate::On;
use super::programs::Plan;
use crate::by_path::Tensors;
use crate::compile::Program;
use crate::error::Result;
use crate::network::{Network, Pass};
use crate::pjrt::Client;
use crate::ptq::rounded_weights;
use crate::quant::Mode;
use crate::signature::{Role, Signature};

/// How often what happens when a network runs on a sample, on average. Names and definitions are those of NeuroBench's metrics
/// (`neurobench.metrics`, version 2.3), with weights as rules quantize them.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Counted {
    /// The operations of each layer with synapses, by its path.
    pub synapses: BTreeMap<String, Operations>,
    /// The spikes of each layer that fires, by its path.
    pub spikes: BTreeMap<String, f64>,
    /// The part of the outputs of neurons that fire which are zero, over all layers, steps and samples (ActivationSparsity); `None`
    /// where none fires.
    pub activation_sparsity: Option<f64>,
    /// The part of the weights of synapses that are zero (ConnectionSparsity); `None` where there are none.
    pub connection_sparsity: Option<f64>,
}

/// How many operations the synapses of a layer do for one sample, on average. Counted as NeuroBench does
/// (`neurobench.metrics`, SynapticOperations): products of a weight with an input, without biases. A weight with a delay meets an
/// input where its product arrives before the last step; one that would come too late does not count.
///
/// NeuroBench decides about accumulations anew for each batch and step, so that its sums of them depend on the size of the batch; here
/// one input of a layer that is not 0, 1 or -1 makes all its operations multiplications.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Operations {
    /// All of them: those with zeros, too. Of a layer with delays, those of each step that it gives.
    pub dense: f64,
    /// Those in which neither the weight nor the input is zero.
    pub effective: f64,
    /// Whether every input was 0, 1 or -1, so that a product is an accumulation (AC); else it is a multiplication, too (MAC).
    pub accumulates: bool,
}

impl Counted {
    /// Operations of all layers (Dense).
    pub fn dense(&self) -> f64 {
        self.synapses.values().fold(0.0, |sum, layer| sum + layer.dense)
    }

    /// Effective accumulations of all layers (Effective_ACs).
    pub fn effective_acs(&self) -> f64 {
        self.effective(true)
    }

    /// Effective multiplications and accumulations of all layers (Effective_MACs).
    pub fn effective_macs(&self) -> f64 {
        self.effective(false)
    }

    /// Spikes of all layers.
    pub fn spikes_per_sample(&self) -> f64 {
        self.spikes.values().fold(0.0, |sum, spikes| sum + spikes)
    }

    fn effective(&self, accumulates: bool) -> f64 {
        let layers = self.synapses.values().filter(|layer| layer.accumulates == accumulates);
        // Not `sum`, which gives -0 where there are none.
        layers.fold(0.0, |sum, layer| sum + layer.effective)
    }
}

/// Sums over all samples.
#[derive(Default)]
struct Sums {
    /// How often each element of what synapses are multiplied with was not zero, by path.
    driven: BTreeMap<String, Vec<f64>>,
    /// Whether one of them was neither 0 nor 1 nor -1, by path.
    graded: BTreeMap<String, bool>,
    /// How many spikes each neuron fired, by path.
    spikes: BTreeMap<String, Vec<f64>>,
    /// Mean numbers of spikes a neuron and step, of all samples together, by path.
    rates: BTreeMap<String, Vec<f64>>,
}

impl Sums {
    /// The part of the outputs of neurons that are zero. `steps` are those of the input: a layer may have more, behind one that lets
    /// more steps follow, and then its spikes and its rate tell how many.
    fn activation_sparsity(&self, steps: usize, samples: f64) -> Option<f64> {
        let outputs = |(path, spikes): (&String, &Vec<f64>)| {
            let (neurons, rate) = (spikes.len() as f64, self.rates[path][0]);
            let own = if rate > 0.0 { (spikes.iter().sum::<f64>() / (rate * neurons)).round() } else { steps as f64 };
            neurons * own * samples
        };
        let all: f64 = self.spikes.iter().map(outputs).sum();
        (all > 0.0).then(|| 1.0 - self.spikes.values().flatten().sum::<f64>() / all)
    }
}

/// Counts a network on all samples.
pub(super) fn counted(plan: &Plan, network: &Network, on: &On, params: &BTreeMap<String, Array>) -> Result<Counted> {
    let mut weights: BTreeMap<String, Array> =
        network.parameter_types().into_keys().map(|path| (path.clone(), params[&path].clone())).collect();
    weights.extend(rounded_weights(on.client, network, params)?);
    let (sums, (shapes, lengths)) = summed(plan, network, on, params)?;
    let (samples, steps) = (on.data.count() as f64, plan.encoding.x_type(plan.batch).dims[0]);
    let means = |(path, sums): (&String, &Vec<f64>)| {
        let means: Vec<f32> = sums.iter().map(|sum| (sum / samples) as f32).collect();
        let dims = [&[1], &shapes[path][..]].concat();
        (path.clone(), Array::new(dims, means).expect("a count an element"))
    };
    let driven = sums.driven.iter().map(means).collect();
    let operations = operations(network, on.client, &weights, &driven, &lengths)?;
    let synapses = operations.into_iter().map(|(path, [effective, dense])| {
        let accumulates = !sums.graded[&path];
        (path, Operations { dense, effective, accumulates })
    });
    Ok(Counted {
        synapses: synapses.collect(),
        activation_sparsity: sums.activation_sparsity(steps, samples),
        connection_sparsity: zeros(network.synaptic_weights().iter().map(|path| &weights[path])),
        spikes: sums.spikes.into_iter().map(|(path, spikes)| (path, spikes.iter().sum::<f64>() / samples)).collect(),
    })
}

/// The part of the elements of arrays that are zero.
fn zeros<'a>(arrays: impl Iterator<Item = &'a Array>) -> Option<f64> {
    let (mut zeros, mut all) = (0, 0);
    for array in arrays {
        let values = array.to_f64();
        zeros += values.iter().filter(|value| **value == 0.0).count();
        all += values.len();
    }
    (all > 0).then(|| zeros as f64 / all as f64)
}

/// By path, the shape of what synapses are multiplied with at a step, and of how many steps.
type Shapes = (BTreeMap<String, Vec<usize>>, BTreeMap<String, usize>);

/// The sums, and shapes.
fn summed(plan: &Plan, network: &Network, on: &On, params: &BTreeMap<String, Array>) -> Result<(Sums, Shapes)> {
    let pass = Pass { driven: true, spike_counts: true, spike_rates: true, ..Mode::Ptq.into() };
    let forward = network.forward(&plan.encoding.x_type(plan.batch), pass)?;
    let inputs = Signature::default()
        .taking(forward.signature.arrays())
        .with(Role::Given, plan.resident.inputs())
        .with(Role::Given, [("rows", TensorType::new(DType::S32, [plan.batch]))])
        .with(Role::Given, [("key", TensorType::new(DType::U32, [2]))]);
    let (function, signature) = inputs.trace(|given| {
        let [samples, classes, rows, key] =
            ["samples", "classes", "rows", "key"].map(|name| given.one(Role::Given, name));
        let (stored, _) = plan.resident.take(samples, classes, rows);
        let found = forward.call(&given.arrays(), &plan.encoding.encode(key, &stored));
        let counted = first_of_each(rows);
        let (mut counts, mut graded) = (Tensors::new(), Tensors::new());
        for (path, by) in found.of(Role::Driven) {
            let by = by.convert(DType::F32);
            let of_batch = counted.broadcast_in_dim(by.dims(), &[1]);
            let nonzero = by.ne(0.0).convert(DType::F32) * &of_batch;
            let is_graded = by.ne(0.0).and(by.abs().ne(1.0)).convert(DType::F32) * &of_batch;
            counts.insert(path.clone(), nonzero.reduce_sum(&[0, 1]));
            let axes: Vec<usize> = (0..by.rank()).collect();
            graded.insert(path, is_graded.reduce_max(&axes));
        }
        let spikes = found.of(Role::SpikeCount).into_iter().map(|(path, spikes)| {
            let of_batch = counted.broadcast_in_dim(spikes.dims(), &[0]);
            (path, (spikes * of_batch).reduce_sum(&[0]))
        });
        let rates = found.of(Role::SpikeRate).into_iter().map(|(path, rates)| (path, (rates * &counted).sum()));
        vec![
            (Role::Driven, counts),
            (Role::Given, graded),
            (Role::SpikeCount, spikes.collect()),
            (Role::SpikeRate, rates.collect()),
        ]
    })?;
    let ports: Vec<(Role, String)> = signature.results().iter().map(|port| (port.role, port.name.clone())).collect();
    let shapes = signature.results_of(Role::Driven).map(|port| (port.name.clone(), port.ty.dims.to_vec())).collect();
    let driven = forward.signature.results_of(Role::Driven);
    let shapes = (shapes, driven.map(|port| (port.name.clone(), port.ty.dims[0])).collect());
    let mut sums = Sums::default();
    if ports.is_empty() {
        return Ok((sums, shapes));
    }
    let program = Program::named("counts").compile(on.client, &function)?;
    let arrays: Vec<String> = signature.arrays().map(|port| port.name.clone()).collect();
    on.run(&program, &on.arrays(arrays.iter(), params)?, plan.batch, |_, outputs| {
        for ((role, path), output) in ports.iter().zip(outputs) {
            let values = output.to_f64();
            match role {
                Role::Given => *sums.graded.entry(path.clone()).or_default() |= values[0] > 0.0,
                Role::Driven => add(sums.driven.entry(path.clone()).or_default(), &values),
                Role::SpikeRate => add(sums.rates.entry(path.clone()).or_default(), &values),
                _ => add(sums.spikes.entry(path.clone()).or_default(), &values),
            }
        }
        Ok(())
    })?;
    Ok((sums, shapes))
}

fn add(sums: &mut Vec<f64>, values: &[f64]) {
    sums.resize(values.len(), 0.0);
    sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
}

/// 1 for each row that stands in a batch for the first time, else 0: a row that stands again only fills up the last batch. Rows of a
/// data set differ.
fn first_of_each(rows: &Tensor) -> Tensor {
    let batch = rows.dims()[0];
    let wide = [batch, batch];
    let again = rows.broadcast_in_dim(&wide, &[0]).eq(rows.broadcast_in_dim(&wide, &[1]));
    let place = |axis| rows.graph().iota(TensorType::new(DType::S32, wide), axis);
    let earlier = place(1).lt(place(0));
    again.and(earlier).convert(DType::F32).reduce_max(&[1]).eq(0.0).convert(DType::F32)
}

/// For each layer, effective and dense operations of a sample. `counts` says how often each input of a layer was not zero, `lengths` for
/// how many steps it has any.
fn operations(
    network: &Network,
    client: &Client,
    params: &BTreeMap<String, Array>,
    counts: &BTreeMap<String, Array>,
    lengths: &BTreeMap<String, usize>,
) -> Result<BTreeMap<String, [f64; 2]>> {
    let types = network.parameter_types();
    let inputs: Vec<(&str, TensorType)> = types
        .iter()
        .map(|(path, ty)| (path.as_str(), ty.clone()))
        .chain(counts.iter().map(|(path, counts)| (path.as_str(), counts.ty().clone())))
        .collect();
    let mut paths = Vec::new();
    let function = trace(&inputs, |values| {
        let (weights, counted) = values.split_at(types.len());
        let weights: Tensors = types.keys().cloned().zip(weights.iter().cloned()).collect();
        let counted: Tensors = counts.keys().cloned().zip(counted.iter().cloned()).collect();
        let ones = weights.iter().map(|(path, weight)| (path.clone(), weight.zeros_like() + 1.0)).collect();
        let always =
            counted.iter().map(|(path, counts)| (path.clone(), counts.zeros_like() + lengths[path] as f64)).collect();
        let (effective, dense) = (network.operations(&weights, &counted), network.operations(&ones, &always));
        paths = effective.keys().cloned().collect();
        effective.into_values().chain(dense.into_values()).collect()
    })?;
    let program = Program::named("operations").compile(client, &function)?;
    let values: Vec<&Array> = types.keys().map(|path| &params[path]).chain(counts.values()).collect();
    let sums: Vec<f64> = client.run(&program, values)?.iter().map(|outputs| outputs.to_f64().iter().sum()).collect();
    let (effective, dense) = sums.split_at(paths.len());
    Ok(paths.into_iter().zip(effective.iter().zip(dense)).map(|(path, (e, d))| (path, [*e, *d])).collect())
}
