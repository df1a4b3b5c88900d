//! The parameters and optimizer state of a custom training loop, on the device.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::marker::PhantomData;
use std::path::Path;
use std::sync::Arc;

use spiq_hlo::{
    Array, Function, Graph, Objective, Part, Structure, Tensor, TensorType, Tree, Violation, value_and_grad,
};

use crate::compile::Program;
use crate::data::{load, save};
use crate::error::{Error, Result};
use crate::optim::{GradientTransformation, OptState, apply_updates, tensors, with_tensors};
use crate::pjrt::{Buffer, Client, Executable, Input, PendingArray};
use crate::places::name_cells;

/// Parameters and optimizer state on the device, and the step that trains them. Source: Flax's `TrainState`.
///
/// A step is one program: the loss, its gradient, the optimizer. It overwrites parameters and state in place (their memory is donated)
/// and returns the loss as a buffer before it is complete: reading a loss waits for its step. A loss function may return other results
/// with the loss, such as an accuracy; a step returns them as well. The step is compiled once for each type and structure of a batch.
///
/// ```
/// use spiq::prelude::*;
/// let mse = |w: &Tensor, (x, y): (Tensor, Tensor)| {
///     let error = x.dot(w) - y;
///     (&error * &error).mean()
/// };
/// let zeros = Array::new([2], [0.0f32; 2])?;
/// let mut state = train::TrainState::new(&Client::cpu()?, &zeros, sgd(0.1), mse)?;
/// let batch = (Array::new([2, 2], [1.0f32, 0.0, 0.0, 1.0])?, Array::new([2], [1.0f32, -1.0])?);
/// let mut losses = Vec::new();
/// for _ in 0..100 {
///     losses.push(state.step(&batch)?);
/// }
/// let losses: Vec<Array> = device_get(&losses)?;
/// assert_eq!(losses[0].item::<f32>()?, 1.0);
/// assert!(losses[99].item::<f32>()? < 1e-6);
/// let w = state.params()?.to_vec::<f32>()?;
/// assert!((w[0] - 1.0).abs() < 1e-4 && (w[1] + 1.0).abs() < 1e-4);
/// # Ok::<(), spiq::Error>(())
/// ```
pub struct TrainState<P: Tree<Array>, B: Tree, R: Tree, F> {
    client: Client,
    optimizer: Arc<dyn GradientTransformation>,
    loss: F,
    types: Types<P>,
    /// The leaves of parameters and state; empty after a step that failed.
    held: Vec<Buffer>,
    steps: u64,
    compiled: Vec<Arc<Compiled<R>>>,
    batch: PhantomData<fn(B)>,
}

/// A step for batches of one type and structure.
struct Compiled<R: Tree> {
    structure: Structure,
    types: Vec<TensorType>,
    program: Executable,
    returned: R::With<TensorType>,
}

/// The types of parameters and state.
type Types<P> = (<P as Tree<Array>>::With<TensorType>, OptState<TensorType>);

impl<P: Tree<Array>, B: Tree, R: Objective + Tree, F: Fn(&P::With<Tensor>, B) -> R> TrainState<P, B, R, F> {
    /// The state before the first step: these parameters, and the optimizer's initial state. `loss` maps parameters and a batch to a
    /// scalar, or to a scalar and other results, which a step returns with it.
    ///
    /// # Errors
    /// Errors from PJRT, for example when memory is exhausted.
    pub fn new(
        client: &Client,
        params: &P,
        optimizer: impl GradientTransformation + 'static,
        loss: F,
    ) -> Result<TrainState<P, B, R, F>> {
        let state = optimizer.init_tree(params);
        let types = (params.map_to(|array| array.ty().clone()), state.map_to(|array| array.ty().clone()));
        let mut new = TrainState {
            client: client.clone(),
            optimizer: Arc::new(optimizer),
            loss,
            types,
            held: Vec::new(),
            steps: 0,
            compiled: Vec::new(),
            batch: PhantomData,
        };
        new.hold(params.by_path().into_iter().chain(state.by_path()).map(|(_, array)| array))?;
        Ok(new)
    }

