//! The measurement: compiles all programs first, then runs each once per round.

use std::time::{Duration, Instant};

use super::arithmetic::Arithmetic;
use super::subject::{DENSITY, Data, Subject, wait};
use super::timing::Timing;
use super::workload::Workload;
use crate::error::{Error, Result};
use crate::pjrt::{Client, Mesh, Profile};

/// What to measure, and for how long.
#[derive(Clone, Debug)]
pub struct Options {
    /// The network and the sizes of its input.
    pub workload: Workload,
    /// The arithmetics; ratios are relative to [`Arithmetic::Fp32`] if it is included.
    pub arithmetics: Vec<Arithmetic>,
    /// The fraction of inputs that are spikes.
    pub density: f32,
    /// Steps per tile of the scan over time; `None` leaves the choice to the library.
    pub time_tile: Option<usize>,
    /// Minimum number of rounds.
    pub runs: usize,
    /// Minimum duration in seconds; longer if `runs` requires it.
    pub seconds: f64,
    /// Whether to time queued calls as well: the host waits once per run instead of after each call, as a training loop does, and prepares
    /// a call while the device works on earlier ones.
    pub queued: bool,
    /// The number of devices that share each step and each forward pass.
    pub devices: usize,
    /// Whether to profile a few forward passes and training steps of each arithmetic after the timing.
    pub profile: bool,
}

impl Options {
    /// These arithmetics, with spikes in a tenth of the inputs, at least 10 rounds and 5 seconds.
    pub fn new(workload: impl Into<Workload>, arithmetics: Vec<Arithmetic>) -> Options {
        let workload = workload.into();
        Options {
            workload,
            arithmetics,
            density: DENSITY,
            time_tile: None,
            runs: 10,
            seconds: 5.0,
            queued: false,
            devices: 1,
            profile: false,
        }
    }
}

/// Progress of a measurement.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The programs of an arithmetic are being compiled.
    Compiling(Arithmetic),
    /// This many rounds are done.
    Round(usize),
    /// Passes and steps of an arithmetic are being recorded.
    Profiling(Arithmetic),
}

/// The results of one arithmetic.
#[derive(Clone, Debug)]
pub struct Row {
    /// The arithmetic.
    pub arithmetic: Arithmetic,
    /// A forward pass: from parameters and spikes on the device to traces [T, B, C].
    pub forward: Timing,
    /// A training step: from parameters and state, which are donated, to their updated values.
    pub step: Timing,
    /// A forward pass and a training step in a queue of them, if requested by [`Options::queued`].
    pub queued: Option<[Timing; 2]>,
    /// Compile time of the forward pass, without a cache.
    pub forward_compile: Duration,
    /// Compile time of the training step, without a cache.
    pub step_compile: Duration,
    /// Peak memory of a forward pass in bytes; `None` if the plugin does not report it.
    pub forward_peak: Option<u64>,
    /// Peak memory of a training step in bytes.
    pub step_peak: Option<u64>,
    /// Mean over the hidden layers of spikes per neuron and time step, before training.
    pub spike_rate: f64,
    /// The profiles of forward passes and of training steps, if requested by [`Options::profile`].
    pub profiles: Option<[PassProfile; 2]>,
}

/// The device operations of several forward passes or training steps.
#[derive(Clone, Debug)]
pub struct PassProfile {
    /// The number of recorded passes.
    pub passes: u32,
    /// The operations of all of them together.
    pub total: Profile,
}

