//! The reverse rule of a scan: the forward loop saves the residuals that a loop in reverse time reads.

use std::sync::Arc;

use crate::graph::dependence::dependence;
use crate::graph::error::{GraphErrors, Violation};
use crate::graph::function::{Function, Node, Parameter, Value};
use crate::graph::op::{Cotangents, Reverse};
use crate::graph::tensor::Tensor;
use crate::graph::trace::Graph;
use crate::scan::after_the_loop::Sums;
use crate::scan::operation::{Parts, Scan, scan_raw, stacked_type};
use crate::scan::residuals::{self, Primal, depending};
use crate::transform::autodiff::vjp;
use crate::types::tensor_type::TensorType;

/// Cotangents of a scan's operands. Widens the recorded scan to also return the residuals.
pub(crate) fn cotangents(scan: &Scan, reverse: &Reverse) -> Cotangents {
    let graph = reverse.outs[0].graph();
    let flow = Flow::of(scan, reverse);
    if flow.carries.is_empty() && flow.ys.is_empty() {
        // No differentiated value reaches an output that has a cotangent.
        return vec![None; reverse.ins.len()];
    }
    match Step::trace(scan, &flow) {
        Ok(step) => {
            let saved = step.save(scan, graph, reverse.outs[0].value().node);
            step.run_back(scan, reverse, &flow, &saved)
        }
        Err(errors) => {
            graph.fail("scan", Violation::new("", format!("its body has no derivative: {errors}")));
            vec![None; reverse.ins.len()]
        }
    }
}

/// The inputs and outputs of a scan that cotangents pass through, by index.
struct Flow {
    /// Carries that depend on a differentiated value and reach a cotangent.
    carries: Vec<usize>,
    /// Constants whose cotangent is requested.
    consts: Vec<usize>,
    /// Sequences whose cotangent is requested.
    xs: Vec<usize>,
    /// Stacked outputs with a cotangent, by output index.
    ys: Vec<usize>,
}

impl Flow {
    fn of(scan: &Scan, reverse: &Reverse) -> Flow {
        let (depends, types) = (dependence(&scan.body), scan.body.result_types());
        let mut active: Vec<bool> = reverse.needs.to_vec();
        let mut live: Vec<bool> = reverse.cts.iter().map(Option::is_some).collect();
        // Each iteration propagates the flags through one carry; `carries` iterations reach the fixed point.
        for _ in 0..scan.carries {
            for i in (0..scan.carries).filter(|&i| types[i].dtype.is_float()) {
                active[scan.consts + i] |= depends[i].iter().zip(&active).any(|(d, a)| *d && *a);
                live[i] |= depends.iter().zip(&live).any(|(d, l)| *l && d[scan.consts + i]);
            }
        }
        let reaches = |input: usize| depends.iter().zip(&live).any(|(d, l)| *l && d[input]);
        // Values that reach no cotangent get `None`: a zero would propagate to operations that may reject it.
        let chosen = |flags: &[bool], first: usize| {
            (0..flags.len()).filter(|&i| flags[i] && reaches(first + i)).collect::<Vec<_>>()
        };
        let Parts { consts, carries, xs } = scan.parts(&active);
        Flow {
            carries: (0..scan.carries).filter(|&i| carries[i] && live[i]).collect(),
            consts: chosen(consts, 0),
            xs: chosen(xs, scan.consts + scan.carries),
            ys: (scan.carries..live.len()).filter(|&i| reverse.cts[i].is_some()).collect(),
        }
    }
}

/// One forward and backward step, in one trace.
struct Step {
    nodes: Vec<Node>,
    /// Constants, carries and slices, in the order of the body's parameters.
    inputs: Vec<Value>,
    /// Incoming cotangents: of the carries, then of the outputs' slices.
    cts: Vec<Value>,
    /// The results of the body.
    results: Vec<Value>,
    /// Outgoing cotangents: of constants, carries, slices.
    grads: Vec<Value>,
    /// The residuals: forward values that the backward pass reads and that are too expensive to rematerialize.
    saved: Vec<Value>,
}

