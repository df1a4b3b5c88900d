//! The programs of a training run: one for training steps and one for the results on a batch.

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

/// Shared by the programs of a run: the model, the storage and encoding of samples, and the batch size.
pub(crate) struct Plan<'a> {
    pub(crate) model: &'a dyn Model,
    pub(crate) encoding: Encoding,
    pub(crate) resident: Resident,
    pub(crate) batch: usize,
}

/// The name of the input that selects the samples of each step, `s32[steps, B]`. Where devices share a step, they divide it.
pub(crate) const ROWS: &str = "rows";

/// Total number of steps, given the steps per epoch.
pub(crate) fn total_steps(length: Length, per_epoch: usize) -> usize {
    match length {
        Length::Epochs(epochs) => epochs * per_epoch,
        Length::Steps(steps) => steps,
    }
}

/// The changes to the samples of a training step.
pub(crate) struct Changes<'a> {
    /// Probability of shifting an image.
    pub(crate) shift: f64,
    pub(crate) augment: &'a Augmentation,
}

impl Changes<'_> {
    /// Checks that the samples can be changed in this way; returns their layout.
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

/// Several training steps. Inputs are the parameters, statistics of static scales, optimizer state, the data set, the number of steps, and
/// the rows and the key of each step's batch. Results are the parameters, statistics, state, and f32[2, most]: the losses, and below each 1
/// if a value of the step is not finite (its loss, a gradient, the next parameters or statistics), else 0; always 0 with
/// [`OnNan::Continue`]. Parameters, statistics and state are updated in place on the device.
///
/// `all` are the labels of all training samples.
///
/// With `full`, the steps are those of this unquantized network, with the statistics of the plan's model.
///
/// The same loop handles any number of steps, so the results are bit-identical however the steps are divided into calls.
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
        .with(Role::Given, [(ROWS, TensorType::new(DType::S32, [most, batch]))])
        .with(Role::Given, [("keys", TensorType::new(DType::U32, [most, 2]))]);
    let (function, signature) = inputs.trace(|given| {
        let [samples, classes, steps, rows, keys] =
            ["samples", "classes", "steps", ROWS, "keys"].map(|name| given.one(Role::Given, name));
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

/// The samples of a step, and the keys it draws from.
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

/// One checked training step. Inputs are the parameters, statistics, optimizer state, the data set, and the row and the key of a batch.
/// Results are numbers, above 0 for anything non-finite: each layer, the loss, each gradient, each updated parameter.
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

/// The forward pass of a step: that of the model or, if given, of `full` with the statistics of the model.
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

/// The pass of a training step, with the outputs that the loss needs.
fn asked<'a>(model: &'a dyn Model, x: &TensorType, loss: &Loss) -> Result<ForwardPass<'a>> {
    if loss.counts_spikes() { model.watched_pass(x, false) } else { model.pass(x, Purpose::Training) }
}

/// The row of a matrix with this index, an s32 scalar.
fn row(matrix: &Tensor, number: &Tensor) -> Tensor {
    let width = matrix.dims()[1];
    matrix.dynamic_slice(&[number.clone(), number.zeros_like()], &[1, width]).reshape(&[width])
}

/// One training step on spikes x [T, B, …] f32. Inputs are the parameters, optimizer state, x and labels; results are the parameters, state
/// and loss.
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

/// The results of a step.
struct Updated {
    params: Tensors,
    statistics: Tensors,
    state: Tensors,
    loss: Tensor,
    grads: Tensors,
}

/// One optimizer step. `loss` returns the loss and the next statistics.
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
        // The average is over parameters before clamping, and tests read it.
        keep_within(limits, &format!("{folder}/"), &mut new);
    }
    Updated { params: next, statistics, state: new, loss, grads }
}

/// Clamps the tensors of limited parameters, in a folder of the map, to their limits.
fn keep_within(limits: &BTreeMap<String, (f64, f64)>, folder: &str, tensors: &mut Tensors) {
    for (path, (low, high)) in limits {
        if let Some(tensor) = tensors.get_mut(&format!("{folder}{path}")) {
            *tensor = tensor.maximum(*low).minimum(*high);
        }
    }
}

/// A program whose results alias the memory of the inputs that they update.
fn in_place(name: &str, signature: &Signature) -> Program {
    Program { donated: signature.in_place(), ..Program::named(name) }
}

/// Purposes of keys derived from a step's key, other than spikes: shifts, the model's random draws (such as dropout), the noise of
/// stochastic gradient rounding, augmentation. Separate keys leave the spikes the same with and without each of them.
const SHIFTS: u32 = 1;
const MODEL: u32 = 2;
const NOISE: u32 = 3;
const AUGMENT: u32 = 4;

fn derived(key: &Tensor, purpose: u32) -> Tensor {
    GraphKey::new(key).fold_in(&key.graph().scalar(DType::U32, f64::from(purpose))).to_tensor()
}

/// A stored batch of images, shifted.
fn shifted(encoding: &Encoding, key: &Tensor, stored: &Tensor, shift: f64) -> Tensor {
    if shift == 0.0 {
        return stored.clone();
    }
    encoding.shifted(&derived(key, SHIFTS), stored, shift).expect("checked to be images before the trace")
}

/// The inputs of a test, and the layers whose spike rates it returns.
pub(crate) struct Reads {
    /// Paths of the parameters and statistics.
    pub(crate) paths: Vec<String>,
    /// Paths of the layers.
    pub(crate) rates: Vec<String>,
}

/// The results of a model on a batch. Inputs are the parameters, statistics of static scales, the data set, the batch's rows and a key.
/// Results are the metric of each sample, f32 [B], then, for each of the listed layers, the mean number of spikes per neuron and step of
/// each sample, f32 [B].
pub(crate) fn answers(plan: &Plan, metric: &Metric) -> Result<(Program, Function, Reads)> {
    let (program, function, reads) = examined(plan, |outputs, labels| {
        [("measured".to_owned(), metric.of(outputs, labels).convert(DType::F32))].into()
    })?;
    let measured = function.result_types().into_iter().next().expect("the metric comes first");
    if measured.dims != [plan.batch] {
        return Err(Error::input(format!(
            "the metric `{}` returns {measured} for {} samples; it must return one number per sample, [B]",
            metric.name(),
            plan.batch
        )));
    }
    Ok((program, function, reads))
}

/// Like [`answers`], with the results that `examine` computes from a model's outputs for a batch and its labels, ordered by name.
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
