//! The programs of a training run: some steps, and the answers to a batch. Knows nothing of files and loops.

use spiq_hlo::{DType, Function, Tensor, TensorType, value_and_grad, while_loop};

use super::model::{ForwardPass, Given, Model, Purpose};
use super::objective::{Loss, Metric};
use super::resident::Resident;
use super::start::Kept;
use crate::augment::{Augmentation, Layout};
use crate::by_path::Tensors;
use crate::compile::Program;
use crate::data::Encoding;
use crate::error::{Error, Result};
use crate::network::{Forward, Network};
use crate::nn::{Axes, integral_crossentropy};
use crate::optim::{GradientTransformation, apply_updates};
use crate::provenance::Length;
use crate::random::GraphKey;
use crate::signature::{Port, Role, Signature};

/// What the programs of a run share: a model, how samples are kept and encoded, samples a batch.
pub(crate) struct Plan<'a> {
    pub(crate) model: &'a dyn Model,
    pub(crate) encoding: Encoding,
    pub(crate) resident: Resident,
    pub(crate) batch: usize,
}

/// Steps in all, given the steps of an epoch.
pub(crate) fn total_steps(length: Length, per_epoch: usize) -> usize {
    match length {
        Length::Epochs(epochs) => epochs * per_epoch,
        Length::Steps(steps) => steps,
    }
}

/// How the samples of a step are changed before they are trained on.
pub(crate) struct Changes<'a> {
    /// Probability of moving an image.
    pub(crate) shift: f64,
    pub(crate) augment: &'a Augmentation,
}

impl Changes<'_> {
    /// That the samples can be changed so; gives their layout.
    fn check(&self, encoding: &Encoding) -> Result<Option<Layout>> {
        if self.shift > 0.0 {
            encoding.image()?;
        }
        if self.augment.is_empty() {
            return Ok(None);
        }
        let layout = encoding.layout()?;
        self.augment.check_for(encoding.time_steps(), layout)?;
        Ok(Some(layout))
    }
}

/// Several training steps: parameters, statistics of static scales, optimizer state, the data set, how many steps, the rows of
/// each step's batch and its key, to parameters, statistics, state, losses f32[most]. The first three stay where they are on
/// the device.
///
/// `all` are the labels of all training samples.
///
/// There is one loop for any number of steps, so that their results are the same bits however they are divided.
pub(crate) fn steps(
    plan: &Plan,
    (optimizer, loss, all): (&dyn GradientTransformation, &Loss, &[i32]),
    changes: &Changes,
    most: usize,
) -> Result<(Program, Function, Kept)> {
    let layout = changes.check(&plan.encoding)?;
    let (params, batch) = (plan.model.parameter_types(), plan.batch);
    let pass = training_pass(plan, loss)?;
    let inputs = Signature::default()
        .with(Role::Parameter, params.clone())
        .with(Role::Statistic, pass.statistics().clone())
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
                let stored = shifted(&plan.encoding, &key, &stored, changes.shift);
                let x = match layout {
                    None => plan.encoding.encode(&key, &stored),
                    Some(layout) => plan.encoding.encode_changed(&key, &stored, |x| {
                        changes.augment.apply(&derived(&key, AUGMENT), layout, x, &labels)
                    }),
                };
                let [model, noise] = [MODEL, NOISE].map(|purpose| derived(&key, purpose));
                let loss = |params: &Tensors| {
                    let given = Given { params, statistics: &seen, x: &x, keys: Some([&model, &noise]) };
                    let outputs = pass.record(&given);
                    (loss.on(all, &outputs, &labels.named("B")), outputs.statistics)
                };
                let (now, seen, old, loss) = update(optimizer, &now, &old, loss);
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
    let [params, statistics, slots] = [Role::Parameter, Role::Statistic, Role::State].map(|role| signature.types(role));
    Ok((
        in_place("train_steps", &signature),
        function,
        Kept { params, statistics, slots, average: optimizer.average() },
    ))
}

