//! What a compiler made of each product, as a table. Knows nothing of compilers.

use std::fmt;

use crate::pjrt::CompiledMemory;
use crate::table;

/// One dot product or convolution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Module path, for example `core/layers/0`; empty outside of layers.
    pub path: String,
    /// StableHLO's name of the operation.
    pub op: &'static str,
    /// Types as written: `s8[128,64] x s8[64,10] -> s32`.
    pub written: String,
    /// The unit or kind of loop that computes it.
    pub unit: String,
    /// The kernel, or the estimate of processor cycles; empty where the compiler does not tell.
    pub cost: String,
    /// Whether a product of low precision is computed at the rate of that precision. For others: whether a unit does it.
    pub native: bool,
    /// Whether both sides are of 8 bits or fewer, so that a unit for that is wanted.
    pub low_precision: bool,
    /// What to do about a product that misses its unit; empty where there is nothing.
    pub advice: String,
}

/// The launches of a run on an NVIDIA card.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Launches {
    /// Kernels, copies and calls of libraries; those of a loop as often as it turns.
    pub launches: u64,
    /// CUDA graphs that are launched; those of a loop outside graphs as often as it turns.
    pub graphs: u64,
}

/// Every dot product and convolution of a program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// What it was compiled for.
    pub target: String,
    /// In the order of the program.
    pub rows: Vec<Row>,
    /// Bytes that a run needs, where the compiler tells.
    pub memory: Option<CompiledMemory>,
    /// What a run of the whole program launches, on targets that launch kernels.
    pub launches: Option<Launches>,
}

impl Report {
    /// The products of low precision that miss the unit for it.
    pub fn missed(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.low_precision && !row.native)
    }

    /// How many of the products that want a unit of low precision reach it, as a sentence.
    pub fn summary(&self) -> String {
        let (wanted, missed) = (self.rows.iter().filter(|row| row.low_precision).count(), self.missed().count());
        format!("{} of {wanted} products of 8 bits or fewer reach the unit for them", wanted - missed)
    }

    /// The head of the table that [`cells`](Report::cells) fill.
    pub const HEAD: [&'static str; 6] = ["path", "op", "as written", "became", "cost", "native"];

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
                "memory: inputs {inputs}, outputs {outputs}, in between {}",
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
        if let Some(Launches { launches, graphs }) = self.launches {
            writeln!(f, "launches: {launches}\ngraphs: {graphs}")?;
        }
        Ok(())
    }
}
