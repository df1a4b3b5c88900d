//! Runs of a few processes, which are threads here, at a Redis.

use std::io::Write;
use std::net::TcpListener;
use std::process::Stdio;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use spiq::ErrorKind;
use spiq::cluster::{Cluster, Identity, Limits};

use super::fake::{Fake, listen};
use crate::own_process::own_process;

type Joining = JoinHandle<spiq::Result<Cluster>>;

const KEY: &str = "spiq/run/a";

fn join_within(coordinator: &str, (process, processes): (usize, usize), join: Duration) -> spiq::Result<Cluster> {
    let identity = Identity { coordinator: coordinator.to_owned(), processes, process };
    Cluster::join(&identity, Limits { join, lost_after: Duration::from_secs(10) })
}

fn start(coordinator: &str, place: (usize, usize)) -> Joining {
    let coordinator = coordinator.to_owned();
    std::thread::spawn(move || join_within(&coordinator, place, Duration::from_secs(60)))
}

/// All processes join, exchange a part and leave.
#[track_caller]
fn all_run(joining: Vec<Joining>) {
    let joined = joining.into_iter().map(|joining| joining.join().expect("no panic").expect("a run"));
    let joined: Vec<Cluster> = joined.collect();
    let work = |cluster: &Cluster| {
        let cluster = cluster.clone();
        std::thread::spawn(move || {
            let parts = cluster.all(&[cluster.identity().process as u8])?;
            cluster.leave()?;
            Ok::<_, spiq::Error>(parts.iter().map(|part| part[0]).collect::<Vec<u8>>())
        })
    };
    let working: Vec<_> = joined.iter().map(work).collect();
    let all: Vec<u8> = (0..working.len() as u8).collect();
    working.into_iter().for_each(|work| assert_eq!(work.join().expect("no panic").expect("a run"), all));
}

#[track_caller]
fn wait_until(holds: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < until, "it does not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn processes_find_each_other() {
    for (password, user) in [(None, ""), (Some("p@s"), "me:p%40s@"), (Some("p@s"), ":p%40s@")] {
        let redis = Fake::new(password);
        let address = redis.address(user, "a");
        let second = start(&address, (1, 3));
        std::thread::sleep(Duration::from_millis(100));
        all_run(vec![start(&address, (0, 3)), second, start(&address, (2, 3))]);
        assert_eq!(redis.get(KEY), None, "the run was left in the Redis");
        assert!(matches!(redis.expiries()[..], [60 | 61]), "{:?}", redis.expiries());
    }
}

#[test]
fn runs_of_other_names_do_not_meet() {
    let redis = Fake::new(None);
    let of = |run: &str| {
        let address = redis.address("", run);
        [start(&address, (1, 2)), start(&address, (0, 2))]
    };
    let [a, b] = [of("a"), of("b")];
    a.into_iter().zip(b).for_each(|(a, b)| {
        let [a, b] = [a, b].map(|joining| joining.join().expect("no panic").expect("a run"));
        assert_ne!(a.store().job(), b.store().job());
    });
}

/// What may be at the address of a coordinator that was killed: nothing, something silent, another program.
#[test]
fn an_old_value_does_not_stop_a_new_run() {
    let nothing = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
    let silent = listen(std::mem::forget);
    let other = listen(|mut stream| drop(stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")));
    for port in [nothing, silent, other] {
        let redis = Fake::new(None);
        let address = redis.address("", "a");
        redis.set(KEY, &format!("spiq-1 127.0.0.1:{port} 00ff"));
        let second = start(&address, (1, 2));
        std::thread::sleep(Duration::from_millis(300));
        all_run(vec![start(&address, (0, 2)), second]);
    }
}

/// A process that finds another run at the old address takes no place there.
#[test]
fn a_run_at_the_old_address_is_left_alone() {
    let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
    let known = format!("127.0.0.1:{port}");
    let other = start(&known, (0, 2));
    let redis = Fake::new(None);
    redis.set(KEY, &format!("spiq-1 {known} 00ff"));
    let second = start(&redis.address("", "a"), (1, 2));
    std::thread::sleep(Duration::from_millis(500));
    all_run(vec![start(&redis.address("", "a"), (0, 2)), second]);
    all_run(vec![other, start(&known, (1, 2))]);
}

#[test]
#[ignore = "process 0 of the next test, which kills it"]
fn the_first_of_three() {
    let Ok(address) = std::env::var("SPIQ_TEST_REDIS") else { return };
    drop(join_within(&address, (0, 3), Duration::from_secs(60)));
}

/// A process that has joined an earlier start of its run, whose process 0 is killed then, joins the new one.
#[test]
fn a_process_moves_to_the_new_start_of_its_run() {
    let redis = Fake::new(None);
    let address = redis.address("", "a");
    let mut old = own_process(module_path!(), "the_first_of_three");
    let mut old = old.env("SPIQ_TEST_REDIS", &address).stdout(Stdio::null()).spawn().expect("a process");
    wait_until(|| redis.get(KEY).is_some());
    let (published, third) = (redis.get(KEY), start(&address, (2, 3)));
    std::thread::sleep(Duration::from_millis(500));
    let first = start(&address, (0, 3));
    wait_until(|| redis.get(KEY) != published);
    old.kill().expect("a process");
    old.wait().expect("its end");
    all_run(vec![first, start(&address, (1, 3)), third]);
}

#[test]
fn unusable_servers_are_named_in_time() {
    let closed = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
    let silent = listen(std::mem::forget);
    let garbage = listen(|mut stream| drop(stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")));
    let endless = listen(|mut stream| while stream.write_all(b"$9999999999\r\nx").is_ok() {});
    let gone = listen(drop);
    let locked = Fake::new(Some("right"));
    let at = |port: u16| format!("redis://127.0.0.1:{port}?run=a");
    let foreign = Fake::new(None);
    foreign.set(KEY, "something else");
    let empty = Fake::new(None);
    let both = [0, 1].as_slice();
    let cases = [
        (at(closed), both, "cannot be reached: "),
        (at(silent), both, "does not answer; check --coordinator-address"),
        (at(garbage), both, "does not answer as a Redis: another program uses the port"),
        (at(endless), both, "does not answer; check --coordinator-address"),
        (at(gone), both, "check --coordinator-address"),
        (locked.address("me:wrong@", "a"), both, "refuses the user or the password; check --coordinator-address"),
        (locked.address("", "a"), both, "wants a password; set REDISCLI_AUTH"),
        (foreign.address("", "a"), &[1], "holds something else than a run of this version of spiq"),
        (empty.address("", "a"), &[1], "process 0 has not started the run `a` of the Redis at 127.0.0.1:"),
    ];
    for (address, processes, want) in cases {
        for process in processes {
            let started = Instant::now();
            let error = join_within(&address, (*process, 2), Duration::from_millis(800)).expect_err(want);
            let (kind, said, took) = (error.kind(), error.to_string(), started.elapsed());
            println!("{said} ({} ms)", took.as_millis());
            assert!(kind == ErrorKind::Input && said.contains(want), "{address}: {said}");
            assert!(!said.contains("wrong") && !said.contains('\n'), "{said}");
            assert!(took < Duration::from_secs(5), "{address}: {took:?}");
        }
    }
}

/// Process 0 leaves no value when the others do not come.
#[test]
fn a_run_that_does_not_begin_is_withdrawn() {
    let redis = Fake::new(None);
    let error = join_within(&redis.address("", "a"), (0, 2), Duration::from_millis(300)).expect_err("nobody else");
    assert!(error.to_string().starts_with("process 1 has not joined in time"), "{error}");
    assert_eq!(redis.get(KEY), None);
}
