//! The stages of a program on its way to a device, by name.

use crate::choice::{Choice, find};
use crate::error::Result;

/// A stage of a program on its way to a device. Each begins with what the one before it gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The forward pass as the layers say it, one scan over time.
    Trace,
    /// Weights and activations rounded by the rules.
    Quantize,
    /// Products of all time steps at once, neurons in loops.
    Split,
    /// The loss and its gradient by each parameter; of a training step all that it does.
    Grad,
    /// Calls of kernels in the place of what they compute, where the destination takes any.
    Kernels,
    /// In StableHLO's operations alone.
    Lower,
    /// Without what is not read or there twice.
    Simplify,
    /// The text that a plugin compiles.
    Stablehlo,
    /// As a plugin's compiler optimizes it.
    Hlo,
}

/// The stages by name, in their order.
pub const STAGES: &[Choice<Stage>] = &[
    Choice { name: "trace", about: "the forward pass as the layers say it, one scan over time", make: Stage::Trace },
    Choice {
        name: "quantize",
        about: "weights and activations rounded by the rules; a table says what became of each operation",
        make: Stage::Quantize,
    },
    Choice { name: "split", about: "products of all time steps at once, neurons in loops", make: Stage::Split },
    Choice {
        name: "grad",
        about: "the loss (integral cross-entropy) and its gradient by each parameter; with --step the whole training step",
        make: Stage::Grad,
    },
    Choice {
        name: "kernels",
        about: "what kernels of this library compute as calls of them, each with its program",
        make: Stage::Kernels,
    },
    Choice { name: "lower", about: "in StableHLO's operations alone", make: Stage::Lower },
    Choice { name: "simplify", about: "without what is not read, or there twice", make: Stage::Simplify },
    Choice { name: "stablehlo", about: "the text that the plugin compiles", make: Stage::Stablehlo },
    Choice { name: "hlo", about: "as the plugin's compiler optimizes it, for its device", make: Stage::Hlo },
];

impl Stage {
    /// The stage of this name.
    ///
    /// # Errors
    /// Of kind `Input` for a name that [`STAGES`] lacks.
    pub fn named(name: &str) -> Result<Stage> {
        Ok(find("stage", STAGES, name)?.make)
    }
}
