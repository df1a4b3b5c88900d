//! Inputs and results of a program by name and role.
//!
//! Invariant: does not depend on what any program computes.

use spiq_hlo::{Function, Graph, GraphErrors, Tensor, TensorType, Violation, trace};

use crate::by_path::{Tensors, Types};

/// What an input or a result of a program is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Role {
    /// A parameter of the model, by its path.
    Parameter,
    /// A statistic that static scales come from, by its path; among the results, what has become of it.
    Statistic,
    /// A running statistic of a layer, such as the mean of BatchNorm, by its path; among the results, what has become of it.
    Running,
    /// A part of a weight that is stored quantized, by its path.
    Stored,
    /// A part of an optimizer's state.
    State,
    /// What the model draws from, a key `u32[2]`.
    ModelKey,
    /// What the rounding of gradients draws from, a key `u32[2]`.
    NoiseKey,
    /// The input over time, [T, B, …].
    X,
    /// What else a program is given: samples, labels, rows, keys.
    Given,
    /// The outputs of the model, [T, B, …].
    Traces,
    /// A state that the last step leaves for a loss to read, such as counts of spikes, by its path.
    LossState,
    /// The mean number of spikes a neuron and step, `f32[B]`, by the layer's path.
    SpikeRate,
    /// What the synapses of a layer are multiplied with, [T, B, …], by the layer's path.
    Driven,
    /// How many spikes each neuron fired, [B, …], by the layer's path.
    SpikeCount,
    /// 1 where one of a layer's outputs or states is not finite, else 0, by the layer's path.
    Broken,
    /// What training makes small.
    Loss,
    /// The gradient of the loss by the parameter of this path.
    Gradient,
}

impl Role {
    /// Whether files hold it.
    fn is_array(self) -> bool {
        matches!(self, Role::Parameter | Role::Statistic | Role::Running | Role::Stored)
    }
}

/// An input or a result of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its name; among inputs, and among results, there is none twice in one role.
    pub name: String,
    /// What it is.
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
    /// The same with these inputs after the others.
    #[must_use]
    pub fn with<N: Into<String>>(mut self, role: Role, inputs: impl IntoIterator<Item = (N, TensorType)>) -> Signature {
        self.inputs.extend(ports(role, inputs));
        self
    }

    /// The same with these inputs of another program after the others.
    #[must_use]
    pub(crate) fn taking<'a>(mut self, inputs: impl IntoIterator<Item = &'a Port>) -> Signature {
        self.inputs.extend(inputs.into_iter().cloned());
        self
    }

    /// The same with what another program gives as its results.
    #[must_use]
    pub(crate) fn giving_as(self, other: &Signature) -> Signature {
        Signature { results: other.results.clone(), ..self }
    }

    /// The same with these results after the others.
    #[must_use]
    pub fn giving<N: Into<String>>(
        mut self,
        role: Role,
        results: impl IntoIterator<Item = (N, TensorType)>,
    ) -> Signature {
        self.results.extend(ports(role, results));
        self
    }

    /// The inputs in their order.
    pub fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    /// The results in their order.
    pub fn results(&self) -> &[Port] {
        &self.results
    }

    /// The inputs of a role, in their order.
    pub fn of(&self, role: Role) -> impl Iterator<Item = &Port> {
        self.inputs.iter().filter(move |port| port.role == role)
    }

    /// The results of a role, in their order.
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

    /// The inputs that files hold, by their path, in their order: parameters, statistics, stored weights.
    pub fn arrays(&self) -> impl Iterator<Item = &Port> {
        self.inputs.iter().filter(|port| port.role.is_array())
    }

    /// The function with its parameters in the order of these inputs. One that is not among them is zero.
    ///
    /// # Errors
    /// A parameter of another type.
    #[track_caller]
    pub(crate) fn arrange(&self, function: &Function) -> Result<Function, GraphErrors> {
        let inputs: Vec<(&str, TensorType)> =
            self.inputs.iter().map(|port| (port.name.as_str(), port.ty.clone())).collect();
        function.with_inputs(&inputs)
    }

    /// Traces a program of these inputs; what it gives, by role and name, is added to the results.
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

    /// Records a function of this signature with what is given by name. What it does not take is passed over; that it takes
    /// something that is not given is an error of the trace.
    #[track_caller]
    pub(crate) fn call(&self, function: &Function, graph: &Graph, given: &Tensors) -> Values {
        let argument = |port: &Port| match given.get(&port.name) {
            Some(tensor) => tensor.clone(),
            None => graph.fail("call", Violation::new("", format!("`{}` ({}) is not given", port.name, port.ty))),
        };
        let arguments: Vec<Tensor> = self.inputs.iter().map(argument).collect();
        Values { ports: self.results.clone(), tensors: function.call(graph, &arguments) }
    }

    /// Which inputs a result takes the memory of: those that it is the next value of. (input, result)
    pub fn in_place(&self) -> Vec<(usize, usize)> {
        let of = |port: &Port| self.results.iter().position(|next| (next.role, &next.name) == (port.role, &port.name));
        self.inputs.iter().enumerate().filter_map(|(at, port)| Some((at, of(port)?))).collect()
    }
}

fn ports<N: Into<String>>(role: Role, named: impl IntoIterator<Item = (N, TensorType)>) -> impl Iterator<Item = Port> {
    named.into_iter().map(move |(name, ty)| Port { name: name.into(), role, ty })
}

/// Tensors of a program by name and role: what it is given, or what it gives.
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

    /// What files hold, by path: parameters, statistics, stored weights.
    pub fn arrays(&self) -> Tensors {
        self.chosen(Role::is_array)
    }

    /// The one tensor of a role.
    ///
    /// # Panics
    /// Where there is none: which roles there are is the program's to know.
    #[track_caller]
    pub fn only(&self, role: Role) -> &Tensor {
        let found = self.pairs().find(|(port, _)| port.role == role);
        found.unwrap_or_else(|| panic!("the program has no {role:?}")).1
    }

    /// The tensor of this role and name.
    ///
    /// # Panics
    /// Where there is none: which names there are is the program's to know.
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

    /// By role and name, wherever they stand: `count` is a statistic here and a part of the state there.
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
