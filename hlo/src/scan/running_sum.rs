//! Sums that a program keeps across calls: an operation in the trace, explicit state in the compiled program.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::graph::batch::Mapped;
use crate::graph::error::{GraphErrors, Violation};
use crate::graph::function::{Function, Node};
use crate::graph::op::{Cotangents, Infer, Op, Recompute, Reverse};
use crate::graph::tensor::Tensor;
use crate::graph::trace::Graph;
use crate::ops::sample::Sample;
use crate::scan::operation::{Parts, Scan, scan_raw};
use crate::types::dtype::DType;
use crate::types::tensor_type::TensorType;

/// Adds its operands to the sums with that name. Outputs: the number of additions, including this one, and the sums.
#[derive(Clone, Debug, PartialEq)]
struct RunningSum {
    name: String,
    /// The label of each operand.
    labels: Vec<String>,
}

impl RunningSum {
    /// Names and types of the state: the count, then each sum.
    fn kept(&self, operands: &[TensorType]) -> Vec<(String, TensorType)> {
        let labels = std::iter::once("count").chain(self.labels.iter().map(String::as_str));
        let types = std::iter::once(count_type()).chain(operands.iter().cloned());
        labels.map(|label| format!("{}/{label}", self.name)).zip(types).collect()
    }
}

fn count_type() -> TensorType {
    TensorType::new(DType::S32, Vec::new())
}

impl Op for RunningSum {
    fn name(&self) -> &'static str {
        "running_sum"
    }
    fn infer(&self, operands: &[TensorType]) -> Infer {
        Ok(std::iter::once(count_type()).chain(operands.iter().cloned()).collect())
    }
    fn attrs(&self) -> Vec<(&'static str, String)> {
        vec![("name", format!("{:?}", self.name))]
    }
    fn vjp(&self, reverse: &Reverse) -> Cotangents {
        vec![None; reverse.ins.len()]
    }
    fn has_derivative(&self) -> bool {
        false
    }
    /// Each slice has separate sums; all slices add at the same time, so they share one count.
    fn batch(&self, mapped: &Mapped) -> Option<Vec<Tensor>> {
        let operands = mapped.operands();
        let mut outputs = operands[0].graph().record(Arc::new(self.clone()), &operands);
        outputs[0] = outputs[0].broadcast_in_dim(&[mapped.size], &[]);
        Some(outputs)
    }
    fn recompute(&self) -> Recompute {
        Recompute::Costly
    }
    fn is_pure_data(&self) -> bool {
        false
    }
    fn is_stablehlo(&self, _: &[TensorType]) -> bool {
        false
    }
    /// Without state, each addition is the first.
    fn lower(&self, operands: &[Tensor]) -> Option<Vec<Tensor>> {
        let one = operands[0].graph().scalar(DType::S32, 1.0);
        Some(std::iter::once(one).chain(operands.iter().cloned()).collect())
    }
}

/// Adds tensors, each with a label, to the sums that the program keeps under `name`; returns the number of additions so far and the
/// sums, both including this addition. Gradients do not pass through.
///
/// Sums are state only after [`Function::keep_sums`] or [`Function::read_sums`]; without them each addition counts as the first.
///
/// # Errors
/// Recorded in the trace: no tensor given.
#[track_caller]
pub fn running_sum(graph: &Graph, name: &str, values: &[(&str, &Tensor)]) -> (Tensor, Vec<Tensor>) {
    if values.is_empty() {
        let poison = graph.fail("running_sum", Violation::new("", "requires at least one tensor"));
        return (poison, Vec::new());
    }
    let op =
        RunningSum { name: name.to_owned(), labels: values.iter().map(|(label, _)| (*label).to_owned()).collect() };
    let operands: Vec<Tensor> = values.iter().map(|(_, value)| (*value).clone()).collect();
    let mut outputs = graph.record(Arc::new(op), &operands);
    if outputs[0].is_poison() {
        outputs = vec![outputs[0].clone(); operands.len() + 1];
    }
    let count = outputs.remove(0);
    (count, outputs)
}

/// The state under each name: the count, then the sums.
type State = BTreeMap<String, Vec<Tensor>>;

impl Function {
    /// Names (`NAME/count`, `NAME/LABEL`) and types of everything that [`running_sum`] keeps in this function, sorted by the sums' names,
    /// each count before its sums.
    pub fn sums(&self) -> Vec<(String, TensorType)> {
        self.sums_by_name().into_values().flatten().collect()
    }

    fn sums_by_name(&self) -> BTreeMap<String, Vec<(String, TensorType)>> {
        let found = RefCell::new(BTreeMap::new());
        self.collect_sums(&found);
        found.into_inner()
    }

    fn collect_sums(&self, found: &RefCell<BTreeMap<String, Vec<(String, TensorType)>>>) {
        for node in &self.nodes {
            if let Some(sum) = node.op.downcast::<RunningSum>() {
                found.borrow_mut().insert(sum.name.clone(), sum.kept(&node.types[1..]));
            }
            node.op.map_bodies(&|body| {
                body.collect_sums(found);
                body.clone()
            });
        }
    }

