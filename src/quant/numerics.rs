//! The arithmetic of quantized programs: rounding behaviour and precision of gradients.

use std::fmt;

/// The behaviour where qwix's results differ from its rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Numerics {
    /// As in qwix, for comparison with runs of the Python packages: quantized values, scales and integer products are bit-identical; float
    /// sums (mainly gradients) differ in order.
    Qwix,
    /// As the rules specify: spikes are integers and stay unrounded, and gradients of every operation pass straight through the rounding.
    #[default]
    Exact,
}

impl Numerics {
    /// The arithmetic of this name, in its displayed form.
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

/// The precision of products in the backward pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Gradients {
    /// The element type of the operands, as in qwix.
    #[default]
    Full,
    /// Operands in bf16, summed in their original element type. Exact for spikes.
    Bf16,
}

impl Gradients {
    /// The precision of this name, in its displayed form.
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
    /// The rounding behaviour.
    pub numerics: Numerics,
    /// The precision of products in the backward pass.
    pub gradients: Gradients,
}

impl From<Numerics> for Arithmetic {
    fn from(numerics: Numerics) -> Arithmetic {
        Arithmetic { numerics, gradients: Gradients::default() }
    }
}
