//! The measurement: all programs compiled first, then rounds in which each runs once. Knows no particular arithmetic.

use std::time::{Duration, Instant};

use super::arithmetic::Arithmetic;
use super::shape::Shape;
use super::subject::{Data, Subject};
use super::timing::Timing;
use crate::error::{Error, Result};
use crate::pjrt::{Client, Profile, Profiler};

/// What is measured, and how long.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// The sizes of the network.
    pub shape: Shape,
    /// Which arithmetics; ratios are to [`Arithmetic::Fp32`] where it is one of them.
    pub arithmetics: Vec<Arithmetic>,
    /// Steps of a tile that the scan over time is cut into; `None` leaves the choice to the library.
    pub time_tile: Option<usize>,
    /// Rounds at least.
    pub runs: usize,
    /// After these seconds of rounds there are only as many further ones as `runs` asks for.
    pub seconds: f64,
    /// Whether a few training steps of each arithmetic are recorded after the timing.
    pub profile: bool,
}

impl Options {
    /// These arithmetics, at least 10 rounds, 5 seconds of them.
    pub fn new(shape: Shape, arithmetics: Vec<Arithmetic>) -> Options {
        Options { shape, arithmetics, time_tile: None, runs: 10, seconds: 5.0, profile: false }
    }
}

/// What happens during a measurement.
#[derive(Clone, Copy, Debug)]
pub enum Event {
    /// The programs of an arithmetic are being compiled.
    Compiling(Arithmetic),
    /// So many rounds are done.
    Round(usize),
    /// Training steps of an arithmetic are being recorded.
    Profiling(Arithmetic),
}

/// The figures of one arithmetic.
#[derive(Clone, Debug)]
pub struct Row {
    /// Which.
    pub arithmetic: Arithmetic,
    /// A forward pass: parameters and spikes on the device to traces [T, B, C].
    pub forward: Timing,
    /// A training step: parameters and state to those after it, donated.
    pub step: Timing,
    /// Compilation of the forward pass, without any cache.
    pub forward_compile: Duration,
    /// Compilation of the training step, without any cache.
    pub step_compile: Duration,
    /// Bytes of a forward pass at its largest; `None` where the plugin does not tell.
    pub forward_peak: Option<u64>,
    /// Bytes of a training step at its largest.
    pub step_peak: Option<u64>,
    /// How often a hidden neuron spikes, per time step, before training.
    pub spike_rate: f64,
    /// What training steps are made of, where [`Options::profile`] asks for it.
    pub profile: Option<StepProfile>,
}

/// What ran on the device during some training steps.
#[derive(Clone, Debug)]
pub struct StepProfile {
    /// How many steps were recorded.
    pub steps: u32,
    /// The operations of all of them.
    pub total: Profile,
}

/// Rows for all arithmetics, measured in turn so that what disturbs the machine disturbs all alike.
///
/// # Errors
/// Of kind `Input` for a shape that is too large or no arithmetic at all; of kind `Plugin` when a profile is asked for that the
/// plugin cannot make; what PJRT says.
pub fn run(client: &Client, options: &Options, events: &mut dyn FnMut(Event)) -> Result<Vec<Row>> {
    if options.arithmetics.is_empty() {
        return Err(Error::input("there is nothing to measure; name a mode, such as fp32"));
    }
    let profiler = options.profile.then(|| client.plugin().profiler()).transpose()?;
    let data = Data::new(client, &options.shape)?;
    let mut lanes = Vec::new();
    for &arithmetic in &options.arithmetics {
        events(Event::Compiling(arithmetic));
        let subject = Subject::new(client, &options.shape, arithmetic, options.time_tile, &data)?;
        lanes.push(Lane { arithmetic, subject, calls: [1; 2], forward: Vec::new(), step: Vec::new(), profile: None });
    }
    for lane in &mut lanes {
        lane.warm_up(&data)?;
    }
    let started = Instant::now();
    let mut rounds = 0;
    while rounds < options.runs || started.elapsed().as_secs_f64() < options.seconds {
        lanes.iter_mut().try_for_each(|lane| lane.round(&data))?;
        rounds += 1;
        events(Event::Round(rounds));
    }
    if let Some(profiler) = profiler {
        for lane in &mut lanes {
            events(Event::Profiling(lane.arithmetic));
            lane.record(profiler, &data)?;
        }
    }
    Ok(lanes.into_iter().map(Lane::row).collect())
}

/// An arithmetic with its times so far.
struct Lane {
    arithmetic: Arithmetic,
    subject: Subject,
    /// Calls of the forward pass and the training step that make one run.
    calls: [u32; 2],
    forward: Vec<Duration>,
    step: Vec<Duration>,
    profile: Option<StepProfile>,
}

/// A run lasts at least this long: a short program is called several times, so that each call but the first finds the
/// caches as it left them.
const RUN: Duration = Duration::from_millis(10);

/// Training steps in a profile.
const RECORDED: u32 = 5;

impl Lane {
    /// Runs each program until it is at its usual speed, and finds out how many calls make a run.
    fn warm_up(&mut self, data: &Data) -> Result<()> {
        for calls in [2, 1] {
            let forward = self.time_forward(calls, data)?;
            let step = self.time_step(calls, data)?;
            self.calls = [forward, step].map(|call| RUN.div_duration_f64(call).ceil().clamp(1.0, 1e4) as u32);
        }
        Ok(())
    }

    fn round(&mut self, data: &Data) -> Result<()> {
        let [forward, step] = self.calls;
        let (forward, step) = (self.time_forward(forward, data)?, self.time_step(step, data)?);
        self.forward.push(forward);
        self.step.push(step);
        Ok(())
    }

    fn record(&mut self, profiler: Profiler, data: &Data) -> Result<()> {
        let total = profiler.record(|| (0..RECORDED).try_for_each(|_| self.subject.run_step(data)))?;
        self.profile = Some(StepProfile { steps: RECORDED, total });
        Ok(())
    }

    /// The mean time of a call.
    fn time_forward(&mut self, calls: u32, data: &Data) -> Result<Duration> {
        let started = Instant::now();
        (0..calls).try_for_each(|_| self.subject.run_forward(data))?;
        Ok(started.elapsed() / calls)
    }

    /// The mean time of a call.
    fn time_step(&mut self, calls: u32, data: &Data) -> Result<Duration> {
        let started = Instant::now();
        (0..calls).try_for_each(|_| self.subject.run_step(data))?;
        Ok(started.elapsed() / calls)
    }

    fn row(self) -> Row {
        let Subject { forward, step, spike_rate, .. } = &self.subject;
        Row {
            arithmetic: self.arithmetic,
            forward: Timing::of(&self.forward),
            step: Timing::of(&self.step),
            forward_compile: forward.time,
            step_compile: step.time,
            forward_peak: forward.peak,
            step_peak: step.peak,
            spike_rate: *spike_rate,
            profile: self.profile,
        }
    }
}
