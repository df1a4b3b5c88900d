//! The training loop: asynchronous calls of several steps each, tests, checkpoints.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Scope;
use std::time::{Duration, Instant};

use spiq_hlo::Array;

use super::checkpoint::Checkpoint;
use super::checkpoints::{CHECKPOINT, restore_previous};
use super::configuration;
use super::evaluation::{Answers, Arrays, Evaluation, Examined, Tested};
use super::folder::{FolderLock, prepare_folder};
use super::journal::Journal;
use super::model::Model;
use super::options::{Event, Options, Summary};
use super::prepared::{Prepared, room};
use super::resident::Resident;
use super::start::{self, BEST, Kept, METRICS, PARAMS, SUMMARY, Start};
use super::together::Together;
use super::validation::Judge;
use crate::capacity;
use crate::data::{Dataset, replace_file, test_key};
use crate::error::{Error, ErrorKind, Result};
use crate::pjrt::{Buffer, Client, Executable, Input, Mesh, PendingArray, Platform};
use crate::provenance::{Best, Provenance};
use crate::random::Key;

/// Calls and tests in flight on the device while the host prepares the next one.
const IN_FLIGHT: usize = 2;

/// Target duration of a call if the options give no number of steps; Ctrl-C may have to wait this long.
const CALL: Duration = Duration::from_millis(100);

/// Trains a model and writes `params.safetensors`, `checkpoint.safetensors`, `metrics.jsonl`, `summary.json` (once it has ended) and
/// `training.svg` (with the feature `pictures`) to the folder of the options, and for a network also `model.toml` and `rules.toml`, which
/// `spiq predict` reads. `events` receives the progress. When `stop` becomes true, the run saves its progress and ends. It writes the
/// checkpoint first, which is all that is needed to resume.
///
/// The folder is [locked](FolderLock) by the run. Checkpoints are also written during training, within epochs, at
/// [intervals](Options::checkpoint_every); the last two are kept, and a run resumes from the older one if the newer one is damaged. A failed
/// write does not end the run: it is [reported](Event::Note) and retried.
///
/// The order of epoch e is drawn from `fold_in(PRNGKey(seed), e)`, the spikes of step s from `fold_in(PRNGKey(seed), epochs + s)`, those of
/// the test from `PRNGKey(seed + 1000)`; initial parameters are those of flax and Spyx for `Rngs(seed)`.
///
/// With [validation](Options::validation), whose samples are drawn from `fold_in(PRNGKey(seed), 2^32 - 1)`, the parameters of the best
/// epoch are saved in `best.safetensors`, those of the last one in `params.safetensors`. Validation spikes are drawn from
/// `fold_in(PRNGKey(seed + 1000), 2^32 - 2)`.
///
/// # Errors
/// Of kind `Input` or `File` before anything is written: options that are inconsistent with each other or with the data, a folder that is
/// not writable. Later: of kind `File`, or errors of PJRT.
pub fn run(
    client: &Client,
    options: &Options<dyn Model>,
    stop: &AtomicBool,
    events: &mut dyn FnMut(Event),
) -> Result<Summary> {
    start::check(options)?;
    // The test program is compiled on another thread, which borrows the options.
    std::thread::scope(|scope| whole_run(scope, client, options, stop, events))
}

mod not_finite;
mod picture;
mod saving;

use saving::Saving;

