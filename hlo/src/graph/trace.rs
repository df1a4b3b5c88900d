//! A trace in progress: records operations, captures outer values in bodies, collects errors until the end.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap};
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::graph::error::{GraphError, GraphErrors, Violation};
use crate::graph::function::{Function, Node, Parameter, Value};
use crate::graph::op::Op;
use crate::graph::range::{Range, settled};
use crate::graph::tensor::Tensor;
use crate::types::tensor_type::TensorType;

/// A handle to a trace in progress. Clones are cheap and refer to the same trace.
#[derive(Clone)]
pub struct Graph(Rc<Trace>);

struct Trace {
    /// Unique, even among traces that are allocated at the same address after this one is dropped.
    id: u64,
    nodes: RefCell<Vec<Node>>,
    inputs: RefCell<Vec<(Value, String)>>,
    /// Outer values used here, each with its parameter (or copied constant) in this trace.
    lifted: RefCell<HashMap<Place, Value>>,
    captures: RefCell<Vec<(Tensor, Value)>>,
    /// Facts about parameters supplied by the enclosing trace.
    assumed: RefCell<HashMap<Value, Assumed>>,
    /// Cached ranges of the outputs of the first nodes.
    ranges: RefCell<Vec<Vec<Option<Range>>>>,
    parent: Option<Graph>,
    /// Whether everything recorded while this is being traced stays in it, even if it depends on outer values only.
    keeps: bool,
    shared: Rc<Shared>,
    /// The line that began the trace; errors in its results refer to it.
    begun: &'static Location<'static>,
}

/// A value together with its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    trace: u64,
    value: Value,
}

/// A fact about a parameter's elements.
enum Assumed {
    /// They are elements of an outer tensor.
    Among(Tensor),
    /// They are integers in this range.
    Within(Range),
}

/// State shared by all traces of one program.
struct Shared {
    errors: RefCell<Vec<GraphError>>,
    scope: RefCell<Arc<str>>,
    /// The bodies being traced, outermost first.
    bodies: RefCell<Vec<Graph>>,
    /// Set while a transform records nodes on behalf of another node.
    place: Cell<Option<&'static Location<'static>>>,
}

impl Graph {
    /// An empty trace.
    #[expect(clippy::new_without_default, reason = "a trace must be started explicitly")]
    #[track_caller]
    pub fn new() -> Graph {
        let scope = RefCell::new(Arc::from(""));
        let shared =
            Rc::new(Shared { errors: RefCell::default(), scope, bodies: RefCell::default(), place: Cell::new(None) });
        Graph::begin(None, false, shared)
    }

    #[track_caller]
    fn begin(parent: Option<Graph>, keeps: bool, shared: Rc<Shared>) -> Graph {
        let begun = shared.place.get().unwrap_or(Location::caller());
        static TRACES: AtomicU64 = AtomicU64::new(0);
        Graph(Rc::new(Trace {
            id: TRACES.fetch_add(1, Ordering::Relaxed),
            nodes: RefCell::default(),
            inputs: RefCell::default(),
            lifted: RefCell::default(),
            captures: RefCell::default(),
            assumed: RefCell::default(),
            ranges: RefCell::default(),
            parent,
            keeps,
            shared,
            begun,
        }))
    }

    /// Traces a body inside the innermost trace in progress. It may use values of the surrounding traces.
    #[track_caller]
    pub(crate) fn body<R>(&self, f: impl FnOnce(&Graph) -> R) -> R {
        self.inner(false, f)
    }

    /// Traces a body that may not run. Everything recorded meanwhile stays in it or deeper: outside, it would always be computed, and its
    /// derivatives, even infinite ones, would reach the results of other branches.
    #[track_caller]
    pub(crate) fn branch<R>(&self, f: impl FnOnce(&Graph) -> R) -> R {
        self.inner(true, f)
    }

    #[track_caller]
    fn inner<R>(&self, keeps: bool, f: impl FnOnce(&Graph) -> R) -> R {
        let shared = &self.0.shared;
        let parent = shared.bodies.borrow().last().cloned().unwrap_or_else(|| self.root());
        let inner = Graph::begin(Some(parent), keeps, shared.clone());
        shared.bodies.borrow_mut().push(inner.clone());
        let result = f(&inner);
        shared.bodies.borrow_mut().pop();
        result
    }

