//! What a recording says: operations with their times. Knows nothing of how it was made.

use std::collections::HashMap;
use std::time::Duration;

/// What ran on a device during a recording, the longest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Profile {
    /// Each name once.
    pub operations: Vec<Operation>,
    /// What the plugin says went wrong or was left out, as it says it.
    pub warnings: Vec<String>,
}

/// All runs of a kernel or an operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// The kernel's name; on a processor that of the operation in XLA's program.
    pub name: String,
    /// How often it ran.
    pub launches: u64,
    /// All its time, without that of operations inside it. On a processor it is the sum over threads.
    pub time: Duration,
}

impl Profile {
    /// Sums up runs, given as a name and picoseconds.
    pub(super) fn of<'a>(runs: impl IntoIterator<Item = (&'a str, u64)>, warnings: Vec<String>) -> Profile {
        let mut totals: HashMap<&str, (u64, u64)> = HashMap::new();
        for (name, picoseconds) in runs {
            let (launches, time) = totals.entry(name).or_default();
            *launches += 1;
            *time = time.saturating_add(picoseconds);
        }
        let operation = |(name, (launches, picoseconds)): (&str, (u64, u64))| Operation {
            name: name.to_owned(),
            launches,
            time: Duration::from_nanos(picoseconds / 1000),
        };
        let mut operations: Vec<Operation> = totals.into_iter().map(operation).collect();
        operations.sort_by(|a, b| b.time.cmp(&a.time).then_with(|| a.name.cmp(&b.name)));
        Profile { operations, warnings }
    }

    /// How often anything ran.
    pub fn launches(&self) -> u64 {
        self.operations.iter().map(|operation| operation.launches).sum()
    }

    /// The sum of all times.
    pub fn time(&self) -> Duration {
        self.operations.iter().map(|operation| operation.time).sum()
    }
}
