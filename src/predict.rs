//! A network's outputs for a whole data set, a batch at a time. Knows nothing of labels, losses and files.

use std::collections::BTreeMap;

use spiq_hlo::{Array, DType, Tensor, TensorType, trace, vmap};

use crate::data::Inputs;
use crate::error::{Error, Result};
use crate::jit::{Program, graph_error};
use crate::network::{Forward, Network};
use crate::pjrt::{Buffer, Client, Executable, Input};
use crate::quant::Mode;
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
    let plan = Plan::new(network, inputs, settings)?;
    let on_device = |(path, ty): (String, TensorType)| match params.get(&path) {
        Some(array) if *array.ty() == ty => client.to_device(array),
        _ => Err(Error::input(format!("the network needs the parameter `{path}` ({ty})"))),
    };
    let params: Vec<Buffer> = network.parameter_types().into_iter().map(on_device).collect::<Result<_>>()?;
    let (program, output) = plan.compile(client)?;
    let mut bytes = Vec::new();
    for start in (0..inputs.count()).step_by(plan.batch_size) {
        bytes.extend_from_slice(&plan.batch(client, &program, &params, start)?);
    }
    let dims = [&[inputs.count()], &output.dims[1..]].concat();
    Ok(Array::from_bytes(output.with_dims(dims), bytes).expect("as many outputs as samples"))
}

/// What is the same for all batches.
struct Plan<'a> {
    inputs: &'a Inputs,
    key: Key,
    batch_size: usize,
    encoding: Encoding,
    forward: Forward,
}

impl Plan<'_> {
    fn new<'a>(network: &Network, inputs: &'a Inputs, settings: &Settings) -> Result<Plan<'a>> {
        let sample = network.sample_shape(inputs.features())?;
        let batch_size = settings.batch_size.min(inputs.count());
        let encoding = Encoding::of(inputs, settings.time_steps).shaped(sample);
        let forward = network.forward(&encoding.x_type(batch_size), settings.mode)?;
        Ok(Plan { inputs, key: Key::new(settings.seed), batch_size, encoding, forward })
    }

    /// The program: parameters, a key a sample and samples as they are stored to outputs [B, T, C], and the outputs' type.
    fn compile(&self, client: &Client) -> Result<(Executable, TensorType)> {
        let names = self.forward.paths.iter().map(String::as_str).chain(["keys", "samples"]);
        let mut types = self.forward.function.input_types();
        types.pop();
        types.push(TensorType::new(DType::U32, [self.batch_size, 2]));
        types.push(self.encoding.stored_type(self.batch_size));
        let function = trace(&names.zip(types).collect::<Vec<_>>(), |values| {
            let [params @ .., keys, samples] = values else { unreachable!("two inputs follow the parameters") };
            let arguments = [params, &[self.encode(keys, samples)]].concat();
            self.forward.function.call(keys.graph(), &arguments).iter().map(swap_first_axes).collect()
        });
        let function = function.map_err(graph_error)?;
        let program = Program::named("predict").compile(client, &function)?;
        Ok((program, function.result_types().swap_remove(0)))
    }

    /// Spikes [T, B, …] of samples, each encoded by itself.
    fn encode(&self, keys: &Tensor, samples: &Tensor) -> Tensor {
        let one = |(key, sample): (Tensor, Tensor)| self.encoding.encode(&key, &sample.expand_dims(0));
        let spikes = vmap(&(keys.clone(), samples.clone()), one);
        swap_first_axes(&spikes.reshape(&[&spikes.dims()[..2], &spikes.dims()[3..]].concat()))
    }

    /// The bytes of the outputs of the samples from `start` on, without those that fill up the batch.
    fn batch(&self, client: &Client, program: &Executable, params: &[Buffer], start: usize) -> Result<Vec<u8>> {
        let last = self.inputs.count() - 1;
        let places: Vec<usize> = (start..start + self.batch_size).map(|place| place.min(last)).collect();
        let keys: Vec<u32> = places.iter().flat_map(|place| self.key.fold_in(*place as u32).words()).collect();
        let keys = Array::new([self.batch_size, 2], keys).expect("two words a sample");
        let given = [client.to_device(&keys)?, client.to_device(&self.inputs.gather(&places)?)?];
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
