//! `spiq bench`: measures the speed of a network of a given shape, or of a model file, in each arithmetic and prints a table or JSON.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use spiq::bench::{self, Arithmetic, Machine, Options, Row, Shape, Timing, Workload};
use spiq::config::ModelConfig;
use spiq::data::replace_file;
use spiq::pjrt::Platform;
use spiq::{Error, Result, display, table};

use super::argument::Devices;
use super::choice::Device;
use super::profile::Profile;
use super::progress::Measurement;
use super::{argument, client, output, screen};

const EXAMPLES: &str = "\
The network of --shape is Linear(IN, H) LIF Linear(H, H) LIF Linear(H, C) LI without bias, with a triangular surrogate. Each input spikes
with probability --density; the loss is integral cross-entropy, the optimizer lion with 1e-3. Spikes, parameters and optimizer state stay on the
device, and every call is synchronous.

Examples:
  spiq bench --shape 128,64,128,128,20
  spiq bench --shape 96,128,700,1024,20 --modes fp32,int8-qwix --json
  spiq bench --model model.toml --time-steps 64 --batch-size 32
  spiq bench --shape 96,128,700,1024,20 --modes int8+bf16 --device cuda --profile
  spiq bench --shape 96,128,700,1024,20 --modes int8 --profile --picture roofline.svg

In JSON, times are in milliseconds (medians; `_low` and `_high` are quartiles), memory in bytes, ratios are speed-ups over fp32.
A profile is the mean per pass: on a GPU of every kernel, which needs a plugin with PJRT's profiler, such as the CUDA plugin with
NVIDIA's CUPTI; on the CPU of this library's kernels, with the bytes of their operands and results and, where their number is known, operations
on single elements per second, and how much of the machine's limits that is.";

/// Measure training steps and forward passes in each arithmetic
///
/// Modes are measured in alternation, round by round, so that other load on the machine slows all of them alike; ratios are more reliable
/// than milliseconds.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Time steps, batch size, inputs, hidden neurons, classes
    #[arg(long, value_name = "T,B,IN,H,C", required_unless_present = "model")]
    shape: Option<Shape>,
    /// Model file to measure instead of the network of --shape, without layers that draw random numbers or keep running statistics
    #[arg(long, value_name = "M.toml", conflicts_with = "shape")]
    model: Option<PathBuf>,
    /// Batch size for --model
    #[arg(long, value_name = "N", value_parser = argument::count, default_value = "32", requires = "model")]
    batch_size: usize,
    /// Time steps for --model
    #[arg(long, value_name = "N", value_parser = argument::count, default_value = "32", requires = "model")]
    time_steps: usize,
    /// Arithmetics to measure [default: all that the device runs well]
    #[arg(long, value_name = "MODE,…", value_delimiter = ',')]
    modes: Vec<Arithmetic>,
    /// Fraction of the inputs that are spikes
    #[arg(long, value_name = "P", value_parser = argument::probability, default_value = "0.1")]
    density: f32,
    /// Time steps per tile; each layer computes its products for a whole tile at once [default: all time steps]
    #[arg(long, value_name = "K", value_parser = argument::count)]
    time_tile: Option<usize>,
    /// Minimum number of rounds
    #[arg(long, value_name = "N", value_parser = argument::count, default_value = "10")]
    runs: usize,
    /// Minimum measuring time in seconds
    #[arg(long, value_name = "S", value_parser = argument::positive, default_value = "5")]
    seconds: f64,
    /// Also time queued calls: as in a training loop, the host waits once per run of several calls, not after each
    #[arg(long)]
    queued: bool,
    /// After timing, profile a few forward passes and training steps and show where their time goes, and on a CPU how near each kernel comes to
    /// the machine's limits
    #[arg(long)]
    profile: bool,
    /// Draw the profiled kernels of the CPU as a roofline: operations per second by operations per byte
    #[arg(long, value_name = "FILE.svg", requires = "profile")]
    picture: Option<PathBuf>,
    /// Print the results as JSON
    #[arg(long)]
    json: bool,
    /// Device to run on; the CPU plugin is installed on first use
    #[arg(long, value_enum, default_value = "cpu")]
    device: Device,
    /// Devices that share each step and each forward pass: a number, or `all`
    #[arg(long, value_name = "N | all", value_parser = argument::devices, default_value = "1")]
    devices: Devices,
}

