//! The settings under which a function is compiled to a program, and its compilation for a client.

use spiq_hlo::Function;

use super::destination::Destination;
use super::pipeline::{Pipeline, Source};
use super::sharding::Sharding;
use super::stage::Stage;
use crate::error::Result;
use crate::pjrt::{Client, CompileOptions, Executable};

/// Settings for compiling a function.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// Name of the module; characters other than letters, digits and `_` are replaced.
    pub name: String,
    /// Parameters that are donated to a result: (parameter, result), of equal type.
    pub donated: Vec<(usize, usize)>,
    /// Compile options.
    pub options: CompileOptions,
    /// The devices that run the program together.
    pub sharding: Sharding,
    /// Disables this library's kernels; XLA computes time loops and spike products.
    pub without_kernels: bool,
}

impl Program {
    /// A program with this name, without donations.
    pub fn named(name: impl Into<String>) -> Program {
        Program { name: name.into(), ..Program::default() }
    }

    /// The compilation of the function for a destination with these settings.
    pub fn pipeline<'a>(&'a self, function: &'a Function, destination: Destination) -> Pipeline<'a> {
        let kernels = !self.without_kernels;
        let destination = if kernels { destination } else { destination.without_kernels() };
        Pipeline { source: Source::Function(function), program: self, destination }
    }

    /// The function as StableHLO text for any device: lowered, simplified, without source locations, so that source edits that do not
    /// change the program keep the compile cache valid.
    ///
    /// # Errors
    /// Kind `Graph`; none for a function that was traced without errors.
    pub fn text(&self, function: &Function) -> Result<String> {
        self.pipeline(function, Destination::default()).text(Stage::Stablehlo, false)
    }

    /// The text that is compiled for a client; if the client supports kernels, they run the time loops.
    ///
    /// # Errors
    /// As [`text`](Program::text).
    pub fn text_for(&self, client: &Client, function: &Function) -> Result<String> {
        self.pipeline(function, Destination::of(client)).text(Stage::Stablehlo, false)
    }

    /// Compiles the function for a client's device, or loads it from the cache.
    ///
    /// # Errors
    /// Kind `Graph`; errors from PJRT.
    pub fn compile(&self, client: &Client, function: &Function) -> Result<Executable> {
        let pipeline = self.pipeline(function, Destination::of(client));
        client.compile(&pipeline.text(Stage::Stablehlo, false)?, &pipeline.options()?)
    }
}
