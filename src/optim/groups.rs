//! Parameter groups with their own optimizer settings, parsed from the command line.

use super::optimizer::{check_rate, scheduled};
use super::schedule::{Planned, Steps};
use super::table::{OPTIMIZERS, OfRate};
use super::transformation::GradientTransformation;
use crate::by_path::PathPattern;
use crate::choice::{Arguments, Choice, NOT_NEGATIVE, chosen, chosen_one};
use crate::error::{Error, Result};

/// Groups of parameters and their optimizers.
#[derive(Clone, Default)]
pub(super) struct Groups {
    text: Vec<String>,
    groups: Vec<Group>,
}

#[derive(Clone)]
struct Group {
    pattern: PathPattern,
    learning_rate: Option<f64>,
    /// The group's schedule, if it differs from that of the rest.
    schedule: Option<Planned>,
    make: OfRate,
}

/// The only name in the syntax.
const GROUPS: &[Choice<()>] = &[Choice { name: "group", about: "", make: () }];

impl Groups {
    /// Parses groups for an optimizer, given as the text of its call.
    pub(super) fn parse(text: &str, optimizer: &str) -> Result<Groups> {
        let mut all = Groups::default();
        for (_, group) in chosen("group", GROUPS, text)? {
            all.add(group, optimizer)?;
        }
        match all.groups.is_empty() {
            true => Err(Error::input(format!("`{text}` names no group: write group(path = \"…\", learning_rate = …)"))),
            false => Ok(all),
        }
    }

    fn add(&mut self, mut group: Arguments, optimizer: &str) -> Result<()> {
        let path =
            group.text("path")?.ok_or_else(|| group.error("needs `path`, a pattern of the parameters' paths"))?;
        let learning_rate = group.optional("learning_rate", NOT_NEGATIVE)?;
        learning_rate.map_or(Ok(()), check_rate)?;
        let schedule = group.text("schedule")?.map(|text| scheduled(&text)).transpose()?;
        let schedule = schedule.map(|(_, plan)| plan);
        let (row, whole) = chosen_one("optimizer", OPTIMIZERS, optimizer)?;
        let mut whole = whole.overridden(&group);
        // The group alone need not be valid: this only checks that its keys are known.
        let _ = (row.make)(&mut group);
        self.text.push(group.finish()?);
        let make = (row.make)(&mut whole)?;
        self.groups.push(Group {
            pattern: PathPattern::new(&path).map_err(Error::input)?,
            learning_rate,
            schedule,
            make,
        });
        Ok(())
    }

    /// The text that files store; `None` without groups.
    pub(super) fn text(&self) -> Option<String> {
        (!self.text.is_empty()).then(|| self.text.join(", "))
    }

    /// The groups for a run of this many steps. The pair is the initial learning rate of all other parameters and its
    /// schedule.
    pub(super) fn parts(
        &self,
        (rate, plan): (f64, &Planned),
        steps: Steps,
    ) -> Vec<(PathPattern, Box<dyn GradientTransformation>)> {
        let part = |group: &Group| {
            let plan = group.schedule.as_ref().unwrap_or(plan);
            let schedule = plan(group.learning_rate.unwrap_or(rate), steps).schedule;
            (group.pattern.clone(), (group.make)(schedule))
        };
        self.groups.iter().map(part).collect()
    }

    /// Refuses groups that match none of these paths.
    pub(super) fn check(&self, paths: &[&String]) -> Result<()> {
        for (i, group) in self.groups.iter().enumerate() {
            let first = |path: &str| self.groups.iter().position(|group| group.pattern.matches(path)) == Some(i);
            if !paths.iter().any(|path| first(path)) {
                let known: Vec<&str> = paths.iter().map(|path| path.as_str()).collect();
                return Err(Error::input(format!(
                    "no parameter belongs to the group of `{}`; there are {}",
                    group.pattern.text(),
                    known.join(", ")
                )));
            }
        }
        Ok(())
    }
}