    /// Makes the running sums explicit state: appends the values that [`sums`](Function::sums) lists to the parameters, and their
    /// updated values to the results. Loops carry them from step to step.
    ///
    /// # Errors
    /// A running sum in a body of an operation other than a scan.
    pub fn keep_sums(&self) -> Result<Function, GraphErrors> {
        self.with_sums(true)
    }

    /// Makes the running sums parameters, appended to the function's own: every read returns the given sums, and nothing is added.
    ///
    /// # Errors
    /// As for [`keep_sums`](Function::keep_sums).
    pub fn read_sums(&self) -> Result<Function, GraphErrors> {
        self.with_sums(false)
    }

    fn with_sums(&self, add: bool) -> Result<Function, GraphErrors> {
        let graph = Graph::new();
        let declare = |(name, ty): (&String, TensorType)| graph.input(name.as_str(), ty);
        let args: Vec<Tensor> = self.inputs.iter().zip(self.input_types()).map(declare).collect();
        let declare =
            |kept: Vec<(String, TensorType)>| kept.into_iter().map(|(name, ty)| graph.input(name, ty)).collect();
        let mut state: State = self.sums_by_name().into_iter().map(|(name, kept)| (name, declare(kept))).collect();
        let mut results = thread(self, &graph, &args, &mut state, add);
        if add {
            results.extend(state.into_values().flatten());
        }
        graph.finish(&results)
    }
}

/// Records a function that reads its sums from `state` and, if `add`, writes them back.
fn thread(function: &Function, graph: &Graph, args: &[Tensor], state: &mut State, add: bool) -> Vec<Tensor> {
    function.replay(graph, args, &mut |node, operands| {
        if let Some(sum) = node.op.downcast::<RunningSum>() {
            let kept = state.get_mut(&sum.name).expect("every sum was found before");
            if add {
                let ones = kept[0].full_like(1.0);
                let added = std::iter::once(&ones).chain(operands);
                *kept = kept.iter().zip(added).map(|(kept, value)| kept + value).collect();
            }
            return Some(kept.clone());
        }
        thread_bodies(node, graph, operands, state, add)
    })
}

/// The outputs of a node with sums in its bodies; `None` if there are no sums.
fn thread_bodies(node: &Node, graph: &Graph, operands: &[Tensor], state: &mut State, add: bool) -> Option<Vec<Tensor>> {
    let found = RefCell::default();
    node.op.map_bodies(&|body| {
        body.collect_sums(&found);
        body.clone()
    });
    let names: Vec<String> = found.into_inner().into_keys().collect();
    if names.is_empty() {
        return None;
    }
    let Some(scan) = node.op.downcast::<Scan>() else {
        let message = "one of its functions contains a running sum, which only a scan can carry";
        return Some(vec![graph.fail(node.op.name(), Violation::new("", message))]);
    };
    Some(thread_scan(scan, operands, state, &names, add))
}

/// Records a scan that carries its sums or, without `add`, captures them.
fn thread_scan(scan: &Scan, operands: &[Tensor], state: &mut State, names: &[String], add: bool) -> Vec<Tensor> {
    let Parts { consts, carries, xs } = scan.parts(operands);
    let kept: Vec<Tensor> = if add { names.iter().flat_map(|name| state[name].clone()).collect() } else { Vec::new() };
    let init = [carries, &kept].concat();
    let mut outputs = scan_raw(&init, xs, scan.length, scan.reverse, consts, |graph, carry, x| {
        let (carry, kept) = carry.split_at(scan.carries);
        let mut inner = state.clone();
        refill(&mut inner, if add { names } else { &[] }, kept);
        let args = [consts, carry, x].concat();
        let mut after = thread(&scan.body, graph, &args, &mut inner, add);
        let ys = after.split_off(scan.carries);
        if add {
            after.extend(names.iter().flat_map(|name| inner[name].clone()));
        }
        (after, ys)
    });
    if outputs[0].is_poison() {
        return outputs;
    }
    let kept: Vec<Tensor> = outputs.drain(scan.carries..scan.carries + kept.len()).collect();
    refill(state, if add { names } else { &[] }, &kept);
    outputs
}

fn refill(state: &mut State, names: &[String], mut values: &[Tensor]) {
    for name in names {
        let kept = state.get_mut(name).expect("every sum was found before");
        let (own, rest) = values.split_at(kept.len());
        *kept = own.to_vec();
        values = rest;
    }
}

pub(crate) fn samples() -> Vec<Sample> {
    let summed = |x: &[Tensor]| {
        let (count, sums) = running_sum(x[0].graph(), "sample", &[("a", &x[0]), ("b", &x[1])]);
        std::iter::once(count.convert(DType::F64)).chain(sums).collect()
    };
    let f = DType::F64;
    vec![Sample::new("running_sum", summed).input(f, [3], -1.0, 1.0).input(f, [2, 2], -1.0, 1.0).forward_only()]
}
