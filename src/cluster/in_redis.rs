//! The requests to a Redis: one key per run, whose value is the coordinator.

use std::io;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use redis::{Connection, ErrorKind, IntoConnectionInfo, RedisError, RedisResult, ServerErrorKind};

use super::redis_run::RedisRun;
use super::server::spawn;
use crate::error::{Error, Result};

/// Whether this build has this file.
pub(super) const IS_BUILT: bool = true;

/// How long a Redis may not answer, or not be reached. It is there before the run starts, so that a longer wait would only hide a wrong
/// address.
const PATIENCE: Duration = Duration::from_secs(10);

/// The least time for a request.
const LEAST: Duration = Duration::from_millis(100);

/// The time between two attempts.
const PAUSE: Duration = Duration::from_millis(200);

/// The value of the run's key, if it has one.
///
/// # Errors
/// Kind `Input` if the Redis cannot be reached, does not answer in time or refuses the request.
pub(super) fn read(run: &RedisRun, until: Instant) -> Result<Option<String>> {
    ask(run, until, |run, connection| redis::cmd("GET").arg(run.key()).query(connection))
}

/// Replaces the value of the run's key, for a time.
///
/// # Errors
/// As [`read`].
pub(super) fn publish(run: &RedisRun, value: &str, expires: Duration, until: Instant) -> Result<()> {
    let (value, seconds) = (value.to_owned(), expires.as_secs() + 1);
    ask(run, until, move |run, connection| {
        redis::cmd("SET").arg(run.key()).arg(&value).arg("EX").arg(seconds).exec(connection)
    })
}

/// Deletes the run's key if it still has this value.
///
/// # Errors
/// As [`read`].
pub(super) fn withdraw(run: &RedisRun, value: &str, until: Instant) -> Result<()> {
    let value = value.to_owned();
    ask(run, until, move |run, connection| {
        // If another process 0 replaces the value from here on, nothing is deleted.
        redis::cmd("WATCH").arg(run.key()).exec(connection)?;
        let found: Option<String> = redis::cmd("GET").arg(run.key()).query(connection)?;
        if found.as_deref() != Some(&value) {
            return Ok(());
        }
        redis::pipe().atomic().del(run.key()).ignore().query::<Option<()>>(connection).map(drop)
    })
}

/// Makes a request, on a separate connection: processes ask a few times, before the run.
fn ask<T, F>(run: &RedisRun, until: Instant, request: F) -> Result<T>
where
    T: Send + 'static,
    F: Fn(&RedisRun, &mut Connection) -> RedisResult<T> + Clone + Send + 'static,
{
    let until = until.min(Instant::now() + PATIENCE);
    loop {
        let left = until.saturating_duration_since(Instant::now()).max(LEAST);
        let (asked, request) = (run.clone(), request.clone());
        let answer = within(left, move || request(&asked, &mut connect(&asked, left)?));
        match answer {
            Ok(answer) => return Ok(answer),
            Err(cause) if may_pass(&cause) && Instant::now() + PAUSE < until => std::thread::sleep(PAUSE),
            Err(cause) => return Err(Error::input(sentence(run, &cause))),
        }
    }
}

/// Does this on another thread, which is left alone after this time: the timeouts of a connection hold for each of its bytes, and do not end
/// an answer that goes on and on.
fn within<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> RedisResult<T> + Send + 'static,
) -> RedisResult<T> {
    let (sender, answer) = sync_channel(1);
    spawn("rendezvous", move || drop(sender.send(work())))?;
    answer.recv_timeout(limit + LEAST).unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
}

fn connect(run: &RedisRun, within: Duration) -> RedisResult<Connection> {
    let info = run.url.as_str().into_connection_info()?;
    let settings = info.redis_settings().clone().set_skip_set_lib_name();
    let client = redis::Client::open(info.set_redis_settings(settings))?;
    let connection = client.get_connection_with_timeout(within)?;
    connection.set_read_timeout(Some(within))?;
    connection.set_write_timeout(Some(within))?;
    Ok(connection)
}

/// Whether the same request may succeed later.
fn may_pass(cause: &RedisError) -> bool {
    cause.is_io_error() || cause.kind() == ErrorKind::Server(ServerErrorKind::BusyLoading)
}

fn sentence(run: &RedisRun, cause: &RedisError) -> String {
    let advice = "check --coordinator-address";
    if cause.is_timeout() {
        return format!("{run} does not answer; {advice}");
    }
    if cause.is_io_error() {
        return format!("{run} cannot be reached: {}; {advice}", shown(cause));
    }
    // The words of NOAUTH, which the crate passes on without the code if the request was the choice of a database.
    if cause.to_string().contains("Authentication required") {
        return format!(
            "{run} wants a password; set REDISCLI_AUTH, or give redis://USER:PASSWORD@HOST:PORT?run=NAME (--coordinator-address)"
        );
    }
    match cause.kind() {
        ErrorKind::AuthenticationFailed => {
            format!("{run} refuses the user or the password; {advice}, and REDISCLI_AUTH if it holds the password")
        }
        ErrorKind::Parse | ErrorKind::UnexpectedReturnType => format!(
            "{run} does not answer as a Redis: another program uses the port, or the key {} holds something else; {advice}",
            run.key()
        ),
        _ => format!("{run} refuses the request: {}; {advice}", shown(cause)),
    }
}

/// The text of a cause, in which a server may have put anything.
fn shown(cause: &RedisError) -> String {
    cause.to_string().chars().filter(|letter| !letter.is_control()).take(200).collect()
}
