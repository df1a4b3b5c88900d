//! Computes a network's outputs for a whole data set, batch by batch. Invariant: does not depend on losses or files.

use std::collections::BTreeMap;
use std::ops::Range;

use spiq_hlo::{Array, DType, Function, Tensor, TensorType, vmap};

use crate::by_path::Tensors;
use crate::capacity;
use crate::compile::Program;
use crate::data::{Coding, Inputs};
use crate::data::{Encoding, encoded_features, group_key, test_key};
use crate::error::{Error, Result};
use crate::network::{Forward, Network};
use crate::nn::{Axes, Readout};
use crate::pjrt::{Buffer, Client, CompileOptions, Device, Executable, Input, Mesh, Platform};
use crate::ptq::{StoredNetwork, in_four_bits};
use crate::quant::{Mode, check_counted, missing};
use crate::random::Key;
use crate::signature::{Port, Role, Signature, Values};

/// How outputs are computed.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Maximum batch size. The last batch is padded with copies of the last sample, whose outputs are dropped.
    pub batch_size: usize,
    /// Time steps over which images are encoded; spike trains keep their own number.
    pub time_steps: usize,
    /// Seed of the image encoding.
    pub seed: i64,
    /// Index of the first test sample, to draw the spikes of images and form batches as in the test of a training run with this seed;
    /// `None`: the spikes of sample n are drawn from `fold_in(PRNGKey(seed), n)`.
    pub test_part: Option<usize>,
    /// The kind of samples that the network was [trained](crate::provenance::Provenance::coding) on; inputs are interpreted in the same way
    /// if they [can be](Inputs::coding_for).
    pub coding: Option<Coding>,
    /// Whether rules quantize as in training or after it; the outputs are the same.
    pub mode: Mode,
    /// How outputs are mapped to a class.
    pub readout: Readout,
    /// The number of devices that compute at the same time, each a separate batch; the outputs do not depend on it.
    pub devices: usize,
}

impl Default for Settings {
    /// Batches of 64, 32 time steps, seed 0 for each sample separately, samples as described by their file, QAT, classes by sums over time.
    fn default() -> Settings {
        Settings {
            batch_size: 64,
            time_steps: 32,
            seed: 0,
            test_part: None,
            coding: None,
            mode: Mode::Qat,
            readout: Readout::Sum,
            devices: 1,
        }
    }
}

