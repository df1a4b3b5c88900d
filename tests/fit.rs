//! Trains a network on one batch, step by step.

use std::collections::BTreeMap;

use spiq::network::Network;
use spiq::nn::{Axes, integral_crossentropy};
use spiq::optim::{GradientTransformation, apply_updates};
use spiq::quant::Mode;
use spiq::{Array, Function, Tensor, TensorType, trace, value_and_grad};

use crate::evaluate::execute;

/// Trains on one batch; returns the loss before each step, the first gradients and the final parameters.
pub fn train(
    network: &Network,
    start: &BTreeMap<String, Array>,
    batch: (&Array, &Array),
    optimizer: &dyn GradientTransformation,
    steps: usize,
) -> (Vec<f64>, BTreeMap<String, Array>, BTreeMap<String, Array>) {
    let types = network.parameter_types();
    let slots = optimizer.state_types(&types);
    let step = train_step(network, optimizer, batch.0.ty(), batch.1.ty());
    let mut state: Vec<Array> = start.values().chain(optimizer.init(&types).values()).cloned().collect();
    let (mut losses, mut first) = (Vec::new(), None);
    for _ in 0..steps {
        let inputs: Vec<&Array> = state.iter().chain([batch.0, batch.1]).collect();
        let mut out = execute(&step, &inputs);
        let grads = out.split_off(types.len() + slots.len() + 1);
        losses.push(out.pop().expect("a loss").to_f64()[0]);
        first.get_or_insert_with(|| types.keys().cloned().zip(grads).collect());
        state = out;
    }
    (losses, first.expect("a step"), types.keys().cloned().zip(state).collect())
}

fn train_step(network: &Network, optimizer: &dyn GradientTransformation, x: &TensorType, y: &TensorType) -> Function {
    let forward = network.forward(x, Mode::Qat).expect("a forward pass");
    let types = network.parameter_types();
    let slots = optimizer.state_types(&types);
    let kept = types.iter().chain(&slots).map(|(path, ty)| (path.as_str(), ty.clone()));
    let inputs: Vec<(&str, TensorType)> = kept.chain([("x", x.clone()), ("y", y.clone())]).collect();
    let by_path = |types: &BTreeMap<String, TensorType>, tensors: &[Tensor]| -> BTreeMap<String, Tensor> {
        types.keys().cloned().zip(tensors.iter().cloned()).collect()
    };
    trace(&inputs, |values| {
        let (now, rest) = values.split_at(types.len());
        let (old, batch) = rest.split_at(slots.len());
        let now = by_path(&types, now);
        let ((loss, ()), grads) = value_and_grad(&now, |params| {
            let args: Vec<Tensor> = params.values().chain([&batch[0]]).cloned().collect();
            let traces = forward.function.call(batch[0].graph(), &args).swap_remove(0);
            (integral_crossentropy(&traces.named("T B C"), &batch[1].named("B")), ())
        });
        let (updates, new) = optimizer.update(&grads, &by_path(&slots, old), &now);
        let next = apply_updates(&now, &updates).into_values();
        next.chain(new.into_values()).chain([loss]).chain(grads.into_values()).collect()
    })
    .expect("a training step")
}
