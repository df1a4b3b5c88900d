//! The profile of forward passes or training steps as JSON and as a table.

use std::time::Duration;

use serde::Serialize;
use spiq::bench::{Bound, Machine, PassProfile};
use spiq::table;

/// Operations listed in the table; the others are summed in one row.
const ROWS: usize = 30;
/// Maximum length of a name in the table: that of a matrix product kernel can have hundreds of characters.
const WIDEST: usize = 90;

/// Means per pass; field names are the JSON keys.
#[derive(Debug, Serialize)]
pub struct Profile {
    #[serde(rename = "steps")]
    passes: u32,
    launches: f64,
    ms: f64,
    /// The time that the kernels would take at the machine's limits, if each is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    least_ms: Option<f64>,
    operations: Vec<Operation>,
    warnings: Vec<String>,
}

#[derive(Debug, Default, Serialize)]
struct Operation {
    name: String,
    launches: f64,
    ms: f64,
    share: f64,
    /// Operands and results per second, in GB, where they are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    gb_per_second: Option<f64>,
    /// Operations on single elements per second, in 10⁹, where they are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    gop_per_second: Option<f64>,
    /// The time at the machine's limits, and which of them it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    least_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bound: Option<&'static str>,
}

impl Profile {
    /// The means of a recorded profile; on a CPU, with the limits of this machine.
    pub fn new(recorded: &PassProfile, machine: Option<&Machine>) -> Profile {
        let PassProfile { passes, total } = recorded;
        let all = total.time();
        let operations: Vec<Operation> =
            total.operations.iter().map(|operation| Operation::new(operation, *passes, all, machine)).collect();
        // Whatever is not a kernel of this library has no bytes.
        let kernels = operations.iter().filter(|operation| operation.gb_per_second.is_some());
        let least_ms = machine.and(kernels.map(|kernel| kernel.least_ms).sum());
        Profile {
            passes: *passes,
            launches: total.launches() as f64 / f64::from(*passes),
            ms: milliseconds(all, *passes),
            least_ms,
            operations,
            warnings: total.warnings.clone(),
        }
    }

    /// The points of a roofline: operations per byte, and operations per second in 10⁹, of each kernel for which they are known.
    pub fn intensities(&self) -> Vec<(f64, f64)> {
        let point = |operation: &Operation| {
            let (operations, bytes) = (operation.gop_per_second?, operation.gb_per_second?);
            (operations > 0.0 && bytes > 0.0).then_some((operations / bytes, operations))
        };
        self.operations.iter().filter_map(point).collect()
    }

    /// A summary line with the time of a pass, a table of operations, and the plugin's warnings about the recording.
    pub fn text(&self, mode: &str, pass: &str, pass_ms: f64) -> String {
        let (shown, left) = self.operations.split_at(self.operations.len().min(ROWS));
        let mut rows: Vec<Vec<String>> = shown.iter().map(Operation::cells).collect();
        if !left.is_empty() {
            let sum = |of: fn(&Operation) -> f64| left.iter().map(of).sum();
            let name = format!("{} others", left.len());
            let (launches, ms, share) = (sum(|o| o.launches), sum(|o| o.ms), sum(|o| o.share));
            rows.push(Operation { name, launches, ms, share, ..Operation::default() }.cells());
        }
        let (launches, ms, passes) = (count(self.launches), self.ms, self.passes);
        let head =
            format!("{mode}: {launches} launches take {ms:.3} ms of a {pass} of {pass_ms:.3} ms (mean of {passes})");
        let least = self.least_ms.map_or_else(String::new, |least| {
            format!("At this machine's limits, these kernels take {least:.3} ms: {:.0} %.\n", 100.0 * least / ms)
        });
        let warnings: String = self.warnings.iter().map(|warning| format!("the plugin warns: {warning}\n")).collect();
        let columns = ["ms", "share", "launches", "GB/s", "Gop/s", "limit reached", "operation"];
        format!("{head}\n\n{}{least}{warnings}", table::aligned(&columns, &rows))
    }
}

