//! A network's outputs for a whole data set, a batch at a time. Knows nothing of labels, losses and files.

use std::collections::BTreeMap;

use spiq_hlo::{Array, DType, Function, Tensor, TensorType, trace, vmap};

use crate::data::Inputs;
use crate::error::{Error, Result};
use crate::jit::{Program, graph_error};
use crate::network::{Forward, Network};
use crate::pjrt::{Buffer, Client, Executable, Input};
use crate::ptq::StoredNetwork;
use crate::quant::{Mode, check_counted, missing};
use crate::random::Key;
use crate::train::Encoding;

/// How outputs are computed.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Samples at a time. The last batch is filled up with copies of the last sample, whose outputs are cut off.
    pub batch_size: usize,
    /// Time steps that images are encoded over; spike trains keep their own.
    pub time_steps: usize,
    /// What the encoding of images is drawn from.
    pub seed: i64,
    /// Whether rules quantize as in training or after it; the outputs are the same.
    pub mode: Mode,
}

impl Default for Settings {
    /// Batches of 64, 32 time steps, seed 0, QAT.
    fn default() -> Settings {
        Settings { batch_size: 64, time_steps: 32, seed: 0, mode: Mode::Qat }
    }
}

/// The outputs of a network for every sample: f32 [N, T, C].
///
/// Images become spikes by their encoder: those of sample n are drawn from `fold_in(PRNGKey(seed), n)`, shape [T, 1, …], so
/// that they do not depend on the batch size.
///
/// # Errors
/// Of kind `Input`: parameters or inputs that do not fit the network, sizes that are zero or too large; what PJRT says.
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
    run(client, network, params, inputs, settings, |x| network.forward(x, settings.mode))
}

/// Like [`outputs`], but from weights that are stored quantized: what [`read_weights`](crate::ptq::read_weights) gives. They
/// stay quantized on the device. The outputs are those of the network with the parameters they were made of, bit for bit.
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
    run(client, network, weights, inputs, settings, |x| Ok(StoredNetwork::new(network, x)?.forward))
}

fn run(
    client: &Client,
    network: &Network,
    params: &BTreeMap<String, Array>,
    inputs: &Inputs,
    settings: &Settings,
    forward: impl FnOnce(&TensorType) -> Result<Forward>,
) -> Result<Array> {
    check_counted(params)?;
    let plan = Plan::new(network, inputs, settings)?;
    let forward = forward(&plan.x_type())?;
    let given: Vec<(String, TensorType)> = forward.paths.iter().cloned().zip(forward.function.input_types()).collect();
    let params = on_device(client, params, &given)?;
    let function =
        plan.program(&given, |values, x| forward.call(values, None, x).iter().map(swap_first_axes).collect())?;
    let program = Program::named("predict").compile(client, &function)?;
    let output = function.result_types().swap_remove(0);
    let mut bytes = Vec::new();
    for start in (0..inputs.count()).step_by(plan.batch_size) {
        bytes.extend_from_slice(&plan.batch(client, &program, &params, start)?);
    }
    let dims = [&[inputs.count()], &output.dims[1..]].concat();
    Ok(Array::from_bytes(output.with_dims(dims), bytes).expect("as many outputs as samples"))
}

/// The statistics that a network's static scales come from, by path, after a pass over samples in whole batches: what qwix
/// would gather in as many calls of the model. Samples that fill no batch are left out.
///
/// # Errors
/// Of kind `Input`: rules without static scales, parameters or inputs that do not fit the network; what PJRT says.
pub fn calibrate(
    client: &Client,
    network: &Network,
    params: &BTreeMap<String, Array>,
    inputs: &Inputs,
    settings: &Settings,
) -> Result<BTreeMap<String, Array>> {
    let plan = Plan::new(network, inputs, settings)?;
    let seen = network.seeing(&plan.x_type())?;
    if seen.statistics.is_empty() {
        let asked = network.rules().iter().any(|rule| rule.act_static_scale == Some(true));
        return Err(Error::input(match asked {
            true => {
                "all activations with act_static_scale are integers that need no scale, so there is nothing to calibrate"
            }
            false => "no rule has act_static_scale, so there is nothing to calibrate",
        }));
    }
    let types = network.parameter_types();
    let given: Vec<(String, TensorType)> = types.clone().into_iter().chain(seen.statistics.clone()).collect();
    let function = plan.program(&given, |values, x| {
        let (now, statistics) = values.split_at(types.len());
        let now = types.keys().cloned().zip(now.iter().cloned()).collect();
        // No gradient is taken and nothing is dropped, so nothing is drawn from this key.
        let key = x.graph().zeros(TensorType::new(DType::U32, [2]));
        seen.call(&now, statistics, [&key, &key], x).1
    })?;
    let program = Program::named("calibrate").compile(client, &function)?;
    let params = on_device(client, params, &given[..types.len()])?;
    let zeros = seen.statistics.values().map(|ty| client.to_device(&Array::zeros(ty.clone())));
    let mut now: Vec<Buffer> = zeros.collect::<Result<_>>()?;
    for batch in 0..inputs.count() / plan.batch_size {
        let samples = plan.samples(client, batch * plan.batch_size)?;
        now = program.execute(params.iter().chain(&now).chain(&samples).map(Input::Borrow).collect())?;
    }
    seen.statistics.into_keys().zip(&now).map(|(path, buffer)| Ok((path, buffer.to_array()?))).collect()
}