/// A network's parameters.
#[derive(Clone, Copy, Debug)]
pub enum Weights<'a> {
    /// As trained, with the statistics of static scales.
    Trained(&'a BTreeMap<String, Array>),
    /// Stored quantized, as returned by [`read_weights`](crate::ptq::read_weights).
    Stored(&'a BTreeMap<String, Array>),
}

/// A network's outputs for all samples.
#[derive(Clone, Debug)]
pub struct Predictions {
    /// Its outputs, f32 [N, T, …].
    pub outputs: Array,
    /// The predicted class of each sample, by the [readout](Settings::readout): by default the one with the largest sum of outputs over
    /// time, the first of equals. Empty if outputs are not [N, T, C].
    pub classes: Vec<i32>,
}

impl Predictions {
    /// The fraction of samples, starting at index `first`, whose predicted class equals their label.
    pub fn accuracy(&self, labels: &[i32], first: usize) -> f32 {
        let right = self.classes[first..].iter().zip(labels).filter(|(class, label)| class == label).count();
        (right as f64 / labels.len() as f64) as f32
    }
}

/// The outputs of a network for every sample: f32 [N, T, C].
///
/// Images are encoded as spikes: those of sample n are drawn from `fold_in(PRNGKey(seed), n)`, shape [T, 1, …], so they do not depend on
/// the batch size. With a [`test_part`](Settings::test_part), they are those of a training run's test.
///
/// # Errors
/// Of kind `Input`: parameters or inputs that do not fit the network, sizes that are zero or too large; PJRT's errors.
///
/// ```
/// use spiq::{config::ModelConfig, data::Dataset, network::Network, pjrt::Client, predict};
/// let text = "[[layers]]\ntype = \"Linear\"\nin_features = 64\nout_features = 10\n[[layers]]\ntype = \"LI\"\nlayer_shape = 10";
/// let network = Network::new(ModelConfig::parse(text, "model.toml")?, vec![])?;
/// let settings = predict::Settings { time_steps: 4, ..Default::default() };
/// let digits = Dataset::digits();
/// let outputs = predict::outputs(&Client::cpu()?, &network, &network.init(0), digits.inputs(), &settings)?;
/// assert_eq!(outputs.dims(), [1797, 4, 10]);
/// # Ok::<(), spiq::Error>(())
/// ```
pub fn outputs(
    client: &Client,
    network: &Network,
    params: &BTreeMap<String, Array>,
    inputs: &Inputs,
    settings: &Settings,
) -> Result<Array> {
    Ok(predictions(client, network, Weights::Trained(params), inputs, settings)?.outputs)
}

/// Like [`outputs`], but from weights stored quantized, as returned by [`read_weights`](crate::ptq::read_weights). They stay quantized on
/// the device. The outputs are bit-identical to those of the network with the original parameters.
///
/// # Errors
/// As [`outputs`].
pub fn outputs_of_stored(
    client: &Client,
    network: &Network,
    weights: &BTreeMap<String, Array>,
    inputs: &Inputs,
    settings: &Settings,
) -> Result<Array> {
    Ok(predictions(client, network, Weights::Stored(weights), inputs, settings)?.outputs)
}

/// The outputs of a network for every sample, and the predicted classes, as in the test of a training run.
///
/// # Errors
/// As [`outputs`].
pub fn predictions(
    client: &Client,
    network: &Network,
    weights: Weights<'_>,
    inputs: &Inputs,
    settings: &Settings,
) -> Result<Predictions> {
    let plan = Plan::new(network, inputs, settings)?;
    let (params, forward) = match weights {
        Weights::Trained(params) => (params, network.forward(&plan.x_type(), settings.mode)?),
        Weights::Stored(params) => {
            let stored = StoredNetwork::new(network, &plan.x_type())?;
            // The kernels of the CPU read bytes.
            let is_cpu = client.platform() == Some(Platform::Cpu);
            (params, if is_cpu { stored.forward } else { stored.packed()? })
        }
    };
    check_counted(params)?;
    let function = plan.program(&forward.signature, |given, x| answered(&forward, settings.readout, given, x))?;
    check_memory(client, "predicting with this model", &forward.signature, plan.bytes_of_all(&function))?;
    let mesh = Mesh::new(client, settings.devices)?;
    let on = |device| on_device(client, device, params, forward.signature.arrays());
    let params: Vec<Vec<Buffer>> = mesh.local().iter().map(on).collect::<Result<_>>()?;
    let options = CompileOptions { replicas: mesh.world(), ..CompileOptions::default() };
    let program = Program { options, ..Program::named("predict") }.compile(client, &function)?;
    let mut bytes = vec![Vec::new(); function.result_types().len()];
    for batches in plan.batches().chunks(mesh.local().len()) {
        for results in plan.run(&mesh, &program, &params, batches)? {
            bytes.iter_mut().zip(results).for_each(|(all, part)| all.extend(part));
        }
    }
    let mut arrays = function.result_types().into_iter().zip(bytes).map(|(ty, bytes)| {
        let dims = [&[inputs.count()], &ty.dims[1..]].concat();
        Array::from_bytes(ty.with_dims(dims), bytes).expect("as many results as samples")
    });
    let outputs = arrays.next().expect("outputs come first");
    let classes = arrays.next().map(|classes| classes.to_vec().expect("numbers of classes"));
    Ok(Predictions { outputs, classes: classes.unwrap_or_default() })
}

/// The outputs [B, T, …] of a pass and, if they are [B, T, C], the predicted classes.
fn answered(forward: &Forward, readout: Readout, given: &Values, x: &Tensor) -> Vec<(Role, Tensors)> {
    let pass = forward.call(&given.arrays(), x);
    let traces = pass.only(Role::Traces);
    let mut results = vec![(Role::Traces, [("traces".to_owned(), traces.swap_axes(0, 1))].into())];
    if traces.rank() == 3 {
        let classes = readout.classes(&traces.named("T B C")).into_tensor();
        results.push((Role::Given, [("classes".to_owned(), classes)].into()));
    }
    results
}

/// The statistics for a network's static scales, by path, from a pass over samples in whole batches: the same as qwix gathers in as many
/// calls of the model. An incomplete last batch is ignored.
///
/// # Errors
/// Of kind `Input`: rules without static scales, parameters or inputs that do not fit the network; PJRT's errors.
pub fn calibrate(
    client: &Client,
    network: &Network,
    params: &BTreeMap<String, Array>,
    inputs: &Inputs,
    settings: &Settings,
) -> Result<BTreeMap<String, Array>> {
    let plan = Plan::new(network, inputs, settings)?;
    let seen = network.seeing(&plan.x_type())?;
    let statistics = seen.signature.types(Role::Statistic);
    if statistics.is_empty() {
        let asked = network.rules().have_static_scales();
        return Err(Error::input(match asked {
            true => {
                "all activations with act_static_scale are integers that need no scale, so there is nothing to calibrate"
            }
            false => {
                "no rule has act_static_scale, so there is nothing to calibrate; set it in a rule, or leave calibration out"
            }
        }));
    }
    let function = plan.program(&seen.signature, |given, x| {
        // No gradient is computed and dropout is off, so nothing is drawn from these keys.
        let zeros = |port: &Port| (port.name.clone(), x.graph().zeros(port.ty.clone()));
        let keys = [Role::ModelKey, Role::NoiseKey].into_iter().flat_map(|role| seen.signature.of(role)).map(zeros);
        let pass = seen.call(&given.arrays().into_iter().chain(keys).collect(), x);
        vec![(Role::Statistic, pass.of(Role::Statistic))]
    })?;
    check_memory(client, "calibrating this model", &seen.signature, 0)?;
    let program = Program::named("calibrate").compile(client, &function)?;
    let given = [Role::Parameter, Role::Running].into_iter().flat_map(|role| seen.signature.of(role));
    let device = &client.devices()[0];
    let params = on_device(client, device, params, given)?;
    let zeros = statistics.values().map(|ty| client.to_device(&Array::zeros(ty.clone())));
    let mut now: Vec<Buffer> = zeros.collect::<Result<_>>()?;
    for batch in plan.batches().iter().filter(|batch| batch.counted.len() == plan.batch_size) {
        let samples = plan.samples(client, device, batch)?;
        now = program.execute(params.iter().chain(&now).chain(&samples).map(Input::Borrow).collect())?;
    }
    statistics.into_keys().zip(&now).map(|(path, buffer)| Ok((path, buffer.to_array()?))).collect()
}

/// Refuses a pass whose arrays and results, of this many bytes, do not fit into memory.
fn check_memory(client: &Client, doing: &str, pass: &Signature, results: u64) -> Result<()> {
    let on_processor = client.platform() == Some(Platform::Cpu);
    capacity::check_running(doing, pass.arrays().map(|port| &port.ty), results, on_processor)
}

/// The arrays that a program requires, on a device.
fn on_device<'a>(
    client: &Client,
    device: &Device,
    arrays: &BTreeMap<String, Array>,
    wanted: impl Iterator<Item = &'a Port>,
) -> Result<Vec<Buffer>> {
    let buffer = |Port { name, ty, .. }: &Port| match arrays.get(name) {
        Some(array) if array.ty() == ty => client.to_device_on(array, device),
        Some(array) if array.ty().with_dtype(DType::S4) == *ty => {
            client.to_device_on(&in_four_bits(name, array)?, device)
        }
        _ => Err(missing(name, ty)),
    };
    wanted.map(buffer).collect()
}

