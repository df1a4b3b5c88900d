//! Padding around an image under a moving window, and the number of window positions.

use spiq_hlo::{Tensor, concatenate, same_padding};
use toml::Value;
use toml::de::DeValue;

use super::arguments::Argument;
use crate::fields::{Field, LARGEST};

/// The padding around an image under a moving window, by flax's names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Padding {
    /// Zeros, so that the output has the size of the image divided by the strides, rounded up.
    Same,
    /// No padding.
    Valid,
    /// The image repeated, as on a torus.
    Circular,
    /// The image mirrored at its first and last element.
    Reflect,
    /// Zeros before the image only, so that no output depends on a later element. For one axis.
    Causal,
    /// This many zeros before and after each axis; a single pair applies to all axes.
    Explicit(Vec<(usize, usize)>),
}

const NAMED: [(&str, Padding); 5] = [
    ("SAME", Padding::Same),
    ("VALID", Padding::Valid),
    ("CIRCULAR", Padding::Circular),
    ("REFLECT", Padding::Reflect),
    ("CAUSAL", Padding::Causal),
];

impl Padding {
    /// Padding before and after axis `i` of the window's axes, which has this size; `window` includes its dilation.
    pub(super) fn of_axis(&self, i: usize, size: usize, window: usize, stride: usize) -> (usize, usize) {
        match self {
            Padding::Same => {
                let (low, high) = same_padding(size, window, stride);
                (low as usize, high as usize)
            }
            Padding::Valid => (0, 0),
            Padding::Circular | Padding::Reflect => ((window - 1) / 2, window / 2),
            Padding::Causal => (window - 1, 0),
            Padding::Explicit(pairs) => pairs[if pairs.len() == 1 { 0 } else { i }],
        }
    }

    /// Checks that it is valid for a window over this many axes.
    pub(super) fn check(&self, axes: usize) -> Result<(), String> {
        match self {
            Padding::Causal if axes != 1 => Err(format!("is CAUSAL, which is for one axis, not {axes}")),
            Padding::Explicit(pairs) if pairs.len() != 1 && pairs.len() != axes => {
                Err(format!("has {} pairs, but the window has {axes} axes", pairs.len()))
            }
            _ => Ok(()),
        }
    }

    /// Whether the padding repeats elements of the image.
    pub(super) fn is_of_the_image(&self) -> bool {
        matches!(self, Padding::Circular | Padding::Reflect)
    }

    /// The largest padding at one end that an axis of this size allows.
    pub(super) fn most(&self, size: usize) -> usize {
        match self {
            Padding::Circular => size,
            Padding::Reflect => size.saturating_sub(1),
            _ => LARGEST,
        }
    }

    /// The image padded along an axis with copies of its own elements.
    #[track_caller]
    pub(super) fn around(&self, x: &Tensor, axis: usize, (low, high): (usize, usize)) -> Tensor {
        let size = x.dims()[axis];
        let part = |start: usize, end: usize| x.slice_axis(axis as isize, start, end);
        let (before, after) = match self {
            Padding::Reflect => {
                let mirrored = |start, end| part(start, end).reverse(&[axis]);
                (mirrored(1, low + 1), mirrored(size - 1 - high, size - 1))
            }
            _ => (part(size - low, size), part(0, high)),
        };
        concatenate(&[&before, x, &after], axis as isize)
    }
}

/// The number of positions of a window along an axis that is already padded.
pub(super) fn places(size: usize, window: usize, stride: usize) -> usize {
    if size < window { 0 } else { (size - window) / stride + 1 }
}

/// In a file: a name, a number, or a list of numbers or pairs.
impl Field for Padding {
    const WHAT: &'static str = "\"SAME\", \"VALID\", \"CIRCULAR\", \"REFLECT\", \"CAUSAL\", a whole number from 0 up, or a list of such numbers or \
         pairs of them";
    const KIND: &'static str = "name or numbers";
    fn read(value: &DeValue<'_>) -> Option<Padding> {
        if let Some(name) = value.as_str() {
            return NAMED.into_iter().find(|(known, _)| *known == name).map(|(_, padding)| padding);
        }
        let pairs: Option<Vec<_>> = match value.as_array() {
            None => pair(value).map(|pair| vec![pair]),
            Some(items) => items.iter().map(|item| pair(item.get_ref())).collect(),
        };
        pairs.filter(|pairs| !pairs.is_empty()).map(Padding::Explicit)
    }
}

/// A number that applies to both ends, or one for each.
fn pair(value: &DeValue<'_>) -> Option<(usize, usize)> {
    let count = |value: &DeValue<'_>| usize::try_from(i64::read(value)?).ok().filter(|count| *count <= LARGEST);
    match value.as_array() {
        None => count(value).map(|count| (count, count)),
        Some(ends) if ends.len() == 2 => Some((count(ends[0].get_ref())?, count(ends[1].get_ref())?)),
        Some(_) => None,
    }
}

impl Argument for Padding {
    fn write(&self) -> Option<Value> {
        let count = |count: usize| Value::Integer(count as i64);
        let Padding::Explicit(pairs) = self else {
            let name = NAMED.iter().find(|(_, padding)| padding == self).map(|(name, _)| (*name).to_owned());
            return name.map(Value::String);
        };
        let pair = |(low, high): &(usize, usize)| Value::Array(vec![count(*low), count(*high)]);
        Some(Value::Array(pairs.iter().map(pair).collect()))
    }
}
