//! The stages put together: from a network, or from a traced function, to the text that a plugin compiles.

use spiq_hlo::{Function, PrintOptions, TensorType};
use spiq_kernels::describe;

use super::destination::Destination;
use super::program::Program;
use super::stage::Stage;
use crate::error::Result;
use crate::network::{Network, Pass};
use crate::pjrt::CompileOptions;

/// What a program is made of.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// A network's pass.
    Network {
        /// The network.
        network: &'a Network,
        /// The type of its input.
        x: &'a TensorType,
        /// The pass.
        pass: Pass,
        /// Whether stages behind [`Stage::Grad`] are of the loss and its gradient, or of the pass alone.
        gradient: bool,
    },
    /// A traced function, such as a training step, which begins with [`Stage::Grad`]: earlier stages are the same.
    Function(&'a Function),
}

/// A program's way to a destination.
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
    /// What it is made of.
    pub source: Source<'a>,
    /// How it is compiled.
    pub program: &'a Program,
    /// For what.
    pub destination: Destination,
}

impl Pipeline<'_> {
    /// The function after a stage; after the last two it is only text that changes.
    ///
    /// # Errors
    /// Of kind `Input`: an input that the network does not fit, a rule that decides on nothing. Of kind `Graph`: traces that have
    /// no loss.
    pub fn after(&self, stage: Stage) -> Result<Function> {
        match stage {
            Stage::Trace | Stage::Quantize | Stage::Split | Stage::Grad => self.source.after(stage),
            Stage::Kernels => self.destination.call_kernels(&self.source.whole()?),
            Stage::Lower => Ok(self.after(Stage::Kernels)?.lower()?),
            Stage::Simplify | Stage::Stablehlo | Stage::Hlo => Ok(self.after(Stage::Lower)?.simplify()),
        }
    }

    /// The program's text after a stage, for reading up to [`Stage::Simplify`], with the place of each operation where
    /// `locations` are wanted, and then as it is compiled. What a plugin makes of it is the plugin's to say.
    ///
    /// # Errors
    /// As [`after`](Pipeline::after).
    pub fn text(&self, stage: Stage, locations: bool) -> Result<String> {
        let function = self.after(stage)?;
        Ok(match stage {
            Stage::Kernels => describe(&function),
            Stage::Stablehlo | Stage::Hlo => self.printed(&function, false),
            _ => function.stablehlo(&self.program.name, &PrintOptions { locations, donated: Vec::new() }),
        })
    }

    /// The text of what [`after`](Pipeline::after) gave, with what is donated.
    pub(crate) fn printed(&self, function: &Function, locations: bool) -> String {
        function.stablehlo(&self.program.name, &PrintOptions { locations, donated: self.program.donated.clone() })
    }

    /// What the program is compiled with.
    ///
    /// # Errors
    /// As [`after`](Pipeline::after).
    pub fn options(&self) -> Result<CompileOptions> {
        Ok(self.destination.options(&self.source.whole()?, &self.program.options))
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

    /// The function in which kernels are looked for: all that is computed.
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
