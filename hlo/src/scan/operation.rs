//! The loop over time as one operation: its body is a function, its reverse rule is another scan.

use std::sync::Arc;

use crate::graph::batch::{Mapped, call_mapped};
use crate::graph::dependence::dependence;
use crate::graph::error::Violation;
use crate::graph::function::{Function, Rewrite, Value};
use crate::graph::op::Narrowed;
use crate::graph::op::{Cotangents, Infer, Op, Recompute, Reverse};
use crate::graph::range::{Range, Ranges};
use crate::graph::shard::{Laid, Local, Split, settled_splits};
use crate::graph::tensor::Tensor;
use crate::graph::trace::Graph;
use crate::graph::tree::{Tree, filled, leaves_like};
use crate::ops::control::while_raw;
use crate::ops::sample::Sample;
use crate::types::dtype::DType;
use crate::types::tensor_type::TensorType;

/// A loop whose body maps constants, carries and one slice of each sequence to new carries and one slice of each output.
///
/// Operands: constants, initial carries, sequences (time is axis 0). Outputs: final carries, stacked slices.
#[derive(Clone, Debug, PartialEq)]
pub struct Scan {
    pub(crate) body: Function,
    pub(crate) consts: usize,
    pub(crate) carries: usize,
    pub(crate) length: usize,
    /// Whether time runs from the last slice to the first.
    pub(crate) reverse: bool,
}

/// The operands of a scan, by role.
pub struct Parts<'a, T> {
    /// Loop constants.
    pub consts: &'a [T],
    /// Carries, passed from each step to the next.
    pub carries: &'a [T],
    /// Sequences, one slice per step.
    pub xs: &'a [T],
}

impl Scan {
    /// One step: from constants, carries and slices to the next carries and slices of the outputs.
    pub fn body(&self) -> &Function {
        &self.body
    }

    /// Number of constants.
    pub fn consts(&self) -> usize {
        self.consts
    }

    /// Number of carries.
    pub fn carries(&self) -> usize {
        self.carries
    }

    /// Number of steps.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Whether time runs from the last slice to the first.
    pub fn is_reverse(&self) -> bool {
        self.reverse
    }

    /// Splits a list with one entry per operand, or per parameter of the body, by role.
    pub fn parts<'a, T>(&self, operands: &'a [T]) -> Parts<'a, T> {
        let (consts, rest) = operands.split_at(self.consts);
        let (carries, xs) = rest.split_at(self.carries);
        Parts { consts, carries, xs }
    }

    /// Records the loop. With zero steps, it returns the initial carries and empty stacks instead.
    #[track_caller]
    pub(crate) fn on(self, graph: &Graph, operands: &[Tensor]) -> Vec<Tensor> {
        let types: Vec<TensorType> = operands.iter().map(|t| t.ty().clone()).collect();
        let sound = !operands.iter().any(Tensor::is_poison);
        match self.infer(&types) {
            Ok(outputs) if sound && self.length == 0 => {
                let carries = self.parts(operands).carries.iter().cloned();
                carries.chain(outputs[self.carries..].iter().map(|ty| graph.zeros(ty.clone()))).collect()
            }
            _ => graph.record(Arc::new(self), operands),
        }
    }
}

/// The type of one slice of a sequence.
fn slice_type(ty: &TensorType) -> TensorType {
    ty.with_dims(ty.dims.get(1..).unwrap_or_default())
}

pub(crate) fn stacked_type(ty: &TensorType, length: usize) -> TensorType {
    ty.with_dims([&[length], &ty.dims[..]].concat())
}

