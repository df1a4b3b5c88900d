//! Processes that find each other through a Redis: a small one in this process, damaged ones, and values of earlier runs.

#[cfg(feature = "redis")]
mod fake;
#[cfg(feature = "redis")]
mod runs;

#[cfg(not(feature = "redis"))]
#[test]
fn runs_find_each_other() {
    crate::skipped::skipped("this build has no Redis (--features redis)");
}
