//! A finished trace: plain data that can be sent, printed and replayed into another trace. Knows no particular op.

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
    /// What it is applied to.
    pub operands: Vec<Value>,
    /// Types of its outputs.
    pub types: Vec<TensorType>,
    /// The module path it was made under (`core/layers/2`), or `""`.
    pub scope: Arc<str>,
    /// The line that made it.
    pub place: &'static Location<'static>,
}

/// Nodes are equal whichever line made them.
impl PartialEq for Node {
    fn eq(&self, other: &Node) -> bool {
        *self.op == *other.op
            && self.operands == other.operands
            && self.types == other.types
            && self.scope == other.scope
    }
}

impl Node {
    /// Whether it stands for an input of its function, and computes nothing.
    pub fn is_parameter(&self) -> bool {
        self.op.downcast::<Parameter>().is_some()
    }
}

/// A program: parameters, nodes in an order in which each follows its operands, results.
///
/// The first nodes are the parameters, in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Function {
    pub(crate) nodes: Vec<Node>,
    pub(crate) inputs: Vec<String>,
    pub(crate) results: Vec<Value>,
}

/// Decides, node by node, what a replay records instead: `None` keeps the node.
pub type Rewrite<'a> = dyn FnMut(&Node, &[Tensor]) -> Option<Vec<Tensor>> + 'a;

impl Function {
    /// A function of nodes that came from another one: parameters first, as many as there are names, then each node after its
    /// operands. What a pass over [`nodes`](Function::nodes) puts together again; [`verify`](Function::verify) checks it.
    pub fn from_parts(nodes: Vec<Node>, inputs: Vec<String>, results: Vec<Value>) -> Function {
        Function { nodes, inputs, results }
    }

    /// Nodes, parameters first, each after its operands.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Names of the parameters; empty strings where none were given.
    pub fn input_names(&self) -> &[String] {
        &self.inputs
    }

    /// Types of the parameters.
    pub fn input_types(&self) -> Vec<TensorType> {
        self.nodes[..self.inputs.len()].iter().map(|n| n.types[0].clone()).collect()
    }

    /// What the function returns.
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

    /// Costly as soon as one of its nodes is.
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

    /// Records the function's nodes in `graph`, with `args` for its parameters; returns its results.
    pub fn call(&self, graph: &Graph, args: &[Tensor]) -> Vec<Tensor> {
        self.replay(graph, args, &mut |_, _| None)
    }

    /// Like [`call`](Function::call), but every node is shown to `rewrite` first, those inside bodies too.
    ///
    /// Bodies are traced anew, so what no longer depends on a loop's own values leaves the loop.
    pub fn rewrite(&self, graph: &Graph, args: &[Tensor], rewrite: &mut Rewrite) -> Vec<Tensor> {
        self.replay(graph, args, &mut |node, operands| {
            rewrite(node, operands).or_else(|| node.op.retrace(operands, rewrite))
        })
    }

    pub(crate) fn replay(&self, graph: &Graph, args: &[Tensor], rewrite: &mut Rewrite) -> Vec<Tensor> {
        assert_eq!(args.len(), self.inputs.len(), "a function is replayed with one argument a parameter");
        let mut values: Vec<Vec<Tensor>> = args.iter().map(|a| vec![a.clone()]).collect();
        for node in &self.nodes[self.inputs.len()..] {
            let operands: Vec<Tensor> = node.operands.iter().map(|&v| pick(&values, v)).collect();
            let outputs = graph
                .as_from(node, || rewrite(node, &operands).unwrap_or_else(|| graph.record(node.op.clone(), &operands)));
            values.push(outputs);
        }
        self.results.iter().map(|&v| pick(&values, v)).collect()
    }

    /// The same function with these parameters, by name and in this order: nothing is traced again. A parameter of its own that
    /// is not named becomes zeros; one that it has not is there and not read.
    ///
    /// # Errors
    /// A parameter of the function with another type.
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

    /// What this function makes of the results of another one, without a replay.
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

    /// The part of the function from some of its values, which become parameters of these names, to others. What it reads of
    /// the function's own parameters must be among `inputs`.
    pub fn part(&self, inputs: &[(Value, String)], results: &[Value]) -> Function {
        Function::extract(&self.nodes, inputs, results)
    }

    /// Which nodes `results` read, `inputs` being there.
    pub(crate) fn reads(nodes: &[Node], inputs: &[(Value, String)], results: &[Value]) -> Vec<bool> {
        needed(nodes, |value| inputs.iter().any(|(v, _)| *v == value), results)
    }

    /// The part of `nodes` that `results` need, as a function of `inputs`. Everything else is left out.
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

/// A replayed value; a node that failed left one poison for all its outputs.
fn pick(values: &[Vec<Tensor>], value: Value) -> Tensor {
    let outputs = &values[value.node];
    outputs.get(value.output).unwrap_or(&outputs[0]).clone()
}

/// Which nodes must run to have `results`, the values for which `known` holds being there.
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

/// A parameter of a function: the one node without an operation of its own.
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
