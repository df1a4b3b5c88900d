//! Runs several trainings in one command: one after the other, each in its own folder, with a table and JSON lines at the end. Finished
//! runs are not repeated.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;
use spiq::data::replace_file;
use spiq::pjrt::Client;
use spiq::train::{self, Event, FolderLock, Options, Summary};
use spiq::{Error, ErrorKind, Result, table};

use super::plan::Plan;
use super::progress::Training;
use super::signals::Unsaved;
use super::train::{Arguments, stop_at_signals};
use super::{client, earlier, processes, screen, signals, trained};

/// One of several runs.
pub struct Member {
    /// Its name, such as `seed 1`.
    pub name: String,
    /// The settings in which it differs from the others, by name.
    pub settings: Vec<(String, String)>,
    /// Its arguments, including its folder.
    pub arguments: Arguments,
}

/// The outcome of one run.
pub struct Ended {
    /// The run's name.
    pub name: String,
    /// The settings in which it differs from the others.
    pub settings: Vec<(String, String)>,
    /// The folder of its results.
    pub folder: PathBuf,
    /// Its summary, or the error message.
    pub outcome: std::result::Result<Summary, String>,
}

/// The outcome of all runs of a command.
pub struct Done {
    /// The finished runs, in order.
    pub ended: Vec<Ended>,
    /// Whether a signal prevented the others.
    pub interrupted: bool,
    /// Whether the test part is separate from the training samples in all runs.
    pub has_test_part: bool,
    /// The error of the first failed run.
    failed: Option<Error>,
}

impl Done {
    /// The errors of failed runs, one line each, to print below a table.
    pub fn failures(&self) -> String {
        let said = |ended: &Ended| Some(format!("{} failed: {}\n", ended.name, ended.outcome.as_ref().err()?));
        self.ended.iter().filter_map(said).collect()
    }

    /// Returns the command's result.
    ///
    /// # Errors
    /// Of kind `Interrupted` after a signal; of the kind of the first failure if runs failed.
    pub fn end(self) -> Result<()> {
        let failed = self.ended.iter().filter(|ended| ended.outcome.is_err()).count();
        match self.failed {
            _ if self.interrupted => Err(interrupted()),
            Some(error) => {
                Err(Error::new(error.kind(), format!("{failed} of {} runs failed: {error}", self.ended.len())))
            }
            None => Ok(()),
        }
    }
}