impl Op for Scan {
    fn name(&self) -> &'static str {
        "scan"
    }
    fn infer(&self, operands: &[TensorType]) -> Infer {
        let parts = self.parts(operands);
        if let Some(x) = parts.xs.iter().find(|x| x.dims.first() != Some(&self.length)) {
            return Err(Violation::new("", format!("the sequence {x} does not have {} steps", self.length)));
        }
        let results = self.body.result_types();
        let (after, ys) = results.split_at(self.carries);
        if let Some((before, after)) = parts.carries.iter().zip(after).find(|(b, a)| b != a) {
            return Err(Violation::new("", format!("a carry changes type from {before} to {after}")));
        }
        Ok(after.iter().cloned().chain(ys.iter().map(|y| stacked_type(y, self.length))).collect())
    }
    fn attrs(&self) -> Vec<(&'static str, String)> {
        vec![("length", self.length.to_string()), ("reverse", self.reverse.to_string())]
    }
    fn regions(&self, _: &[TensorType]) -> Vec<Function> {
        vec![self.body.clone()]
    }
    fn vjp(&self, reverse: &Reverse) -> Cotangents {
        crate::scan::reverse::cotangents(self, reverse)
    }
    fn batch(&self, mapped: &Mapped) -> Option<Vec<Tensor>> {
        Some(self.map_over(mapped))
    }
    fn shard(&self, local: &Local) -> Option<Vec<Laid>> {
        Some(self.divided(local))
    }
    fn range(&self, of: &Ranges) -> Vec<Option<Range>> {
        let Parts { consts, xs, .. } = self.parts(of.ins);
        let carried = self.carried_ranges(of.ins);
        let after = self.body.ranges(&[consts, &carried, xs].concat());
        carried.into_iter().chain(after.into_iter().skip(self.carries)).collect()
    }
    fn recompute(&self) -> Recompute {
        Recompute::Costly
    }
    fn is_pure_data(&self) -> bool {
        false
    }
    fn retrace(&self, operands: &[Tensor], rewrite: &mut Rewrite) -> Option<Vec<Tensor>> {
        let Parts { consts, carries, xs } = self.parts(operands);
        let known: Vec<Option<Range>> = operands.iter().map(Tensor::range).collect();
        let ranges = self.carried_ranges(&known);
        let graph = operands[0].graph();
        let traced = trace_body(graph, carries, &ranges, xs, self.length, self.reverse, |graph, carry, x| {
            let mut results = self.body.rewrite(graph, &[consts, carry, x].concat(), rewrite);
            let ys = results.split_off(self.carries);
            (results, ys)
        });
        Some(match traced {
            Ok((scan, operands)) => scan.on(graph, &operands),
            Err(poison) => vec![poison],
        })
    }
    fn map_bodies(&self, change: &dyn Fn(&Function) -> Function) -> Option<Arc<dyn Op>> {
        Some(Arc::new(Scan { body: change(&self.body), ..self.clone() }))
    }
    fn narrow(&self, read: &[bool]) -> Option<Narrowed> {
        self.without_unread(read)
    }
    fn is_stablehlo(&self, _: &[TensorType]) -> bool {
        false
    }
    fn lowers_last(&self, _: &[TensorType]) -> bool {
        true
    }
    fn lower(&self, operands: &[Tensor]) -> Option<Vec<Tensor>> {
        Some(self.to_while(operands))
    }
}

/// Traces a scan's body and records the scan. Returns the final carries, then the stacked outputs; one poison on failure.
///
/// `near` is used only to find the trace when there is neither a carry nor a sequence.
#[track_caller]
pub(crate) fn scan_raw(
    init: &[Tensor],
    xs: &[Tensor],
    length: usize,
    reverse: bool,
    near: &[Tensor],
    f: impl FnOnce(&Graph, &[Tensor], &[Tensor]) -> (Vec<Tensor>, Vec<Tensor>),
) -> Vec<Tensor> {
    let graph = init.iter().chain(xs).chain(near).next().expect("a scan has a carry or a sequence").graph().clone();
    match trace_body(&graph, init, &vec![None; init.len()], xs, length, reverse, f) {
        Ok((scan, operands)) => scan.on(&graph, &operands),
        Err(poison) => vec![poison],
    }
}

