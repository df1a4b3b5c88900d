//! Tensors and their types by path, for parameters, state and statistics: `core/layers/0/kernel`.

use std::collections::BTreeMap;

use regex::Regex;
use spiq_hlo::{Tensor, TensorType};

/// Tensors by path.
pub(crate) type Tensors = BTreeMap<String, Tensor>;
/// Types by path.
pub(crate) type Types = BTreeMap<String, TensorType>;

/// A pattern of paths: a regular expression that matches a whole path or its trailing parts: `beta` matches `core/layers/1/beta`,
/// `layers/[02]/.*` matches everything in layers 0 and 2.
#[derive(Clone, Debug)]
pub struct PathPattern {
    text: String,
    regex: Regex,
}

impl PathPattern {
    /// The pattern of this text.
    ///
    /// # Errors
    /// A sentence for text that is not a regular expression.
    pub fn new(text: &str) -> Result<PathPattern, String> {
        let regex = Regex::new(&format!("^(?:.*/)?(?:{text})$")).map_err(|error| {
            let reason = error.to_string();
            let reason = reason.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            format!("the path `{text}` is not a regular expression: {reason}")
        })?;
        Ok(PathPattern { text: text.to_owned(), regex })
    }

    /// Whether the pattern matches a path.
    pub fn matches(&self, path: &str) -> bool {
        self.regex.is_match(path)
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }
}
