//! Counts the synaptic operations and spikes of a trained network per sample, as NeuroBench does.

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

/// Operations and spikes when a network runs on a sample, on average. Names and definitions follow NeuroBench's metrics
/// (`neurobench.metrics`, version 2.3), with weights quantized by the rules.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Counted {
    /// The operations of each layer with synapses, by its path.
    pub synapses: BTreeMap<String, Operations>,
    /// The spikes of each layer that fires, by its path.
    pub spikes: BTreeMap<String, f64>,
    /// The fraction of neuron outputs that are zero, over all layers that fire, all steps and all samples (ActivationSparsity); `None` if
    /// no layer fires.
    pub activation_sparsity: Option<f64>,
    /// The fraction of synaptic weights that are zero (ConnectionSparsity); `None` if there are none.
    pub connection_sparsity: Option<f64>,
}

/// The synaptic operations of a layer for one sample, on average. Counted as NeuroBench does (`neurobench.metrics`, SynapticOperations):
/// products of a weight with an input, without biases. With a delay, a product counts only if it arrives before the last step.
///
/// NeuroBench classifies accumulations per batch and step, so that its sums depend on the batch size; here, a single input of a layer that
/// is not 0, 1 or -1 makes all of its operations multiplications.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Operations {
    /// All of them, including those with zeros. For a layer with delays, those of each step that it outputs.
    pub dense: f64,
    /// Those in which neither the weight nor the input is zero.
    pub effective: f64,
    /// Whether every input was 0, 1 or -1, so that a product is an accumulation (AC); otherwise it is a multiply-accumulate (MAC).
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

    /// Effective multiply-accumulates of all layers (Effective_MACs).
    pub fn effective_macs(&self) -> f64 {
        self.effective(false)
    }

    /// Spikes of all layers.
    pub fn spikes_per_sample(&self) -> f64 {
        self.spikes.values().fold(0.0, |sum, spikes| sum + spikes)
    }

    fn effective(&self, accumulates: bool) -> f64 {
        let layers = self.synapses.values().filter(|layer| layer.accumulates == accumulates);
        // Not `sum`, which returns -0 for an empty iterator.
        layers.fold(0.0, |sum, layer| sum + layer.effective)
    }
}

/// Sums over all samples.
#[derive(Default)]
struct Sums {
    /// How often each element of the synapses' inputs was nonzero, by path.
    driven: BTreeMap<String, Vec<f64>>,
    /// Whether any of them was not 0, 1 or -1, by path.
    graded: BTreeMap<String, bool>,
    /// Number of spikes of each neuron, by path.
    spikes: BTreeMap<String, Vec<f64>>,
    /// Mean number of spikes per neuron and step, summed over all samples, by path.
    rates: BTreeMap<String, Vec<f64>>,
}

impl Sums {
    /// The fraction of neuron outputs that are zero. `steps` is the number of input steps. A layer may have more, after one that appends
    /// steps; then its spikes and rate determine the number.
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

/// Counts the operations of a network on all samples.
pub(super) fn counted(plan: &Plan, network: &Network, on: &On, params: &BTreeMap<String, Array>) -> Result<Counted> {
    let mut weights: BTreeMap<String, Array> =
        network.parameter_types().into_keys().map(|path| (path.clone(), params[&path].clone())).collect();
    weights.extend(rounded_weights(on.client, network, params)?);
    let (sums, (shapes, lengths)) = summed(plan, network, on, params)?;
    let (samples, steps) = (on.data.count() as f64, plan.encoding.x_type(plan.batch).dims[0]);
    let means = |(path, sums): (&String, &Vec<f64>)| {
        let means: Vec<f32> = sums.iter().map(|sum| (sum / samples) as f32).collect();
        let dims = [&[1], &shapes[path][..]].concat();
        (path.clone(), Array::new(dims, means).expect("one count per element"))
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

/// The fraction of zeros in all elements of these arrays.
fn zeros<'a>(arrays: impl Iterator<Item = &'a Array>) -> Option<f64> {
    let (mut zeros, mut all) = (0, 0);
    for array in arrays {
        let values = array.to_f64();
        zeros += values.iter().filter(|value| **value == 0.0).count();
        all += values.len();
    }
    (all > 0).then(|| zeros as f64 / all as f64)
}

/// By path, the shape of the synapses' input at one step, and its number of steps.
type Shapes = (BTreeMap<String, Vec<usize>>, BTreeMap<String, usize>);

/// The sums and the shapes.
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
            counts.insert(path.clone(), nonzero.reduce_sum([0, 1]));
            let axes: Vec<usize> = (0..by.rank()).collect();
            graded.insert(path, is_graded.reduce_max(&axes));
        }
        let spikes = found.of(Role::SpikeCount).into_iter().map(|(path, spikes)| {
            let of_batch = counted.broadcast_in_dim(spikes.dims(), &[0]);
            (path, (spikes * of_batch).reduce_sum([0]))
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

/// 1 for the first occurrence of each row in a batch, else 0: a repeated row is padding of the last batch. Rows of a data set are distinct.
fn first_of_each(rows: &Tensor) -> Tensor {
    let batch = rows.dims()[0];
    let wide = [batch, batch];
    let again = rows.broadcast_in_dim(&wide, &[0]).eq(rows.broadcast_in_dim(&wide, &[1]));
    let place = |axis| rows.graph().iota(TensorType::new(DType::S32, wide), axis);
    let earlier = place(1).lt(place(0));
    again.and(earlier).convert(DType::F32).reduce_max([1]).eq(0.0).convert(DType::F32)
}

/// Effective and dense operations of a sample, by layer. `counts` gives how often each input of a layer was nonzero, `lengths` the number
/// of its steps.
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
