//! Control flow decided at run time: `while` and `case`.

use std::sync::Arc;

use crate::graph::batch::{Mapped, call_mapped};
use crate::graph::dependence::dependence;
use crate::graph::error::Violation;
use crate::graph::function::{Function, Rewrite};
use crate::graph::op::{Cotangents, Infer, Op, Recompute, Reverse};
use crate::graph::range::{Range, Ranges};
use crate::graph::shard::{Laid, Local, Split, settled_splits};
use crate::graph::tensor::Tensor;
use crate::graph::trace::Graph;
use crate::graph::tree::{Tree, filled, leaves_like};
use crate::ops::sample::Sample;
use crate::transform::autodiff::vjp;
use crate::types::dtype::DType;
use crate::types::tensor_type::TensorType;

/// StableHLO's `while`: both functions take the whole state. The body passes unchanged values through.
#[derive(Debug, PartialEq)]
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
            return Err(Violation::new("C2", format!("a part of the state changes type from {before} to {after}")));
        }
        match self.condition.result_types().as_slice() {
            [ty] if *ty == TensorType::scalar(DType::Pred) => Ok(results),
            other => Err(Violation::new("C1", format!("the condition returns ({}), not one pred[]", list(other)))),
        }
    }
    fn regions(&self, _: &[TensorType]) -> Vec<Function> {
        vec![self.condition.clone(), self.body.clone()]
    }
    fn vjp(&self, reverse: &Reverse) -> Cotangents {
        // A loop is rejected even if only part of its state is differentiated (for example if the rest is a counter).
        let message = "has no reverse rule, because its number of steps is known only at run time; use scan";
        reverse.outs[0].graph().fail("while", Violation::new("", message));
        vec![None; reverse.ins.len()]
    }
    fn batch(&self, mapped: &Mapped) -> Option<Vec<Tensor>> {
        Some(self.map_over(mapped))
    }
    fn shard(&self, local: &Local) -> Option<Vec<Laid>> {
        let before = local.ins.iter().map(|laid| laid.split).collect();
        let splits = settled_splits(before, |splits| local.result_splits(&self.body, splits));
        let state: Vec<Tensor> =
            local.ins.iter().zip(&splits).map(|(laid, split)| local.arranged(laid, *split)).collect();
        let call = |body: &Function, state: &[Tensor]| local.call(body, state[0].graph(), &laid(state, &splits));
        let condition = |state: &[Tensor]| local.arranged(&call(&self.condition, state)[0], None);
        let step = |state: &[Tensor]| -> Vec<Tensor> {
            call(&self.body, state).iter().zip(&splits).map(|(laid, split)| local.arranged(laid, *split)).collect()
        };
        Some(laid(&while_raw(state[0].graph(), &state, condition, step), &splits))
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

impl While {
    /// The loop over an additional axis. If the condition is mapped, the loop runs while it holds for any slice, and slices for which it
    /// no longer holds keep their state.
    fn map_over(&self, mapped: &Mapped) -> Vec<Tensor> {
        let (size, graph) = (mapped.size, mapped.ins[0].graph());
        let mut flags = self.mapped_state(mapped.mapped);
        let decides = dependence(&self.condition).swap_remove(0);
        let apart = decides.iter().zip(&flags).any(|(d, f)| *d && *f);
        let changes: Vec<bool> = (0..flags.len()).map(|i| self.body.results[i] != self.body.input(i)).collect();
        if apart {
            flags.iter_mut().zip(&changes).for_each(|(f, changes)| *f |= changes);
        }
        let spread = |i: usize| if flags[i] { mapped.operand(i) } else { mapped.ins[i].clone() };
        let state: Vec<Tensor> = (0..flags.len()).map(spread).collect();
        let holds = |s: &[Tensor]| call_mapped(&self.condition, graph, s, &flags, size).swap_remove(0).0;
        let step = |s: &[Tensor]| -> Vec<Tensor> {
            let results = call_mapped(&self.body, graph, s, &flags, size).into_iter().zip(&flags);
            results.map(|(result, wanted)| if *wanted { Mapped::wide(size, result) } else { result.0 }).collect()
        };
        let outputs = match apart {
            false => while_raw(graph, &state, holds, step),
            // Each slice's condition becomes the first element of the state.
            true => {
                let state = [vec![holds(&state)], state].concat();
                let any = |s: &[Tensor]| s[0].reduce_or([0]);
                let mut outputs = while_raw(graph, &state, any, |s| {
                    let (on, old) = s.split_first().expect("whether to go on, and the state");
                    let kept = |((new, old), changes): ((Tensor, &Tensor), &bool)| match changes {
                        true => on.broadcast_in_dim(new.dims(), &[0]).select(&new, old),
                        false => new,
                    };
                    let next: Vec<Tensor> = step(old).into_iter().zip(old).zip(&changes).map(kept).collect();
                    [vec![on.and(holds(&next))], next].concat()
                });
                outputs.remove(0);
                outputs
            }
        };
        outputs.into_iter().zip(flags).map(|output| Mapped::wide(size, output)).collect()
    }

    /// Which elements of the state are mapped, given which operands are: those that depend on a mapped one.
    fn mapped_state(&self, operands: &[bool]) -> Vec<bool> {
        let depends = dependence(&self.body);
        let mut flags = operands.to_vec();
        // Each iteration propagates the flags one step; `flags.len()` iterations reach the fixed point.
        for _ in 0..flags.len() {
            let reached = |depends: &Vec<bool>| depends.iter().zip(&flags).any(|(d, f)| *d && *f);
            let next: Vec<bool> = depends.iter().map(reached).collect();
            flags.iter_mut().zip(next).for_each(|(f, next)| *f |= next);
        }
        flags
    }
}

/// Tensors with their divisions.
fn laid(tensors: &[Tensor], splits: &[Option<Split>]) -> Vec<Laid> {
    tensors.iter().zip(splits).map(|(tensor, split)| Laid { tensor: tensor.clone(), split: *split }).collect()
}

fn list(types: &[TensorType]) -> String {
    types.iter().map(TensorType::to_string).collect::<Vec<_>>().join(", ")
}

/// Traces a loop and records it; captured values become invariant elements of the state.
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
    // Both functions take the state, the condition's captures and the body's captures, whether or not they read them.
    let whole = |f: &dyn Fn(&Graph, &[Tensor]) -> Vec<Tensor>| {
        let graph = Graph::new();
        let inputs: Vec<Tensor> = types.iter().map(|ty| graph.input("", ty.clone())).collect();
        graph.finish(&f(&graph, &inputs)).expect("retracing a valid function succeeds")
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

/// Runs `body` on a state while `condition` holds. JAX: `lax.while_loop`. Not differentiable: use `scan`.
///
/// # Errors
/// Recorded in the trace: a state that changes type or structure, a condition that is not one boolean.
///
/// # Panics
/// When `init` has no leaf, because then there is no trace to record in.
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
        |s| condition(&filled(init, s)),
        |s| leaves_like(init, &body(filled(init, s)), s[0].graph(), "while_loop", ("the new state", "the initial one")),
    );
    filled(init, &results)
}

