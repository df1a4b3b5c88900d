//! Runs the stages in order: from a network or a traced function to the text that a plugin compiles.

use spiq_hlo::{Function, PrintOptions, TensorType};
use spiq_kernels::describe;

use super::destination::Destination;
use super::program::Program;
use super::stage::Stage;
use crate::error::Result;
use crate::network::{Network, Pass};
use crate::pjrt::CompileOptions;

/// The source of a program.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// A pass of a network.
    Network {
        /// The network.
        network: &'a Network,
        /// The type of its input.
        x: &'a TensorType,
        /// The pass.
        pass: Pass,
        /// Whether the stages after [`Stage::Grad`] compute the loss and its gradient, or only the pass.
        gradient: bool,
    },
    /// A traced function, such as a training step. It starts at [`Stage::Grad`]: earlier stages return it unchanged.
    Function(&'a Function),
}

/// The compilation of a source for a destination.
///
/// ```
/// use spiq::compile::{Destination, Program, Stage};
/// use spiq::{DType, TensorType, trace};
/// let function = trace(&[("x", TensorType::new(DType::F32, [8]))], |x| vec![&x[0] + &x[0] * 0.0])?;
/// let program = Program::named("example");
/// let pipeline = program.pipeline(&function, Destination::default());
/// assert!(pipeline.text(Stage::Stablehlo, false)?.starts_with("module @example"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Pipeline<'a> {
    /// The source.
    pub source: Source<'a>,
    /// The settings of the program.
    pub program: &'a Program,
    /// The target.
    pub destination: Destination,
}

impl Pipeline<'_> {
    /// The function after a stage; the last two stages change only the text.
    ///
    /// # Errors
    /// Kind `Input` for an input that does not fit the network, or a rule that never applies. Kind `Graph` for traces without a
    /// loss.
    pub fn after(&self, stage: Stage) -> Result<Function> {
        match stage {
            Stage::Trace | Stage::Quantize | Stage::Split | Stage::Grad => self.source.after(stage),
            Stage::Shard => self.destination.shard(self.program, &self.source.whole()?),
            Stage::Kernels => self.destination.call_kernels(&self.destination.adapt(&self.after(Stage::Shard)?)?),
            Stage::Lower => Ok(self.after(Stage::Kernels)?.lower()?),
            Stage::Simplify | Stage::Stablehlo | Stage::Hlo => Ok(self.after(Stage::Lower)?.simplify()),
        }
    }

    /// The program's text after a stage. Up to [`Stage::Simplify`] it is meant for reading, with the source location of each operation if
    /// `locations` is set; after that it is the text that is compiled. The plugin's own optimizations are not included.
    ///
    /// # Errors
    /// As [`after`](Pipeline::after).
    pub fn text(&self, stage: Stage, locations: bool) -> Result<String> {
        let function = self.after(stage)?;
        Ok(match stage {
            Stage::Kernels => describe(&function),
            Stage::Stablehlo | Stage::Hlo => self.printed(&function, false),
            _ => function.stablehlo(&self.program.name, &self.print(locations, Vec::new())),
        })
    }

    /// The text of a function returned by [`after`](Pipeline::after), with its donations.
    pub(crate) fn printed(&self, function: &Function, locations: bool) -> String {
        function.stablehlo(&self.program.name, &self.print(locations, self.program.donated.clone()))
    }

    fn print(&self, locations: bool, donated: Vec<(usize, usize)>) -> PrintOptions {
        PrintOptions { locations, donated, full_precision: self.destination.full_precision }
    }

    /// The compile options of the program.
    ///
    /// # Errors
    /// As [`after`](Pipeline::after).
    pub fn options(&self) -> Result<CompileOptions> {
        let own = CompileOptions { replicas: self.replicas(), ..self.program.options.clone() };
        Ok(self.destination.options(&self.after(Stage::Shard)?, &own))
    }

    /// The number of copies of the program that run together.
    fn replicas(&self) -> usize {
        self.program.options.replicas * self.destination.devices_of_one_program(&self.program.sharding)
    }
}

impl Source<'_> {
    fn after(&self, stage: Stage) -> Result<Function> {
        let Source::Network { network, x, pass, .. } = *self else { return self.whole() };
        Ok(match stage {
            Stage::Trace => network.trace(x)?,
            Stage::Quantize => network.quantized(x, pass)?.function,
            Stage::Split => network.forward(x, pass)?.function,
            _ => network.forward(x, pass)?.gradient()?,
        })
    }

    /// The complete function, in which kernels are searched for.
    ///
    /// # Errors
    /// As [`Pipeline::after`].
    pub fn whole(&self) -> Result<Function> {
        match *self {
            Source::Network { gradient, .. } => self.after(if gradient { Stage::Grad } else { Stage::Split }),
            Source::Function(function) => Ok(function.clone()),
        }
    }
}
