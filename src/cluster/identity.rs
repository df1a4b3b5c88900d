//! The identity of a process in a run of several: from flags, or from the environment variables of a launcher.

use std::fmt;

use super::nodelist::first_host;
use super::redis_run::{RedisRun, with_password, without_password};
use super::requests::IS_BUILT;
use crate::error::{Error, Result};

/// The values of the flags. Missing ones come from the launcher.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// `--coordinator-address`: HOST:PORT, or `redis://…?run=NAME`.
    pub coordinator: Option<String>,
    /// `--num-processes`.
    pub processes: Option<usize>,
    /// `--process-id`.
    pub process: Option<usize>,
}

/// A process of a run of several processes.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// HOST:PORT of the coordinator, which process 0 serves; or `redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE]?run=NAME`, a Redis in which
    /// process 0 publishes it (feature `redis`).
    pub coordinator: String,
    /// The number of processes, at least two.
    pub processes: usize,
    /// The number of this process, from 0.
    pub process: usize,
}

impl Identity {
    /// The coordinator's address for messages: without a password.
    pub fn place(&self) -> String {
        without_password(&self.coordinator)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity(process {} of {} at {})", self.process, self.processes, self.place())
    }
}

/// The identity that a launcher gives a process.
#[derive(Debug)]
struct Launched {
    launcher: &'static str,
    processes: usize,
    process: usize,
    coordinator: Option<String>,
}

/// The largest number of processes: each is connected to each other.
const MOST: usize = 4096;

type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The identity of this process, from the flags and the variables of torchrun, Open MPI, MPICH (PMI) and SLURM, in this order: a launcher
/// that another one started takes precedence. `None`: a single process.
///
/// # Errors
/// Kind `Input` for a part that is missing, not a number, or contradicts another, and for a Redis that this build cannot ask. `REDISCLI_AUTH`,
/// as in `redis-cli`, is the password of a Redis whose address has none, since other users of a machine see the arguments of commands.
///
/// ```
/// use spiq::cluster::{Given, find};
/// let set = |name: &str| match name {
///     "RANK" => Some("1".to_owned()),
///     "WORLD_SIZE" => Some("2".to_owned()),
///     "MASTER_ADDR" => Some("node0".to_owned()),
///     "MASTER_PORT" => Some("29500".to_owned()),
///     _ => None,
/// };
/// let identity = find(&Given::default(), &set)?.expect("two processes");
/// assert_eq!((identity.process, identity.processes, identity.coordinator.as_str()), (1, 2, "node0:29500"));
/// # Ok::<(), spiq::Error>(())
/// ```
pub fn find(given: &Given, variables: Variables<'_>) -> Result<Option<Identity>> {
    // Complete flags replace the launcher's values.
    let complete = given.coordinator.is_some() && given.processes.is_some() && given.process.is_some();
    let launched = if complete { None } else { launched(variables)? };
    if launched.is_none() && given.coordinator.is_none() && given.processes.is_none() && given.process.is_none() {
        return Ok(None);
    }
    let processes = agreed(given.processes, &launched, "--num-processes", |launched| launched.processes)?;
    let process = agreed(given.process, &launched, "--process-id", |launched| launched.process)?;
    if processes == 0 || process >= processes {
        return Err(Error::input(format!(
            "there is no process {process} of {processes}; processes are numbered from 0 to one less than --num-processes"
        )));
    }
    if processes == 1 {
        return Ok(None);
    }
    if processes > MOST {
        return Err(Error::input(format!("{processes} processes are too many; --num-processes is at most {MOST}")));
    }
    let by_launcher = launched.as_ref().and_then(|launched| launched.coordinator.clone());
    let Some(coordinator) = given.coordinator.clone().or(by_launcher) else {
        let said = launched.map_or("these flags do not say", |launched| launched.launcher);
        let said = if said.starts_with("these") { said.to_owned() } else { format!("{said} does not say") };
        return Err(Error::input(format!(
            "{said} where process 0 is: add --coordinator-address HOST:PORT, with the host of process 0 and a free port there"
        )));
    };
    check_address(&coordinator)?;
    let password = variables("REDISCLI_AUTH").unwrap_or_default();
    let coordinator = if password.is_empty() { coordinator } else { with_password(&coordinator, &password) };
    Ok(Some(Identity { coordinator, processes, process }))
}

