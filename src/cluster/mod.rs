//! Several processes, on one machine or several, that run one program together: who they are, how they find each other, and how they
//! notice that one is lost.
//!
//! Process 0, the coordinator, serves a [store](Store) of binary values over TCP. All processes join it, tell it that they are alive, and
//! connect to each other for the sums of their programs ([`Cluster::gather`]). Each run draws a new identity, which is part of every
//! key and of every greeting, so that nothing of an earlier run is ever read.
//!
//! Anyone who can reach the port can join before the processes have: use it in networks that you trust, as the stores of JAX and
//! PyTorch.

mod beats;
mod exchange;
mod failure;
mod frame;
mod identity;
mod join;
mod nodelist;
mod server;
mod store;

pub use exchange::Parts;
pub use failure::Failure;
pub use identity::{Given, Identity, find};
pub use join::{Cluster, Limits};
pub use store::Store;
