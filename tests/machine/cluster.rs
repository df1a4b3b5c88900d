//! A run of eight processes under faults: late, killed, stopped, absent and foreign processes.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use spiq::ErrorKind;
use spiq::cluster::{Cluster, Identity, Limits};

use crate::own_process::own_process;

const PROCESSES: usize = 8;
/// How long processes of these tests wait for one that does not answer.
const LOST_AFTER: Duration = Duration::from_secs(4);

/// A port that is free, and has not been used before by this process.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port()
}

fn identity(port: u16, process: usize) -> Identity {
    Identity { coordinator: format!("127.0.0.1:{port}"), processes: PROCESSES, process }
}

/// A process that does what its name says.
fn member(port: u16, process: usize, does: &str) -> Command {
    let mut command = own_process(module_path!(), "one_of_eight");
    command.env("SPIQ_TEST_MEMBER", format!("{port} {process} {does}")).stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

/// Eight processes, of which some do something else than work.
fn start(port: u16, others: &[(usize, &str)]) -> Vec<Child> {
    let does = |process| others.iter().find(|(other, _)| *other == process).map_or("works", |(_, does)| does);
    (0..PROCESSES).map(|process| member(port, process, does(process)).spawn().expect("a process")).collect()
}

/// What a process says about its end.
fn said(child: Child) -> String {
    let output = child.wait_with_output().expect("an end");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().find_map(|line| line.split_once("said: ")).map_or(text.clone(), |(_, said)| said.to_owned())
}

#[test]
#[ignore = "one of the processes of the other tests, which start it"]
fn one_of_eight() {
    let Ok(text) = std::env::var("SPIQ_TEST_MEMBER") else { return };
    let words: Vec<&str> = text.split(' ').collect();
    let (port, process) = (words[0].parse().expect("a port"), words[1].parse().expect("a number"));
    if words[2] == "late" {
        std::thread::sleep(Duration::from_secs(1));
    }
    let limits = Limits { join: Duration::from_secs(60), lost_after: LOST_AFTER };
    let outcome = Cluster::join(&identity(port, process), limits).and_then(|cluster| work(&cluster, words[2]));
    println!("said: {}", outcome.map_or_else(|error| format!("{:?}: {error}", error.kind()), |()| "done".to_owned()));
}

/// Values of the store and exchanges, in rounds; some processes fail in the middle.
fn work(cluster: &Cluster, does: &str) -> spiq::Result<()> {
    let (own, store) = (cluster.identity().process, cluster.store());
    let value = |process: usize| [&[0, 255, process as u8][..], &vec![process as u8; 100_000]].concat();
    store.put(format!("v{own}").as_bytes(), &value(own))?;
    for process in 0..PROCESSES {
        let found = store.get(format!("v{process}").as_bytes(), Duration::from_secs(60))?;
        assert_eq!(found, Some(value(process)));
    }
    assert_eq!(store.try_get(b"nothing")?, None);
    assert_eq!(store.get(b"nothing", Duration::from_millis(50))?, None);
    for round in 0..200u64 {
        match does {
            "dies" if round == 100 => std::process::abort(),
            "stops" if round == 100 => {
                let own = std::process::id().to_string();
                Command::new("kill").args(["-STOP", &own]).status().expect("kill");
            }
            "fails" if round == 100 => cluster.fail(&spiq::Error::new(ErrorKind::File, "its disk is full")),
            _ => {}
        }
        let parts = cluster.all(&[own as u64, round].map(u64::to_le_bytes).concat())?;
        for (process, part) in parts.iter().enumerate() {
            assert_eq!(part[..], [process as u64, round].map(u64::to_le_bytes).concat());
        }
    }
    cluster.leave()
}

#[test]
fn eight_processes_exchange_values_and_parts() {
    let port = free_port();
    // The second run, on the same port, has another identity, so it finds nothing of the first.
    for _ in 0..2 {
        let children = start(port, &[(0, "late"), (5, "late")]);
        assert_eq!(children.into_iter().map(said).collect::<Vec<_>>(), ["done"; PROCESSES]);
    }
}

/// Every other process ends with the same sentence, within the bound.
fn all_end(failing: usize, does: &str, want: &str) {
    let children = start(free_port(), &[(failing, does)]);
    let mut found = Vec::new();
    let mut stopped = None;
    for (process, child) in children.into_iter().enumerate() {
        if process == failing && does == "stops" {
            stopped = Some(child);
        } else if process != failing || does == "fails" {
            found.push(said(child));
        } else {
            drop(said(child));
        }
    }
    if let Some(mut child) = stopped {
        child.kill().expect("a process that is stopped");
        child.wait().expect("its end");
    }
    let again =
        if does == "fails" { "" } else { "; start all processes again, with --resume if there is a checkpoint" };
    assert!(found.iter().all(|said| said.starts_with(want) && said.ends_with(again)), "{found:#?}");
}

#[test]
fn a_killed_process_ends_the_others() {
    all_end(5, "dies", "Lost: process 5 was lost: ");
}

#[test]
fn a_killed_coordinator_ends_the_others() {
    all_end(0, "dies", "Lost: process 0 was lost: ");
}

#[test]
#[cfg(unix)]
fn a_stopped_process_ends_the_others_in_time() {
    let started = Instant::now();
    all_end(6, "stops", "Lost: process 6 was lost: it has not answered for 4 s");
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
}

#[test]
fn a_process_that_fails_tells_the_others_why() {
    all_end(3, "fails", "Input: process 3 ended: its disk is full");
}

/// Connections that do not speak the protocol, and processes of other runs, change nothing.
#[test]
fn strangers_are_refused() {
    let port = free_port();
    let children = start(port, &[(7, "late")]);
    let until = Instant::now() + Duration::from_secs(60);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < until, "no coordinator");
        std::thread::sleep(Duration::from_millis(10));
    }
    let messages = [
        &b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..],
        &[255; 4000],
        b"spiq 1\r\n\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b"spiq 1\r\n\x02\x00\x00\x00\x00\x00\x00\x00\x01ab",
        b"",
    ];
    for message in messages {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
        // It may be closed already.
        drop(stream.write_all(message));
    }
    let refused = |processes, process, job: &str, kind: u8| {
        let number = |number: usize| (number as u64).to_le_bytes();
        let body = [&number(processes)[..], &number(process), &number(job.len()), job.as_bytes()].concat();
        let message = [&b"spiq 1\r\n"[..], &number(body.len()), &[kind], &body].concat();
        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
        stream.write_all(&message).expect("a request");
        let mut answer = String::new();
        drop(stream.read_to_string(&mut answer));
        answer
    };
    assert!(refused(3, 1, "", 1).contains("counts 3 processes, and process 0 8"));
    assert!(refused(8, 1, "an earlier run", 5).contains("process 1 belongs to another run; start all processes anew"));
    assert_eq!(children.into_iter().map(said).collect::<Vec<_>>(), ["done"; PROCESSES]);
}