/// Runs the command.
///
/// # Errors
/// Of kind `Input` or `File` for sizes that are too large or an unusable model; PJRT's errors.
pub fn run(arguments: &Arguments) -> Result<()> {
    let workload = workload(arguments)?;
    if let Some(picture) = &arguments.picture {
        output::check(picture, arguments.model.as_deref())?;
        if arguments.device != Device::Cpu {
            return Err(Error::input("--picture draws kernels of the CPU; leave it out on other devices"));
        }
    }
    let client = client::open_with(arguments.device, arguments.devices)?;
    let arithmetics = match arguments.modes.as_slice() {
        [] => Arithmetic::of(&client),
        modes => modes.to_vec(),
    };
    let options = Options {
        density: arguments.density,
        time_tile: arguments.time_tile,
        runs: arguments.runs,
        seconds: arguments.seconds,
        queued: arguments.queued,
        profile: arguments.profile,
        devices: client::count(&client, arguments.devices),
        ..Options::new(workload, arithmetics)
    };
    let mut display = Measurement::new(options.runs);
    let rows = bench::run(&client, &options, &mut |event| display.update(event));
    drop(display);
    let device = client.devices().first().map_or_else(String::new, |device| device.kind().to_owned());
    let is_limited = arguments.profile && client.platform() == Some(Platform::Cpu);
    let machine = is_limited.then(Machine::measure);
    let report = Report::new(device, &options.workload, &rows?, machine);
    if let Some(file) = &arguments.picture {
        report.draw(file)?;
    }
    match arguments.json {
        true => screen::print(&format!("{}\n", serde_json::to_string_pretty(&report).expect("strings and numbers"))),
        false => screen::print(&report.text()),
    }
}

/// The network that the arguments describe.
fn workload(arguments: &Arguments) -> Result<Workload> {
    match (&arguments.model, arguments.shape) {
        (Some(model), _) => Workload::new(ModelConfig::load(model)?, arguments.time_steps, arguments.batch_size),
        (None, shape) => Ok(shape.expect("clap requires --shape or --model").into()),
    }
}

#[derive(Debug, Serialize)]
struct Report {
    device: String,
    /// The shape's five numbers, or the sizes of a model's input.
    shape: String,
    /// What all cores copy, reads and writes together, beside a profile on the CPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_gb_per_second: Option<f64>,
    /// Additions by all cores, in 10⁹, beside a profile on the CPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    gop_per_second: Option<f64>,
    modes: Vec<Mode>,
}

/// The results of a mode; field names are the JSON keys.
#[derive(Debug, Serialize)]
struct Mode {
    mode: &'static str,
    forward_ms: f64,
    forward_ms_low: f64,
    forward_ms_high: f64,
    train_step_ms: f64,
    train_step_ms_low: f64,
    train_step_ms_high: f64,
    runs: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    forward_queued_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    train_step_queued_ms: Option<f64>,
    forward_compile_ms: f64,
    train_step_compile_ms: f64,
    steps_per_second: f64,
    spike_rate: f64,
    forward_macs_per_second: Option<f64>,
    train_step_macs_per_second: Option<f64>,
    forward_peak_bytes: Option<u64>,
    train_step_peak_bytes: Option<u64>,
    forward_ratio: Option<f64>,
    train_step_ratio: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    forward_profile: Option<Profile>,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<Profile>,
}

impl Report {
    fn new(device: String, workload: &Workload, rows: &[Row], machine: Option<Machine>) -> Report {
        let full = rows.iter().find(|row| row.arithmetic == Arithmetic::Fp32);
        let modes = rows.iter().map(|row| Mode::new(workload, row, full, machine.as_ref())).collect();
        let [memory_gb_per_second, gop_per_second] =
            [|machine: Machine| machine.bytes, |machine: Machine| machine.operations]
                .map(|of| machine.map(|m| of(m) / 1e9));
        Report { device, shape: workload.to_string(), memory_gb_per_second, gop_per_second, modes }
    }

    /// Writes the roofline of the profiled kernels.
    fn draw(&self, file: &Path) -> Result<()> {
        let Some((bytes, operations)) = self.memory_gb_per_second.zip(self.gop_per_second) else { return Ok(()) };
        let groups: Vec<(String, Vec<(f64, f64)>)> = self.modes.iter().flat_map(Mode::intensities).collect();
        let picture = display::roofline(&format!("Kernels of {}", self.shape), [bytes, operations], &groups);
        replace_file(file, picture.svg().as_bytes())
    }

