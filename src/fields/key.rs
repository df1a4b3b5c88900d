//! A key that a table of a file accepts, with its documentation.

use toml::Value;

use super::reader::Field;

/// A key of a table, as `spiq help` prints it. Built by the definitions that parse the key.
#[derive(Clone, Copy)]
pub(crate) struct Key {
    /// Its name in the file.
    pub name: &'static str,
    /// The lines of its documentation.
    pub about: &'static [&'static str],
    /// The type of its value.
    pub kind: &'static str,
    /// The value if the key is absent.
    pub default: Absent,
}

/// What an absent key means.
#[derive(Clone, Copy)]
pub(crate) enum Absent {
    /// An error.
    Refused,
    /// This value, if there is one.
    Means(fn() -> Option<Value>),
}

impl Key {
    /// A key that its table requires.
    pub const fn required<T: Field>(name: &'static str, about: &'static [&'static str]) -> Key {
        Key { name, about, kind: T::KIND, default: Absent::Refused }
    }

    /// A key with a default.
    pub const fn optional<T: Field>(
        name: &'static str,
        about: &'static [&'static str],
        default: fn() -> Option<Value>,
    ) -> Key {
        Key { name, about, kind: T::KIND, default: Absent::Means(default) }
    }
}

impl Key {
    /// The value if the key is absent, if there is one.
    pub fn default_value(&self) -> Option<Value> {
        match self.default {
            Absent::Refused => None,
            Absent::Means(default) => default(),
        }
    }
}

/// The names of keys, in order.
pub(crate) fn names(keys: &[Key]) -> Vec<&'static str> {
    keys.iter().map(|key| key.name).collect()
}
