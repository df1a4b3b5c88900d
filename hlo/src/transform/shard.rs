//! Data parallelism and divided parameters: the program of one device out of several that together compute what one computes.

use crate::graph::error::{GraphErrors, Violation};
use crate::graph::function::Function;
use crate::graph::shard::{Devices, Gathered, Laid, Split};
use crate::graph::tensor::Tensor;
use crate::graph::trace::Graph;
use crate::types::tensor_type::TensorType;

/// How a function is divided over devices. An axis of an input or a result is divided into as many equal parts as there are devices, of
/// which each device holds one; `None` is a value that each device holds in full.
#[derive(Clone, Debug, Default)]
pub struct Division {
    /// The number of devices.
    pub devices: usize,
    /// The number of the device, if each device runs a separate program; `None` for one program for all devices.
    pub device: Option<usize>,
    /// The axis of each input.
    pub inputs: Vec<Option<usize>>,
    /// The axis of each result; those beyond the end are whole.
    pub results: Vec<Option<usize>>,
}

/// A function for each of several devices.
#[derive(Clone, Debug)]
pub struct Sharded {
    /// The program of each device. Inputs and results that are divided have the shape of a device's part.
    pub function: Function,
    /// The values that are gathered on each device, because an operation has no rule for their parts. Results are not listed.
    pub gathered: Vec<Gathered>,
}

impl Function {
    /// The same function on several devices, which hold equal parts of the inputs that are divided along an axis (`axes`, one entry per
    /// input), and all of the others. Every result is whole, on each device.
    ///
    /// Values that depend on a divided input are divided as well, as far as the rules of operations go ([`Op::shard`](crate::Op::shard)): a
    /// device computes its part, and sums, maxima and so on over the divided axis are reduced over all devices. An operation without such
    /// a rule gathers its operands and is computed in full on each device, so that every function can be sharded.
    /// Sums of integers, and maxima, are those of one device; sums of floats are added in another order. Random numbers are drawn in full
    /// on each device.
    ///
    /// Differentiate first: the operations between devices have no reverse rule.
    ///
    /// # Errors
    /// An axis that an input lacks, or whose size is not a multiple of the number of devices.
    ///
    /// ```
    /// use spiq_hlo::{DType, TensorType, trace};
    /// let (x, w) = (TensorType::new(DType::F32, [8, 3]), TensorType::new(DType::F32, [3, 5]));
    /// let function = trace(&[("x", x), ("w", w)], |v| vec![v[0].dot(&v[1]).reduce_sum([0])])?;
    /// let sharded = function.shard(4, &[Some(0), None])?;
    /// assert_eq!(sharded.function.input_types()[0].to_string(), "f32[2,3]");
    /// assert_eq!(sharded.function.result_types(), function.result_types());
    /// assert!(sharded.gathered.is_empty());
    /// # Ok::<(), spiq_hlo::GraphErrors>(())
    /// ```
    #[track_caller]
    pub fn shard(&self, devices: usize, axes: &[Option<usize>]) -> Result<Sharded, GraphErrors> {
        self.divide(&Division { devices, inputs: axes.to_vec(), ..Division::default() })
    }

    /// [`shard`](Function::shard) in full generality: results may be divided too, as the updated value of a divided parameter is, and each
    /// device may run a separate program.
    ///
    /// # Errors
    /// As [`shard`](Function::shard); an axis that a result lacks, or whose size is not a multiple of the number of devices.
    ///
    /// ```
    /// use spiq_hlo::{DType, Division, TensorType, trace};
    /// let (x, w) = (TensorType::new(DType::F32, [8, 3]), TensorType::new(DType::F32, [3, 4]));
    /// let function = trace(&[("x", x), ("w", w)], |v| vec![v[0].dot(&v[1]), &v[1] * 0.5])?;
    /// // Each device holds one column of the weights, and updates it.
    /// let by_columns = Division { devices: 4, inputs: vec![None, Some(1)], results: vec![None, Some(1)], ..Division::default() };
    /// let sharded = function.divide(&by_columns)?.function;
    /// assert_eq!(sharded.input_types()[1].to_string(), "f32[3,1]");
    /// assert_eq!(sharded.result_types()[1].to_string(), "f32[3,1]");
    /// # Ok::<(), spiq_hlo::GraphErrors>(())
    /// ```
    #[track_caller]
    pub fn divide(&self, division: &Division) -> Result<Sharded, GraphErrors> {
        let (mesh, function) = (Devices::new(division.devices, division.device), self.lower_to_loops()?);
        let graph = Graph::new();
        let inputs = function.inputs.iter().zip(function.input_types()).zip(&division.inputs);
        let args: Vec<Laid> =
            inputs.map(|((name, ty), axis)| declare(&graph, division.devices, (name, ty), *axis)).collect();
        let results = mesh.call(&function, &graph, &args);
        let axes = division.results.iter().copied().chain(std::iter::repeat(None));
        let returned: Vec<Tensor> = results
            .iter()
            .zip(axes)
            .enumerate()
            .map(|(at, (laid, axis))| result(&mesh, &graph, at, laid, axis))
            .collect();
        Ok(Sharded { function: graph.finish(&returned)?, gathered: mesh.gathered.take() })
    }
}

/// An input of a device's program.
#[track_caller]
fn declare(graph: &Graph, devices: usize, (name, ty): (&str, TensorType), axis: Option<usize>) -> Laid {
    let Some(axis) = axis else { return Laid::whole(graph.input(name, ty)) };
    match divided(&ty, axis, devices) {
        Ok(split) => Laid::part(graph.input(name, ty.with_dims(split.part(&ty.dims, devices))), split),
        Err(why) => Laid::whole(graph.fail("shard", Violation::new("", format!("input `{name}`: {why}")))),
    }
}

/// A result of a device's program.
#[track_caller]
fn result(mesh: &Devices, graph: &Graph, at: usize, laid: &Laid, axis: Option<usize>) -> Tensor {
    let whole = laid.tensor.ty().with_dims(laid.dims(mesh.count));
    match axis.map(|axis| divided(&whole, axis, mesh.count)).transpose() {
        Ok(split) => mesh.returned(laid, split),
        Err(why) => graph.fail("shard", Violation::new("", format!("result {at}: {why}"))),
    }
}

/// The division of a value of this type along an axis; otherwise, why it is impossible.
fn divided(ty: &TensorType, axis: usize, devices: usize) -> Result<Split, String> {
    match ty.dims.get(axis) {
        Some(size) if size % devices == 0 => Ok(Split::of(axis)),
        Some(size) => {
            Err(format!("axis {axis} of {ty} has {size} elements, which {devices} devices cannot divide evenly"))
        }
        None => Err(format!("axis {axis} is not an axis of {ty}")),
    }
}
