//! The client of the coordinator's key-value store.

use std::io;
use std::net::TcpStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::failure::{Failure, error_of};
use super::frame::{self, Frame, Packed, SMALL};
use super::server::{DONE, FAILED, GET, NOTHING, PUT, TRY_GET, VALUE};
use crate::error::{Error, Result};

/// The key-value store of a run: binary keys and values, served by the coordinator. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    stream: Arc<Mutex<TcpStream>>,
    job: Arc<str>,
    failure: Failure,
    lost_after: Duration,
}

/// The longest single request of a wait, so that other threads of this process can use the connection in between.
const SLICE: Duration = Duration::from_millis(200);

impl Store {
    pub(super) fn new(stream: TcpStream, job: &str, failure: Failure, lost_after: Duration) -> io::Result<Store> {
        stream.set_read_timeout(Some(SLICE + lost_after))?;
        stream.set_write_timeout(Some(lost_after))?;
        Ok(Store { stream: Arc::new(Mutex::new(stream)), job: job.into(), failure, lost_after })
    }

    /// The job identifier, which is part of every key: values of an earlier run are never found.
    pub fn job(&self) -> &str {
        &self.job
    }

    /// Sets the value of a key, of at most 16 MiB.
    ///
    /// # Errors
    /// Kind `Lost` if a process was lost; kind `Input` for a value that is too large.
    pub fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        if (key.len() + value.len()) as u64 + 1024 > SMALL {
            return Err(Error::input(format!("a value of {} bytes is too large for the store", value.len())));
        }
        let Packed(request) = Packed::default().bytes(&self.key(key)).bytes(value);
        self.ask(PUT, &request).map(drop)
    }

    /// Waits for a process to set the key, for this long; `None` if none does.
    ///
    /// # Errors
    /// As [`put`](Store::put).
    pub fn get(&self, key: &[u8], within: Duration) -> Result<Option<Vec<u8>>> {
        let mut left = within;
        loop {
            let slice = left.min(SLICE);
            let Packed(request) = Packed::default().number(slice.as_millis() as u64).bytes(&self.key(key));
            let found = self.ask(GET, &request)?;
            left -= slice;
            if found.is_some() || left.is_zero() {
                return Ok(found);
            }
            // Lets another thread take the connection.
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// The value of a key, if it is set.
    ///
    /// # Errors
    /// As [`put`](Store::put).
    pub fn try_get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let Packed(request) = Packed::default().bytes(&self.key(key));
        self.ask(TRY_GET, &request)
    }

    /// The first failure of the run.
    pub(super) fn failed(&self) -> Option<String> {
        self.failure.sentence()
    }

    fn key(&self, key: &[u8]) -> Vec<u8> {
        [self.job.as_bytes(), b"/", key].concat()
    }

    fn ask(&self, kind: u8, request: &[u8]) -> Result<Option<Vec<u8>>> {
        let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = frame::write(&mut *stream, kind, request).and_then(|()| frame::read(&mut *stream, SMALL));
        match answer {
            Ok(Frame { kind: VALUE, bytes }) => Ok(Some(bytes)),
            Ok(Frame { kind: DONE | NOTHING, .. }) => Ok(None),
            Ok(Frame { kind: FAILED, bytes }) => {
                self.failure.happens(&String::from_utf8_lossy(&bytes));
                Err(self.lost())
            }
            _ => {
                let seconds = self.lost_after.as_secs_f64();
                self.failure.happens(&format!(
                    "the coordinator was lost: it closed its connection, or did not answer for {seconds} s"
                ));
                Err(self.lost())
            }
        }
    }

    /// The error of a run that lost a process.
    fn lost(&self) -> Error {
        error_of(&self.failure.sentence().unwrap_or_else(|| "this process has left the run".to_owned()))
    }
}