fn whole_run<'s, 'a>(
    scope: &'s Scope<'s, 'a>,
    client: &'a Client,
    options: &'a Options<dyn Model>,
    stop: &AtomicBool,
    events: &mut dyn FnMut(Event),
) -> Result<Summary> {
    let started = Instant::now();
    let together = Together::of(client);
    let mut run = together.outcome(Run::prepare(scope, client, options, events))?;
    match together.outcome(to_the_end(&mut run, started, stop, events)) {
        // The search would repeat steps, which takes all processes.
        Err(error) if error.kind() == ErrorKind::NotFinite && together.are_several() => {
            drop(run.end_writing(events));
            let left = run.left();
            Err(Error::new(
                ErrorKind::NotFinite,
                format!(
                    "{error}, so training stopped; {left}; to find its origin, repeat the command in a single process"
                ),
            ))
        }
        Err(error) if error.kind() == ErrorKind::NotFinite => {
            // A checkpoint in progress is only written if it is complete and finite.
            drop(run.end_writing(events));
            Err(run.where_it_began(&error))
        }
        Err(error) if error.kind() == ErrorKind::File => {
            drop(run.end_writing(events));
            let left = run.left();
            Err(Error::new(ErrorKind::File, format!("{error}; {left}")))
        }
        outcome => outcome,
    }
}

fn to_the_end<'s, 'a: 's>(
    run: &mut Run<'s, 'a>,
    started: Instant,
    stop: &AtomicBool,
    events: &mut dyn FnMut(Event),
) -> Result<Summary> {
    let stepping = Instant::now();
    let stopped_by = run.train(stop, events)?;
    let interrupted = stopped_by.is_some();
    // Saved first: a run stopped from outside may have little time left.
    run.save(events)?;
    let stepping = stepping.elapsed().saturating_sub(run.idle).as_secs_f64();
    let (test, validation) = run.begin_test()?;
    let Tested { metric: test_accuracy, spike_rates } = test.wait()?;
    let validation_accuracy = validation.map(|answers| answers.wait()).transpose()?.map(|tested| tested.metric);
    let files = run.leave(test_accuracy, interrupted)?;
    let summary = Summary {
        test_accuracy,
        validation_accuracy,
        best: run.judge.as_ref().and_then(Judge::best),
        stopped_early: run.has_waited(),
        spike_rates,
        steps: run.done - run.first,
        skipped: run.journal.skipped(),
        seconds: started.elapsed().as_secs_f64(),
        steps_per_second: (run.done - run.first) as f64 / stepping.max(1e-9),
        interrupted,
        stopped_by,
        run: run.provenance.run.clone(),
        files,
    };
    let path = run.options.out.join(SUMMARY);
    // Resuming a finished run only repeats the test; its summary is kept.
    if run.together.writes() && !interrupted && (summary.steps > 0 || !path.exists()) {
        replace_file(&path, &serde_json::to_vec_pretty(&summary).expect("numbers"))?;
    }
    Ok(summary)
}

/// A separate program for validation, if the test samples are in another file.
type Validating<'s> = Option<Evaluation<'s>>;