/// One of several functions, selected by an index; each takes all operands after the index.
#[derive(Debug, PartialEq)]
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
                let message = format!("branches return different types: ({}) and ({})", list(&results), list(&other));
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
    fn batch(&self, mapped: &Mapped) -> Option<Vec<Tensor>> {
        let (index, inputs, flags) = (&mapped.ins[0], &mapped.ins[1..], &mapped.mapped[1..]);
        let run = |branch: &Function| -> Vec<Tensor> {
            let results = call_mapped(branch, index.graph(), inputs, flags, mapped.size);
            results.into_iter().map(|result| Mapped::wide(mapped.size, result)).collect()
        };
        if !mapped.mapped[0] {
            return Some(case_raw(index, self.branches.iter().map(|b| Box::new(move || run(b)) as Branch).collect()));
        }
        // Slices take different branches, so all branches are computed.
        let mut results: Vec<Vec<Tensor>> = self.branches.iter().map(run).collect();
        let last = results.pop()?;
        let choose = |chosen: Vec<Tensor>, (i, results): (usize, Vec<Tensor>)| {
            let here = index.eq(i as f64);
            let pick = |(y, other): (Tensor, Tensor)| here.broadcast_in_dim(y.dims(), &[0]).select(&y, &other);
            results.into_iter().zip(chosen).map(pick).collect()
        };
        Some(results.into_iter().enumerate().fold(last, choose))
    }
    fn shard(&self, local: &Local) -> Option<Vec<Laid>> {
        let (index, inputs) = (local.whole(0), &local.ins[1..]);
        let before: Vec<Option<Split>> = inputs.iter().map(|laid| laid.split).collect();
        let each: Vec<_> = self.branches.iter().map(|branch| local.result_splits(branch, &before)).collect();
        // A result that only some branches divide is divided; if they divide it in different ways, as the first of them does.
        let splits: Vec<Option<Split>> = (0..each[0].len()).map(|i| each.iter().find_map(|splits| splits[i])).collect();
        let run = |branch: &Function| -> Vec<Tensor> {
            let results = local.call(branch, index.graph(), inputs);
            results.iter().zip(&splits).map(|(laid, split)| local.arranged(laid, *split)).collect()
        };
        let results = case_raw(&index, self.branches.iter().map(|b| Box::new(move || run(b)) as Branch).collect());
        Some(laid(&results, &splits))
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
    fn range(&self, of: &Ranges) -> Vec<Option<Range>> {
        let each = self.branches.iter().map(|branch| branch.ranges(&of.ins[1..]));
        each.reduce(|a, b| a.into_iter().zip(b).map(|(a, b)| Some(a?.or(b?))).collect()).unwrap_or_default()
    }
}

