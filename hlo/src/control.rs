//! Control flow decided while running: `while` and `case`. Knows no particular op.

use std::sync::Arc;

use crate::autodiff::vjp;
use crate::dtype::DType;
use crate::error::Violation;
use crate::function::{Function, Rewrite};
use crate::graph::Graph;
use crate::op::{Cotangents, Infer, Op, Recompute, Reverse};
use crate::ops::sample::Sample;
use crate::tensor::Tensor;
use crate::tree::Tree;
use crate::types::TensorType;

/// A loop as StableHLO has it: both functions take the whole state. What the body does not change is passed along.
#[derive(Debug)]
struct While {
    condition: Function,
    body: Function,
}

impl Op for While {
    fn name(&self) -> &'static str {
        "while"
    }
    fn infer(&self, operands: &[TensorType]) -> Infer {
        let results = self.body.result_types();
        if let Some((before, after)) = operands.iter().zip(&results).find(|(b, a)| b != a) {
            return Err(Violation::new("C2", format!("a part of the state starts as {before} and becomes {after}")));
        }
        match self.condition.result_types().as_slice() {
            [ty] if *ty == TensorType::scalar(DType::Pred) => Ok(results),
            other => Err(Violation::new("C1", format!("the condition gives ({}), not one pred[]", list(other)))),
        }
    }
    fn regions(&self, _: &[TensorType]) -> Vec<Function> {
        vec![self.condition.clone(), self.body.clone()]
    }
    fn vjp(&self, reverse: &Reverse) -> Cotangents {
        // A loop whose state is differentiated in part only (a counter beside it, say) is refused all the same.
        let message = "has no reverse rule, since its number of steps is known only while running; use scan";
        reverse.outs[0].graph().fail("while", Violation::new("", message));
        vec![None; reverse.ins.len()]
    }
    fn recompute(&self) -> Recompute {
        Recompute::Costly
    }
    fn is_pure_data(&self) -> bool {
        false
    }
    fn retrace(&self, operands: &[Tensor], rewrite: &mut Rewrite) -> Option<Vec<Tensor>> {
        let graph = operands[0].graph().clone();
        let condition = |s: &[Tensor]| self.condition.call(s[0].graph(), s).swap_remove(0);
        Some(while_raw(&graph, operands, condition, |s| self.body.rewrite(s[0].graph(), s, rewrite)))
    }
    fn map_bodies(&self, change: &dyn Fn(&Function) -> Function) -> Option<Arc<dyn Op>> {
        Some(Arc::new(While { condition: change(&self.condition), body: change(&self.body) }))
    }
}

fn list(types: &[TensorType]) -> String {
    types.iter().map(TensorType::to_string).collect::<Vec<_>>().join(", ")
}

/// Traces a loop and records it; captured values become parts of the state that stay as they are.
#[track_caller]
pub(crate) fn while_raw(
    graph: &Graph,
    state: &[Tensor],
    condition: impl FnOnce(&[Tensor]) -> Tensor,
    body: impl FnOnce(&[Tensor]) -> Vec<Tensor>,
) -> Vec<Tensor> {
    let condition = close_state(graph, state, |s| vec![condition(s)]);
    let body = close_state(graph, state, body);
    let (Some((condition, seen)), Some((body, used))) = (condition, body) else { return vec![Tensor::poison(graph)] };
    let operands = [state, &seen, &used].concat();
    let types: Vec<TensorType> = operands.iter().map(|t| t.ty().clone()).collect();
    let (n, c) = (state.len(), seen.len());
    // Both functions take state, the condition's captures and the body's, whichever of them they read.
    let whole = |f: &dyn Fn(&Graph, &[Tensor]) -> Vec<Tensor>| {
        let graph = Graph::new();
        let inputs: Vec<Tensor> = types.iter().map(|ty| graph.input("", ty.clone())).collect();
        graph.finish(&f(&graph, &inputs)).expect("what was traced once is traced again")
    };
    let condition = whole(&|g, s| condition.call(g, &[&s[n..n + c], &s[..n]].concat()));
    let body = whole(&|g, s| [body.call(g, &[&s[n + c..], &s[..n]].concat()), s[n..].to_vec()].concat());
    let mut results = graph.record(Arc::new(While { condition, body }), &operands);
    results.truncate(n.max(1));
    results
}

