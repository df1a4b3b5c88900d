//! Random programs compared with JAX: values and gradients of all operations and transforms, in every element type, at special values
//! and edge shapes. Deliberate differences are listed in `tests/reference/differences.toml`, each with its reason.

mod attributes;
mod choices;
mod compare;
mod elementwise;
mod frame;
mod operations;
mod program;
mod transforms;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use self::choices::Choices;
use self::program::Program;
use crate::device::cpu;
use crate::reference::{Case, Reference};
use spiq::{TensorType, trace};

/// The minimum number of programs.
const WANTED: usize = 500;

/// Operations without a counterpart in JAX: this library's custom calls, sums kept between calls, and the collectives of sharded programs.
const NOT_IN_JAX: [&str; 5] = ["custom_call", "running_sum", "replica_id", "all_reduce", "all_gather"];

/// The difference of each program, by name.
fn differences(cases: &[Case<'_>]) -> BTreeMap<String, String> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut found = Vec::new();
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            // A panic in one program does not hide the failures of others.
            let checked = catch_unwind(AssertUnwindSafe(|| Program::new(case).check(cpu(), case)));
            let checked = checked.unwrap_or_else(|_| Err(format!("{}: a panic\n{}", case.name, case.arguments())));
            found.extend(checked.err().map(|message| (case.name.to_owned(), message)));
        }
        found
    };
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|t| t.join().expect("a worker that does not panic")).collect()
    })
}

#[test]
fn programs_are_jax_programs() {
    let file = Reference::load("differential");
    let only = std::env::var("SPIQ_DIFFERENTIAL").ok();
    let chosen = |case: &Case<'_>| only.as_ref().is_none_or(|name| case.name.ends_with(name));
    let cases: Vec<Case<'_>> = file.cases("program").filter(chosen).collect();
    let found = differences(&cases);
    if only.is_some() {
        found.values().for_each(|message| println!("{message}"));
        return assert!(found.is_empty());
    }
    let complaints = Choices::load().complaints(&found);
    assert!(complaints.is_empty(), "{} complaints\n\n{}", complaints.len(), complaints.join("\n\n"));
}

/// Checks that the reference programs cover every operation, so that none is forgotten.
/// Functions with a custom derivative, whose values and slopes `array_functions.rs` compares with JAX's.
const COMPARED_BY_VALUE: [&str; 3] = ["erf", "erfc", "softplus"];

#[test]
fn every_operation_is_in_some_program() {
    let file = Reference::load("differential");
    assert_eq!(file.cases("program").count(), WANTED);
    let mut seen = BTreeSet::new();
    for case in file.cases("program") {
        let Ok(function) = Program::new(&case).trace(&case) else { continue };
        function.each_node(&mut |node, _| _ = seen.insert(node.op.name()));
    }
    for sample in spiq_hlo::samples() {
        let types: Vec<(&str, TensorType)> = sample.inputs.iter().map(|(ty, _)| ("", ty.clone())).collect();
        let function = trace(&types, |x| (sample.build)(x)).unwrap_or_else(|e| panic!("{}: {e}", sample.name));
        function.each_node(&mut |node, _| {
            let name = node.op.name();
            assert!(
                seen.contains(name) || NOT_IN_JAX.contains(&name) || COMPARED_BY_VALUE.contains(&name),
                "no program has {name}"
            );
        });
    }
}
