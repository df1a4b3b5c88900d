//! Parses XLA's `XSpace`: planes of devices, which contain lines, which contain events.

use std::collections::HashMap;

use super::super::abi::proto::{Value, fields};
use super::profile::Profile;

/// The operations that ran on the devices; if none were recorded, those that ran on the CPU.
pub fn read(space: &[u8]) -> Profile {
    let planes: Vec<Plane> = messages(space, 1).map(Plane::new).collect();
    let warnings = messages(space, 2).chain(messages(space, 3)).map(|t| text(t).to_owned()).collect();
    let of_devices: Vec<_> = planes.iter().filter(|p| p.name.starts_with("/device:")).flat_map(Plane::device).collect();
    if of_devices.is_empty() {
        let of_host = planes.iter().filter(|p| p.name.starts_with("/host:CPU")).flat_map(Plane::processor);
        return Profile::of(of_host, warnings);
    }
    Profile::of(of_devices, warnings)
}

/// The line of a TPU plane that contains operations rather than the enclosing programs or steps.
const OPERATIONS: &str = "XLA Ops";
/// The statistics that mark a GPU event; other events are overheads of the recorder.
const OF_CARD: [&str; 3] = ["kernel_details", "memcpy_details", "memset_details"];
/// The statistic that marks a CPU event: the operation's name in XLA's program.
const OF_PROCESSOR: &str = "hlo_op";

struct Plane<'a> {
    name: &'a str,
    lines: Vec<&'a [u8]>,
    /// Event metadata by id.
    kinds: HashMap<u64, &'a [u8]>,
    /// Statistic names by id.
    statistics: HashMap<u64, &'a str>,
}

/// A run of an operation; times in picoseconds.
struct Run<'a> {
    name: &'a str,
    start: u64,
    time: u64,
}

impl<'a> Plane<'a> {
    fn new(plane: &'a [u8]) -> Plane<'a> {
        let entry = |entry: &'a [u8]| (number(entry, 1), bytes(entry, 2));
        Plane {
            name: text(bytes(plane, 2)),
            lines: messages(plane, 3).collect(),
            kinds: messages(plane, 4).map(entry).collect(),
            statistics: messages(plane, 5).map(entry).map(|(id, kind)| (id, text(bytes(kind, 2)))).collect(),
        }
    }

    /// Kernels, copies and memsets with their exclusive times; operations on a TPU.
    fn device(&self) -> Vec<(&'a str, u64)> {
        let operations = |line: &&&[u8]| text(bytes(line, 2)) == OPERATIONS;
        if self.lines.iter().any(|line| operations(&line)) {
            let lines = self.lines.iter().filter(operations);
            return lines.flat_map(|line| own_times(self.runs(line, |event| Some(self.name(event))))).collect();
        }
        let of_card = |event: &'a [u8]| {
            OF_CARD.iter().any(|statistic| self.statistic(event, statistic).is_some()).then(|| self.name(event))
        };
        self.lines.iter().flat_map(|line| own_times(self.runs(line, of_card))).collect()
    }

    /// XLA operations with their exclusive times, on all threads.
    fn processor(&self) -> Vec<(&'a str, u64)> {
        let name = |event: &'a [u8]| self.statistic(event, OF_PROCESSOR);
        self.lines.iter().flat_map(|line| own_times(self.runs(line, name))).collect()
    }

    fn runs(&self, line: &'a [u8], name: impl Fn(&'a [u8]) -> Option<&'a str>) -> Vec<Run<'a>> {
        let run = |event| Some(Run { name: name(event)?, start: number(event, 2), time: number(event, 3) });
        messages(line, 4).filter_map(run).collect()
    }