/// Runs all members. After each run, `file` holds one line per finished run. A failed run does not stop the others.
///
/// # Errors
/// Of kind `Input` or `File`, before any training, for invalid arguments of any member; if all runs fail, the error of the first.
pub fn run(members: Vec<Member>, file: &Path) -> Result<Done> {
    let resume = members.iter().any(|member| member.arguments.resume);
    // Report errors in any member's arguments before spending hours on the others.
    let plans = plans(&members)?;
    let stop = stop_at_signals();
    let Some((device, devices)) = plans.first().map(|plan| (plan.device, plan.devices)) else {
        return Err(Error::input("there is nothing to train"));
    };
    let client = client::open_until(device, devices, &stop, None)?;
    let plans: Vec<Plan> = plans.into_iter().map(|plan| plan.on(&client)).collect();
    // Lock the folder of the list and the runs until the command ends.
    let _lock = FolderLock::take(list_folder(file))?;
    if resume && !members.iter().any(|member| member.arguments.allow_changes) {
        check_one_experiment(&members, &plans, &client)?;
    }
    if !resume {
        make_room(&members, &plans, file, &client)?;
    }
    let count = members.len();
    let mut done = Done { ended: Vec::new(), interrupted: false, has_test_part: true, failed: None };
    let mut first_error = None;
    for (number, (member, plan)) in members.into_iter().zip(plans).enumerate() {
        let Member { name, settings, .. } = member;
        done.has_test_part &= plan.options.test.has_test_part();
        let finished = if resume { train::finished(&client, &plan.options)? } else { None };
        let said = finished.as_ref().map_or("", |_| ", already finished");
        screen::progress(&format!("{name}{}{said} ({} of {count})", shown(&name, &settings), number + 1));
        let folder = plan.options.out.clone();
        let outcome = match finished {
            Some(summary) => Ok(summary),
            None => one(plan, &client, &stop),
        };
        match &outcome {
            Ok(summary) if summary.interrupted => {
                done.interrupted = true;
                break;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {
                done.interrupted = true;
                break;
            }
            Err(error) => screen::note(&format!("{name} failed: {error}")),
            Ok(_) => {}
        }
        let outcome = outcome.map_err(|error| {
            let said = error.to_string();
            first_error.get_or_insert(error);
            said
        });
        done.ended.push(Ended { name, settings, folder, outcome });
        write(&done.ended, file)?;
        if stop.load(Ordering::Relaxed) {
            done.interrupted = number + 1 < count;
            break;
        }
    }
    match first_error {
        Some(error) if done.ended.iter().all(|ended| ended.outcome.is_err()) => Err(error),
        failed => Ok(Done { failed, ..done }),
    }
}

/// The settings of a run that its name does not contain.
fn shown(name: &str, settings: &[(String, String)]) -> String {
    let said = |(key, value): &(String, String)| name.contains(key.as_str()) && name.ends_with(value.as_str());
    let parts: Vec<String> =
        settings.iter().filter(|one| !said(one)).map(|(key, value)| format!("{key} = {value}")).collect();
    if parts.is_empty() { String::new() } else { format!(": {}", parts.join(", ")) }
}

/// The plans of all members.
///
/// # Errors
/// The first error, prefixed with the run's name unless all errors are the same.
fn plans(members: &[Member]) -> Result<Vec<Plan>> {
    // Check a few members first: an error common to all is then reported without checking thousands.
    const FEW: usize = 8;
    let refusals: Option<Vec<Error>> = members.iter().take(FEW).map(|member| plan(member).err()).collect();
    if let Some([first, others @ ..]) = refusals.as_deref()
        && others.iter().all(|other| other.to_string() == first.to_string())
    {
        return Err(Error::new(first.kind(), first.to_string()));
    }
    let plans: Vec<Result<Plan>> = members.iter().map(plan).collect();
    let said = |plan: &Result<Plan>| plan.as_ref().err().map(ToString::to_string);
    let common = plans.windows(2).all(|pair| said(&pair[0]) == said(&pair[1]));
    let named = |(member, plan): (&Member, Result<Plan>)| {
        plan.map_err(|error| match common {
            true => error,
            false => Error::new(error.kind(), format!("{}: {error}", member.name)),
        })
    };
    members.iter().zip(plans).map(named).collect()
}

/// The plan of a member. With --resume, members that have a checkpoint continue, the others start.
fn plan(member: &Member) -> Result<Plan> {
    let mut arguments = member.arguments.clone();
    processes::refuse(&arguments.processes, "train several runs")?;
    arguments.resume &= arguments.out.as_deref().is_some_and(train::has_checkpoint);
    arguments.allow_changes &= arguments.resume;
    let plan = Plan::new(&arguments)?;
    train::check_options(&plan.options)?;
    Ok(plan)
}

/// Removes results of earlier commands from the folders of these runs; removes nothing if anything is refused.
fn make_room(members: &[Member], plans: &[Plan], file: &Path, client: &Client) -> Result<()> {
    let out = list_folder(file);
    let folders: Vec<PathBuf> = plans.iter().map(|plan| plan.options.out.clone()).collect();
    // Do not remove the folder of a run in progress.
    let runs = folders.iter().filter(|folder| folder.is_dir());
    let locks = runs.map(|folder| FolderLock::take(folder)).collect::<Result<Vec<_>>>()?;
    let stale = earlier::stale(out, &folders)?;
    let others = stale.iter().filter(|path| path.is_dir());
    let others = others.map(|folder| FolderLock::take(folder)).collect::<Result<Vec<_>>>()?;
    for (member, folder) in members.iter().zip(&folders) {
        earlier::check_folder(folder, &member.arguments)?;
        earlier::check_inputs(&stale, &member.arguments)?;
        let init = member.arguments.init.as_ref().and_then(|path| path.canonicalize().ok());
        let taken = stale.iter().filter_map(|path| path.canonicalize().ok());
        if let Some(init) = init.filter(|init| taken.into_iter().any(|path| init.starts_with(path))) {
            return Err(Error::input(format!(
                "the initial parameters, {}, belong to an earlier run that these runs would replace; give another --out",
                init.display()
            )));
        }
    }
    let overwrite = members.iter().any(|member| member.arguments.overwrite);
    earlier::check_stale(out, &stale, overwrite)?;
    for plan in plans {
        earlier::check_overwrite(client, &plan.options, overwrite)?;
    }
    earlier::remove(&stale)?;
    drop((locks, others));
    Ok(())
}

/// The folder that contains the list of runs and the run folders.
fn list_folder(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Refuses flags that would make the runs not yet started differ from those already started: only the latter take missing settings from
/// their checkpoints.
fn check_one_experiment(members: &[Member], plans: &[Plan], client: &Client) -> Result<()> {
    let begun = || members.iter().zip(plans).filter(|(_, plan)| plan.options.resume);
    let Some(new) = members.iter().zip(plans).find(|(_, plan)| !plan.options.resume) else { return Ok(()) };
    for (member, plan) in begun() {
        let anew = Plan::new(&Arguments { resume: false, ..member.arguments.clone() })?;
        let differences = train::differences_from_checkpoint(client, &anew.options)?;
        let differences: Vec<String> = differences.iter().map(ToString::to_string).collect();
        if !differences.is_empty() {
            return Err(Error::input(format!(
                "{} would differ from the run in {}, which has {}; {} has not started and takes no settings from \
                 that run, so repeat all of its flags, or give another --out",
                new.0.name,
                plan.options.out.display(),
                differences.join(" and "),
                new.0.name
            )));
        }
    }
    Ok(())
}

/// One run, with progress output.
///
/// # Errors
/// Those of [`train::run`].
pub fn one(plan: Plan, client: &Client, stop: &AtomicBool) -> Result<Summary> {
    let (notes, options) = (plan.notes(client), plan.options);
    shown_run((client, stop), &options, &notes, GO_ON.to_owned())
}

/// A run whose notes are printed once its options are accepted; `unsaved` is what a signal prints before the first step.
pub fn shown_run(
    (client, stop): (&Client, &AtomicBool),
    options: &Options,
    notes: &[String],
    unsaved: String,
) -> Result<Summary> {
    let mut display = Training::default();
    let mut unsaved = Some(Unsaved::new(unsaved));
    let outcome = train::run(client, options, stop, &mut |event| {
        if matches!(event, Event::Step { .. }) {
            unsaved = None;
        }
        // A refused run prints only the error.
        if matches!(event, Event::Compiling) {
            notes.iter().for_each(|note| screen::note(note));
        }
        display.update(event);
    });
    display.end();
    outcome
}

/// The JSON line of a finished run.
#[derive(Serialize)]
struct Line<'a> {
    name: &'a str,
    settings: BTreeMap<&'a str, &'a str>,
    folder: &'a Path,
    #[serde(flatten)]
    summary: Option<&'a Summary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a String>,
}

/// Writes one line per finished run.
fn write(ended: &[Ended], file: &Path) -> Result<()> {
    let line = |ended: &Ended| {
        let line = Line {
            name: &ended.name,
            settings: ended.settings.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect(),
            folder: &ended.folder,
            summary: ended.outcome.as_ref().ok(),
            error: ended.outcome.as_ref().err(),
        };
        format!("{}\n", serde_json::to_string(&line).expect("numbers and texts"))
    };
    replace_file(file, ended.iter().map(line).collect::<String>().as_bytes())
}

/// Mean and sample standard deviation (0 for a single value).
fn spread(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, if values.len() > 1 { (squares / (count - 1.0)).sqrt() } else { 0.0 })
}

