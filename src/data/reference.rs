//! The arrays and metadata entries of a data file, and the formats of recordings, for `spiq help`.

use spiq_events::{FORMATS, KNOWN, SPEECH};

use super::dataset::{LABELS, TRAIN, VALIDATION};
use super::inputs::{IMAGES, INPUTS, MAX};
use super::reading::{CLASSES, SPEAKERS};
use crate::fields::Section;

/// The arrays of a data file by name.
const ARRAYS: [[&str; 3]; 4] = [
    [
        INPUTS,
        "numbers or booleans [N, T, …]",
        "Samples over time, instead of `images`: spikes, spike counts or values. N is the number of samples, T the number of time steps.",
    ],
    [
        IMAGES,
        "integers or floats [N, …]",
        "Samples without a time axis, encoded as spikes: integers from 0 to 255, or floats from 0 to 1.",
    ],
    [LABELS, "whole numbers [N], required", "The class of each sample, from 0."],
    [SPEAKERS, "whole numbers [N], optional", "The speaker of each sample, for `--test-speaker`."],
];

/// The metadata entries of a data file by name; in an `.npz` archive, numbers are arrays without axes.
const METADATA: [[&str; 3]; 5] = [
    [TRAIN, "number, optional", "Number of training samples, which come first; the others are for testing."],
    [VALIDATION, "number = 0", "Number of validation samples, between the training and the test samples."],
    [MAX, "number = 255", "The largest value of integer images."],
    [CLASSES, "text, optional", "Names of the classes, separated by commas."],
    [SPEAKERS, "text, optional", "Names of the speakers, separated by commas."],
];

/// The contents of data files: arrays, metadata entries, formats of recordings, data sets known by name.
pub fn keys() -> Vec<Section> {
    let rows = |rows: &[[&str; 3]]| rows.iter().map(|row| row.map(str::to_owned)).collect::<Vec<_>>();
    let formats = FORMATS.map(|format| [format.endings, format.name, format.contents].map(str::to_owned));
    let speech = [SPEECH, "built in", "Spoken digits as spikes of a cochlea."].map(str::to_owned);
    let known = KNOWN.iter().map(|known| [known.name, "after `spiq data fetch`", known.title].map(str::to_owned));
    vec![
        Section::of_rows(
            "Arrays",
            "A data file is a .safetensors file or an .npz archive with these arrays.",
            rows(&ARRAYS),
        ),
        Section::of_rows(
            "Metadata",
            "Entries of a .safetensors file's `__metadata__`; in an .npz archive, arrays without axes.",
            rows(&METADATA),
        ),
        Section::of_rows("Recordings of events", "A file, or a folder with one subfolder per class.", formats),
        Section::of_rows("Data sets by name", "", std::iter::once(speech).chain(known)),
    ]
}