#[track_caller]
fn close_state(graph: &Graph, state: &[Tensor], f: impl FnOnce(&[Tensor]) -> Vec<Tensor>) -> Closed {
    graph.body(|inner| {
        let state: Vec<Tensor> = state.iter().map(|t| inner.input("", t.ty().clone())).collect();
        let results = f(&state);
        inner.close(&results)
    })
}

/// Runs `body` on a state as long as `condition` holds for it. JAX: `lax.while_loop`. Not differentiable: use `scan`.
///
/// # Errors
/// Kept in the trace: a state that changes type, a condition that is not one boolean.
#[track_caller]
pub fn while_loop<S: Tree>(init: &S, condition: impl FnOnce(&S) -> Tensor, body: impl FnOnce(S) -> S) -> S {
    let state = init.leaves();
    if let Some(poison) = state.iter().find(|t| t.is_poison()) {
        return init.map(|_| poison.clone());
    }
    let graph = state[0].graph().clone();
    let results = while_raw(
        &graph,
        &state,
        |s| condition(&init.with_leaves(s.to_vec())),
        |s| body(init.with_leaves(s.to_vec())).leaves(),
    );
    init.rebuild(&mut results.iter().chain(std::iter::repeat(&results[0])).cloned())
}

/// One of several functions, chosen by an index; each takes all operands behind the index.
#[derive(Debug)]
struct Case {
    branches: Vec<Function>,
}

impl Op for Case {
    fn name(&self) -> &'static str {
        "case"
    }
    fn infer(&self, operands: &[TensorType]) -> Infer {
        if operands[0] != TensorType::scalar(DType::S32) {
            return Err(Violation::new("I1", format!("the index is {}, not s32[]", operands[0])));
        }
        let results = self.branches[0].result_types();
        match self.branches.iter().map(Function::result_types).find(|types| *types != results) {
            Some(other) => {
                let message = format!("branches give ({}) and ({})", list(&results), list(&other));
                Err(Violation::new("C3", message))
            }
            None => Ok(results),
        }
    }
    fn regions(&self, _: &[TensorType]) -> Vec<Function> {
        self.branches.clone()
    }
    fn implicit_operands(&self) -> Option<usize> {
        Some(1)
    }
    fn vjp(&self, reverse: &Reverse) -> Cotangents {
        let (index, inputs) = (&reverse.ins[0], &reverse.ins[1..]);
        let wanted: Vec<usize> = (0..inputs.len()).filter(|&i| reverse.needs[i + 1]).collect();
        let back = |branch: &Function| {
            let wrt: Vec<Tensor> = wanted.iter().map(|&i| inputs[i].identity()).collect();
            let mut args = inputs.to_vec();
            wanted.iter().zip(&wrt).for_each(|(&i, t)| args[i] = t.clone());
            vjp(&branch.call(index.graph(), &args), reverse.cts, &wrt)
        };
        let grads = case_raw(index, self.branches.iter().map(|b| Box::new(move || back(b)) as Branch).collect());
        let mut cts = vec![None; reverse.ins.len()];
        wanted.into_iter().zip(grads).for_each(|(i, grad)| cts[i + 1] = Some(grad));
        cts
    }
    fn recompute(&self) -> Recompute {
        Recompute::Costly
    }
    fn is_pure_data(&self) -> bool {
        false
    }
    fn retrace(&self, operands: &[Tensor], rewrite: &mut Rewrite) -> Option<Vec<Tensor>> {
        let graph = operands[0].graph();
        let mut traced = Vec::new();
        for branch in &self.branches {
            traced.push(close_branch(graph, || branch.rewrite(graph, &operands[1..], rewrite)));
        }
        Some(record_case(&operands[0], traced))
    }
    fn map_bodies(&self, change: &dyn Fn(&Function) -> Function) -> Option<Arc<dyn Op>> {
        Some(Arc::new(Case { branches: self.branches.iter().map(change).collect() }))
    }
}

