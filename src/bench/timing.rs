//! Statistics of a repeatedly measured duration.

use std::time::Duration;

/// Median and quartiles of several runs.
///
/// ```
/// use std::time::Duration;
/// let runs = [5, 1, 4, 2, 3].map(Duration::from_millis);
/// let timing = spiq::bench::Timing::of(&runs);
/// assert_eq!([timing.low, timing.median, timing.high], [2, 3, 4].map(Duration::from_millis));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// Half of the runs were faster, half slower.
    pub median: Duration,
    /// A quarter of the runs were faster.
    pub low: Duration,
    /// A quarter of the runs were slower.
    pub high: Duration,
    /// The number of runs.
    pub runs: usize,
}

impl Timing {
    /// The timing of these runs, in any order; zeros for an empty list.
    pub fn of(runs: &[Duration]) -> Timing {
        let mut runs = runs.to_vec();
        runs.sort_unstable();
        let Some(last) = runs.len().checked_sub(1) else { return Timing::default() };
        let at = |quarters: usize| {
            // Interpolated linearly between neighbouring runs.
            let (whole, part) = (last * quarters / 4, (last * quarters % 4) as u32);
            (runs[whole] * (4 - part) + runs[(whole + 1).min(last)] * part) / 4
        };
        Timing { median: at(2), low: at(1), high: at(3), runs: runs.len() }
    }
}
