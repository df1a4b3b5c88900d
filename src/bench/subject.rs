//! The programs of one arithmetic on a device, ready to be timed.

use std::time::{Duration, Instant};

use spiq_hlo::{Array, DType, Function, TensorType};

use super::arithmetic::Arithmetic;
use super::workload::Workload;
use crate::capacity::{self, Need};
use crate::compile::{Program, Sharding};
use crate::error::Result;
use crate::network::{Forward, Pass};
use crate::nn::X;
use crate::optim::{self, GradientTransformation};
use crate::pjrt::{Buffer, Client, CompileOptions, Executable, Input, Mesh, Platform};
use crate::quant::{Mode, products_in_bf16};
use crate::random::Key;
use crate::train;

/// The probability of a spike in each element of the input.
pub(super) const DENSITY: f32 = 0.1;

/// The common data of all arithmetics: spikes and labels, a part of them on each device.
pub struct Data {
    x: Vec<Buffer>,
    labels: Vec<Buffer>,
}

impl Data {
    /// Spikes `pred[T, B, …]`, each element with probability 0.1; labels `s32[B]`.
    ///
    /// # Errors
    /// Of kind `Input` for an input that is too large; PJRT's errors, such as too little memory.
    pub fn new(client: &Client, workload: &Workload) -> Result<Data> {
        Data::with_density(client, workload, DENSITY)
    }

    /// The same, with another probability of spikes.
    ///
    /// # Errors
    /// As [`Data::new`].
    pub fn with_density(client: &Client, workload: &Workload, density: f32) -> Result<Data> {
        Data::on(&Mesh::new(client, 1)?, workload, density)
    }

    /// The same, divided over several devices.
    ///
    /// # Errors
    /// As [`Data::new`]; of kind `Input` for samples that the devices cannot share evenly.
    pub fn on(mesh: &Mesh, workload: &Workload, density: f32) -> Result<Data> {
        workload.check()?;
        Sharding::over(mesh.world()).check_batch(workload.batch(), workload.batch_flag())?;
        let dims = workload.input();
        // A random word and a boolean each, and the copy on the device.
        let bytes = 6 * dims.iter().product::<usize>() as u64;
        Need { doing: "drawing the input", bytes, of: &format!("spikes {dims:?}"), instead: "give smaller sizes" }
            .check()?;
        let spikes = Key::new(1).bernoulli(dims.iter().product(), density);
        let labels = Key::new(2).randint::<i32>(workload.batch(), 0, workload.model.outputs() as i128);
        let array = |array: std::result::Result<Array, spiq_hlo::ArrayError>| array.expect("a value for each element");
        let x = mesh.split(&array(Array::new(dims, spikes)), 1)?;
        Ok(Data { x, labels: mesh.split(&array(Array::new([workload.batch()], labels)), 0)? })
    }
}

/// A compiled program, its compile time and memory.
pub(super) struct Compiled {
    pub(super) program: Executable,
    /// From the traced function to the executable, without a cache.
    pub(super) time: Duration,
    /// Peak memory of a run in bytes; `None` if the plugin does not report it.
    pub(super) peak: Option<u64>,
}

impl Compiled {
    fn new(client: &Client, function: &Function, mut program: Program) -> Result<Compiled> {
        program.options = CompileOptions { cache: false, ..program.options };
        let started = Instant::now();
        let program = program.compile(client, function)?;
        Ok(Compiled { time: started.elapsed(), peak: peak(&program), program })
    }
}

/// Peak memory of a run in bytes, as counted by the compiler. The CPU plugin's peak omits temporaries, so the larger of both counts is
/// used.
fn peak(program: &Executable) -> Option<u64> {
    let memory = program.memory().ok()?;
    let counted = memory.inputs + memory.outputs - memory.donated + memory.temporaries;
    u64::try_from(memory.peak.max(counted)).ok()
}

/// One arithmetic, for a custom harness. Its training continues from call to call.
///
/// ```
/// use spiq::{bench::{Arithmetic, Data, Shape, Subject}, pjrt::Client};
/// let (client, workload) = (Client::cpu()?, "4,2,8,8,3".parse::<Shape>()?.into());
/// let data = Data::new(&client, &workload)?;
/// let mut subject = Subject::new(&client, &workload, Arithmetic::Fp32, None, &data)?;
/// subject.run_step(&data)?;
/// # Ok::<(), spiq::Error>(())
/// ```
pub struct Subject {
    pub(super) forward: Compiled,
    pub(super) step: Compiled,
    /// Mean of the hidden layers' rates over all steps and samples, before training; 0 without hidden neurons.
    pub(super) spike_rate: f64,
    /// Parameters of the forward pass, on each device.
    params: Vec<Vec<Buffer>>,
    /// Parameters and optimizer state of the training, on each device.
    state: Vec<Vec<Buffer>>,
}

impl Subject {
    /// Compiles the programs of an arithmetic, without a cache; `tile` is as in [`Options`](super::Options).
    ///
    /// # Errors
    /// PJRT's errors.
    pub fn new(
        client: &Client,
        workload: &Workload,
        arithmetic: Arithmetic,
        tile: Option<usize>,
        data: &Data,
    ) -> Result<Subject> {
        Subject::on(&Mesh::new(client, 1)?, workload, arithmetic, tile, data)
    }

