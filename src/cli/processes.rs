//! The flags of a run of several processes; joins it, and ends the process when another one is lost.

use std::time::Duration;

use clap::Args;
use spiq::cluster::{Cluster, Given, Identity, Limits, find};
use spiq::{Error, Result};

use super::{argument, failure, screen};

/// The flags of a run of several processes.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Several processes")]
pub struct Processes {
    /// Where process 0 is reached by the others: its host and a free port there, or redis://HOST:PORT?run=NAME, a Redis through which they
    /// find it (docs/hosts.md). The processes train together, each on a part of every batch; process 0 writes the results [default: from
    /// SLURM, torchrun or Open MPI, if one of them starts several processes]
    #[arg(long, value_name = "HOST:PORT")]
    coordinator_address: Option<String>,
    /// Number of processes [default: from SLURM, torchrun or MPI]
    #[arg(long, value_name = "N")]
    num_processes: Option<usize>,
    /// Number of this process, from 0 [default: from SLURM, torchrun or MPI]
    #[arg(long, value_name = "I")]
    process_id: Option<usize>,
    /// Seconds without an answer after which a process counts as lost, which ends the run [default: 30]
    #[arg(long, value_name = "S", value_parser = argument::positive)]
    lost_after: Option<f64>,
    /// Seconds to wait for all processes at the start [default: 300]
    #[arg(long, value_name = "S", value_parser = argument::positive)]
    join_within: Option<f64>,
}

impl Processes {
    /// The identity of this process; `None` for a single process.
    ///
    /// # Errors
    /// As [`find`].
    pub fn identity(&self) -> Result<Option<Identity>> {
        let given = Given {
            coordinator: self.coordinator_address.clone(),
            processes: self.num_processes,
            process: self.process_id,
        };
        find(&given, &|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    /// Joins the run. Processes other than 0 print only errors.
    ///
    /// # Errors
    /// As [`Cluster::join`].
    pub fn join(&self, identity: &Identity) -> Result<Cluster> {
        if identity.process > 0 {
            screen::be_silent();
        }
        let seconds = |given: Option<f64>, otherwise: Duration| {
            given.map_or(otherwise, |seconds| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
        };
        let defaults = Limits::default();
        let (join, lost_after) =
            (seconds(self.join_within, defaults.join), seconds(self.lost_after, defaults.lost_after));
        // Threads sleep for parts of it.
        let longest = Duration::from_secs(7 * 86_400);
        let limits =
            Limits { join: join.min(longest), lost_after: lost_after.clamp(Duration::from_millis(500), longest) };
        screen::progress(&format!("waiting for {} processes at {}", identity.processes, identity.place()));
        let cluster = Cluster::join(identity, limits)?;
        end_when_lost(&cluster);
        Ok(cluster)
    }
}

/// Refuses a command that several processes cannot run together.
///
/// # Errors
/// Kind `Input` if there are several processes.
pub fn refuse(processes: &Processes, what: &str) -> Result<()> {
    match processes.identity()? {
        None => Ok(()),
        Some(_) => Err(Error::input(format!("several processes cannot {what}; run one after the other"))),
    }
}

/// The time that the command has to end by itself after another process is lost.
const GRACE: Duration = Duration::from_secs(5);

/// Ends this process if it is still busy, for example compiling, some time after another one is lost. Files are replaced atomically, so this
/// is safe at any time.
fn end_when_lost(cluster: &Cluster) {
    let lost = cluster.clone();
    cluster.failure().when_it_happens(move |_| {
        let lost = lost.clone();
        drop(std::thread::Builder::new().name("grace".to_owned()).spawn(move || {
            std::thread::sleep(GRACE);
            let code = lost.lost().map_or(1, |error| {
                screen::note_at_any_rate(&format!("error: {error}"));
                failure::code(error.kind())
            });
            spiq::pjrt::end_process(code);
        }));
    });
}