/// The forward pass of a step, with what the loss asks for.
fn training_pass<'a>(plan: &Plan<'a>, loss: &Loss) -> Result<ForwardPass<'a>> {
    let x = plan.encoding.x_type(plan.batch);
    if !loss.counts_spikes() {
        return plan.model.pass(&x, Purpose::Training);
    }
    let pass = plan.model.watched_pass(&x, false)?;
    loss.check_layers(pass.counted())?;
    Ok(pass)
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
        let loss = |params: &Tensors| {
            let pass = forward.call(params, x);
            (integral_crossentropy(&pass.only(Role::Traces).named("T B C"), &labels.named("B")), Tensors::new())
        };
        let (next, _, new, loss) = update(optimizer, &given.of(Role::Parameter), &given.of(Role::State), loss);
        let loss = [("loss".to_owned(), loss)].into();
        vec![(Role::Parameter, next), (Role::State, new), (Role::Loss, loss)]
    })?;
    Ok((in_place("train_step", &signature), function))
}

/// The next parameters, statistics and optimizer state, and the loss. `loss` gives it with the statistics.
fn update(
    optimizer: &dyn GradientTransformation,
    now: &Tensors,
    old: &Tensors,
    loss: impl FnOnce(&Tensors) -> (Tensor, Tensors),
) -> (Tensors, Tensors, Tensors, Tensor) {
    let ((loss, statistics), grads) = value_and_grad(now, loss);
    let (updates, new) = optimizer.update_with_value(&grads, old, now, &loss);
    (apply_updates(now, &updates), statistics, new, loss)
}

/// A program whose results take over the memory of what they are the next values of.
fn in_place(name: &str, signature: &Signature) -> Program {
    Program { donated: signature.in_place(), ..Program::named(name) }
}

/// What a step's key is for beside spikes: shifts, what the model draws (as dropout does), the noise that rounds gradients,
/// augmentation.
/// Each has a key of its own, so that the spikes are those that a run without it would draw.
const SHIFTS: u32 = 1;
const MODEL: u32 = 2;
const NOISE: u32 = 3;
const AUGMENT: u32 = 4;

fn derived(key: &Tensor, purpose: u32) -> Tensor {
    GraphKey::new(key).fold_in(&key.graph().scalar(DType::U32, f64::from(purpose))).to_tensor()
}

/// A stored batch of images, moved.
fn shifted(encoding: &Encoding, key: &Tensor, stored: &Tensor, shift: f64) -> Tensor {
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

/// How a model does on a batch: parameters, statistics of static scales, the data set, the batch's rows, a key, to the metric of
/// each sample, f32 [B], and then, for each of the layers that are named, its mean number of spikes a neuron and step, f32 [B].
pub(crate) fn answers(plan: &Plan, metric: &Metric) -> Result<(Program, Function, Reads)> {
    let batch = plan.batch;
    let pass = plan.model.pass(&plan.encoding.x_type(batch), Purpose::Test)?;
    let inputs = Signature::default()
        .with(Role::Parameter, plan.model.parameter_types())
        .with(Role::Statistic, pass.statistics().clone())
        .with(Role::Given, plan.resident.inputs())
        .with(Role::Given, [("rows", TensorType::new(DType::S32, [batch]))])
        .with(Role::Given, [("key", TensorType::new(DType::U32, [2]))]);
    let (function, signature) = inputs.trace(|given| {
        let [samples, classes, rows, key] =
            ["samples", "classes", "rows", "key"].map(|name| given.one(Role::Given, name));
        let (stored, labels) = plan.resident.take(samples, classes, rows);
        let x = plan.encoding.encode(key, &stored);
        let (params, statistics) = (given.of(Role::Parameter), given.of(Role::Statistic));
        let outputs = pass.record(&Given { params: &params, statistics: &statistics, x: &x, keys: None });
        let measured = metric.of(&outputs, &labels.named("B")).convert(DType::F32);
        vec![(Role::Given, [("measured".to_owned(), measured)].into()), (Role::SpikeRate, outputs.spike_rates)]
    })?;
    if let Some(Port { ty, .. }) = signature.results_of(Role::Given).find(|port| port.ty.dims != [batch]) {
        return Err(Error::input(format!(
            "the metric `{}` gives {ty} for {batch} samples; it must give a number for each sample, [B]",
            metric.name()
        )));
    }
    let (paths, rates) = (names(signature.arrays()), names(signature.results_of(Role::SpikeRate)));
    Ok((Program::named("answers"), function, Reads { paths, rates }))
}

fn names<'a>(ports: impl Iterator<Item = &'a Port>) -> Vec<String> {
    ports.map(|port| port.name.clone()).collect()
}
