//! Enums whose variants have named arguments: parsed from calls, written back as text, described in help texts.

use toml::Value;

pub use super::calls::Call;
use super::error::Error;
pub use super::error::Result;
use super::nearest::nearest;
use crate::numbers::{HELD_BY_F32, in_f32, is_out_of_f32, shown};

/// A type that an argument can have.
pub trait Argument: Sized {
    /// Describes such a value in messages: `a number`.
    const WANTED: &'static str;

    /// The value; `None` if `value` has another type.
    fn read(value: &Value) -> Option<Self>;

    /// The value as text, which [`read`](Argument::read) parses again; `None` for an argument that is left out.
    fn text(&self) -> Option<String>;

    /// The default value; `None` if the argument is required.
    fn absent() -> Option<Self> {
        None
    }
}

impl Argument for f64 {
    const WANTED: &'static str = "a number";

    fn read(value: &Value) -> Option<f64> {
        let number = value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64))?;
        in_f32(number).then_some(number)
    }

    fn text(&self) -> Option<String> {
        Some(number(*self))
    }
}

/// The shortest text of a number that TOML reads.
fn number(x: f64) -> String {
    // Written as an integer, a large one would overflow.
    if x.fract() == 0.0 && x.abs() < 1e15 { format!("{x}") } else { format!("{x:?}") }
}

impl Argument for usize {
    const WANTED: &'static str = "a whole number from 0";

    fn read(value: &Value) -> Option<usize> {
        // Anything above u32 is a mistake; with this limit, sums cannot overflow.
        value.as_integer().and_then(|whole| u32::try_from(whole).ok()).map(|whole| whole as usize)
    }

    fn text(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Argument for i64 {
    const WANTED: &'static str = "a whole number";

    fn read(value: &Value) -> Option<i64> {
        value.as_integer()
    }

    fn text(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Argument for bool {
    const WANTED: &'static str = "true or false";

    fn read(value: &Value) -> Option<bool> {
        value.as_bool()
    }

    fn text(&self) -> Option<String> {
        Some(self.to_string())
    }
}

/// An optional argument.
impl<T: Argument> Argument for Option<T> {
    const WANTED: &'static str = T::WANTED;

    fn read(value: &Value) -> Option<Option<T>> {
        T::read(value).map(Some)
    }

    fn text(&self) -> Option<String> {
        self.as_ref().and_then(Argument::text)
    }

    fn absent() -> Option<Option<T>> {
        Some(None)
    }
}

/// Numbers, such as coordinates of pixels.
impl<T: Argument> Argument for Vec<T> {
    const WANTED: &'static str = "a list";

    fn read(value: &Value) -> Option<Vec<T>> {
        value.as_array()?.iter().map(T::read).collect()
    }

    fn text(&self) -> Option<String> {
        let items: Vec<String> = self.iter().filter_map(Argument::text).collect();
        Some(format!("[{}]", items.join(", ")))
    }
}

/// A number, or a range from which one is drawn per sample, like tonic's tuples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span {
    /// The lower bound.
    pub low: f64,
    /// The upper bound, exclusive when drawing.
    pub high: f64,
}

impl Span {
    /// The single number `number`.
    pub const fn of(number: f64) -> Span {
        Span { low: number, high: number }
    }

    /// Whether the span is a single number.
    pub fn is_one(&self) -> bool {
        self.low == self.high
    }

    /// Linear interpolation: `low` at `part` = 0, `high` at 1.
    pub fn at(&self, part: f64) -> f64 {
        self.low + (self.high - self.low) * part
    }

    /// Whether the span lies within `[low, high]`.
    pub fn is_within(&self, low: f64, high: f64) -> bool {
        low <= self.low && self.high <= high
    }
}

impl Argument for Span {
    const WANTED: &'static str = "a number or two, `[low, high]`";

    fn read(value: &Value) -> Option<Span> {
        let Some(ends) = value.as_array() else { return f64::read(value).map(Span::of) };
        let [low, high] = ends.as_slice() else { return None };
        let span = Span { low: f64::read(low)?, high: f64::read(high)? };
        (span.low <= span.high).then_some(span)
    }

    fn text(&self) -> Option<String> {
        let [low, high] = [self.low, self.high].map(number);
        Some(if self.is_one() { low } else { format!("[{low}, {high}]") })
    }
}

/// One number for columns and one for rows; a single number applies to both.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair<T> {
    /// Along columns.
    pub x: T,
    /// Along rows.
    pub y: T,
}

impl<T: Argument + Copy + PartialEq> Argument for Pair<T> {
    const WANTED: &'static str = "a number or two, `[x, y]`";

    fn read(value: &Value) -> Option<Pair<T>> {
        let Some(both) = value.as_array() else { return T::read(value).map(|both| Pair { x: both, y: both }) };
        let [x, y] = both.as_slice() else { return None };
        Some(Pair { x: T::read(x)?, y: T::read(y)? })
    }

    fn text(&self) -> Option<String> {
        let (x, y) = (self.x.text()?, self.y.text()?);
        Some(if self.x == self.y { x } else { format!("[{x}, {y}]") })
    }
}

/// The arguments of a call, taken one by one.
pub struct Arguments<'a> {
    call: &'a Call,
    known: &'static [&'static str],
}

