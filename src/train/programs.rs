//! The programs of a training run: some steps, and the answers to a batch. Knows nothing of files and loops.

use std::collections::BTreeMap;

use spiq_hlo::{DType, Function, Tensor, TensorType, trace, value_and_grad, while_loop};

use super::options::{Length, Optimizer, Options, Schedule};
use super::resident::Resident;
use crate::data::Encoding;
use crate::error::{Error, Result};
use crate::jit::Program;
use crate::network::{Forward, Network, Pass};
use crate::nn::{Axes, integral_accuracy, integral_crossentropy};
use crate::optim::{self, GradientTransformation, apply_updates};
use crate::quant::Mode;
use crate::random::GraphKey;

/// Types by path, in the order in which programs take them.
type Types = BTreeMap<String, TensorType>;
type Tensors = BTreeMap<String, Tensor>;

fn named(types: &Types) -> Vec<(String, TensorType)> {
    types.iter().map(|(path, ty)| (path.clone(), ty.clone())).collect()
}

fn traced(inputs: &[(String, TensorType)], f: impl FnOnce(&[Tensor]) -> Vec<Tensor>) -> Result<Function> {
    let inputs: Vec<(&str, TensorType)> = inputs.iter().map(|(name, ty)| (name.as_str(), ty.clone())).collect();
    trace(&inputs, f).map_err(Error::from)
}

fn by_path(types: &Types, tensors: &[Tensor]) -> Tensors {
    types.keys().cloned().zip(tensors.iter().cloned()).collect()
}

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
    let statistics = &training.statistics;
    let (params, state) = (network.parameter_types(), optimizer.state_types(&network.parameter_types()));
    let given = [
        ("steps".to_owned(), TensorType::scalar(DType::S32)),
        ("rows".to_owned(), TensorType::new(DType::S32, [most, batch])),
        ("keys".to_owned(), TensorType::new(DType::U32, [most, 2])),
    ];
    let kept = [named(&params), named(statistics), named(&state)].concat();
    let inputs = [&kept[..], &plan.resident.inputs(), &given].concat();
    let function = traced(&inputs, |values| {
        let (now, rest) = values.split_at(params.len());
        let (seen, rest) = rest.split_at(statistics.len());
        let (old, rest) = rest.split_at(state.len());
        let [samples, classes, steps, rows, keys] = rest else { unreachable!("five inputs follow the state") };
        let graph = steps.graph();
        let losses = graph.zeros(TensorType::new(DType::F32, [most]));
        let kept = (by_path(&params, now), seen.to_vec(), by_path(&state, old));
        let (_, (now, seen, old), losses) = while_loop(
            &(graph.scalar(DType::S32, 0.0), kept, losses),
            |(i, ..)| i.lt(steps),
            |(i, (now, seen, old), losses)| {
                let (key, rows) = (row(keys, &i), row(rows, &i));
                let (stored, labels) = plan.resident.take(samples, classes, &rows);
                let x = plan.encoding.encode(&key, &augmented(&plan.encoding, &key, &stored, shift));
                let [model, noise] = [MODEL, NOISE].map(|purpose| derived(&key, purpose));
                let pass = |params: &Tensors| training.call(params, &seen, [&model, &noise], &x);
                let (now, seen, old, loss) = update(optimizer, &now, &old, &labels, pass);
                let losses = losses.dynamic_update_slice(&loss.reshape(&[1]), std::slice::from_ref(&i));
                (i + 1.0, (now, seen, old), losses)
            },
        );
        now.into_values().chain(seen).chain(old.into_values()).chain([losses]).collect()
    })?;
    Ok((in_place("train_steps", kept.len()), function))
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
        let pass = |params: &Tensors| {
            let params: Vec<Tensor> = params.values().cloned().collect();
            (forward.call(&params, None, x).swap_remove(0), Vec::new())
        };
        let (next, _, new, loss) = update(optimizer, &by_path(&params, now), &by_path(&state, old), labels, pass);
        next.into_values().chain(new.into_values()).chain([loss]).collect()
    })?;
    Ok((in_place("train_step", params.len() + state.len()), function))
}

/// The next parameters, statistics and optimizer state, and the loss. `pass` gives traces and statistics.
fn update(
    optimizer: &dyn GradientTransformation,
    now: &Tensors,
    old: &Tensors,
    labels: &Tensor,
    pass: impl FnOnce(&Tensors) -> (Tensor, Vec<Tensor>),
) -> (Tensors, Vec<Tensor>, Tensors, Tensor) {
    let ((loss, statistics), grads) = value_and_grad(now, |params| {
        let (traces, statistics) = pass(params);
        (integral_crossentropy(&traces.named("T B C"), &labels.named("B")), statistics)
    });
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

/// How a network does on a batch: parameters, statistics of static scales, the data set, the batch's rows, how many of them count, a key, to the number of
/// those that are classified rightly, s32, and then, for each of the layers that are named, the mean number of spikes a neuron
/// and step of each sample, f32 [B].
pub(crate) fn answers(plan: &Plan) -> Result<(Program, Function, Reads)> {
    let (network, batch) = (plan.network, plan.batch);
    let pass = Pass { mode: Mode::Ptq, training: false, spike_rates: true };
    let forward = network.forward(&plan.encoding.x_type(batch), pass)?;
    let read: Vec<_> = forward.paths.iter().cloned().zip(forward.function.input_types()).collect();
    let given = [
        ("rows".to_owned(), TensorType::new(DType::S32, [batch])),
        ("count".to_owned(), TensorType::scalar(DType::S32)),
        ("key".to_owned(), TensorType::new(DType::U32, [2])),
    ];
    let inputs = [&read[..], &plan.resident.inputs(), &given].concat();
    let function = traced(&inputs, |values| {
        let (now, rest) = values.split_at(read.len());
        let [samples, classes, rows, count, key] = rest else { unreachable!("five inputs follow the parameters") };
        let (stored, labels) = plan.resident.take(samples, classes, rows);
        let mut outputs = forward.call(now, None, &plan.encoding.encode(key, &stored));
        let rates = outputs.split_off(1);
        let predicted = integral_accuracy(&outputs[0].named("T B C"), &labels.named("B")).1.into_tensor();
        let counts = rows.graph().iota(rows.ty().clone(), 0).lt(count);
        let right = predicted.eq(&labels).and(counts).convert(DType::S32).sum();
        std::iter::once(right).chain(rates).collect()
    })?;
    Ok((Program::named("answers"), function, Reads { paths: forward.paths, rates: forward.rates }))
}