/// The results of runs that differ only in seed or fold, with mean and spread.
pub fn table(done: &Done) -> String {
    let summaries: Vec<&Summary> = done.ended.iter().filter_map(|ended| ended.outcome.as_ref().ok()).collect();
    let validated = summaries.iter().any(|summary| summary.best.is_some());
    let test = if done.has_test_part { "test accuracy" } else { "accuracy on the training samples" };
    let mut head = vec!["", test];
    if validated {
        head.extend(["validation", "best epoch", "best validation", "test at best"]);
    }
    head.extend(["steps", "seconds"]);
    let mut rows: Vec<Vec<String>> = done
        .ended
        .iter()
        .map(|ended| match &ended.outcome {
            Ok(summary) => [vec![ended.name.clone()], cells(summary, validated)].concat(),
            Err(_) => vec![ended.name.clone(), FAILED.to_owned()],
        })
        .collect();
    if summaries.len() > 1 {
        let over = |of: &dyn Fn(&Summary) -> Option<f32>| {
            let values: Vec<f64> = summaries.iter().filter_map(|summary| of(summary)).map(f64::from).collect();
            if values.is_empty() {
                return String::new();
            }
            let (mean, spread) = spread(&values);
            format!("{:.2} ± {:.2} %", 100.0 * mean, 100.0 * spread)
        };
        let mut row = vec!["mean ± spread".to_owned(), over(&|summary| Some(summary.test_accuracy))];
        if validated {
            row.extend([
                over(&|summary| summary.validation_accuracy),
                String::new(),
                over(&|summary| summary.best.map(|best| best.validation_accuracy)),
                over(&|summary| summary.best.map(|best| best.test_accuracy)),
            ]);
        }
        rows.push(row);
    }
    format!("\n{}{}", table::aligned(&head, &rows), done.failures())
}

/// The table cells of a run.
pub fn cells(summary: &Summary, validated: bool) -> Vec<String> {
    let mut cells = vec![trained::percent(summary.test_accuracy)];
    if validated {
        cells.push(summary.validation_accuracy.map(trained::percent).unwrap_or_default());
        cells.extend(match summary.best {
            Some(best) => [
                best.epoch.to_string(),
                trained::percent(best.validation_accuracy),
                trained::percent(best.test_accuracy),
            ],
            None => [String::new(), String::new(), String::new()],
        });
    }
    cells.extend([summary.steps.to_string(), format!("{:.1}", summary.seconds)]);
    cells
}

/// The table cell of a failed run.
pub const FAILED: &str = "failed";

/// How several runs continue.
const GO_ON: &str = "to continue, repeat the command with --resume";

/// The error of a command stopped by a signal.
fn interrupted() -> Error {
    let message = format!("stopped by {} and saved; {GO_ON}", signals::name());
    Error::new(ErrorKind::Interrupted, message)
}

#[cfg(test)]
mod tests {
    use super::spread;

    #[test]
    fn the_spread_is_that_of_a_sample() {
        assert_eq!(spread(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]), (5.0, (32.0f64 / 7.0).sqrt()));
        assert_eq!(spread(&[3.0]), (3.0, 0.0));
    }
}