/// A number from the flag or the launcher, which must not contradict each other.
fn agreed(
    given: Option<usize>,
    launched: &Option<Launched>,
    flag: &str,
    of: impl Fn(&Launched) -> usize,
) -> Result<usize> {
    match (given, launched) {
        (Some(given), Some(launched)) if given != of(launched) => Err(Error::input(format!(
            "{flag} is {given}, but {} says {}; leave the flag out, or also give the others (--coordinator-address, --num-processes and \
             --process-id) to ignore {0}",
            launched.launcher,
            of(launched)
        ))),
        (Some(given), _) => Ok(given),
        (None, Some(launched)) => Ok(of(launched)),
        (None, None) => Err(Error::input(format!(
            "{flag} is missing: several processes need --coordinator-address, --num-processes and --process-id, unless SLURM, torchrun or \
             mpirun starts them"
        ))),
    }
}

fn check_address(address: &str) -> Result<()> {
    if RedisRun::is_meant_by(address) {
        RedisRun::parse(address)?;
        return RedisRun::check_build(IS_BUILT);
    }
    let port = address.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port.parse::<u16>());
    let is_bare_v6 = address.matches(':').count() > 1 && !address.starts_with('[');
    match port {
        Some(Ok(port)) if port > 0 && !is_bare_v6 => Ok(()),
        _ => Err(Error::input(format!(
            "`{address}` is not the address of a coordinator; it must be HOST:PORT, such as node0:12345 or [::1]:12345"
        ))),
    }
}

fn launched(variables: Variables<'_>) -> Result<Option<Launched>> {
    let launchers = [torchrun, open_mpi, pmi, slurm];
    for launcher in launchers {
        if let Some(launched) = launcher(variables)? {
            return Ok(Some(launched));
        }
    }
    Ok(None)
}

/// The process number and the number of processes, if the launcher set either.
fn pair(variables: Variables<'_>, launcher: &str, [rank, size]: [&str; 2]) -> Result<Option<(usize, usize)>> {
    let missing = |is_set: &str, is_not: &str| {
        Error::input(format!(
            "{is_set} is set, but {is_not} is not, which {launcher} sets as well: unset {is_set}, or give --coordinator-address, \
             --num-processes and --process-id"
        ))
    };
    match (number(variables, rank)?, number(variables, size)?) {
        (Some(process), Some(processes)) => Ok(Some((process, processes))),
        (None, None) => Ok(None),
        (Some(_), None) => Err(missing(rank, size)),
        (None, Some(_)) => Err(missing(size, rank)),
    }
}

fn number(variables: Variables<'_>, name: &str) -> Result<Option<usize>> {
    let wrong = |text: &str| Error::input(format!("{name} is `{text}`; it must be a whole number"));
    variables(name).map(|text| text.trim().parse().map_err(|_| wrong(&text))).transpose()
}

fn torchrun(variables: Variables<'_>) -> Result<Option<Launched>> {
    let Some((process, processes)) = pair(variables, "torchrun", ["RANK", "WORLD_SIZE"])? else { return Ok(None) };
    let port = number(variables, "MASTER_PORT")?;
    // torchrun itself may listen on the port; then the next one is taken.
    let next = usize::from(variables("TORCHELASTIC_USE_AGENT_STORE").is_some_and(|text| text == "True"));
    let coordinator = variables("MASTER_ADDR").zip(port).map(|(host, port)| joined(&host, port + next));
    Ok(Some(Launched { launcher: "torchrun", processes, process, coordinator }))
}

fn open_mpi(variables: Variables<'_>) -> Result<Option<Launched>> {
    let names = ["OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"];
    let Some((process, processes)) = pair(variables, "mpirun", names)? else { return Ok(None) };
    let coordinator = variables("OMPI_MCA_orte_hnp_uri").and_then(|uri| of_mpirun(&uri));
    Ok(Some(Launched { launcher: "mpirun", processes, process, coordinator }))
}