struct Run<'s, 'a> {
    client: &'a Client,
    mesh: Mesh,
    together: Together,
    options: &'a Options<dyn Model>,
    key: Key,
    steps: Executable,
    /// The program of the steps before the rules start, and the first step after them.
    before: Option<(Executable, usize)>,
    evaluation: Evaluation<'s>,
    /// The training samples, and the arrays of their file.
    train_part: Dataset,
    train: Arc<Vec<Vec<Buffer>>>,
    test: Examined,
    validation: Option<(Examined, Validating<'s>)>,
    judge: Option<Judge>,
    /// Whether the file of the best epoch still has to be written after a failure; the checkpoint also has its parameters.
    best_is_owed: bool,
    /// The carry on each device, the same on all.
    state: Vec<Vec<Buffer>>,
    kept: Kept,
    /// Everything that determines the bits of the run, except its progress.
    provenance: Provenance,
    per_epoch: usize,
    total: usize,
    first: usize,
    done: usize,
    journal: Journal,
    /// The number of steps after which all values were known to be finite, and the carry at that point: the search for a non-finite value
    /// starts here.
    good: (usize, Vec<Array>),
    saving: Saving,
    /// Keeps other processes from writing to the folder; held by the process that writes.
    _lock: Option<FolderLock>,
    /// The largest number of steps per call; the program has [`room`] for them.
    most: usize,
    /// Steps per call, once known.
    pace: Option<usize>,
    /// Time in which the device was idle.
    idle: Duration,
}

impl<'s, 'a: 's> Run<'s, 'a> {
    fn prepare(
        scope: &'s Scope<'s, 'a>,
        client: &'a Client,
        options: &'a Options<dyn Model>,
        events: &mut dyn FnMut(Event),
    ) -> Result<Run<'s, 'a>> {
        let (mesh, together) = (Mesh::new(client, options.devices)?, Together::of(client));
        let prepared = Prepared::of(options)?;
        let (program, function, kept) = prepared.steps()?;
        let first_steps = prepared.first_steps()?;
        let Prepared { plan, optimizer, kept: file, train: train_part, validation, per_epoch, total, most, .. } =
            prepared;
        let encoding = plan.encoding;
        capacity::check_training(kept.params.values(), kept.types(), client.platform() == Some(Platform::Cpu))?;
        let now = start::provenance(options, client, total);
        // Taken before reading anything that another run may be writing.
        let there = together.writes() && options.out.is_dir();
        let lock = there.then(|| FolderLock::take(&options.out)).transpose()?;
        let start = start::start(options, optimizer.as_ref(), &kept, now.clone())?;
        together.check_start(&start, &now, options.steps_per_call)?;
        let Start { values, done, provenance, best, mut resumed } = start;
        let lock = if together.writes() {
            prepare_folder(&options.out)?;
            Some(lock.map_or_else(|| FolderLock::take(&options.out), Ok)?)
        } else {
            resumed = None;
            None
        };
        let journal = resumed.as_ref().map(|resumed| start::journal(options, Some(resumed), done, per_epoch));
        let journal = journal.transpose()?;
        if resumed.as_ref().is_some_and(|resumed| resumed.is_previous) {
            restore_previous(&options.out)?;
        }
        resumed.iter().flat_map(|resumed| &resumed.notes).for_each(|note| events(Event::Note(note.clone())));
        events(Event::Compiling);
        let steps = program.compile(client, &function)?;
        let before = match first_steps {
            Some((program, function)) => Some((program.compile(client, &function)?, options.rules_from)),
            None => None,
        };
        let train = Arc::new(on_each(&mesh, &file)?);
        let test_key = test_key(options.seed);
        let one_file = options.test.shares_file(&options.train);
        let validation = validation.map(|data| {
            // One program for both, if possible.
            let own = (!one_file).then(|| Evaluation::start(scope, &mesh, options, &data, &encoding, &plan.resident));
            (Examined::new(data, test_key.fold_in(u32::MAX - 1), train.clone()), own)
        });
        let (resident, test) = match one_file {
            true => (plan.resident, train.clone()),
            false => {
                let (resident, test) = Resident::of(&options.test);
                (resident, Arc::new(on_each(&mesh, &test)?))
            }
        };
        if together.writes() {
            start::clear(options)?;
        }
        let mut run = Run {
            client,
            mesh: mesh.clone(),
            together: together.clone(),
            options,
            key: Key::new(options.seed),
            steps,
            before,
            evaluation: Evaluation::start(scope, &mesh, options, &options.test, &encoding, &resident),
            train_part,
            train,
            test: Examined::new(options.test.clone(), test_key, test),
            judge: validation.is_some().then(|| Judge::new(options, best)),
            validation,
            best_is_owed: false,
            good: (done, values.clone()),
            state: on_each(&mesh, &values)?,
            kept,
            provenance,
            per_epoch,
            total,
            first: done,
            done,
            journal: match journal {
                Some(journal) => journal,
                None if !together.writes() => start::journal_elsewhere(options),
                None => start::journal(options, None, done, per_epoch)?,
            },
            saving: Saving::new(options.checkpoint_every, options.resume.then_some(done)),
            _lock: lock,
            most,
            pace: options.steps_per_call.map(|_| most),
            idle: Duration::ZERO,
        };
        let restored = run.restore_best();
        run.owe_best(restored, events)?;
        Ok(run)
    }

