//! The coordinator, which process 0 runs: the key-value store, heartbeats, and the first failure.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::failure::mistake;
use super::frame::{self, Frame, GREETING, Packed, SMALL, Unpacked};

/// Requests.
pub(super) const JOIN: u8 = 1;
pub(super) const PUT: u8 = 2;
pub(super) const GET: u8 = 3;
pub(super) const TRY_GET: u8 = 4;
pub(super) const ALIVE: u8 = 5;
pub(super) const BEAT: u8 = 6;
pub(super) const BYE: u8 = 7;
/// Answers.
pub(super) const DONE: u8 = 10;
pub(super) const VALUE: u8 = 11;
pub(super) const NOTHING: u8 = 12;
pub(super) const REFUSED: u8 = 13;
pub(super) const FAILED: u8 = 14;
pub(super) const FOREIGN: u8 = 15;

/// The time that a new connection has for its handshake.
const GREETING_TIME: Duration = Duration::from_secs(10);

/// The largest number of connections before their handshake.
const STRANGERS: usize = 256;

/// The time that a process has to join after another one of its number was refused; less if processes count as lost sooner.
const DOUBT: Duration = Duration::from_secs(10);

/// The state of the run.
pub(super) struct Server {
    job: String,
    processes: usize,
    lost_after: Duration,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    values: BTreeMap<Vec<u8>, Vec<u8>>,
    joined: BTreeSet<usize>,
    /// The processes in whose place one with another number of processes was refused.
    doubted: BTreeSet<usize>,
    /// The heartbeat connections, over which processes learn of a failure.
    alive: BTreeMap<usize, TcpStream>,
    left: BTreeSet<usize>,
    failure: Option<String>,
    strangers: usize,
}

