//! Describes arrays in a table: type, range, first values.

use std::collections::BTreeMap;

use spiq_hlo::Array;

use crate::table::Table;

/// Number of values in a row.
const SHOWN: usize = 6;

/// A table of one array: its type, range, mean and first values.
///
/// ```
/// use spiq::{Array, display};
/// let text = display::describe(&Array::new([3], [1.0f32, -2.0, 4.0])?).to_string();
/// assert!(text.contains("f32[3]  -2   4    1     1, -2, 4"));
/// # Ok::<(), spiq::ArrayError>(())
/// ```
pub fn describe(array: &Array) -> Table {
    Table::new(HEAD).row(cells(array))
}

/// A table of arrays by path, such as a model's parameters.
pub fn parameters(arrays: &BTreeMap<String, Array>) -> Table {
    let mut table = Table::new(["path"].into_iter().chain(HEAD));
    for (path, array) in arrays {
        table = table.row([path.clone()].into_iter().chain(cells(array)));
    }
    let count: usize = arrays.values().map(|array| array.ty().count()).sum();
    table.caption(format!("{} arrays, {count} elements", arrays.len()))
}

const HEAD: [&str; 5] = ["type", "min", "max", "mean", "values"];

fn cells(array: &Array) -> [String; 5] {
    let values = array.to_f64();
    let (low, high) = range(array).map_or(("-".into(), "-".into()), |(low, high)| (number(low), number(high)));
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let mean = if values.is_empty() { "-".into() } else { number(mean) };
    let first: Vec<String> = values.iter().take(SHOWN).map(|v| number(*v)).collect();
    let more = if values.len() > SHOWN { ", …" } else { "" };
    [array.ty().to_string(), low, high, mean, format!("{}{more}", first.join(", "))]
}

/// The smallest and largest finite value.
pub(super) fn range(array: &Array) -> Option<(f64, f64)> {
    let finite = array.to_f64().into_iter().filter(|v| v.is_finite());
    finite.fold(None, |seen, v| Some(seen.map_or((v, v), |(low, high): (f64, f64)| (low.min(v), high.max(v)))))
}

/// A number with four digits, without trailing zeros.
pub(super) fn number(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return if value == 0.0 { "0".to_owned() } else { value.to_string() };
    }
    let places = 3 - value.abs().log10().floor() as i32;
    if !(-3..=8).contains(&places) {
        return format!("{value:.3e}");
    }
    let text = format!("{value:.*}", places.max(0) as usize);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers_have_four_digits() {
        let cases = [(0.0, "0"), (1.0, "1"), (-0.25, "-0.25"), (0.2541166841983795, "0.2541"), (123456.0, "123456")];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
        assert_eq!(number(1.5e-9), "1.500e-9");
        assert_eq!(number(f64::NEG_INFINITY), "-inf");
    }
}
