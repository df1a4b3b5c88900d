//! The networks of benches/ACCURACY.md, with their data and flags.

use super::trained::Run;

/// A network with its data and bit widths.
pub struct Row {
    /// Its name in the table.
    pub name: &'static str,
    /// Flags of `spiq train`, separated by spaces.
    pub flags: &'static str,
}

/// A data set and its split.
pub struct Split {
    /// The heading of its table.
    pub title: &'static str,
    /// Its name on the command line.
    pub called: &'static str,
    /// An explanation of the table beyond the title.
    pub about: &'static str,
    /// Flags, one set per part; a row's number is the mean over all parts.
    pub parts: &'static [&'static str],
    rows: &'static [&'static [Row]],
    /// The seeds for each part.
    pub seeds: &'static [u64],
}

/// A network in four arithmetics.
macro_rules! in_all_bits {
    ($name:literal, $flags:literal) => {
        [
            Row { name: concat!($name, ", fp32"), flags: concat!($flags, " --rules none") },
            Row { name: concat!($name, ", int8"), flags: concat!($flags, " --rules int8") },
            Row { name: concat!($name, ", int4 weights"), flags: concat!($flags, " --rules int4,int8") },
            Row { name: concat!($name, ", 1.58-bit weights"), flags: concat!($flags, " --rules ternary,int8") },
        ]
    };
}

const SPEECH: &[&[Row]] = &[
    &in_all_bits!("with delays", "--recipe speech"),
    &in_all_bits!("without delays", "--recipe speech --model benches/accuracy/speech-without-delays.toml"),
];
const DIGITS: &[&[Row]] = &[
    &in_all_bits!("without delays", "--recipe digits"),
    &in_all_bits!("with delays", "--recipe digits --model benches/accuracy/digits-with-delays.toml"),
];

/// The network and training of Spyx's tutorial.
const TUTORIAL: &[&[Row]] = &[&[
    Row { name: "fp32", flags: "--recipe spyx --rules none" },
    Row { name: "int8", flags: "--recipe spyx --rules int8" },
    Row { name: "int4 weights", flags: "--recipe spyx --rules int4,int8" },
]];

/// Ablations: the recipe `speech` with one component removed or replaced. [`SPEECH`] covers delays and bit widths.
const CHANGED: &[&[Row]] = &[&[
    Row { name: "unchanged, int8", flags: "--recipe speech --rules int8" },
    Row {
        name: "no delays",
        flags: "--recipe speech --model benches/accuracy/speech-without-delays.toml --rules int8",
    },
    Row {
        name: "no BatchNorm",
        flags: "--recipe speech --model benches/accuracy/speech-without-norm.toml --rules int8",
    },
    Row {
        name: "no Equalize",
        flags: "--recipe speech --model benches/accuracy/speech-without-equalize.toml --rules int8",
    },
    Row {
        name: "Equalize without variation",
        flags: "--recipe speech --model benches/accuracy/speech-without-varied-sound.toml --rules int8",
    },
    Row { name: "no augmentation", flags: "--recipe speech --augment none --rules int8" },
    Row {
        name: "no dropout",
        flags: "--recipe speech --model benches/accuracy/speech-without-dropout.toml --rules int8",
    },
    Row {
        name: "arctan instead of triangular",
        flags: "--recipe speech --model benches/accuracy/speech-arctan.toml --rules int8",
    },
    Row {
        name: "adaptive neurons instead of LIF",
        flags: "--recipe speech --model benches/accuracy/speech-adaptive.toml --rules int8",
    },
    Row { name: "fp32", flags: "--recipe speech --rules none" },
    Row { name: "int4 weights", flags: "--recipe speech --rules int4,int8" },
    Row { name: "1.58-bit weights", flags: "--recipe speech --rules ternary,int8" },
]];

/// All bit widths on unseen speakers, and the two ablations that were better than the recipe on the held-out speakers of [`CHANGED`].
const UNSEEN: &[&[Row]] = &[
    SPEECH[0],
    SPEECH[1],
    &[
        Row {
            name: "with delays, without BatchNorm, int8",
            flags: "--recipe speech --model benches/accuracy/speech-without-norm.toml --rules int8",
        },
        Row { name: "with delays, without augmentation, int8", flags: "--recipe speech --augment none --rules int8" },
    ],
];

const SPEAKERS: &[&str] = &[
    "--test-speaker george",
    "--test-speaker jackson",
    "--test-speaker lucas",
    "--test-speaker nicolas",
    "--test-speaker theo",
];

/// All tables, in page order.
pub const SPLITS: &[Split] = &[
    Split { title: "Handwritten digits", called: "digits", about: "", parts: &[""], rows: DIGITS, seeds: &[0, 1, 2] },
    Split {
        title: "Handwritten digits, the network of Spyx's tutorial",
        called: "tutorial",
        about: "Spyx 1.0.0 with qwix 0.1.8 and JAX 0.10.2 on the same number of samples of the same data, with the same steps, seeds 0, 1 and 2, last \
                epoch (`tests/reference/digits_recipe.py --train 1293`): fp32 93.1 ± 1.5, int8 92.6 ± 0.4, int4 weights 90.6 ± 1.6.",
        parts: &[""],
        rows: TUTORIAL,
        seeds: &[0, 1, 2],
    },
    Split {
        title: "Spoken digits, the official split",
        called: "own",
        about: "",
        parts: &[""],
        rows: SPEECH,
        seeds: &[0, 1, 2],
    },
    Split {
        title: "Spoken digits, ablation",
        called: "changed",
        about: "Held-out speakers: jackson and theo, which did not influence any choice.",
        parts: &["--test-speaker jackson", "--test-speaker theo"],
        rows: CHANGED,
        seeds: &[0, 1, 2],
    },
    Split {
        title: "Spoken digits, unseen speakers",
        called: "unseen",
        about: "Each of the five speakers in turn is held out of training. The architecture was selected on george and lucas.",
        parts: SPEAKERS,
        rows: UNSEEN,
        seeds: &[0, 1, 2],
    },
];

impl Split {
    /// Its networks, in table order.
    pub fn rows(&self) -> Vec<&'static Row> {
        self.rows.iter().copied().flatten().collect()
    }

    /// The runs of all rows.
    pub fn runs(&self) -> Vec<Run> {
        let rows = 0..self.rows().len();
        rows.flat_map(|row| self.runs_of(row)).collect()
    }

    /// The runs of a row: each part with each seed.
    pub fn runs_of(&self, row: usize) -> Vec<Run> {
        let of = |part: usize, seed: u64| {
            let words = self.rows()[row].flags.split_whitespace().chain(self.parts[part].split_whitespace());
            Run::of(words.map(str::to_owned).chain(["--seed".to_owned(), seed.to_string()]).collect())
        };
        let parts = 0..self.parts.len();
        parts.flat_map(|part| self.seeds.iter().map(move |seed| of(part, *seed))).collect()
    }
}