/// Where Open MPI 4 runs `mpirun`, from `JOB.0;tcp://ADDRESS,ADDRESS:PORT`: as in JAX, the first address, and a port that follows from the
/// number of the job.
fn of_mpirun(uri: &str) -> Option<String> {
    let (job, contact) = uri.split_once(".0;tcp://")?;
    let host = contact.split([',', ':']).next().filter(|host| !host.is_empty())?;
    Some(joined(host, port_of_job(job.parse().ok()?)))
}

fn pmi(variables: Variables<'_>) -> Result<Option<Launched>> {
    // srun sets them as well, and says more.
    if variables("SLURM_STEP_NODELIST").is_some() {
        return Ok(None);
    }
    let Some((process, processes)) = pair(variables, "mpirun", ["PMI_RANK", "PMI_SIZE"])? else { return Ok(None) };
    Ok(Some(Launched { launcher: "mpirun", processes, process, coordinator: None }))
}

/// In a step that `srun` starts. In the script of a job, SLURM sets its variables too, but runs a single process.
fn slurm(variables: Variables<'_>) -> Result<Option<Launched>> {
    let Some(nodes) = variables("SLURM_STEP_NODELIST") else { return Ok(None) };
    let size = match variables("SLURM_STEP_NUM_TASKS") {
        Some(_) => "SLURM_STEP_NUM_TASKS",
        None => "SLURM_NTASKS",
    };
    let Some((process, processes)) = pair(variables, "srun", ["SLURM_PROCID", size])? else { return Ok(None) };
    let job = number(variables, "SLURM_JOB_ID")?;
    let coordinator = first_host(&nodes).zip(job).map(|(host, job)| joined(&host, port_of_job(job)));
    Ok(Some(Launched { launcher: "srun", processes, process, coordinator }))
}