/// The settings shared by all batches.
struct Plan<'a> {
    inputs: &'a Inputs,
    batch_size: usize,
    encoding: Encoding,
    seed: i64,
    /// In a run's test: the size of the groups whose spikes are drawn together, and the start of the first one.
    test: Option<(usize, usize)>,
}

/// Samples whose outputs are computed at once.
struct Batch {
    /// The samples passed to the program, padded with copies of the last one.
    places: Vec<usize>,
    /// The keys of their spikes: one per sample, or one for all.
    keys: Vec<Key>,
    /// The first of the passed samples to compute; a batch computes `batch_size` of them.
    start: usize,
    /// The results of the batch to keep.
    counted: Range<usize>,
}

impl Plan<'_> {
    fn new<'a>(network: &Network, inputs: &'a Inputs, settings: &Settings) -> Result<Plan<'a>> {
        let coding = settings.coding.map_or(inputs.coding(), |trained| inputs.coding_for(trained));
        let sample = network.sample_shape(&encoded_features(inputs, coding))?;
        let encoding = Encoding::coded(inputs, coding, settings.time_steps).shaped(sample);
        let test = match settings.test_part {
            Some(first) if first >= inputs.count() => {
                return Err(Error::input(format!("there is no sample {first} for the test part to start with")));
            }
            first => {
                first.map(|first| (network.test_group(|size| encoding.x_type(size), inputs.count() - first), first))
            }
        };
        let most = test.map_or(inputs.count(), |(group, _)| group);
        Ok(Plan { inputs, batch_size: settings.batch_size.min(most), encoding, seed: settings.seed, test })
    }

    fn x_type(&self) -> TensorType {
        self.encoding.x_type(self.batch_size)
    }

    /// The number of samples passed to the program at once.
    fn given(&self) -> usize {
        self.test.map_or(self.batch_size, |(group, _)| group)
    }

    /// A program that takes the arrays of `pass`, keys, samples as stored, and the index of the first one to compute. `f` receives these
    /// inputs and x.
    fn program(&self, pass: &Signature, f: impl FnOnce(&Values, &Tensor) -> Vec<(Role, Tensors)>) -> Result<Function> {
        let keys = if self.test.is_some() { 1 } else { self.batch_size };
        let given = [
            ("keys", TensorType::new(DType::U32, [keys, 2])),
            ("samples", self.encoding.stored_type(self.given())),
            ("start", TensorType::scalar(DType::S32)),
        ];
        let (function, _) = Signature::default().taking(pass.arrays()).with(Role::Given, given).trace(|given| {
            let [keys, samples, start] = ["keys", "samples", "start"].map(|name| given.one(Role::Given, name));
            f(given, &self.encode(keys, samples, start))
        })?;
        Ok(function)
    }

    /// Spikes [T, B, …] of samples, each encoded separately, or a slice of those that are encoded together.
    fn encode(&self, keys: &Tensor, samples: &Tensor, start: &Tensor) -> Tensor {
        if self.test.is_some() {
            let all = self.encoding.encode(&keys.index_axis(0, 0), samples);
            if self.given() == self.batch_size {
                return all;
            }
            let mut starts = vec![start.zeros_like(); all.rank()];
            starts[1] = start.clone();
            return all.dynamic_slice(&starts, &self.x_type().dims);
        }
        let one = |(key, sample): (Tensor, Tensor)| self.encoding.encode(&key, &sample.expand_dims(0));
        let spikes = vmap(&(keys.clone(), samples.clone()), one);
        spikes.reshape(&[&spikes.dims()[..2], &spikes.dims()[3..]].concat()).swap_axes(0, 1)
    }

    /// Bytes of a function's results for all samples.
    fn bytes_of_all(&self, function: &Function) -> u64 {
        let of_batch = capacity::bytes(function.result_types().iter());
        of_batch.saturating_mul(self.inputs.count().div_ceil(self.batch_size) as u64)
    }

    /// All samples in order, batch by batch.
    fn batches(&self) -> Vec<Batch> {
        let count = self.inputs.count();
        let Some((group, first)) = self.test else {
            let batch = |start: usize| {
                let places: Vec<usize> = filled(start..count, self.batch_size);
                let key = Key::new(self.seed);
                let keys = places.iter().map(|place| key.fold_in(*place as u32)).collect();
                Batch { places, keys, start: 0, counted: 0..self.batch_size.min(count - start) }
            };
            return (0..count).step_by(self.batch_size).map(batch).collect();
        };
        let mut batches = Vec::new();
        // Samples before the test part are drawn from a separate key.
        let parts = [(0..first, test_key(self.seed).fold_in(u32::MAX)), (first..count, test_key(self.seed))];
        for (part, key) in parts {
            for (number, begin) in part.clone().step_by(group).enumerate() {
                let members = group.min(part.end - begin);
                for offset in (0..members).step_by(self.batch_size) {
                    // If the group size is not a multiple of the batch size, its last batch overlaps the previous one.
                    let start = offset.min(group - self.batch_size);
                    let counted = offset - start..(members - start).min(self.batch_size);
                    let keys = vec![group_key(key, number)];
                    batches.push(Batch { places: filled(begin..part.end, group), keys, start, counted });
                }
            }
        }
        batches
    }

    /// The program's inputs for a batch: keys, samples, index of the first one to compute.
    fn samples(&self, client: &Client, device: &Device, batch: &Batch) -> Result<[Buffer; 3]> {
        let keys: Vec<u32> = batch.keys.iter().flat_map(|key| key.words()).collect();
        let keys = Array::new([batch.keys.len(), 2], keys).expect("two words a key");
        let (samples, start) = (self.inputs.gather(&batch.places)?, Array::scalar(batch.start as i32));
        let on = |array| client.to_device_on(array, device);
        Ok([on(&keys)?, on(&samples)?, on(&start)?])
    }

    /// The bytes of each result of each batch, one batch on each device, without padding and overlap.
    fn run(
        &self,
        mesh: &Mesh,
        program: &Executable,
        params: &[Vec<Buffer>],
        batches: &[Batch],
    ) -> Result<Vec<Vec<Vec<u8>>>> {
        let each = mesh.local().iter().zip(params).enumerate().map(|(at, (device, params))| {
            // Devices for which no batch is left repeat the last one.
            let given = self.samples(mesh.client(), device, &batches[at.min(batches.len() - 1)])?;
            Ok(params.iter().map(Input::Borrow).chain(given.map(Input::Donate)).collect())
        });
        let outputs = program.execute_on_each(each.collect::<Result<_>>()?)?;
        let counted = |batch: &Batch, buffer: &Buffer| {
            let array = buffer.to_array()?;
            let one = array.bytes().len() / self.batch_size;
            Ok(array.bytes()[one * batch.counted.start..one * batch.counted.end].to_vec())
        };
        let of_batch =
            |(batch, outputs): (&Batch, &Vec<Buffer>)| outputs.iter().map(|one| counted(batch, one)).collect();
        batches.iter().zip(&outputs).map(of_batch).collect()
    }
}

/// The indices of `size` samples from the start of a range, padded with its last one.
fn filled(range: Range<usize>, size: usize) -> Vec<usize> {
    let last = range.end - 1;
    (range.start..range.start + size).map(|place| place.min(last)).collect()
}
