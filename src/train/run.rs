//! The training loop: batches to the device, steps without waiting for them, tests, checkpoints. Prints nothing.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use spiq_hlo::{Array, TensorType};

use super::checkpoint::{Checkpoint, prepare_folder};
use super::encode::Encoding;
use super::metrics::{Metrics, Record, read_records};
use super::options::{Event, Length, Options, Summary};
use super::programs;
use crate::data::{Batch, Dataset, replace_file};
use crate::display::history;
use crate::error::{Error, Result};
use crate::pjrt::{Buffer, Client, Executable, Input};
use crate::random::Key;

/// Samples of one call of the test program.
const TEST_BATCH: usize = 360;

/// A checkpoint is written after an epoch only when the last one is at least this old.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(10);

/// Trains a network and leaves `params.safetensors`, `checkpoint.safetensors`, `metrics.jsonl` and `training.svg` in the
/// folder of the options. `events` hears what happens. When `stop` becomes true, the run saves what it has and ends.
///
/// The order of epoch e is drawn from `fold_in(PRNGKey(seed), e)`, the spikes of step s from
/// `fold_in(PRNGKey(seed), epochs + s)`, those of the test from `PRNGKey(seed + 1000)`; initial parameters are those of
/// flax and Spyx for `Rngs(seed)`.
///
/// # Errors
/// Of kind `Input` or `File` before anything is written: options that do not fit each other or the data, a folder that
/// cannot be written. Later: of kind `File`, or what PJRT says.
pub fn run(client: &Client, options: &Options, stop: &AtomicBool, events: &mut dyn FnMut(Event)) -> Result<Summary> {
    check(options)?;
    let started = Instant::now();
    let mut run = Run::prepare(client, options, events)?;
    let interrupted = run.train(stop, events)?;
    let Tested { accuracy: test_accuracy, spike_rates } = run.test()?;
    let files = run.leave(test_accuracy, interrupted)?;
    Ok(Summary {
        test_accuracy,
        spike_rates,
        steps: run.done - run.first,
        seconds: started.elapsed().as_secs_f64(),
        steps_per_second: (run.done - run.first) as f64 / run.stepping.as_secs_f64().max(1e-9),
        interrupted,
        files,
    })
}

fn check(options: &Options) -> Result<()> {
    let (classes, labels) = (options.network.classes(), options.train.classes());
    if classes < labels {
        return Err(Error::input(format!(
            "the model has {classes} outputs, but the labels go up to {}; give the last layer {labels} units",
            labels - 1
        )));
    }
    if !options.learning_rate.is_finite() || options.learning_rate < 0.0 {
        return Err(Error::input(format!("the learning rate is {}, but must be 0 or more", options.learning_rate)));
    }
    if !(0.0..=0.5).contains(&options.shift) {
        return Err(Error::input(format!(
            "the probability of a shift is {}, but must be from 0 to 0.5",
            options.shift
        )));
    }
    if matches!(options.length, Length::Epochs(0) | Length::Steps(0)) || options.time_steps == 0 {
        return Err(Error::input("the numbers of epochs, steps and time steps must be at least 1"));
    }
    Ok(())
}

struct Run<'a> {
    client: &'a Client,
    options: &'a Options,
    key: Key,
    step: Executable,
    predictions: Predictions,
    /// Parameters, then the optimizer's state, on the device.
    state: Vec<Buffer>,
    params: BTreeMap<String, TensorType>,
    slots: BTreeMap<String, TensorType>,
    per_epoch: usize,
    total: usize,
    first: usize,
    done: usize,
    metrics: Metrics,
    saved: Instant,
    stepping: Duration,
    /// Losses that were not read back yet, with their steps.
    pending: VecDeque<(usize, Buffer)>,
    latest: Option<f32>,
    epoch_loss: Vec<f32>,
}

/// Where a run stands, as a checkpoint's metadata.
const STEP: &str = "step";
const OPTIMIZER: &str = "optimizer";

