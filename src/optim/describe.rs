//! A transformation or schedule as the call that makes it: `adam(0.002, b1=0.8)`. Depends on no particular one.

/// The call of a constructor: its own arguments, then each field that is not the constructor's default. All fields are named
/// here, so that one that is added is not forgotten.
macro_rules! described {
    ($of:expr, $ty:ident = $name:literal($($argument:ident),+; $($field:ident),*), $default:expr) => {{
        let ($ty { $($argument,)+ $($field),* }, default) = ($of, $default);
        let arguments = [$($argument.to_string()),+];
        let changed = [$((*$field != default.$field).then(|| format!("{}={:?}", stringify!($field), $field))),*];
        let all: Vec<String> = arguments.into_iter().chain(changed.into_iter().flatten()).collect();
        format!("{}({})", $name, all.join(", "))
    }};
}

pub(super) use described;
