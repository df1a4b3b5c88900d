//! A network's outputs for a whole data set, a batch at a time. Knows nothing of labels, training and files.

use std::collections::BTreeMap;

use spiq_hlo::{Array, DType, Tensor, TensorType, trace};

use crate::config::LayerConfig;
use crate::data::{Encoder, Inputs};
use crate::error::{Error, Result};
use crate::jit::{Program, graph_error};
use crate::network::{Forward, Network};
use crate::pjrt::{Buffer, Client, Executable, Input};
use crate::quant::Mode;
use crate::random::Key;

/// Elements of the largest array that is made; beyond it, sizes are a mistake.
const LARGEST: usize = i32::MAX as usize;

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
/// Images become spikes by their encoder: sample n draws [T, …] from `Key::new(seed).fold_in(n)`, so its spikes do not
/// depend on the batch size.
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
    let params = network.parameter_types().iter().map(|(path, ty)| match params.get(path) {
        Some(array) if array.ty() == ty => client.to_device(array),
        _ => Err(Error::input(format!("the network needs the parameter `{path}` ({ty})"))),
    });
    let (params, program) = (params.collect::<Result<Vec<Buffer>>>()?, plan.compile(client)?);
    let mut bytes = Vec::new();
    for start in (0..inputs.count()).step_by(plan.batch_size) {
        bytes.extend_from_slice(&plan.batch(client, &program, &params, start)?);
    }
    let ty = plan.output.with_dims([&[inputs.count()], &plan.output.dims[1..]].concat());
    Ok(Array::from_bytes(ty, bytes).expect("as many outputs as samples"))
}

/// What is the same for all batches.
struct Plan<'a> {
    inputs: &'a Inputs,
    key: Key,
    batch_size: usize,
    time_steps: usize,
    forward: Forward,
    /// Outputs of one batch, [B, T, C].
    output: TensorType,
}

impl Plan<'_> {
    fn new<'a>(network: &Network, inputs: &'a Inputs, settings: &Settings) -> Result<Plan<'a>> {
        check_features(network, inputs)?;
        let time_steps = inputs.steps().unwrap_or(settings.time_steps);
        let batch_size = settings.batch_size.min(inputs.count());
        let dims = [&[time_steps, batch_size], inputs.features()].concat();
        let count = dims.iter().try_fold(1usize, |count, size| count.checked_mul(*size));
        if !count.is_some_and(|count| (1..=LARGEST).contains(&count)) {
            let message = "time steps and a batch of {batch_size} give an array that is empty or too large";
            return Err(Error::input(format!("{time_steps} {}", message.replace("{batch_size}", &batch_size.to_string()))));
        }
        let forward = network.forward(&TensorType::new(DType::F32, dims), settings.mode)?;
        let mut output = forward.function.result_types().swap_remove(0);
        output.dims.swap(0, 1);
        Ok(Plan { inputs, key: Key::new(settings.seed), batch_size, time_steps, forward, output })
    }

    /// The program: parameters and samples [B, T, …] as they are stored to outputs [B, T, C].
    fn compile(&self, client: &Client) -> Result<Executable> {
        let names = self.forward.paths.iter().map(String::as_str).chain(["samples"]);
        let mut types = self.forward.function.input_types();
        if let Some(x) = types.last_mut() {
            x.dims.swap(0, 1);
            x.dtype = self.inputs.samples().dtype();
        }
        let function = trace(&names.zip(types).collect::<Vec<_>>(), |values| {
            let mut values = values.to_vec();
            if let Some(samples) = values.pop() {
                values.push(swap_first_axes(&samples.convert(DType::F32)));
            }
            self.forward.function.call(values[0].graph(), &values).iter().map(swap_first_axes).collect()
        });
        Program::named("predict").compile(client, &function.map_err(graph_error)?)
    }

    /// The bytes of the outputs of the samples from `start` on, without those that fill up the batch.
    fn batch(&self, client: &Client, program: &Executable, params: &[Buffer], start: usize) -> Result<Vec<u8>> {
        let last = self.inputs.count() - 1;
        let places: Vec<usize> = (start..start + self.batch_size).map(|place| place.min(last)).collect();
        let samples = self.inputs.gather(&places)?;
        let samples = match self.inputs.encoder() {
            Some(encoder) => self.encode(&samples, &places, encoder),
            None => samples,
        };
        let samples = client.to_device(&samples)?;
        let arguments = params.iter().map(Input::Borrow).chain([Input::Donate(samples)]).collect();
        let output = program.execute(arguments)?.swap_remove(0).to_array()?;
        let counted = (self.inputs.count() - start).min(self.batch_size);
        Ok(output.bytes()[..output.bytes().len() / self.batch_size * counted].to_vec())
    }

    /// Spikes u8 [B, T, …] of images [B, …].
    fn encode(&self, images: &Array, places: &[usize], encoder: Encoder) -> Array {
        let Encoder::Rate { max } = encoder;
        let size = images.bytes().len() / places.len();
        let mut spikes = Vec::with_capacity(images.bytes().len() * self.time_steps);
        for (image, place) in images.bytes().chunks_exact(size).zip(places) {
            let rates: Vec<f32> = image.iter().map(|pixel| f32::from(*pixel) / max).collect();
            let key = self.key.fold_in(*place as u32);
            spikes.extend(key.bernoulli_each(&rates.repeat(self.time_steps)).into_iter().map(u8::from));
        }
        let dims = [&[places.len(), self.time_steps], self.inputs.features()].concat();
        Array::new(dims, spikes).expect("a spike for each pixel and step")
    }
}

/// Says in the user's words what the trace would say in its own.
fn check_features(network: &Network, inputs: &Inputs) -> Result<()> {
    let features = inputs.features();
    let wanted = network.config().inputs();
    if features.last() == Some(&wanted) {
        return Ok(());
    }
    let layer = network.config().layers.first().map_or("layer", LayerConfig::type_name);
    Err(Error::input(format!("a sample of the data has the shape {features:?}, but the model's first layer ({layer}) takes {wanted} features")))
}

fn swap_first_axes(tensor: &Tensor) -> Tensor {
    let mut order: Vec<usize> = (0..tensor.rank()).collect();
    order.swap(0, 1);
    tensor.transpose(&order)
}