#[test]
fn addresses_that_do_not_work() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port();
    let limits = Limits { join: Duration::from_millis(300), lost_after: LOST_AFTER };
    let refusal = |identity: &Identity| {
        let error = Cluster::join(identity, limits).expect_err("a refusal");
        assert_eq!(error.kind(), ErrorKind::Input);
        error.to_string()
    };
    let served = refusal(&identity(port, 0));
    assert!(served.starts_with(&format!("process 0 cannot serve the coordinator at 127.0.0.1:{port}: ")), "{served}");
    let unreached = refusal(&identity(free_port(), 1));
    assert!(unreached.starts_with("process 1 cannot reach the coordinator at 127.0.0.1:"), "{unreached}");
    let unknown = Identity { coordinator: "no-such-host.invalid:5".to_owned(), ..identity(0, 1) };
    assert!(refusal(&unknown).starts_with("process 1 cannot reach the coordinator at no-such-host.invalid:5: "));
}

#[test]
fn a_process_that_never_comes_is_named() {
    let limits = Limits { join: Duration::from_millis(500), lost_after: LOST_AFTER };
    let error = Cluster::join(&identity(free_port(), 0), limits).expect_err("nobody else");
    assert_eq!(
        error.to_string(),
        "process 1 has not joined in time; start all processes, with the same --coordinator-address"
    );
}

/// A run of two threads instead of processes; the second one counts this many.
fn counted(port: u16, process: usize, processes: usize) -> spiq::Result<Cluster> {
    let limits = Limits { join: Duration::from_secs(60), lost_after: Duration::from_secs(1) };
    Cluster::join(&Identity { processes, ..identity(port, process) }, limits)
}

#[test]
fn another_number_of_processes_ends_the_run_soon() {
    let port = free_port();
    let started = Instant::now();
    let first = std::thread::spawn(move || counted(port, 0, 2));
    let want = "process 1 counts 3 processes, and process 0 2; give all of them the same --num-processes";
    for refused in [counted(port, 1, 3), first.join().expect("no panic")] {
        let error = refused.expect_err("a refusal");
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Input, want));
    }
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}

/// A process of an older run with another number of processes is refused, and the run goes on with its own.
#[test]
fn a_stranger_that_counts_differently_does_not_end_the_run() {
    let port = free_port();
    let first = std::thread::spawn(move || counted(port, 0, 2));
    for process in [1, 2] {
        assert!(counted(port, process, 3).is_err(), "a refusal");
    }
    let second = counted(port, 1, 2).expect("the run's own process");
    let first = first.join().expect("no panic").expect("process 0");
    // The time to end the run passes.
    std::thread::sleep(Duration::from_secs(2));
    let other = std::thread::spawn(move || second.leave());
    first.leave().expect("a run");
    other.join().expect("no panic").expect("a run");
    assert!(first.lost().is_none());
}