    fn root(&self) -> Graph {
        self.0.parent.as_ref().map_or_else(|| self.clone(), Graph::root)
    }

    /// A new parameter.
    pub fn input(&self, name: impl Into<String>, ty: TensorType) -> Tensor {
        let value = self.push_input(ty.clone());
        self.0.inputs.borrow_mut().push((value, name.into()));
        Tensor::new(self, value, ty)
    }

    /// A new parameter whose elements are elements of a tensor of the surrounding trace: the tensor itself or a slice of it.
    pub(crate) fn input_among(&self, whole: &Tensor, ty: TensorType) -> Tensor {
        let input = self.input("", ty);
        self.0.assumed.borrow_mut().insert(input.value(), Assumed::Among(whole.clone()));
        input
    }

    /// A new parameter whose range the caller supplies.
    pub(crate) fn input_within(&self, range: Option<Range>, ty: TensorType) -> Tensor {
        let input = self.input("", ty);
        if let Some(range) = range {
            self.0.assumed.borrow_mut().insert(input.value(), Assumed::Within(range));
        }
        input
    }

    /// The range of a recorded value's elements.
    pub(crate) fn range(&self, value: Value) -> Option<Range> {
        let (nodes, mut ranges) = (self.0.nodes.borrow(), self.0.ranges.borrow_mut());
        for index in ranges.len()..=value.node {
            let node = &nodes[index];
            let found = match node.op.downcast::<Parameter>() {
                Some(_) => vec![settled(self.assumed(Value { node: index, output: 0 }), &node.types[0])],
                None => {
                    let ins: Vec<Option<Range>> = node.operands.iter().map(|v| known(&ranges, *v)).collect();
                    let types: Vec<TensorType> =
                        node.operands.iter().map(|v| nodes[v.node].types[v.output].clone()).collect();
                    node.ranges(&ins, &types)
                }
            };
            ranges.push(found);
        }
        known(&ranges, value)
    }

    fn assumed(&self, parameter: Value) -> Option<Range> {
        if let Some((outer, _)) = self.0.captures.borrow().iter().find(|(_, v)| *v == parameter) {
            return outer.range();
        }
        match self.0.assumed.borrow().get(&parameter)? {
            Assumed::Among(whole) => whole.range(),
            Assumed::Within(range) => Some(*range),
        }
    }

    #[track_caller]
    fn push_input(&self, ty: TensorType) -> Value {
        let mut nodes = self.0.nodes.borrow_mut();
        let (scope, place) = (self.current_scope(), self.place());
        nodes.push(Node { op: Arc::new(Parameter), operands: vec![], types: vec![ty], scope, place });
        Value { node: nodes.len() - 1, output: 0 }
    }

    /// Runs `f` with `name` appended to the module path of everything it records.
    pub fn scope<R>(&self, name: &str, f: impl FnOnce() -> R) -> R {
        let outer = self.current_scope();
        let inner = if outer.is_empty() { Arc::from(name) } else { Arc::from(format!("{outer}/{name}")) };
        self.0.shared.scope.replace(inner);
        let result = f();
        self.0.shared.scope.replace(outer);
        result
    }

    /// The current module path.
    pub fn current_scope(&self) -> Arc<str> {
        self.0.shared.scope.borrow().clone()
    }

    #[track_caller]
    fn place(&self) -> &'static Location<'static> {
        self.0.shared.place.get().unwrap_or(Location::caller())
    }

    /// Runs `f`; everything it records gets `node`'s module path and line.
    pub(crate) fn as_from<R>(&self, node: &Node, f: impl FnOnce() -> R) -> R {
        let scope = self.0.shared.scope.replace(node.scope.clone());
        let place = self.0.shared.place.replace(Some(node.place));
        let result = f();
        self.0.shared.scope.replace(scope);
        self.0.shared.place.set(place);
        result
    }

