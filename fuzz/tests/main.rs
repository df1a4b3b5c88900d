//! The short form: a few seconds per target. `SPIQ_FUZZ_SECONDS` sets the duration, `PROPTEST_RNG_SEED` the seed.

use std::env;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use spiq_fuzz::{Campaign, TARGETS, Target};

fn number(variable: &str, default: u64) -> u64 {
    env::var(variable).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// Concurrent campaigns would count each other's memory.
static ALONE: Mutex<()> = Mutex::new(());

#[test]
fn damaged_inputs_are_taken_or_refused() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let time = Duration::from_secs(number("SPIQ_FUZZ_SECONDS", 1));
    let campaign = Campaign { time, seed: number("PROPTEST_RNG_SEED", 0) };
    for target in TARGETS {
        let corpus = (target.corpus)();
        let refused: Vec<_> =
            corpus.iter().filter(|real| !(target.read)(real)).map(|real| String::from_utf8_lossy(real)).collect();
        assert!(refused.is_empty(), "{}: real inputs are refused: {refused:#?}", target.name);
        let outcome = campaign.run(target);
        assert!(outcome.failures.is_empty(), "{}: {:#?}", target.name, outcome.failures);
        assert!(outcome.taken < outcome.tried, "{}: every damaged input is accepted", target.name);
    }
}

/// Runs a campaign against a misbehaving reader.
fn broken(read: fn(&[u8]) -> bool) -> Vec<String> {
    let target = Target { name: "broken", read, corpus: || vec![b"a real input".to_vec()] };
    let outcome = Campaign { time: Duration::from_millis(200), seed: 0 }.run(&target);
    outcome.failures.into_iter().map(|failure| failure.why).collect()
}

#[test]
fn what_a_reader_must_not_do_is_found() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let panics = broken(|input| {
        assert!(input.len() < 20);
        true
    });
    assert!(panics.iter().any(|why| why == "a panic"), "{panics:?}");
    let large = broken(|input| vec![0_u8; (input.len() / 20) << 29].is_empty());
    assert!(large.iter().any(|why| why.contains("MB of memory")), "{large:?}");
}