impl<'a> Arguments<'a> {
    /// The arguments of a call that accepts the keys `known`.
    ///
    /// # Errors
    /// `Input` for a key outside `known`; the message suggests the nearest one.
    pub fn of(call: &'a Call, known: &'static [&'static str]) -> Result<Arguments<'a>> {
        match call.arguments.keys().find(|key| !known.contains(&key.as_str())) {
            None => Ok(Arguments { call, known }),
            Some(key) if known.is_empty() => {
                Err(Error::input(format!("`{}` takes no arguments, but `{key}` was given", call.name)))
            }
            Some(key) => {
                let hint = nearest(key, known.iter().copied()).map(|near| format!("did you mean `{near}`? "));
                let (hint, known) = (hint.unwrap_or_default(), known.join(", "));
                Err(Error::input(format!("`{}` has no argument `{key}`; {hint}it takes {known}", call.name)))
            }
        }
    }

    /// The value of `key`, else `default` (as text), else the type's own default.
    ///
    /// # Errors
    /// `Input` for a value of another type, or if a required argument is missing.
    pub fn take<T: Argument>(&self, key: &'static str, default: Option<&'static str>) -> Result<T> {
        debug_assert!(self.known.contains(&key), "a key that `of` refuses");
        let name = &self.call.name;
        if let Some(value) = self.call.arguments.get(key) {
            let wanted = if is_out_of_f32(value) { HELD_BY_F32 } else { T::WANTED };
            return T::read(value)
                .ok_or_else(|| Error::input(format!("`{key}` of `{name}` is {}, but must be {wanted}", shown(value))));
        }
        let default = default.map(|text| value(text).as_ref().and_then(T::read).expect("a default of its own type"));
        default
            .or_else(T::absent)
            .ok_or_else(|| Error::input(format!("`{name}` needs `{key}`, {}: `{name}({key} = …)`", T::WANTED)))
    }
}

/// Parses a TOML value.
fn value(text: &str) -> Option<Value> {
    toml::from_str::<toml::Table>(&format!("value = {text}")).ok()?.remove("value")
}

/// The message for an unknown name; suggests the nearest known one.
pub(crate) fn unknown(what: &str, name: &str, known: impl Iterator<Item = &'static str> + Clone) -> String {
    let hint = nearest(name, known.clone()).map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
    format!("there is no {what} `{name}`; {hint}available: {}", known.collect::<Vec<_>>().join(", "))
}

/// The entry of a named item in help texts.
#[derive(Clone, Copy, Debug)]
pub struct Described {
    /// The name.
    pub name: &'static str,
    /// The help text.
    pub about: &'static [&'static str],
    /// The arguments as typed, with their defaults: `p = 0.5`.
    pub arguments: &'static [&'static str],
}

impl Described {
    /// The error for a name that the table does not contain. `what` is the noun for its items: `transform`.
    pub fn no_such(what: &str, table: &'static [Described], name: &str) -> Error {
        Error::input(unknown(what, name, table.iter().map(|row| row.name)))
    }