    /// Applies an operation with one output.
    #[track_caller]
    pub fn apply(&self, op: impl Op, operands: &[&Tensor]) -> Tensor {
        let operands: Vec<Tensor> = operands.iter().map(|&t| t.clone()).collect();
        self.record(Arc::new(op), &operands).swap_remove(0)
    }

    /// Records an operation in the deepest trace that one of its operands belongs to; inside a branch, at least in that branch.
    ///
    /// An invalid call is recorded as an error; its result, and everything computed from it, is poison (one tensor).
    #[track_caller]
    pub fn record(&self, op: Arc<dyn Op>, operands: &[Tensor]) -> Vec<Tensor> {
        if operands.iter().any(Tensor::is_poison) {
            return vec![Tensor::poison(self)];
        }
        let home = self.home(operands);
        let types: Vec<TensorType> = operands.iter().map(|t| t.ty().clone()).collect();
        let outcome = home.lift_all(operands).and_then(|values| Ok((values, op.infer(&types)?)));
        match outcome {
            Ok((operands, types)) => home.push(op, operands, types),
            Err(violation) => vec![self.fail(op.name(), violation)],
        }
    }

    #[track_caller]
    fn push(&self, op: Arc<dyn Op>, operands: Vec<Value>, types: Vec<TensorType>) -> Vec<Tensor> {
        let (scope, place) = (self.current_scope(), self.place());
        let mut nodes = self.0.nodes.borrow_mut();
        let node = nodes.len();
        let outputs = types.iter().enumerate();
        let tensors = outputs.map(|(output, ty)| Tensor::new(self, Value { node, output }, ty.clone())).collect();
        nodes.push(Node { op, operands, types, scope, place });
        tensors
    }

    /// Records an error at the caller and returns poison.
    #[track_caller]
    pub fn fail(&self, op: &str, violation: Violation) -> Tensor {
        self.fail_at(op, violation, self.place())
    }

    /// Runs `f` tentatively. If it returns `None` or makes an invalid call, its errors are discarded and the result is `None`.
    ///
    /// ```
    /// use spiq_hlo::{DType, TensorType, trace};
    /// let f = trace(&[("x", TensorType::new(DType::F32, [2]))], |x| {
    ///     let three = x[0].graph().attempt(|| Some(x[0].reshape(&[3])));
    ///     vec![three.unwrap_or_else(|| x[0].negate())]
    /// })?;
    /// assert_eq!(f.result_types()[0].to_string(), "f32[2]");
    /// # Ok::<(), spiq_hlo::GraphErrors>(())
    /// ```
    pub fn attempt<T>(&self, f: impl FnOnce() -> Option<T>) -> Option<T> {
        let before = self.0.shared.errors.borrow().len();
        let found = f();
        let mut errors = self.0.shared.errors.borrow_mut();
        let sound = errors.len() == before;
        errors.truncate(before);
        found.filter(|_| sound)
    }

    /// Records an error in the results of this trace, at the line that began it.
    pub(crate) fn fail_results(&self, op: &str, violation: Violation) -> Tensor {
        self.fail_at(op, violation, self.0.begun)
    }

    fn fail_at(&self, op: &str, violation: Violation, place: &'static Location<'static>) -> Tensor {
        let error = GraphError { op: op.to_owned(), violation, place, scope: self.current_scope() };
        self.0.shared.errors.borrow_mut().push(error);
        Tensor::poison(self)
    }

    /// The trace that an operation on `operands` belongs to: the deepest trace of an operand, or the innermost branch being traced
    /// inside it.
    fn home(&self, operands: &[Tensor]) -> Graph {
        let deepest = self.deepest(operands.iter());
        let bodies = self.0.shared.bodies.borrow();
        let branch = bodies.iter().rev().find(|body| body.0.keeps).filter(|branch| branch.is_inside(deepest));
        branch.unwrap_or(deepest).clone()
    }

    /// The deepest trace that one of `tensors` is bound to; this one if none is bound.
    pub(crate) fn deepest<'a>(&'a self, tensors: impl Iterator<Item = &'a Tensor>) -> &'a Graph {
        let bound = tensors.filter(|t| !t.graph().is_movable(t.value()));
        bound.map(Tensor::graph).max_by_key(|g| g.depth()).unwrap_or(self)
    }

