//! The two files of a network beside its trained parameters, from which it is predicted with.

use std::path::{Path, PathBuf};

use crate::data::replace_file;
use crate::error::Result;
use crate::network::Network;

/// Leaves `model.toml` and, where something is quantized, `rules.toml` in a folder; gives their paths.
pub(super) fn leave(network: &Network, folder: &Path) -> Result<Vec<PathBuf>> {
    let (model, rules) = (folder.join("model.toml"), folder.join("rules.toml"));
    replace_file(&model, network.config().to_toml().as_bytes())?;
    if network.rules().is_empty() {
        // Those of an earlier run would be taken for this one's.
        drop(std::fs::remove_file(&rules));
        return Ok(vec![model]);
    }
    replace_file(&rules, network.rules().to_toml().as_bytes())?;
    Ok(vec![model, rules])
}
