//! Profiles: operations with their times.

use std::collections::HashMap;
use std::time::Duration;

/// The operations that ran on a device during a recording, longest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Profile {
    /// One entry for each name.
    pub operations: Vec<Operation>,
    /// The plugin's messages about errors and omissions, verbatim.
    pub warnings: Vec<String>,
}

/// All runs of a kernel or an operation, summed.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// The kernel's name; on a CPU the operation's name in XLA's program.
    pub name: String,
    /// Number of runs.
    pub launches: u64,
    /// Total time, without that of nested operations. On a CPU it is the sum over threads, for kernels of this library the elapsed time.
    pub time: Duration,
    /// Bytes of all operands and results together, where they are known.
    pub bytes: Option<u64>,
    /// Operations on single elements, such as additions, where their number is known.
    pub operations: Option<u64>,
}

impl Operation {
    /// An operation that has not run.
    pub fn named(name: &str) -> Operation {
        Operation { name: name.to_owned(), launches: 0, time: Duration::ZERO, bytes: None, operations: None }
    }
}

impl Profile {
    /// Sums up runs, given as names and picoseconds.
    pub(super) fn of<'a>(runs: impl IntoIterator<Item = (&'a str, u64)>, warnings: Vec<String>) -> Profile {
        let mut totals: HashMap<&str, (u64, u64)> = HashMap::new();
        for (name, picoseconds) in runs {
            let (launches, time) = totals.entry(name).or_default();
            *launches += 1;
            *time = time.saturating_add(picoseconds);
        }
        let operation = |(name, (launches, picoseconds)): (&str, (u64, u64))| Operation {
            launches,
            time: Duration::from_nanos(picoseconds / 1000),
            ..Operation::named(name)
        };
        Profile::sorted(totals.into_iter().map(operation).collect(), warnings)
    }

    /// A profile with these operations, longest first.
    pub fn sorted(mut operations: Vec<Operation>, warnings: Vec<String>) -> Profile {
        operations.sort_by(|a, b| b.time.cmp(&a.time).then_with(|| a.name.cmp(&b.name)));
        Profile { operations, warnings }
    }

    /// Total number of launches.
    pub fn launches(&self) -> u64 {
        self.operations.iter().map(|operation| operation.launches).sum()
    }

    /// The sum of all times.
    pub fn time(&self) -> Duration {
        self.operations.iter().map(|operation| operation.time).sum()
    }
}
