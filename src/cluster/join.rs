//! Joining a run of several processes: connects to the coordinator and to all other processes.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{channel, sync_channel};
use std::time::{Duration, Instant};

use super::enter::{connect, enter, unreachable};
use super::exchange::{Exchange, Parts};
use super::failure::{Failure, error_of, message_of};
use super::frame::{self, Frame, GREETING, Packed, Unpacked};
use super::heartbeat::Heartbeat;
use super::identity::Identity;
use super::rendezvous::{Rendezvous, Target};
use super::serve::{Serving, address_here, host_of, reachable, serve};
use super::server::{ALIVE, JOIN, Server, spawn};
use super::store::Store;
use crate::error::{Error, ErrorKind, Result};

/// Timeouts.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Until all processes have joined.
    pub join: Duration,
    /// Until a process that does not answer counts as lost, which ends the run.
    pub lost_after: Duration,
}

impl Default for Limits {
    /// Five minutes to join, as in JAX; half a minute for a process that does not answer.
    fn default() -> Limits {
        Limits { join: Duration::from_secs(300), lost_after: Duration::from_secs(30) }
    }
}

/// The membership of this process in a run of several processes. Cheap to clone.
///
/// ```
/// use spiq::cluster::{Cluster, Identity, Limits};
/// // Two threads instead of two processes.
/// let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
/// let join = move |process| {
///     let identity = Identity { coordinator: format!("127.0.0.1:{port}"), processes: 2, process };
///     let cluster = Cluster::join(&identity, Limits::default())?;
///     let parts = cluster.all(&[process as u8])?;
///     cluster.leave()?;
///     Ok::<_, spiq::Error>(parts.iter().map(|part| part[0]).collect::<Vec<u8>>())
/// };
/// let other = std::thread::spawn(move || join(1));
/// assert_eq!(join(0)?, [0, 1]);
/// assert_eq!(other.join().expect("no panic")?, [0, 1]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Cluster(Arc<Inner>);

struct Inner {
    identity: Identity,
    limits: Limits,
    store: Store,
    heartbeat: Heartbeat,
    failure: Failure,
    exchange: Exchange,
    server: Option<Arc<Server>>,
}

/// The channel of [`Cluster::all`]; programs use larger numbers.
const HOST: u64 = 0;

impl Cluster {
    /// Joins a run; returns when all processes have. Process 0 serves the others.
    ///
    /// # Errors
    /// Kind `Input` for an address that cannot be served or reached, a Redis that is unusable, or a process that the coordinator refuses,
    /// including another process that counts the processes differently; kind `Lost` if not all processes join in time.
    pub fn join(identity: &Identity, limits: Limits) -> Result<Cluster> {
        let until = Instant::now() + limits.join;
        if identity.process == 0 {
            let Serving { server, rendezvous, published } = serve(identity, limits, until)?;
            let joined = Cluster::through(identity, limits, &rendezvous, until, &mut None);
            // All have joined, or the run has failed: no other process is to find it.
            drop(published);
            return joined.map(|inner| Cluster(Arc::new(Inner { server: Some(server), ..inner })));
        }
        let rendezvous = Rendezvous::of(&identity.coordinator)?;
        loop {
            let mut tried = None;
            let joined = Cluster::through(identity, limits, &rendezvous, until, &mut tried);
            let is_old = |tried: &Target| Instant::now() < until && rendezvous.has_moved(tried);
            match joined {
                Err(_) if tried.as_ref().is_some_and(is_old) => {}
                joined => return joined.map(|inner| Cluster(Arc::new(inner))),
            }
        }
    }

    /// Joins the run of a coordinator; `tried` is the one that was tried last.
    fn through(
        identity: &Identity,
        limits: Limits,
        rendezvous: &Rendezvous,
        until: Instant,
        tried: &mut Option<Target>,
    ) -> Result<Inner> {
        let failure = Failure::default();
        let (calls, target) = enter(identity, JOIN, rendezvous, until, tried)?;
        let (alive, _) = enter(identity, ALIVE, &Rendezvous::Known(target.clone()), until, tried)?;
        let broken = |cause: io::Error| unreachable(identity, &target, &cause);
        let here = calls.local_addr().map_err(broken)?;
        let heartbeat = Heartbeat::start(alive, limits.lost_after, &failure).map_err(broken)?;
        let store = Store::new(calls, &target.job, failure.clone(), limits.lost_after).map_err(broken)?;
        let streams = meet(identity, host_of(&target.address), &store, here, until)?;
        let exchange = Exchange::start(identity.process, streams, limits.lost_after, &failure).map_err(broken)?;
        Ok(Inner { identity: identity.clone(), limits, store, heartbeat, failure, exchange, server: None })
    }

    /// The number of this process, and of all.
    pub fn identity(&self) -> &Identity {
        &self.0.identity
    }

    /// The key-value store of the coordinator.
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// The first failure of the run, if any.
    pub fn failure(&self) -> &Failure {
        &self.0.failure
    }

    /// The error of a run that has failed; `None` while it has not.
    pub fn lost(&self) -> Option<Error> {
        self.0.failure.sentence().map(|message| error_of(&message))
    }

    /// Sends a part to all processes; calls `then` with the parts of all, on some thread. All processes take part, with the same channels,
    /// in the same order on each channel. Channel 0 belongs to [`all`](Cluster::all).
    pub fn gather(&self, channel: u64, part: Arc<[u8]>, then: impl FnOnce(Parts) + Send + 'static) {
        self.0.exchange.gather(channel, part, then);
    }

