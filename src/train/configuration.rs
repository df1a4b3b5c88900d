//! Writes a network's configuration beside its trained parameters, for prediction.

use std::path::{Path, PathBuf};

use crate::data::replace_file;
use crate::error::Result;
use crate::network::Network;

/// Writes `model.toml` and, if anything is quantized, `rules.toml` to a folder; returns their paths.
pub(super) fn leave(network: &Network, folder: &Path) -> Result<Vec<PathBuf>> {
    let (model, rules) = (folder.join("model.toml"), folder.join("rules.toml"));
    replace_file(&model, network.config().to_toml().as_bytes())?;
    if network.rules().is_empty() {
        // Rules of an earlier run would be mistaken for this one's.
        drop(std::fs::remove_file(&rules));
        return Ok(vec![model]);
    }
    replace_file(&rules, network.rules().to_toml().as_bytes())?;
    Ok(vec![model, rules])
}