/// Traces a scan's body; returns the unrecorded scan with its operands. Rejects a body that moves a carry out of its given range.
#[track_caller]
pub fn trace_body(
    graph: &Graph,
    init: &[Tensor],
    ranges: &[Option<Range>],
    xs: &[Tensor],
    length: usize,
    reverse: bool,
    f: impl FnOnce(&Graph, &[Tensor], &[Tensor]) -> (Vec<Tensor>, Vec<Tensor>),
) -> Result<(Scan, Vec<Tensor>), Tensor> {
    let operands = [init, xs].concat();
    if let Some(poison) = operands.iter().find(|t| t.is_poison()) {
        return Err(poison.clone());
    }
    let closed = graph.body(|inner| {
        let carry: Vec<Tensor> =
            init.iter().zip(ranges).map(|(t, range)| inner.input_within(*range, t.ty().clone())).collect();
        let slices: Vec<Tensor> = xs.iter().map(|t| inner.input_among(t, slice_type(t.ty()))).collect();
        let (after, ys) = f(inner, &carry, &slices);
        check_ranges(inner, ranges, &after);
        inner.close(&[after, ys].concat())
    });
    let Some((body, consts)) = closed else { return Err(Tensor::poison(graph)) };
    let scan = Scan { body, consts: consts.len(), carries: init.len(), length, reverse };
    Ok((scan, [consts, operands].concat()))
}

/// Conclusions from a carry's range hold only if each step stays within it.
fn check_ranges(graph: &Graph, ranges: &[Option<Range>], after: &[Tensor]) {
    let leaves = |(range, after): &(&Option<Range>, &Tensor)| {
        let stays = |range: &Range| after.range().is_some_and(|r| r.is_within(*range));
        !after.is_poison() && range.as_ref().is_some_and(|range| !stays(range))
    };
    if let Some((_, after)) = ranges.iter().zip(after).find(leaves) {
        let message = format!("a rewrite moves the carry {} out of its previous range", after.ty());
        graph.fail_results("scan", Violation::new("", message));
    }
}

/// Runs `f` once per slice along axis 0 of `xs`, passing a carry from step to step. JAX: `lax.scan`.
///
/// `f` maps the carry and one slice to the next carry (same types) and one slice of the result. Returns the last carry and the stacked
/// slices. `f` may use tensors of the surrounding trace; operations on those alone are hoisted out of the loop. The backward pass is
/// linear in time and stores only values that are too expensive to rematerialize.
///
/// A scan of zero steps returns the initial carry and empty results; `f` is still traced, to get their types.
///
/// # Errors
/// Recorded in the trace: sequences of different lengths, no sequence, a carry that changes type.
///
/// ```
/// use spiq_hlo::{scan, trace, DType, TensorType};
/// // A leaky integrator over 16 steps.
/// let f = trace(&[("x", TensorType::new(DType::F32, [16, 8]))], |x| {
///     let start = x[0].index_axis(0, 0).zeros_like();
///     let (_, trace) = scan(&start, &x[0], |v, x| { let v = v * 0.9 + x; (v.clone(), v) });
///     vec![trace]
/// })?;
/// assert_eq!(f.result_types()[0].to_string(), "f32[16,8]");
/// # Ok::<(), spiq_hlo::GraphErrors>(())
/// ```
#[track_caller]
pub fn scan<C: Tree, X: Tree, Y: Tree>(init: &C, xs: &X, f: impl FnOnce(C, X) -> (C, Y)) -> (C, Y) {
    let (traced, y) = trace_scan(init, xs, f);
    let outputs = match traced {
        Ok((scan, operands)) => scan.on(operands[0].graph(), &operands),
        Err(poison) => vec![poison],
    };
    in_nests(init, &y, &outputs)
}

/// An unrecorded scan with its operands, or the poison to return, and the result of a step.
type Traced<Y> = (Result<(Scan, Vec<Tensor>), Tensor>, Y);

