//! Shows the progress of installations, reading, training and measurements: bars on a terminal, lines elsewhere.

use std::io::{IsTerminal, stderr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use spiq::bench;
use spiq::pjrt::{self, CompileProgress, Compiling};
use spiq::train::Event;

use super::screen;

/// Shows an installation on standard error, package by package.
#[derive(Default)]
pub struct Installation {
    shown: Option<(&'static str, pjrt::Step, ProgressBar)>,
}

impl Installation {
    /// Updates the display.
    pub fn update(&mut self, progress: pjrt::Progress) {
        let now = (progress.package, progress.step);
        let shown = self.shown.as_ref().map(|(package, step, _)| (*package, *step));
        if shown != Some(now) {
            self.end();
            let template = match progress.step {
                pjrt::Step::Wait => "{msg} {elapsed}",
                _ => "{msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec}",
            };
            let bar = bar(progress.total, template);
            bar.set_message(message(&progress));
            match progress.step {
                pjrt::Step::Download if bar.is_hidden() => {
                    screen::progress(&format!("{} ({})", message(&progress), screen::bytes(progress.total)));
                }
                pjrt::Step::Wait if bar.is_hidden() => screen::progress(&message(&progress)),
                _ => {}
            }
            self.shown = Some((progress.package, progress.step, bar));
        }
        if let Some((_, _, bar)) = &self.shown {
            bar.set_position(progress.done);
            bar.tick();
        }
    }

    fn end(&mut self) {
        if let Some((_, _, bar)) = self.shown.take() {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        self.end();
    }
}

fn message(progress: &pjrt::Progress) -> String {
    match progress.step {
        pjrt::Step::Wait => "waiting for another process that installs a plugin".to_owned(),
        step => format!("{} {} {}", step.doing(), progress.package, progress.version),
    }
}

/// Shows the number of samples read: a bar on a terminal, nothing elsewhere.
#[derive(Default)]
pub struct Samples {
    bar: Option<ProgressBar>,
}

impl Samples {
    /// Updates the display.
    pub fn update(&mut self, done: usize, total: usize) {
        let bar = self.bar.get_or_insert_with(|| bar(total as u64, "reading [{bar:30}] {pos}/{len} samples"));
        bar.set_position(done as u64);
    }
}

impl Drop for Samples {
    fn drop(&mut self) {
        self.bar.iter().for_each(ProgressBar::finish_and_clear);
    }
}

/// Shows the download of a data set on standard error, stage by stage.
#[derive(Default)]
pub struct Fetching {
    shown: Option<(spiq_events::Step, &'static str, ProgressBar)>,
}

impl Fetching {
    /// Updates the display.
    pub fn update(&mut self, progress: spiq_events::Progress) {
        let shown = self.shown.as_ref().map(|(step, archive, _)| (*step, *archive));
        if shown != Some((progress.step, progress.archive)) {
            self.end();
            let template = match progress.step {
                spiq_events::Step::Download => "{msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec}",
                _ => "{msg} [{bar:30}]",
            };
            let bar = bar(progress.total.unwrap_or(0), template);
            bar.set_message(format!("{} {}", progress.step.doing(), progress.archive));
            if bar.is_hidden() && progress.step == spiq_events::Step::Download {
                let size = progress.total.map_or_else(String::new, |total| format!(" ({})", screen::bytes(total)));
                screen::progress(&format!("downloading {}{size}", progress.archive));
            }
            self.shown = Some((progress.step, progress.archive, bar));
        }
        if let Some((.., bar)) = &self.shown {
            bar.set_position(progress.done);
        }
    }

    fn end(&mut self) {
        if let Some((.., bar)) = self.shown.take() {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Fetching {
    fn drop(&mut self) {
        self.end();
    }
}

/// Shows a training run: a bar on a terminal, and a line for each epoch.
#[derive(Default)]
pub struct Training {
    begun: Option<Begun>,
}

/// State from the first step on.
struct Begun {
    bar: ProgressBar,
    at: Instant,
    done: usize,
}

impl Training {
    /// Displays an event.
    pub fn update(&mut self, event: Event) {
        match event {
            Event::Note(note) => self.line(&note),
            Event::Compiling => self.progress("compiling the training step"),
            Event::Step { done, total, loss } => self.step(done, total, loss),
            Event::Skipped { step, skipped: 1 } => {
                // The table at the end shows the total.
                self.line(&format!("step {step} was skipped: a value is not finite; later skips are only counted"));
            }
            Event::Epoch { epoch, train_loss, test_accuracy, validation_accuracy, is_best } => {
                let accuracy = 100.0 * test_accuracy;
                let validation =
                    validation_accuracy.map(|accuracy| format!("validation accuracy {:.2} %  ", 100.0 * accuracy));
                let (validation, best) = (validation.unwrap_or_default(), if is_best { "  best" } else { "" });
                self.progress(&format!(
                    "epoch {epoch:>3}  train loss {train_loss:.4}  {validation}test accuracy {accuracy:.2} %{best}"
                ));
            }
            _ => {}
        }
    }

    /// Clears the bar.
    pub fn end(&self) {
        if let Some(begun) = &self.begun {
            begun.bar.finish_and_clear();
        }
    }

    fn step(&mut self, done: usize, total: usize, loss: Option<f32>) {
        let begun = self.begun.get_or_insert_with(|| Begun {
            bar: bar(total as u64, "[{bar:30}] step {pos}/{len}  {msg}"),
            at: Instant::now(),
            done,
        });
        let rate = (done - begun.done) as f64 / begun.at.elapsed().as_secs_f64().max(1e-9);
        let loss = loss.map_or_else(String::new, |loss| format!("loss {loss:.4}  "));
        begun.bar.set_message(format!("{loss}{rate:.0} steps/s"));
        begun.bar.set_position(done as u64);
    }

    /// A line about progress.
    fn progress(&self, text: &str) {
        if !screen::is_quiet() {
            self.line(text);
        }
    }

    fn line(&self, text: &str) {
        match &self.begun {
            Some(begun) if !begun.bar.is_hidden() => begun.bar.println(text),
            _ => screen::note(text),
        }
    }
}

/// Delay before a compilation is shown on a terminal.
const LONG: Duration = Duration::from_secs(2);

/// The same when output is kept, as in a log file.
const LONGER: Duration = Duration::from_secs(10);

/// Shows the duration of compilations that the command waits for: a live line on a terminal, a single note elsewhere. Compilations on other
/// threads, in parallel with training, are not shown.
pub fn compiling() -> CompileProgress {
    let shown: Mutex<Option<ProgressBar>> = Mutex::default();
    Arc::new(move |Compiling { program, elapsed, ended }| {
        if std::thread::current().name() != Some("main") {
            return;
        }
        let mut shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
        if ended {
            shown.take().iter().for_each(ProgressBar::finish_and_clear);
            return;
        }
        let from = if stderr().is_terminal() { LONG } else { LONGER };
        if elapsed < from {
            return;
        }
        let new = shown.is_none();
        let bar = shown.get_or_insert_with(|| bar(0, "{msg}"));
        let seconds = elapsed.as_secs();
        match bar.is_hidden() {
            true if new => {
                screen::progress(&format!("{program} is still being compiled after {seconds} s; Ctrl-C stops it"))
            }
            true => {}
            false => bar.set_message(format!("compiling {program}: {seconds} s (Ctrl-C stops it)")),
        }
    })
}

/// Shows a measurement: a bar on a terminal, nothing elsewhere.
pub struct Measurement {
    bar: ProgressBar,
}

impl Measurement {
    /// Before a measurement of at least `rounds` rounds.
    pub fn new(rounds: usize) -> Measurement {
        Measurement { bar: bar(rounds as u64, "[{bar:30}] {msg}") }
    }

    /// Displays an event.
    pub fn update(&mut self, event: bench::Event) {
        match event {
            bench::Event::Compiling(arithmetic) => self.bar.set_message(format!("compiling {arithmetic}")),
            bench::Event::Profiling(arithmetic) => self.bar.set_message(format!("recording {arithmetic}")),
            bench::Event::Round(round) => {
                self.bar.set_position(round as u64);
                self.bar.set_message(format!("round {round}"));
            }
            _ => {}
        }
        self.bar.tick();
    }
}

impl Drop for Measurement {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A bar on standard error; hidden unless that is a terminal, and by `--quiet`.
fn bar(total: u64, template: &str) -> ProgressBar {
    let target = match stderr().is_terminal() && !screen::is_quiet() {
        true => ProgressDrawTarget::stderr_with_hz(10),
        false => ProgressDrawTarget::hidden(),
    };
    let style = ProgressStyle::with_template(template).expect("the templates are right").progress_chars("=> ");
    ProgressBar::with_draw_target(Some(total), target).with_style(style)
}
