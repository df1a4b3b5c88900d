//! The arguments of layers by name: declared, read from `model.toml`, and written to it.

use std::sync::Arc;

use toml::Value;

use super::layer::Layer;
use crate::error::Result;
use crate::fields::{Field, Fields, Key, LARGEST, in_f32};

/// A kind of layer that a file can use.
pub(crate) struct Kind {
    /// Its `type` in a file: the name in Spyx or flax.
    pub name: &'static str,
    /// The lines of its documentation.
    pub about: &'static [&'static str],
    /// The keys it accepts, besides those of all layers.
    pub keys: &'static [Key],
    /// Reads a layer from a table of these keys.
    pub read: fn(&Fields<'_>) -> Result<Arc<dyn Layer>>,
}

/// A type of argument.
pub(crate) trait Argument: Field {
    /// The value as written to a file; `None` is left out.
    fn write(&self) -> Option<Value>;
}

impl<T: Argument> Argument for Option<T> {
    fn write(&self) -> Option<Value> {
        self.as_ref().and_then(T::write)
    }
}

macro_rules! plain_arguments {
    ($($Type:ty: $value:ident => $written:expr;)*) => {$(
        impl Argument for $Type {
            fn write(&self) -> Option<Value> {
                let $value = self;
                Some($written)
            }
        }
    )*};
}

plain_arguments! {
    bool: flag => Value::Boolean(*flag);
    f64: number => Value::Float(*number);
    i64: number => Value::Integer(*number);
    usize: size => Value::Integer(*size as i64);
    Vec<i64>: list => Value::Array(list.iter().map(|number| Value::Integer(*number)).collect());
    Vec<usize>: list => Value::Array(list.iter().map(|size| Value::Integer(*size as i64)).collect());
}

/// Checks that every number among a layer's arguments is in the range of f32, as those read from a file are.
pub(super) fn check_numbers(layer: &dyn Layer) -> std::result::Result<(), (&'static str, String)> {
    let beyond = |value: &Value| value.as_float().filter(|number| !in_f32(*number));
    for (name, value) in layer.arguments() {
        let parts = value.as_table().into_iter().flat_map(|table| table.values());
        if let Some(number) = parts.chain([&value]).find_map(beyond) {
            return Err((name, format!("is {number:e}, which is out of range for f32")));
        }
    }
    Ok(())
}

/// A layer just read from a file, if its arguments are usable and its parameters are not too large.
pub(super) fn usable(layer: impl Layer + 'static, fields: &Fields<'_>) -> Result<Arc<dyn Layer>> {
    layer.check().map_err(|(argument, reason)| fields.value_error(argument, reason))?;
    for parameter in layer.parameters() {
        let count = parameter.dims.iter().try_fold(1usize, |count, size| count.checked_mul(*size));
        if count.is_none_or(|count| count > LARGEST) {
            let (what, name) = (fields.what(), parameter.name);
            return Err(
                fields.error(format!("{what} has a {name} of more than {LARGEST} elements; give smaller sizes"))
            );
        }
    }
    Ok(Arc::new(layer))
}

/// Declares a layer by its arguments: the required ones and those with a default. Field names are the keys in a file.
/// `described!()` in its `impl Layer` provides its name and arguments.
macro_rules! layer {
    (
        $(#[doc = $about:literal])*
        $(#[doc(alias = $alias:literal)])*
        $(#[derive($($derived:ident),*)])?
        pub struct $Name:ident = $kind:literal {
            $(needs { $($(#[doc = $of_needed:literal])* $needed:ident: $Needed:ty,)* })?
            $(takes { $($(#[doc = $of_taken:literal])* $taken:ident: $Taken:ty = $default:expr,)* })?
        }
    ) => {
        $(#[doc = $about])*
        $(#[doc(alias = $alias)])*
        #[derive(Clone, Debug, PartialEq, $($($derived),*)?)]
        pub struct $Name {
            $($($(#[doc = $of_needed])* pub $needed: $Needed,)*)?
            $($($(#[doc = $of_taken])* pub $taken: $Taken,)*)?
        }

        impl $Name {
            pub(crate) const KIND: $crate::nn::arguments::Kind = $crate::nn::arguments::Kind {
                name: $kind,
                about: &[$($about),*],
                keys: &[
                    $($($crate::fields::Key::required::<$Needed>(stringify!($needed), &[$($of_needed),*]),)*)?
                    $($($crate::fields::Key::optional::<$Taken>(
                        stringify!($taken),
                        &[$($of_taken),*],
                        || <$Taken as $crate::nn::arguments::Argument>::write(&$default),
                    ),)*)?
                ],
                read: |fields| {
                    let layer = $Name {
                        $($($needed: fields.require(stringify!($needed))?,)*)?
                        $($($taken: fields.get(stringify!($taken))?.unwrap_or($default),)*)?
                    };
                    $crate::nn::arguments::usable(layer, fields)
                },
            };

            /// A layer with these required arguments and every default.
            fn with_defaults($($($needed: $Needed),*)?) -> $Name {
                $Name { $($($needed,)*)? $($($taken: $default,)*)? }
            }

            fn written(&self) -> Vec<(&'static str, toml::Value)> {
                let all: Vec<(&'static str, Option<toml::Value>)> = vec![
                    $($((stringify!($needed), $crate::nn::arguments::Argument::write(&self.$needed)),)*)?
                    $($((stringify!($taken), $crate::nn::arguments::Argument::write(&self.$taken)),)*)?
                ];
                all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
            }
        }
    };
}

/// Implements the name and the arguments of a layer declared with `layer!`.
macro_rules! described {
    () => {
        fn kind(&self) -> &'static str {
            Self::KIND.name
        }
        fn arguments(&self) -> Vec<(&'static str, toml::Value)> {
            self.written()
        }
    };
}

/// The same for a layer of spiking neurons, whose input and output have the shape `hidden_shape`.
macro_rules! described_neuron {
    () => {
        $crate::nn::arguments::described!();
        fn takes(&self) -> Vec<usize> {
            self.hidden_shape.clone()
        }
        fn output(&self, input: &[usize]) -> Result<Vec<usize>, String> {
            $crate::nn::layer::keeps(&self.hidden_shape, input)
        }
        fn fires(&self) -> bool {
            true
        }
    };
}

pub(super) use {described, described_neuron, layer};