    /// Runs to the end or until `stop`; returns the process that was stopped.
    fn train(&mut self, stop: &AtomicBool, events: &mut dyn FnMut(Event)) -> Result<Option<usize>> {
        while self.done < self.total && !self.has_waited() {
            let epoch = self.done / self.per_epoch;
            let order = self.order(epoch)?;
            let end = self.total.min((epoch + 1) * self.per_epoch);
            while self.done < end {
                let stopped_by = self.together.first(stop.load(Ordering::Relaxed))?;
                if stopped_by.is_some() {
                    self.journal.read(0, events)?;
                    return Ok(stopped_by);
                }
                let place = self.done % self.per_epoch * self.options.batch_size;
                self.call(end - self.done, &order[place..])?;
                events(Event::Step { done: self.done, total: self.total, loss: self.journal.latest() });
                // At the end of an epoch, the test precedes the copy.
                if self.done < end {
                    self.copy_if_due()?;
                }
                self.journal.read(IN_FLIGHT, events)?;
                self.go_on_saving(events)?;
            }
            if self.done.is_multiple_of(self.per_epoch) {
                self.end_epoch(epoch + 1, events)?;
            }
        }
        self.journal.read(0, events)?;
        Ok(None)
    }

    /// The places of an epoch's samples within the training part.
    fn order(&self, epoch: usize) -> Result<Vec<usize>> {
        let shuffle = self.options.shuffle.then(|| self.key.fold_in(epoch as u32));
        self.train_part.training_order(self.options.batch_size, shuffle)
    }

    /// One call of at most `left` steps, on samples in this order.
    fn call(&mut self, left: usize, order: &[usize]) -> Result<()> {
        let Some(pace) = self.pace else { return self.first_calls(order) };
        let count = pace.min(left).min(self.of_one_program());
        let losses = self.dispatch(count, order)?;
        self.journal.expect_losses(self.done, count, losses);
        self.done += count;
        Ok(())
    }

    /// The first two steps are launched one by one; the second one determines the number of steps per call. The results do not depend on
    /// that number.
    fn first_calls(&mut self, order: &[usize]) -> Result<()> {
        let started = Instant::now();
        let losses = self.dispatch(1, order)?;
        self.state.iter().flatten().try_for_each(Buffer::wait)?;
        if self.done > self.first {
            let steps = CALL.div_duration_f64(started.elapsed()) as usize;
            self.pace = Some(self.together.of_the_first(steps.clamp(1, self.most))?);
        }
        self.journal.expect_losses(self.done, 1, losses);
        self.done += 1;
        Ok(())
    }

    /// Launches the next `count` steps; returns their pending losses.
    fn dispatch(&mut self, count: usize, order: &[usize]) -> Result<PendingArray> {
        let given = self.of_steps(count, room(self.most), order);
        let [count, rows, keys] = &given;
        let given = [self.mesh.replicate(count)?, self.mesh.split(rows, 1)?, self.mesh.replicate(keys)?];
        let mut given = given.map(Vec::into_iter);
        let kept = self.train.clone();
        let inputs = std::mem::take(&mut self.state).into_iter().zip(kept.iter()).map(|(state, data)| {
            let given = given.each_mut().map(|buffers| buffers.next().expect("a buffer on each device"));
            let (state, given) = (state.into_iter().map(Input::Donate), given.into_iter().map(Input::Donate));
            state.chain(data.iter().map(Input::Borrow)).chain(given).collect()
        });
        let inputs: Vec<Vec<Input<'_>>> = inputs.collect();
        let program = self.before.iter().find(|(_, end)| self.done < *end).map_or(&self.steps, |(program, _)| program);
        let mut outputs = program.execute_on_each(inputs)?;
        let losses: Vec<Buffer> = outputs.iter_mut().filter_map(Vec::pop).collect();
        self.state = outputs;
        // They are the same on all devices.
        losses[0].start_to_host()
    }

