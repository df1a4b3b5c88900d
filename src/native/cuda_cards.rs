//! The NVIDIA cards that a CUDA plugin can describe, read from XLA's descriptions embedded in the plugin file.

use std::path::Path;

use regex::bytes::Regex;

use crate::error::{Error, Result};

/// A card's name and its `GpuTargetConfigProto` as text.
#[derive(Debug)]
pub(super) struct Card {
    pub(super) name: String,
    pub(super) config: String,
}

/// The first full card in the plugin file whose name contains `word`; MIG slices and PCIe cards only if named.
///
/// # Errors
/// Kind `File` if the plugin cannot be read; kind `Input`, with the available cards, if none matches.
pub(super) fn find(plugin: &Path, word: &str) -> Result<Card> {
    let bytes = std::fs::read(plugin).map_err(|e| Error::file(plugin, "read", e))?;
    let cards = cards(&bytes);
    let fits = |card: &&Card| {
        let name = card.name.to_lowercase();
        let lesser = ["mig", "pcie"].iter().any(|part| name.contains(part) && !word.contains(part));
        !lesser && word.split(['-', '_']).all(|part| name.split(' ').any(|piece| piece.contains(part)))
    };
    let known: Vec<String> = cards.iter().map(|card| card.name.clone()).collect();
    cards
        .iter()
        .find(fits)
        .map(|card| Card { name: card.name.clone(), config: card.config.clone() })
        .ok_or_else(|| Error::input(format!("the plugin has no card `{word}`; available: {}", known.join(", "))))
}

fn cards(bytes: &[u8]) -> Vec<Card> {
    let name = Regex::new(r#"device_description_str: "(NVIDIA|Tesla) [^"]*""#).expect("a fixed expression");
    let card = |found: regex::bytes::Match| {
        let start = bytes[..found.start()].iter().rposition(|&b| b == 0).map_or(0, |at| at + 1);
        let length = bytes[start..].iter().position(|&b| b == 0)?;
        let config = std::str::from_utf8(&bytes[start..start + length]).ok()?;
        let name = std::str::from_utf8(found.as_bytes()).ok()?.split('"').nth(1)?;
        config.contains("gpu_device_info {").then(|| Card { name: name.to_owned(), config: config.to_owned() })
    };
    name.find_iter(bytes).filter_map(card).collect()
}

#[cfg(test)]
mod tests {
    use super::cards;

    #[test]
    fn texts_between_zeros() {
        let text = "\0junk\0gpu_device_info {\n}\ndevice_description_str: \"NVIDIA H100 PCIe\"\n\0more\0";
        let found = cards(text.as_bytes());
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].name, "NVIDIA H100 PCIe");
        assert!(found[0].config.starts_with("gpu_device_info"));
    }
}
