//! In which arithmetic quantized programs compute: whose rounding, and gradients of what width. Knows nothing of how either
//! is done.

use std::fmt;

/// What to do where qwix's results are not what its rules say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Numerics {
    /// As qwix does, so that runs of the Python packages can be compared with: quantized values, scales and products of integers
    /// to the last bit, sums of floats (gradients above all) in another order.
    Qwix,
    /// What the rules say: spikes are integers and stay as they are, gradients of every operation pass straight through the
    /// rounding.
    #[default]
    Exact,
}

impl Numerics {
    /// The arithmetic of this name, as it is displayed.
    pub fn from_name(name: &str) -> Option<Numerics> {
        [Numerics::Qwix, Numerics::Exact].into_iter().find(|numerics| numerics.to_string() == name)
    }
}

impl fmt::Display for Numerics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Numerics::Qwix => "qwix",
            Numerics::Exact => "exact",
        })
    }
}

/// The width of the products on the way back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Gradients {
    /// In the element type of the operands, as qwix computes them.
    #[default]
    Full,
    /// Operands in bf16, summed in the element type they had. Spikes lose nothing by that.
    Bf16,
}

impl Gradients {
    /// The width of this name, as it is displayed.
    pub fn from_name(name: &str) -> Option<Gradients> {
        [Gradients::Full, Gradients::Bf16].into_iter().find(|gradients| gradients.to_string() == name)
    }
}

impl fmt::Display for Gradients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Gradients::Full => "f32",
            Gradients::Bf16 => "bf16",
        })
    }
}

/// The arithmetic of a quantized program.
///
/// ```
/// use spiq::quant::{Arithmetic, Gradients, Numerics};
/// assert_eq!(Arithmetic::from(Numerics::Exact), Arithmetic { numerics: Numerics::Exact, gradients: Gradients::Full });
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Arithmetic {
    /// Whose rounding.
    pub numerics: Numerics,
    /// The products on the way back.
    pub gradients: Gradients,
}

impl From<Numerics> for Arithmetic {
    fn from(numerics: Numerics) -> Arithmetic {
        Arithmetic { numerics, gradients: Gradients::default() }
    }
}