    /// One step on a batch of host arrays. Returns what the loss function returns, for the parameters before the step, without waiting
    /// for it.
    ///
    /// # Errors
    /// Kind `Graph` with every invalid call in the loss and its line; errors from PJRT. After an error of PJRT the parameters are lost:
    /// [`restore`](TrainState::restore) them.
    pub fn step(&mut self, batch: &B::With<Array>) -> Result<R::With<Buffer>> {
        let step = self.compiled(batch.structure(), B::again(batch.map_to(|array| array.ty().clone())))?;
        let copies = batch.by_path().into_iter().map(|(_, array)| self.client.to_device(array).map(Input::Donate));
        let copies = copies.collect::<Result<Vec<_>>>()?;
        self.run(&step, copies)
    }

    /// One step on a batch that is on the device already.
    ///
    /// # Errors
    /// As [`step`](TrainState::step).
    pub fn step_on_device(&mut self, batch: &B::With<Buffer>) -> Result<R::With<Buffer>> {
        let step = self.compiled(batch.structure(), B::again(batch.map_to(|buffer| buffer.ty().clone())))?;
        self.run(&step, batch.by_path().into_iter().map(|(_, buffer)| Input::Borrow(buffer)).collect())
    }

    /// Waits for all steps and copies the parameters to the host.
    ///
    /// # Errors
    /// Errors of a step.
    pub fn params(&self) -> Result<P> {
        Ok(self.to_host()?.0)
    }

    /// Waits for all steps and copies the optimizer's state to the host.
    ///
    /// # Errors
    /// Errors of a step.
    pub fn optimizer_state(&self) -> Result<OptState<Array>> {
        Ok(self.to_host()?.1)
    }

