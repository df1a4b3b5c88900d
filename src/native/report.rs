//! A table of how a compiler implements each product.

use std::fmt;

use super::cycles::Cycles;
use super::estimate::Estimate;
use super::loops::Loops;
use crate::pjrt::CompiledMemory;
use crate::table;

/// One dot product or convolution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Module path, for example `core/layers/0`; empty outside layers.
    pub path: String,
    /// The operation's StableHLO name.
    pub op: &'static str,
    /// Types as written: `s8[128,64] x s8[64,10] -> s32`.
    pub written: String,
    /// The unit or kind of loop that computes it.
    pub unit: String,
    /// The kernel, or the estimated number of cycles; empty if the compiler does not report it.
    pub cost: String,
    /// Whether a low-precision product is computed at the rate of that precision. For others: whether a hardware unit computes it.
    pub native: bool,
    /// Whether both operands have 8 bits or fewer, so that a unit for that precision is the target.
    pub low_precision: bool,
    /// Advice for a product that misses its unit; empty if there is none.
    pub advice: String,
}

/// The launches of a run on an NVIDIA card.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Launches {
    /// Kernels, copies and library calls; those in a loop are counted once per iteration.
    pub launches: u64,
    /// Launched CUDA graphs; those in a loop outside graphs are counted once per iteration.
    pub graphs: u64,
}

/// Every dot product and convolution of a program.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// The target of the compilation.
    pub target: String,
    /// In program order.
    pub rows: Vec<Row>,
    /// Memory that a run needs, in bytes, if the compiler reports it.
    pub memory: Option<CompiledMemory>,
    /// The loops over time, on targets with kernels.
    pub loops: Option<Loops>,
    /// The cycles of a run, on targets whose compiler estimates them.
    pub cycles: Option<Cycles>,
    /// The time of a run, on targets whose speeds are known.
    pub estimate: Option<Estimate>,
    /// The launches of a run of the whole program, on targets that launch kernels.
    pub launches: Option<Launches>,
}

impl Report {
    /// The low-precision products that miss the unit for their precision.
    pub fn missed(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.low_precision && !row.native)
    }

    /// The number of low-precision products that run natively, as a sentence.
    pub fn summary(&self) -> String {
        let (wanted, missed) = (self.rows.iter().filter(|row| row.low_precision).count(), self.missed().count());
        format!("{} of {wanted} products of 8 bits or fewer run natively", wanted - missed)
    }

    /// The header of the table whose rows are [`cells`](Report::cells).
    pub const HEAD: [&'static str; 6] = ["path", "op", "as written", "compiled to", "cost", "native"];

    /// The rows as text, in the order of [`HEAD`](Report::HEAD).
    pub fn cells(&self) -> Vec<Vec<String>> {
        let row = |row: &Row| {
            let native = match (row.low_precision, row.native) {
                (true, true) => "yes",
                (true, false) => "NO",
                (false, _) => "-",
            };
            [&row.path, row.op, &row.written, &row.unit, &row.cost, native].map(str::to_owned).to_vec()
        };
        self.rows.iter().map(row).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "compiled for {}\n", self.target)?;
        f.write_str(&table::aligned(&Report::HEAD, &self.cells()))?;
        writeln!(f, "\n{}", self.summary())?;
        if let Some(memory) = self.memory {
            let mib = |bytes: i64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
            let (inputs, outputs) = (mib(memory.inputs), mib(memory.outputs));
            writeln!(
                f,
                "memory: inputs {inputs}, outputs {outputs}, temporaries {}",
                mib(memory.temporaries.max(memory.peak))
            )?;
        }
        let mut told: Vec<&str> = Vec::new();
        for row in self.rows.iter().filter(|row| !row.advice.is_empty() && !row.native) {
            if !told.contains(&row.advice.as_str()) {
                told.push(&row.advice);
                writeln!(f, "{}: {}", if row.path.is_empty() { row.op } else { &row.path }, row.advice)?;
            }
        }
        if let Some(loops) = self.loops.as_ref().filter(|loops| **loops != Loops::default()) {
            writeln!(f, "{loops}")?;
        }
        if let Some(Cycles { estimated, kernels }) = self.cycles {
            let beside = if kernels == 0 { String::new() } else { format!(", without {kernels} calls of kernels") };
            writeln!(f, "estimated cycles: {estimated}{beside}")?;
        }
        if let Some(estimate) = self.estimate {
            writeln!(f, "{estimate}")?;
        }
        if let Some(Launches { launches, graphs }) = self.launches {
            writeln!(f, "launches: {launches}\ngraphs: {graphs}")?;
        }
        Ok(())
    }
}