    fn text(&self) -> String {
        let mut head = vec![
            "mode",
            "forward ms",
            "×",
            "step ms",
            "×",
            "steps/s",
            "step GMAC/s",
            "spikes",
            "step memory",
            "compile s",
        ];
        if self.modes.iter().any(|mode| mode.train_step_queued_ms.is_some()) {
            head.extend(["forward queued", "step queued"]);
        }
        let rows: Vec<Vec<String>> = self.modes.iter().map(Mode::cells).collect();
        let figures =
            format!("{}, shape {}, {}\n\n{}", self.device, self.shape, self.runs(), table::aligned(&head, &rows));
        let profiles = self.modes.iter().flat_map(Mode::profiles);
        let bound = self.memory_gb_per_second.zip(self.gop_per_second).map(|(bytes, operations)| {
            format!(
                "All cores copy {bytes:.1} GB/s, reads and writes together, and add {operations:.0} G elements/s in registers: a kernel is \
                 limited by the one that takes longer.\n"
            )
        });
        std::iter::once(figures).chain(profiles).chain(bound).collect::<Vec<_>>().join("\n")
    }

    fn runs(&self) -> String {
        let runs = self.modes.first().map_or(0, |mode| mode.runs);
        format!("medians and quartiles of {runs} runs; × is the speed-up over fp32")
    }
}

impl Mode {
    fn new(workload: &Workload, row: &Row, full: Option<&Row>, machine: Option<&Machine>) -> Mode {
        let ratio = |of: fn(&Row) -> Timing| full.map(|full| of(full).median.div_duration_f64(of(row).median));
        let per_second = |count: u64, timing: Timing| count as f64 / timing.median.as_secs_f64();
        let products = workload.products();
        let profiles = row.profiles.as_ref().map(|both| both.each_ref().map(|profile| Profile::new(profile, machine)));
        let (forward_profile, profile) = profiles.map(|[forward, step]| (forward, step)).unzip();
        Mode {
            mode: row.arithmetic.name(),
            forward_ms: milliseconds(row.forward.median),
            forward_ms_low: milliseconds(row.forward.low),
            forward_ms_high: milliseconds(row.forward.high),
            train_step_ms: milliseconds(row.step.median),
            train_step_ms_low: milliseconds(row.step.low),
            train_step_ms_high: milliseconds(row.step.high),
            runs: row.step.runs,
            forward_queued_ms: row.queued.map(|[forward, _]| milliseconds(forward.median)),
            train_step_queued_ms: row.queued.map(|[_, step]| milliseconds(step.median)),
            forward_compile_ms: milliseconds(row.forward_compile),
            train_step_compile_ms: milliseconds(row.step_compile),
            steps_per_second: per_second(1, row.step),
            spike_rate: row.spike_rate,
            forward_macs_per_second: products.map(|[forward, _]| per_second(forward, row.forward)),
            train_step_macs_per_second: products.map(|[_, step]| per_second(step, row.step)),
            forward_peak_bytes: row.forward_peak,
            train_step_peak_bytes: row.step_peak,
            forward_ratio: ratio(|row| row.forward),
            train_step_ratio: ratio(|row| row.step),
            forward_profile,
            profile,
        }
    }

    /// The profiles as text.
    fn profiles(&self) -> Vec<String> {
        let forward =
            self.forward_profile.as_ref().map(|profile| profile.text(self.mode, "forward pass", self.forward_ms));
        let step = self.profile.as_ref().map(|profile| profile.text(self.mode, "training step", self.train_step_ms));
        forward.into_iter().chain(step).collect()
    }

    /// The kernels of each pass, as points of a roofline.
    fn intensities(&self) -> Vec<(String, Vec<(f64, f64)>)> {
        let named = |pass: &str, profile: &Option<Profile>| {
            Some((format!("{} {pass}", self.mode), profile.as_ref()?.intensities()))
        };
        [named("forward", &self.forward_profile), named("step", &self.profile)].into_iter().flatten().collect()
    }

    fn cells(&self) -> Vec<String> {
        let spread = |middle: f64, low: f64, high: f64| format!("{middle:.2} ({low:.2}–{high:.2})");
        let ratio = |ratio: Option<f64>| ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}"));
        let mut cells = vec![
            self.mode.to_owned(),
            spread(self.forward_ms, self.forward_ms_low, self.forward_ms_high),
            ratio(self.forward_ratio),
            spread(self.train_step_ms, self.train_step_ms_low, self.train_step_ms_high),
            ratio(self.train_step_ratio),
            format!("{:.1}", self.steps_per_second),
            self.train_step_macs_per_second.map_or_else(|| "–".to_owned(), |macs| format!("{:.1}", macs / 1e9)),
            format!("{:.3}", self.spike_rate),
            self.train_step_peak_bytes.map_or_else(|| "–".to_owned(), screen::bytes),
            format!("{:.2}", (self.forward_compile_ms + self.train_step_compile_ms) / 1e3),
        ];
        let queued = [self.forward_queued_ms, self.train_step_queued_ms];
        cells.extend(queued.into_iter().flatten().map(|ms| format!("{ms:.2}")));
        cells
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_nanos() as f64 / 1e6
}
