//! Starts the coordinator in process 0.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs, UdpSocket};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use super::identity::Identity;
use super::join::Limits;
use super::redis_run::RedisRun;
use super::rendezvous::{Published, Rendezvous, Target};
use super::server::Server;
use crate::error::{Error, Result};

/// The coordinator of this process.
pub(super) struct Serving {
    pub(super) server: Arc<Server>,
    /// Where this process itself finds it.
    pub(super) rendezvous: Rendezvous,
    /// Where the others find it, unless they know its address.
    pub(super) published: Option<Published>,
}

/// Starts the coordinator, at the address that all processes know or at a free port, which it publishes.
///
/// # Errors
/// Kind `Input` for an address that cannot be served, or a Redis that is unusable.
pub(super) fn serve(identity: &Identity, limits: Limits, until: Instant) -> Result<Serving> {
    let rendezvous = Rendezvous::of(&identity.coordinator)?;
    let cannot = |cause: &io::Error| {
        Error::input(format!(
            "process 0 cannot serve the coordinator at {}: {cause}; give an address of this machine and a free port \
             (--coordinator-address)",
            identity.place()
        ))
    };
    let listening = match &rendezvous {
        Rendezvous::Known(target) => at(&target.address).map(|listener| (listener, target.address.clone())),
        Rendezvous::In(run) => beside(run),
    };
    let (listener, address) = listening.map_err(|cause| cannot(&cause))?;
    let target = Target { address, job: new_job() };
    let server = Server::start(listener, target.job.clone(), identity.processes, limits.lost_after);
    let server = server.map_err(|cause| cannot(&cause))?;
    let published = match &rendezvous {
        Rendezvous::Known(_) => None,
        Rendezvous::In(run) => Some(Published::new(run, &target, until)?),
    };
    Ok(Serving { server, rendezvous: Rendezvous::Known(target), published })
}

/// Listens at an address.
fn at(address: &str) -> io::Result<TcpListener> {
    let host = host_of(address);
    let places: Vec<SocketAddr> =
        address.to_socket_addrs()?.map(|at| SocketAddr::new(reachable(host, at.ip()), at.port())).collect();
    TcpListener::bind(&places[..])
}

/// Listens at a free port of the address from which this machine reaches the Redis; returns the address for the other processes too.
fn beside(run: &RedisRun) -> io::Result<(TcpListener, String)> {
    let here = towards(&run.host, run.port)?;
    let listener = TcpListener::bind(SocketAddr::new(reachable(&run.host, here), 0))?;
    let port = listener.local_addr()?.port();
    Ok((listener, address_here(&run.host, here, port)))
}

/// The address of this machine that connections to a place have. Connecting a UDP socket sends nothing.
fn towards(host: &str, port: u16) -> io::Result<IpAddr> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for place in (host, port).to_socket_addrs()? {
        let any: IpAddr = if place.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let connected = UdpSocket::bind((any, 0)).and_then(|socket| {
            socket.connect(place)?;
            socket.local_addr()
        });
        match connected {
            Ok(here) => return Ok(here.ip()),
            Err(cause) => last = cause,
        }
    }
    Err(last)
}

/// HOST:PORT for other processes of a port of this machine, which reaches a host from this address. On the machine of that host, it is the name
/// that all processes know.
pub(super) fn address_here(host: &str, here: IpAddr, port: u16) -> String {
    if !here.is_loopback() {
        return SocketAddr::new(here, port).to_string();
    }
    let is_bare_v6 = host.contains(':') && !host.starts_with('[');
    if is_bare_v6 { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// The host of HOST:PORT.
pub(super) fn host_of(address: &str) -> &str {
    address.rsplit_once(':').map_or("", |(host, _)| host)
}

/// The address to listen at, so that all processes reach it. Many machines resolve their own name to a loopback address, which others cannot
/// reach; then it is every address of the machine. A coordinator at a loopback address is for this machine only.
pub(super) fn reachable(host: &str, ip: IpAddr) -> IpAddr {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let stays_here = bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    match ip {
        _ if !ip.is_loopback() || stays_here => ip,
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

/// A random job identifier.
fn new_job() -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    // Each `RandomState` has random keys.
    let word = || RandomState::new().hash_one((now, std::process::id()));
    format!("{:016x}{:016x}", word(), word())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_for_others() {
        let local: IpAddr = Ipv4Addr::LOCALHOST.into();
        let other: IpAddr = Ipv4Addr::new(10, 0, 0, 1).into();
        assert_eq!(address_here("node0", local, 7), "node0:7");
        assert_eq!(address_here("::1", Ipv6Addr::LOCALHOST.into(), 7), "[::1]:7");
        assert_eq!(address_here("[::1]", Ipv6Addr::LOCALHOST.into(), 7), "[::1]:7");
        assert_eq!(address_here("node0", other, 7), "10.0.0.1:7");
        assert_eq!(reachable("node0", local), IpAddr::from(Ipv4Addr::UNSPECIFIED));
        assert_eq!(reachable("127.0.0.1", local), local);
        assert_eq!(towards("127.0.0.1", 9).expect("this machine"), local);
    }
}