type Branch<'a> = Box<dyn FnOnce() -> Vec<Tensor> + 'a>;
type Closed = Option<(Function, Vec<Tensor>)>;

#[track_caller]
fn close_branch(graph: &Graph, f: impl FnOnce() -> Vec<Tensor>) -> Closed {
    graph.body(|inner| {
        let results = f();
        inner.close(&results)
    })
}

#[track_caller]
fn case_raw(index: &Tensor, branches: Vec<Branch>) -> Vec<Tensor> {
    record_case(index, branches.into_iter().map(|b| close_branch(index.graph(), b)).collect())
}

#[track_caller]
fn record_case(index: &Tensor, branches: Vec<Closed>) -> Vec<Tensor> {
    let Some(branches) = branches.into_iter().collect::<Option<Vec<_>>>() else {
        return vec![Tensor::poison(index.graph())];
    };
    let captures: Vec<Tensor> = branches.iter().flat_map(|(_, captures)| captures.clone()).collect();
    let mut at = 0;
    let whole = |(branch, own): &(Function, Vec<Tensor>)| {
        let graph = Graph::new();
        let inputs: Vec<Tensor> = captures.iter().map(|t| graph.input("", t.ty().clone())).collect();
        let results = branch.call(&graph, &inputs[at..at + own.len()]);
        at += own.len();
        graph.finish(&results).expect("what was traced once is traced again")
    };
    let branches = branches.iter().map(whole).collect();
    index.graph().record(Arc::new(Case { branches }), &[vec![index.clone()], captures].concat())
}

/// Runs the branch with this index (the last one where the index is out of range). JAX: `lax.switch`.
///
/// Branches use what they need of the surrounding trace. What depends on nothing inside a branch is computed always.
///
/// # Errors
/// Kept in the trace: branches whose results differ in type, an index that is not `s32[]`.
///
/// # Panics
/// When there is no branch.
#[track_caller]
pub fn switch<Y: Tree>(index: &Tensor, branches: Vec<Box<dyn FnOnce() -> Y + '_>>) -> Y {
    let mut template = None;
    let mut traced = Vec::new();
    for branch in branches {
        traced.push(close_branch(index.graph(), || {
            let y = branch();
            let leaves = y.leaves();
            template.get_or_insert(y);
            leaves
        }));
    }
    let results = record_case(index, traced);
    let template = template.expect("a switch has a branch");
    template.rebuild(&mut results.iter().chain(std::iter::repeat(&results[0])).cloned())
}

pub(super) fn samples() -> Vec<Sample> {
    let f = DType::F64;
    let choose = |which: f64| {
        move |x: &[Tensor]| {
            let index = x[0].graph().scalar(DType::S32, which);
            let branches: Vec<Box<dyn FnOnce() -> Tensor + '_>> =
                vec![Box::new(|| &x[0] * &x[1]), Box::new(|| x[0].exp())];
            vec![switch(&index, branches)]
        }
    };
    let doubled = |x: &[Tensor]| {
        let start = (x[0].graph().scalar(DType::S32, 0.0), x[0].clone());
        let (_, end) = while_loop(&start, |(i, _)| i.lt(3.0), |(i, v)| (i + 1.0, v * &x[1]));
        vec![end]
    };
    vec![
        Sample::new("case 0", choose(0.0)).input(f, [3], -1.0, 1.0).input(f, [3], -1.0, 1.0).unbatchable(),
        Sample::new("case 1", choose(1.0)).input(f, [3], -1.0, 1.0).input(f, [3], -1.0, 1.0).unbatchable(),
        Sample::new("while", doubled).input(f, [3], -1.0, 1.0).input(f, [3], -1.0, 1.0).forward_only().unbatchable(),
    ]
}
