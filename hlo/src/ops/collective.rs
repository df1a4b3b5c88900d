//! Operations across the devices that run one program: its device, sums over all devices, parts joined from all devices.
//!
//! Only [`Function::shard`](crate::Function::shard) records them, after differentiation, so they have no reverse rule.

use crate::graph::error::Violation;
use crate::graph::function::Function;
use crate::graph::op::{Cotangents, Infer, Op, Recompute, Reverse};
use crate::graph::range::{Range, Ranges};
use crate::graph::tensor::Tensor;
use crate::graph::trace::Graph;
use crate::ops::reducer::Reducer;
use crate::ops::sample::Sample;
use crate::types::dtype::DType;
use crate::types::tensor_type::TensorType;

/// The number of the device that runs the program.
#[derive(Debug, PartialEq)]
struct ReplicaId;

impl Op for ReplicaId {
    fn name(&self) -> &'static str {
        "replica_id"
    }
    fn infer(&self, _: &[TensorType]) -> Infer {
        Ok(vec![TensorType::scalar(DType::U32)])
    }
    fn vjp(&self, _: &Reverse) -> Cotangents {
        Vec::new()
    }
}

/// The elementwise reduction of the operands of all devices.
#[derive(Debug, PartialEq)]
pub struct AllReduce {
    reducer: Reducer,
    devices: usize,
}

impl AllReduce {
    /// The name of the reduction: `sum`, `product`, `max`, `absmax`, `min`, `and`, `or`.
    pub fn reducer(&self) -> &'static str {
        self.reducer.name()
    }
}

impl Op for AllReduce {
    fn name(&self) -> &'static str {
        "all_reduce"
    }
    fn infer(&self, operands: &[TensorType]) -> Infer {
        self.reducer.check(&operands[0])?;
        Ok(operands.to_vec())
    }
    fn attrs(&self) -> Vec<(&'static str, String)> {
        vec![("replica_groups", all_in_one_group(self.devices))]
    }
    fn regions(&self, operands: &[TensorType]) -> Vec<Function> {
        vec![self.reducer.region(operands[0].dtype)]
    }
    fn vjp(&self, reverse: &Reverse) -> Cotangents {
        no_reverse_rule(self.name(), reverse)
    }
    fn recompute(&self) -> Recompute {
        Recompute::Costly
    }
    fn range(&self, of: &Ranges) -> Vec<Option<Range>> {
        vec![of.ins[0].and_then(|x| match self.reducer {
            Reducer::Sum => x.times(self.devices as i64),
            Reducer::Max | Reducer::Min => Some(x),
            Reducer::AbsMax => x.magnitudes(),
            Reducer::Product | Reducer::And | Reducer::Or => None,
        })]
    }
}

/// The operands of all devices, joined along an axis.
#[derive(Debug, PartialEq)]
pub struct AllGather {
    /// The axis.
    pub axis: usize,
    devices: usize,
}

impl Op for AllGather {
    fn name(&self) -> &'static str {
        "all_gather"
    }
    fn infer(&self, operands: &[TensorType]) -> Infer {
        let x = &operands[0];
        let mut dims = x.dims.clone();
        match dims.get_mut(self.axis) {
            Some(size) => *size *= self.devices,
            None => return Err(Violation::new("C1", format!("axis {} is not an axis of {x}", self.axis))),
        }
        Ok(vec![x.with_dims(dims)])
    }
    fn attrs(&self) -> Vec<(&'static str, String)> {
        vec![("all_gather_dim", format!("{} : i64", self.axis)), ("replica_groups", all_in_one_group(self.devices))]
    }
    fn vjp(&self, reverse: &Reverse) -> Cotangents {
        no_reverse_rule(self.name(), reverse)
    }
    fn recompute(&self) -> Recompute {
        Recompute::Costly
    }
    fn range(&self, of: &Ranges) -> Vec<Option<Range>> {
        vec![of.ins[0]]
    }
}

/// One group of all devices.
fn all_in_one_group(devices: usize) -> String {
    let ids: Vec<String> = (0..devices).map(|id| id.to_string()).collect();
    format!("dense<[[{}]]> : tensor<1x{devices}xi64>", ids.join(", "))
}

fn no_reverse_rule(op: &str, reverse: &Reverse) -> Cotangents {
    let message = "has no reverse rule; differentiate before sharding";
    reverse.outs[0].graph().fail(op, Violation::new("", message));
    vec![None; reverse.ins.len()]
}

impl Graph {
    /// The number of the device that runs the program, `u32[]`. Spec: replica_id.
    #[track_caller]
    pub(crate) fn replica_id(&self) -> Tensor {
        self.apply(ReplicaId, &[])
    }
}

impl Tensor {
    /// The elementwise reduction of this tensor over all `devices`. Spec: all_reduce.
    #[track_caller]
    pub(super) fn all_reduce(&self, reducer: Reducer, devices: usize) -> Tensor {
        self.graph().apply(AllReduce { reducer, devices }, &[self])
    }

    /// A reduction over the parts of all `devices`, given the reduction of this device's part. The largest magnitude of a part is a
    /// magnitude already; as integers, whose order is the same, magnitudes cannot lose a NaN, which the maximum of some plugins drops.
    #[track_caller]
    pub(super) fn over_devices(&self, reducer: Reducer, devices: usize) -> Tensor {
        match reducer {
            Reducer::AbsMax if self.dtype() == DType::F32 => {
                self.bitcast_convert(DType::S32).all_reduce(Reducer::Max, devices).bitcast_convert(DType::F32)
            }
            Reducer::AbsMax => self.all_reduce(Reducer::Max, devices),
            _ => self.all_reduce(reducer, devices),
        }
    }

    /// The sum of this tensor over all `devices`.
    #[track_caller]
    pub(super) fn sum_over_devices(&self, devices: usize) -> Tensor {
        self.all_reduce(Reducer::Sum, devices)
    }

    /// The tensors of all `devices` joined along `axis`. Spec: all_gather.
    #[track_caller]
    pub(crate) fn all_gather(&self, axis: usize, devices: usize) -> Tensor {
        self.graph().apply(AllGather { axis, devices }, &[self])
    }
}

/// On one device, where the results are the operands.
pub(crate) fn samples() -> Vec<Sample> {
    let f = DType::F32;
    vec![
        Sample::new("replica_id", |x| vec![x[0].graph().replica_id().convert(DType::F32) + &x[0]])
            .input(f, [3], -1.0, 1.0)
            .forward_only(),
        Sample::new("all_reduce", |x| vec![x[0].all_reduce(Reducer::Sum, 1), x[0].all_reduce(Reducer::Max, 1)])
            .input(f, [2, 3], -1.0, 1.0)
            .forward_only(),
        Sample::new("all_gather", |x| vec![x[0].all_gather(1, 1)]).input(f, [2, 3], -1.0, 1.0).forward_only(),
    ]
}
