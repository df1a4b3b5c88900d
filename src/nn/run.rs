//! A model over time, as one scan. Knows no particular layer.

use std::collections::BTreeMap;

use spiq_hlo::{Array, DType, Graph, Tensor, TensorType, Violation, scan};

use super::axes::{Axis, Named, failed};
use super::layer::Layer;
use super::sequential::Sequential;
use super::step::Step;

/// Tensors by path.
type Tensors = BTreeMap<String, Tensor>;

/// Parameters from host memory as constants of a trace: for a program that does not change them.
pub fn constants(graph: &Graph, params: &BTreeMap<String, Array>) -> BTreeMap<String, Tensor> {
    params.iter().map(|(path, array)| (path.clone(), graph.constant(array))).collect()
}

/// Runs a model over time, from a state of zeros; returns the outputs of all steps and the last state, by path.
///
/// Shapes: x [T, B, …] to traces [T, B, …]; state [B, …]. Source: `spyx.nn.run`.
///
/// # Errors
/// Kept in the trace, under the caller's line: axes that do not start with T B, an input that the model does not fit
/// or that is not f32, parameters that are missing or of another type.
#[track_caller]
pub fn run(model: &Sequential, params: &BTreeMap<String, Tensor>, x: &Named) -> (Named, BTreeMap<String, Tensor>) {
    let types = model.state_types(x.size(Axis::Batch).unwrap_or_default(), x.tensor().dtype());
    let graph = x.tensor().graph();
    let zeros = types.into_iter().map(|(path, ty)| (path, graph.zeros(ty))).collect();
    run_from(model, params, &zeros, x)
}

/// Like [`run`], but from a state of one's own, for instance the one that an earlier run ended with.
///
/// # Errors
/// Kept in the trace, as for [`run`]; also a state that is missing or of another type.
///
/// ```
/// use spiq::nn::{self, Axes, Li, Sequential};
/// use spiq::random::Rngs;
/// use spiq_hlo::{DType, TensorType, trace};
/// let model = Sequential::new("core", [Li::new([4]).into()]);
/// let params = model.init(&mut Rngs::new(0));
/// trace(&[("x", TensorType::new(DType::F32, [6, 2, 4]))], |x| {
///     let params = nn::constants(x[0].graph(), &params);
///     let (_, half) = nn::run(&model, &params, &x[0].slice_axis(0, 0, 3).named("T B C"));
///     let (traces, _) = nn::run_from(&model, &params, &half, &x[0].slice_axis(0, 3, 6).named("T B C"));
///     vec![traces.into_tensor()]
/// })?;
/// # Ok::<(), spiq_hlo::GraphErrors>(())
/// ```
#[track_caller]
pub fn run_from(
    model: &Sequential,
    params: &BTreeMap<String, Tensor>,
    state: &BTreeMap<String, Tensor>,
    x: &Named,
) -> (Named, BTreeMap<String, Tensor>) {
    if let Err(violation) = check(model, params, state, x) {
        let poison = failed(x.tensor(), "run", violation);
        return (Named::new(&poison, x.axes().to_vec()), state.keys().map(|k| (k.clone(), poison.clone())).collect());
    }
    // What the model does not declare is not carried.
    let declared = model.state_types(0, x.tensor().dtype());
    let first: Tensors = state.iter().filter(|(path, _)| declared.contains_key(*path)).map(owned).collect();
    let (last, traces) = scan(&first, x.tensor(), |mut states: Tensors, x: Tensor| {
        let y = step(model, params, &mut states, &x);
        (states, y)
    });
    let axes = if traces.rank() == x.axes().len() { x.axes() } else { &[Axis::Time, Axis::Batch, Axis::Channel] };
    (Named::new(&traces, axes.to_vec()), last)
}

fn owned<V: Clone>((path, value): (&String, &V)) -> (String, V) {
    (path.clone(), value.clone())
}

fn step(model: &Sequential, params: &Tensors, states: &mut Tensors, x: &Tensor) -> Tensor {
    let (graph, path) = (x.graph().clone(), model.name().to_owned());
    let mut at = Step { graph: graph.clone(), path, parameters: params, states };
    graph.scope(model.name(), || model.step(&mut at, x))
}

/// Everything about a run that can be wrong before its first step.
fn check(model: &Sequential, params: &Tensors, state: &Tensors, x: &Named) -> Result<(), Violation> {
    let tensor = x.tensor();
    if tensor.is_poison() {
        return Ok(());
    }
    check_axes(x)?;
    // Parameters are f32, and operands of one operation share their element type.
    if tensor.dtype() != DType::F32 {
        return Err(Violation::new("", format!("wants f32 elements, got {}; call .convert(DType::F32)", tensor.ty())));
    }
    let dims = tensor.dims();
    if let Err(reason) = model.output(&dims[2..]) {
        return Err(Violation::new("", format!("{}/{reason}, from x {x}", model.name())));
    }
    check_types("parameter", &model.parameter_types(), params)?;
    check_types("state", &model.state_types(dims[1], tensor.dtype()), state)
}

fn check_axes(x: &Named) -> Result<(), Violation> {
    if x.axes().starts_with(&[Axis::Time, Axis::Batch]) {
        return Ok(());
    }
    let rest = x.axes().iter().filter(|a| !matches!(a, Axis::Time | Axis::Batch));
    let wanted: Vec<Axis> = [Axis::Time, Axis::Batch].into_iter().chain(rest.copied()).collect();
    let names = super::axes::letters(&wanted);
    let remedy = if x.position(Axis::Time).is_some() && x.position(Axis::Batch).is_some() {
        format!("; call .to_axes({names:?})")
    } else {
        String::new()
    };
    Err(Violation::new("", format!("wants time first, then the batch: {names:?}, got {x}{remedy}")))
}

fn check_types(what: &str, wanted: &BTreeMap<String, TensorType>, given: &Tensors) -> Result<(), Violation> {
    for (path, ty) in wanted {
        let message = match given.get(path) {
            Some(tensor) if tensor.is_poison() || tensor.ty() == ty => continue,
            Some(tensor) => format!("the {what} {path} is {}, but the model wants {ty}", tensor.ty()),
            None => format!("there is no {what} {path}; the model wants {ty}"),
        };
        return Err(Violation::new("", message));
    }
    Ok(())
}
