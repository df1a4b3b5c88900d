//! The field's data sets: where they come from, and the message if one is missing.

use std::fmt::Write;
use std::path::Path;

/// A named data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// The name as typed: `shd`.
    pub name: &'static str,
    /// The full title.
    pub title: &'static str,
    /// Its archives, the training part first.
    pub archives: &'static [Archive],
}

/// One file to download.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Archive {
    /// The download address.
    pub url: &'static str,
    /// Its local file name.
    pub file: &'static str,
    /// The md5 of the archive. For SHD and SSC, published lists differ in whether the md5 is that of the archive or of the file inside,
    /// so either is accepted.
    pub md5: &'static str,
    /// The file or folder inside.
    pub holds: &'static str,
}

/// A file of SHD or SSC.
macro_rules! zenke {
    ($name:literal, $md5:literal) => {
        Archive {
            url: concat!("https://zenkelab.org/datasets/", $name, ".zip"),
            file: concat!($name, ".zip"),
            md5: $md5,
            holds: $name,
        }
    };
}

/// All known data sets.
pub const KNOWN: [Known; 4] = [
    Known {
        name: "shd",
        title: "Spiking Heidelberg Digits (Cramer and others 2020): 20 spoken digits, 700 channels, 8,156 + 2,264 samples",
        archives: &[
            zenke!("shd_train.h5", "f3252aeb598ac776c1b526422d90eecb"),
            zenke!("shd_test.h5", "1503a5064faa34311c398fb0a1ed0a6f"),
        ],
    },
    Known {
        name: "ssc",
        title: "Spiking Speech Commands (Cramer and others 2020): 35 words, 700 channels, 75,466 + 9,981 + 20,382 samples",
        archives: &[
            zenke!("ssc_train.h5", "d102be95e7144fcc0553d1f45ba94170"),
            zenke!("ssc_valid.h5", "b4eee3516a4a90dd0c71a6ac23a8ae43"),
            zenke!("ssc_test.h5", "a35ff1e9cffdd02a20eb850c17c37748"),
        ],
    },
    Known {
        name: "nmnist",
        title: "N-MNIST (Orchard and others 2015): 10 digits before a moving camera, 34 x 34 x 2, 60,000 + 10,000 samples",
        archives: &[
            Archive {
                url: "https://data.mendeley.com/public-files/datasets/468j46mzdv/files/39c25547-014b-4137-a934-9d29fa53c7a0/file_downloaded",
                file: "train.zip",
                md5: "20959b8e626244a1b502305a9e6e2031",
                holds: "Train",
            },
            Archive {
                url: "https://data.mendeley.com/public-files/datasets/468j46mzdv/files/05a4d654-7e03-4c15-bdfa-9bb2bcbea494/file_downloaded",
                file: "test.zip",
                md5: "69ca8762b2fe404d9b9bad1103e97832",
                holds: "Test",
            },
        ],
    },
    Known {
        name: "dvsgesture",
        title: "DVS128 Gesture (Amir and others 2017), cut into gestures: 11 classes, 128 x 128 x 2",
        archives: &[
            Archive {
                url: "https://figshare.com/ndownloader/files/38022171",
                file: "ibmGestureTrain.tar.gz",
                md5: "3a8f0d4120a166bac7591f77409cb105",
                holds: "ibmGestureTrain",
            },
            Archive {
                url: "https://figshare.com/ndownloader/files/38020584",
                file: "ibmGestureTest.tar.gz",
                md5: "56070e45dadaa85fff82e0fbfbc06de5",
                holds: "ibmGestureTest",
            },
        ],
    },
];

impl Known {
    /// The data set with this name.
    pub fn named(name: &str) -> Option<&'static Known> {
        KNOWN.iter().find(|known| known.name == name.to_ascii_lowercase())
    }

    /// The message if it is missing, with what to do, in one sentence.
    pub fn missing(&self, folder: &Path) -> String {
        let mut text = format!("the data set {} is not at {}: ", self.name, folder.display());
        _ = write!(text, "`spiq data fetch {}` downloads it, or place these files there: ", self.name);
        for (place, archive) in self.archives.iter().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            _ = write!(text, "{comma}{} (from {}, md5 {})", archive.holds, archive.url, archive.md5);
        }
        text
    }
}
