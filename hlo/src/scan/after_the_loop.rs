//! Gradients of loop constants that are products of two values of each step, such as those of weights: computed after the loop, as one
//! product over all steps.
//!
//! A step multiplies few rows, and would read and write the whole sum of the gradient; one product over all steps writes it once. A
//! loop of neurons without it is elementwise, and kernels can compute it.
//!
//! This costs memory if a factor is not kept for all steps anyway. The factors are returned by the loop as long as they need no more memory
//! than what the loop already reads and returns for all steps, which at most doubles it. A loop around other loops only uses factors that
//! are kept anyway: its steps are many steps, and those of [`scan_checkpointed`](crate::scan_checkpointed) exist to save memory.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::graph::batch::{Mapped, map_node};
use crate::graph::function::{Node, Value};
use crate::graph::op::Op;
use crate::graph::tensor::Tensor;
use crate::graph::trace::Graph;
use crate::ops::dot_general::DotGeneral;
use crate::types::tensor_type::TensorType;

/// A value of each step, and what is done to it, or to its sum over the steps, to get a gradient: first to last.
#[derive(Clone)]
struct Term {
    value: Value,
    then: Vec<Arc<dyn Op>>,
}

impl Term {
    /// The terms of a gradient. Operations that commute with sums are moved from the value to what is done to it.
    fn all(nodes: &[Node], gradient: Value) -> Vec<Term> {
        let (mut found, mut open) = (Vec::new(), vec![Term { value: gradient, then: Vec::new() }]);
        while let Some(term) = open.pop() {
            let node = &nodes[term.value.node];
            match (node.op.name(), node.operands.as_slice()) {
                ("add", [a, b]) => open.extend([b, a].map(|value| Term { value: *value, ..term.clone() })),
                (_, [of]) if commutes(node, type_of(nodes, *of)) => {
                    let then = std::iter::once(node.op.clone()).chain(term.then).collect();
                    open.push(Term { value: *of, then });
                }
                _ => found.push(term),
            }
        }
        found
    }

    /// The gradient, given the value of this term.
    fn finish(&self, graph: &Graph, value: Tensor) -> Tensor {
        self.then.iter().fold(value, |value, op| graph.record(op.clone(), &[value]).swap_remove(0))
    }
}

fn type_of(nodes: &[Node], value: Value) -> &TensorType {
    &nodes[value.node].types[value.output]
}

/// Whether a sum of this operation's results is the operation on the sum. A sum that is rounded once instead of in each step is more exact.
fn commutes(node: &Node, from: &TensorType) -> bool {
    match node.op.name() {
        "transpose" | "reshape" | "negate" => true,
        "convert" => from.dtype.is_float() && node.types[0].dtype.is_float(),
        _ => false,
    }
}

/// The gradient of a loop constant in a step: the sum of these terms.
struct Gradient {
    /// Products that are computed after the loop.
    after: Vec<Term>,
    /// Terms that the loop adds up.
    inside: Vec<Term>,
}

/// The gradients of loop constants as sums over the steps, inside and after the loop.
pub(crate) struct Sums<'a> {
    /// One forward and backward step.
    nodes: &'a [Node],
    gradients: Vec<Gradient>,
    /// Values that are kept for all steps before the loop runs: along axis 0 of the tensors.
    kept: Vec<(Value, Tensor)>,
    /// Values that the loop returns for all steps.
    returned: Vec<Value>,
}

/// Where the values of all steps are.
enum Place {
    Kept(Tensor),
    /// What the loop returns.
    Returned(usize),
    /// The result of this node for all steps of its operand.
    Computed(usize),
}

