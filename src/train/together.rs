//! Training in several processes: agreement on settings and decisions; process 0 writes the files.

use std::collections::BTreeMap;

use spiq_hlo::Array;

use super::start::Start;
use crate::cluster::Cluster;
use crate::error::{Error, ErrorKind, Result};
use crate::pjrt::Client;
use crate::provenance::{Digest, Provenance};

/// The run of several processes that a client is part of; `None` for a single process.
#[derive(Clone)]
pub(super) struct Together(Option<Cluster>);

impl Together {
    pub(super) fn of(client: &Client) -> Together {
        Together(client.cluster().cloned())
    }

    /// Whether this process writes the files of the run.
    pub(super) fn writes(&self) -> bool {
        self.0.as_ref().is_none_or(|cluster| cluster.identity().process == 0)
    }

    /// Whether there are several processes.
    pub(super) fn are_several(&self) -> bool {
        self.0.is_some()
    }

    /// The first process in which the condition holds.
    pub(super) fn first(&self, holds: bool) -> Result<Option<usize>> {
        let Some(cluster) = &self.0 else { return Ok(holds.then_some(0)) };
        Ok(cluster.all(&[u8::from(holds)])?.iter().position(|part| part[..] == [1]))
    }

    /// The value of process 0.
    pub(super) fn of_the_first(&self, number: usize) -> Result<usize> {
        let Some(cluster) = &self.0 else { return Ok(number) };
        let parts = cluster.all(&(number as u64).to_le_bytes())?;
        let first = parts[0][..].try_into().map(u64::from_le_bytes);
        Ok(first.map_or(number, |number| number as usize))
    }

    /// Checks that all processes start from the same state, with the same settings and data. Returns once all have read their files, so that
    /// process 0 may change them.
    pub(super) fn check_start(&self, start: &Start, now: &Provenance, steps_per_call: Option<usize>) -> Result<()> {
        let Some(cluster) = &self.0 else { return Ok(()) };
        let mut own = BTreeMap::new();
        now.write(&mut own);
        let values: BTreeMap<String, Array> =
            start.values.iter().enumerate().map(|(at, value)| (at.to_string(), value.clone())).collect();
        let at = format!("{} {}", start.done, Digest::of_arrays(&values));
        let message = serde_json::to_vec(&(at, own, steps_per_call)).expect("strings and numbers");
        let parts = cluster.all(&message)?;
        let read = parts.iter().map(|part| serde_json::from_slice(part).map_err(|_| other_version()));
        let read: Vec<(String, BTreeMap<String, String>, Option<usize>)> = read.collect::<Result<_>>()?;
        let first = Provenance::read(&read[0].1, "process 0")?;
        for (process, (at, settings, calls)) in read.iter().enumerate() {
            let its = Provenance::read(settings, "another process")?;
            let differences: Vec<String> = first.differences_of_run(&its).iter().map(ToString::to_string).collect();
            if !differences.is_empty() {
                return Err(Error::input(format!(
                    "process {process} runs with other settings than process 0, which has {}; start all processes with the same flags and \
                     files",
                    differences.join(" and ")
                )));
            }
            // Results do not depend on it, but each call of one process waits for that of the others.
            if *calls != read[0].2 {
                return Err(Error::input(format!(
                    "process {process} has another --steps-per-call than process 0; give all processes the same"
                )));
            }
            if *at != read[0].0 {
                return Err(Error::input(format!(
                    "process {process} starts from other values than process 0; all processes must see the same folder (--out) and files"
                )));
            }
        }
        Ok(())
    }

    /// The outcome of this process. After the failure of another process, its error, unless this one's own input is wrong; if
    /// this one fails, the error is sent to the others.
    pub(super) fn outcome<T>(&self, outcome: Result<T>) -> Result<T> {
        let (Some(cluster), Err(error)) = (&self.0, &outcome) else { return outcome };
        let is_own = matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::Input | ErrorKind::File);
        if let Some(lost) = cluster.lost().filter(|_| !is_own) {
            return Err(lost);
        }
        cluster.fail(error);
        outcome
    }
}

fn other_version() -> Error {
    Error::input("another process is of another version of spiq; install the same on all machines")
}
