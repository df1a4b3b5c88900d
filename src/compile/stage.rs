//! The compilation stages, by name.

use crate::choice::{Choice, find};
use crate::error::Result;

/// A compilation stage. Each starts from the result of the previous one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The forward pass as defined by the layers, one scan over time.
    Trace,
    /// Weights and activations rounded by the rules.
    Quantize,
    /// Products batched over all time steps, neurons in loops.
    Split,
    /// The loss and its gradient with respect to each parameter; for a training step, the whole step.
    Grad,
    /// The program of one of several devices, which divide the batch; the same program for a single device.
    Shard,
    /// Kernel calls replace the operations that kernels compute, if the destination supports kernels.
    Kernels,
    /// StableHLO operations only.
    Lower,
    /// Without dead and duplicate operations.
    Simplify,
    /// The text that a plugin compiles.
    Stablehlo,
    /// As optimized by a plugin's compiler.
    Hlo,
}

/// The stages by name, in order.
pub const STAGES: &[Choice<Stage>] = &[
    Choice {
        name: "trace",
        about: "the forward pass as defined by the layers, one scan over time",
        make: Stage::Trace,
    },
    Choice {
        name: "quantize",
        about: "weights and activations rounded by the rules; a table shows how each operation was quantized",
        make: Stage::Quantize,
    },
    Choice { name: "split", about: "products batched over all time steps, neurons in loops", make: Stage::Split },
    Choice {
        name: "grad",
        about: "the loss (integral cross-entropy) and its gradient with respect to each parameter; with --step, the whole training step",
        make: Stage::Grad,
    },
    Choice {
        name: "shard",
        about: "the program of one device out of --devices, each of which computes a part of the batch",
        make: Stage::Shard,
    },
    Choice {
        name: "kernels",
        about: "calls of this library's kernels, each with its program, replace the operations they compute",
        make: Stage::Kernels,
    },
    Choice { name: "lower", about: "StableHLO operations only", make: Stage::Lower },
    Choice { name: "simplify", about: "without dead and duplicate operations", make: Stage::Simplify },
    Choice { name: "stablehlo", about: "the text that the plugin compiles", make: Stage::Stablehlo },
    Choice { name: "hlo", about: "as optimized by the plugin's compiler for its device", make: Stage::Hlo },
];

impl Stage {
    /// The stage of this name.
    ///
    /// # Errors
    /// Kind `Input` for a name that is not in [`STAGES`].
    pub fn named(name: &str) -> Result<Stage> {
        Ok(find("stage", STAGES, name)?.make)
    }
}
