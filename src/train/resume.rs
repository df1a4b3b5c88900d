//! Resumes a run from a checkpoint, unchanged or with allowed changes.

use std::collections::BTreeMap;
use std::path::Path;

use spiq_hlo::{Array, TensorType};

use super::checkpoint::Checkpoint;
use super::checkpoints::{Latest, latest};
use super::model::Model;
use super::options::Options;
use super::start::{Kept, OF_BEST, OPTIMIZER, RAW, Resumed, Start};
use crate::error::{Error, Result};
use crate::optim::GradientTransformation;
use crate::provenance::{Difference, Provenance, key};
use crate::record::{Metrics, Place, Record};

/// The metadata entry of a checkpoint with the position reached in the metrics.
pub(super) const WRITTEN: &str = "metrics";

/// The starting point of a run that resumes the one in its folder.
pub(super) fn resume(
    options: &Options<dyn Model>,
    optimizer: &dyn GradientTransformation,
    kept: &Kept,
    now: Provenance,
) -> Result<Start> {
    let Latest { checkpoint, source, note } = latest(&options.out)?;
    let then = Provenance::read(&checkpoint.metadata, &source)?;
    if !options.allow_changes {
        then.check_same_run(&now, &source)?;
    }
    let changes = then.differences_of_run(&now);
    let done = then.step.and_then(|step| usize::try_from(step).ok()).ok_or_else(|| {
        Error::input(format!("{source} does not record how many steps were done, so it is not a checkpoint of a run"))
    })?;
    let values = match changes.is_empty() {
        true => as_they_were(&checkpoint, kept, &source)?,
        false => as_far_as_they_fit(&checkpoint, options, optimizer, kept, &source)?,
    };
    // A best epoch on other samples or by another metric is not comparable.
    let is_judged_anew = changes.iter().any(|change| [key::validation, key::metric, key::data].contains(&change.name));
    let best = match then.best.filter(|_| !is_judged_anew) {
        Some(best) => Some((best, best_in(&checkpoint, kept, &source)?)),
        None => None,
    };
    let change = said(&changes);
    let changed = (!changes.is_empty()).then(|| format!("note: resuming after step {done} with {change}"));
    let resumed = Resumed {
        metrics: checkpoint.metadata.get(WRITTEN).and_then(|text| Place::parse(text)),
        is_previous: note.is_some(),
        notes: note.into_iter().chain(changed).collect(),
        source,
    };
    let earlier = then.changes.clone();
    let changes = match changes.is_empty() {
        true => earlier,
        false => {
            Some(earlier.into_iter().chain([format!("after step {done} {change}")]).collect::<Vec<_>>().join("; "))
        }
    };
    let provenance = Provenance { changes, ..now.or(then) };
    Ok(Start { values, done, provenance, best, resumed: Some(resumed) })
}

fn said(changes: &[Difference]) -> String {
    changes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
}

/// The whole carry of a run, which must exist with exactly its types.
fn as_they_were(checkpoint: &Checkpoint, kept: &Kept, source: &str) -> Result<Vec<Array>> {
    let wanted: BTreeMap<String, TensorType> = kept.paths().zip(kept.types().cloned()).collect();
    let mut found = checkpoint.select(&wanted, source)?;
    Ok(kept.paths().map(|path| found.remove(&path).expect("it was selected")).collect())
}

/// The carry of a run whose state may have changed: the parameters must match; optimizer state and statistics that do not match start anew.
fn as_far_as_they_fit(
    checkpoint: &Checkpoint,
    options: &Options<dyn Model>,
    optimizer: &dyn GradientTransformation,
    kept: &Kept,
    source: &str,
) -> Result<Vec<Array>> {
    let there = |path: &str, ty: &TensorType| checkpoint.arrays.get(path).filter(|array| array.ty() == ty).cloned();
    // With an average, the checkpoint also has the parameters themselves.
    let trained = |path: &str, ty: &TensorType| there(&format!("{RAW}/{path}"), ty).or_else(|| there(path, ty));
    let named = kept.paths().zip(kept.types()).collect::<Vec<_>>();
    let keeps =
        named.iter().filter(|(path, _)| path.starts_with(OPTIMIZER)).all(|(path, ty)| there(path, ty).is_some());
    let mut fresh = optimizer.init(&kept.params);
    let mut initial = options.model.init(options.seed);
    let mut values = Vec::new();
    for (path, ty) in &kept.params {
        // Missing parameters give the same error as without changes.
        let wanted = || checkpoint.select(&[(path.clone(), ty.clone())].into(), source);
        values.push(match trained(path, ty) {
            Some(value) => value,
            None => wanted()?.remove(path).expect("it was selected"),
        });
    }
    for (path, ty) in &kept.statistics {
        let beginning = || initial.remove(path).unwrap_or_else(|| Array::zeros(ty.clone()));
        values.push(there(path, ty).unwrap_or_else(beginning));
    }
    let slots = values.len();
    for ((path, ty), slot) in named[slots..].iter().zip(kept.slots.keys()) {
        let value = match path.starts_with(OPTIMIZER) {
            true if keeps => there(path, ty),
            true => fresh.remove(slot),
            // The average of a parameter, or the parameter itself if there was no average.
            false => there(path, ty),
        };
        values.push(value.unwrap_or_else(|| Array::zeros((*ty).clone())));
    }
    Ok(values)
}

fn best_in(checkpoint: &Checkpoint, kept: &Kept, source: &str) -> Result<BTreeMap<String, Array>> {
    let types = kept.params.iter().chain(&kept.statistics);
    let wanted = types.map(|(path, ty)| (format!("{OF_BEST}{path}"), ty.clone())).collect();
    let arrays = checkpoint.select(&wanted, source)?.into_iter();
    Ok(arrays.map(|(path, array)| (path[OF_BEST.len()..].to_owned(), array)).collect())
}

/// The metrics of the run, up to the position at its checkpoint; if the checkpoint does not record one, `keep` selects the records from
/// before.
///
/// # Errors
/// Of kind `Input` if they do not match the checkpoint.
pub(super) fn metrics(
    options: &Options<dyn Model>,
    resumed: &Resumed,
    path: &Path,
    keep: impl Fn(&Record) -> bool,
) -> Result<Metrics> {
    let Some(place) = resumed.metrics else { return Metrics::resume(path, keep) };
    match Metrics::resume_at(path, place)? {
        Some(metrics) => Ok(metrics),
        None if options.allow_changes => Metrics::resume(path, keep),
        None => Err(Error::input(format!(
            "{} does not match {}: records of the run are missing or were changed; restore the file, start a new run without --resume, or \
             resume with what matches by --allow-changes",
            path.display(),
            resumed.source
        ))),
    }
}
