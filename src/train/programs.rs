//! The programs of a training run: some steps, and the answers to a batch. Knows nothing of files and loops.

use spiq_hlo::{DType, Function, Tensor, TensorType, trace, value_and_grad, while_loop};

use super::model::{Given, Model, Purpose, by_path};
use super::objective::{Loss, Metric};
use super::resident::Resident;
use super::start::Kept;
use crate::by_path::{Tensors, Types};
use crate::data::Encoding;
use crate::error::{Error, Result};
use crate::jit::Program;
use crate::network::{Forward, Network};
use crate::nn::{Axes, integral_crossentropy};
use crate::optim::{GradientTransformation, apply_updates};
use crate::provenance::Length;
use crate::random::GraphKey;

fn named(types: &Types) -> Vec<(String, TensorType)> {
    types.iter().map(|(path, ty)| (path.clone(), ty.clone())).collect()
}

fn traced(inputs: &[(String, TensorType)], f: impl FnOnce(&[Tensor]) -> Vec<Tensor>) -> Result<Function> {
    let inputs: Vec<(&str, TensorType)> = inputs.iter().map(|(name, ty)| (name.as_str(), ty.clone())).collect();
    trace(&inputs, f).map_err(Error::from)
}

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

/// Several training steps: parameters, statistics of static scales, optimizer state, the data set, how many steps, the rows of
/// each step's batch and its key, to parameters, statistics, state, losses f32[most]. The first three stay where they are on
/// the device.
///
/// There is one loop for any number of steps, so that their results are the same bits however they are divided.
pub(crate) fn steps(
    plan: &Plan,
    (optimizer, loss): (&dyn GradientTransformation, &Loss),
    shift: f64,
    most: usize,
) -> Result<(Program, Function, Kept)> {
    if shift > 0.0 {
        plan.encoding.image()?;
    }
    let (params, batch) = (plan.model.parameter_types(), plan.batch);
    let pass = plan.model.pass(&plan.encoding.x_type(batch), Purpose::Training)?;
    let (statistics, state) = (pass.statistics(), optimizer.state_types(&params));
    let given = [
        ("steps".to_owned(), TensorType::scalar(DType::S32)),
        ("rows".to_owned(), TensorType::new(DType::S32, [most, batch])),
        ("keys".to_owned(), TensorType::new(DType::U32, [most, 2])),
    ];
    let kept = Kept { params: params.clone(), statistics: statistics.clone(), slots: state.clone() };
    let carried = [named(&params), named(statistics), named(&state)].concat();
    let inputs = [&carried[..], &plan.resident.inputs(), &given].concat();
    let function = traced(&inputs, |values| {
        let (now, rest) = values.split_at(params.len());
        let (seen, rest) = rest.split_at(statistics.len());
        let (old, rest) = rest.split_at(state.len());
        let [samples, classes, steps, rows, keys] = rest else { unreachable!("five inputs follow the state") };
        let graph = steps.graph();
        let losses = graph.zeros(TensorType::new(DType::F32, [most]));
        let kept = (by_path(&params, now), by_path(statistics, seen), by_path(&state, old));
        let (_, (now, seen, old), losses) = while_loop(
            &(graph.scalar(DType::S32, 0.0), kept, losses),
            |(i, ..)| i.lt(steps),
            |(i, (now, seen, old), losses)| {
                let (key, rows) = (row(keys, &i), row(rows, &i));
                let (stored, labels) = plan.resident.take(samples, classes, &rows);
                let x = plan.encoding.encode(&key, &augmented(&plan.encoding, &key, &stored, shift));
                let [model, noise] = [MODEL, NOISE].map(|purpose| derived(&key, purpose));
                let loss = |params: &Tensors| {
                    let given = Given { params, statistics: &seen, x: &x, keys: Some([&model, &noise]) };
                    let outputs = pass.record(&given);
                    (loss.of(&outputs, &labels.named("B")), outputs.statistics)
                };
                let (now, seen, old, loss) = update(optimizer, &now, &old, loss);
                let losses = losses.dynamic_update_slice(&loss.reshape(&[1]), std::slice::from_ref(&i));
                (i + 1.0, (now, seen, old), losses)
            },
        );
        now.into_values().chain(seen.into_values()).chain(old.into_values()).chain([losses]).collect()
    })?;
    Ok((in_place("train_steps", carried.len()), function, kept))
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
    let state = optimizer.state_types(&params);
    let x = forward.function.input_types().pop().expect("x is the last input");
    let labels = TensorType::new(DType::S32, [x.dims[1]]);
    let given = [("x".to_owned(), x), ("labels".to_owned(), labels)];
    let inputs = [named(&params), named(&state), given.to_vec()].concat();
    let function = traced(&inputs, |values| {
        let (now, rest) = values.split_at(params.len());
        let [old @ .., x, labels] = rest else { unreachable!("two inputs follow the state") };
        let loss = |params: &Tensors| {
            let params: Vec<Tensor> = params.values().cloned().collect();
            let traces = forward.call(&params, None, x).swap_remove(0);
            (integral_crossentropy(&traces.named("T B C"), &labels.named("B")), Tensors::new())
        };
        let (next, _, new, loss) = update(optimizer, &by_path(&params, now), &by_path(&state, old), loss);
        next.into_values().chain(new.into_values()).chain([loss]).collect()
    })?;
    Ok((in_place("train_step", params.len() + state.len()), function))
}

