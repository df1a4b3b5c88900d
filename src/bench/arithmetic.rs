//! The arithmetics that are compared, by name, and the rules that make them. Knows nothing of devices and time.

use std::fmt;
use std::str::FromStr;

use crate::config::RuleConfig;
use crate::error::{Error, Result};
use crate::quant::linear_only_rules;

/// The arithmetic of the dot products.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arithmetic {
    /// Everything in f32.
    Fp32,
    /// Weights and activations in int8, rounded as qwix does.
    Int8Qwix,
}

impl Arithmetic {
    /// All of them, in the order of the table.
    pub const ALL: [Arithmetic; 2] = [Arithmetic::Fp32, Arithmetic::Int8Qwix];

    /// The name in flags and tables.
    pub fn name(self) -> &'static str {
        match self {
            Arithmetic::Fp32 => "fp32",
            Arithmetic::Int8Qwix => "int8-qwix",
        }
    }

    /// The rules for all layers.
    pub(super) fn rules(self) -> Vec<RuleConfig> {
        match self {
            Arithmetic::Fp32 => Vec::new(),
            Arithmetic::Int8Qwix => linear_only_rules("int8", "int8"),
        }
    }
}

impl fmt::Display for Arithmetic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Arithmetic {
    type Err = Error;

    fn from_str(name: &str) -> Result<Arithmetic> {
        let names = Arithmetic::ALL.map(Arithmetic::name);
        let found = Arithmetic::ALL.into_iter().find(|one| one.name() == name);
        found.ok_or_else(|| Error::input(format!("there is no mode `{name}` (known: {})", names.join(", "))))
    }
}
