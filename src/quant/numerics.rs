//! Whose arithmetic quantization follows where qwix's and the right one part. Knows nothing of how either is done.

use std::fmt;

/// What to do where qwix's results are not what its rules say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Numerics {
    /// qwix's results to the last bit, so that runs of the Python packages can be compared with.
    #[default]
    Qwix,
    /// What the rules say: gradients of every operation pass straight through the rounding.
    Exact,
}

impl fmt::Display for Numerics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Numerics::Qwix => "qwix",
            Numerics::Exact => "exact",
        })
    }
}