/// The next parameters, statistics and optimizer state, and the loss. `loss` gives it with the statistics.
fn update(
    optimizer: &dyn GradientTransformation,
    now: &Tensors,
    old: &Tensors,
    loss: impl FnOnce(&Tensors) -> (Tensor, Tensors),
) -> (Tensors, Tensors, Tensors, Tensor) {
    let ((loss, statistics), grads) = value_and_grad(now, loss);
    let (updates, new) = optimizer.update(&grads, old, now);
    (apply_updates(now, &updates), statistics, new, loss)
}

/// A program whose first results take over the memory of its first parameters.
fn in_place(name: &str, kept: usize) -> Program {
    Program { donated: (0..kept).map(|i| (i, i)).collect(), ..Program::named(name) }
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

/// How a model does on a batch: parameters, statistics of static scales, the data set, the batch's rows, a key, to the metric of
/// each sample, f32 [B], and then, for each of the layers that are named, its mean number of spikes a neuron and step, f32 [B].
pub(crate) fn answers(plan: &Plan, metric: &Metric) -> Result<(Program, Function, Reads)> {
    let (params, batch) = (plan.model.parameter_types(), plan.batch);
    let pass = plan.model.pass(&plan.encoding.x_type(batch), Purpose::Test)?;
    let read = [named(&params), named(pass.statistics())].concat();
    let given = [
        ("rows".to_owned(), TensorType::new(DType::S32, [batch])),
        ("key".to_owned(), TensorType::new(DType::U32, [2])),
    ];
    let inputs = [&read[..], &plan.resident.inputs(), &given].concat();
    let mut rates = Vec::new();
    let function = traced(&inputs, |values| {
        let (now, rest) = values.split_at(params.len());
        let (seen, rest) = rest.split_at(pass.statistics().len());
        let [samples, classes, rows, key] = rest else { unreachable!("four inputs follow the statistics") };
        let (stored, labels) = plan.resident.take(samples, classes, rows);
        let x = plan.encoding.encode(key, &stored);
        let (params, statistics) = (by_path(&params, now), by_path(pass.statistics(), seen));
        let outputs = pass.record(&Given { params: &params, statistics: &statistics, x: &x, keys: None });
        let measured = metric.of(&outputs, &labels.named("B")).convert(DType::F32);
        let (layers, spikes): (Vec<String>, Vec<Tensor>) = outputs.spike_rates.into_iter().unzip();
        rates = layers;
        std::iter::once(measured).chain(spikes).collect()
    })?;
    let measured = &function.result_types()[0];
    if measured.dims != [batch] {
        return Err(Error::input(format!(
            "the metric `{}` gives {measured} for {batch} samples; it must give a number for each sample, [B]",
            metric.name()
        )));
    }
    Ok((Program::named("answers"), function, Reads { paths: read.into_iter().map(|(path, _)| path).collect(), rates }))
}