    /// The number of steps so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Writes parameters, optimizer state and the number of steps to a safetensors file: `params/…`, `optimizer/…`, `steps`.
    ///
    /// # Errors
    /// Errors of a step; kind `File` when the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let (params, state) = self.to_host()?;
        save(path, &checkpoint(&params, &state, self.steps))
    }

    /// Continues from a file of [`save`](TrainState::save): the following steps have the same bits as without the interruption.
    ///
    /// # Errors
    /// Kind `File` when the file cannot be read; kind `Input` when it is damaged or has other paths or types; errors from PJRT.
    pub fn restore(&mut self, path: &Path) -> Result<()> {
        let zeros = |ty: &TensorType| Array::zeros(ty.clone());
        let (params, state): (P, OptState<Array>) = (self.types.0.map_to(zeros), self.types.1.map_to(zeros));
        let found = load(path, &checkpoint(&params, &state, 0))?;
        let read = |path: &str, _: &Array| Ok::<Array, Infallible>(found[path].clone());
        let (Ok(params), Ok(state)) = (params.try_map(PARAMS, &mut { read }), state.try_map(OPTIMIZER, &mut { read }));
        self.hold(params.by_path().into_iter().chain(state.by_path()).map(|(_, array)| array))?;
        self.steps = found[STEPS].to_vec::<u64>()?[0];
        Ok(())
    }

    fn hold<'a>(&mut self, arrays: impl Iterator<Item = &'a Array>) -> Result<()> {
        self.held = arrays.map(|array| self.client.to_device(array)).collect::<Result<_>>()?;
        Ok(())
    }

    fn to_host(&self) -> Result<(P, OptState<Array>)> {
        self.check_held()?;
        let copies = self.held.iter().map(Buffer::start_to_host).collect::<Result<Vec<_>>>()?;
        let mut arrays = copies.into_iter().map(PendingArray::wait);
        let mut next = |_: &str, _: &TensorType| arrays.next().expect("an array for each leaf");
        let params = self.types.0.try_map("", &mut next)?;
        Ok((params, self.types.1.try_map("", &mut next)?))
    }

    fn check_held(&self) -> Result<()> {
        match self.held.is_empty() && self.types.0.by_path().len() + self.types.1.len() > 0 {
            true => Err(Error::input("the last step failed and took the parameters with it; restore them from a file")),
            false => Ok(()),
        }
    }

    fn run(&mut self, step: &Compiled<R>, batch: Vec<Input<'_>>) -> Result<R::With<Buffer>> {
        self.check_held()?;
        let held = std::mem::take(&mut self.held).into_iter().map(Input::Donate);
        let mut outputs = step.program.execute(held.chain(batch).collect())?;
        let returned = outputs.split_off(outputs.len() - step.returned.by_path().len());
        (self.held, self.steps) = (outputs, self.steps + 1);
        Ok(R::again(step.returned.with_leaves(returned)?))
    }

    /// The program for batches of these types, compiled on first use.
    fn compiled(&mut self, structure: Structure, batch: B::With<TensorType>) -> Result<Arc<Compiled<R>>> {
        let types = batch.leaves();
        if let Some(known) = self.compiled.iter().find(|one| one.structure == structure && one.types == types) {
            return Ok(known.clone());
        }
        let (function, returned) = self.traced(&batch)?;
        let held: Vec<TensorType> = self.types.0.leaves().into_iter().chain(self.types.1.leaves()).collect();
        let donated = (0..held.len()).map(|i| (i, i)).collect();
        let program = Program { donated, ..Program::named("train_step") }.compile(&self.client, &function)?;
        let compiled = Arc::new(Compiled { structure, types, program, returned });
        self.compiled.push(compiled.clone());
        Ok(compiled)
    }

    /// A step as a function of parameters, state and batch; returns the next ones and what the loss returns.
    fn traced(&self, batch: &B::With<TensorType>) -> Result<(Function, R::With<TensorType>)> {
        name_cells();
        let graph = Graph::new();
        let declare = |path: &str, ty: &TensorType| Ok::<Tensor, Infallible>(graph.input(path, ty.clone()));
        let Ok(params) = self.types.0.try_map(PARAMS, &mut { declare });
        let Ok(state) = self.types.1.try_map(OPTIMIZER, &mut { declare });
        let Ok(batch) = batch.try_map("batch", &mut { declare });
        let params: P::With<Tensor> = P::again(params);
        let (returned, grads) = value_and_grad(&params, |params| (self.loss)(params, batch));
        let loss = returned.value();
        let (updates, next) = self.optimizer.update_with_value(&tensors(&grads), &state, &tensors(&params), loss);
        let params = apply_updates(&params, &with_tensors("update", &params, &updates));
        let next = with_tensors("update", &state, &next);
        let changed = state.iter().find(|(path, before)| !next[*path].is_poison() && next[*path].ty() != before.ty());
        if let Some((path, before)) = changed {
            let message = format!("the optimizer's {path} was {} and becomes {}", before.ty(), next[path].ty());
            graph.fail("update", Violation::new("", message));
        }
        let function = graph.finish(&[params.leaves(), next.leaves(), returned.leaves()].concat())?;
        Ok((function, returned.map_to(|leaf| leaf.ty().clone())))
    }
}

/// The folders of a file.
const PARAMS: &str = "params";
const OPTIMIZER: &str = "optimizer";
const STEPS: &str = "steps";

fn checkpoint<P: Tree<Array>>(params: &P, state: &OptState<Array>, steps: u64) -> BTreeMap<String, Array> {
    let mut arrays = BTreeMap::from([(STEPS.to_owned(), Array::scalar(steps))]);
    let mut add = |path: &str, part: Part<'_, Array>| {
        if let Part::Leaf(array) = part {
            arrays.insert(path.to_owned(), array.clone());
        }
    };
    params.each(PARAMS, &mut add);
    state.each(OPTIMIZER, &mut add);
    arrays
}
