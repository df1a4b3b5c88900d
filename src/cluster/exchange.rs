//! Exchange of data between all processes: each sends its part to all others and receives theirs.
//!
//! Every process then reduces the same parts in the same order, so that all have the same bits. A part is sent to N - 1 processes; rings
//! and trees, which send less, pay off for more processes than a machine's network can feed in one step.

use std::collections::HashMap;
use std::io;
use std::net::TcpStream;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::failure::Failure;
use super::frame::{self, LARGE, Packed, Unpacked};
use super::server::spawn;

/// The parts of all processes, in their order; or the message of the failure that keeps them from arriving.
pub type Parts = std::result::Result<Vec<Arc<[u8]>>, String>;

type Then = Box<dyn FnOnce(Parts) + Send>;

/// The time that a failing process has to report why, before its closed connection counts as the failure.
const REPORTING: Duration = Duration::from_secs(1);

/// The connections to the other processes.
pub(super) struct Exchange {
    process: usize,
    processes: usize,
    peers: Vec<Option<Sender<Outgoing>>>,
    inbox: Arc<Mutex<Inbox>>,
}

/// A channel and the number of a round there.
type RoundKey = (u64, u64);

/// A message: channel, number of the round, bytes.
type Message = (u64, u64, Arc<[u8]>);

/// What the thread that sends to a process takes, in this order.
enum Outgoing {
    Message(Message),
    /// Dropped once everything before it is written.
    Mark(#[expect(dead_code, reason = "only its end counts")] Sender<()>),
}

#[derive(Default)]
struct Inbox {
    /// The number of rounds that this process has begun, by channel.
    begun: HashMap<u64, u64>,
    rounds: HashMap<RoundKey, Round>,
    failure: Option<String>,
}

/// An exchange in progress.
struct Round {
    parts: Vec<Option<Arc<[u8]>>>,
    then: Option<Then>,
}

impl Inbox {
    /// Adds a part; returns the callback and all parts once the round is complete.
    fn add(
        &mut self,
        key: RoundKey,
        (process, processes): (usize, usize),
        part: Arc<[u8]>,
        then: Option<Then>,
    ) -> Option<(Then, Vec<Arc<[u8]>>)> {
        let empty = || Round { parts: vec![None; processes], then: None };
        let round = self.rounds.entry(key).or_insert_with(empty);
        round.parts[process] = Some(part);
        if then.is_some() {
            round.then = then;
        }
        if round.then.is_none() || round.parts.iter().any(Option::is_none) {
            return None;
        }
        let round = self.rounds.remove(&key)?;
        Some((round.then?, round.parts.into_iter().flatten().collect()))
    }
}

impl Exchange {
    /// Starts the threads of the connections to all other processes.
    pub(super) fn start(
        process: usize,
        streams: Vec<Option<TcpStream>>,
        lost_after: Duration,
        failure: &Failure,
    ) -> io::Result<Exchange> {
        let (processes, inbox) = (streams.len(), Arc::new(Mutex::new(Inbox::default())));
        let mut peers = Vec::new();
        for (peer, stream) in streams.into_iter().enumerate() {
            let Some(stream) = stream else {
                peers.push(None);
                continue;
            };
            stream.set_nodelay(true)?;
            // Heartbeats show whether a process is alive; this connection is idle for as long as a step takes.
            stream.set_read_timeout(None)?;
            stream.set_write_timeout(Some(lost_after))?;
            let (reading, inbox, lost) = (stream.try_clone()?, inbox.clone(), failure.clone());
            spawn("receiving", move || receive(reading, (peer, processes), &inbox, &lost))?;
            let (sender, messages) = channel::<Outgoing>();
            let lost = failure.clone();
            spawn("sending", move || {
                let mut stream = stream;
                let mut sent = messages.iter().map(|outgoing| match outgoing {
                    Outgoing::Message(message) => send(&mut stream, &message),
                    Outgoing::Mark(_) => Ok(()),
                });
                if sent.any(|sent| sent.is_err()) {
                    lost.happens(&format!("process {peer} was lost: it takes no more messages"));
                }
            })?;
            peers.push(Some(sender));
        }
        let waiting = inbox.clone();
        failure.when_it_happens(move |sentence| fail(&waiting, sentence));
        Ok(Exchange { process, processes, peers, inbox })
    }

    /// Sends a part to all processes; calls `then` with the parts of all, on some thread. All processes take part, with the same channels,
    /// and in the same order on each channel.
    pub(super) fn gather(&self, channel: u64, part: Arc<[u8]>, then: impl FnOnce(Parts) + Send + 'static) {
        let mut inbox = lock(&self.inbox);
        if let Some(failure) = inbox.failure.clone() {
            drop(inbox);
            return then(Err(failure));
        }
        let next = inbox.begun.entry(channel).or_default();
        let number = *next;
        *next += 1;
        // The channel of a lost process is closed; its loss is reported elsewhere.
        self.peers
            .iter()
            .flatten()
            .for_each(|peer| drop(peer.send(Outgoing::Message((channel, number, part.clone())))));
        let from = (self.process, self.processes);
        let ended = inbox.add((channel, number), from, part, Some(Box::new(then)));
        drop(inbox);
        if let Some((then, parts)) = ended {
            then(Ok(parts));
        }
    }

    /// Waits until all parts of this process are written, for a bounded time: the end of the process would lose them.
    pub(super) fn flush(&self, within: Duration) {
        let (mark, written) = channel();
        self.peers.iter().flatten().for_each(|peer| drop(peer.send(Outgoing::Mark(mark.clone()))));
        drop(mark);
        _ = written.recv_timeout(within);
    }
}

fn lock(inbox: &Mutex<Inbox>) -> MutexGuard<'_, Inbox> {
    inbox.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends all rounds with an error.
fn fail(inbox: &Mutex<Inbox>, sentence: &str) {
    let rounds = {
        let mut inbox = lock(inbox);
        inbox.failure = Some(sentence.to_owned());
        std::mem::take(&mut inbox.rounds)
    };
    rounds.into_values().filter_map(|round| round.then).for_each(|then| then(Err(sentence.to_owned())));
}

fn send(stream: &mut TcpStream, (channel, number, part): &Message) -> io::Result<()> {
    let Packed(head) = Packed::default().number(*channel).number(*number);
    frame::write(stream, 0, &head)?;
    frame::write(stream, 1, part)
}

fn receive(mut stream: TcpStream, from: (usize, usize), inbox: &Mutex<Inbox>, failure: &Failure) {
    loop {
        let Ok((round, part)) = message(&mut stream) else {
            // A process that fails reports the reason to the coordinator, which passes it on.
            std::thread::sleep(REPORTING);
            return failure.happens(&format!("process {} was lost: its connection closed", from.0));
        };
        let ended = lock(inbox).add(round, from, part, None);
        if let Some((then, parts)) = ended {
            then(Ok(parts));
        }
    }
}

fn message(stream: &mut TcpStream) -> io::Result<(RoundKey, Arc<[u8]>)> {
    let head = frame::read(stream, 16)?;
    let mut head = Unpacked(&head.bytes);
    let round = (head.number()?, head.number()?);
    Ok((round, frame::read(stream, LARGE)?.bytes.into()))
}
