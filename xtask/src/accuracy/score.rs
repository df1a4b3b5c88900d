//! Means over the runs of a row, and the deviation over seeds.

use serde_json::Value;

use super::networks::Split;
use super::trained::{Figures, Trained};

/// The runs of a row for the seeds whose parts have all finished.
pub struct Ended {
    /// For each such seed, the runs of all parts.
    seeds: Vec<Vec<Trained>>,
}

/// A mean over seeds, and the standard deviation over seeds.
#[derive(Clone, Copy)]
pub struct Score {
    pub mean: f64,
    /// None with one seed.
    pub deviation: Option<f64>,
}

impl Ended {
    /// The finished runs of a table row.
    pub fn of(split: &Split, row: usize) -> Ended {
        let runs = split.runs_of(row);
        // Runs are ordered by part, then by seed.
        let of_seed = |seed: usize| runs.iter().skip(seed).step_by(split.seeds.len()).map(|run| run.result()).collect();
        Ended { seeds: (0..split.seeds.len()).filter_map(of_seed).collect() }
    }

    /// Number of such seeds.
    pub fn count(&self) -> usize {
        self.seeds.len()
    }

    /// The score of a quantity of each run.
    pub fn score(&self, of: impl Fn(&Trained) -> f64) -> Score {
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let of_seed = |runs: &Vec<Trained>| mean(&runs.iter().map(&of).collect::<Vec<_>>());
        let seeds: Vec<f64> = self.seeds.iter().map(of_seed).collect();
        let middle = mean(&seeds);
        let squares: f64 = seeds.iter().map(|seed| (seed - middle).powi(2)).sum();
        let deviation = (seeds.len() > 1).then(|| (squares / (seeds.len() - 1) as f64).sqrt());
        Score { mean: middle, deviation }
    }

    /// Accuracy in percent with the parameters of the last epoch.
    pub fn last(&self) -> Score {
        self.score(|run| 100.0 * number(&run.last, "accuracy"))
    }

    /// Accuracy in percent with those of the best epoch by validation.
    pub fn best(&self) -> Score {
        self.score(|run| 100.0 * number(&run.best, "accuracy"))
    }
}

impl std::fmt::Display for Score {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.1}", self.mean)?;
        self.deviation.map_or(Ok(()), |deviation| write!(f, " ± {deviation:.1}"))
    }
}

/// A number from `spiq evaluate`.
pub fn number(figures: &Figures, key: &str) -> f64 {
    figures.get(key).and_then(Value::as_f64).unwrap_or(f64::NAN)
}
