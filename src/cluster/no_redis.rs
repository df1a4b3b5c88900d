//! The requests to a Redis in a build without the feature `redis`, which refuses such addresses before it makes one.

use std::time::{Duration, Instant};

use super::redis_run::RedisRun;
use crate::error::Result;

/// Whether this build can ask a Redis.
pub(super) const IS_BUILT: bool = false;

/// # Errors
/// Always, of kind `Input`.
pub(super) fn read(_: &RedisRun, _: Instant) -> Result<Option<String>> {
    RedisRun::check_build(IS_BUILT).map(|()| None)
}

/// # Errors
/// As [`read`].
pub(super) fn publish(_: &RedisRun, _: &str, _: Duration, _: Instant) -> Result<()> {
    RedisRun::check_build(IS_BUILT)
}

/// # Errors
/// As [`read`].
pub(super) fn withdraw(_: &RedisRun, _: &str, _: Instant) -> Result<()> {
    RedisRun::check_build(IS_BUILT)
}
