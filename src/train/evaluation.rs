//! The tests of a run: a metric per sample, computed on the device and read when available.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::{Scope, ScopedJoinHandle};

use spiq_hlo::Array;

use super::model::Model;
use super::options::Options;
use super::programs::{self, Plan, Reads};
use super::resident::Resident;
use crate::data::Dataset;
use crate::data::{Encoding, TEST_GROUP, group_key};
use crate::error::{Error, Result};
use crate::pjrt::{Buffer, Client, Executable, Input, PendingArray, Watch};
use crate::random::Key;

/// The program that computes the metric.
pub(super) struct Evaluation<'s, 'a> {
    client: &'a Client,
    /// Samples per call.
    size: usize,
    program: Program<'s>,
}

/// Samples to measure on, on the device.
pub(super) struct Examined {
    data: Dataset,
    /// The key for their spikes.
    key: Key,
    /// The arrays of their file.
    kept: Arc<[Buffer; 2]>,
}

impl Examined {
    pub(super) fn new(data: Dataset, key: Key, kept: Arc<[Buffer; 2]>) -> Examined {
        Examined { data, key, kept }
    }

    /// The row of the file for a place; the last place is repeated to pad the last batch.
    fn row(&self, place: usize) -> i32 {
        self.data.row(place.min(self.data.count() - 1)) as i32
    }
}

impl<'s, 'a: 's> Evaluation<'s, 'a> {
    /// Starts compiling the program for samples in a file like that of `data`. Compilation runs concurrently with the first training steps,
    /// which leave a core free.
    pub(super) fn start(
        scope: &'s Scope<'s, 'a>,
        client: &'a Client,
        options: &'a Options<dyn Model>,
        data: &Dataset,
        encoding: &Encoding,
        resident: &Resident,
    ) -> Self {
        let size = match options.model.network() {
            Some(network) => network.test_group(|size| encoding.x_type(size), data.count()),
            None => TEST_GROUP.min(data.count()),
        };
        let plan = Plan { model: &options.model, encoding: encoding.clone(), resident: resident.clone(), batch: size };
        // A stopped run is still tested.
        let patient = client.watched(Watch { stop: None, ..client.watch().clone() });
        let program = Program::Compiling(scope.spawn(move || {
            let (program, function, Reads { paths, rates }) = programs::answers(&plan, &options.metric)?;
            Ok(Compiled { program: program.compile(&patient, &function)?, read: paths, rates })
        }));
        Evaluation { client, size, program }
    }

    /// Whether the program is compiled, so that a test starts without waiting.
    pub(super) fn is_ready(&self) -> bool {
        matches!(self.program, Program::Ready(_))
    }

    /// Waits until the program is compiled.
    pub(super) fn ready(&mut self) -> Result<()> {
        self.program.get().map(drop)
    }

    /// Starts measuring with these parameters and statistics, by path, without waiting for the result. A test may read fewer of them than a
    /// step: operands in full precision need no statistics.
    pub(super) fn begin(&mut self, params: &BTreeMap<String, &Buffer>, on: &Examined) -> Result<Answers> {
        let (compiled, size, of) = (self.program.get()?, self.size, on.data.count());
        let read: Vec<&Buffer> = compiled.read.iter().map(|path| params[path]).collect();
        let mut batches = Vec::new();
        for (number, start) in (0..of).step_by(size).enumerate() {
            let count = size.min(of - start);
            let rows: Vec<i32> = (start..start + size).map(|place| on.row(place)).collect();
            let key = group_key(on.key, number).to_array();
            let given = [Array::new([size], rows).expect("one row per sample"), key];
            let given = given.iter().map(|array| self.client.to_device(array)).collect::<Result<Vec<_>>>()?;
            let inputs = read
                .iter()
                .copied()
                .chain(on.kept.iter())
                .map(Input::Borrow)
                .chain(given.into_iter().map(Input::Donate));
            let outputs = compiled.program.execute(inputs.collect())?;
            batches.push((count, outputs.iter().map(Buffer::start_to_host).collect::<Result<_>>()?));
        }
        Ok(Answers { batches, rates: compiled.rates, of })
    }
}

/// A test in progress.
pub(super) struct Answers {
    /// For each batch, the number of samples that count, and the program's results.
    batches: Vec<(usize, Vec<PendingArray>)>,
    rates: Vec<String>,
    of: usize,
}

/// The results of a network on the test samples.
pub(super) struct Tested {
    /// The mean of the metric.
    pub(super) metric: f32,
    /// For each layer that fires, the mean number of spikes per neuron and step.
    pub(super) spike_rates: BTreeMap<String, f32>,
}

impl Answers {
    /// Waits for the end of the test.
    pub(super) fn wait(self) -> Result<Tested> {
        // The metric, then the spikes of each layer.
        let mut sums = vec![0.0; 1 + self.rates.len()];
        for (count, outputs) in self.batches {
            for (sum, output) in sums.iter_mut().zip(outputs) {
                // The padding of the last batch does not count.
                *sum += output.wait()?.to_f64().iter().take(count).sum::<f64>();
            }
        }
        let mut means = sums.into_iter().map(|sum| (sum / self.of as f64) as f32);
        let metric = means.next().expect("the metric comes first");
        Ok(Tested { metric, spike_rates: self.rates.into_iter().zip(means).collect() })
    }
}

/// The program, the paths of its inputs, and the layers whose spike rates it returns.
#[derive(Clone)]
struct Compiled {
    program: Executable,
    read: Vec<String>,
    rates: Vec<String>,
}

/// The program, possibly still being compiled.
enum Program<'s> {
    Compiling(ScopedJoinHandle<'s, Result<Compiled>>),
    Ready(Compiled),
    Failed,
}

impl Program<'_> {
    fn get(&mut self) -> Result<Compiled> {
        *self = match std::mem::replace(self, Program::Failed) {
            Program::Compiling(thread) => {
                let outcome = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                Program::Ready(outcome?)
            }
            other => other,
        };
        match self {
            Program::Ready(compiled) => Ok(compiled.clone()),
            _ => Err(Error::input("the program for the test could not be compiled")),
        }
    }
}
