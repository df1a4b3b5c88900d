//! The programs of a training run: some steps, and the answers to a batch. Knows nothing of files and loops.

use std::collections::BTreeMap;

use spiq_hlo::{DType, Function, Tensor, TensorType, concatenate, value_and_grad, while_loop};

use super::finite::{any_broken, choose, flag};
use super::model::{ForwardPass, Given, Model, Outputs, Purpose};
use super::objective::{Loss, Metric};
use super::resident::Resident;
use super::start::Kept;
use crate::augment::{Augmentation, Layout};
use crate::by_path::Tensors;
use crate::compile::Program;
use crate::data::Encoding;
use crate::error::{Error, Result};
use crate::network::{Forward, Network};
use crate::nn::{Axes, Named, integral_crossentropy};
use crate::optim::{GradientTransformation, apply_updates};
use crate::provenance::{Length, OnNan};
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
/// each step's batch and its key, to parameters, statistics, state, and f32[2, most]: the losses, and below each 1 where a number of
/// the step is not finite (its loss, a gradient, the next parameters or statistics), else 0. The first three stay where they are on
/// the device. Whoever takes no notice of such numbers has zeros there.
///
/// `all` are the labels of all training samples.
///
/// With `full` the steps are those of this network, which is not quantized, with the statistics of the plan's.
///
/// There is one loop for any number of steps, so that their results are the same bits however they are divided.
pub(crate) fn steps(
    plan: &Plan,
    full: Option<&Network>,
    (optimizer, loss, all): (&dyn GradientTransformation, &Loss, &[i32]),
    changes: &Changes,
    (on_nan, most): (OnNan, usize),
) -> Result<(Program, Function, Kept)> {
    let layout = changes.check(&plan.encoding)?;
    let (params, batch) = (plan.model.parameter_types(), plan.batch);
    let pass = training_pass(plan, full, |model, x| asked(model, x, loss))?;
    loss.check_layers(pass.counted())?;
    let limits = plan.model.limits();
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
        let losses = graph.zeros(TensorType::new(DType::F32, [2, most]));
        let kept = (given.of(Role::Parameter), given.of(Role::Statistic), given.of(Role::State));
        let (_, (now, seen, old), losses) = while_loop(
            &(graph.scalar(DType::S32, 0.0), kept, losses),
            |(i, ..)| i.lt(steps),
            |(i, (now, seen, old), losses)| {
                let batch = Batch::of(plan, changes, layout, [samples, classes], &row(rows, &i), &row(keys, &i));
                let loss = |params: &Tensors| {
                    let outputs = pass.record(&batch.given(params, &seen));
                    (loss.on(all, &outputs, &batch.labels.named("B")), outputs.statistics)
                };
                let Updated { params, statistics, state, loss, grads } = update(optimizer, &limits, &now, &old, loss);
                let kept = (params, statistics, state);
                let (kept, broken) = match on_nan {
                    OnNan::Continue => (kept, loss.zeros_like()),
                    OnNan::Stop | OnNan::Skip => {
                        let broken = any_broken([&kept.0, &kept.1, &grads], &loss);
                        let kept = match on_nan {
                            OnNan::Skip => choose(&broken, &(now, seen, old), kept),
                            _ => kept,
                        };
                        (kept, broken.convert(DType::F32))
                    }
                };
                let column = concatenate(&[&loss.reshape(&[1, 1]), &broken.reshape(&[1, 1])], 0);
                let losses = losses.dynamic_update_slice(&column, &[i.zeros_like(), i.clone()]);
                (i + 1.0, kept, losses)
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

/// The samples of a step, and what it draws from.
struct Batch {
    x: Tensor,
    labels: Tensor,
    model: Tensor,
    noise: Tensor,
}

impl Batch {
    fn of(
        plan: &Plan,
        changes: &Changes,
        layout: Option<Layout>,
        [samples, classes]: [&Tensor; 2],
        rows: &Tensor,
        key: &Tensor,
    ) -> Batch {
        let (stored, labels) = plan.resident.take(samples, classes, rows);
        let stored = shifted(&plan.encoding, key, &stored, changes.shift);
        let x = match layout {
            None => plan.encoding.encode(key, &stored),
            Some(layout) => plan
                .encoding
                .encode_changed(key, &stored, |x| changes.augment.apply(&derived(key, AUGMENT), layout, x, &labels)),
        };
        let [model, noise] = [MODEL, NOISE].map(|purpose| derived(key, purpose));
        Batch { x, labels, model, noise }
    }

    fn given<'a>(&'a self, params: &'a Tensors, statistics: &'a Tensors) -> Given<'a> {
        Given { params, statistics, x: &self.x, keys: Some([&self.model, &self.noise]) }
    }
}

/// One training step that is looked at: parameters, statistics, optimizer state, the data set, the row and the key of a batch, to
/// numbers that are above 0 for what is not finite: each layer, the loss, each gradient, each parameter after the update.
pub(crate) fn check(
    plan: &Plan,
    full: Option<&Network>,
    (optimizer, loss, all): (&dyn GradientTransformation, &Loss, &[i32]),
    changes: &Changes,
) -> Result<(Program, Function, Signature)> {
    let layout = changes.check(&plan.encoding)?;
    let (params, batch) = (plan.model.parameter_types(), plan.batch);
    let pass = training_pass(plan, full, |model, x| model.watched_pass(x, true))?;
    let inputs = Signature::default()
        .with(Role::Parameter, params.clone())
        .with(Role::Statistic, pass.statistics().clone())
        .with(Role::State, optimizer.state_types(&params))
        .with(Role::Given, plan.resident.inputs())
        .with(Role::Given, [("rows", TensorType::new(DType::S32, [1, batch]))])
        .with(Role::Given, [("keys", TensorType::new(DType::U32, [1, 2]))]);
    let (function, signature) = inputs.trace(|given| {
        let [samples, classes, rows, keys] =
            ["samples", "classes", "rows", "keys"].map(|name| given.one(Role::Given, name));
        let first = rows.graph().scalar(DType::S32, 0.0);
        let batch = Batch::of(plan, changes, layout, [samples, classes], &row(rows, &first), &row(keys, &first));
        let (now, seen, old) = (given.of(Role::Parameter), given.of(Role::Statistic), given.of(Role::State));
        let ((loss, broken), grads) = value_and_grad(&now, |params| {
            let outputs = pass.record(&batch.given(params, &seen));
            (loss.on(all, &outputs, &batch.labels.named("B")), outputs.broken)
        });
        let (updates, _) = optimizer.update_with_value(&grads, &old, &now, &loss);
        let flags = |tensors: Tensors| -> Tensors { tensors.iter().map(|(path, t)| (path.clone(), flag(t))).collect() };
        vec![
            (Role::Broken, broken),
            (Role::Loss, flags([("loss".to_owned(), loss)].into())),
            (Role::Gradient, flags(grads)),
            (Role::Parameter, flags(apply_updates(&now, &updates))),
        ]
    })?;
    Ok((Program::named("checked_step"), function, signature))
}

/// The forward pass of a step, of the model or, where `full` is given, of that network, with the statistics of the model.
fn training_pass<'a>(
    plan: &Plan<'a>,
    full: Option<&'a Network>,
    pass: impl Fn(&'a dyn Model, &TensorType) -> Result<ForwardPass<'a>>,
) -> Result<ForwardPass<'a>> {
    let x = plan.encoding.x_type(plan.batch);
    let own = pass(plan.model, &x)?;
    match full {
        None => Ok(own),
        Some(full) => pass(full, &x).map(|full| full.calibrating(own)),
    }
}