impl Operation {
    fn new(recorded: &spiq::pjrt::Operation, passes: u32, all: Duration, machine: Option<&Machine>) -> Operation {
        let nanoseconds = recorded.time.as_nanos().max(1) as f64;
        let rate = |amount: Option<u64>| amount.map(|amount| amount as f64 / nanoseconds);
        let known = recorded.bytes.zip(recorded.operations).zip(machine);
        let least = known.map(|((bytes, operations), machine)| machine.least(bytes, operations));
        Operation {
            name: recorded.name.clone(),
            launches: recorded.launches as f64 / f64::from(passes),
            ms: milliseconds(recorded.time, passes),
            share: recorded.time.as_nanos() as f64 / all.as_nanos().max(1) as f64,
            gb_per_second: rate(recorded.bytes),
            gop_per_second: rate(recorded.operations),
            least_ms: least.map(|(time, _)| milliseconds(time, passes)),
            bound: least.map(|(_, bound)| match bound {
                Bound::Memory => "memory",
                Bound::Operations => "operations",
            }),
        }
    }

    fn cells(&self) -> Vec<String> {
        let mut name: String = self.name.chars().take(WIDEST).collect();
        if name.len() < self.name.len() {
            name.push('…');
        }
        let known = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
        let speed = |speed: Option<f64>| known(speed.map(|speed| format!("{speed:.1}")));
        let reached =
            self.least_ms.zip(self.bound).map(|(least, bound)| format!("{:.0} % {bound}", 100.0 * least / self.ms));
        vec![
            format!("{:.4}", self.ms),
            format!("{:.1} %", 100.0 * self.share),
            count(self.launches),
            speed(self.gb_per_second),
            speed(self.gop_per_second),
            known(reached),
            name,
        ]
    }
}

/// The mean time of one of several passes.
fn milliseconds(time: Duration, passes: u32) -> f64 {
    time.as_nanos() as f64 / 1e6 / f64::from(passes)
}

/// Formats a mean of integers; with one decimal if it is not whole.
fn count(mean: f64) -> String {
    if mean.fract() == 0.0 { format!("{mean}") } else { format!("{mean:.1}") }
}

#[cfg(test)]
mod tests {
    use spiq::pjrt;

    use super::*;

    fn recorded(operations: impl IntoIterator<Item = (String, u64, u64)>) -> PassProfile {
        let operation = |(name, launches, micros): (String, u64, u64)| {
            let (bytes, operations) = (name == "b").then_some((12_000_000, 40_000_000)).unzip();
            pjrt::Operation { name, launches, time: Duration::from_micros(micros), bytes, operations }
        };
        let operations = operations.into_iter().map(operation).collect();
        PassProfile { passes: 5, total: pjrt::Profile { operations, warnings: vec!["full".to_owned()] } }
    }

    #[test]
    fn means_of_a_step() {
        let recorded = recorded([("a".to_owned(), 10, 15_000), ("b".to_owned(), 3, 5_000)]);
        let machine = Machine { bytes: 4e9, operations: 1e10 };
        let profile = Profile::new(&recorded, Some(&machine));
        assert_eq!((profile.launches, profile.ms), (2.6, 4.0));
        let json = serde_json::to_value(&profile.operations[0]).expect("numbers");
        assert_eq!(json, serde_json::json!({"name": "a", "launches": 2.0, "ms": 3.0, "share": 0.75}));
        let want = "int8: 2.6 launches take 4.000 ms of a training step of 5.000 ms (mean of 5)\n\n\
                    ms      share   launches  GB/s  Gop/s  limit reached    operation\n\
                    3.0000  75.0 %  2         –     –      –                a\n\
                    1.0000  25.0 %  0.6       2.4   8.0    80 % operations  b\n\
                    At this machine's limits, these kernels take 0.800 ms: 20 %.\n\
                    the plugin warns: full\n";
        assert_eq!(profile.text("int8", "training step", 5.0), want);
        assert_eq!(profile.intensities(), [(8.0 / 2.4, 8.0)]);
        assert_eq!(Profile::new(&recorded, None).least_ms, None);
    }

    #[test]
    fn long_names_and_lists_are_cut() {
        let many = (0..ROWS + 3).map(|at| (format!("{at}{}", "x".repeat(200)), 5, 10));
        let text = Profile::new(&recorded(many), None).text("fp32", "training step", 1.0);
        assert_eq!(text.lines().filter(|line| line.ends_with('…')).count(), ROWS);
        assert!(text.contains("\n0.0060  9.1 %  3         –     –      –              3 others\n"), "{text}");
    }
}