impl<'a> Run<'a> {
    fn prepare(client: &'a Client, options: &'a Options, events: &mut dyn FnMut(Event)) -> Result<Run<'a>> {
        let per_epoch = options.train.training_batches(options.batch_size, None)?.len();
        let total = programs::total_steps(options.length, per_epoch);
        let inputs = options.train.inputs();
        let sample = options.network.sample_shape(inputs.features())?;
        let encoding = Encoding::of(inputs, options.time_steps).shaped(sample);
        let optimizer = programs::optimizer(options, total);
        let (program, function) =
            programs::step(&options.network, &encoding, optimizer.as_ref(), options.batch_size, options.shift)?;
        let params = options.network.parameter_types();
        let slots = optimizer.state_types(&params);
        let (start, done) = start(options, &params, &slots)?;
        prepare_folder(&options.out)?;
        events(Event::Compiling);
        let step = program.compile(client, &function)?;
        let state = start.iter().map(|a| client.to_device(a)).collect::<Result<Vec<_>>>()?;
        let path = options.out.join("metrics.jsonl");
        let metrics = match options.resume {
            true => Metrics::resume(&path, |record| before(record, done, per_epoch))?,
            false => Metrics::create(&path)?,
        };
        let epoch_loss = losses_of_epoch(&path, done, per_epoch)?;
        Ok(Run {
            client,
            options,
            key: Key::new(options.seed),
            step,
            predictions: Predictions::start(client, options, &encoding),
            state,
            params,
            slots,
            per_epoch,
            total,
            first: done,
            done,
            metrics,
            saved: Instant::now(),
            stepping: Duration::ZERO,
            pending: VecDeque::new(),
            latest: None,
            epoch_loss,
        })
    }

    /// Runs to the end, or until `stop`; says which.
    fn train(&mut self, stop: &AtomicBool, events: &mut dyn FnMut(Event)) -> Result<bool> {
        while self.done < self.total {
            let epoch = self.done / self.per_epoch;
            let shuffle = self.options.shuffle.then(|| self.key.fold_in(epoch as u32));
            let batches = self.options.train.training_batches(self.options.batch_size, shuffle)?;
            for batch in batches.skip(self.done % self.per_epoch) {
                if self.done == self.total {
                    break;
                }
                if stop.load(Ordering::Relaxed) {
                    self.read_losses(0)?;
                    return Ok(true);
                }
                self.one_step(&batch)?;
                events(Event::Step { done: self.done, total: self.total, loss: self.latest });
            }
            self.read_losses(0)?;
            if self.done.is_multiple_of(self.per_epoch) {
                self.end_epoch(epoch + 1, events)?;
            }
        }
        Ok(false)
    }

    /// What the spikes of a step are drawn from.
    fn step_key(&self) -> Key {
        let epochs = self.total.div_ceil(self.per_epoch);
        self.key.fold_in((epochs + self.done) as u32)
    }

    fn one_step(&mut self, batch: &Batch) -> Result<()> {
        let started = Instant::now();
        let given = [&self.step_key().to_array(), &batch.inputs, &batch.labels].map(|a| self.client.to_device(a));
        let mut inputs: Vec<Input> = self.state.drain(..).map(Input::Donate).collect();
        for buffer in given {
            inputs.push(Input::Donate(buffer?));
        }
        let mut outputs = self.step.execute(inputs)?;
        let loss = outputs.pop().expect("the loss is the last output");
        self.state = outputs;
        self.pending.push_back((self.done, loss));
        self.done += 1;
        let outcome = self.read_losses(LOSSES_IN_FLIGHT);
        self.stepping += started.elapsed();
        outcome
    }

    /// Reads losses back until only `keep` are left on the device.
    fn read_losses(&mut self, keep: usize) -> Result<()> {
        while self.pending.len() > keep {
            let (step, buffer) = self.pending.pop_front().expect("more than `keep`");
            let loss = buffer.to_array()?.to_f64()[0] as f32;
            self.metrics.write(Record::step(step as u64, loss))?;
            self.latest = Some(loss);
            self.epoch_loss.push(loss);
        }
        Ok(())
    }

    fn end_epoch(&mut self, epoch: usize, events: &mut dyn FnMut(Event)) -> Result<()> {
        let losses = std::mem::take(&mut self.epoch_loss);
        let train_loss = losses.iter().sum::<f32>() / losses.len().max(1) as f32;
        let Tested { accuracy: test_accuracy, spike_rates } = self.test()?;
        let record = Record::epoch(epoch as u64, train_loss, test_accuracy);
        self.metrics.write(record.with_spike_rates(&spike_rates))?;
        events(Event::Epoch { epoch, train_loss, test_accuracy });
        if self.saved.elapsed() > CHECKPOINT_EVERY {
            self.save()?;
            self.saved = Instant::now();
        }
        Ok(())
    }

    /// How the network does on the test samples now.
    fn test(&mut self) -> Result<Tested> {
        let test = &self.options.test;
        let predictor = self.predictions.get()?;
        let key = Key::new(self.options.seed + 1000);
        let (mut right, mut spikes) = (0, vec![0.0; predictor.rates.len()]);
        for (i, batch) in test.evaluation_batches(test_batch(test))?.enumerate() {
            let key = if i == 0 { key } else { key.fold_in(i as u32) };
            let mut outputs = self.predict(&predictor.program, &batch, key)?.into_iter();
            let classes = outputs.next().expect("the classes come first");
            right += classes.iter().zip(batch.labels.to_f64()).filter(|(class, label)| *class == label).count();
            outputs.zip(&mut spikes).for_each(|(rates, sum)| *sum += rates.iter().sum::<f64>());
        }
        let count = test.count() as f64;
        let rates = spikes.into_iter().map(|sum| (sum / count) as f32);
        let spike_rates = predictor.rates.into_iter().zip(rates).collect();
        Ok(Tested { accuracy: right as f32 / test.count() as f32, spike_rates })
    }

    /// The classes of a batch's samples and, for each layer that fires, their spike rates.
    fn predict(&self, program: &Executable, batch: &Batch, key: Key) -> Result<Vec<Vec<f64>>> {
        let given = [&key.to_array(), &batch.inputs, &batch.labels].map(|a| self.client.to_device(a));
        let given = given.into_iter().collect::<Result<Vec<_>>>()?;
        let params = &self.state[..self.params.len()];
        let outputs = program.execute(params.iter().chain(&given).map(Input::Borrow).collect())?;
        let counted = |buffer: &Buffer| {
            let mut values = buffer.to_array()?.to_f64();
            // What fills up the last batch does not count.
            values.truncate(batch.count);
            Ok(values)
        };
        outputs.iter().map(counted).collect()
    }

    /// Parameters, and with `state` the optimizer's state, from the device.
    fn arrays(&self, state: bool) -> Result<BTreeMap<String, Array>> {
        let slots = self.slots.keys().map(|path| format!("{OPTIMIZER}/{path}"));
        let paths = self.params.keys().cloned().chain(slots);
        let count = if state { self.state.len() } else { self.params.len() };
        paths.zip(&self.state).take(count).map(|(path, buffer)| Ok((path, buffer.to_array()?))).collect()
    }

    fn metadata(&self) -> BTreeMap<String, String> {
        BTreeMap::from([
            (STEP.to_owned(), self.done.to_string()),
            ("model".to_owned(), self.options.network.config().to_toml()),
            ("rules".to_owned(), rules_text(self.options)),
            ("numerics".to_owned(), self.options.network.numerics().to_string()),
        ])
    }

    fn save(&self) -> Result<PathBuf> {
        let path = self.options.out.join(CHECKPOINT);
        Checkpoint { arrays: self.arrays(true)?, metadata: self.metadata() }.save(&path)?;
        Ok(path)
    }

    /// Writes what a run leaves behind.
    fn leave(&self, test_accuracy: f32, interrupted: bool) -> Result<Vec<PathBuf>> {
        let out = &self.options.out;
        let (params, svg, metrics) =
            (out.join("params.safetensors"), out.join("training.svg"), out.join("metrics.jsonl"));
        Checkpoint { arrays: self.arrays(false)?, metadata: self.metadata() }.save(&params)?;
        let checkpoint = self.save()?;
        let state =
            if interrupted { format!("stopped at step {} of {}", self.done, self.total) } else { "done".into() };
        let title = format!("{} steps, test accuracy {:.1} % ({state})", self.done, test_accuracy * 100.0);
        replace_file(&svg, history(&read_records(&metrics)?, &title).svg().as_bytes())?;
        Ok(vec![params, checkpoint, metrics, svg])
    }
}

