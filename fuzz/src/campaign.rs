//! Runs inputs against a target for a given time.

use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};
use std::{fs, process};

use rustix::time::{ClockId, clock_gettime};

use crate::{ALLOCATED, Mutator, Target, corpus};

/// Limit of an input's processor time.
const TIME: Duration = Duration::from_secs(1);
/// Wall-clock time after which an input counts as hanging and the process exits; generous, since other programs may be using the processor.
const HANG: Duration = Duration::from_secs(60);
/// Bytes that a reader may allocate per input byte, in addition to [`MEMORY`].
const MEMORY_PER_BYTE: usize = 256;
/// Bytes that a reader may allocate for any input.
const MEMORY: usize = 256 << 20;

/// Duration and seed of a campaign.
#[derive(Clone, Copy, Debug)]
pub struct Campaign {
    /// Duration for each target.
    pub time: Duration,
    /// The seed of the inputs.
    pub seed: u64,
}

/// The results for a target.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Number of inputs.
    pub tried: u64,
    /// Number of accepted inputs; the others were refused.
    pub taken: u64,
    /// The largest processor time of an input.
    pub slowest: Duration,
    /// The largest memory use of an input, in bytes.
    pub memory: usize,
    /// The inputs that failed.
    pub failures: Vec<Failure>,
}

/// An input that failed.
#[derive(Debug)]
pub struct Failure {
    /// The reason.
    pub why: String,
    /// The file in which it is kept.
    pub input: PathBuf,
}

impl Campaign {
    /// Runs inputs that failed before, then the unmodified corpus, then mutations until the time is over.
    pub fn run(self, target: &Target) -> Outcome {
        let real = (target.corpus)();
        let mut first = [corpus::kept(target.name), real.clone()].concat().into_iter();
        let mut mutator = Mutator::new(self.seed, real);
        let mut outcome = Outcome::default();
        let end = Instant::now() + self.time;
        let watch = Watch::new(target.name);
        while let Some(input) = first.next().or_else(|| (Instant::now() < end).then(|| mutator.input())) {
            outcome.add(target, &input, &watch);
        }
        outcome
    }
}

impl Outcome {
    fn add(&mut self, target: &Target, input: &[u8], watch: &Watch) {
        watch.start(input);
        ALLOCATED.reset_peak_usage();
        let (before, start) = (ALLOCATED.current_usage(), processor_time());
        let result = panic::catch_unwind(AssertUnwindSafe(|| (target.read)(input)));
        let (took, memory) = (processor_time() - start, ALLOCATED.peak_usage().saturating_sub(before));
        watch.end();
        self.tried += 1;
        self.taken += u64::from(matches!(result, Ok(true)));
        self.slowest = self.slowest.max(took);
        self.memory = self.memory.max(memory);
        let most = MEMORY + MEMORY_PER_BYTE * input.len();
        let why = match result {
            Err(_) => Some("a panic".to_owned()),
            Ok(_) if took > TIME => Some(format!("{:.1} s of processor time", took.as_secs_f64())),
            Ok(_) if memory > most => Some(format!("{} MB of memory for {} bytes", memory >> 20, input.len())),
            Ok(_) => None,
        };
        self.failures.extend(why.map(|why| Failure { why, input: keep(target.name, input) }));
    }
}

fn processor_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).expect("processor time is not negative")
}

/// Writes a failing input into target/fuzz and returns its path.
fn keep(target: &str, input: &[u8]) -> PathBuf {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/fuzz"));
    let number = input
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3));
    let path = folder.join(format!("{target}-{number:016x}"));
    let written = fs::create_dir_all(&folder).and_then(|()| fs::write(&path, input));
    written.unwrap_or_else(|error| eprintln!("{}: {error}", path.display()));
    path
}

/// Ends the process if an input hangs, and keeps that input.
struct Watch(mpsc::Sender<Option<Vec<u8>>>);

impl Watch {
    fn new(target: &'static str) -> Watch {
        let (sender, inputs) = mpsc::channel::<Option<Vec<u8>>>();
        thread::spawn(move || {
            let mut current = None;
            loop {
                match inputs.recv_timeout(HANG) {
                    Ok(input) => current = input,
                    Err(RecvTimeoutError::Disconnected) => return,
                    Err(RecvTimeoutError::Timeout) => {
                        if let Some(input) = &current {
                            eprintln!("{target}: an input hangs: {}", keep(target, input).display());
                            process::exit(1);
                        }
                    }
                }
            }
        });
        Watch(sender)
    }

    fn start(&self, input: &[u8]) {
        self.0.send(Some(input.to_vec())).expect("the thread waits");
    }

    fn end(&self) {
        self.0.send(None).expect("the thread waits");
    }
}
