//! `all_reduce` and `all_gather` between processes on the CPU, as custom calls: XLA's own collectives on the CPU stay within a process.
//!
//! Each call sends this process's part to all others, and computes its result from the parts of all, in their order, so that all processes
//! have the same bits. The handler returns at once, and the call completes when the last part arrives: handlers that wait could occupy all
//! threads of XLA, in another order than in other processes, and deadlock.

mod reduce;

use std::sync::{Arc, Mutex, PoisonError};

use spiq_hlo::{AllGather, AllReduce, CustomCall, Function, Mapped, Node, Ranges, Tensor};

use crate::cluster::Cluster;
use crate::error::Result;
use crate::pjrt::ffi::{End, Later, LaterCall, Registration};
use reduce::{DTYPES, REDUCERS, reduce};

const ALL_REDUCE: &str = "spiq_all_reduce";
const ALL_GATHER: &str = "spiq_all_gather";

/// The handlers of these calls.
pub(crate) const HANDLERS: [Registration; 2] =
    [Registration::later::<Reduced>(ALL_REDUCE), Registration::later::<Joined>(ALL_GATHER)];

/// Attributes: a channel unique to the call within its program; indices of the reduction and the element type in their tables; the size of
/// a part's blocks.
const CHANNEL: &str = "channel";
const REDUCER: &str = "reducer";
const DTYPE: &str = "dtype";
const BLOCK: &str = "block";

/// The run that this process is part of. It is static because XLA calls handlers without context.
static JOINED: Mutex<Option<Cluster>> = Mutex::new(None);

/// Sets the run whose processes the programs of this process exchange data with.
pub(crate) fn exchange_with(cluster: &Cluster) {
    *JOINED.lock().unwrap_or_else(PoisonError::into_inner) = Some(cluster.clone());
}

/// The function with its collective operations replaced by custom calls that exchange data between processes.
pub(crate) fn between_processes(function: &Function) -> Result<Function> {
    let mut channel = 0;
    let rewritten = function.transform(&mut |node, operands| {
        let (target, mut config) = call_of(node, operands)?;
        channel += 1;
        config.push((CHANNEL, vec![channel]));
        Some(record(node, operands, target, config))
    });
    Ok(rewritten?)
}

type Config = Vec<(&'static str, Vec<i64>)>;

/// The custom call for a collective operation; `None` for other nodes.
fn call_of(node: &Node, operands: &[Tensor]) -> Option<(&'static str, Config)> {
    if let Some(op) = node.op.downcast::<AllReduce>() {
        let reducer = REDUCERS.iter().position(|name| *name == op.reducer())?;
        let dtype = DTYPES.iter().position(|dtype| *dtype == operands[0].dtype())?;
        return Some((ALL_REDUCE, vec![(REDUCER, vec![reducer as i64]), (DTYPE, vec![dtype as i64])]));
    }
    let op = node.op.downcast::<AllGather>()?;
    let inner: usize = operands[0].dims()[op.axis..].iter().product();
    let block = inner * operands[0].dtype().host_bytes();
    Some((ALL_GATHER, vec![(BLOCK, vec![block as i64])]))
}

fn record(node: &Node, operands: &[Tensor], target: &'static str, config: Config) -> Vec<Tensor> {
    let known: Vec<_> = operands.iter().map(Tensor::range).collect();
    let types: Vec<_> = operands.iter().map(|operand| operand.ty().clone()).collect();
    let ranges = node.op.range(&Ranges { ins: &known, types: &types });
    let map = |_: &CustomCall, _: &Mapped| None;
    CustomCall { target, config, outputs: node.types.clone(), ranges, map }.on(operands[0].graph(), operands)
}

/// The reduction of the operands of all processes.
struct Reduced;

impl Later for Reduced {
    fn start(call: LaterCall<'_>, end: End) {
        let of = |name| call.attributes.numbers(name).and_then(|list| list.first()).map(|number| *number as usize);
        let (reducer, dtype) = (of(REDUCER), of(DTYPE));
        let row = reducer.and_then(|at| REDUCERS.get(at)).zip(dtype.and_then(|at| DTYPES.get(at)));
        let Some((reducer, dtype)) = row else {
            return end.with(Err("a sum between processes has no type".to_owned()));
        };
        exchange(call, end, move |parts, out| reduce(reducer, *dtype, parts, out));
    }
}

/// The operands of all processes, joined along an axis.
struct Joined;

impl Later for Joined {
    fn start(call: LaterCall<'_>, end: End) {
        let block = call.attributes.numbers(BLOCK).and_then(|list| list.first()).map(|block| *block as usize);
        let Some(block) = block else { return end.with(Err("a gather between processes has no sizes".to_owned())) };
        exchange(call, end, move |parts, out| {
            join(block, parts, out);
            Ok(())
        });
    }
}

/// Blocks of all parts in turn.
fn join(block: usize, parts: &[Arc<[u8]>], out: &mut [u8]) {
    if block == 0 {
        return;
    }
    for (row, out) in out.chunks_exact_mut(block * parts.len()).enumerate() {
        for (part, out) in parts.iter().zip(out.chunks_exact_mut(block)) {
            out.copy_from_slice(&part[row * block..(row + 1) * block]);
        }
    }
}

/// Sends the operand to all processes; computes the result from all parts when they have arrived.
fn exchange(
    call: LaterCall<'_>,
    end: End,
    compute: impl FnOnce(&[Arc<[u8]>], &mut [u8]) -> std::result::Result<(), String> + Send + 'static,
) {
    let cluster = JOINED.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let channel = call.attributes.numbers(CHANNEL).and_then(|list| list.first()).copied();
    let (Some(cluster), Some(channel)) = (cluster, channel) else {
        return end.with(Err("a program of several processes runs in a single one".to_owned()));
    };
    let ([part], Ok([out])) = (&call.inputs[..], <[_; 1]>::try_from(call.outputs)) else {
        return end.with(Err("an exchange between processes has one operand and one result".to_owned()));
    };
    let part: Arc<[u8]> = (*part).into();
    let size = part.len();
    cluster.gather(channel as u64, part, move |parts| {
        end.with(parts.and_then(|parts| match parts.iter().all(|part| part.len() == size) {
            true => compute(&parts, out),
            false => Err("the processes run different programs".to_owned()),
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_joined_in_blocks() {
        let parts: Vec<Arc<[u8]>> = vec![vec![1, 2, 3, 4].into(), vec![5, 6, 7, 8].into()];
        let joined = |block| {
            let mut out = [0; 8];
            join(block, &parts, &mut out);
            out
        };
        assert_eq!(joined(4), [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(joined(2), [1, 2, 5, 6, 3, 4, 7, 8]);
        join(0, &parts, &mut []);
    }
}
