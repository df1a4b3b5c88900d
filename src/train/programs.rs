//! The programs of a training run: some steps, and the answers to a batch. Knows nothing of files and loops.

use spiq_hlo::{DType, Function, Tensor, TensorType, value_and_grad, while_loop};

use super::options::{Length, Optimizer, Options, Schedule};
use super::resident::Resident;
use crate::data::Encoding;
use crate::error::Result;
use crate::jit::Program;
use crate::network::{Forward, MODEL_KEY, NOISE_KEY, Network, Pass};
use crate::nn::{Axes, integral_accuracy, integral_crossentropy};
use crate::optim::{self, GradientTransformation, apply_updates};
use crate::quant::Mode;
use crate::random::GraphKey;
use crate::signature::{Port, Role, Signature, Tensors};

/// What the programs of a run share: a network, how samples are kept and encoded, samples a batch.
pub(crate) struct Plan<'a> {
    pub(crate) network: &'a Network,
    pub(crate) encoding: Encoding,
    pub(crate) resident: Resident,
    pub(crate) batch: usize,
}

/// The optimizer of a run, with its schedule.
pub(crate) fn optimizer(options: &Options, steps: usize) -> Box<dyn GradientTransformation> {
    let rate: optim::Schedule = match options.schedule {
        Schedule::Constant => options.learning_rate.into(),
        Schedule::Cosine => {
            optim::cosine_decay_schedule(options.learning_rate, u32::try_from(steps).unwrap_or(u32::MAX)).into()
        }
    };
    match options.optimizer {
        Optimizer::Adam => Box::new(optim::adam(rate)),
        Optimizer::Adamw => Box::new(optim::adamw(rate)),
        Optimizer::Lion => Box::new(optim::lion(rate)),
        Optimizer::Sgd => Box::new(optim::sgd(rate)),
    }
}

/// Steps in all, given the steps of an epoch.
pub(crate) fn total_steps(length: Length, per_epoch: usize) -> usize {
    match length {
        Length::Epochs(epochs) => epochs * per_epoch,
        Length::Steps(steps) => steps,
    }
}

/// Several training steps: parameters, statistics of static scales, optimizer state, the data set, how many steps, the rows of
/// each step's batch and its key, to parameters, statistics, state, losses f32[most]. The first three stay where they are on
/// the device.
///
/// There is one loop for any number of steps, so that their results are the same bits however they are divided.
pub(crate) fn steps(
    plan: &Plan,
    optimizer: &dyn GradientTransformation,
    shift: f64,
    most: usize,
) -> Result<(Program, Function)> {
    if shift > 0.0 {
        plan.encoding.image()?;
    }
    let (network, batch) = (plan.network, plan.batch);
    let training = network.training(&plan.encoding.x_type(batch))?;
    let params = network.parameter_types();
    let inputs = Signature::default()
        .with(Role::Parameter, params.clone())
        .with(Role::Statistic, training.signature.types(Role::Statistic))
        .with(Role::State, optimizer.state_types(&params))
        .with(Role::Given, plan.resident.inputs())
        .with(Role::Given, [("steps", TensorType::scalar(DType::S32))])
        .with(Role::Given, [("rows", TensorType::new(DType::S32, [most, batch]))])
        .with(Role::Given, [("keys", TensorType::new(DType::U32, [most, 2]))]);
    let (function, signature) = inputs.trace(|given| {
        let [samples, classes, steps, rows, keys] =
            ["samples", "classes", "steps", "rows", "keys"].map(|name| given.one(Role::Given, name));
        let graph = steps.graph();
        let losses = graph.zeros(TensorType::new(DType::F32, [most]));
        let kept = (given.of(Role::Parameter), given.of(Role::Statistic), given.of(Role::State));
        let (_, (now, seen, old), losses) = while_loop(
            &(graph.scalar(DType::S32, 0.0), kept, losses),
            |(i, ..)| i.lt(steps),
            |(i, (now, seen, old), losses)| {
                let (key, rows) = (row(keys, &i), row(rows, &i));
                let (stored, labels) = plan.resident.take(samples, classes, &rows);
                let x = plan.encoding.encode(&key, &augmented(&plan.encoding, &key, &stored, shift));
                let keys = [(MODEL_KEY, MODEL), (NOISE_KEY, NOISE)];
                let drawn = keys.map(|(name, purpose)| (name.to_owned(), derived(&key, purpose)));
                let beside: Tensors = seen.into_iter().chain(drawn).collect();
                let pass = |params: &Tensors| passed(&training, params, &beside, &x);
                let (now, seen, old, loss) = update(optimizer, &now, &old, &labels, pass);
                let losses = losses.dynamic_update_slice(&loss.reshape(&[1]), std::slice::from_ref(&i));
                (i + 1.0, (now, seen, old), losses)
            },
        );
        vec![
            (Role::Parameter, now),
            (Role::Statistic, seen),
            (Role::State, old),
            (Role::Loss, [("losses".to_owned(), losses)].into()),
        ]
    })?;
    Ok((in_place("train_steps", &signature), function))
}

/// The row with this number, an s32 scalar, of a matrix.
fn row(matrix: &Tensor, number: &Tensor) -> Tensor {
    let width = matrix.dims()[1];
    matrix.dynamic_slice(&[number.clone(), number.zeros_like()], &[1, width]).reshape(&[width])
}