/// The pass of a training step with what the loss asks for.
fn asked<'a>(model: &'a dyn Model, x: &TensorType, loss: &Loss) -> Result<ForwardPass<'a>> {
    if loss.counts_spikes() { model.watched_pass(x, false) } else { model.pass(x, Purpose::Training) }
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
        let Updated { params, state, loss, .. } =
            update(optimizer, &Model::limits(network), &given.of(Role::Parameter), &given.of(Role::State), loss);
        let loss = [("loss".to_owned(), loss)].into();
        vec![(Role::Parameter, params), (Role::State, state), (Role::Loss, loss)]
    })?;
    Ok((in_place("train_step", &signature), function))
}

/// What a step makes of parameters, statistics and optimizer state.
struct Updated {
    params: Tensors,
    statistics: Tensors,
    state: Tensors,
    loss: Tensor,
    grads: Tensors,
}

/// One step. `loss` gives the loss with the statistics.
fn update(
    optimizer: &dyn GradientTransformation,
    limits: &BTreeMap<String, (f64, f64)>,
    now: &Tensors,
    old: &Tensors,
    loss: impl FnOnce(&Tensors) -> (Tensor, Tensors),
) -> Updated {
    let ((loss, statistics), grads) = value_and_grad(now, loss);
    let (updates, mut new) = optimizer.update_with_value(&grads, old, now, &loss);
    let mut next = apply_updates(now, &updates);
    keep_within(limits, "", &mut next);
    if let Some(folder) = optimizer.average() {
        // It is of parameters as the optimizer left them, and is what a test reads.
        keep_within(limits, &format!("{folder}/"), &mut new);
    }
    Updated { params: next, statistics, state: new, loss, grads }
}

/// Cuts the tensors that stand for limited parameters, in a folder of their names, to the limits.
fn keep_within(limits: &BTreeMap<String, (f64, f64)>, folder: &str, tensors: &mut Tensors) {
    for (path, (low, high)) in limits {
        if let Some(tensor) = tensors.get_mut(&format!("{folder}{path}")) {
            *tensor = tensor.maximum(*low).minimum(*high);
        }
    }
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
    let (program, function, reads) = examined(plan, |outputs, labels| {
        [("measured".to_owned(), metric.of(outputs, labels).convert(DType::F32))].into()
    })?;
    let measured = function.result_types().into_iter().next().expect("the metric comes first");
    if measured.dims != [plan.batch] {
        return Err(Error::input(format!(
            "the metric `{}` gives {measured} for {} samples; it must give a number for each sample, [B]",
            metric.name(),
            plan.batch
        )));
    }
    Ok((program, function, reads))
}

/// What `examine` makes of a model's outputs for a batch and its labels, in the order of the names; else like [`answers`].
pub(crate) fn examined(
    plan: &Plan,
    examine: impl FnOnce(&Outputs, &Named) -> Tensors,
) -> Result<(Program, Function, Reads)> {
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
        vec![(Role::Given, examine(&outputs, &labels.named("B"))), (Role::SpikeRate, outputs.spike_rates)]
    })?;
    let (paths, rates) = (names(signature.arrays()), names(signature.results_of(Role::SpikeRate)));
    Ok((Program::named("answers"), function, Reads { paths, rates }))
}

fn names<'a>(ports: impl Iterator<Item = &'a Port>) -> Vec<String> {
    ports.map(|port| port.name.clone()).collect()
}