impl Step {
    fn trace(scan: &Scan, flow: &Flow) -> Result<Step, GraphErrors> {
        let graph = Graph::new();
        let declare = |ty: TensorType| graph.input("", ty);
        let inputs: Vec<Tensor> = scan.body.input_types().into_iter().map(declare).collect();
        let results = scan.body.call(&graph, &inputs);
        let outputs: Vec<Tensor> = flow.carries.iter().chain(&flow.ys).map(|&i| results[i].clone()).collect();
        let cts: Vec<Tensor> = outputs.iter().map(|t| declare(t.ty().clone())).collect();
        let given: Vec<Option<Tensor>> = cts.iter().cloned().map(Some).collect();
        let Parts { consts, carries, xs } = scan.parts(&inputs);
        let wrt: Vec<Tensor> = [(consts, &flow.consts), (carries, &flow.carries), (xs, &flow.xs)]
            .into_iter()
            .flat_map(|(tensors, chosen)| chosen.iter().map(|&i| tensors[i].clone()))
            .collect();
        let grads = vjp(&outputs, &given, &wrt);
        graph.finish(&grads)?;
        let values = |tensors: &[Tensor]| -> Vec<Value> {
            tensors.iter().map(|t| graph.lift(t).expect("all of one trace")).collect()
        };
        let (inputs, cts, results, grads) = (values(&inputs), values(&cts), values(&results), values(&grads));
        let nodes = graph.snapshot();
        let Parts { consts, carries, xs } = scan.parts(&inputs);
        let primal = Primal {
            free: [consts, xs].concat(),
            sources: carries.to_vec(),
            given: results[scan.carries..].to_vec(),
            cts: cts.clone(),
        };
        let saved = residuals::saved(&nodes, &primal, &grads);
        Ok(Step { nodes, inputs, cts, results, grads, saved })
    }

    fn function(&self, inputs: &[Value], results: &[Value]) -> Function {
        let named: Vec<(Value, String)> = inputs.iter().map(|&v| (v, String::new())).collect();
        let function = Function::extract(&self.nodes, &named, results);
        let open = function.nodes[inputs.len()..].iter().any(|n| n.op.downcast::<Parameter>().is_some());
        assert!(!open, "a scan's residuals suffice for its backward pass");
        function
    }

    /// Widens the recorded scan by the residuals; returns them stacked over time.
    fn save(&self, scan: &Scan, graph: &Graph, node: usize) -> Vec<Tensor> {
        let mut results = self.results.clone();
        let stacks = scan.carries..results.len();
        let places: Vec<usize> = self
            .saved
            .iter()
            .map(|value| {
                stacks.clone().find(|&i| results[i] == *value).unwrap_or_else(|| {
                    results.push(*value);
                    results.len() - 1
                })
            })
            .collect();
        let body = self.function(&self.inputs, &results);
        let more = body.result_types()[stacks.end..].iter().map(|ty| stacked_type(ty, scan.length)).collect();
        graph.widen(node, Arc::new(Scan { body, ..scan.clone() }), more);
        let types = graph.node(node).types;
        places.into_iter().map(|output| Tensor::new(graph, Value { node, output }, types[output].clone())).collect()
    }