#[track_caller]
pub(crate) fn trace_scan<C: Tree, X: Tree, Y: Tree>(init: &C, xs: &X, f: impl FnOnce(C, X) -> (C, Y)) -> Traced<Y> {
    let (carry, sequences) = (init.leaves(), xs.leaves());
    let length = match check_sequences(&carry, &sequences) {
        Ok(length) => length,
        Err(poison) => {
            let (_, y) = f(init.map(|_| poison.clone()), xs.map(|_| poison.clone()));
            return (Err(poison), y);
        }
    };
    let mut template = None;
    let traced =
        trace_body(sequences[0].graph(), &carry, &vec![None; carry.len()], &sequences, length, false, |inner, c, x| {
            let (c, y) = f(filled(init, c), filled(xs, x));
            let names = ("the new carry", "the initial one");
            let leaves = (leaves_like(init, &c, inner, "scan", names), y.leaves());
            template = Some(y);
            leaves
        });
    (traced, template.expect("the body of a scan with valid operands is traced"))
}

/// A scan's outputs, carries first, as nests like the given ones; one poison stands for all outputs.
pub(crate) fn in_nests<C: Tree, Y: Tree>(init: &C, y: &Y, outputs: &[Tensor]) -> (C, Y) {
    let carries = init.by_path().len().min(outputs.len().saturating_sub(1));
    (filled(init, outputs), filled(y, &outputs[carries..]))
}

/// The number of steps, common to all sequences, or the poison to return.
#[track_caller]
fn check_sequences(carry: &[Tensor], sequences: &[Tensor]) -> Result<usize, Tensor> {
    if let Some(poison) = carry.iter().chain(sequences).find(|t| t.is_poison()) {
        return Err(poison.clone());
    }
    let length = sequences.first().and_then(|x| x.dims().first()).copied();
    match length.filter(|n| sequences.iter().all(|x| x.dims().first() == Some(n))) {
        Some(length) => Ok(length),
        None => {
            let all: Vec<String> = sequences.iter().map(|x| x.ty().to_string()).collect();
            let message = format!("requires sequences of equal length along axis 0, got [{}]", all.join(", "));
            let any = carry.iter().chain(sequences).next().expect("a scan has a carry or a sequence");
            Err(any.fail("scan", Violation::new("", message)))
        }
    }
}

impl Scan {
    /// The scan over an additional axis, which becomes the leading axis of slices and carries.
    fn map_over(&self, mapped: &Mapped) -> Vec<Tensor> {
        let flags = self.mapped_inputs(mapped.mapped);
        let flag = self.parts(&flags);
        let Parts { consts, .. } = self.parts(mapped.ins);
        let spread = |i: usize| if flags[i] { mapped.operand(i) } else { mapped.ins[i].clone() };
        let init: Vec<Tensor> = (self.consts..self.consts + self.carries).map(spread).collect();
        let first = self.consts + self.carries;
        let slices = |i: usize| if flags[i] { mapped.ins[i].swap_axes(0, 1) } else { mapped.ins[i].clone() };
        let xs: Vec<Tensor> = (first..flags.len()).map(slices).collect();
        let wide = |result| Mapped::wide(mapped.size, result);
        let outputs = scan_raw(&init, &xs, self.length, self.reverse, consts, |graph, carry, x| {
            let args = [consts, carry, x].concat();
            let mut results = call_mapped(&self.body, graph, &args, &flags, mapped.size);
            let ys = results.split_off(self.carries);
            let keep = |((t, m), wanted): ((Tensor, bool), &bool)| if *wanted { wide((t, m)) } else { t };
            (results.into_iter().zip(flag.carries).map(keep).collect(), ys.into_iter().map(wide).collect())
        });
        let front = |(i, t): (usize, Tensor)| match flag.carries.get(i) {
            _ if t.is_poison() => t,
            Some(carried) => wide((t, *carried)),
            None => t.swap_axes(0, 1),
        };
        outputs.into_iter().enumerate().map(front).collect()
    }

