//! The arithmetics to compare, by name, and their networks.

use std::fmt;
use std::str::FromStr;

use crate::config::ModelConfig;
use crate::error::{Error, Result};
use crate::network::Network;
use crate::pjrt::Client;
use crate::quant::{Gradients, Numerics, linear_only_rules};

/// The arithmetic of the products.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arithmetic {
    /// Everything in f32.
    Fp32,
    /// The operands of all products in bf16, forward and backward, summed in f32.
    Bf16,
    /// Weights and activations in int8, with qwix's rounding.
    Int8Qwix,
    /// Weights in int8; spikes are exact integers.
    Int8,
    /// Weights in int8, exact spikes, and products of the backward pass in bf16.
    Int8Bf16,
    /// Weights in int4; exact spikes.
    Int4,
    /// Weights in `float8_e4m3fn`; exact spikes.
    Fp8,
}

impl Arithmetic {
    /// All arithmetics, in the order of the table.
    pub const ALL: [Arithmetic; 7] = [
        Arithmetic::Fp32,
        Arithmetic::Bf16,
        Arithmetic::Int8Qwix,
        Arithmetic::Int8,
        Arithmetic::Int8Bf16,
        Arithmetic::Int4,
        Arithmetic::Fp8,
    ];

    /// The arithmetics that the client's devices have units for; a processor computes fp8 element by element.
    pub fn of(client: &Client) -> Vec<Arithmetic> {
        let all = Arithmetic::ALL.into_iter();
        all.filter(|one| *one != Arithmetic::Fp8 || client.platform_name() != "cpu").collect()
    }

    /// The name in flags and tables.
    pub fn name(self) -> &'static str {
        match self {
            Arithmetic::Fp32 => "fp32",
            Arithmetic::Bf16 => "bf16",
            Arithmetic::Int8Qwix => "int8-qwix",
            Arithmetic::Int8 => "int8",
            Arithmetic::Int8Bf16 => "int8+bf16",
            Arithmetic::Int4 => "int4",
            Arithmetic::Fp8 => "fp8",
        }
    }

    /// The model in this arithmetic.
    pub(super) fn network(self, model: ModelConfig) -> Result<Network> {
        let (weights, activations, numerics) = match self {
            Arithmetic::Fp32 | Arithmetic::Bf16 => return Network::new(model, Vec::new()),
            Arithmetic::Int8Qwix => ("int8", "int8", Numerics::Qwix),
            Arithmetic::Int8 | Arithmetic::Int8Bf16 => ("int8", "int8", Numerics::Exact),
            Arithmetic::Int4 => ("int4", "int8", Numerics::Exact),
            Arithmetic::Fp8 => ("float8_e4m3fn", "float8_e4m3fn", Numerics::Exact),
        };
        let gradients = if self == Arithmetic::Int8Bf16 { Gradients::Bf16 } else { Gradients::Full };
        let network = Network::new(model, linear_only_rules(weights, activations))?;
        Ok(network.with_numerics(numerics).with_gradients(gradients))
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
