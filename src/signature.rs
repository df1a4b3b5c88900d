//! Inputs and results of a program by name and role.
//!
//! Invariant: does not depend on what any program computes.

use spiq_hlo::{Function, Graph, GraphErrors, Tensor, TensorType, Violation, trace};

use crate::by_path::{Tensors, Types};

/// The role of a program's input or result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Role {
    /// A parameter of the model, by its path.
    Parameter,
    /// A statistic for static scales, by path; among the results, its updated value.
    Statistic,
    /// A running statistic of a layer, such as the mean of BatchNorm, by path; among the results, its updated value.
    Running,
    /// A part of a weight stored quantized, by path.
    Stored,
    /// A part of an optimizer's state.
    State,
    /// The key of the model's randomness, `u32[2]`.
    ModelKey,
    /// The key for stochastic rounding of gradients, `u32[2]`.
    NoiseKey,
    /// The input over time, [T, B, …].
    X,
    /// Another input: samples, labels, rows, keys.
    Given,
    /// The outputs of the model, [T, B, …].
    Traces,
    /// A state after the last step that a loss reads, such as spike counts, by path.
    LossState,
    /// The mean number of spikes per neuron and step, `f32[B]`, by layer path.
    SpikeRate,
    /// The inputs of a layer's synapses, [T, B, …], by layer path.
    Driven,
    /// The number of spikes of each neuron, [B, …], by layer path.
    SpikeCount,
    /// 1 if one of a layer's outputs or states is not finite, else 0, by layer path.
    Broken,
    /// The loss to minimize.
    Loss,
    /// The gradient of the loss with respect to the parameter of this path.
    Gradient,
}

impl Role {
    /// Whether files contain it.
    fn is_array(self) -> bool {
        matches!(self, Role::Parameter | Role::Statistic | Role::Running | Role::Stored)
    }
}

/// An input or a result of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its name; unique within a role, among inputs and among results.
    pub name: String,
    /// Its role.
    pub role: Role,
    /// Its type.
    pub ty: TensorType,
}

/// The inputs and results of a program, each in the program's order.
///
/// ```
/// use spiq::signature::{Role, Signature};
/// use spiq::{DType, TensorType};
/// let ty = TensorType::new(DType::F32, [3]);
/// let signature = Signature::default().with(Role::Parameter, [("w", ty.clone())]).with(Role::X, [("x", ty)]);
/// let (function, signature) = signature.trace(|given| {
///     let (w, x) = (given.one(Role::Parameter, "w"), given.only(Role::X));
///     vec![(Role::Loss, [("loss".to_owned(), (w * x).sum())].into())]
/// })?;
/// assert_eq!(function.input_names(), ["w", "x"]);
/// assert_eq!(signature.results()[0].ty.to_string(), "f32[]");
/// # Ok::<(), spiq::GraphErrors>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signature {
    inputs: Vec<Port>,
    results: Vec<Port>,
}

impl Signature {
    /// Appends these inputs.
    #[must_use]
    pub fn with<N: Into<String>>(mut self, role: Role, inputs: impl IntoIterator<Item = (N, TensorType)>) -> Signature {
        self.inputs.extend(ports(role, inputs));
        self
    }

    /// Appends these inputs of another program.
    #[must_use]
    pub(crate) fn taking<'a>(mut self, inputs: impl IntoIterator<Item = &'a Port>) -> Signature {
        self.inputs.extend(inputs.into_iter().cloned());
        self
    }

    /// Sets the results to those of another program.
    #[must_use]
    pub(crate) fn giving_as(self, other: &Signature) -> Signature {
        Signature { results: other.results.clone(), ..self }
    }

    /// Appends these results.
    #[must_use]
    pub fn giving<N: Into<String>>(
        mut self,
        role: Role,
        results: impl IntoIterator<Item = (N, TensorType)>,
    ) -> Signature {
        self.results.extend(ports(role, results));
        self
    }

    /// The inputs in order.
    pub fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    /// The results in order.
    pub fn results(&self) -> &[Port] {
        &self.results
    }

    /// The inputs of a role, in order.
    pub fn of(&self, role: Role) -> impl Iterator<Item = &Port> {
        self.inputs.iter().filter(move |port| port.role == role)
    }

    /// The results of a role, in order.
    pub fn results_of(&self, role: Role) -> impl Iterator<Item = &Port> {
        self.results.iter().filter(move |port| port.role == role)
    }

    /// Whether there is an input of this role.
    pub fn takes(&self, role: Role) -> bool {
        self.of(role).next().is_some()
    }

    /// The types of the inputs of a role, by name.
    pub fn types(&self, role: Role) -> Types {
        self.of(role).map(|port| (port.name.clone(), port.ty.clone())).collect()
    }

    /// The inputs that files contain, by path, in order: parameters, statistics, stored weights.
    pub fn arrays(&self) -> impl Iterator<Item = &Port> {
        self.inputs.iter().filter(|port| port.role.is_array())
    }

    /// The function with its parameters in the order of these inputs. Parameters that are not among them are set to zero.
    ///
    /// # Errors
    /// A parameter of another type.
    #[track_caller]
    pub(crate) fn arrange(&self, function: &Function) -> Result<Function, GraphErrors> {
        let inputs: Vec<(&str, TensorType)> =
            self.inputs.iter().map(|port| (port.name.as_str(), port.ty.clone())).collect();
        function.with_inputs(&inputs)
    }

    /// Traces a program with these inputs; its outputs, by role and name, are appended to the results.
    ///
    /// # Errors
    /// Every wrong call that `f` makes, each with its line.
    #[track_caller]
    pub fn trace(
        mut self,
        f: impl FnOnce(&Values) -> Vec<(Role, Tensors)>,
    ) -> Result<(Function, Signature), GraphErrors> {
        let inputs: Vec<(&str, TensorType)> =
            self.inputs.iter().map(|port| (port.name.as_str(), port.ty.clone())).collect();
        let mut results = Vec::new();
        let function = trace(&inputs, |values| {
            let given = f(&Values { ports: self.inputs.clone(), tensors: values.to_vec() });
            let mut tensors = Vec::new();
            for (role, named) in given {
                for (name, tensor) in named {
                    results.push(Port { name, role, ty: tensor.ty().clone() });
                    tensors.push(tensor);
                }
            }
            tensors
        })?;
        self.results.extend(results);
        Ok((function, self))
    }

    /// Records a call of a function with this signature, with inputs given by name. Unused ones are ignored; a missing one is an error of
    /// the trace.
    #[track_caller]
    pub(crate) fn call(&self, function: &Function, graph: &Graph, given: &Tensors) -> Values {
        let argument = |port: &Port| match given.get(&port.name) {
            Some(tensor) => tensor.clone(),
            None => graph.fail("call", Violation::new("", format!("`{}` ({}) is not given", port.name, port.ty))),
        };
        let arguments: Vec<Tensor> = self.inputs.iter().map(argument).collect();
        Values { ports: self.results.clone(), tensors: function.call(graph, &arguments) }
    }

    /// Pairs of (input, result) that share memory: each result is the updated value of its input.
    pub fn in_place(&self) -> Vec<(usize, usize)> {
        let of = |port: &Port| self.results.iter().position(|next| (next.role, &next.name) == (port.role, &port.name));
        self.inputs.iter().enumerate().filter_map(|(at, port)| Some((at, of(port)?))).collect()
    }
}

