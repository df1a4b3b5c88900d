//! Statistics for static scales from a data set. Knows nothing of labels and files.

use std::collections::BTreeMap;

use spiq_hlo::Array;

use crate::data::Inputs;
use crate::error::{Error, Result};
use crate::network::Network;
use crate::pjrt::Client;
use crate::predict::{Settings, statistics};

/// The statistics that a network's static scales come from, by path, after a pass over samples in whole batches: what qwix
/// would gather in as many calls of the model. Samples that fill no batch are left out.
///
/// # Errors
/// Of kind `Input`: rules without static scales, parameters or inputs that do not fit the network; what PJRT says.
pub fn calibrate(
    client: &Client,
    network: &Network,
    params: &BTreeMap<String, Array>,
    inputs: &Inputs,
    settings: &Settings,
) -> Result<BTreeMap<String, Array>> {
    let found = statistics(client, network, params, inputs, settings)?;
    if found.is_empty() {
        return Err(Error::input("no rule has act_static_scale, so there is nothing to calibrate"));
    }
    Ok(found)
}
