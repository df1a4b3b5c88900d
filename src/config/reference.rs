//! The keys of `model.toml`, from the definitions that read them.

use super::model::{KEYS, layer_keys};
use crate::fields::Section;
use crate::nn::{KINDS, Surrogate};

impl super::ModelConfig {
    /// The keys of `model.toml`: those of the file, of each layer, and of each surrogate derivative.
    ///
    /// ```
    /// use spiq::config::ModelConfig;
    /// let sections = ModelConfig::keys();
    /// let lif = sections.iter().find(|section| section.title == "LIF").expect("a layer");
    /// let threshold = lif.keys.iter().find(|key| key.name == "threshold").expect("a key");
    /// assert_eq!(threshold.value, "number = 1.0");
    /// ```
    pub fn keys() -> Vec<Section> {
        let file = Section::new("model.toml", &[], &KEYS);
        let layers = KINDS.iter().map(|kind| Section::new(kind.name, kind.about, &layer_keys(kind)));
        std::iter::once(file).chain(layers).chain(Surrogate::sections()).collect()
    }
}