/// Samples of one call of the program for predictions.
fn test_batch(test: &Dataset) -> usize {
    TEST_BATCH.min(test.count())
}

/// How a network does on the test samples.
struct Tested {
    /// Part of them that are classified rightly.
    accuracy: f32,
    /// For each layer that fires, the mean number of spikes a neuron and step.
    spike_rates: BTreeMap<String, f32>,
}

/// The program for predictions, and the layers whose spike rates it gives.
#[derive(Clone)]
struct Predictor {
    program: Executable,
    rates: Vec<String>,
}

/// The program for predictions. It is compiled beside the first training steps, which leave a core free.
enum Predictions {
    Compiling(JoinHandle<Result<Predictor>>),
    Ready(Predictor),
    Failed,
}

impl Predictions {
    fn start(client: &Client, options: &Options, encoding: &Encoding) -> Predictions {
        let (client, network, encoding) = (client.clone(), options.network.clone(), encoding.clone());
        let batch = test_batch(&options.test);
        Predictions::Compiling(std::thread::spawn(move || {
            let (program, function, rates) = programs::predictions(&network, &encoding, batch)?;
            Ok(Predictor { program: program.compile(&client, &function)?, rates })
        }))
    }

    /// The program, once it is there.
    fn get(&mut self) -> Result<Predictor> {
        *self = match std::mem::replace(self, Predictions::Failed) {
            Predictions::Compiling(thread) => {
                let outcome = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                Predictions::Ready(outcome?)
            }
            other => other,
        };
        match self {
            Predictions::Ready(predictor) => Ok(predictor.clone()),
            _ => Err(Error::input("the program for predictions could not be compiled")),
        }
    }
}

