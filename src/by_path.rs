//! Tensors and their types by path, as parameters, state and statistics are kept: `core/layers/0/kernel`.

use std::collections::BTreeMap;

use regex::Regex;
use spiq_hlo::{Tensor, TensorType};

/// Tensors by path.
pub(crate) type Tensors = BTreeMap<String, Tensor>;
/// Types by path.
pub(crate) type Types = BTreeMap<String, TensorType>;

/// A pattern of paths: a regular expression that matches a whole path, or its last parts: `beta` matches `core/layers/1/beta`,
/// `layers/[02]/.*` all that layers 0 and 2 hold.
#[derive(Clone, Debug)]
pub struct PathPattern {
    text: String,
    regex: Regex,
}

impl PathPattern {
    /// The pattern of this text.
    ///
    /// # Errors
    /// A sentence for text that is no regular expression.
    pub fn new(text: &str) -> Result<PathPattern, String> {
        let regex = Regex::new(&format!("^(?:.*/)?(?:{text})$")).map_err(|error| {
            let reason = error.to_string();
            let reason = reason.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            format!("the path `{text}` is no regular expression: {reason}")
        })?;
        Ok(PathPattern { text: text.to_owned(), regex })
    }

    /// Whether a path is one of these.
    pub fn matches(&self, path: &str) -> bool {
        self.regex.is_match(path)
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }
}
