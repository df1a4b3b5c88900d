//! Finds the origin of a non-finite value: repeats the run from where all values were known to be finite, and its last steps one by one
//! with a program that checks every layer. Ordinary steps are unaffected.

use std::cmp::Ordering;

use spiq_hlo::Array;

use super::{CHECKPOINT, Run, on_each};
use crate::error::{Error, ErrorKind, Result};
use crate::pjrt::{Buffer, Executable, Input};
use crate::signature::Role;
use crate::train::prepared::Prepared;

/// The origin of a non-finite value.
struct Beginning {
    step: usize,
    role: Role,
    path: String,
}

impl<'s, 'a: 's> Run<'s, 'a> {
    /// The error of a run that met a non-finite value: its origin, and what is saved.
    pub(super) fn where_it_began(&mut self, met: &Error) -> Error {
        let last = self.journal.broken().unwrap_or(self.done.saturating_sub(1));
        let kept = self.good.0;
        let began = match self.find(last) {
            Ok(Some(beginning)) => self.said(&beginning),
            Ok(None) => "all values are finite when the steps are repeated one by one".to_owned(),
            Err(error) => format!("its origin could not be found: {error}"),
        };
        let file = self.options.out.join(CHECKPOINT);
        let left = match file.exists() {
            true => format!("{} holds the state after step {kept}", file.display()),
            false => "no checkpoint was saved".to_owned(),
        };
        let advice = "try a smaller learning rate, or clip gradients (--clip 1)";
        Error::new(ErrorKind::NotFinite, format!("{met}, so training stopped: {began}; {advice}; {left}"))
    }

    /// Repeats the steps up to `last`, several per call, then checks the steps of the first call whose parameters or loss are not finite.
    fn find(&mut self, last: usize) -> Result<Option<Beginning>> {
        let (first, values) = self.good.clone();
        self.restore(first, &values)?;
        while self.done <= last {
            let (before, values) = (self.done, self.state[0].iter().map(Buffer::to_array).collect::<Result<Vec<_>>>()?);
            self.again(last + 1)?;
            if self.done > last || self.arrays(false).is_err() {
                let after = self.done;
                self.restore(before, &values)?;
                return self.find_among(after);
            }
        }
        Ok(None)
    }

    fn restore(&mut self, done: usize, values: &[Array]) -> Result<()> {
        self.state = on_each(&self.mesh, values)?;
        self.done = done;
        Ok(())
    }

    /// Checks each step from the current one up to `end`, exclusive.
    fn find_among(&mut self, end: usize) -> Result<Option<Beginning>> {
        let prepared = Prepared::of(self.options)?;
        while self.done < end {
            let (program, function, signature) = prepared.check(self.done)?;
            let program = program.compile(self.client, &function)?;
            let results: Vec<(Role, &str)> =
                signature.results().iter().map(|port| (port.role, port.name.as_str())).collect();
            let mut places: Vec<usize> = (0..results.len()).collect();
            places.sort_by(|a, b| order(results[*a], results[*b]));
            let program_end = self.done.saturating_add(self.of_one_program()).min(end);
            while self.done < program_end {
                let outputs = self.look(&program)?;
                let is_broken =
                    |output: &Buffer| Ok(output.to_array()?.to_f64().first().is_some_and(|value| *value > 0.0));
                let broken: Vec<bool> = outputs.iter().map(is_broken).collect::<Result<_>>()?;
                if let Some(place) = places.iter().find(|place| broken[**place]) {
                    let (role, path) = results[*place];
                    return Ok(Some(Beginning { step: self.done, role, path: path.to_owned() }));
                }
                self.again(self.done + 1)?;
            }
        }
        Ok(None)
    }

    /// Repeats several steps, within one epoch and up to `end`.
    fn again(&mut self, end: usize) -> Result<()> {
        let (epoch, place) = (self.done / self.per_epoch, self.done % self.per_epoch);
        let order = self.order(epoch)?;
        let count = self.most.min(end - self.done).min(self.per_epoch - place).min(self.of_one_program());
        self.dispatch(count, &order[place * self.options.batch_size..])?.wait()?;
        self.done += count;
        Ok(())
    }

    /// The results of the checking program for the next step.
    fn look(&self, program: &Executable) -> Result<Vec<Buffer>> {
        let (epoch, place) = (self.done / self.per_epoch, self.done % self.per_epoch);
        let (order, batch) = (self.order(epoch)?, self.options.batch_size);
        let given = self.of_steps(1, 1, &order[place * batch..]);
        let given = given.iter().skip(1).map(|array| self.client.to_device(array)).collect::<Result<Vec<_>>>()?;
        // A single device checks the whole batch.
        let held = self.state[0].iter().chain(&self.train[0]);
        let inputs = held.map(Input::Borrow).chain(given.into_iter().map(Input::Donate));
        program.execute(inputs.collect())
    }

    fn said(&self, beginning: &Beginning) -> String {
        let Beginning { step, role, path } = beginning;
        let kind = || {
            let layers = self.options.model.network().map(|network| &network.config().layers);
            let place = path.rsplit('/').next().and_then(|place| place.parse::<usize>().ok());
            let layer = layers.zip(place).and_then(|(layers, place)| layers.get(place));
            layer.map_or_else(String::new, |layer| format!(" ({})", layer.kind()))
        };
        let first = "the first non-finite value is";
        match role {
            Role::Broken => {
                format!("{first} an output or a state of layer `{path}`{} in the forward pass of step {step}", kind())
            }
            Role::Loss => format!("{first} the loss itself, at step {step}; all outputs of the layers are finite"),
            Role::Gradient => format!("{first} in the gradient of `{path}` at step {step}"),
            _ => format!("{first} in `{path}` after the update of step {step}; its gradient is finite"),
        }
    }
}

/// The order in which a step computes these values: layers forward, the loss, gradients backward, the update.
fn order(a: (Role, &str), b: (Role, &str)) -> Ordering {
    let rank = |role: Role| match role {
        Role::Broken => 0,
        Role::Loss => 1,
        Role::Gradient => 2,
        _ => 3,
    };
    let (ranks, paths) = (rank(a.0).cmp(&rank(b.0)), natural(a.1).cmp(&natural(b.1)));
    ranks.then(if a.0 == Role::Gradient { paths.reverse() } else { paths })
}

/// A path as a sort key that compares its numbers as numbers.
fn natural(path: &str) -> Vec<(usize, &str)> {
    path.split('/').map(|part| part.parse().map_or((usize::MAX, part), |number| (number, ""))).collect()
}
