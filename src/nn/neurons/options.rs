//! Named choices that neurons share.

use toml::Value;
use toml::de::DeValue;

use crate::fields::Field;
use crate::nn::arguments::Argument;

/// A choice by name, as written in a file.
macro_rules! choice {
    ($(#[$about:meta])* $Choice:ident: $what:literal { $($(#[$of:meta])* $Name:ident = $name:literal,)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $Choice {
            $($(#[$of])* $Name,)*
        }

        impl Field for $Choice {
            const WHAT: &'static str = $what;
            fn read(value: &DeValue<'_>) -> Option<$Choice> {
                match value.as_str()? {
                    $($name => Some($Choice::$Name),)*
                    _ => None,
                }
            }
        }

        impl Argument for $Choice {
            fn write(&self) -> Option<Value> {
                let name = match self {
                    $($Choice::$Name => $name,)*
                };
                Some(Value::String(name.to_owned()))
            }
        }
    };
}

choice! {
    /// What a spike does to the potential of its neuron. The names are those of snnTorch's `reset_mechanism`.
    Reset: "\"subtract\", \"zero\" or \"none\"" {
        /// It is reduced by the threshold: a soft reset.
        Subtract = "subtract",
        /// It is set to zero: a hard reset.
        Zero = "zero",
        /// It is unchanged.
        None = "none",
    }
}

choice! {
    /// Which potential spikes are computed from.
    Fires: "\"before\" or \"after\"" {
        /// The one that the previous step left: an input shows in the output one step later. As in Spyx.
        Before = "before",
        /// The one that includes the step's input. As in snnTorch, SpikingJelly and the code of most papers. The potentials are
        /// the same in both cases: the output shifts by one step.
        After = "after",
    }
}

choice! {
    /// Initialization of the recurrent weights.
    RecurrentInit: "\"small\" or \"orthogonal\"" {
        /// Normal with standard deviation 0.01, truncated at two of them: hardly any recurrence. As in Spyx.
        Small = "small",
        /// An orthogonal matrix: as strong as the spikes themselves. As in sparch and SE-adLIF.
        Orthogonal = "orthogonal",
    }
}
