//! Formats a transformation or schedule as the call that makes it: `adam(0.002, b1=0.8)`.

/// The call of a constructor: its arguments, then each field that differs from the constructor's default. The pattern lists all fields, so
/// that a new one cannot be forgotten.
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
