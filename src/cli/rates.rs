//! Spike rates of layers: in the order of the layers, with those that never fire marked.

use std::collections::BTreeMap;

use super::screen;

/// Rates by path, in the order of the layers: layer 2 before layer 10.
pub fn in_order(rates: &BTreeMap<String, f32>) -> Vec<(&str, f32)> {
    let mut rates: Vec<(&str, f32)> = rates.iter().map(|(path, rate)| (path.as_str(), *rate)).collect();
    rates.sort_by_key(|(path, _)| place(path));
    rates
}

/// A key that sorts paths by the numbers in them.
pub fn place(path: &str) -> Vec<(Option<u64>, &str)> {
    path.split('/').map(|part| (part.parse().ok(), part)).collect()
}

/// The text of a rate.
pub fn shown(rate: f32) -> String {
    if rate == 0.0 { "0, never fires".to_owned() } else { format!("{rate:.4}") }
}

/// Prints a warning about the layers that never fire on these samples.
pub fn warn(rates: &BTreeMap<String, f32>, samples: &str) {
    let silent: Vec<&str> =
        in_order(rates).into_iter().filter(|(_, rate)| *rate == 0.0).map(|(path, _)| path).collect();
    if !silent.is_empty() {
        let (verb, its) = if silent.len() == 1 { ("fires", "its") } else { ("fire", "their") };
        screen::note(&format!(
            "warning: {} never {verb} on {samples}, so nothing passes through; lower {its} `threshold`, or scale up {its} input",
            silent.join(", ")
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_in_the_order_of_their_numbers() {
        let rates = ["core/layers/10", "core/layers/2", "core/layers/1"].map(|path| (path.to_owned(), 0.5)).into();
        let order: Vec<&str> = in_order(&rates).into_iter().map(|(path, _)| path).collect();
        assert_eq!(order, ["core/layers/1", "core/layers/2", "core/layers/10"]);
    }

    #[test]
    fn small_rates_are_not_silence() {
        assert_eq!([0.0, 0.25, 1e-9].map(shown), ["0, never fires", "0.2500", "0.0000"]);
    }
}
