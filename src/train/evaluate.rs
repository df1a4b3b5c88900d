//! Evaluates a trained network on labelled samples: accuracy by class, confusion, spike rates.

use std::collections::BTreeMap;

use spiq_hlo::Array;

use super::operations::{Counted, counted};
use super::programs::{self, Plan, Reads};
use super::resident::Resident;
use crate::capacity::{self, Need};
use crate::data::{Coding, Dataset, Encoding, group_key, test_key};
use crate::error::{Error, Result};
use crate::network::Network;
use crate::nn::Readout;
use crate::pjrt::{Buffer, Client, Executable, Input, Platform};

/// The conditions of a run's test.
#[derive(Clone, Copy, Debug)]
pub struct Conditions {
    /// Time steps over which images are encoded; spike trains have their own.
    pub time_steps: usize,
    /// The seed of the run, from which its test draws the spikes of images.
    pub seed: i64,
    /// The coding of the samples that the network was [trained](crate::provenance::Provenance::coding) on.
    pub coding: Option<Coding>,
    /// How outputs over time become a score per class.
    pub readout: Readout,
}

/// The results of a network on labelled samples.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Evaluated {
    /// Number of samples of each class (rows) that were classified as each class (columns); of equal scores the first wins.
    pub confusion: Vec<Vec<u64>>,
    /// For each sample, the number of classes with a larger score than its own, or the same score and a lower index.
    pub ranks: Vec<usize>,
    /// The mean cross-entropy of the scores; for sums over time this is `integral_crossentropy` without smoothing.
    pub cross_entropy: f64,
    /// For each layer that fires, by its path, the mean number of spikes per neuron and step.
    pub spike_rates: BTreeMap<String, f32>,
    /// Operations and spikes of a run of the network.
    pub counted: Counted,
}

impl Evaluated {
    /// Number of samples.
    pub fn count(&self) -> usize {
        self.ranks.len()
    }

    /// The fraction of samples that are classified correctly; bit-identical to the result of the run's test on the same samples.
    pub fn accuracy(&self) -> f32 {
        let right: u64 = self.confusion.iter().enumerate().map(|(class, row)| row[class]).sum();
        (right as f64 / self.count() as f64) as f32
    }

    /// The accuracy for each class; `None` for a class without samples.
    pub fn per_class(&self) -> Vec<Option<f32>> {
        let part = |(class, row): (usize, &Vec<u64>)| {
            let count: u64 = row.iter().sum();
            (count > 0).then(|| (row[class] as f64 / count as f64) as f32)
        };
        self.confusion.iter().enumerate().map(part).collect()
    }

    /// The fraction of samples whose class is among the `k` with the largest scores.
    pub fn top_k(&self, k: usize) -> f32 {
        let among = self.ranks.iter().filter(|rank| **rank < k).count();
        (among as f64 / self.count() as f64) as f32
    }
}

/// Evaluates a network on samples, as the test of a run with this seed and these time steps. `params` contains parameters and the
/// statistics of static scales, by path.
///
/// # Errors
/// Of kind `Input`: parameters or samples that do not match the network, outputs that are not classes; errors of PJRT.
///
/// ```
/// use spiq::prelude::*;
/// let layers = "layers = [{ type = \"Linear\", in_features = 64, out_features = 10 }, { type = \"LI\", layer_shape = 10 }]";
/// let network = Network::new(ModelConfig::parse(layers, "model.toml")?, vec![])?;
/// let (_, test) = Dataset::digits().split()?;
/// let conditions = train::Conditions { time_steps: 4, seed: 0, coding: None, readout: Default::default() };
/// let evaluated = train::evaluate(&Client::cpu()?, &network, &network.init(0), &test, conditions)?;
/// assert_eq!((evaluated.count(), evaluated.top_k(10)), (360, 1.0));
/// assert_eq!(evaluated.counted.synapses["core/layers/0"].dense, 4.0 * 64.0 * 10.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn evaluate(
    client: &Client,
    network: &Network,
    params: &BTreeMap<String, Array>,
    data: &Dataset,
    conditions: Conditions,
) -> Result<Evaluated> {
    if data.classes() > network.classes() {
        let (classes, outputs) = (data.classes(), network.classes());
        return Err(Error::input(format!("there are {classes} classes, but the model has {outputs} outputs")));
    }
    let on_processor = client.platform() == Some(Platform::Cpu);
    capacity::check_running("evaluating this model", network.array_types().values(), 0, on_processor)?;
    let inputs = data.inputs();
    let coding = conditions.coding.map_or(inputs.coding(), |trained| inputs.coding_for(trained));
    let sample = network.sample_shape(inputs.features())?;
    let encoding = Encoding::coded(inputs, coding, conditions.time_steps).shaped(sample);
    let (resident, kept) = Resident::of(data);
    let batch = network.test_group(|size| encoding.x_type(size), data.count());
    let plan = Plan { model: network, encoding, resident, batch };
    let on = On {
        client,
        data,
        seed: conditions.seed,
        kept: kept.iter().map(|array| client.to_device(array)).collect::<Result<_>>()?,
    };
    let mut evaluated = answers(&plan, &on, params, conditions.readout)?;
    evaluated.counted = counted(&plan, network, &on, params)?;
    Ok(evaluated)
}

