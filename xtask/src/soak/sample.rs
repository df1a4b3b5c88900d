//! A sample of a process's resources, from `/proc`.

use std::fs;
use std::time::Duration;

/// The resources of a process at one moment.
pub struct Sample {
    /// Seconds from the first sample on.
    pub second: f64,
    /// The numbers, as [`Sample::KINDS`] names them.
    pub values: [f64; 4],
}

impl Sample {
    /// The kinds of values: bytes of memory, numbers of the others.
    pub const KINDS: [&str; 4] = ["memory", "open files", "threads", "mappings"];

    /// The head of a file of [lines](Sample::line).
    pub const HEAD: &str = "seconds,resident_bytes,open_files,threads,mappings";

    /// Samples a process; `None` if it has ended or the system does not report it.
    pub fn of(process: u32, since: Duration) -> Option<Sample> {
        let at = format!("/proc/{process}");
        let status = fs::read_to_string(format!("{at}/status")).ok()?;
        let number = |start: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(start))?;
            line.split_whitespace().next()?.parse::<f64>().ok()
        };
        let files = fs::read_dir(format!("{at}/fd")).ok()?.count() as f64;
        let mappings = fs::read_to_string(format!("{at}/maps")).ok()?.lines().count() as f64;
        let values = [1024.0 * number("VmRSS:")?, files, number("Threads:")?, mappings];
        Some(Sample { second: since.as_secs_f64(), values })
    }

    /// A line of a file.
    pub fn line(&self) -> String {
        let values: Vec<String> = self.values.iter().map(|value| format!("{value:.0}")).collect();
        format!("{:.1},{}\n", self.second, values.join(","))
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn this_process_holds_something() {
        let sample = Sample::of(std::process::id(), Duration::ZERO).expect("this process");
        assert!(sample.values[0] > 1e6 && sample.values[1..].iter().all(|value| *value > 0.0), "{:?}", sample.values);
        assert_eq!(sample.line().matches(',').count(), Sample::HEAD.matches(',').count());
        assert!(Sample::of(u32::MAX, Duration::ZERO).is_none());
    }
}