    /// Number of upcoming steps that use the same program.
    fn of_one_program(&self) -> usize {
        let before = self.before.iter().map(|(_, end)| *end).find(|end| self.done < *end);
        before.map_or(usize::MAX, |end| end - self.done)
    }

    /// The number of steps, the rows of their samples and their keys, for a program with room for `most`.
    fn of_steps(&self, count: usize, most: usize, order: &[usize]) -> [Array; 3] {
        let batch = self.options.batch_size;
        let mut rows: Vec<i32> =
            order[..count * batch].iter().map(|place| self.train_part.row(*place) as i32).collect();
        let mut keys: Vec<u32> = (self.done..self.done + count).flat_map(|step| self.step_key(step).words()).collect();
        rows.resize(most * batch, 0);
        keys.resize(most * 2, 0);
        [
            Array::scalar(count as i32),
            Array::new([most, batch], rows).expect("one row per sample"),
            Array::new([most, 2], keys).expect("two words per key"),
        ]
    }

    /// The key for the spikes of a step.
    fn step_key(&self, step: usize) -> Key {
        let epochs = self.total.div_ceil(self.per_epoch);
        self.key.fold_in((epochs + step) as u32)
    }

    fn end_epoch(&mut self, epoch: usize, events: &mut dyn FnMut(Event)) -> Result<()> {
        if !self.evaluation.is_ready() {
            // Work in progress counts as training time, the rest of the wait does not.
            self.journal.read(0, events)?;
            let waiting = Instant::now();
            self.evaluation.ready()?;
            if let Some((_, Some(own))) = &mut self.validation {
                own.ready()?;
            }
            self.idle += waiting.elapsed();
        }
        let (test, validation) = self.begin_test()?;
        self.journal.expect_test(epoch, test, validation);
        if self.judge.is_some() {
            // The next step would donate the parameters.
            self.journal.read(0, events)?;
            self.judge(events)?;
        }
        self.copy_if_due()
    }

    /// Keeps the current parameters if they are the best so far.
    fn judge(&mut self, events: &mut dyn FnMut(Event)) -> Result<()> {
        let (Some(judge), Some(measured)) = (&self.judge, self.journal.take_measured()) else { return Ok(()) };
        let better = judge.better(measured);
        if let Some(best) = better {
            let arrays = self.arrays(false)?;
            let written = self.save_best(best, &arrays);
            if let Some(judge) = &mut self.judge {
                judge.keep(best, arrays);
            }
            self.owe_best(written, events)?;
        }
        events(measured.event(better.is_some()));
        Ok(())
    }

    /// Failing to write the file of the best epoch does not end the run.
    fn owe_best(&mut self, written: Result<()>, events: &mut dyn FnMut(Event)) -> Result<()> {
        match written {
            Err(error) if error.kind() == ErrorKind::File => {
                if !std::mem::replace(&mut self.best_is_owed, true) {
                    events(Event::Note(format!("{error}; training continues, and the file is written at the end")));
                }
                Ok(())
            }
            written => written.map(|()| self.best_is_owed = false),
        }
    }

    fn save_best(&self, best: Best, arrays: &BTreeMap<String, Array>) -> Result<()> {
        if !self.together.writes() {
            return Ok(());
        }
        let step = Some((best.epoch * self.per_epoch) as u64);
        let mut metadata = BTreeMap::new();
        Provenance { step, best: Some(best), ..self.provenance.clone().without_places() }.write(&mut metadata);
        Checkpoint { arrays: arrays.clone(), metadata }.save(&self.options.out.join(BEST))
    }

    /// Restores the file of the best epoch from the checkpoint: a killed run may have written a later one, which this run will reach again.
    fn restore_best(&self) -> Result<()> {
        let resumes = self.options.resume && self.together.writes();
        let Some(judge) = self.judge.as_ref().filter(|_| resumes) else { return Ok(()) };
        match (judge.best(), judge.arrays()) {
            (Some(best), Some(arrays)) => self.save_best(best, arrays),
            _ => start::remove(&self.options.out.join(BEST)),
        }
    }