    /// The scan on one of several devices. Sequences are not divided along time.
    fn divided(&self, local: &Local) -> Vec<Laid> {
        let splits = self.body_splits(local);
        let first = self.consts + self.carries;
        let whole = |i: usize| match splits[i] {
            // A slice lacks the axis of time.
            Some(split) if i >= first => Some(split.at(split.axis + 1)),
            other => other,
        };
        let operands: Vec<Tensor> =
            local.ins.iter().enumerate().map(|(i, laid)| local.arranged(laid, whole(i))).collect();
        let ranges = self.carried_ranges(&operands.iter().map(Tensor::range).collect::<Vec<_>>());
        let (Parts { consts, carries, xs }, mut stacked) = (self.parts(&operands), Vec::new());
        let traced =
            trace_body(operands[0].graph(), carries, &ranges, xs, self.length, self.reverse, |graph, carry, x| {
                let args = [consts, carry, x].concat();
                let args = args.into_iter().zip(&splits).map(|(tensor, split)| Laid { tensor, split: *split });
                let mut results = local.call(&self.body, graph, &args.collect::<Vec<_>>());
                let ys = results.split_off(self.carries.min(results.len()));
                stacked = ys.iter().map(|y| y.split.map(|split| split.at(split.axis + 1))).collect();
                let after =
                    results.iter().zip(&splits[self.consts..]).map(|(laid, split)| local.arranged(laid, *split));
                (after.collect(), ys.into_iter().map(|y| y.tensor).collect())
            });
        let outputs = match traced {
            Ok((scan, operands)) => scan.on(operands[0].graph(), &operands),
            Err(poison) => vec![poison],
        };
        let of_outputs = splits[self.consts..first].iter().copied().chain(stacked);
        outputs.into_iter().zip(of_outputs).map(|(tensor, split)| Laid { tensor, split }).collect()
    }

    /// How the parameters of the body are divided.
    fn body_splits(&self, local: &Local) -> Vec<Option<Split>> {
        let slice = |split: Split| split.axis.checked_sub(1).map(|axis| split.at(axis));
        let given: Vec<Option<Split>> = local.ins.iter().map(|laid| laid.split).collect();
        let Parts { consts, carries, xs } = self.parts(&given);
        let xs: Vec<Option<Split>> = xs.iter().map(|split| split.and_then(slice)).collect();
        let of_body = |carries: &[Option<Split>]| [consts, carries, &xs].concat();
        let carries = settled_splits(carries.to_vec(), |carries| {
            let mut after = local.result_splits(&self.body, &of_body(carries));
            after.truncate(self.carries);
            after
        });
        of_body(&carries)
    }

    /// Which inputs of the body are mapped, given which operands are: a carry is mapped if it depends on a mapped input.
    fn mapped_inputs(&self, operands: &[bool]) -> Vec<bool> {
        let depends = dependence(&self.body);
        let mut flags = operands.to_vec();
        for _ in 0..self.carries {
            for (i, depends) in depends[..self.carries].iter().enumerate() {
                flags[self.consts + i] |= depends.iter().zip(&flags).any(|(d, f)| *d && *f);
            }
        }
        flags
    }

    /// The ranges of the carries over all steps, given the operands' ranges: the initial ranges, widened to a fixed point.
    fn carried_ranges(&self, operands: &[Option<Range>]) -> Vec<Option<Range>> {
        const WIDENINGS: usize = 4;
        let Parts { consts, carries, xs } = self.parts(operands);
        let mut carried = carries.to_vec();
        for round in 0.. {
            let after = self.body.ranges(&[consts, &carried, xs].concat());
            let wider: Vec<Option<Range>> = carried.iter().zip(&after).map(|(c, a)| Some((*c)?.or((*a)?))).collect();
            if wider == carried {
                break;
            }
            // A counter grows without bound: ranges that have not converged by now are dropped, at least one carry per iteration.
            let given_up = |(w, c): (&Option<Range>, &Option<Range>)| w.filter(|_| round < WIDENINGS || w == c);
            carried = wider.iter().zip(&carried).map(given_up).collect();
        }
        carried
    }