impl Server {
    /// Serves connections on background threads until the process ends.
    pub(super) fn start(
        listener: TcpListener,
        job: String,
        processes: usize,
        lost_after: Duration,
    ) -> io::Result<Arc<Server>> {
        let server = Arc::new(Server { job, processes, lost_after, state: Mutex::default(), changed: Condvar::new() });
        let accepting = server.clone();
        spawn("coordinator", move || listener.incoming().flatten().for_each(|stream| accepting.accept(stream)))?;
        Ok(server)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn accept(self: &Arc<Server>, stream: TcpStream) {
        {
            let mut state = self.state();
            if state.strangers >= STRANGERS {
                return;
            }
            state.strangers += 1;
        }
        let server = self.clone();
        if spawn("connection", move || drop(server.serve(stream))).is_err() {
            self.state().strangers -= 1;
        }
    }

    /// Serves a connection until it ends. A connection that does not speak the protocol is dropped.
    fn serve(self: &Arc<Server>, mut stream: TcpStream) -> io::Result<()> {
        let greeted = self.greeted(&mut stream);
        self.state().strangers -= 1;
        let Some((kind, process)) = greeted? else { return Ok(()) };
        match kind {
            ALIVE => {
                self.watch(process, stream);
                Ok(())
            }
            _ => self.answer(stream),
        }
    }

    /// Performs the handshake. `None` if the connection is refused.
    fn greeted(self: &Arc<Server>, stream: &mut TcpStream) -> io::Result<Option<(u8, usize)>> {
        stream.set_read_timeout(Some(GREETING_TIME))?;
        stream.set_write_timeout(Some(GREETING_TIME))?;
        stream.set_nodelay(true)?;
        let mut greeting = [0; GREETING.len()];
        stream.read_exact(&mut greeting)?;
        if &greeting != GREETING {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let Frame { kind, bytes } = frame::read(stream, 1 << 10)?;
        let mut read = Unpacked(&bytes);
        let (processes, process, job) = (read.number()? as usize, read.number()? as usize, read.text()?);
        match self.refusal(kind, processes, process, &job) {
            Some((answer, sentence)) => {
                frame::write(stream, answer, sentence.as_bytes())?;
                Ok(None)
            }
            None => {
                frame::write(stream, VALUE, self.job.as_bytes())?;
                Ok(Some((kind, process)))
            }
        }
    }

    /// The answer that refuses a process, and its reason.
    fn refusal(self: &Arc<Server>, kind: u8, processes: usize, process: usize, job: &str) -> Option<(u8, String)> {
        // A process that knows only the address has no job yet.
        if job != self.job && !(kind == JOIN && job.is_empty()) {
            return Some((FOREIGN, format!("process {process} belongs to another run; start all processes anew")));
        }
        if processes != self.processes {
            let sentence = format!(
                "process {process} counts {processes} processes, and process 0 {}; give all of them the same --num-processes",
                self.processes
            );
            if kind == JOIN {
                self.doubt(process, &sentence);
            }
            return Some((REFUSED, sentence));
        }
        if process >= processes {
            return Some((REFUSED, format!("there is no process {process} of {processes}")));
        }
        let is_known = kind == JOIN && !self.state().joined.insert(process);
        is_known.then(|| {
            let sentence = format!(
                "a process {process} has joined already; give each process another --process-id, and each run another port or name"
            );
            (REFUSED, sentence)
        })
    }

    /// Ends the run soon if no process takes the number of one that was refused for its number of processes: the run cannot become complete.
    ///
    /// Not at once, since the one that was refused may be a stranger, such as a process of an older run that still looks for its coordinator
    /// at this address. Then the run's own process of that number joins as well, usually within seconds. A connection that does not speak the
    /// protocol, or names the job of another run, never ends a run.
    fn doubt(self: &Arc<Server>, process: usize, sentence: &str) {
        let is_new = {
            let mut state = self.state();
            process < self.processes && !state.joined.contains(&process) && state.doubted.insert(process)
        };
        if !is_new {
            return;
        }
        let (server, sentence) = (self.clone(), sentence.to_owned());
        let waiting = move || {
            std::thread::sleep(DOUBT.min(server.lost_after));
            let has_joined = server.state().joined.contains(&process);
            if !has_joined {
                server.fail(&mistake(&sentence));
            }
        };
        // Without the thread, the run ends after the time to join.
        drop(spawn("doubt", waiting));
    }

    /// Answers requests.
    fn answer(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_read_timeout(None)?;
        loop {
            let Frame { kind, bytes } = frame::read(&mut stream, SMALL)?;
            let mut read = Unpacked(&bytes);
            let (kind, value) = match kind {
                PUT => {
                    let (key, value) = (read.bytes()?.to_vec(), read.bytes()?.to_vec());
                    self.state().values.insert(key, value);
                    self.changed.notify_all();
                    (DONE, Vec::new())
                }
                GET => {
                    let within = Duration::from_millis(read.number()?);
                    self.value(read.bytes()?, within)
                }
                TRY_GET => self.value(read.bytes()?, Duration::ZERO),
                _ => return Err(io::ErrorKind::InvalidData.into()),
            };
            frame::write(&mut stream, kind, &value)?;
        }
    }

    /// Waits for the value of a key.
    fn value(&self, key: &[u8], within: Duration) -> (u8, Vec<u8>) {
        let until = Instant::now().checked_add(within);
        let mut state = self.state();
        loop {
            if let Some(value) = state.values.get(key) {
                return (VALUE, value.clone());
            }
            if let Some(failure) = &state.failure {
                return (FAILED, failure.clone().into_bytes());
            }
            let left = until.map_or(within, |until| until.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return (NOTHING, Vec::new());
            }
            let waited = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
            state = waited.0;
        }
    }

    /// Reads the heartbeats of a process; reports it lost when they stop.
    fn watch(&self, process: usize, mut stream: TcpStream) {
        let Ok(writer) = stream.try_clone() else {
            return self.lose(process, "its connection cannot be watched");
        };
        let lost_after = self.lost_after;
        {
            let mut state = self.state();
            if let Some(failure) = state.failure.clone() {
                drop(frame::write(&mut stream, FAILED, failure.as_bytes()));
            }
            state.alive.insert(process, writer);
        }
        drop(stream.set_read_timeout(Some(lost_after)));
        loop {
            match frame::read(&mut stream, 1 << 10) {
                Ok(Frame { kind: BEAT, .. }) => {
                    if let Some(stream) = self.state().alive.get_mut(&process) {
                        drop(frame::write(stream, DONE, b""));
                    }
                }
                Ok(Frame { kind: BYE, .. }) => {
                    let mut state = self.state();
                    state.alive.remove(&process);
                    state.left.insert(process);
                    self.changed.notify_all();
                    return;
                }
                Ok(Frame { kind: FAILED, bytes }) => return self.fail(&String::from_utf8_lossy(&bytes)),
                Err(error) if [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut].contains(&error.kind()) => {
                    return self.lose(process, &format!("it has not answered for {} s", lost_after.as_secs_f64()));
                }
                _ => return self.lose(process, "its connection closed"),
            }
        }
    }

    fn lose(&self, process: usize, why: &str) {
        self.fail(&format!("process {process} was lost: {why}"));
    }

    /// Sends the first failure to all processes.
    pub(super) fn fail(&self, sentence: &str) {
        let mut state = self.state();
        if state.failure.is_some() {
            return;
        }
        state.failure = Some(sentence.to_owned());
        // Process 0 last: it ends when it learns of the failure, and this server with it.
        for stream in state.alive.values_mut().rev() {
            drop(frame::write(stream, FAILED, sentence.as_bytes()));
        }
        self.changed.notify_all();
    }

    /// Waits until all processes have left, or one has failed, for a bounded time.
    pub(super) fn wait_for_all(&self, within: Duration) {
        let until = Instant::now() + within;
        let mut state = self.state();
        while state.left.len() < self.processes && state.failure.is_none() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Starts a named thread.
pub(super) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work).map(drop)
}

/// Sends the handshake of a connection.
pub(super) fn greet(stream: &mut TcpStream, kind: u8, processes: usize, process: usize, job: &str) -> io::Result<()> {
    use std::io::Write;
    stream.write_all(GREETING)?;
    let Packed(bytes) = Packed::default().number(processes as u64).number(process as u64).bytes(job.as_bytes());
    frame::write(stream, kind, &bytes)
}
