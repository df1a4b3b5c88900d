//! Connecting to the coordinator.

use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use super::frame::{self, Frame};
use super::identity::Identity;
use super::rendezvous::{Rendezvous, Target};
use super::server::{FOREIGN, JOIN, REFUSED, VALUE, greet};
use crate::error::{Error, Result};

/// The time for the answer of a coordinator that may be of an earlier start of the run: another program may use its port by now.
const ANSWER: Duration = Duration::from_secs(10);

/// Connects to the coordinator and performs the handshake; returns the connection and the coordinator. Retries until the coordinator is up
/// and answers; `tried` is the one that was tried last.
pub(super) fn enter(
    identity: &Identity,
    kind: u8,
    rendezvous: &Rendezvous,
    until: Instant,
    tried: &mut Option<Target>,
) -> Result<(TcpStream, Target)> {
    let mut pause = Duration::from_millis(20);
    loop {
        let target = rendezvous.target(until)?;
        *tried = Some(target.clone());
        let entered = connect(&target.address, until).and_then(|mut stream| {
            let job = introduced(identity, &mut stream, kind, &target, until)?;
            Ok((stream, job))
        });
        let cause = match entered {
            Ok((stream, job)) => return Ok((stream, Target { job: job?, ..target })),
            Err(cause) => cause,
        };
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(unreachable(identity, &target, &cause));
        }
        std::thread::sleep(pause.min(left));
        pause = (pause * 2).min(Duration::from_secs(1));
    }
}

/// The error of a coordinator that cannot be reached.
pub(super) fn unreachable(identity: &Identity, target: &Target, cause: &io::Error) -> Error {
    let address = &target.address;
    let from =
        if *address == identity.coordinator { String::new() } else { format!(" (found in {})", identity.place()) };
    Error::input(format!(
        "process {} cannot reach the coordinator at {address}{from}: {cause}; check that process 0 runs there, and --coordinator-address",
        identity.process
    ))
}

pub(super) fn connect(address: &str, until: Instant) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in address.to_socket_addrs()? {
        let left =
            until.saturating_duration_since(Instant::now()).clamp(Duration::from_millis(100), Duration::from_secs(10));
        match TcpStream::connect_timeout(&address, left) {
            Ok(stream) => return Ok(stream),
            Err(cause) => last = cause,
        }
    }
    Err(last)
}

/// Performs the handshake with the coordinator; returns the job identifier, or its refusal. The outer error is that of a connection that
/// closed or was not answered in time, as when the coordinator has too many connections, or of a published coordinator that is no longer
/// there.
fn introduced(
    identity: &Identity,
    stream: &mut TcpStream,
    kind: u8,
    target: &Target,
    until: Instant,
) -> io::Result<Result<String>> {
    // Process 0 may publish another one.
    let may_move = kind == JOIN && !target.job.is_empty();
    let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(100));
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(if may_move { left.min(ANSWER) } else { left }))?;
    greet(stream, kind, identity.processes, identity.process, &target.job)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match frame::read(stream, 1 << 10) {
        Ok(Frame { kind: VALUE, bytes }) => Ok(Ok(text(&bytes))),
        Ok(Frame { kind: FOREIGN, .. }) if may_move => Err(io::Error::other("another run uses the port")),
        Ok(Frame { kind: REFUSED | FOREIGN, bytes }) => Ok(Err(Error::input(text(&bytes)))),
        Err(cause) if cause.kind() != io::ErrorKind::InvalidData => Err(cause),
        _ if may_move => Err(io::Error::other("another program uses the port")),
        _ => Ok(Err(Error::input(format!(
            "{} does not answer as a coordinator of spiq: another program, or another version of spiq, uses the port; give another one \
             (--coordinator-address)",
            target.address
        )))),
    }
}