    /// The scan without unused outputs and without the carries, constants and sequences that only those need.
    fn without_unread(&self, read: &[bool]) -> Option<Narrowed> {
        let depends = dependence(&self.body);
        let mut results = read.to_vec();
        // Each iteration propagates the flags back through one carry.
        for _ in 0..self.carries {
            for carry in 0..self.carries {
                results[carry] |= depends.iter().zip(&results).any(|(d, r)| *r && d[self.consts + carry]);
            }
        }
        let chosen = |flags: &[bool]| (0..flags.len()).filter(|&i| flags[i]).collect::<Vec<_>>();
        let carried = |i: usize| i.checked_sub(self.consts).filter(|&c| c < self.carries);
        let needed = |i: usize| match carried(i) {
            Some(carry) => results[carry],
            None => depends.iter().zip(&results).any(|(d, r)| *r && d[i]),
        };
        let operands = chosen(&(0..self.body.inputs.len()).map(needed).collect::<Vec<_>>());
        let outputs = chosen(&results);
        // A loop without operands could not be recorded: operands determine the trace.
        if operands.is_empty() || (operands.len() == self.body.inputs.len() && outputs.len() == read.len()) {
            return None;
        }
        let inputs: Vec<(Value, String)> = operands.iter().map(|&i| (self.body.input(i), String::new())).collect();
        let ends: Vec<Value> = outputs.iter().map(|&i| self.body.results[i]).collect();
        let body = Function::extract(&self.body.nodes, &inputs, &ends).simplify();
        let consts = operands.iter().filter(|&&i| i < self.consts).count();
        let carries = outputs.iter().filter(|&&i| i < self.carries).count();
        Some(Narrowed { op: Arc::new(Scan { body, consts, carries, ..self.clone() }), operands, outputs })
    }

    /// The scan as a StableHLO `while` with a step counter, dynamic slices of the inputs and in-place updates of the outputs.
    fn to_while(&self, operands: &[Tensor]) -> Vec<Tensor> {
        let Parts { consts, carries, xs } = self.parts(operands);
        let graph = operands[0].graph().clone();
        let counter = graph.scalar(DType::S32, 0.0);
        let results = self.body.result_types();
        let outputs = results[self.carries..].iter().map(|y| graph.zeros(stacked_type(y, self.length)));
        let state: Vec<Tensor> = std::iter::once(counter).chain(carries.iter().cloned()).chain(outputs).collect();
        let last = self.length as f64;
        let condition = |s: &[Tensor]| s[0].lt(last);
        let mut end = while_raw(&graph, &state, condition, |s| {
            let at = if self.reverse { s[0].negate() + (last - 1.0) } else { s[0].clone() };
            let (carry, stacks) = s[1..].split_at(self.carries);
            let slices = xs.iter().map(|x| take(x, &at));
            let args: Vec<Tensor> = consts.iter().chain(carry).cloned().chain(slices).collect();
            let mut results = self.body.call(s[0].graph(), &args);
            let ys = results.split_off(self.carries);
            let written = stacks.iter().zip(&ys).map(|(stack, y)| put(stack, &at, y));
            std::iter::once(&s[0] + 1.0).chain(results).chain(written).collect()
        });
        end.split_off(1)
    }
}

/// Slice `at` along axis 0, without that axis.
fn take(x: &Tensor, at: &Tensor) -> Tensor {
    let inner = &x.dims()[1..];
    x.dynamic_slice(&starts(x, at), &[&[1], inner].concat()).reshape(inner)
}

/// `stack` with `slice` written at `at` along axis 0.
fn put(stack: &Tensor, at: &Tensor, slice: &Tensor) -> Tensor {
    stack.dynamic_update_slice(&slice.reshape(&[&[1], slice.dims()].concat()), &starts(stack, at))
}

fn starts(x: &Tensor, at: &Tensor) -> Vec<Tensor> {
    std::iter::once(at.clone()).chain((1..x.rank()).map(|_| at.zeros_like())).collect()
}

pub(crate) fn samples() -> Vec<Sample> {
    let f = DType::F64;
    let decay = |x: &[Tensor]| {
        let (v, trace) = scan(&x[0], &x[1], |v, i| {
            let v = (&v * &x[2]).tanh() + i.dot(&x[3]);
            (v.clone(), &v * &v)
        });
        vec![v, trace]
    };
    vec![
        Sample::new("scan", decay)
            .input(f, [2, 3], -1.0, 1.0)
            .input(f, [5, 2, 4], -1.0, 1.0)
            .input(f, [3], 0.2, 0.9)
            .input(f, [4, 3], -1.0, 1.0),
    ]
}