/// One training step on spikes x [T, B, …] f32: parameters, optimizer state, x, labels to parameters, state, loss.
pub(crate) fn step_from_spikes(
    network: &Network,
    forward: &Forward,
    optimizer: &dyn GradientTransformation,
) -> Result<(Program, Function)> {
    let params = network.parameter_types();
    let labels = forward.signature.of(Role::X).map(|x| ("labels", TensorType::new(DType::S32, [x.ty.dims[1]])));
    let inputs = Signature::default()
        .with(Role::Parameter, params.clone())
        .with(Role::State, optimizer.state_types(&params))
        .taking(forward.signature.of(Role::X))
        .with(Role::Given, labels);
    let (function, signature) = inputs.trace(|given| {
        let (x, labels) = (given.only(Role::X), given.only(Role::Given));
        let pass = |params: &Tensors| passed(forward, params, &Tensors::new(), x);
        let (next, _, new, loss) = update(optimizer, &given.of(Role::Parameter), &given.of(Role::State), labels, pass);
        let loss = [("loss".to_owned(), loss)].into();
        vec![(Role::Parameter, next), (Role::State, new), (Role::Loss, loss)]
    })?;
    Ok((in_place("train_step", &signature), function))
}

/// Traces and statistics of a pass with these parameters and what it takes beside them.
fn passed(pass: &Forward, params: &Tensors, beside: &Tensors, x: &Tensor) -> (Tensor, Tensors) {
    let given = params.iter().chain(beside).map(|(name, tensor)| (name.clone(), tensor.clone())).collect();
    let given = pass.call(&given, x);
    (given.only(Role::Traces).clone(), given.of(Role::Statistic))
}

/// The next parameters, statistics and optimizer state, and the loss. `pass` gives traces and statistics.
fn update(
    optimizer: &dyn GradientTransformation,
    now: &Tensors,
    old: &Tensors,
    labels: &Tensor,
    pass: impl FnOnce(&Tensors) -> (Tensor, Tensors),
) -> (Tensors, Tensors, Tensors, Tensor) {
    let ((loss, statistics), grads) = value_and_grad(now, |params| {
        let (traces, statistics) = pass(params);
        (integral_crossentropy(&traces.named("T B C"), &labels.named("B")), statistics)
    });
    let (updates, new) = optimizer.update(&grads, old, now);
    (apply_updates(now, &updates), statistics, new, loss)
}

/// A program whose results take over the memory of what they are the next values of.
fn in_place(name: &str, signature: &Signature) -> Program {
    Program { donated: signature.in_place(), ..Program::named(name) }
}

/// What a step's key is for beside spikes: shifts, what the model draws (as dropout does), the noise that rounds gradients.
/// Each has a key of its own, so that the spikes are those that a run without it would draw.
const SHIFTS: u32 = 1;
const MODEL: u32 = 2;
const NOISE: u32 = 3;

fn derived(key: &Tensor, purpose: u32) -> Tensor {
    GraphKey::new(key).fold_in(&key.graph().scalar(DType::U32, f64::from(purpose))).to_tensor()
}

/// A stored batch as it is trained on.
fn augmented(encoding: &Encoding, key: &Tensor, stored: &Tensor, shift: f64) -> Tensor {
    if shift == 0.0 {
        return stored.clone();
    }
    encoding.shifted(&derived(key, SHIFTS), stored, shift).expect("checked to be images before the trace")
}

/// What a test reads, and of what it gives spike rates.
pub(crate) struct Reads {
    /// Paths of the parameters and statistics.
    pub(crate) paths: Vec<String>,
    /// Paths of the layers.
    pub(crate) rates: Vec<String>,
}

fn names<'a>(ports: impl Iterator<Item = &'a Port>) -> Vec<String> {
    ports.map(|port| port.name.clone()).collect()
}

/// How a network does on a batch: parameters, statistics of static scales, the data set, the batch's rows, how many of them count, a key, to the number of
/// those that are classified rightly, s32, and then, for each of the layers that are named, the mean number of spikes a neuron
/// and step of each sample, f32 [B].
pub(crate) fn answers(plan: &Plan) -> Result<(Program, Function, Reads)> {
    let (network, batch) = (plan.network, plan.batch);
    let pass = Pass { mode: Mode::Ptq, training: false, spike_rates: true };
    let forward = network.forward(&plan.encoding.x_type(batch), pass)?;
    let inputs = Signature::default()
        .taking(forward.signature.arrays())
        .with(Role::Given, plan.resident.inputs())
        .with(Role::Given, [("rows", TensorType::new(DType::S32, [batch]))])
        .with(Role::Given, [("count", TensorType::scalar(DType::S32))])
        .with(Role::Given, [("key", TensorType::new(DType::U32, [2]))]);
    let (function, signature) = inputs.trace(|given| {
        let [samples, classes, rows, count, key] =
            ["samples", "classes", "rows", "count", "key"].map(|name| given.one(Role::Given, name));
        let (stored, labels) = plan.resident.take(samples, classes, rows);
        let pass = forward.call(&given.arrays(), &plan.encoding.encode(key, &stored));
        let predicted = integral_accuracy(&pass.only(Role::Traces).named("T B C"), &labels.named("B")).1.into_tensor();
        let counts = rows.graph().iota(rows.ty().clone(), 0).lt(count);
        let right = predicted.eq(&labels).and(counts).convert(DType::S32).sum();
        vec![(Role::Given, [("right".to_owned(), right)].into()), (Role::SpikeRate, pass.of(Role::SpikeRate))]
    })?;
    let rates = signature.results().iter().filter(|port| port.role == Role::SpikeRate);
    let (paths, rates) = (names(signature.arrays()), names(rates));
    Ok((Program::named("answers"), function, Reads { paths, rates }))
}