/// Arrays of these paths and types, on the device.
fn on_device(
    client: &Client,
    arrays: &BTreeMap<String, Array>,
    wanted: &[(String, TensorType)],
) -> Result<Vec<Buffer>> {
    let buffer = |(path, ty): &(String, TensorType)| match arrays.get(path) {
        Some(array) if array.ty() == ty => client.to_device(array),
        _ => Err(missing(path, ty)),
    };
    wanted.iter().map(buffer).collect()
}

/// What is the same for all batches.
struct Plan<'a> {
    inputs: &'a Inputs,
    key: Key,
    batch_size: usize,
    encoding: Encoding,
}

impl Plan<'_> {
    fn new<'a>(network: &Network, inputs: &'a Inputs, settings: &Settings) -> Result<Plan<'a>> {
        let sample = network.sample_shape(inputs.features())?;
        let batch_size = settings.batch_size.min(inputs.count());
        let encoding = Encoding::of(inputs, settings.time_steps).shaped(sample);
        Ok(Plan { inputs, key: Key::new(settings.seed), batch_size, encoding })
    }

    fn x_type(&self) -> TensorType {
        self.encoding.x_type(self.batch_size)
    }

    /// A program of what is `given`, a key a sample and samples as they are stored. `f` sees what is given, and x.
    fn program(
        &self,
        given: &[(String, TensorType)],
        f: impl FnOnce(&[Tensor], &Tensor) -> Vec<Tensor>,
    ) -> Result<Function> {
        let mut inputs: Vec<(&str, TensorType)> = given.iter().map(|(name, ty)| (name.as_str(), ty.clone())).collect();
        inputs.push(("keys", TensorType::new(DType::U32, [self.batch_size, 2])));
        inputs.push(("samples", self.encoding.stored_type(self.batch_size)));
        let function = trace(&inputs, |values| {
            let [given @ .., keys, samples] = values else { unreachable!("two inputs follow what is given") };
            f(given, &self.encode(keys, samples))
        });
        function.map_err(graph_error)
    }

    /// Spikes [T, B, …] of samples, each encoded by itself.
    fn encode(&self, keys: &Tensor, samples: &Tensor) -> Tensor {
        let one = |(key, sample): (Tensor, Tensor)| self.encoding.encode(&key, &sample.expand_dims(0));
        let spikes = vmap(&(keys.clone(), samples.clone()), one);
        swap_first_axes(&spikes.reshape(&[&spikes.dims()[..2], &spikes.dims()[3..]].concat()))
    }

    /// Keys and samples from `start` on, the last one repeated where there are no more.
    fn samples(&self, client: &Client, start: usize) -> Result<[Buffer; 2]> {
        let last = self.inputs.count() - 1;
        let places: Vec<usize> = (start..start + self.batch_size).map(|place| place.min(last)).collect();
        let keys: Vec<u32> = places.iter().flat_map(|place| self.key.fold_in(*place as u32).words()).collect();
        let keys = Array::new([self.batch_size, 2], keys).expect("two words a sample");
        Ok([client.to_device(&keys)?, client.to_device(&self.inputs.gather(&places)?)?])
    }

    /// The bytes of the outputs of the samples from `start` on, without those that fill up the batch.
    fn batch(&self, client: &Client, program: &Executable, params: &[Buffer], start: usize) -> Result<Vec<u8>> {
        let given = self.samples(client, start)?;
        let arguments = params.iter().map(Input::Borrow).chain(given.map(Input::Donate)).collect();
        let output = program.execute(arguments)?.swap_remove(0).to_array()?;
        let counted = (self.inputs.count() - start).min(self.batch_size);
        Ok(output.bytes()[..output.bytes().len() / self.batch_size * counted].to_vec())
    }
}

fn swap_first_axes(tensor: &Tensor) -> Tensor {
    let mut order: Vec<usize> = (0..tensor.rank()).collect();
    order.swap(0, 1);
    tensor.transpose(&order)
}
