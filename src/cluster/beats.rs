//! Tells the coordinator that this process is alive, and hears from it what happened to the others.

use std::io;
use std::net::TcpStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::failure::Failure;
use super::frame::{self, Frame};
use super::server::{BEAT, BYE, FAILED, spawn};

/// The connection that a process is known to be alive by.
#[derive(Clone)]
pub(super) struct Beats(Arc<Mutex<TcpStream>>);

impl Beats {
    /// Starts the threads that send and receive; both end with the connection.
    pub(super) fn start(stream: TcpStream, lost_after: Duration, failure: &Failure) -> io::Result<Beats> {
        stream.set_write_timeout(Some(lost_after))?;
        stream.set_read_timeout(Some(lost_after))?;
        let (hearing, beats) = (stream.try_clone()?, Beats(Arc::new(Mutex::new(stream))));
        let (sender, heard) = (beats.clone(), failure.clone());
        spawn("hearing", move || hear(hearing, lost_after, &heard))?;
        spawn("heartbeat", move || {
            while sender.say(BEAT, b"") {
                std::thread::sleep(lost_after / 5);
            }
        })?;
        // What this process notices first, the others have to know.
        let sender = beats.clone();
        failure.when_it_happens(move |sentence| _ = sender.say(FAILED, sentence.as_bytes()));
        Ok(beats)
    }

    /// This process leaves the run: its end is no loss.
    pub(super) fn leave(&self) {
        self.say(BYE, b"");
    }

    fn say(&self, kind: u8, bytes: &[u8]) -> bool {
        frame::write(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), kind, bytes).is_ok()
    }
}

fn hear(mut stream: TcpStream, lost_after: Duration, failure: &Failure) {
    loop {
        match frame::read(&mut stream, 1 << 16) {
            Ok(Frame { kind: FAILED, bytes }) => return failure.happens(&String::from_utf8_lossy(&bytes)),
            Ok(_) => {}
            Err(error) if [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut].contains(&error.kind()) => {
                let seconds = lost_after.as_secs_f64();
                return failure.happens(&format!("process 0 was lost: it has not answered for {seconds} s"));
            }
            Err(_) => return failure.happens("process 0 was lost: its connection closed"),
        }
    }
}
