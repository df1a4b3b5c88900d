//! Places the records of a run on an axis of epochs: step 33 of an epoch of 44 steps is at 0.75 of it.

use std::collections::BTreeMap;

use crate::record::Record;

/// (x, y), in ascending x.
pub(super) type Points = Vec<(f64, f64)>;

/// A run's records as points over epochs; over steps for a run that has not completed an epoch.
pub(super) struct Course {
    /// The loss of each step, at the end of the step.
    pub(super) losses: Points,
    /// The mean loss of each epoch, at the middle of the epoch.
    pub(super) epoch_losses: Points,
    /// Test and validation accuracy, at the end of each epoch.
    pub(super) test: Points,
    pub(super) validation: Points,
    /// Custom metrics, by name.
    pub(super) metrics: BTreeMap<String, Points>,
    /// Spikes per neuron and step, by layer path.
    pub(super) spike_rates: BTreeMap<String, Points>,
    /// The number of epochs begun; `None` if none was completed.
    pub(super) epochs: Option<u64>,
}

impl Course {
    pub(super) fn new(records: &[Record]) -> Course {
        let mut course = Course {
            losses: Points::new(),
            epoch_losses: Points::new(),
            test: Points::new(),
            validation: Points::new(),
            metrics: BTreeMap::new(),
            spike_rates: BTreeMap::new(),
            epochs: None,
        };
        let (mut steps, mut length) = (Points::new(), 0);
        for record in records {
            match record {
                Record::Step { step, loss } => steps.push((*step as f64, loss.map_or(f64::NAN, f64::from))),
                Record::Epoch { epoch, train_loss, .. } => {
                    length = steps.len();
                    course.add_steps(&steps, *epoch, length);
                    steps.clear();
                    course.epoch_losses.extend(train_loss.map(|loss| (*epoch as f64 - 0.5, f64::from(loss))));
                    course.epochs = Some(*epoch);
                    course.add_epoch(*epoch as f64, record);
                }
            }
        }
        match course.epochs {
            None => course.losses = steps.into_iter().filter(|(_, loss)| loss.is_finite()).collect(),
            Some(_) if steps.is_empty() => {}
            Some(last) => {
                course.add_steps(&steps, last + 1, length.max(steps.len()));
                course.epochs = Some(last + 1);
            }
        }
        course
    }

    /// Adds the losses of an epoch's steps; `length` is the number of steps of a complete epoch.
    fn add_steps(&mut self, steps: &Points, epoch: u64, length: usize) {
        let start = epoch as f64 - 1.0;
        let place = |at: usize| start + (at as f64 + 1.0) / length.max(1) as f64;
        let points = steps.iter().enumerate().map(|(at, (_, loss))| (place(at), *loss));
        self.losses.extend(points.filter(|(_, loss)| loss.is_finite()));
    }

    fn add_epoch(&mut self, at: f64, record: &Record) {
        let Record::Epoch { test_accuracy, validation_accuracy, spike_rates, metric, .. } = record else { return };
        self.test.extend(test_accuracy.map(|accuracy| (at, f64::from(accuracy))));
        self.validation.extend(validation_accuracy.map(|accuracy| (at, f64::from(accuracy))));
        for (values, points) in [(metric, &mut self.metrics), (spike_rates, &mut self.spike_rates)] {
            for (name, value) in values.iter().filter_map(|(name, value)| Some((name, (*value)?))) {
                points.entry(name.clone()).or_default().push((at, f64::from(value)));
            }
        }
    }
}

/// How much longer the loss axis must be with the first losses than without them, for them to be cut off.
const STRETCH: f64 = 3.0;

/// The limit of the loss axis: the losses after the first tenth of the run, and the means of all epochs, are below it. A run often starts
/// with losses far above the rest, which would flatten the course of everything after them. `None` if the axis would be less than
/// [`STRETCH`] times as long without a limit.
pub(super) fn limit(losses: &Points, means: &Points) -> Option<f64> {
    let later = &losses[losses.len() / 10..];
    let highest = later.iter().chain(means).map(|(_, loss)| *loss).reduce(f64::max)?;
    let lowest = losses.iter().map(|(_, loss)| *loss).reduce(f64::min)?;
    let limit = highest + 0.05 * (highest - lowest);
    let first = losses.iter().map(|(_, loss)| *loss).reduce(f64::max)?;
    (limit.is_finite() && limit > lowest && first - lowest > STRETCH * (limit - lowest)).then_some(limit)
}

/// The points, without what is above the limit: a line that comes from above begins at the limit.
pub(super) fn below(points: Points, limit: Option<f64>) -> Points {
    let Some(limit) = limit else { return points };
    points.into_iter().map(|(x, y)| (x, y.min(limit))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_placed_in_their_epochs() {
        let mut records: Vec<Record> = (0..4).map(|step| Record::step(step, step as f32)).collect();
        records.push(Record::epoch(1, 1.5, 0.5));
        records.extend([Record::step(4, 4.0), Record::step(5, f32::NAN), Record::step(6, 6.0)]);
        let course = Course::new(&records);
        assert_eq!(course.losses, [(0.25, 0.0), (0.5, 1.0), (0.75, 2.0), (1.0, 3.0), (1.25, 4.0), (1.75, 6.0)]);
        assert_eq!((course.epoch_losses, course.test), (vec![(0.5, 1.5)], vec![(1.0, 0.5)]));
        assert_eq!(course.epochs, Some(2));
        let unfinished = Course::new(&records[..4]);
        assert_eq!((unfinished.epochs, unfinished.losses[3]), (None, (3.0, 3.0)));
    }

    #[test]
    fn only_losses_at_the_start_are_cut_off() {
        let losses: Points = (0..100).map(|at| (f64::from(at), if at < 5 { 8.0 } else { 1.0 })).collect();
        let limit_of_first = limit(&losses, &vec![(0.5, 2.0)]).expect("a limit");
        assert!((2.0..2.5).contains(&limit_of_first));
        assert_eq!(below(losses.clone(), Some(2.5))[0], (0.0, 2.5));
        let spike_at_the_end: Points = losses.iter().rev().enumerate().map(|(at, (_, y))| (at as f64, *y)).collect();
        assert_eq!(limit(&spike_at_the_end, &Points::new()), None);
        let falling: Points = (0..100).map(|at| (f64::from(at), 2.0 / f64::from(at + 10))).collect();
        assert_eq!(limit(&falling, &Points::new()), None);
    }
}