impl<'a> Sums<'a> {
    /// The sums of these gradients. `nodes` with `varies` differ between steps, `kept` and `returned` are available for all steps anyway.
    pub(crate) fn new(
        nodes: &'a [Node],
        varies: &[bool],
        gradients: &[Value],
        kept: Vec<(Value, Tensor)>,
        returned: &[Value],
    ) -> Sums<'a> {
        let gradients = gradients.iter().map(|value| Gradient::of(nodes, varies, *value)).collect();
        let mut sums = Sums { nodes, gradients, kept, returned: returned.to_vec() };
        sums.settle();
        sums
    }

    /// Lets the loop also return the factors of products after the loop, if that is worth their memory; otherwise these products move into
    /// the loop.
    fn settle(&mut self) {
        let (room, anyway) = (self.bytes(&self.available()), self.returned.len());
        let products = self.gradients.iter().flat_map(|gradient| &gradient.after);
        let factors: Vec<Value> = products.flat_map(|term| self.nodes[term.value.node].operands.clone()).collect();
        for factor in factors {
            if self.place(factor).is_none() {
                self.returned.push(factor);
            }
        }
        let more: BTreeSet<Value> = self.returned[anyway..].iter().copied().collect();
        if self.bytes(&more) <= room && is_innermost(self.nodes) {
            return;
        }
        self.returned.truncate(anyway);
        for mut gradient in std::mem::take(&mut self.gradients) {
            let (after, inside): (Vec<Term>, Vec<Term>) = gradient.after.drain(..).partition(|term| self.has(term));
            gradient.inside.extend(inside);
            self.gradients.push(Gradient { after, ..gradient });
        }
    }

    /// Whether both factors of a product are available for all steps.
    fn has(&self, term: &Term) -> bool {
        self.nodes[term.value.node].operands.iter().all(|factor| self.place(*factor).is_some())
    }

    fn available(&self) -> BTreeSet<Value> {
        self.kept.iter().map(|(value, _)| *value).chain(self.returned.iter().copied()).collect()
    }

    /// Bytes of these values in a step.
    fn bytes(&self, values: &BTreeSet<Value>) -> usize {
        values.iter().map(|value| type_of(self.nodes, *value).device_bytes()).sum()
    }

    /// The place of a value, if it is available for all steps, directly or by cheap operations on another value.
    fn place(&self, value: Value) -> Option<Place> {
        let is = |known: Value| known == value || self.are_same(known, value);
        let kept = self.kept.iter().find(|(known, _)| is(*known)).map(|(_, tensor)| Place::Kept(tensor.clone()));
        let place = kept.or_else(|| Some(Place::Returned(self.returned.iter().position(|known| is(*known))?)));
        place.or_else(|| {
            self.place(self.source(value)?)?;
            Some(Place::Computed(value.node))
        })
    }

    /// Whether two values are computed in the same way from the same operands.
    fn are_same(&self, one: Value, other: Value) -> bool {
        let [a, b] = [one, other].map(|value| &self.nodes[value.node]);
        one.output == other.output && !a.operands.is_empty() && a.operands == b.operands && *a.op == *b.op
    }

    /// The operand of an operation that costs nothing when it is applied to all steps, because compilers fuse it with its reader.
    fn source(&self, value: Value) -> Option<Value> {
        let node = &self.nodes[value.node];
        let is_free = matches!(node.op.name(), "reshape" | "convert" | "optimization_barrier" | "stop_gradient");
        if is_free && node.operands.len() == 1 { Some(node.operands[0]) } else { None }
    }

    /// The values of a step that the loop adds up.
    pub(crate) fn inside(&self) -> Vec<Value> {
        self.gradients.iter().flat_map(|gradient| &gradient.inside).map(|term| term.value).collect()
    }

    /// The values of a step that the loop returns for all steps: those that it returns anyway, then others.
    pub(crate) fn returned(&self) -> &[Value] {
        &self.returned
    }

    /// The gradients, by number, of which the loop adds up a part.
    pub(crate) fn partly_inside(&self) -> impl Iterator<Item = usize> {
        (0..self.gradients.len()).filter(|i| !self.gradients[*i].inside.is_empty())
    }

    /// What a step adds to each of them, given the values [`inside`](Sums::inside).
    pub(crate) fn in_a_step(&self, graph: &Graph, values: &[Tensor]) -> Vec<Tensor> {
        let mut values = values.iter().cloned();
        let mut next = |term: &Term| term.finish(graph, values.next().expect("one per term"));
        self.gradients.iter().filter_map(|g| g.inside.iter().map(&mut next).reduce(|a, b| a + b)).collect()
    }

    /// The gradients, given the sums of the parts inside and what the loop returned.
    pub(crate) fn over_all_steps(&self, inside: &[Tensor], returned: &[Tensor]) -> Vec<Tensor> {
        let mut inside = inside.iter().cloned();
        let sum = |gradient: &Gradient| {
            let inside = if gradient.inside.is_empty() { None } else { inside.next() };
            let after = gradient.after.iter().map(|term| self.product(term, returned));
            inside.into_iter().chain(after).reduce(|a, b| a + b).expect("a gradient has a term")
        };
        self.gradients.iter().map(sum).collect()
    }

    /// A product over all steps.
    fn product(&self, term: &Term, returned: &[Tensor]) -> Tensor {
        let node = &self.nodes[term.value.node];
        let [left, right] = [0, 1].map(|i| self.stack(node.operands[i], returned));
        let graph = left.graph();
        graph.as_from(node, || {
            let dot = node.op.downcast::<DotGeneral>().expect("terms after the loop are products");
            term.finish(graph, dot.summed(&left, &right))
        })
    }

    /// A value for all steps, given what the loop returned.
    fn stack(&self, value: Value, returned: &[Tensor]) -> Tensor {
        match self.place(value).expect("a product without its factors is in the loop") {
            Place::Kept(tensor) => tensor,
            Place::Returned(at) => returned[at].clone(),
            Place::Computed(node) => {
                let node = &self.nodes[node];
                let of = self.stack(node.operands[0], returned);
                let mapped = Mapped { ins: std::slice::from_ref(&of), mapped: &[true], size: of.dims()[0] };
                map_node(node.op.as_ref(), &mapped).expect("these operations can be mapped").swap_remove(0)
            }
        }
    }
}

impl Gradient {
    /// A gradient with as many products after the loop as possible. Without one, it remains in one piece.
    fn of(nodes: &[Node], varies: &[bool], value: Value) -> Gradient {
        let terms = Term::all(nodes, value).into_iter();
        let (after, inside): (Vec<Term>, Vec<Term>) =
            terms.partition(|term| is_product(&nodes[term.value.node], varies));
        let whole = after.is_empty();
        Gradient { after, inside: if whole { vec![Term { value, then: Vec::new() }] } else { inside } }
    }
}

/// Whether a value is a product of floats of which both factors differ between steps. If one of them does not, the product stays in the
/// loop; what depends on constants alone is outside of loops, so this is rare.
fn is_product(node: &Node, varies: &[bool]) -> bool {
    let float = node.op.downcast::<DotGeneral>().is_some_and(|dot| dot.out.is_float());
    float && node.operands.iter().all(|factor| varies[factor.node])
}

/// Whether a step contains no loop, and nothing that is to be rematerialized.
fn is_innermost(nodes: &[Node]) -> bool {
    let mut innermost = true;
    let mut look = |node: &Node| innermost &= !matches!(node.op.name(), "scan" | "while" | "checkpoint");
    for node in nodes {
        look(node);
        let types: Vec<TensorType> = node.operands.iter().map(|v| type_of(nodes, *v).clone()).collect();
        node.op.regions(&types).iter().for_each(|body| body.each_node(&mut |node, _| look(node)));
    }
    innermost
}
