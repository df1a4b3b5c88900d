//! The named choices that neurons share. Knows no neuron.

use toml::Value;
use toml::de::DeValue;

use crate::fields::Field;
use crate::nn::arguments::Argument;

/// A choice by name, as a file writes it.
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
        /// It falls by the threshold: a soft reset.
        Subtract = "subtract",
        /// It falls to zero: a hard reset.
        Zero = "zero",
        /// It stays as it is.
        None = "none",
    }
}

choice! {
    /// Which potential a spike answers.
    Fires: "\"before\" or \"after\"" {
        /// The one that the step before left: an input shows in the output one step later. Spyx's way.
        Before = "before",
        /// The one that holds the step's input already. The way of snnTorch, SpikingJelly and of most papers' code. The
        /// potentials are the same either way: the output shifts by one step.
        After = "after",
    }
}

choice! {
    /// How the weights start by which neurons hear each other.
    RecurrentInit: "\"small\" or \"orthogonal\"" {
        /// Normal of deviation 0.01, cut at two of them: hardly there. Spyx's.
        Small = "small",
        /// An orthogonal matrix: as strong as the spikes themselves. That of sparch and SE-adLIF.
        Orthogonal = "orthogonal",
    }
}