    /// Whether the patience for a better epoch is exhausted.
    fn has_waited(&self) -> bool {
        let epochs = self.done / self.per_epoch;
        self.done.is_multiple_of(self.per_epoch) && self.judge.as_ref().is_some_and(|judge| judge.has_waited(epochs))
    }

    /// Starts the test and the validation with the current parameters.
    fn begin_test(&mut self) -> Result<(Answers, Option<Answers>)> {
        let params: BTreeMap<String, usize> = self.kept.paths().zip(0..).collect();
        let arrays = Arrays { places: &params, held: &self.state };
        let test = self.evaluation.begin(&arrays, &self.test)?;
        let validation = match &mut self.validation {
            Some((samples, Some(own))) => Some(own.begin(&arrays, samples)?),
            Some((samples, None)) => Some(self.evaluation.begin(&arrays, samples)?),
            None => None,
        };
        Ok((test, validation))
    }

    /// Parameters and statistics from the device and, with `state`, the optimizer's state.
    fn arrays(&self, state: bool) -> Result<BTreeMap<String, Array>> {
        let wanted = self.kept.paths().zip(&self.state[0]).filter(|(path, _)| state || self.kept.is_read(path));
        let arrays: BTreeMap<String, Array> =
            wanted.map(|(path, buffer)| Ok((path, buffer.to_array()?))).collect::<Result<_>>()?;
        let read = arrays.iter().filter(|(path, _)| self.kept.is_read(path));
        saving::check(self.options.on_nan, self.done, read)?;
        Ok(arrays)
    }

    /// The metadata of a file of this run.
    fn metadata(&self, provenance: Provenance) -> BTreeMap<String, String> {
        let mut metadata = BTreeMap::new();
        Provenance { step: Some(self.done as u64), ..provenance }.write(&mut metadata);
        metadata
    }

    /// Writes the final files of the run.
    fn leave(&self, test_accuracy: f32, interrupted: bool) -> Result<Vec<PathBuf>> {
        if !self.together.writes() {
            return Ok(Vec::new());
        }
        let [params, metrics] = [PARAMS, METRICS].map(|name| self.options.out.join(name));
        let metadata = self.metadata(Provenance { best: None, ..self.provenance.clone().without_places() });
        Checkpoint { arrays: self.arrays(false)?, metadata }.save(&params)?;
        let checkpoint = self.options.out.join(CHECKPOINT);
        let state =
            if interrupted { format!("stopped at step {} of {}", self.done, self.total) } else { "done".into() };
        let measured = match self.options.metric.is_accuracy() {
            true => format!("test accuracy {:.1} %", test_accuracy * 100.0),
            false => format!("{} {test_accuracy:.4}", self.options.metric.name()),
        };
        let title = format!("{} steps, {measured} ({state})", self.done);
        let picture = picture::draw(&self.options.out, &title)?;
        let configuration =
            self.options.model.network().map(|network| configuration::leave(network, &self.options.out));
        let judged = self.judge.as_ref().and_then(|judge| judge.best().zip(judge.arrays()));
        if let Some((best, arrays)) = judged.filter(|_| self.best_is_owed) {
            self.save_best(best, arrays)?;
        }
        let best = judged.map(|_| self.options.out.join(BEST));
        Ok([
            vec![params],
            best.into_iter().collect(),
            vec![checkpoint, metrics],
            picture.into_iter().collect(),
            configuration.transpose()?.unwrap_or_default(),
        ]
        .concat())
    }
}

/// Starts copying arrays to each device.
fn on_each(mesh: &Mesh, arrays: &[Array]) -> Result<Vec<Vec<Buffer>>> {
    let on = |device| arrays.iter().map(|array| mesh.client().to_device_on(array, device)).collect();
    mesh.local().iter().map(on).collect()
}
