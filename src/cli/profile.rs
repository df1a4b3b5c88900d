//! The profile of a training step as JSON and as a table. Knows nothing of how it is recorded.

use std::time::Duration;

use serde::Serialize;
use spiq::bench::StepProfile;
use spiq::table;

/// Operations in the table; what is left is summed up in a row.
const ROWS: usize = 30;
/// Characters of a name in the table: a matrix product's kernel can have hundreds.
const WIDEST: usize = 90;

/// Means of a training step; the names are those of the JSON.
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
}

impl Profile {
    /// The means of what was recorded.
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
        };
        Profile {
            steps,
            launches: launches(total.launches()),
            ms: ms(all),
            operations: total.operations.iter().map(operation).collect(),
            warnings: total.warnings.clone(),
        }
    }

    /// A line about all, a table of operations, and what the plugin says of the recording.
    pub fn text(&self, mode: &str) -> String {
        let (shown, left) = self.operations.split_at(self.operations.len().min(ROWS));
        let mut rows: Vec<Vec<String>> = shown.iter().map(Operation::cells).collect();
        if !left.is_empty() {
            let sum = |of: fn(&Operation) -> f64| left.iter().map(of).sum();
            let name = format!("{} others", left.len());
            rows.push(
                Operation { name, launches: sum(|o| o.launches), ms: sum(|o| o.ms), share: sum(|o| o.share) }.cells(),
            );
        }
        let (launches, ms, steps) = (count(self.launches), self.ms, self.steps);
        let head = format!("{mode}, a training step: {launches} launches, {ms:.3} ms (mean of {steps} steps)");
        let warnings: String = self.warnings.iter().map(|warning| format!("the plugin warns: {warning}\n")).collect();
        format!("{head}\n\n{}{warnings}", table::aligned(&["ms", "share", "launches", "operation"], &rows))
    }
}

impl Operation {
    fn cells(&self) -> Vec<String> {
        let mut name: String = self.name.chars().take(WIDEST).collect();
        if name.len() < self.name.len() {
            name.push('…');
        }
        vec![format!("{:.4}", self.ms), format!("{:.1} %", 100.0 * self.share), count(self.launches), name]
    }
}

/// A mean of whole numbers: with a decimal only where it has one.
fn count(mean: f64) -> String {
    if mean.fract() == 0.0 { format!("{mean}") } else { format!("{mean:.1}") }
}
