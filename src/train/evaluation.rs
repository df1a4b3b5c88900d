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
use crate::pjrt::{Buffer, Executable, Input, Mesh, PendingArray, Watch};
use crate::random::Key;

/// The program that computes the metric. Each device computes batches of its own.
pub(super) struct Evaluation<'s> {
    mesh: Mesh,
    /// Samples per batch.
    size: usize,
    program: Program<'s>,
}

/// Samples to measure on, on the device.
pub(super) struct Examined {
    data: Dataset,
    /// The key for their spikes.
    key: Key,
    /// The arrays of their file, on each device.
    kept: Arc<Vec<Vec<Buffer>>>,
}

impl Examined {
    pub(super) fn new(data: Dataset, key: Key, kept: Arc<Vec<Vec<Buffer>>>) -> Examined {
        Examined { data, key, kept }
    }

    /// The row of the file for a place; the last place is repeated to pad the last batch.
    fn row(&self, place: usize) -> i32 {
        self.data.row(place.min(self.data.count() - 1)) as i32
    }
}

impl<'s> Evaluation<'s> {
    /// Starts compiling the program for samples in a file like that of `data`. Compilation runs concurrently with the first training steps,
    /// which leave a core free.
    pub(super) fn start<'a: 's>(
        scope: &'s Scope<'s, 'a>,
        mesh: &Mesh,
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
        let client = mesh.client();
        let patient = client.watched(Watch { stop: None, ..client.watch().clone() });
        let replicas = mesh.of_one_program();
        let program = Program::Compiling(scope.spawn(move || {
            let (mut program, function, Reads { paths, rates }) = programs::answers(&plan, &options.metric)?;
            program.options.replicas = replicas;
            Ok(Compiled { program: program.compile(&patient, &function)?, read: paths, rates })
        }));
        Evaluation { mesh: mesh.clone(), size, program }
    }

    /// Whether the program is compiled, so that a test starts without waiting.
    pub(super) fn is_ready(&self) -> bool {
        matches!(self.program, Program::Ready(_))
    }

    /// Waits until the program is compiled.
    pub(super) fn ready(&mut self) -> Result<()> {
        self.program.get().map(drop)
    }

    /// Starts measuring with these parameters and statistics, without waiting for the result. A test may read fewer of them than a step:
    /// operands in full precision need no statistics.
    pub(super) fn begin(&mut self, arrays: &Arrays<'_>, on: &Examined) -> Result<Answers> {
        let (compiled, size, of) = (self.program.get()?, self.size, on.data.count());
        let read: Vec<usize> = compiled.read.iter().map(|path| arrays.places[path]).collect();
        let mut batches = Vec::new();
        let devices = self.mesh.local().len();
        for first in (0..of.div_ceil(size)).step_by(devices) {
            let each = self.mesh.local().iter().enumerate().map(|(at, device)| {
                let given = self.given(on, first + at).map(|array| self.mesh.client().to_device_on(&array, device));
                let held = read.iter().map(|&place| &arrays.held[at][place]).chain(&on.kept[at]).map(Input::Borrow);
                let given = given.into_iter().collect::<Result<Vec<_>>>()?;
                Ok(held.chain(given.into_iter().map(Input::Donate)).collect())
            });
            let outputs = compiled.program.execute_on_each(each.collect::<Result<_>>()?)?;
            for (number, outputs) in (first..).zip(outputs) {
                // The last devices may have none left.
                let count = size.min(of.saturating_sub(number * size));
                batches.push((count, outputs.iter().map(Buffer::start_to_host).collect::<Result<_>>()?));
            }
        }
        Ok(Answers { batches, rates: compiled.rates, of })
    }

    /// The rows and the key of a batch.
    fn given(&self, on: &Examined, number: usize) -> [Array; 2] {
        let start = number * self.size;
        let rows: Vec<i32> = (start..start + self.size).map(|place| on.row(place)).collect();
        let key = group_key(on.key, number).to_array();
        [Array::new([self.size], rows).expect("one row per sample"), key]
    }
}

/// Parameters and statistics on each device, with the place of each path among them.
pub(super) struct Arrays<'a> {
    pub(super) places: &'a BTreeMap<String, usize>,
    pub(super) held: &'a [Vec<Buffer>],
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
