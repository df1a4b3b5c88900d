//! Bytes of memory that may still be taken.

use std::fs;

/// What the machine, or the control group of the process, has left; `None` where the system does not report it.
pub fn free_memory() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| bytes_of_line(&text, "MemAvailable:"))?;
    let group =
        |name: &str| fs::read_to_string(format!("/sys/fs/cgroup/memory.{name}")).ok()?.trim().parse::<u64>().ok();
    match (group("max"), group("current")) {
        (Some(most), Some(taken)) => Some(machine.min(most.saturating_sub(taken))),
        _ => Some(machine),
    }
}

/// What this process holds; 0 where the system does not report it.
pub fn resident_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    bytes_of_line(&status, "VmRSS:").unwrap_or(0)
}

/// The bytes that a line of a file in `/proc` gives in kilobytes.
fn bytes_of_line(text: &str, start: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(start))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes.saturating_mul(1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_memory_is_read_as_the_system_reports_it() {
        assert_eq!(bytes_of_line("MemTotal: 9 kB\nMemAvailable:   24 kB\n", "MemAvailable:"), Some(24 * 1024));
        assert_eq!(bytes_of_line("MemTotal: 9 kB\n", "MemAvailable:"), None);
    }
}