fn joined(host: &str, port: usize) -> String {
    if host.contains(':') && !host.starts_with('[') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// A port from 61440 to 65535 for a job, as in JAX: all processes know it, and jobs on one machine rarely share it.
fn port_of_job(job: usize) -> usize {
    61440 + job % 4096
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(given: Given, set: &[(&str, &str)]) -> Result<Option<Identity>> {
        let value = |name: &str| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        find(&given, &value)
    }

    fn by_launcher(set: &[(&str, &str)]) -> (usize, usize, String) {
        let Identity { coordinator, processes, process } =
            found(Given::default(), set).expect("an identity").expect("several processes");
        (process, processes, coordinator)
    }

    fn given(coordinator: &str, processes: usize, process: usize) -> Given {
        Given { coordinator: Some(coordinator.to_owned()), processes: Some(processes), process: Some(process) }
    }

    fn refusal(given: Given, set: &[(&str, &str)]) -> String {
        found(given, set).expect_err("a refusal").to_string()
    }

    const SLURM: [(&str, &str); 4] = [
        ("SLURM_STEP_NODELIST", "node[003-005]"),
        ("SLURM_PROCID", "2"),
        ("SLURM_NTASKS", "3"),
        ("SLURM_JOB_ID", "4097"),
    ];

    #[test]
    fn each_launcher() {
        assert_eq!(by_launcher(&SLURM), (2, 3, "node003:61441".to_owned()));
        let torchrun =
            [("RANK", "1"), ("WORLD_SIZE", "2"), ("MASTER_ADDR", "::1"), ("MASTER_PORT", "29500"), ("PMI_RANK", "7")];
        assert_eq!(by_launcher(&torchrun), (1, 2, "[::1]:29500".to_owned()));
        let agent = [&torchrun[..], &[("TORCHELASTIC_USE_AGENT_STORE", "True")]].concat();
        assert_eq!(by_launcher(&agent).2, "[::1]:29501");
        let mpi = [
            ("OMPI_COMM_WORLD_RANK", "0"),
            ("OMPI_COMM_WORLD_SIZE", "4"),
            ("OMPI_MCA_orte_hnp_uri", "1531576320.0;tcp://10.96.0.1,10.148.0.1:34911"),
        ];
        assert_eq!(by_launcher(&mpi), (0, 4, "10.96.0.1:61440".to_owned()));
        let inside = [&SLURM[..], &mpi[..]].concat();
        assert_eq!(by_launcher(&inside), (0, 4, "10.96.0.1:61440".to_owned()), "mpirun inside a SLURM job");
        let pmi = [("PMI_RANK", "1"), ("PMI_SIZE", "2")];
        let address = Given { coordinator: Some("a:1".to_owned()), ..Given::default() };
        assert_eq!(found(address, &pmi).expect("an identity").expect("two").process, 1);
    }

    #[test]
    fn single_processes() {
        let script = [("SLURM_PROCID", "0"), ("SLURM_NTASKS", "4"), ("SLURM_JOB_ID", "7")];
        let one = [("SLURM_STEP_NODELIST", "n1"), ("SLURM_PROCID", "0"), ("SLURM_NTASKS", "1"), ("SLURM_JOB_ID", "7")];
        let cases = [&[][..], &script, &one, &[("RANK", "0"), ("WORLD_SIZE", "1")]];
        cases.iter().for_each(|set| assert_eq!(found(Given::default(), set).expect("an identity"), None, "{set:?}"));
        assert_eq!(found(given("a:1", 1, 0), &[]).expect("an identity"), None);
    }

    #[test]
    fn flags_come_first() {
        let identity = found(given("here:5", 8, 7), &SLURM).expect("an identity").expect("eight");
        assert_eq!(identity, Identity { coordinator: "here:5".to_owned(), processes: 8, process: 7 });
        let address = Given { coordinator: Some("here:5".to_owned()), ..Given::default() };
        let identity = found(address, &SLURM).expect("an identity").expect("three");
        assert_eq!((identity.coordinator.as_str(), identity.process), ("here:5", 2));
    }

    /// The password of a Redis does not appear in arguments and messages.
    #[test]
    fn a_password_comes_from_the_environment() {
        let found = found(given("redis://node0?run=a", 2, 1), &[("REDISCLI_AUTH", "a b")]);
        match (found, IS_BUILT) {
            (Ok(identity), true) => {
                let identity = identity.expect("two");
                assert_eq!(identity.coordinator, "redis://:a%20b@node0?run=a");
                assert_eq!(format!("{identity:?}"), "Identity(process 1 of 2 at redis://node0?run=a)");
            }
            (found, is_built) => assert!(found.is_err() && !is_built, "{found:?}"),
        }
    }

    #[test]
    fn missing_and_contradicting_parts() {
        let only = |process| Given { process: Some(process), ..Given::default() };
        assert!(refusal(only(1), &[]).starts_with("--num-processes is missing: several processes need "));
        let address = Given { coordinator: Some("a:1".to_owned()), ..Given::default() };
        assert!(refusal(address, &[]).starts_with("--num-processes is missing"));
        assert!(refusal(only(1), &SLURM).starts_with("--process-id is 1, but srun says 2; leave the flag out"));
        assert!(refusal(given("a:1", 2, 2), &[]).starts_with("there is no process 2 of 2; "));
        let pmi = [("PMI_RANK", "1"), ("PMI_SIZE", "2")];
        assert!(
            refusal(Given::default(), &pmi).starts_with("mpirun does not say where process 0 is: add --coordinator")
        );
        let flags = Given { processes: Some(2), process: Some(0), ..Given::default() };
        assert!(refusal(flags, &[]).starts_with("these flags do not say where process 0 is"));
        assert!(refusal(Given::default(), &[("RANK", "1")]).starts_with("RANK is set, but WORLD_SIZE is not"));
        assert_eq!(
            refusal(Given::default(), &[("RANK", "x"), ("WORLD_SIZE", "2")]),
            "RANK is `x`; it must be a whole number"
        );
        for address in ["", "host", ":5", "host:", "host:0", "host:70000", "host:a", "::1:12345"] {
            let said = refusal(given(address, 2, 0), &[]);
            assert!(said.ends_with("it must be HOST:PORT, such as node0:12345 or [::1]:12345"), "{said}");
        }
    }
}
