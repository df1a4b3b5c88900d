//! The rows, columns and polarities of a sample's features.

use crate::error::{Error, Result};

/// The features of a time step: channels are columns of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Rows of a sensor; 1 for channels.
    pub rows: usize,
    /// Columns of a sensor, or channels.
    pub columns: usize,
    /// Polarities.
    pub polarities: usize,
}

impl Layout {
    /// The layout of features `[channels]`, `[height, width]` or `[height, width, polarity]`, as recordings are packed.
    ///
    /// # Errors
    /// Of kind `Input` for more axes.
    pub fn of(features: &[usize]) -> Result<Layout> {
        let (rows, columns, polarities) = match *features {
            [] => (1, 1, 1),
            [channels] => (1, channels, 1),
            [height, width] => (height, width, 1),
            [height, width, polarities] => (height, width, polarities),
            _ => {
                return Err(Error::input(format!(
                    "samples of {} axes a time step cannot be augmented; give them as [channels], [height, width] or \
                     [height, width, polarity]",
                    features.len()
                )));
            }
        };
        Ok(Layout { rows, columns, polarities })
    }
}
