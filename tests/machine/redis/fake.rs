//! The part of a Redis that a run needs: strings, their expiry as a number, transactions, a password.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A Redis on threads of this process.
pub struct Fake {
    port: u16,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    values: BTreeMap<String, String>,
    /// The seconds of each `EX`.
    expiries: Vec<u64>,
    password: Option<&'static str>,
}

impl Fake {
    pub fn new(password: Option<&'static str>) -> Fake {
        let state = Arc::new(Mutex::new(State { password, ..State::default() }));
        let shared = state.clone();
        let port = listen(move |stream| {
            let state = shared.clone();
            std::thread::spawn(move || drop(serve(&stream, &state)));
        });
        Fake { port, state }
    }

    pub fn address(&self, user: &str, run: &str) -> String {
        format!("redis://{user}127.0.0.1:{}/3?run={run}", self.port)
    }

    pub fn set(&self, key: &str, value: &str) {
        self.state.lock().expect("no panic").values.insert(key.to_owned(), value.to_owned());
    }

    pub fn get(&self, key: &str) -> Option<String> {
        self.state.lock().expect("no panic").values.get(key).cloned()
    }

    pub fn expiries(&self) -> Vec<u64> {
        self.state.lock().expect("no panic").expiries.clone()
    }
}

/// A server of this machine; returns its port.
pub fn listen(each: impl Fn(TcpStream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || listener.incoming().flatten().for_each(each));
    port
}

fn serve(stream: &TcpStream, state: &Mutex<State>) -> io::Result<()> {
    let (mut reader, mut writer) = (BufReader::new(stream), stream);
    let (mut may, mut queue) = (state.lock().expect("no panic").password.is_none(), None::<Vec<Vec<String>>>);
    while let Some(words) = command(&mut reader)? {
        let answer = match (words[0].to_uppercase().as_str(), &mut queue) {
            ("AUTH", _) => {
                may = words.last().map(String::as_str) == state.lock().expect("no panic").password;
                (if may { "+OK\r\n" } else { "-WRONGPASS invalid username-password pair or user is disabled.\r\n" })
                    .to_owned()
            }
            _ if !may => "-NOAUTH Authentication required.\r\n".to_owned(),
            ("MULTI", _) => {
                queue = Some(Vec::new());
                "+OK\r\n".to_owned()
            }
            ("EXEC", Some(queued)) => {
                let answers: Vec<String> = queued.iter().map(|words| answer(words, state)).collect();
                queue = None;
                format!("*{}\r\n{}", answers.len(), answers.concat())
            }
            (_, Some(queued)) => {
                queued.push(words);
                "+QUEUED\r\n".to_owned()
            }
            _ => answer(&words, state),
        };
        writer.write_all(answer.as_bytes())?;
    }
    Ok(())
}

fn answer(words: &[String], state: &Mutex<State>) -> String {
    let mut state = state.lock().expect("no panic");
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["SELECT", "3"] | ["WATCH", _] => "+OK\r\n".to_owned(),
        ["GET", key] => match state.values.get(key) {
            Some(value) => format!("${}\r\n{value}\r\n", value.len()),
            None => "$-1\r\n".to_owned(),
        },
        ["SET", key, value, "EX", seconds] => {
            state.values.insert(key.to_owned(), value.to_owned());
            state.expiries.push(seconds.parse().expect("a number"));
            "+OK\r\n".to_owned()
        }
        ["DEL", key] => format!(":{}\r\n", usize::from(state.values.remove(key).is_some())),
        _ => format!("-ERR unknown command {words:?}\r\n"),
    }
}

/// A command as a list of texts; `None` after the last one.
fn command(from: &mut impl BufRead) -> io::Result<Option<Vec<String>>> {
    let mut line = String::new();
    if from.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let number = |line: &str| line[1..].trim().parse::<usize>().map_err(io::Error::other);
    let mut words = Vec::new();
    for _ in 0..number(&line)? {
        line.clear();
        from.read_line(&mut line)?;
        let mut bytes = vec![0; number(&line)? + 2];
        from.read_exact(&mut bytes)?;
        words.push(String::from_utf8_lossy(&bytes[..bytes.len() - 2]).into_owned());
    }
    Ok(Some(words))
}