    /// The same, on several devices, for data that is divided over them.
    ///
    /// # Errors
    /// PJRT's errors.
    pub fn on(
        mesh: &Mesh,
        workload: &Workload,
        arithmetic: Arithmetic,
        tile: Option<usize>,
        data: &Data,
    ) -> Result<Subject> {
        let client = mesh.client();
        let network = arithmetic.network(workload.model.clone())?;
        let (optimizer, types) = (optim::lion(1e-3), network.parameter_types());
        let on_processor = client.platform() == Some(Platform::Cpu);
        // Lion keeps one number for each parameter.
        capacity::check_training(types.values(), types.values().chain(types.values()), on_processor)?;
        let values: Vec<Array> = network.init(0).into_values().collect();
        let on_each = |arrays: &[Array]| -> Result<Vec<Vec<Buffer>>> {
            let on = |device| arrays.iter().map(|array| client.to_device_on(array, device)).collect();
            mesh.local().iter().map(on).collect()
        };
        let params = on_each(&values)?;
        let zeros: Vec<Array> = optimizer.init(&types).into_values().collect();
        let ptq = forward(arithmetic, workload, Mode::Ptq.into(), tile)?;
        let qat = forward(arithmetic, workload, Mode::Qat.into(), tile)?;
        let counting = Pass { spike_rates: true, ..Mode::Ptq.into() };
        let counting = forward(arithmetic, workload, counting, tile)?;
        let (program, step) = train::step_from_spikes(&network, &qat, &optimizer)?;
        let shared = |program: Program| {
            let sharding = Sharding::over(mesh.world()).dividing(X, 1).dividing("labels", 0);
            Program { sharding, ..program }
        };
        Ok(Subject {
            forward: Compiled::new(client, &ptq.function, shared(Program::named("forward")))?,
            step: Compiled::new(client, &step, shared(program))?,
            spike_rate: spike_rate(client, &counting, shared(Program::named("spike_rate")), &params, data)?,
            state: on_each(&[values, zeros].concat())?,
            params,
        })
    }

    /// Runs one forward pass and waits for it.
    ///
    /// # Errors
    /// PJRT's errors.
    pub fn run_forward(&self, data: &Data) -> Result<()> {
        wait(&self.start_forward(data)?)
    }

    /// Runs one training step and waits for it.
    ///
    /// # Errors
    /// PJRT's errors.
    pub fn run_step(&mut self, data: &Data) -> Result<()> {
        self.start_step(data)?;
        wait(&self.state)
    }

    /// Starts a forward pass; returns its results on each device, which are not ready yet.
    pub(super) fn start_forward(&self, data: &Data) -> Result<Vec<Vec<Buffer>>> {
        self.forward.program.execute_on_each(of_forward(&self.params, data))
    }

    /// Starts a training step after the previous one.
    pub(super) fn start_step(&mut self, data: &Data) -> Result<()> {
        let of_device = |((state, x), labels): ((Vec<Buffer>, _), _)| {
            state.into_iter().map(Input::Donate).chain([x, labels].map(Input::Borrow)).collect()
        };
        let inputs = self.state.drain(..).zip(&data.x).zip(&data.labels).map(of_device).collect();
        let mut outputs = self.step.program.execute_on_each(inputs)?;
        // The loss is last.
        outputs.iter_mut().for_each(|outputs| drop(outputs.pop()));
        self.state = outputs;
        Ok(())
    }

    /// Waits for the steps that were started.
    pub(super) fn wait_for_steps(&self) -> Result<()> {
        wait(&self.state)
    }
}

pub(super) fn wait(outputs: &[Vec<Buffer>]) -> Result<()> {
    outputs.iter().flatten().try_for_each(Buffer::wait)
}

/// The inputs of a forward pass, on each device.
fn of_forward<'a>(params: &'a [Vec<Buffer>], data: &'a Data) -> Vec<Vec<Input<'a>>> {
    let of_device = |(params, x): (&'a Vec<Buffer>, _)| params.iter().chain([x]).map(Input::Borrow).collect();
    params.iter().zip(&data.x).map(of_device).collect()
}

/// The forward pass in an arithmetic: from parameters and spikes [T, B, …] as booleans to traces [T, B, C] and the pass's other results.
fn forward(arithmetic: Arithmetic, workload: &Workload, pass: Pass, tile: Option<usize>) -> Result<Forward> {
    let network = arithmetic.network(workload.model.clone())?.with_time_tile(tile);
    let x = TensorType::new(DType::Pred, workload.input());
    let mut forward = network.forward(&x, pass)?;
    if arithmetic == Arithmetic::Bf16 {
        forward.function = products_in_bf16(&forward.function)?;
    }
    Ok(forward)
}

/// Mean over the hidden layers of spikes per neuron and step.
fn spike_rate(
    client: &Client,
    forward: &Forward,
    program: Program,
    params: &[Vec<Buffer>],
    data: &Data,
) -> Result<f64> {
    let program = program.compile(client, &forward.function)?;
    let outputs = program.execute_on_each(of_forward(params, data))?;
    // The traces come first; each layer has a rate per sample.
    let rates =
        outputs[0][1..].iter().map(|rates| Ok(rates.to_array()?.to_f64())).collect::<Result<Vec<_>>>()?.concat();
    Ok(rates.iter().sum::<f64>() / rates.len().max(1) as f64)
}
