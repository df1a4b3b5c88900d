//! Builds the training step for `spiq inspect`, on a data set or on generated samples.

use std::path::Path;

use spiq::augment::Augmentation;
use spiq::compile::Program;
use spiq::data::{ArrayFile, Dataset};
use spiq::network::Network;
use spiq::optim::Optimizer;
use spiq::provenance::Provenance;
use spiq::train::{self, Options};
use spiq::{Array, DType, Function, Result, TensorType};

use super::recordings::{self, Recordings};

/// The training step program of a run on this many devices. Without a data set, it is built for as many samples as `x`, [T, B, …], has, of its type.
///
/// # Errors
/// Of kind `Input` or `File` for data that is unusable or does not fit the network.
pub fn program(
    network: &Network,
    x: &TensorType,
    devices: usize,
    data: Option<(&Path, &Recordings)>,
    (optimizer, augment): (&str, &Augmentation),
) -> Result<(Program, Function)> {
    let data = match data {
        None => {
            // Refuse inputs that do not fit or are too large before generating them.
            network.trace(x)?;
            made_up(x)?
        }
        Some((name, _)) if name.as_os_str() == "digits" => Dataset::digits(),
        Some((path, flags)) => {
            let reading = flags.reading(path, &Provenance::default())?;
            recordings::dataset(path, &reading, Some(network.classes()))?
        }
    };
    let (train, test) = data.split()?;
    train::steps(&Options {
        // No number in the optimizer's arguments changes the structure of its program.
        optimizer: Optimizer::named(optimizer, 1e-3, "constant")?,
        batch_size: x.dims[1],
        devices,
        time_steps: x.dims[0],
        augment: augment.clone(),
        ..Options::new(network.clone(), train, test, "")
    })
}

/// Generates samples [B, T, …]: all 1 for boolean inputs, else all 0.5.
fn made_up(x: &TensorType) -> Result<Dataset> {
    let (time, batch) = (x.dims[0], x.dims[1]);
    let dims = [&[batch, time], &x.dims[2..]].concat();
    let count = dims.iter().product();
    let samples = match x.dtype {
        DType::Pred => Array::new(dims, vec![1u8; count]),
        _ => Array::new(dims, vec![0.5f32; count]),
    };
    let labels = Array::new([batch], vec![0i32; batch]).expect("a label a sample");
    let arrays =
        [("inputs".to_owned(), samples.expect("a value for each element")), ("labels".to_owned(), labels)].into();
    Dataset::from_file(&ArrayFile { arrays, ..ArrayFile::default() }, "--step", None)
}
