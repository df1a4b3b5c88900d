//! Where processes find the coordinator: at an address that all of them know, or at the one that process 0 publishes in a Redis.

use std::time::{Duration, Instant};

use super::redis_run::RedisRun;
use super::requests::{self, IS_BUILT};
use crate::error::{Error, Result};

/// A coordinator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// HOST:PORT.
    pub(super) address: String,
    /// The job identifier; empty while it is not known.
    pub(super) job: String,
}

/// How long a Redis may take when the outcome no longer depends on it: the value expires in any case.
const AFTERWARDS: Duration = Duration::from_secs(1);

/// The first word of a value: the protocol and its version.
const GREETING: &str = "spiq-1";

impl Target {
    fn value(&self) -> String {
        format!("{GREETING} {} {}", self.address, self.job)
    }

    fn parse(value: &str) -> Option<Target> {
        match value.split(' ').collect::<Vec<_>>()[..] {
            [GREETING, address, job] if !job.is_empty() => {
                Some(Target { address: address.to_owned(), job: job.to_owned() })
            }
            _ => None,
        }
    }
}

/// How a process finds the coordinator.
pub(super) enum Rendezvous {
    /// It knows the address.
    Known(Target),
    /// Process 0 publishes it.
    In(RedisRun),
}

impl Rendezvous {
    /// The rendezvous that a coordinator's address means.
    ///
    /// # Errors
    /// Kind `Input` for the address of a Redis that is malformed, or that this build cannot ask.
    pub(super) fn of(address: &str) -> Result<Rendezvous> {
        if !RedisRun::is_meant_by(address) {
            return Ok(Rendezvous::Known(Target { address: address.to_owned(), job: String::new() }));
        }
        let run = RedisRun::parse(address)?;
        RedisRun::check_build(IS_BUILT)?;
        Ok(Rendezvous::In(run))
    }

    /// The coordinator, as it is now. Waits until process 0 has published it.
    ///
    /// # Errors
    /// Kind `Input` if process 0 does not, or the Redis is unusable.
    pub(super) fn target(&self, until: Instant) -> Result<Target> {
        match self {
            Rendezvous::Known(target) => Ok(target.clone()),
            Rendezvous::In(run) => published(run, until),
        }
    }

    /// Whether process 0 has published another coordinator since: this one belonged to an earlier start of the run.
    pub(super) fn has_moved(&self, from: &Target) -> bool {
        let Rendezvous::In(run) = self else { return false };
        let value = requests::read(run, Instant::now() + AFTERWARDS).ok().flatten();
        value.and_then(|value| Target::parse(&value)).is_some_and(|target| target != *from)
    }
}

fn published(run: &RedisRun, until: Instant) -> Result<Target> {
    let mut pause = Duration::from_millis(50);
    loop {
        if let Some(value) = requests::read(run, until)? {
            let foreign = || {
                Error::input(format!(
                    "the key {} of {run} holds something else than a run of this version of spiq; give the run another name (?run=NAME)",
                    run.key()
                ))
            };
            return Target::parse(&value).ok_or_else(foreign);
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Error::input(format!(
                "process 0 has not started the run `{}` of {run} in time; start all processes, with the same --coordinator-address",
                run.run
            )));
        }
        std::thread::sleep(pause.min(left));
        pause = (pause * 2).min(Duration::from_millis(500));
    }
}

/// The coordinator in a Redis, while processes may join; withdrawn when it is dropped. A killed process leaves it there, until it expires.
pub(super) struct Published {
    run: RedisRun,
    value: String,
}

impl Published {
    /// Publishes the coordinator of this process until this time, instead of an earlier one.
    ///
    /// # Errors
    /// Kind `Input` if the Redis is unusable.
    pub(super) fn new(run: &RedisRun, target: &Target, until: Instant) -> Result<Published> {
        let value = target.value();
        requests::publish(run, &value, until.saturating_duration_since(Instant::now()), until)?;
        Ok(Published { run: run.clone(), value })
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        drop(requests::withdraw(&self.run, &self.value, Instant::now() + AFTERWARDS));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_written() {
        let target = Target { address: "[::1]:5".to_owned(), job: "0f".to_owned() };
        assert_eq!(Target::parse(&target.value()), Some(target));
        for value in ["", "spiq-1", "spiq-1 a:1", "spiq-1 a:1 ", "spiq-2 a:1 0f", "spiq-1 a:1 0f more"] {
            assert_eq!(Target::parse(value), None, "{value}");
        }
    }
}