/// Measures all arithmetics in alternation, so that other load on the machine affects all alike.
///
/// # Errors
/// Of kind `Input` for an input that is too large or an empty list of arithmetics; of kind `Plugin` if a profile is requested that the
/// plugin cannot record; PJRT's errors.
pub fn run(client: &Client, options: &Options, events: &mut dyn FnMut(Event)) -> Result<Vec<Row>> {
    if options.arithmetics.is_empty() {
        return Err(Error::input("there is nothing to measure; give a mode, such as fp32"));
    }
    if options.profile {
        client.can_record()?;
    }
    let mesh = Mesh::new(client, options.devices)?;
    let data = Data::on(&mesh, &options.workload, options.density)?;
    let mut lanes = Vec::new();
    for &arithmetic in &options.arithmetics {
        events(Event::Compiling(arithmetic));
        let subject = Subject::on(&mesh, &options.workload, arithmetic, options.time_tile, &data)?;
        lanes.push(Lane {
            arithmetic,
            subject,
            calls: [1; 2],
            forward: Vec::new(),
            step: Vec::new(),
            queued: options.queued.then(Default::default),
            profiles: None,
        });
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
    if options.profile {
        for lane in &mut lanes {
            events(Event::Profiling(lane.arithmetic));
            lane.record(client, &data)?;
        }
    }
    Ok(lanes.into_iter().map(Lane::row).collect())
}

/// An arithmetic and its times so far.
struct Lane {
    arithmetic: Arithmetic,
    subject: Subject,
    /// The number of calls of the forward pass and of the training step per run.
    calls: [u32; 2],
    forward: Vec<Duration>,
    step: Vec<Duration>,
    queued: Option<[Vec<Duration>; 2]>,
    profiles: Option<[PassProfile; 2]>,
}

/// Minimum duration of a run: a short program is called several times, so that all calls but the first find warm caches.
const RUN: Duration = Duration::from_millis(10);

/// Passes in a profile.
const RECORDED: u32 = 5;

impl Lane {
    /// Runs each program until its speed is stable, and determines the number of calls per run.
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
        if self.queued.is_some() {
            let now = self.time_queued(data)?;
            self.queued.iter_mut().flatten().zip(now).for_each(|(times, now)| times.push(now));
        }
        Ok(())
    }

    fn record(&mut self, client: &Client, data: &Data) -> Result<()> {
        let profile = |total| PassProfile { passes: RECORDED, total };
        let forward = client.record(|| (0..RECORDED).try_for_each(|_| self.subject.run_forward(data)))?;
        let step = client.record(|| (0..RECORDED).try_for_each(|_| self.subject.run_step(data)))?;
        self.profiles = Some([forward, step].map(profile));
        Ok(())
    }

    /// The mean duration of a call.
    fn time_forward(&mut self, calls: u32, data: &Data) -> Result<Duration> {
        let started = Instant::now();
        (0..calls).try_for_each(|_| self.subject.run_forward(data))?;
        Ok(started.elapsed() / calls)
    }

    /// The mean duration of a call.
    fn time_step(&mut self, calls: u32, data: &Data) -> Result<Duration> {
        let started = Instant::now();
        (0..calls).try_for_each(|_| self.subject.run_step(data))?;
        Ok(started.elapsed() / calls)
    }

    /// The mean durations of a forward pass and of a step in a queue of them, as many as a run has.
    fn time_queued(&mut self, data: &Data) -> Result<[Duration; 2]> {
        let [forward, step] = self.calls;
        let started = Instant::now();
        let mut last = Vec::new();
        for _ in 0..forward {
            last = self.subject.start_forward(data)?;
        }
        wait(&last)?;
        let between = Instant::now();
        (0..step).try_for_each(|_| self.subject.start_step(data))?;
        self.subject.wait_for_steps()?;
        Ok([(between - started) / forward, between.elapsed() / step])
    }

    fn row(self) -> Row {
        let Subject { forward, step, spike_rate, .. } = &self.subject;
        Row {
            arithmetic: self.arithmetic,
            forward: Timing::of(&self.forward),
            step: Timing::of(&self.step),
            queued: self.queued.map(|queued| queued.map(|times| Timing::of(&times))),
            forward_compile: forward.time,
            step_compile: step.time,
            forward_peak: forward.peak,
            step_peak: step.peak,
            spike_rate: *spike_rate,
            profiles: self.profiles,
        }
    }
}
