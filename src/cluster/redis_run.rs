//! The address of a run in a Redis: `redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE]?run=NAME`.

use std::fmt;

use crate::error::{Error, Result};

/// A Redis, and the name of a run there.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct RedisRun {
    /// The address without the name of the run; it may hold a password.
    pub(super) url: String,
    /// The name of the run.
    pub(super) run: String,
    /// The host, without brackets.
    pub(super) host: String,
    pub(super) port: u16,
}

/// The port of a Redis, unless it has another one.
const PORT: u16 = 6379;

/// The longest name of a run.
const LONGEST: usize = 200;

/// The scheme of the addresses.
const SCHEME: &str = "redis://";

impl RedisRun {
    /// Whether a coordinator's address is no HOST:PORT.
    pub(super) fn is_meant_by(address: &str) -> bool {
        address.contains("://")
    }

    /// Reads an address. The messages do not repeat it, since it may hold a password.
    ///
    /// # Errors
    /// Kind `Input` for an address of another form.
    pub(super) fn parse(address: &str) -> Result<RedisRun> {
        let Some(rest) = address.strip_prefix(SCHEME) else {
            let scheme = address.split("://").next().unwrap_or_default();
            return Err(Error::input(format!(
                "a coordinator's address cannot start with {scheme}://; give HOST:PORT, or a Redis without TLS, on a network that you trust \
                 (redis://HOST:PORT?run=NAME)"
            )));
        };
        let read = rest.rsplit_once("?run=").filter(|(_, run)| is_name(run)).and_then(|(place, run)| {
            let (authority, database) = place.split_once('/').unwrap_or((place, ""));
            let (host, port) = host_and_port(authority.rsplit_once('@').map_or(authority, |(_, place)| place))?;
            let is_database = database.bytes().all(|byte| byte.is_ascii_digit());
            is_database.then(|| RedisRun { url: format!("{SCHEME}{place}"), run: run.to_owned(), host, port })
        });
        read.ok_or_else(|| {
            Error::input(format!(
                "the address of a run in a Redis must be redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE]?run=NAME, with a name of at most \
                 {LONGEST} letters, digits and any of . _ : / - (--coordinator-address)"
            ))
        })
    }

    /// Refuses a build that cannot ask a Redis.
    ///
    /// # Errors
    /// Kind `Input` unless `is_built`.
    pub(super) fn check_build(is_built: bool) -> Result<()> {
        if is_built {
            return Ok(());
        }
        Err(Error::input(
            "this spiq is built without Redis: build it with `cargo install --path . --features redis`, or give the host and a free port of \
             process 0 (--coordinator-address HOST:PORT)",
        ))
    }

    /// The key of the run.
    pub(super) fn key(&self) -> String {
        format!("spiq/run/{}", self.run)
    }
}

impl fmt::Display for RedisRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_v6 = self.host.contains(':');
        let host = if is_v6 { format!("[{}]", self.host) } else { self.host.clone() };
        write!(f, "the Redis at {host}:{}", self.port)
    }
}

impl fmt::Debug for RedisRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisRun({self}, {:?})", self.run)
    }
}

fn is_name(run: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"._:/-".contains(&byte);
    !run.is_empty() && run.len() <= LONGEST && run.bytes().all(is_part)
}

fn host_and_port(place: &str) -> Option<(String, u16)> {
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => place.split_at(place.find(':').unwrap_or(place.len())),
    };
    let port = match port.strip_prefix(':') {
        Some(port) => port.parse().ok().filter(|port| *port > 0)?,
        None if port.is_empty() => PORT,
        None => return None,
    };
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

/// A coordinator's address as messages show it: without user and password.
pub(super) fn without_password(address: &str) -> String {
    match address.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once('@')?.1))) {
        Some((scheme, place)) => format!("{scheme}://{place}"),
        None => address.to_owned(),
    }
}

/// The address of a Redis with this password, unless it has one already.
pub(super) fn with_password(address: &str, password: &str) -> String {
    match address.strip_prefix(SCHEME) {
        Some(rest) if !rest.contains('@') => format!("{SCHEME}:{}@{rest}", escaped(password)),
        _ => address.to_owned(),
    }
}

/// The percent-encoding of all bytes that have a meaning in an address.
fn escaped(text: &str) -> String {
    let byte = |byte: u8| match byte.is_ascii_alphanumeric() {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        let cases = [
            ("redis://node0?run=a", "redis://node0", "a", "node0", 6379),
            ("redis://node0:7/3?run=a/b:1_-.", "redis://node0:7/3", "a/b:1_-.", "node0", 7),
            ("redis://me:p?@s/@[::1]:7/?run=a", "", "", "", 0),
            ("redis://me:p%40%3F@[::1]:7?run=a", "redis://me:p%40%3F@[::1]:7", "a", "::1", 7),
            ("redis://:p@10.0.0.1?run=a", "redis://:p@10.0.0.1", "a", "10.0.0.1", 6379),
        ];
        for (address, url, run, host, port) in cases {
            let read = RedisRun::parse(address);
            let want = RedisRun { url: url.to_owned(), run: run.to_owned(), host: host.to_owned(), port };
            assert!(port == 0 && read.is_err() || read.is_ok_and(|read| read == want), "{address}");
        }
    }

    #[test]
    fn other_addresses_are_refused_without_the_password() {
        let name = "a".repeat(LONGEST + 1);
        let wrong = ["", "h", "h?run=", "h?run=a b", "h:0?run=a", "h:x?run=a", ":5?run=a", "h/x?run=a", "[::1?run=a"];
        let long = format!("h?run={name}");
        for rest in wrong.into_iter().chain([long.as_str(), "u:secret@h", "u:secret@h:99999?run=a"]) {
            let said = RedisRun::parse(&format!("redis://{rest}")).expect_err(rest).to_string();
            assert!(said.starts_with("the address of a run in a Redis must be redis://"), "{rest}: {said}");
            assert!(!said.contains("secret"), "{said}");
        }
        let said = RedisRun::parse("rediss://u:secret@h?run=a").expect_err("TLS").to_string();
        assert!(said.starts_with("a coordinator's address cannot start with rediss://; ") && !said.contains("secret"));
    }

    #[test]
    fn a_build_without_redis_says_so() {
        assert!(RedisRun::check_build(true).is_ok());
        let said = RedisRun::check_build(false).expect_err("a refusal").to_string();
        assert!(
            said.starts_with(
                "this spiq is built without Redis: build it with `cargo install --path . --features redis`"
            )
        );
    }

    #[test]
    fn passwords_are_hidden_and_added() {
        assert_eq!(without_password("redis://u:p@h:1?run=a"), "redis://h:1?run=a");
        assert_eq!(without_password("node0:5"), "node0:5");
        assert_eq!(with_password("redis://h?run=a", "p@ ü"), "redis://:p%40%20%C3%BC@h?run=a");
        assert_eq!(with_password("redis://u:q@h?run=a", "p"), "redis://u:q@h?run=a");
        assert_eq!(with_password("node0:5", "p"), "node0:5");
        let run = RedisRun::parse("redis://u:secret@h?run=a").expect("an address");
        assert_eq!(format!("{run:?}"), "RedisRun(the Redis at h:6379, \"a\")");
    }
}
