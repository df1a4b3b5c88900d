//! The profile of a training step as JSON and as a table.

use std::time::Duration;

use serde::Serialize;
use spiq::bench::StepProfile;
use spiq::table;

/// Operations listed in the table; the others are summed in one row.
const ROWS: usize = 30;
/// Maximum length of a name in the table: that of a matrix product kernel can have hundreds of characters.
const WIDEST: usize = 90;

/// Means per training step; field names are the JSON keys.
#[derive(Debug, Serialize)]
pub struct Profile {
    steps: u32,
    launches: f64,
    ms: f64,
    operations: Vec<Operation>,
    warnings: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Operation {
    name: String,
    launches: f64,
    ms: f64,
    share: f64,
    /// Operands and results per second, in GB, where they are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    gb_per_second: Option<f64>,
}

impl Profile {
    /// The means of a recorded profile.
    pub fn new(recorded: &StepProfile) -> Profile {
        let StepProfile { steps, total } = recorded;
        let (steps, all) = (*steps, total.time());
        let launches = |launches: u64| launches as f64 / f64::from(steps);
        let ms = |time: Duration| time.as_nanos() as f64 / 1e6 / f64::from(steps);
        let operation = |operation: &spiq::pjrt::Operation| Operation {
            name: operation.name.clone(),
            launches: launches(operation.launches),
            ms: ms(operation.time),
            share: operation.time.as_nanos() as f64 / all.as_nanos().max(1) as f64,
            gb_per_second: operation.bytes.map(|bytes| bytes as f64 / operation.time.as_nanos().max(1) as f64),
        };
        Profile {
            steps,
            launches: launches(total.launches()),
            ms: ms(all),
            operations: total.operations.iter().map(operation).collect(),
            warnings: total.warnings.clone(),
        }
    }

    /// A summary line with the time of a step, a table of operations, and the plugin's warnings about the recording.
    pub fn text(&self, mode: &str, step_ms: f64) -> String {
        let (shown, left) = self.operations.split_at(self.operations.len().min(ROWS));
        let mut rows: Vec<Vec<String>> = shown.iter().map(Operation::cells).collect();
        if !left.is_empty() {
            let sum = |of: fn(&Operation) -> f64| left.iter().map(of).sum();
            let name = format!("{} others", left.len());
            let (launches, ms, share) = (sum(|o| o.launches), sum(|o| o.ms), sum(|o| o.share));
            rows.push(Operation { name, launches, ms, share, gb_per_second: None }.cells());
        }
        let (launches, ms, steps) = (count(self.launches), self.ms, self.steps);
        let head = format!(
            "{mode}: {launches} launches take {ms:.3} ms of a training step of {step_ms:.3} ms (mean of {steps} steps)"
        );
        let warnings: String = self.warnings.iter().map(|warning| format!("the plugin warns: {warning}\n")).collect();
        format!("{head}\n\n{}{warnings}", table::aligned(&["ms", "share", "launches", "GB/s", "operation"], &rows))
    }
}

impl Operation {
    fn cells(&self) -> Vec<String> {
        let mut name: String = self.name.chars().take(WIDEST).collect();
        if name.len() < self.name.len() {
            name.push('…');
        }
        let speed = self.gb_per_second.map_or_else(|| "–".to_owned(), |speed| format!("{speed:.1}"));
        vec![format!("{:.4}", self.ms), format!("{:.1} %", 100.0 * self.share), count(self.launches), speed, name]
    }
}

/// Formats a mean of integers; with one decimal if it is not whole.
fn count(mean: f64) -> String {
    if mean.fract() == 0.0 { format!("{mean}") } else { format!("{mean:.1}") }
}

#[cfg(test)]
mod tests {
    use spiq::pjrt;

    use super::*;

    fn recorded(operations: impl IntoIterator<Item = (String, u64, u64)>) -> StepProfile {
        let operation = |(name, launches, micros): (String, u64, u64)| {
            let bytes = (name == "b").then_some(12_000_000);
            pjrt::Operation { name, launches, time: Duration::from_micros(micros), bytes }
        };
        let operations = operations.into_iter().map(operation).collect();
        StepProfile { steps: 5, total: pjrt::Profile { operations, warnings: vec!["full".to_owned()] } }
    }

    #[test]
    fn means_of_a_step() {
        let profile = Profile::new(&recorded([("a".to_owned(), 10, 15_000), ("b".to_owned(), 3, 5_000)]));
        assert_eq!((profile.launches, profile.ms), (2.6, 4.0));
        let json = serde_json::to_value(&profile.operations[0]).expect("numbers");
        assert_eq!(json, serde_json::json!({"name": "a", "launches": 2.0, "ms": 3.0, "share": 0.75}));
        let want = "int8: 2.6 launches take 4.000 ms of a training step of 5.000 ms (mean of 5 steps)\n\n\
                    ms      share   launches  GB/s  operation\n\
                    3.0000  75.0 %  2         –     a\n\
                    1.0000  25.0 %  0.6       2.4   b\n\
                    the plugin warns: full\n";
        assert_eq!(profile.text("int8", 5.0), want);
    }

    #[test]
    fn long_names_and_lists_are_cut() {
        let many = (0..ROWS + 3).map(|at| (format!("{at}{}", "x".repeat(200)), 5, 10));
        let text = Profile::new(&recorded(many)).text("fp32", 1.0);
        assert_eq!(text.lines().filter(|line| line.ends_with('…')).count(), ROWS);
        assert!(text.contains("\n0.0060  9.1 %  3         –     3 others\n"), "{text}");
    }
}
