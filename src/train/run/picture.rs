//! The picture in a run's folder.

use std::path::{Path, PathBuf};

use crate::error::Result;

/// Draws the training curves of the run in `out`.
#[cfg(feature = "pictures")]
pub(super) fn draw(out: &Path, title: &str) -> Result<Option<PathBuf>> {
    use crate::data::replace_file;
    use crate::display::history;
    use crate::record::read_records;
    use crate::train::start::{METRICS, PICTURE};

    let svg = out.join(PICTURE);
    replace_file(&svg, history(&read_records(&out.join(METRICS))?, title).svg().as_bytes())?;
    Ok(Some(svg))
}

/// Draws nothing.
#[cfg(not(feature = "pictures"))]
pub(super) fn draw(_: &Path, _: &str) -> Result<Option<PathBuf>> {
    Ok(None)
}
