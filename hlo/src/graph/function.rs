//! A finished trace: plain data that can be sent, printed and replayed into another trace.

use std::collections::HashMap;
use std::panic::Location;
use std::sync::Arc;

use crate::graph::error::{GraphErrors, Violation};
use crate::graph::op::{Op, Recompute};
use crate::graph::tensor::Tensor;
use crate::graph::trace::Graph;
use crate::types::tensor_type::TensorType;

/// An output of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Value {
    /// Index of the node.
    pub node: usize,
    /// Which of the node's outputs.
    pub output: usize,
}

/// One application of an operation.
#[derive(Clone, Debug)]
pub struct Node {
    /// The operation with its attributes.
    pub op: Arc<dyn Op>,
    /// The operands.
    pub operands: Vec<Value>,
    /// Types of the outputs.
    pub types: Vec<TensorType>,
    /// The module path under which it was recorded (`core/layers/2`), or `""`.
    pub scope: Arc<str>,
    /// The source line that recorded it.
    pub place: &'static Location<'static>,
}

/// Equality ignores the source line.
impl PartialEq for Node {
    fn eq(&self, other: &Node) -> bool {
        *self.op == *other.op
            && self.operands == other.operands
            && self.types == other.types
            && self.scope == other.scope
    }
}

impl Node {
    /// Whether it is an input of its function.
    pub fn is_parameter(&self) -> bool {
        self.op.downcast::<Parameter>().is_some()
    }
}

/// A program: parameters, nodes in topological order, results.
///
/// The first nodes are the parameters, in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Function {
    pub(crate) nodes: Vec<Node>,
    pub(crate) inputs: Vec<String>,
    pub(crate) results: Vec<Value>,
}

/// Chooses the replacement of each node during a replay; `None` keeps the node.
pub type Rewrite<'a> = dyn FnMut(&Node, &[Tensor]) -> Option<Vec<Tensor>> + 'a;

impl Function {
    /// Builds a function from the nodes of another one, for passes over [`nodes`](Function::nodes): first as many parameters as there
    /// are names, then the other nodes, each after its operands. [`verify`](Function::verify) checks the result.
    pub fn from_parts(nodes: Vec<Node>, inputs: Vec<String>, results: Vec<Value>) -> Function {
        Function { nodes, inputs, results }
    }

    /// The nodes, parameters first, each after its operands.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Names of the parameters; an unnamed parameter has an empty string.
    pub fn input_names(&self) -> &[String] {
        &self.inputs
    }

    /// Types of the parameters.
    pub fn input_types(&self) -> Vec<TensorType> {
        self.nodes[..self.inputs.len()].iter().map(|n| n.types[0].clone()).collect()
    }

    /// The returned values.
    pub fn results(&self) -> &[Value] {
        &self.results
    }

    /// Types of the results.
    pub fn result_types(&self) -> Vec<TensorType> {
        self.results.iter().map(|&v| self.ty(v).clone()).collect()
    }

    /// The type of a value of this function.
    pub fn ty(&self, value: Value) -> &TensorType {
        &self.nodes[value.node].types[value.output]
    }

    /// `Costly` if any node is.
    pub(crate) fn recompute(&self) -> Recompute {
        let costly = self.nodes.iter().any(|node| node.op.recompute() == Recompute::Costly);
        if costly { Recompute::Costly } else { Recompute::Cheap }
    }

    /// Whether any node or result reads the parameter with this index.
    pub fn reads_input(&self, index: usize) -> bool {
        let value = self.input(index);
        self.results.contains(&value) || self.nodes.iter().any(|n| n.operands.contains(&value))
    }

    /// The value of the parameter with this index.
    pub fn input(&self, index: usize) -> Value {
        Value { node: index, output: 0 }
    }

    /// Records the function's nodes in `graph` with `args` as its parameters; returns its results.
    pub fn call(&self, graph: &Graph, args: &[Tensor]) -> Vec<Tensor> {
        self.replay(graph, args, &mut |_, _| None)
    }

    /// Like [`call`](Function::call), but passes every node to `rewrite` first, including nodes in bodies.
    ///
    /// Bodies are traced again, so operations that no longer depend on the loop's own values are hoisted out of it.
    pub fn rewrite(&self, graph: &Graph, args: &[Tensor], rewrite: &mut Rewrite) -> Vec<Tensor> {
        self.replay(graph, args, &mut |node, operands| {
            rewrite(node, operands).or_else(|| node.op.retrace(operands, rewrite))
        })
    }

    pub(crate) fn replay(&self, graph: &Graph, args: &[Tensor], rewrite: &mut Rewrite) -> Vec<Tensor> {
        assert_eq!(args.len(), self.inputs.len(), "a function is replayed with one argument per parameter");
        let mut values: Vec<Vec<Tensor>> = args.iter().map(|a| vec![a.clone()]).collect();
        for node in &self.nodes[self.inputs.len()..] {
            let operands: Vec<Tensor> = node.operands.iter().map(|&v| pick(&values, v)).collect();
            let outputs = graph
                .as_from(node, || rewrite(node, &operands).unwrap_or_else(|| graph.record(node.op.clone(), &operands)));
            values.push(outputs);
        }
        self.results.iter().map(|&v| pick(&values, v)).collect()
    }