type Branch<'a> = Box<dyn FnOnce() -> Vec<Tensor> + 'a>;
type Closed = Option<(Function, Vec<Tensor>)>;

#[track_caller]
fn close_branch(graph: &Graph, f: impl FnOnce() -> Vec<Tensor>) -> Closed {
    graph.branch(|inner| {
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
        graph.finish(&results).expect("retracing a valid function succeeds")
    };
    let branches = branches.iter().map(whole).collect();
    index.graph().record(Arc::new(Case { branches }), &[vec![index.clone()], captures].concat())
}

/// Runs the branch with this index; an index below 0 selects the first branch, one past the end the last. JAX: `lax.switch`.
///
/// Branches capture values of the surrounding trace. A branch is computed, and has a derivative, only when it is selected.
///
/// # Errors
/// Recorded in the trace: branches whose results differ in type or structure, an index that is not `s32[]`.
///
/// # Panics
/// When there are no branches.
#[track_caller]
#[doc(alias = "cond")]
#[doc(alias = "case")]
pub fn switch<Y: Tree>(index: &Tensor, branches: Vec<Box<dyn FnOnce() -> Y + '_>>) -> Y {
    let mut template = None;
    let mut traced = Vec::new();
    for branch in branches {
        traced.push(close_branch(index.graph(), || {
            let y = branch();
            match &template {
                None => template.insert(y).leaves(),
                Some(first) => {
                    leaves_like(first, &y, index.graph(), "switch", ("the result of a branch", "that of the first one"))
                }
            }
        }));
    }
    // StableHLO's `case` selects the last branch for a negative index.
    let index = if index.range().is_some_and(|r| r.low >= 0) { index.clone() } else { index.maximum(0.0) };
    let results = record_case(&index, traced);
    let template = template.expect("a switch has a branch");
    filled(&template, &results)
}

pub(crate) fn samples() -> Vec<Sample> {
    let f = DType::F64;
    let choose = |which: f64| {
        move |x: &[Tensor]| {
            let index = x[0].graph().scalar(DType::S32, which);
            let branches: Vec<Box<dyn FnOnce() -> Tensor + '_>> =
                vec![Box::new(|| &x[0] * &x[1]), Box::new(|| x[0].exp())];
            vec![switch(&index, branches)]
        }
    };
    let chosen = |x: &[Tensor]| {
        let branches: Vec<Box<dyn FnOnce() -> (Tensor, Tensor) + '_>> = vec![
            Box::new(|| (&x[1] * &x[2], x[2].sin())),
            Box::new(|| (x[1].exp(), x[1].full_like(0.5))),
            Box::new(|| (&x[2] - 1.0, &x[1] * 2.0)),
        ];
        let (a, b) = switch(&x[0], branches);
        vec![a, b]
    };
    let doubled = |x: &[Tensor]| {
        let start = (x[0].graph().scalar(DType::S32, 0.0), x[0].clone());
        let (_, end) = while_loop(&start, |(i, _)| i.lt(3.0), |(i, v)| (i + 1.0, v * &x[1]));
        vec![end]
    };
    // A loop in which one slice finishes before the others, with a counter and a factor that all slices share.
    let until = |x: &[Tensor]| {
        let start = (x[1].clone(), x[0].graph().scalar(DType::S32, 0.0), x[1].sum());
        let (v, steps, last) = while_loop(
            &start,
            |(v, i, _)| i.lt(&x[0]).and(v.sum().lt(9.0)),
            |(v, i, _)| (&v * &x[2] + 0.5, i + 1.0, v.sum()),
        );
        vec![v, steps, last]
    };
    vec![
        Sample::new("case 0", choose(0.0)).input(f, [3], -1.0, 1.0).input(f, [3], -1.0, 1.0),
        Sample::new("case 1", choose(1.0)).input(f, [3], -1.0, 1.0).input(f, [3], -1.0, 1.0),
        Sample::new("case by a computed index", chosen)
            .input(DType::S32, [], -1.0, 3.0)
            .input(f, [3], -1.0, 1.0)
            .input(f, [3], -1.0, 1.0),
        Sample::new("while", doubled).input(f, [3], -1.0, 1.0).input(f, [3], -1.0, 1.0).forward_only(),
        Sample::new("while for a computed number of steps", until)
            .input(DType::S32, [], -1.0, 7.0)
            .input(f, [2], -1.0, 1.0)
            .input(f, [2], 1.0, 2.0)
            .forward_only(),
    ]
}