const CHECKPOINT: &str = "checkpoint.safetensors";

/// Losses left on the device while steps go on.
const LOSSES_IN_FLIGHT: usize = 4;

/// What a run starts from: parameters and optimizer state, and the number of steps already done.
fn start(
    options: &Options,
    params: &BTreeMap<String, TensorType>,
    slots: &BTreeMap<String, TensorType>,
) -> Result<(Vec<Array>, usize)> {
    if options.resume {
        return resume(options, params, slots);
    }
    let values = match &options.init {
        Some(path) => Checkpoint::load(path)?.select(params, &path.display().to_string())?,
        None => options.network.init(options.seed),
    };
    let zeros = slots.values().map(|ty| Array::zeros(ty.clone()));
    Ok((values.into_values().chain(zeros).collect(), 0))
}

fn resume(
    options: &Options,
    params: &BTreeMap<String, TensorType>,
    slots: &BTreeMap<String, TensorType>,
) -> Result<(Vec<Array>, usize)> {
    let path = options.out.join(CHECKPOINT);
    let source = path.display().to_string();
    let checkpoint = Checkpoint::load(&path)?;
    let done = checkpoint.metadata.get(STEP).and_then(|step| step.parse().ok()).ok_or_else(|| {
        Error::input(format!("{source} does not say how many steps were done, so it is not a checkpoint of a run"))
    })?;
    for (what, now) in [("model", options.network.config().to_toml()), ("rules", rules_text(options))] {
        if checkpoint.metadata.get(what).is_some_and(|then| *then != now) {
            return Err(Error::input(format!(
                "{source} is of a run with another {what}; resume with the flags of before, or start anew elsewhere"
            )));
        }
    }
    let wanted: BTreeMap<String, TensorType> =
        slots.iter().map(|(slot, ty)| (format!("{OPTIMIZER}/{slot}"), ty.clone())).collect();
    let values = checkpoint.select(params, &source)?;
    let state = checkpoint.select(&wanted, &source)?;
    Ok((values.into_values().chain(state.into_values()).collect(), done))
}

fn rules_text(options: &Options) -> String {
    crate::config::rules_to_toml(options.network.rules())
}

/// Whether a record was written before a run had done so many steps.
fn before(record: &Record, done: usize, per_epoch: usize) -> bool {
    match record {
        Record::Step { step, .. } => (*step as usize) < done,
        Record::Epoch { epoch, .. } => *epoch as usize * per_epoch <= done,
    }
}

/// The losses of the epoch that was under way after `done` steps.
fn losses_of_epoch(path: &std::path::Path, done: usize, per_epoch: usize) -> Result<Vec<f32>> {
    let first = done / per_epoch * per_epoch;
    let of_epoch = |record: Record| match record {
        Record::Step { step, loss } if step as usize >= first => Some(loss.unwrap_or(f32::NAN)),
        _ => None,
    };
    Ok(read_records(path)?.into_iter().filter_map(of_epoch).collect())
}