/// Samples on a device.
pub(super) struct On<'a> {
    pub(super) client: &'a Client,
    pub(super) data: &'a Dataset,
    seed: i64,
    kept: Vec<Buffer>,
}

impl On<'_> {
    /// Runs a program of arrays, the data set, rows and a key on all samples. `read` receives, for each batch, the number of samples that
    /// count, and the results.
    pub(super) fn run(
        &self,
        program: &Executable,
        arrays: &[Buffer],
        batch: usize,
        mut read: impl FnMut(usize, Vec<Array>) -> Result<()>,
    ) -> Result<()> {
        let of = self.data.count();
        for (number, start) in (0..of).step_by(batch).enumerate() {
            // The padding of the last batch does not count.
            let rows: Vec<i32> = (start..start + batch).map(|place| self.data.row(place.min(of - 1)) as i32).collect();
            let key = group_key(test_key(self.seed), number).to_array();
            let given = [Array::new([batch], rows).expect("one row per sample"), key];
            let given = given.iter().map(|array| self.client.to_device(array)).collect::<Result<Vec<_>>>()?;
            let outputs =
                program.execute(arrays.iter().chain(&self.kept).chain(&given).map(Input::Borrow).collect())?;
            read(batch.min(of - start), outputs.iter().map(Buffer::to_array).collect::<Result<_>>()?)?;
        }
        Ok(())
    }

    pub(super) fn arrays<'n>(
        &self,
        names: impl Iterator<Item = &'n String>,
        params: &BTreeMap<String, Array>,
    ) -> Result<Vec<Buffer>> {
        let array = |name: &String| match params.get(name) {
            Some(array) => self.client.to_device(array),
            None => Err(Error::input(format!("the parameters lack `{name}`"))),
        };
        names.map(array).collect()
    }
}

/// Everything except the operation counts.
fn answers(plan: &Plan, on: &On, params: &BTreeMap<String, Array>, readout: Readout) -> Result<Evaluated> {
    let (program, function, Reads { paths, rates }) = programs::examined(plan, |outputs, labels| {
        // The name prefixes fix the order in which the results are read.
        let predicted = readout.accuracy_of(&outputs.traces, labels).1.into_tensor();
        let scores = readout.scores(outputs.traces.tensor());
        [("0 predicted".to_owned(), predicted), ("1 scores".to_owned(), scores)].into()
    })?;
    let program = program.compile(on.client, &function)?;
    let classes = plan.model.network().map_or(on.data.classes(), Network::classes);
    let confusion = (classes as u64).saturating_mul(classes as u64).saturating_mul(8);
    let of = format!("how often each of {classes} classes is taken for each");
    Need { doing: "evaluating this model", bytes: confusion, of: &of, instead: "take a model of fewer classes" }
        .check()?;
    let mut evaluated = Evaluated {
        confusion: vec![vec![0; classes]; classes],
        ranks: Vec::new(),
        cross_entropy: 0.0,
        spike_rates: BTreeMap::new(),
        counted: Counted::default(),
    };
    let mut fired = vec![0.0; rates.len()];
    let labels = on.data.labels();
    on.run(&program, &on.arrays(paths.iter(), params)?, plan.batch, |count, outputs| {
        let (predicted, scores) = (outputs[0].to_f64(), outputs[1].to_f64());
        for (predicted, scores) in predicted.iter().zip(scores.chunks(classes)).take(count) {
            let label = labels[evaluated.ranks.len()] as usize;
            evaluated.confusion[label][*predicted as usize] += 1;
            evaluated.ranks.push(rank(scores, label));
            evaluated.cross_entropy += cross_entropy(scores, label);
        }
        for (sum, rate) in fired.iter_mut().zip(&outputs[2..]) {
            *sum += rate.to_f64().iter().take(count).sum::<f64>();
        }
        Ok(())
    })?;
    let count = on.data.count() as f64;
    evaluated.cross_entropy /= count;
    evaluated.spike_rates = rates.into_iter().zip(fired.into_iter().map(|sum| (sum / count) as f32)).collect();
    Ok(evaluated)
}

/// The number of classes that rank before `label`, by descending score.
fn rank(sums: &[f64], label: usize) -> usize {
    let own = sums[label];
    sums.iter().enumerate().filter(|(class, sum)| **sum > own || (**sum == own && *class < label)).count()
}

fn cross_entropy(sums: &[f64], label: usize) -> f64 {
    let largest = sums.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    largest + sums.iter().map(|sum| (sum - largest).exp()).sum::<f64>().ln() - sums[label]
}
