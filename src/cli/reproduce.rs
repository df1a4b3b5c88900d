//! Builds the command that repeats a run, from the settings in its files.

use std::path::Path;

use spiq::provenance::{Provenance, Validation, key};

use super::shell::{flag as flag_of, quoted};

/// A command, and notes on settings that no flag expresses.
pub struct Command {
    /// The shell command line.
    pub line: String,
    /// What to do besides running it.
    pub notes: Vec<String>,
}

/// The command that repeats the run in a folder; its results go to a folder beside it.
pub fn command(folder: &Path, run: &Provenance) -> Command {
    let mut words = vec!["spiq train".to_owned()];
    let mut notes = Vec::new();
    for (name, flag, text) in run.entries() {
        match name {
            key::model => words.push(flag_of("--model", folder.join("model.toml"))),
            key::rules if text == "none" => words.push("--rules none".to_owned()),
            key::rules => words.push(flag_of("--rules", folder.join("rules.toml"))),
            key::length => words.extend(text.split_once(' ').map(|(count, unit)| format!("--{unit} {count}"))),
            key::order if text != "shuffled" => words.push("--no-shuffle".to_owned()),
            key::elements if text == "presence" => words.push("--presence".to_owned()),
            key::time_tile if text == "all" => {}
            key::init if text != "drawn" => notes.push(format!("with --init and the parameters {text}")),
            key::validation => words.extend(match run.validation {
                Some(Validation::Fold { number, of }) => Some(format!("--folds {of} --fold {number}")),
                _ => Some(format!("--validation {text}")),
            }),
            // An absent setting needs no flag.
            _ if text == "none" => {}
            key::data_file | key::test_file => words.push(format!("{flag} {}", quoted(&text))),
            // Implied by other entries, or not a flag.
            key::order | key::elements | key::init | key::kernels | key::data | key::coding | key::xla_flags => {}
            key::plugin | key::spiq | key::run | key::step | key::best | key::metric => {}
            // Spike trains keep their own time steps.
            key::time_steps if run.bins.is_some() => {}
            _ if flag.starts_with("--") => words.push(format!("{flag} {}", quoted(&text))),
            _ => notes.push(format!("{name}: {text}")),
        }
    }
    let mut again = folder.as_os_str().to_owned();
    again.push("-again");
    words.push(flag_of("--out", again));
    Command { line: words.join(" "), notes }
}

#[cfg(test)]
mod tests {
    use super::*;
    use spiq::provenance::{Length, Order};

    #[test]
    fn a_command_has_the_flags_that_decide_a_run() {
        let run = Provenance {
            seed: Some(-3),
            length: Some(Length::Steps(20)),
            order: Some(Order::File),
            validation: Some(Validation::Fold { number: 2, of: 5 }),
            loss: Some("mse_spikerate".into()),
            transforms: Some("Denoise(filter_time = 10.0)".into()),
            data_file: Some("it's.h5".into()),
            ..Provenance::default()
        };
        let line = command(Path::new("runs/a"), &run).line;
        for part in [
            "--seed -3",
            "--steps 20",
            "--no-shuffle",
            "--folds 5 --fold 2",
            "--loss mse_spikerate",
            "--transform 'Denoise(filter_time = 10.0)'",
            "--data 'it'\\''s.h5'",
            "--out runs/a-again",
        ] {
            assert!(line.contains(part), "{part}: {line}");
        }
    }
}