    pub(crate) fn depth(&self) -> usize {
        self.0.parent.as_ref().map_or(0, |p| p.depth() + 1)
    }

    /// This trace and the enclosing ones, innermost first.
    pub(crate) fn and_around(&self) -> impl Iterator<Item = Graph> {
        std::iter::successors(Some(self.clone()), |graph| graph.0.parent.clone())
    }

    /// A value of this trace, qualified by the trace.
    pub(crate) fn place_of(&self, value: Value) -> Place {
        Place { trace: self.0.id, value }
    }

    /// The outer values used here, each with its value in this trace, ordered by the latter.
    pub(crate) fn stand_ins(&self) -> Vec<(Place, Value)> {
        let mut all: Vec<(Place, Value)> = self.0.lifted.borrow().iter().map(|(&outer, &own)| (outer, own)).collect();
        all.sort_unstable_by_key(|(_, own)| *own);
        all
    }

    /// Whether the value can be copied into any trace. Constants can, because they have no operands.
    pub(crate) fn is_movable(&self, value: Value) -> bool {
        let nodes = self.0.nodes.borrow();
        let node = &nodes[value.node];
        node.operands.is_empty() && node.op.downcast::<Parameter>().is_none()
    }

    fn lift_all(&self, operands: &[Tensor]) -> Result<Vec<Value>, Violation> {
        operands.iter().map(|t| self.lift(t)).collect()
    }

    /// The counterpart of `tensor` in this trace: itself, a copied constant, or a captured outer value.
    pub(crate) fn lift(&self, tensor: &Tensor) -> Result<Value, Violation> {
        if tensor.graph().is(self) {
            return Ok(tensor.value());
        }
        let key = tensor.place();
        if let Some(&value) = self.0.lifted.borrow().get(&key) {
            return Ok(value);
        }
        let value = if tensor.graph().is_movable(tensor.value()) { self.copy(tensor) } else { self.capture(tensor)? };
        self.0.lifted.borrow_mut().insert(key, value);
        Ok(value)
    }

    fn copy(&self, tensor: &Tensor) -> Value {
        let node = tensor.graph().0.nodes.borrow()[tensor.value().node].clone();
        let mut nodes = self.0.nodes.borrow_mut();
        nodes.push(node);
        Value { node: nodes.len() - 1, output: tensor.value().output }
    }

    fn capture(&self, tensor: &Tensor) -> Result<Value, Violation> {
        self.check_reach(tensor)?;
        let value = self.push_input(tensor.ty().clone());
        self.0.captures.borrow_mut().push((tensor.clone(), value));
        Ok(value)
    }

    /// Whether `tensor` can be used in this trace.
    ///
    /// # Errors
    /// The tensor is bound to a trace that is neither this one nor an enclosing one.
    pub(crate) fn check_reach(&self, tensor: &Tensor) -> Result<(), Violation> {
        let of = tensor.graph();
        if of.is(self) || self.is_inside(of) || of.is_movable(tensor.value()) {
            return Ok(());
        }
        Err(Violation::new("", format!("an operand {} belongs to another trace", tensor.ty())))
    }

    /// Names of the parameters that a value depends on; `""` for the inputs of a loop body.
    pub(crate) fn sources(&self, value: Value, names: &mut BTreeSet<String>) {
        let nodes = self.0.nodes.borrow();
        let (mut stack, mut seen) = (vec![value], vec![false; nodes.len()]);
        while let Some(value) = stack.pop() {
            if std::mem::replace(&mut seen[value.node], true) {
                continue;
            }
            stack.extend(&nodes[value.node].operands);
            if nodes[value.node].op.downcast::<Parameter>().is_some() {
                self.source(value, names);
            }
        }
    }

    fn source(&self, parameter: Value, names: &mut BTreeSet<String>) {
        if let Some((_, name)) = self.0.inputs.borrow().iter().find(|(v, _)| *v == parameter) {
            names.insert(name.clone());
        }
        if let Some((outer, _)) = self.0.captures.borrow().iter().find(|(_, v)| *v == parameter) {
            outer.graph().sources(outer.value(), names);
        }
    }

