//! How a function becomes a program, and the program of a client.

use spiq_hlo::Function;

use super::destination::Destination;
use super::pipeline::{Pipeline, Source};
use super::stage::Stage;
use crate::error::Result;
use crate::pjrt::{Client, CompileOptions, Executable};

/// How a function becomes a program.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// Name of the module; letters, digits and `_`, others are replaced.
    pub name: String,
    /// Parameters whose memory a result takes over: (parameter, result), of equal type.
    pub donated: Vec<(usize, usize)>,
    /// How it is compiled.
    pub options: CompileOptions,
    /// Leaves everything to XLA, loops over time and products with spikes, too, that kernels of this library would compute.
    pub without_kernels: bool,
}

impl Program {
    /// A program of this name, without donation.
    pub fn named(name: impl Into<String>) -> Program {
        Program { name: name.into(), ..Program::default() }
    }

    /// The function's way to a destination as this program.
    pub fn pipeline<'a>(&'a self, function: &'a Function, destination: Destination) -> Pipeline<'a> {
        let kernels = !self.without_kernels;
        let destination = if kernels { destination } else { destination.without_kernels() };
        Pipeline { source: Source::Function(function), program: self, destination }
    }

    /// The function as StableHLO text for any device: lowered, simplified, without locations, so that an edit of the source
    /// that leaves the program as it is leaves the compile cache valid.
    ///
    /// # Errors
    /// Of kind `Graph`; none for a function that was traced without errors.
    pub fn text(&self, function: &Function) -> Result<String> {
        self.pipeline(function, Destination::default()).text(Stage::Stablehlo, false)
    }

    /// The text that is compiled for a client: where it takes kernels, they run the loops over time.
    ///
    /// # Errors
    /// As [`text`](Program::text).
    pub fn text_for(&self, client: &Client, function: &Function) -> Result<String> {
        self.pipeline(function, Destination::of(client)).text(Stage::Stablehlo, false)
    }

    /// Compiles the function for a client's device, or takes it from the cache.
    ///
    /// # Errors
    /// Of kind `Graph`, or what PJRT says.
    pub fn compile(&self, client: &Client, function: &Function) -> Result<Executable> {
        let pipeline = self.pipeline(function, Destination::of(client));
        client.compile(&pipeline.text(Stage::Stablehlo, false)?, &pipeline.options()?)
    }
}