    fn run_back(&self, scan: &Scan, reverse: &Reverse, flow: &Flow, saved: &[Tensor]) -> Cotangents {
        let Parts { consts, carries, xs } = scan.parts(reverse.ins);
        let inputs = scan.parts(&self.inputs);
        let sums = self.sums(scan, reverse, flow, saved);
        let (inside, returned) = (sums.inside(), sums.returned());
        let dcarries = &self.grads[flow.consts.len()..][..flow.carries.len()];
        let results = [&inside, dcarries, returned].concat();
        let back = self.function(&[inputs.consts, inputs.xs, &self.saved, &self.cts].concat(), &results);
        let read: Vec<usize> = (0..xs.len()).filter(|i| back.reads_input(consts.len() + i)).collect();
        let start = |i: &usize| reverse.cts[*i].clone().unwrap_or_else(|| carries[*i].zeros_like());
        let zeros = sums.partly_inside().map(|i| consts[flow.consts[i]].zeros_like());
        let init: Vec<Tensor> = flow.carries.iter().map(start).chain(zeros).collect();
        let sequences: Vec<Tensor> = saved
            .iter()
            .cloned()
            .chain(read.iter().map(|&i| xs[i].clone()))
            .chain(flow.ys.iter().map(|&i| reverse.cts[i].clone().expect("chosen for its cotangent")))
            .collect();
        let step = |graph: &Graph, carry: &[Tensor], x: &[Tensor]| {
            let (cts, totals) = carry.split_at(flow.carries.len());
            let (saved, rest) = x.split_at(saved.len());
            let (slices, ys) = rest.split_at(read.len());
            // An unused slice is replaced by a placeholder, which has no effect.
            let slice = |i: usize| match read.iter().position(|&r| r == i) {
                Some(at) => slices[at].clone(),
                None => graph.zeros(xs[i].ty().with_dims(&xs[i].dims()[1..])),
            };
            let slices: Vec<Tensor> = (0..xs.len()).map(slice).collect();
            let mut results = back.call(graph, &[consts, &slices, saved, cts, ys].concat());
            let mut after = results.split_off(inside.len());
            let ys = after.split_off(flow.carries.len());
            after.extend(totals.iter().zip(sums.in_a_step(graph, &results)).map(|(total, more)| total + more));
            (after, ys)
        };
        // A loop that returned nothing would have nothing to do.
        let outputs = match init.len() + returned.len() {
            0 => Vec::new(),
            _ => scan_raw(&init, &sequences, scan.length, !scan.reverse, reverse.ins, step),
        };
        self.place(scan, reverse.ins.len(), flow, &sums, &outputs)
    }

    /// The gradients of the constants.
    fn sums(&self, scan: &Scan, reverse: &Reverse, flow: &Flow, saved: &[Tensor]) -> Sums<'_> {
        let inputs = scan.parts(&self.inputs);
        let varies = depending(&self.nodes, &[inputs.carries, inputs.xs, &self.cts].concat());
        let (gradients, through) = self.grads.split_at(flow.consts.len());
        let kept = self.kept(scan, reverse, flow, saved);
        Sums::new(&self.nodes, &varies, gradients, kept, &through[flow.carries.len()..])
    }

    /// The values of a step that are kept for all steps before the backward loop runs.
    fn kept(&self, scan: &Scan, reverse: &Reverse, flow: &Flow, saved: &[Tensor]) -> Vec<(Value, Tensor)> {
        let given = |(tensor, value): (&Tensor, &Value)| (*value, tensor.clone());
        let (xs, own) = (scan.parts(reverse.ins).xs, scan.parts(&self.inputs).xs);
        let ys = flow.ys.iter().zip(&self.cts[flow.carries.len()..]);
        let ys = ys.map(|(&i, value)| (*value, reverse.cts[i].clone().expect("chosen for its cotangent")));
        let outputs = reverse.outs[scan.carries..].iter().zip(&self.results[scan.carries..]);
        let kept = saved.iter().zip(&self.saved).chain(xs.iter().zip(own)).map(given).chain(ys);
        kept.chain(outputs.map(given)).collect()
    }

    /// Assigns the outputs of the backward loop to their operands.
    fn place(&self, scan: &Scan, operands: usize, flow: &Flow, sums: &Sums, outputs: &[Tensor]) -> Cotangents {
        let mut cts: Cotangents = vec![None; operands];
        if outputs.iter().any(Tensor::is_poison) {
            return cts;
        }
        let (carries, rest) = outputs.split_at(flow.carries.len());
        let (totals, returned) = rest.split_at(sums.partly_inside().count());
        let consts = sums.over_all_steps(totals, returned);
        let of_carries = flow.carries.iter().map(|i| scan.consts + i).zip(carries);
        let of_xs = flow.xs.iter().map(|i| scan.consts + scan.carries + i).zip(returned);
        let all = of_carries.chain(flow.consts.iter().copied().zip(&consts)).chain(of_xs);
        all.for_each(|(at, ct)| cts[at] = Some(ct.clone()));
        cts
    }
}