    fn is_inside(&self, other: &Graph) -> bool {
        self.0.parent.as_ref().is_some_and(|p| p.is(other) || p.is_inside(other))
    }

    pub(crate) fn is(&self, other: &Graph) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }

    pub(crate) fn snapshot(&self) -> Vec<Node> {
        self.0.nodes.borrow().clone()
    }

    /// A handle to a recorded value.
    pub(crate) fn tensor(&self, value: Value) -> Tensor {
        Tensor::new(self, value, self.0.nodes.borrow()[value.node].types[value.output].clone())
    }

    pub(crate) fn node(&self, index: usize) -> Node {
        self.0.nodes.borrow()[index].clone()
    }

    /// Adds outputs to a recorded node: `op` must return the old outputs first, then the new ones.
    pub(crate) fn widen(&self, node: usize, op: Arc<dyn Op>, more: Vec<TensorType>) {
        let mut nodes = self.0.nodes.borrow_mut();
        nodes[node].op = op;
        nodes[node].types.extend(more);
    }

    /// Ends the trace.
    ///
    /// # Errors
    /// Every invalid call of the trace, each with the caller's line.
    pub fn finish(&self, results: &[Tensor]) -> Result<Function, GraphErrors> {
        let lifted = self.lift_results(results);
        if lifted.is_none() && self.0.shared.errors.borrow().is_empty() {
            let message = "a result comes from an invalid call in another trace";
            self.fail_results("return", Violation::new("", message));
        }
        let errors = self.0.shared.errors.borrow();
        match lifted {
            Some(values) if errors.is_empty() => {
                Ok(Function::extract(&self.0.nodes.borrow(), &self.0.inputs.borrow(), &values))
            }
            _ => Err(GraphErrors(errors.clone())),
        }
    }

    /// The values of the results; `None` when one of them is poison or belongs to another trace.
    fn lift_results(&self, results: &[Tensor]) -> Option<Vec<Value>> {
        let lift = |result: &Tensor| match result.is_poison() {
            true => None,
            false => self.lift(result).map_err(|violation| self.fail_results("return", violation)).ok(),
        };
        let values: Vec<Option<Value>> = results.iter().map(lift).collect();
        values.into_iter().collect()
    }

    /// Ends a body. The function takes the captured outer values first, then its own inputs.
    /// `None` when a result is poison or belongs to another trace.
    pub(crate) fn close(&self, results: &[Tensor]) -> Option<(Function, Vec<Tensor>)> {
        let values = self.lift_results(results)?;
        let nodes = self.0.nodes.borrow();
        let own = self.0.inputs.borrow();
        let read = Function::reads(&nodes, &own, &values);
        let captures = self.0.captures.borrow();
        let (outer, mut inputs): (Vec<Tensor>, Vec<(Value, String)>) =
            captures.iter().filter(|(_, v)| read[v.node]).map(|(t, v)| (t.clone(), (*v, String::new()))).unzip();
        inputs.extend(own.iter().cloned());
        Some((Function::extract(&nodes, &inputs, &values), outer))
    }
}

/// Traces `f` on parameters with these names and types.
///
/// # Errors
/// Every invalid call in `f`, each with its line.
#[track_caller]
pub fn trace(inputs: &[(&str, TensorType)], f: impl FnOnce(&[Tensor]) -> Vec<Tensor>) -> Result<Function, GraphErrors> {
    let graph = Graph::new();
    let tensors: Vec<Tensor> = inputs.iter().map(|(name, ty)| graph.input(*name, ty.clone())).collect();
    let results = f(&tensors);
    graph.finish(&results)
}

/// A cached range; outputs added to a node later have none.
fn known(ranges: &[Vec<Option<Range>>], value: Value) -> Option<Range> {
    ranges[value.node].get(value.output).copied().flatten()
}

impl std::fmt::Debug for Graph {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Graph({} nodes)", self.0.nodes.borrow().len())
    }
}