fn ports<N: Into<String>>(role: Role, named: impl IntoIterator<Item = (N, TensorType)>) -> impl Iterator<Item = Port> {
    named.into_iter().map(move |(name, ty)| Port { name: name.into(), role, ty })
}

/// Tensors of a program by name and role: its inputs or its results.
#[derive(Clone, Debug)]
pub struct Values {
    ports: Vec<Port>,
    tensors: Vec<Tensor>,
}

impl Values {
    fn pairs(&self) -> impl Iterator<Item = (&Port, &Tensor)> {
        self.ports.iter().zip(&self.tensors)
    }

    fn chosen(&self, is: impl Fn(Role) -> bool) -> Tensors {
        let chosen = self.pairs().filter(|(port, _)| is(port.role));
        chosen.map(|(port, tensor)| (port.name.clone(), tensor.clone())).collect()
    }

    /// All tensors by name.
    pub fn all(&self) -> Tensors {
        self.chosen(|_| true)
    }

    /// The tensors of a role, by name.
    pub fn of(&self, role: Role) -> Tensors {
        self.chosen(|own| own == role)
    }

    /// The tensors that files contain, by path: parameters, statistics, stored weights.
    pub fn arrays(&self) -> Tensors {
        self.chosen(Role::is_array)
    }

    /// The one tensor of a role.
    ///
    /// # Panics
    /// If there is none: the caller must know the program's roles.
    #[track_caller]
    pub fn only(&self, role: Role) -> &Tensor {
        let found = self.pairs().find(|(port, _)| port.role == role);
        found.unwrap_or_else(|| panic!("the program has no {role:?}")).1
    }

    /// The tensor of this role and name.
    ///
    /// # Panics
    /// If there is none: the caller must know the program's names.
    #[track_caller]
    pub fn one(&self, role: Role, name: &str) -> &Tensor {
        let found = self.pairs().find(|(port, _)| port.role == role && port.name == name);
        found.unwrap_or_else(|| panic!("the program has no {role:?} `{name}`")).1
    }
}

#[cfg(test)]
mod tests {
    use spiq_hlo::DType;

    use super::*;

    fn vector() -> TensorType {
        TensorType::new(DType::F32, [2])
    }

    #[test]
    fn what_is_not_given_is_named() {
        let signature = Signature::default().with(Role::Parameter, [("w", vector())]).with(Role::X, [("x", vector())]);
        let (function, signature) = signature
            .trace(|given| {
                vec![(Role::Traces, [("y".to_owned(), given.one(Role::Parameter, "w") * given.only(Role::X))].into())]
            })
            .expect("sound");
        let called = trace(&[("x", vector())], |x| {
            let given = [("x".to_owned(), x[0].clone()), ("unread".to_owned(), x[0].clone())].into();
            vec![signature.call(&function, x[0].graph(), &given).only(Role::Traces).clone()]
        });
        assert!(called.expect_err("a refusal").to_string().contains("`w` (f32[2]) is not given"));
    }

    /// By role and name, at any position: `count` is both a statistic and a part of the state.
    #[test]
    fn next_values_take_the_place_of_what_they_follow() {
        let signature = Signature::default()
            .with(Role::Statistic, [("count", vector())])
            .with(Role::X, [("x", vector())])
            .with(Role::State, [("count", vector())])
            .giving(Role::Loss, [("loss", vector())])
            .giving(Role::State, [("count", vector())])
            .giving(Role::Statistic, [("count", vector())]);
        assert_eq!(signature.in_place(), [(0, 2), (2, 1)]);
    }
}
