//! Data parallelism: the program of one device out of several that together compute what one computes.

use crate::graph::error::{GraphErrors, Violation};
use crate::graph::function::Function;
use crate::graph::shard::{Devices, Gathered, Laid, Split};
use crate::graph::tensor::Tensor;
use crate::graph::trace::Graph;
use crate::types::tensor_type::TensorType;

/// A function for each of several devices.
#[derive(Clone, Debug)]
pub struct Sharded {
    /// The program of each device. An input that is divided has the shape of a device's part; results are whole, the same on all devices.
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
        self.shard_among(Devices::new(devices, None), axes)
    }

    /// [`shard`](Function::shard) for the device of this number, where each device runs a separate program.
    ///
    /// # Errors
    /// As [`shard`](Function::shard).
    #[track_caller]
    pub fn shard_for(&self, number: usize, devices: usize, axes: &[Option<usize>]) -> Result<Sharded, GraphErrors> {
        self.shard_among(Devices::new(devices, Some(number)), axes)
    }

    #[track_caller]
    fn shard_among(&self, mesh: Devices, axes: &[Option<usize>]) -> Result<Sharded, GraphErrors> {
        let (function, devices) = (self.lower_to_loops()?, mesh.count);
        let graph = Graph::new();
        let inputs = function.inputs.iter().zip(function.input_types()).zip(axes);
        let args: Vec<Laid> = inputs.map(|((name, ty), axis)| declare(&graph, devices, (name, ty), *axis)).collect();
        let results = mesh.call(&function, &graph, &args);
        let whole: Vec<Tensor> = results.iter().map(|laid| mesh.returned(laid)).collect();
        Ok(Sharded { function: graph.finish(&whole)?, gathered: mesh.gathered.take() })
    }
}

/// An input of a device's program.
#[track_caller]
fn declare(graph: &Graph, devices: usize, (name, ty): (&str, TensorType), axis: Option<usize>) -> Laid {
    let Some(axis) = axis else { return Laid::whole(graph.input(name, ty)) };
    let split = Split::of(axis);
    match ty.dims.get(axis) {
        Some(size) if size % devices == 0 => {
            Laid::part(graph.input(name, ty.with_dims(split.part(&ty.dims, devices))), split)
        }
        Some(size) => {
            let message = format!(
                "axis {axis} of the input `{name}`, {ty}, has {size} elements, which {devices} devices cannot divide evenly"
            );
            Laid::whole(graph.fail("shard", Violation::new("", message)))
        }
        None => {
            let message = format!("axis {axis} is not an axis of the input `{name}`, {ty}");
            Laid::whole(graph.fail("shard", Violation::new("", message)))
        }
    }
}