    /// The parts of all processes, in their order. Waits for the slowest; all processes call it in the same order.
    ///
    /// # Errors
    /// Kind `Lost` if a process was lost.
    pub fn all(&self, part: &[u8]) -> Result<Vec<Arc<[u8]>>> {
        let (sender, parts) = sync_channel(1);
        self.gather(HOST, part.into(), move |parts| drop(sender.send(parts)));
        let parts = parts.recv().unwrap_or_else(|_| Err("the run is over".to_owned()));
        parts.map_err(|message| error_of(&message))
    }

    /// Waits until all processes have reached this call.
    ///
    /// # Errors
    /// As [`all`](Cluster::all).
    pub fn barrier(&self) -> Result<()> {
        self.all(b"").map(drop)
    }

    /// Leaves the run after its end: from now on, other processes may end without a failure. Process 0 waits for the others.
    ///
    /// # Errors
    /// Kind `Lost` in a process other than 0 if another one was lost before all had reached this call: process 0, which writes the results,
    /// may not have. The run of process 0 is complete in any case.
    pub fn leave(&self) -> Result<()> {
        let met = self.barrier();
        self.0.failure.is_over();
        self.0.exchange.flush(self.0.limits.lost_after);
        self.0.heartbeat.leave();
        if let Some(server) = &self.0.server {
            server.wait_for_all(self.0.limits.lost_after);
            return Ok(());
        }
        met
    }

    /// Ends the run of all processes because of an error of this one.
    pub fn fail(&self, error: &Error) {
        self.0.failure.happens(&message_of(self.0.identity.process, error));
    }
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Cluster({:?})", self.0.identity)
    }
}

/// Connects to every other process: each process connects to those of lower number. `host` is that of the coordinator.
fn meet(
    identity: &Identity,
    host: &str,
    store: &Store,
    here: SocketAddr,
    until: Instant,
) -> Result<Vec<Option<TcpStream>>> {
    let failed =
        |cause: io::Error| Error::new(ErrorKind::Lost, format!("processes cannot connect to each other: {cause}"));
    let listener = TcpListener::bind(SocketAddr::new(reachable(host, here.ip()), 0)).map_err(failed)?;
    let port = listener.local_addr().map_err(failed)?.port();
    // On the machine of the coordinator, its host is the name that all processes know.
    let address = if identity.process == 0 { format!("{host}:{port}") } else { address_here(host, here.ip(), port) };
    store.put(&key(identity.process), address.as_bytes())?;
    let mut streams: Vec<Option<TcpStream>> = (0..identity.processes).map(|_| None).collect();
    for (peer, stream) in streams.iter_mut().enumerate().take(identity.process) {
        let address = of_peer(store, peer, until)?;
        let mut found = connect(&address, until).map_err(|cause| {
            Error::new(ErrorKind::Lost, format!(
                "process {} cannot reach process {peer} at {address}: {cause}; let the machines connect to each other on all ports",
                identity.process
            ))
        })?;
        let Packed(hello) = Packed::default().number(identity.process as u64).bytes(store.job().as_bytes());
        found.write_all(GREETING).and_then(|()| frame::write(&mut found, JOIN, &hello)).map_err(failed)?;
        *stream = Some(found);
    }
    // All others must have joined before this process waits for their connections.
    (identity.process + 1..identity.processes).try_for_each(|peer| of_peer(store, peer, until).map(drop))?;
    listener.set_nonblocking(true).map_err(failed)?;
    let after = identity.process + 1..identity.processes;
    let (sender, found) = channel();
    while let Some(missing) = after.clone().find(|peer| streams[*peer].is_none()) {
        if store.failed().is_some() || Instant::now() >= until {
            let message = store.failed().unwrap_or_else(|| format!("process {missing} did not connect in time"));
            return Err(error_of(&message));
        }
        match listener.accept() {
            // A connection that says nothing must not keep others waiting.
            Ok((stream, _)) => {
                let (sender, job) = (sender.clone(), store.job().to_owned());
                // Connections of anything but a process of this run are dropped.
                let greeting = move || drop(accepted(stream, &job).map(|accepted| sender.send(accepted)));
                drop(spawn("greeting", greeting));
            }
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
        for (peer, stream) in found.try_iter().filter(|(peer, _)| after.contains(peer)) {
            streams[peer] = Some(stream);
        }
    }
    Ok(streams)
}

fn key(process: usize) -> Vec<u8> {
    format!("process/{process}").into_bytes()
}

/// The address of a process, once it has joined.
fn of_peer(store: &Store, peer: usize, until: Instant) -> Result<String> {
    let within = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
    match store.get(&key(peer), within)? {
        Some(address) => Ok(String::from_utf8_lossy(&address).into_owned()),
        None => Err(Error::new(
            ErrorKind::Lost,
            format!("process {peer} has not joined in time; start all processes, with the same --coordinator-address"),
        )),
    }
}

/// Performs the handshake with a connecting process; returns its number.
fn accepted(mut stream: TcpStream, job: &str) -> io::Result<(usize, TcpStream)> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut greeting = [0; GREETING.len()];
    stream.read_exact(&mut greeting)?;
    let Frame { bytes, .. } = frame::read(&mut stream, 1 << 10)?;
    let mut read = Unpacked(&bytes);
    let (process, claimed) = (read.number()? as usize, read.text()?);
    match &greeting == GREETING && claimed == job {
        true => Ok((process, stream)),
        false => Err(io::ErrorKind::InvalidData.into()),
    }
}