    /// The name of an event: the display name where there is one.
    fn name(&self, event: &[u8]) -> &'a str {
        let kind = self.kinds.get(&number(event, 1)).copied().unwrap_or_default();
        match text(bytes(kind, 4)) {
            "" => text(bytes(kind, 2)),
            short => short,
        }
    }

    /// A text statistic of an event or of its metadata; empty where it has another type.
    fn statistic(&self, event: &'a [u8], name: &str) -> Option<&'a str> {
        let kind = self.kinds.get(&number(event, 1)).copied().unwrap_or_default();
        let mut all = messages(event, 4).chain(messages(kind, 5));
        let found = all.find(|statistic| self.statistics.get(&number(statistic, 1)) == Some(&name))?;
        // The statistic contains the text or refers to another statistic's name.
        let elsewhere = || self.statistics.get(&number(found, 7)).copied().unwrap_or_default();
        Some(match bytes(found, 5) {
            [] => elsewhere(),
            own => text(own),
        })
    }
}

/// The exclusive time of each run on a line, without the runs nested inside it.
fn own_times(mut runs: Vec<Run<'_>>) -> Vec<(&str, u64)> {
    runs.sort_by_key(|run| (run.start, std::cmp::Reverse(run.time)));
    let mut own: Vec<u64> = runs.iter().map(|run| run.time).collect();
    let mut open: Vec<usize> = Vec::new();
    let end = |run: &Run| run.start.saturating_add(run.time);
    for (at, run) in runs.iter().enumerate() {
        while open.last().is_some_and(|&outer| end(&runs[outer]) <= run.start) {
            open.pop();
        }
        if let Some(&outer) = open.last() {
            own[outer] = own[outer].saturating_sub(run.time.min(end(&runs[outer]) - run.start));
        }
        open.push(at);
    }
    runs.iter().zip(own).map(|(run, own)| (run.name, own)).collect()
}

/// A repeated field of messages or text.
fn messages(message: &[u8], field: u64) -> impl Iterator<Item = &[u8]> {
    fields(message).filter(move |(at, _)| *at == field).map(|(_, value)| value.bytes())
}

fn bytes(message: &[u8], field: u64) -> &[u8] {
    messages(message, field).last().unwrap_or_default()
}

fn number(message: &[u8], field: u64) -> u64 {
    fields(message).filter(|(at, _)| *at == field).last().map_or(0, |(_, value): (_, Value)| value.number())
}

