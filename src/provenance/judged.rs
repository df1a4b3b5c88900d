//! How a run is judged: validation samples, patience, the best epoch.

use super::entry::Entry;

/// The training samples that are held out to choose the best epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Validation {
    /// None: all samples are used for training, and no epoch is chosen.
    #[default]
    None,
    /// The data set's own validation samples.
    Own,
    /// This fraction of the training samples, above 0 and below 1.
    Share(f64),
    /// This number of training samples.
    Samples(usize),
    /// One of several folds of the training samples.
    Fold {
        /// The number of the fold, from 1.
        number: usize,
        /// Number of folds.
        of: usize,
    },
}

impl Validation {
    /// The text used by `--validation` and in files: `none`, `own`, `0.1`, `144`, `fold 1 of 5`.
    pub fn text(&self) -> String {
        match self {
            Validation::None => "none".to_owned(),
            Validation::Own => "own".to_owned(),
            Validation::Share(share) => share.to_string(),
            Validation::Samples(count) => count.to_string(),
            Validation::Fold { number, of } => format!("fold {number} of {of}"),
        }
    }

    /// Parses the text; `None` if it is invalid.
    pub fn parse(text: &str) -> Option<Validation> {
        let share = |text: &str| text.parse().ok().filter(|share: &f64| *share > 0.0 && *share < 1.0);
        match text {
            "none" => Some(Validation::None),
            "own" => Some(Validation::Own),
            _ => match text.strip_prefix("fold ") {
                Some(fold) => {
                    let (number, of) = fold.split_once(" of ")?;
                    Some(Validation::Fold { number: usize::parse(number)?, of: usize::parse(of)? })
                }
                None => usize::parse(text).map(Validation::Samples).or_else(|| share(text).map(Validation::Share)),
            },
        }
    }
}

impl Entry for Validation {
    fn text(&self) -> String {
        Validation::text(self)
    }

    fn parse(text: &str) -> Option<Validation> {
        Validation::parse(text)
    }
}

/// How long a run continues without a better epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Patience {
    /// Until its end.
    #[default]
    None,
    /// This number of epochs.
    Epochs(usize),
}

impl Entry for Patience {
    fn text(&self) -> String {
        match self {
            Patience::None => "none".to_owned(),
            Patience::Epochs(epochs) => epochs.to_string(),
        }
    }

    fn parse(text: &str) -> Option<Patience> {
        if text == "none" { Some(Patience::None) } else { usize::parse(text).map(Patience::Epochs) }
    }
}

/// The best epoch of a run so far, by the metric over the validation samples; the first one if several are equal.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Best {
    /// The epoch, from 1.
    pub epoch: usize,
    /// The mean of the metric over the validation samples: the accuracy, unless another metric is given.
    pub validation_accuracy: f32,
    /// The mean over the test samples, which does not affect the choice.
    pub test_accuracy: f32,
}

impl Entry for Best {
    fn text(&self) -> String {
        format!("{} {} {}", self.epoch, self.validation_accuracy, self.test_accuracy)
    }

    fn parse(text: &str) -> Option<Best> {
        let mut parts = text.split(' ');
        let epoch = usize::parse(parts.next()?)?;
        let mut number = || parts.next()?.parse().ok();
        Some(Best { epoch, validation_accuracy: number()?, test_accuracy: number()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_back() {
        for text in ["none", "own", "0.1", "1", "144", "fold 2 of 5"] {
            assert_eq!(Validation::parse(text).map(|read| read.text()), Some(text.to_owned()));
        }
        for text in ["", "0", "1.0", "-0.1", "1.5", "fold 0 of 5", "fold 2", "all", "nan"] {
            assert_eq!(Validation::parse(text), None, "{text}");
        }
        let best = Best { epoch: 3, validation_accuracy: 0.1, test_accuracy: f32::MIN_POSITIVE };
        assert_eq!(Best::parse(&best.text()), Some(best));
    }
}
