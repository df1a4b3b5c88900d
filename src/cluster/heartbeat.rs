//! Heartbeats: each process shows the coordinator that it is alive, and learns from it of failures elsewhere.

use std::io;
use std::net::TcpStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::failure::Failure;
use super::frame::{self, Frame};
use super::server::{BEAT, BYE, FAILED, spawn};

/// The connection that carries the heartbeats of this process.
#[derive(Clone)]
pub(super) struct Heartbeat(Arc<Mutex<TcpStream>>);

impl Heartbeat {
    /// Starts the threads that send and receive; both end with the connection.
    pub(super) fn start(stream: TcpStream, lost_after: Duration, failure: &Failure) -> io::Result<Heartbeat> {
        stream.set_write_timeout(Some(lost_after))?;
        stream.set_read_timeout(Some(lost_after))?;
        let (reader, heartbeat) = (stream.try_clone()?, Heartbeat(Arc::new(Mutex::new(stream))));
        let (sender, on_failure) = (heartbeat.clone(), failure.clone());
        spawn("failures", move || listen(reader, lost_after, &on_failure))?;
        spawn("heartbeat", move || {
            while sender.send(BEAT, b"") {
                std::thread::sleep(lost_after / 5);
            }
        })?;
        // A failure that this process notices first is passed on to the others.
        let sender = heartbeat.clone();
        failure.when_it_happens(move |sentence| _ = sender.send(FAILED, sentence.as_bytes()));
        Ok(heartbeat)
    }

    /// Announces that this process leaves the run: its end is not a failure.
    pub(super) fn leave(&self) {
        self.send(BYE, b"");
    }

    fn send(&self, kind: u8, bytes: &[u8]) -> bool {
        frame::write(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), kind, bytes).is_ok()
    }
}

fn listen(mut stream: TcpStream, lost_after: Duration, failure: &Failure) {
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
