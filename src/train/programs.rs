//! The programs of a training run: one step, and the predictions for a batch. Knows nothing of files and loops.

use std::collections::BTreeMap;

use spiq_hlo::{DType, Function, Tensor, TensorType, trace, value_and_grad};

use super::encode::Encoding;
use super::options::{Length, Optimizer, Options, Schedule};
use crate::error::Result;
use crate::jit::{Program, graph_error};
use crate::network::{Forward, Network, Pass};
use crate::nn::{Axes, integral_accuracy, integral_crossentropy};
use crate::optim::{self, GradientTransformation, apply_updates};
use crate::quant::Mode;
use crate::random::GraphKey;

/// Types by path, in the order in which programs take them.
type Types = BTreeMap<String, TensorType>;
type Tensors = BTreeMap<String, Tensor>;

/// Key, stored batch and labels: what follows the parameters (and the optimizer's state) of a program.
fn batch_inputs(encoding: &Encoding, batch: usize) -> [(String, TensorType); 3] {
    [
        ("key".to_owned(), TensorType::new(DType::U32, [2])),
        ("inputs".to_owned(), encoding.stored_type(batch)),
        ("labels".to_owned(), TensorType::new(DType::S32, [batch])),
    ]
}

fn named(types: &Types) -> Vec<(String, TensorType)> {
    types.iter().map(|(path, ty)| (path.clone(), ty.clone())).collect()
}

fn traced(inputs: &[(String, TensorType)], f: impl FnOnce(&[Tensor]) -> Vec<Tensor>) -> Result<Function> {
    let inputs: Vec<(&str, TensorType)> = inputs.iter().map(|(name, ty)| (name.as_str(), ty.clone())).collect();
    trace(&inputs, f).map_err(graph_error)
}

fn by_path(types: &Types, tensors: &[Tensor]) -> Tensors {
    types.keys().cloned().zip(tensors.iter().cloned()).collect()
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

/// One training step: parameters, optimizer state, key, batch, labels to parameters, state, loss. The first two stay where
/// they are on the device.
pub(crate) fn step(
    network: &Network,
    encoding: &Encoding,
    optimizer: &dyn GradientTransformation,
    batch: usize,
    shift: f64,
) -> Result<(Program, Function)> {
    if shift > 0.0 {
        encoding.image()?;
    }
    let pass = Pass { mode: Mode::Qat, training: true, spike_rates: false };
    let forward = network.forward(&encoding.x_type(batch), pass)?;
    let params = network.parameter_types();
    let state = optimizer.state_types(&params);
    let inputs = [named(&params), named(&state), batch_inputs(encoding, batch).to_vec()].concat();
    let kept = params.len() + state.len();
    let function = traced(&inputs, |values| {
        let (now, rest) = values.split_at(params.len());
        let (old, batch) = rest.split_at(state.len());
        let (now, old) = (by_path(&params, now), by_path(&state, old));
        let [key, stored, labels] = batch else { unreachable!("three inputs follow the state") };
        let x = encoding.encode(key, &augmented(encoding, key, stored, shift));
        update(&forward, optimizer, &now, &old, Some(&key_of_the_model(key)), &x, labels)
    })?;
    Ok((in_place("train_step", kept), function))
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
        update(forward, optimizer, &by_path(&params, now), &by_path(&state, old), None, x, labels)
    })?;
    Ok((in_place("train_step", params.len() + state.len()), function))
}

/// The next parameters and optimizer state, and the loss.
fn update(
    forward: &Forward,
    optimizer: &dyn GradientTransformation,
    now: &Tensors,
    old: &Tensors,
    key: Option<&Tensor>,
    x: &Tensor,
    labels: &Tensor,
) -> Vec<Tensor> {
    let ((loss, ()), grads) = value_and_grad(now, |params| {
        let params: Vec<Tensor> = params.values().cloned().collect();
        let traces = forward.call(&params, key, x).swap_remove(0);
        (integral_crossentropy(&traces.named("T B C"), &labels.named("B")), ())
    });
    let (updates, new) = optimizer.update(&grads, old, now);
    let next = apply_updates(now, &updates);
    next.into_values().chain(new.into_values()).chain([loss]).collect()
}

/// A program whose first results take over the memory of its first parameters.
fn in_place(name: &str, kept: usize) -> Program {
    Program { donated: (0..kept).map(|i| (i, i)).collect(), ..Program::named(name) }
}

/// What the model draws from in a step, as dropout does. Like the shifts it has a key of its own, so that the spikes are
/// those that a run without them would draw.
fn key_of_the_model(key: &Tensor) -> Tensor {
    GraphKey::new(key).fold_in(&key.graph().scalar(DType::U32, 2.0)).to_tensor()
}

/// A stored batch as it is trained on.
fn augmented(encoding: &Encoding, key: &Tensor, stored: &Tensor, shift: f64) -> Tensor {
    if shift == 0.0 {
        return stored.clone();
    }
    let own = GraphKey::new(key).fold_in(&key.graph().scalar(DType::U32, 1.0)).to_tensor();
    encoding.shifted(&own, stored, shift).expect("checked to be images before the trace")
}

/// The predicted classes of a batch and its spike rates: parameters, key, batch, labels to s32 [B] and then, for each of the
/// layers that are named, the mean number of spikes a neuron and step of each sample, f32 [B].
pub(crate) fn predictions(
    network: &Network,
    encoding: &Encoding,
    batch: usize,
) -> Result<(Program, Function, Vec<String>)> {
    let pass = Pass { mode: Mode::Ptq, training: false, spike_rates: true };
    let forward = network.forward(&encoding.x_type(batch), pass)?;
    let params = network.parameter_types();
    let inputs = [named(&params), batch_inputs(encoding, batch).to_vec()].concat();
    let function = traced(&inputs, |values| {
        let (now, batch) = values.split_at(params.len());
        let [key, stored, labels] = batch else { unreachable!("three inputs follow the parameters") };
        let mut outputs = forward.call(now, None, &encoding.encode(key, stored));
        let rates = outputs.split_off(1);
        let classes = integral_accuracy(&outputs[0].named("T B C"), &labels.named("B")).1;
        std::iter::once(classes.into_tensor()).chain(rates).collect()
    })?;
    Ok((Program::named("predictions"), function, forward.rates))
}