    /// The rows of a table as help text, wrapped to its line width.
    pub fn help(table: &[Described]) -> String {
        let line = |row: &Described| {
            let about: Vec<&str> = row.about.iter().map(|line| line.trim()).collect();
            format!("  {}({})\n{}", row.name, row.arguments.join(", "), wrapped(&about.join(" ")))
        };
        table.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

/// Wraps text at 118 characters, indented.
fn wrapped(text: &str) -> String {
    let mut lines = vec!["     ".to_owned()];
    for word in text.split_whitespace() {
        let last = lines.last_mut().expect("one at least");
        if last.chars().count() + word.chars().count() < 118 {
            last.push(' ');
            last.push_str(word);
        } else {
            lines.push(format!("      {word}"));
        }
    }
    lines.join("\n")
}

/// Defines an enum of items with arguments: each row is a documented variant, its fields are the arguments, optionally with a default.
/// Generates `TABLE` (rows for help texts), `of` (from a [`Call`]) and `text` (back to text).
#[macro_export]
macro_rules! named {
    (
        $(#[$doc:meta])*
        pub enum $Enum:ident, $what:literal;
        $($(#[doc = $about:literal])* $Name:ident { $($(#[doc = $key_about:literal])* $key:ident: $Ty:ty $(= $default:expr)?),* $(,)? })*
    ) => {
        #[derive(Clone, Debug, PartialEq)]
        $(#[$doc])*
        pub enum $Enum {
            $($(#[doc = $about])* $Name { $($(#[doc = $key_about])* $key: $Ty),* },)*
        }

        impl $Enum {
            /// Names, descriptions and arguments.
            pub const TABLE: &'static [$crate::arguments::Described] = &[$($crate::arguments::Described {
                name: stringify!($Name),
                about: &[$($about),*],
                arguments: &[$(concat!(stringify!($key) $(, " = ", stringify!($default))?)),*],
            }),*];

            /// Parses a call.
            ///
            /// # Errors
            /// `Input` for an unknown name or key (the message suggests the nearest), or for a value of another type.
            pub fn of(call: &$crate::arguments::Call) -> $crate::arguments::Result<$Enum> {
                match call.name.as_str() {
                    $(stringify!($Name) => {
                        let _arguments = $crate::arguments::Arguments::of(call, &[$(stringify!($key)),*])?;
                        Ok($Enum::$Name { $($key: _arguments.take(
                            stringify!($key),
                            None::<&'static str>$(.or(Some(stringify!($default))))?,
                        )?),* })
                    })*
                    name => Err($crate::arguments::Described::no_such($what, $Enum::TABLE, name)),
                }
            }

            /// The call as text, with all arguments written out.
            pub fn text(&self) -> String {
                match self {
                    $($Enum::$Name { $($key),* } => {
                        let arguments: &[Option<String>] = &[$(
                            $crate::arguments::Argument::text($key).map(|value| format!("{} = {value}", stringify!($key)))
                        ),*];
                        match arguments.iter().flatten().cloned().collect::<Vec<_>>().join(", ") {
                            arguments if arguments.is_empty() => stringify!($Name).to_owned(),
                            arguments => format!("{}({arguments})", stringify!($Name)),
                        }
                    })*
                }
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::calls;

    named! {
        /// Things of a test.
        pub enum Thing, "thing";
        /// Has every type of argument.
        All {
            /// A number.
            number: f64,
            /// A span.
            span: Span = 0.5,
            /// A count.
            count: usize = 3,
            /// Maybe.
            maybe: Option<i64>,
            /// Whether.
            whether: bool = true,
        }
        /// Has none.
        Bare {}
    }

    fn read(text: &str) -> Result<Thing> {
        Thing::of(&calls(text)?[0])
    }

    #[test]
    fn a_text_gives_what_it_was_made_from() {
        let texts = [
            "All(number = 0.1, span = [0.25, 0.5], count = 0, maybe = -3, whether = false)",
            "All(number = 5, span = 0.5, count = 3, whether = true)",
            "Bare",
        ];
        for text in texts {
            assert_eq!(read(text).unwrap().text(), text);
        }
        assert_eq!(read("All(number = 5)").unwrap(), read(texts[1]).unwrap());
        for number in ["1e-30", "1e30", "-0.0", "0.1", "123456789012"] {
            let thing = read(&format!("All(number = {number})")).unwrap();
            assert_eq!(read(&thing.text()).unwrap(), thing);
        }
        for number in ["1e-300", "1e300"] {
            assert!(read(&format!("All(number = {number})")).unwrap_err().to_string().contains("f32's range"));
        }
    }

    #[test]
    fn what_is_not_there_is_refused_with_the_nearest() {
        let refused = |text: &str| read(text).unwrap_err().to_string();
        assert_eq!(refused("Al(number = 1)"), "there is no thing `Al`; did you mean `All`? available: All, Bare");
        assert_eq!(
            refused("All(nunber = 1)"),
            "`All` has no argument `nunber`; did you mean `number`? it takes number, span, count, maybe, whether"
        );
        assert_eq!(refused("Bare(x = 1)"), "`Bare` takes no arguments, but `x` was given");
        assert_eq!(refused("All"), "`All` needs `number`, a number: `All(number = …)`");
        assert_eq!(refused("All(number = true)"), "`number` of `All` is true, but must be a number");
        assert_eq!(
            refused("All(number = 1, span = [2, 1])"),
            "`span` of `All` is [2, 1], but must be a number or two, `[low, high]`"
        );
        for wrong in ["count = -1", "count = 0.5", "count = 5000000000", "number = inf", "number = nan", "maybe = 1.5"]
        {
            assert!(read(&format!("All({wrong})")).is_err(), "{wrong}");
        }
    }
}