    /// The same function with these parameters, by name and in this order, without retracing. A parameter that is missing from `inputs`
    /// becomes zeros; an additional one is unused.
    ///
    /// # Errors
    /// A parameter has another type than the function's parameter of that name.
    ///
    /// ```
    /// use spiq_hlo::{DType, TensorType, trace};
    /// let ty = |dims: &[usize]| TensorType::new(DType::F32, dims);
    /// let function = trace(&[("x", ty(&[2])), ("y", ty(&[2]))], |v| vec![&v[0] - &v[1]])?;
    /// let arranged = function.with_inputs(&[("y", ty(&[2])), ("new", ty(&[])), ("x", ty(&[2]))])?;
    /// assert_eq!(arranged.input_names(), ["y", "new", "x"]);
    /// # Ok::<(), spiq_hlo::GraphErrors>(())
    /// ```
    #[track_caller]
    pub fn with_inputs(&self, inputs: &[(impl AsRef<str>, TensorType)]) -> Result<Function, GraphErrors> {
        let graph = Graph::new();
        let declared: Vec<Tensor> = inputs.iter().map(|(name, ty)| graph.input(name.as_ref(), ty.clone())).collect();
        let mut given = Vec::new();
        for (name, ty) in self.inputs.iter().zip(self.input_types()) {
            let named = inputs.iter().position(|(other, _)| other.as_ref() == name).map(|at| declared[at].clone());
            if let Some(other) = named.as_ref().filter(|tensor| *tensor.ty() != ty) {
                let message = format!("the parameter `{name}` is {ty}, not {}", other.ty());
                graph.fail("with_inputs", Violation::new("", message));
            }
            given.push(named.unwrap_or_else(|| graph.zeros(ty)));
        }
        Ok(self.after(graph.finish(&given)?))
    }

    /// Composes this function with one that computes its parameters, without a replay.
    fn after(&self, given: Function) -> Function {
        let (before, own) = (given.nodes.len(), self.inputs.len());
        let moved = |value: &Value| match value.node < own {
            true => given.results[value.node],
            false => Value { node: before + value.node - own, ..*value },
        };
        let node = |node: &Node| Node { operands: node.operands.iter().map(moved).collect(), ..node.clone() };
        let nodes: Vec<Node> = given.nodes.iter().cloned().chain(self.nodes[own..].iter().map(node)).collect();
        let inputs: Vec<(Value, String)> =
            given.inputs.iter().enumerate().map(|(at, name)| (given.input(at), name.clone())).collect();
        let results: Vec<Value> = self.results.iter().map(moved).collect();
        Function::extract(&nodes, &inputs, &results)
    }

    /// The sub-function from some values, which become parameters with these names, to others. Parameters of this function that
    /// `results` depend on must be among `inputs`.
    pub fn part(&self, inputs: &[(Value, String)], results: &[Value]) -> Function {
        Function::extract(&self.nodes, inputs, results)
    }

    /// Which nodes `results` depend on, given `inputs`.
    pub(crate) fn reads(nodes: &[Node], inputs: &[(Value, String)], results: &[Value]) -> Vec<bool> {
        needed(nodes, |value| inputs.iter().any(|(v, _)| *v == value), results)
    }

    /// The part of `nodes` that `results` need, as a function of `inputs`.
    pub(crate) fn extract(nodes: &[Node], inputs: &[(Value, String)], results: &[Value]) -> Function {
        let mut place: HashMap<Value, Value> = HashMap::new();
        let mut kept: Vec<Node> = Vec::new();
        for (index, (value, _)) in inputs.iter().enumerate() {
            place.entry(*value).or_insert(Value { node: index, output: 0 });
            let source = &nodes[value.node];
            let ty = source.types[value.output].clone();
            kept.push(Node { op: Arc::new(Parameter), operands: vec![], types: vec![ty], ..source.clone() });
        }
        let wanted = needed(nodes, |v| place.contains_key(&v), results);
        for index in (0..nodes.len()).filter(|&i| wanted[i]) {
            let node = &nodes[index];
            let operands = node.operands.iter().map(|v| place[v]).collect();
            for output in 0..node.types.len() {
                place.entry(Value { node: index, output }).or_insert(Value { node: kept.len(), output });
            }
            kept.push(Node { operands, ..node.clone() });
        }
        let results = results.iter().map(|v| place[v]).collect();
        Function { nodes: kept, inputs: inputs.iter().map(|(_, name)| name.clone()).collect(), results }
    }
}

/// A replayed value; a failed node has one poison for all its outputs.
fn pick(values: &[Vec<Tensor>], value: Value) -> Tensor {
    let outputs = &values[value.node];
    outputs.get(value.output).unwrap_or(&outputs[0]).clone()
}

/// Which nodes must run to compute `results`, given the values for which `known` is true.
fn needed(nodes: &[Node], known: impl Fn(Value) -> bool, results: &[Value]) -> Vec<bool> {
    let mut wanted = vec![false; nodes.len()];
    let mut stack: Vec<Value> = results.to_vec();
    while let Some(value) = stack.pop() {
        if known(value) || std::mem::replace(&mut wanted[value.node], true) {
            continue;
        }
        stack.extend(&nodes[value.node].operands);
    }
    wanted
}

/// A parameter of a function: the only kind of node that computes nothing.
#[derive(Debug, PartialEq)]
pub(crate) struct Parameter;

impl Op for Parameter {
    fn name(&self) -> &'static str {
        "parameter"
    }
    fn infer(&self, _: &[TensorType]) -> crate::graph::op::Infer {
        unreachable!("a parameter is declared with its type")
    }
    fn vjp(&self, _: &crate::graph::op::Reverse) -> crate::graph::op::Cotangents {
        Vec::new()
    }
    fn is_pure_data(&self) -> bool {
        false
    }
}