/// Text; empty where the bytes are not UTF-8.
fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::super::abi::proto::Writer;
    use super::super::profile::Operation;
    use super::*;

    fn message() -> Writer {
        Writer::default()
    }

    /// A plane with the given names of events and statistics, numbered from 1.
    fn plane(name: &str, kinds: &[&str], statistics: &[&str], lines: &[Vec<u8>]) -> Vec<u8> {
        let entry = |at: usize, name: &str| {
            let kind = message().number(1, at as u64 + 1).bytes(2, name.as_bytes()).finish();
            message().number(1, at as u64 + 1).bytes(2, &kind).finish()
        };
        let mut plane = message();
        plane.bytes(2, name.as_bytes());
        for line in lines {
            plane.bytes(3, line);
        }
        for (field, names) in [(4, kinds), (5, statistics)] {
            for (at, name) in names.iter().enumerate() {
                plane.bytes(field, &entry(at, name));
            }
        }
        plane.finish()
    }

    fn line(name: &str, events: &[Vec<u8>]) -> Vec<u8> {
        let mut line = message();
        line.bytes(2, name.as_bytes());
        for event in events {
            line.bytes(4, event);
        }
        line.finish()
    }

    /// An event with its start, duration and one statistic.
    fn event(kind: u64, [start, time]: [u64; 2], statistic: &[u8]) -> Vec<u8> {
        message().number(1, kind).number(2, start).number(3, time).bytes(4, statistic).finish()
    }

    /// A statistic whose value is the name of another one.
    fn reference(statistic: u64, to: u64) -> Vec<u8> {
        message().number(1, statistic).number(7, to).finish()
    }

    fn space(planes: &[Vec<u8>]) -> Vec<u8> {
        let mut space = message();
        for plane in planes {
            space.bytes(1, plane);
        }
        space.finish()
    }

    fn operation(name: &str, launches: u64, nanoseconds: u64) -> Operation {
        Operation { launches, time: Duration::from_nanos(nanoseconds), ..Operation::named(name) }
    }

    /// Two streams of a GPU, one with recorder overhead; host launches do not count.
    #[test]
    fn kernels_of_a_card() {
        let statistics = ["kernel_details", "regs:32", "memcpy_details", "correlation_id"];
        let first = line(
            "Stream #7(Kernel,Memcpy)",
            &[
                event(1, [0, 5_000], &reference(1, 2)),
                event(1, [9_000, 6_000], &reference(1, 2)),
                event(2, [20_000, 1_000], &reference(3, 2)),
            ],
        );
        let overhead = message().number(1, 4).number(4, 9).finish();
        let second =
            line("CUPTI overhead", &[event(3, [0, 70_000], &overhead), event(1, [1, 2_000], &reference(1, 2))]);
        let card = plane("/device:GPU:0", &["fusion_1", "MemcpyD2D", "Overhead"], &statistics, &[first, second]);
        let launches = line("1", &[event(1, [0, 90_000], &reference(1, 2))]);
        let host = plane("/host:CPU", &["fusion_1"], &["hlo_op", "x"], &[launches]);
        let mut bytes = space(&[host, card]);
        bytes.extend(message().bytes(2, b"an error").bytes(3, b"a warning").finish());
        // The CUDA plugin terminates its bytes with a zero.
        bytes.push(0);
        let profile = read(&bytes);
        assert_eq!(profile.operations, [operation("fusion_1", 3, 13), operation("MemcpyD2D", 1, 1)]);
        assert_eq!(profile.warnings, ["an error", "a warning"]);
        assert_eq!((profile.launches(), profile.time()), (4, Duration::from_nanos(14)));
    }

    /// A loop contains two runs of its body, one of which contains another operation; other threads run concurrently.
    #[test]
    fn operations_of_a_processor_do_not_count_twice() {
        let text = |name: &[u8]| message().number(1, 1).bytes(5, name).finish();
        let events = [
            event(1, [30_000, 20_000], &text(b"dot.1")),
            event(1, [0, 100_000], &text(b"while.3")),
            event(1, [5_000, 20_000], &text(b"dot.1")),
            event(1, [35_000, 5_000], &reference(1, 2)),
            // Not an XLA operation.
            event(1, [0, 500_000], &message().number(1, 3).number(4, 1).finish()),
        ];
        let other = line("second", &[event(1, [0, 8_000], &text(b"dot.1"))]);
        let host = plane("/host:CPU", &["Thunk"], &["hlo_op", "add.2", "bytes"], &[line("first", &events), other]);
        let want = [operation("while.3", 1, 60), operation("dot.1", 3, 43), operation("add.2", 1, 5)];
        assert_eq!(read(&space(&[host])).operations, want);
    }

    /// Programs and steps are on lines next to the operations.
    #[test]
    fn operations_of_a_tpu() {
        let run = |time| event(1, [0, time], &[]);
        let lines = [line("XLA Modules", &[run(9_000)]), line("XLA Ops", &[run(4_000)])];
        let profile = read(&space(&[plane("/device:TPU:0", &["fusion"], &[], &lines)]));
        assert_eq!(profile.operations, [operation("fusion", 1, 4)]);
    }

    #[test]
    fn damaged_bytes_give_no_panic() {
        let host = plane("/device:GPU:0", &["a"], &["kernel_details"], &[line("Stream", &[event(1, [0, 1], &[8, 1])])]);
        let bytes = space(&[host]);
        assert_eq!(read(&bytes).operations.len(), 1);
        (0..bytes.len()).for_each(|end| drop(read(&bytes[..end])));
        assert_eq!(read(&[0xff; 64]), Profile::default());
    }
}
