//! What quantization did to each operation, as a table. Knows nothing of how it is done.

use std::fmt;

/// One side of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Side {
    /// Type before, for example `f32[8,32]`.
    pub from: String,
    /// Quantized type, or `None` where the side stays as it is.
    pub qtype: Option<String>,
    /// Shape of the scales, for example `[8,1]`; empty where the side stays as it is.
    pub scale: String,
    /// Whether it is computed from parameters alone.
    pub is_weight: bool,
}

/// One operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Module path, for example `core/layers/0`.
    pub path: String,
    /// Name of the operation.
    pub op: &'static str,
    /// Number of the rule that decided, from 1; `None` where none matched.
    pub rule: Option<usize>,
    /// Left and right operand.
    pub sides: [Side; 2],
    /// What the operation became, for example `s8 x s8 -> s32`.
    pub became: String,
}

/// Every operation that a rule could have named, in the order of the program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// One row an operation.
    pub rows: Vec<Row>,
}

impl Side {
    fn cell(&self) -> String {
        let kind = if self.is_weight { "weight" } else { "act" };
        match &self.qtype {
            Some(qtype) => format!("{kind} {} -> {qtype}, scale {}", self.from, self.scale),
            None => format!("{kind} {}", self.from),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["path", "op", "rule", "left", "right", "became"].map(str::to_owned);
        let line = |row: &Row| {
            let rule = row.rule.map_or("-".to_owned(), |r| r.to_string());
            [row.path.clone(), row.op.to_owned(), rule, row.sides[0].cell(), row.sides[1].cell(), row.became.clone()]
        };
        let lines: Vec<[String; 6]> = std::iter::once(head).chain(self.rows.iter().map(line)).collect();
        let width = |column: usize| lines.iter().map(|l| l[column].chars().count()).max().unwrap_or(0);
        for line in &lines {
            let cells: Vec<String> =
                line.iter().enumerate().map(|(i, cell)| format!("{cell:<width$}", width = width(i))).collect();
            writeln!(f, "{}", cells.join("  ").trim_end())?;
        }
        Ok(())
    }
}
