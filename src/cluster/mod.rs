//! Runs of several processes, on one machine or several: identity, rendezvous, heartbeats, and exchange of data.
//!
//! Process 0, the coordinator, serves a [key-value store](Store) over TCP. All processes join it, send it heartbeats, and connect to each
//! other for the collective operations of their programs ([`Cluster::gather`]). Each run draws a random job identifier, which is part of
//! every key and every handshake, so that nothing of an earlier run is ever read.
//!
//! All processes know the coordinator's address, or process 0 publishes it in a Redis, under the name of the run.
//!
//! Anyone who can reach the port can join before the processes do: use it on networks that you trust, like the stores of JAX and
//! PyTorch.

mod enter;
mod exchange;
mod failure;
mod frame;
mod heartbeat;
mod identity;
mod join;
mod nodelist;
mod redis_run;
mod rendezvous;
#[cfg_attr(feature = "redis", path = "in_redis.rs")]
#[cfg_attr(not(feature = "redis"), path = "no_redis.rs")]
mod requests;
mod serve;
mod server;
mod store;

pub use exchange::Parts;
pub use failure::Failure;
pub use identity::{Given, Identity, find};
pub use join::{Cluster, Limits};
pub use store::Store;
