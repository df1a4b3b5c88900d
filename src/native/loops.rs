//! The loops over time of a program: kernels, or left to the compiler.

use std::fmt;

use spiq_hlo::Function;
use spiq_kernels::Backend;

/// The innermost loops over time of a program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loops {
    /// How many are kernels of this library.
    pub kernels: usize,
    /// The others: module path, and why no kernel computes the loop, as the end of a sentence about it.
    pub remaining: Vec<(String, String)>,
}

impl Loops {
    /// The loops in a function in which a back end has put its kernels.
    pub(super) fn of(backend: &dyn Backend, function: &Function) -> Loops {
        let mut kernels = 0;
        function.each_node(&mut |node, _| {
            let program = backend.describe(node.op.as_ref());
            kernels += usize::from(program.is_some_and(|text| text.starts_with("loop of ")));
        });
        Loops { kernels, remaining: backend.remaining(function) }
    }
}

/// `loops over time: 4, of which 3 are kernels`, and a line for each of the others.
impl fmt::Display for Loops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Loops { kernels, remaining } = self;
        write!(f, "loops over time: {}, of which {kernels} are kernels", kernels + remaining.len())?;
        for (path, reason) in remaining {
            let path = if path.is_empty() { "a loop" } else { path };
            write!(f, "\n{path}: no kernel computes this loop, because {reason}")?;
        }
        Ok(())
    }
}
