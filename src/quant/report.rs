//! A table of how each operation was quantized.

use std::fmt;

use spiq_hlo::DType;

use super::operand::Operand;
use super::product::Product;
use super::sums::{accumulator, sums_stored_values};
use crate::table::Table;

/// How one operand was quantized.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperandReport {
    /// Type before, for example `f32[8,32]`.
    pub from: String,
    /// Quantized type, or `None` if the operand is not quantized.
    pub qtype: Option<String>,
    /// Shape of the scales, for example `[8,1]`; empty if the operand is not quantized.
    pub scale: String,
    /// Whether it is computed only from parameters.
    pub is_weight: bool,
}

/// One operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Module path, for example `core/layers/0`.
    pub path: String,
    /// Name of the operation.
    pub op: &'static str,
    /// Number of the rule that applied, from 1; `None` if none matched.
    pub rule: Option<usize>,
    /// Left and right operand.
    pub sides: [OperandReport; 2],
    /// How the operation is computed, for example `s8 x s8 -> s32`.
    pub became: String,
    /// How a processor computes it: `native s8`, or `emulated: …` if no hardware multiplies the type. `spiq inspect --target` shows what a
    /// compiler achieves on other devices.
    pub unit: String,
}

/// All operations that a rule could select, in program order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// One row per operation.
    pub rows: Vec<Row>,
}

impl Row {
    /// The row of a product with these sides, decided by the rule with this index.
    pub(super) fn new(path: &str, product: &Product, rule: Option<usize>, sides: [&Operand; 2]) -> Row {
        let original = product.out();
        let (became, unit) = match (sides[0].q(), sides[1].q()) {
            (Some(l), Some(r)) if sums_stored_values(l, r) => {
                let (left, right) = (l.qtype.storage(), r.qtype.storage());
                (format!("{left} x {right} -> {}", accumulator(l, r)), unit(left, right))
            }
            (None, None) => ("unchanged".to_owned(), format!("native {original}")),
            _ => ("dequantized, then float".to_owned(), format!("emulated: dequantized {original}")),
        };
        let rule = rule.map(|index| index + 1);
        Row { path: path.to_owned(), op: product.name(), rule, sides: sides.map(OperandReport::new), became, unit }
    }
}

/// How a processor multiplies stored values: it has s8 instructions (VNNI, AMX), but none for narrow floats.
fn unit(left: DType, right: DType) -> String {
    match (left, right) {
        (DType::S8, DType::S8) => "native s8".to_owned(),
        _ if left == right => format!("emulated: widened {left}"),
        _ => format!("emulated: widened {left}, {right}"),
    }
}

impl OperandReport {
    fn new(operand: &Operand) -> OperandReport {
        let scale = operand.q().map(|q| format!("{:?}", q.scale.dims()).replace(' ', ""));
        OperandReport {
            from: operand.original.ty().to_string(),
            qtype: operand.q().map(|q| q.qtype.to_string()),
            scale: scale.unwrap_or_default(),
            is_weight: operand.is_weight,
        }
    }

    fn cell(&self) -> String {
        let kind = if self.is_weight { "weight" } else { "act" };
        match &self.qtype {
            Some(qtype) => format!("{kind} {} -> {qtype}, scale {}", self.from, self.scale),
            None => format!("{kind} {}", self.from),
        }
    }
}

impl Report {
    /// The report as a table.
    pub fn table(&self) -> Table {
        self.rows.iter().fold(Table::new(["path", "op", "rule", "left", "right", "became", "unit"]), |table, row| {
            let rule = row.rule.map_or("-".to_owned(), |r| r.to_string());
            let [left, right] = [row.sides[0].cell(), row.sides[1].cell()];
            table.row([row.path.clone(), row.op.to_owned(), rule, left, right, row.became.clone(), row.unit.clone()])
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.table().fmt(f)
    }
}
